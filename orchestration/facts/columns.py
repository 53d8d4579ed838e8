"""Columns that several fact tables share, and how a schema is made of its key and columns.

What belongs here: pieces of schemas. What does not: the tables (`facts/schemas.py`, `facts/match_schemas.py`).
"""

from collections.abc import Mapping

import pyarrow as pa

_KEY = {"lance-schema:unenforced-primary-key": "true"}  # without it two writers of one key duplicate its row


def schema(keys: Mapping[str, pa.DataType], **columns: pa.DataType) -> pa.Schema:
    """Return a table's schema: its key columns, which are never null, then the others."""
    return pa.schema(
        [pa.field(name, kind, nullable=False, metadata=_KEY) for name, kind in keys.items()]
        + [pa.field(name, kind) for name, kind in columns.items()]
    )


VECTOR = pa.list_(pa.float32(), 512)  # SSCD's; a table takes the dimension of its encoder
DIGEST = pa.binary(32)
BOX = {"x": pa.float64(), "y": pa.float64(), "width": pa.float64(), "height": pa.float64()}
PRINT = {
    "status": pa.string(),
    "failure": pa.string(),
    "sha256": pa.string(),
    "pixel_sha256": pa.string(),
    "pdq": pa.string(),
    "pdq_quality": pa.int32(),
    "width": pa.int32(),
    "height": pa.int32(),
}
MEMBER = {
    "shard_id": pa.int64(),
    "key": pa.string(),
    "member": pa.string(),
    "member_offset": pa.int64(),
    "member_size": pa.int64(),
}
FILE = {"path": pa.string(), "size": pa.int64(), "mtime_ns": pa.int64()}
