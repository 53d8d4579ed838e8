"""All fact tables, and what their schemas state: keys, encoders, whether a stored table is of an older release.

What belongs here: work on schemas. What does not: the columns (the modules of the stages), reading and writing
(`facts/table.py`).
"""

from collections.abc import Sequence

import pyarrow as pa

from orchestration.facts.schemas import catalog, duplicates, fingerprints, guard, matches, provenance, review
from orchestration.facts.schemas.definition import DIGEST, VECTOR

TABLES = {
    definition.name: definition
    for stage in (catalog, fingerprints, duplicates, matches, provenance, guard, review)
    for definition in stage.TABLES
}
SCHEMAS = {name: definition.schema for name, definition in TABLES.items()}
WRITTEN_BY = {name: definition.written_by for name, definition in TABLES.items() if definition.written_by}
ALSO_WRITTEN_BY = {name: definition.also_written_by for name, definition in TABLES.items()}
EMBEDDINGS = tuple(name for name, schema in SCHEMAS.items() if "vector" in schema.names)
_ENCODER = b"raisonne:encoder"


def keys(schema: pa.Schema) -> list[str]:
    """Return the columns that identify a row."""
    return [field.name for field in schema if field.metadata]


def encoder_of(schema: pa.Schema) -> str:
    """Return the identity of the encoder of a table's vectors. Empty if the schema names none."""
    return (schema.metadata or {}).get(_ENCODER, b"").decode()


def embedding_schema(name: str, dimension: int, encoder: str) -> pa.Schema:
    """Return the schema of an embedding table for the vectors of one encoder.

    The encoder is stored in the schema, not in the table's configuration, so that both are written in one commit and an
    old version keeps its own.

    Args:
        name: The table.
        dimension: The length of a vector.
        encoder: The encoder's identity as text; may be empty.
    """
    blank = SCHEMAS[name]
    vector = pa.field("vector", pa.list_(pa.float32(), dimension))
    named = blank.set(blank.get_field_index("vector"), vector)
    return named.with_metadata({_ENCODER: encoder} if encoder else None)


def current_schema(name: str, stored: pa.Schema) -> pa.Schema:
    """Return the schema that a stored table should have in this release.

    Args:
        name: The table.
        stored: The schema on disk. An embedding table keeps its dimension and its encoder.
    """
    if name not in EMBEDDINGS:
        return SCHEMAS[name]
    vector = stored.field("vector").type if "vector" in stored.names else VECTOR
    size = vector.list_size if pa.types.is_fixed_size_list(vector) else VECTOR.list_size
    return embedding_schema(name, size, encoder_of(stored))


def incompatible(stored: pa.Schema, current: pa.Schema) -> str:
    """Return why a stored table cannot be brought up to date with its rows. Empty if it can.

    Args:
        stored: The schema on the disk.
        current: The schema of this release.
    """
    if keys(stored) != keys(current):
        return f"key ({', '.join(keys(stored))} rather than {', '.join(keys(current))})"
    texts = text_digests(stored, current)
    both = (field for field in current if field.name in stored.names)
    changed = [f.name for f in both if f.name not in texts and stored.field(f.name).type != f.type]
    return f"type of {', '.join(changed)}" if changed else ""


def text_digests(stored: pa.Schema, current: pa.Schema) -> list[str]:
    """Return the columns of digests that a stored table holds in hexadecimal, as older releases did.

    Args:
        stored: The schema on the disk.
        current: The schema of this release.
    """
    both = (field for field in current if field.name in stored.names)
    return [f.name for f in both if f.type == DIGEST and pa.types.is_string(stored.field(f.name).type)]


def last_of_each_key(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the rows without those that a later row of the same key replaces.

    Args:
        rows: May repeat keys.
        names: The key columns.
    """
    indexed = rows.select(names).append_column("index", pa.array(range(rows.num_rows), pa.int64()))
    last = indexed.group_by(names).aggregate([("index", "max")])["index_max"]
    return rows if len(last) == rows.num_rows else rows.take(last)
