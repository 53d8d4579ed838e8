"""The table of clusters in a bundle: reading it without trusting it.

What belongs here: which Arrow files are taken, and what must be true of their rows. What does not: the arrays of a
bundle (`guard/bundle_schema.py`), opening files (`guard/held_files.py`).

The file is read in place. So that it can claim no memory beyond its own size, batches that are compressed are refused
before they are read, and the messages are read in their order: the places that its footer names are not used.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CLUSTERS = "clusters.arrow"
CLUSTER_SCHEMA = pa.schema(
    {
        "cluster_id": pa.uint64(),
        "sample_id": pa.uint64(),
        "dataset": pa.string(),
        "duplicate_count": pa.int64(),
        "recalled_count": pa.int64(),
        "url": pa.string(),
        "licenses": pa.list_(pa.string()),
    }
)
_MAY_BE_NULL = {"url"}
_MAGIC = b"ARROW1\0\0"
_BATCHES = 1_000_000  # 2,048 rows each would be more rows than a bundle may have
_TEXT = 1 << 24  # bytes of a URL, or of the licences of a cluster
_HEADER, _COMPRESSION = 2, 3  # fields of Arrow's tables `Message` and `RecordBatch`


def read(file: Any) -> pa.Table:  # noqa: ANN401 -- anything with a buffer
    """Read the table from the bytes of its file, in place. Raises ValueError if they are none of ours."""
    whole = pa.py_buffer(file)
    if whole.size <= len(_MAGIC) or whole.slice(0, len(_MAGIC)).to_pybytes() != _MAGIC:
        raise ValueError(f"{CLUSTERS} is no Arrow file")
    messages = whole.slice(len(_MAGIC))
    try:
        for number, message in enumerate(pa.ipc.MessageReader.open_stream(messages)):
            expected = "record batch" if number else "schema"
            if message.type != expected or number > _BATCHES:
                raise ValueError(f"part {number} is a {message.type}, or one too many")
            if number and _field(memoryview(message.metadata), _HEADER, _COMPRESSION):
                raise ValueError(f"part {number} is compressed, as no export writes it")
        with pa.ipc.open_stream(messages) as stream:
            if stream.schema != CLUSTER_SCHEMA:
                raise ValueError(f"it has other columns than {', '.join(CLUSTER_SCHEMA.names)}")
            table = stream.read_all()
        table.validate(full=True)  # offsets that rise, within their buffers, and text that is UTF-8
    except (pa.ArrowException, ValueError, OSError, KeyError, TypeError, MemoryError) as error:
        raise ValueError(f"{CLUSTERS}: {error}") from None
    return table


def _field(message: memoryview, *path: int) -> int:
    """Return the place of a field of a flatbuffer that Arrow has verified, by the way of numbers to it; 0 if absent."""
    at = int.from_bytes(message[:4], "little")
    for step, number in enumerate(path):
        if step:
            at += int.from_bytes(message[at : at + 4], "little")
        table = at - int.from_bytes(message[at : at + 4], "little", signed=True)
        slot = 4 + 2 * number
        if slot >= int.from_bytes(message[table : table + 2], "little"):
            return 0
        offset = int.from_bytes(message[table + slot : table + slot + 2], "little")
        if not offset:
            return 0
        at += offset
    return at


def require(table: pa.Table, clusters: int, rows: int, at_least: int) -> None:
    """Raise ValueError naming a column whose values cannot be.

    Args:
        table: As `read` returns it.
        clusters: How many rows the manifest promises.
        rows: How many training rows.
        at_least: Least training rows of a cluster.
    """
    if len(table) != clusters:
        raise ValueError(f"{CLUSTERS} has {len(table):,} rows, and counts.clusters is {clusters:,}")
    _require_texts(table)
    _require_counts(table, rows, at_least)
    ids = table["cluster_id"].to_numpy()
    if not (ids[1:] > ids[:-1]).all():
        raise ValueError(f"{CLUSTERS}: cluster_id does not rise from row to row")
    pa.default_memory_pool().release_unused()  # the memory of the checks


def _require_texts(table: pa.Table) -> None:
    for name in CLUSTER_SCHEMA.names:
        if table[name].null_count and name not in _MAY_BE_NULL:
            raise ValueError(f"{CLUSTERS}: {name} has rows without a value")
    for name in ("dataset", "url"):
        if (pc.max(pc.binary_length(table[name])).as_py() or 0) > _TEXT:
            raise ValueError(f"{CLUSTERS}: {name} holds a text of more than {_TEXT:,} bytes")
    for chunk in table["licenses"].chunks:
        if chunk.flatten().null_count:
            raise ValueError(f"{CLUSTERS}: licenses holds one without a value")
        if len(chunk) and _longest(chunk) > _TEXT:
            raise ValueError(f"{CLUSTERS}: licenses holds a list of more than {_TEXT:,} bytes")


def _require_counts(table: pa.Table, rows: int, at_least: int) -> None:
    counts = np.zeros(len(table), np.int64)
    for name in ("duplicate_count", "recalled_count"):
        values = table[name].to_numpy()
        if len(values) and (values.min() < 0 or values.max() > rows):
            raise ValueError(f"{CLUSTERS}: {name} is not within 0 and counts.rows, {rows:,}")
        counts += values
    if len(counts) and counts.min() < at_least:
        raise ValueError(f"{CLUSTERS}: a cluster has fewer rows than policy.at_least, {at_least:,}")
    if counts.sum(dtype=np.float64) != rows:  # exact: each is a whole number, and so many bits have doubles
        raise ValueError(f"{CLUSTERS}: the clusters do not have counts.rows, {rows:,}, rows together")


def _longest(lists: pa.ListArray) -> int:
    """Return the most bytes of a list of texts, and a byte for each text. No list is null."""
    bytes_before = np.concatenate([[0], np.cumsum(pc.binary_length(lists.flatten()).to_numpy(), dtype=np.int64)])
    places = lists.offsets.to_numpy().astype(np.int64)
    places -= places[0]
    return int((np.diff(bytes_before[places]) + np.diff(places)).max())
