"""Which training row is a picture of? By key where the metadata has one, else by (url, caption).

What belongs here: meeting the pictures of one tar with metadata rows. What does not: reading tars (`archives.py`).
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.archives import Member
from transforms.landing import ROW_BITS, column_of

Identity = str | tuple[str | None, str | None]


@dataclass(frozen=True)
class MetadataFile:
    """A metadata parquet and the shard id that its rows' ids begin with."""

    shard_id: int
    path: str


def meet(members: Sequence[Member], files: Iterable[MetadataFile]) -> list[int | None]:
    """Return the sample id of each picture, None where no row lists it.

    Equal rows are interchangeable: the n-th picture of a (url, caption) meets its n-th row. Memory grows with the
    members, not with the metadata, which is streamed.
    """
    found: list[int | None] = [None] * len(members)
    by_key, by_content = _waiting(members, by_key=True), _waiting(members, by_key=False)
    for file in files:
        with pq.ParquetFile(file.path) as parquet:
            names = tuple(parquet.schema_arrow.names)
            key, url, caption = (column_of(names, wanted) for wanted in ("key", "url", "caption"))
            waiting, columns = (by_key, [key]) if key else (by_content, [url, caption])
            first = 0
            for batch in parquet.iter_batches(batch_size=64_000, columns=columns):
                _take(batch, columns, waiting, found, file.shard_id, first)
                first += batch.num_rows
    return found


def _waiting(members: Sequence[Member], *, by_key: bool) -> dict[Identity, deque[int]]:
    waiting: dict[Identity, deque[int]] = defaultdict(deque)
    for position, member in enumerate(members):
        if by_key or member.url is not None:
            waiting[member.key if by_key else (member.url, member.caption)].append(position)
    return waiting


def _take(
    batch: pa.RecordBatch,
    columns: Sequence[str | None],
    waiting: dict[Identity, deque[int]],
    found: list[int | None],
    shard_id: int,
    first: int,
) -> None:
    values = [batch.column(name).cast(pa.string()).to_pylist() for name in columns if name]
    identities = values[0] if len(values) == 1 else zip(*values, strict=True)
    for offset, identity in enumerate(identities):
        queue = waiting.get(identity)
        if queue:
            found[queue.popleft()] = (shard_id << ROW_BITS) | (first + offset)
