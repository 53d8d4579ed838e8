"""Matching pictures with training rows: by key if the metadata has one, else by (uid, url) or (url, caption).

Pictures that `raisonne download` fetched state their row.

What belongs here: matching the pictures of one dump with metadata rows, and finding the metadata that may list them.
What does not: reading dumps (`dumps/dump.py`).
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.catalog.columns import column_of
from transforms.catalog.landing import OK, ROW_BITS, LandedShard
from transforms.dumps.members import Member, uid_text

type Identity = str | tuple[str | int | None, str | None]


@dataclass(frozen=True)
class MetadataFile:
    """A metadata parquet.

    Attributes:
        shard_id: The number with which the ids of its rows begin.
        path: Its path.
        own: Whether it holds the pictures themselves, so that a picture's offset is its row.
    """

    shard_id: int
    path: str
    own: bool = False


def metadata_of(shard: LandedShard, landed: Iterable[LandedShard]) -> list[LandedShard]:
    """Return the shards whose metadata may list a shard's pictures.

    That is its own metadata, else the file whose name is a parent of its name (`part-0` of `part-0/00012`), else every
    file of the dataset. If that one file cannot be used, no other is used, because others may have the same keys for
    other rows.

    Args:
        shard: The shard with the pictures.
        landed: Shards with metadata, usable or not.
    """
    if shard.status == OK:
        return [shard]
    if shard.files.metadata:
        return []
    of_dataset = [each for each in landed if each.files.dataset == shard.files.dataset and each.files.metadata]
    above = [each for each in of_dataset if shard.files.name.startswith(f"{each.files.name}/")]
    nearest = [max(above, key=lambda each: len(each.files.name))] if above else of_dataset
    return [each for each in nearest if each.status == OK]


def match_rows(members: Sequence[Member], files: Iterable[MetadataFile]) -> list[int | None]:
    """Return the sample id of each picture, or None if no row lists it.

    Equal rows are interchangeable: the n-th picture of a (url, caption) gets its n-th row. Memory grows with the
    pictures, not with the metadata, which is streamed.

    Args:
        members: The pictures of a dump.
        files: The metadata that may list them.
    """
    found: list[int | None] = [None] * len(members)
    waiting = {by: _waiting(members, identity) for by, identity in _IDENTITIES.items()}
    for file in files:
        if file.own:
            rows = (member.offset if member.own_row is None else member.own_row for member in members)
            found = [(file.shard_id << ROW_BITS) | row for row in rows]
            break
        with pq.ParquetFile(file.path) as parquet:
            names = parquet.schema_arrow.names
            there = {wanted: name for wanted in ("key", "uid", "url", "caption") if (name := column_of(names, wanted))}
            by = next((by for by, needs in _COLUMNS.items() if waiting[by] and there.keys() >= needs), "content")
            columns = {wanted: name for wanted, name in there.items() if wanted in _SAID[by]}
            first = 0
            for batch in parquet.iter_batches(batch_size=64_000, columns=list(columns.values())):
                _take(_said(batch, by, columns, first), waiting[by], found, (file.shard_id << ROW_BITS) | first)
                first += batch.num_rows
    return found


# What may tell which row a picture is of, the surest first. A row number or a uid counts only with the same URL: a uid
# need not be unique among files, nor a row number of this file. Where a picture says no URL, its uid has to do.
_IDENTITIES: dict[str, Callable[[Member], Identity | None]] = {
    "row": lambda member: None if member.row is None or member.url is None else (member.row, member.url),
    "key": lambda member: member.key or None,
    "uid": lambda member: None if member.uid is None or member.url is None else (member.uid, member.url),
    "uid alone": lambda member: member.uid if member.url is None else None,
    "content": lambda member: None if member.url is None else (member.url, member.caption),
}
_SAID = {"row": ("url",), "key": ("key",), "uid": ("uid", "url"), "uid alone": ("uid",), "content": ("url", "caption")}
_COLUMNS = {by: set(said) for by, said in _SAID.items() if by != "content"}


def _waiting(members: Sequence[Member], identity_of: Callable[[Member], Identity | None]) -> dict[Identity, deque[int]]:
    waiting: dict[Identity, deque[int]] = defaultdict(deque)
    for position, member in enumerate(members):
        if (identity := identity_of(member)) is not None:
            waiting[identity].append(position)
    return waiting


def _said(batch: pa.RecordBatch, by: str, columns: Mapping[str, str], first: int) -> Iterable[Any]:
    """Return the identity of each row of a batch."""
    nothing = [None] * batch.num_rows
    texts = {w: _texts(batch.column(columns[w]), w) if w in columns else nothing for w in _SAID[by]}
    if by == "row":
        return enumerate(texts["url"], first)
    if len(texts) == 1:
        return next(iter(texts.values()))
    return zip(*texts.values(), strict=True)


def _texts(column: pa.Array, wanted: str) -> list[str | None]:
    if wanted == "uid":
        return [uid_text(value) for value in column.to_pylist()]
    return column.cast(pa.string()).to_pylist()


def _take(
    identities: Iterable[Any], waiting: dict[Identity, deque[int]], found: list[int | None], first_id: int
) -> None:
    for offset, identity in enumerate(identities):
        queue = waiting.get(identity)
        while queue and found[queue[0]] is not None:  # another file listed it, by something else
            queue.popleft()
        if queue:
            found[queue.popleft()] = first_id + offset
