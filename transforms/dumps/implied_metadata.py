"""Metadata for a dump that came without, taken from the dump itself.

What belongs here: writing it in the form of other metadata. What does not: reading dumps (`dumps/dump.py`).
"""

from collections.abc import Iterator
from itertools import batched
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.catalog.columns import forms_of
from transforms.catalog.metadata import Inspection
from transforms.dumps import dump as dumps
from transforms.dumps.members import Member
from transforms.storage import stores
from transforms.storage.remote_stores import is_remote

_COLUMNS = pa.schema(
    {
        "key": pa.string(),
        "url": pa.string(),
        "caption": pa.string(),
        "uid": pa.string(),
        "original_width": pa.int32(),
        "original_height": pa.int32(),
    }
)


def write(dump: str, target: Path, member_bytes: int, fetched: Path) -> Inspection:
    """Write the pictures of a dump as a metadata parquet, one row per picture.

    Args:
        dump: A tar or folder, local or remote.
        target: The parquet.
        member_bytes: Size above which a picture is refused.
        fetched: Folder for a remote tar while it is read.

    Returns:
        The inspection of that parquet.

    Raises:
        ArchiveError: If the dump cannot be read.
        OSError: Likewise.
    """
    whole = is_remote(dump) and not stores.at(dump).folder
    if whole:
        with stores.local_copy(dump, fetched) as path:
            return write(path, target, member_bytes, fetched)
    with dumps.open_dump(dump) as opened:
        members = opened.listing(member_bytes).members
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with pq.ParquetWriter(partial, _COLUMNS) as writer:
        for rows in batched(_rows(members), 64_000):
            writer.write_table(pa.Table.from_pylist(list(rows), _COLUMNS))
    partial.replace(target)
    return Inspection(len(members), tuple(_COLUMNS.names), 0, forms=forms_of(_COLUMNS))


def _rows(members: list[Member]) -> Iterator[dict[str, object]]:
    for member in members:
        yield {
            "key": member.key,
            "url": member.url,
            "caption": member.caption,
            "uid": member.uid,
            "original_width": member.width,
            "original_height": member.height,
        }
