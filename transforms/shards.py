"""Fingerprinting one image shard: walk the tar, meet its pictures with training rows, hash and embed them.

What belongs here: the way of a shard from archive to fact rows, and its account. What does not: which shards are due
(`orchestration/defs/fingerprints.py`) or how a picture is hashed (`fingerprints.py`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import batched
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from transforms import archives, rows
from transforms.archives import Member
from transforms.encoders import Encoder
from transforms.fingerprints import (
    FAILED,
    LOW_QUALITY,
    OK,
    Fingerprint,
    Pace,
    Rules,
    ahead,
    embed_distinct,
    fingerprint,
    vector_column,
)
from transforms.pictures import Pixels

_EXAMPLES = 5


@dataclass
class Account:
    """Where every picture of a shard went: pictures = ok + low_quality + failed + unlisted."""

    pictures: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    unlisted_examples: list[str] = field(default_factory=list)
    broken: str | None = None

    @property
    def unlisted(self) -> int:
        """Pictures that no metadata row lists."""
        return self.pictures - self.counts.total()

    def row(self) -> dict[str, int | str | list[str] | None]:
        """Return the account as a fact row."""
        return {
            "pictures": self.pictures,
            **{status: self.counts[status] for status in (OK, LOW_QUALITY, FAILED)},
            "unlisted": self.unlisted,
            "unlisted_examples": self.unlisted_examples,
            "broken": self.broken,
        }


@dataclass(frozen=True)
class Batch:
    """Fact rows of some pictures. vectors holds those that could be embedded."""

    images: pa.Table
    vectors: pa.Table


def fingerprint_shard(
    tar: str,
    files: Iterable[rows.MetadataFile],
    encoder: Encoder,
    rules: Rules,
    pace: Pace,
    account: Account,
) -> Iterator[Batch]:
    """Yield the fingerprints of a tar's listed pictures, a batch at a time; `account` is filled on the way.

    Memory: the tar's listing, and three batches of decoded pictures. Raises ArchiveError if the tar cannot be opened.
    """
    listing = archives.members(tar, rules.member_bytes)
    ids = rows.meet(listing.members, files)
    account.pictures, account.broken = len(listing.members), listing.broken
    account.unlisted_examples = [m.name for m, i in zip(listing.members, ids, strict=True) if i is None][:_EXAMPLES]
    listed = ((i, member) for i, member in zip(ids, listing.members, strict=True) if i is not None)
    with Path(tar).open("rb") as file:
        work = partial(_one, rules)
        # bytes are read here, in order, by one thread; decoding and hashing run in the pool
        raw = ((i, member, _bytes(file, member)) for i, member in listed)
        for done in batched(ahead(work, raw, pace), pace.batch):
            account.counts.update(print_.status for _, _, print_, _ in done)
            yield _rows(done, encoder)


_Done = tuple[int, Member, Fingerprint, Pixels | None]


def _bytes(file: BinaryIO, member: Member) -> bytes:
    return b"" if member.refusal else archives.read(file, member.offset, member.size)


def _one(rules: Rules, item: tuple[int, Member, bytes]) -> _Done:
    sample_id, member, data = item
    if member.refusal:
        return sample_id, member, Fingerprint(FAILED, member.refusal), None
    return sample_id, member, *fingerprint(data, rules)


def _rows(done: Sequence[_Done], encoder: Encoder) -> Batch:
    readable = [(i, print_, picture) for i, _, print_, picture in done if picture is not None]
    images = pa.Table.from_pylist([_image_row(i, member, print_) for i, member, print_, _ in done])
    ids = pa.array([i for i, _, _ in readable], pa.uint64())
    vectors = embed_distinct(encoder, [print_ for _, print_, _ in readable], [picture for *_, picture in readable])
    return Batch(images, pa.table({"sample_id": ids, "vector": vector_column(vectors)}))


def _image_row(sample_id: int, member: Member, print_: Fingerprint) -> dict[str, object]:
    where = {"key": member.key, "member": member.name, "member_offset": member.offset, "member_size": member.size}
    return {"sample_id": sample_id, **where, **print_.row()}
