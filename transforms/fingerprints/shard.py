"""Fingerprinting one image shard: match its pictures with training rows, hash and embed them, read their rights.

What belongs here: computing fact rows from a dump, and the account of it. What does not: finding due shards
(`orchestration/fingerprints/due_shards.py`), layouts of dumps (`dumps/dump.py`), hashing and preparing pictures
(`fingerprints/fingerprint.py`, `fingerprints/feed.py`), what a file says (`pictures/rights/`).
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import batched, chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from transforms.catalog.not_taken import EXAMPLES, NotTaken
from transforms.dumps import dump as dumps
from transforms.dumps.members import ArchiveError, Member
from transforms.encoders import AUTO, Encoder, Prepared, Vectors, full_call_of
from transforms.fingerprints import row_matching
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.embeddings import embed_distinct, vector_column
from transforms.fingerprints.feed import FedPicture, Feed
from transforms.fingerprints.fingerprint import DIGESTS, FAILED, LOW_QUALITY, OK, STORED, Fingerprint, Rules
from transforms.hashing.hashes import sha256
from transforms.pictures import RightsStatement, may_show_more, read_rights
from transforms.pictures.rights.statements import PRESENT, TEXTS, with_noted
from transforms.readable import count
from transforms.storage.copies import local_copy
from transforms.storage.full_disks import is_full

_EXAMPLES = 5
_RIGHTS = pa.schema({"sample_id": pa.uint64(), **dict.fromkeys(TEXTS, pa.string()), "stated_in": pa.list_(pa.string())})
_NOTHING = "an entry without a picture that no metadata row lists"


@dataclass
class Account:
    """The outcome of every picture of a shard: pictures = ok + low_quality + failed + unlisted.

    Attributes:
        pictures: Count of pictures in the dump.
        counts: Pictures by status.
        unlisted_examples: Names of pictures that no metadata row lists.
        contradictions: Pictures that agree with a row in one thing, such as the key, and differ from it in another.
        contradiction_examples: Some of them in words.
        broken: Why the dump could not be read, or where it is cut off, or that none of its pictures has a row.
        unreachable: Whether another try may succeed.
        reused: Pictures whose bytes were fingerprinted before.
        seconds: From opening the dump to its last fingerprint.
        not_taken: What else was found in the dump and is no picture of a row.
    """

    pictures: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    unlisted_examples: list[str] = field(default_factory=list)
    contradictions: int = 0
    contradiction_examples: list[str] = field(default_factory=list)
    broken: str | None = None
    unreachable: bool = False
    reused: int = 0
    seconds: float = 0.0
    not_taken: list[NotTaken] = field(default_factory=list)

    @property
    def unlisted(self) -> int:
        """Pictures that no metadata row lists."""
        return self.pictures - self.counts.total()

    @property
    def complaint(self) -> str | None:
        """A problem for the user: why the dump is broken, or that pictures are unlisted."""
        return self.broken or (f"{count(self.unlisted, 'picture')} unlisted" if self.unlisted else None)

    @property
    def usable(self) -> bool:
        """Whether the dump was read to its end and some of its pictures have a row."""
        return self.broken is None

    def summary(self) -> str:
        """Return the account in a line: `6 ok, 1 failed in 0.4 s`."""
        parts = [f"{self.counts[status]} {status}" for status in (OK, LOW_QUALITY, FAILED) if self.counts[status]]
        others = sum(each.files for each in self.not_taken)
        told = ((self.unlisted, "unlisted"), (self.reused, "known"), (others, "not taken"))
        parts += [f"{count} {what}" for count, what in told if count]
        return f"{', '.join(parts) or 'no pictures'} in {self.seconds:.1f} s{'; broken' if self.broken else ''}"

    def row(self) -> dict[str, int | float | str | list[str] | None]:
        """Return the account as a fact row."""
        return {
            "pictures": self.pictures,
            **{status: self.counts[status] for status in (OK, LOW_QUALITY, FAILED)},
            "unlisted": self.unlisted,
            "unlisted_examples": self.unlisted_examples,
            "contradictions": self.contradictions,
            "contradiction_examples": self.contradiction_examples,
            "broken": self.broken,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class RightsReading:
    """How what files say of their use is read.

    Attributes:
        verify: Whether C2PA manifests are verified, which takes the extra `c2pa`.
        anchors: Certificates, PEM, of those who vouch for their signers.
    """

    verify: bool = False
    anchors: str = ""

    def of(self, data: bytes, print_: Fingerprint | None, rules: Rules) -> RightsStatement | None:
        """Return what a file says, or None.

        Args:
            data: Its bytes.
            print_: Its fingerprint, if it was decoded just now.
            rules: What bounds the reading.
        """
        said = print_.rights if print_ is not None else read_rights(data, rules.bounds)
        if self.verify and said is not None and said.c2pa == PRESENT:
            return read_rights(data, rules.bounds, self.anchors)
        return said


@dataclass(frozen=True)
class Job:
    """One shard to fingerprint, in plain values, so that it can be sent to another machine.

    Attributes:
        dump: Path of the image dump, local or remote.
        fetched: Folder for a remote dump while it is read.
        files: Metadata that may list its pictures.
        encoders: Names of encoders by kind of fingerprint, such as {"copy": "sscd"}; may be empty.
        rules: What a picture must satisfy.
        pace: The amount of concurrent work.
        known: Pictures that were fingerprinted before: the columns of a fingerprint, and one vector per kind.
        known_by_older_code: Whether these are good only of files that show one opaque picture of 8 bits for certain.
        rights: How to read what files say of their use. None: it is not read.
        hashes: Whether pictures are decoded and hashed. If not, what files say is all that is read.
        device: What embeds, as of `encoders.load`.
    """

    dump: str
    fetched: str
    files: tuple[row_matching.MetadataFile, ...]
    encoders: Mapping[str, str]
    rules: Rules
    pace: WorkPace
    known: pa.Table | None = None
    known_by_older_code: bool = False
    rights: RightsReading | None = None
    hashes: bool = True
    device: str = AUTO


@dataclass(frozen=True)
class Batch:
    """Fact rows of some pictures.

    Attributes:
        images: One row per picture.
        vectors: By kind of fingerprint, a row for each picture that could be decoded.
        rights: A row for each picture whose file says something of its use, or None if none does.
    """

    images: pa.Table
    vectors: Mapping[str, pa.Table]
    rights: pa.Table | None = None


type ShardResult = tuple[int, Batch | Account]
"""An item of a job, by the index of the job."""


@dataclass(frozen=True)
class _Picture:
    """A picture before it is embedded: the input of each encoder, or its vectors if they are known."""

    sample_id: int
    member: Member
    print_: Fingerprint
    prepared: Mapping[str, Prepared] = field(default_factory=dict)
    vectors: Mapping[str, Any] = field(default_factory=dict)
    reused: bool = False
    rights: RightsStatement | None = None


def fingerprint_shard(
    job: Job, encoders: Mapping[str, Encoder], copy: AbstractContextManager[str] | None = None
) -> Iterator[Batch | Account]:
    """Yield the fingerprints of a dump's listed pictures in batches, and its account last.

    Memory: the dump's listing, what `job.known` holds, two batches of pictures, or 32 a worker, and their vectors.

    Args:
        job: The shard.
        encoders: The loaded encoders, by kind as in `job.encoders`.
        copy: Gives a local path of the dump, as `local_copy` does. None: it is fetched now.

    Yields:
        Batches, then the account. A dump that cannot be opened has an account that says why.
    """
    account, began = Account(), time.monotonic()
    try:
        copy = copy or local_copy(job.dump, Path(job.fetched))
        with copy as path, dumps.open_dump(path, job.pace.limits) as dump:
            listing = dump.listing(job.rules.member_bytes)
            matches = row_matching.match_rows(listing.members, job.files, lambda member: _read(dump, 0, member)[2])
            ids = matches.ids
            account.contradictions, account.contradiction_examples = matches.contradictions, list(matches.examples)
            account.not_taken = [replace(each, place=job.dump) for each in listing.not_taken]  # not the fetched copy
            listed = [(i, m) for i, m in zip(ids, listing.members, strict=True) if i is not None]
            unlisted = [m for i, m in zip(ids, listing.members, strict=True) if i is None]
            _count_unlisted(job.dump, len(listed), unlisted, account)
            account.broken = listing.broken or _lost(job.dump, account.pictures, len(listed))
            yield from _batches(dump, listed, job, encoders, account)
    except ArchiveError as error:
        account.broken = str(error)
    except OSError as error:
        if is_full(error):
            raise
        account.broken, account.unreachable = f"{job.dump} cannot be reached: {error}", True
    account.seconds = time.monotonic() - began
    yield account


def _count_unlisted(dump: str, listed: int, unlisted: Sequence[Member], account: Account) -> None:
    """Count the pictures, and the entries of the dump that belong to no row: without bytes, they are no pictures."""
    pictures = [member.name for member in unlisted if member.name]
    account.pictures, account.unlisted_examples = listed + len(pictures), pictures[:_EXAMPLES]
    if without := [member.key for member in unlisted if not member.name]:
        account.not_taken.append(NotTaken(dump, _NOTHING, len(without), tuple(without[:EXAMPLES])))


def _lost(dump: str, pictures: int, listed: int) -> str | None:
    """Return why a dump that was read to its end is broken, or None."""
    if not pictures:
        return f"{dump} holds no pictures; deliver it again"
    if listed:
        return None
    return (
        f"{dump}: none of its {count(pictures, 'picture')} belongs to a row of the metadata; deliver the metadata "
        "that it was downloaded by"
    )


def _batches(
    dump: dumps.Dump,
    listed: Sequence[tuple[int, Member]],
    job: Job,
    encoders: Mapping[str, Encoder],
    account: Account,
) -> Iterator[Batch]:
    feed = Feed(job.rules, encoders, expected=len(listed) if job.hashes else 0)
    look = partial(_look, feed, job, _Known(job, list(encoders)))
    # bytes are read here, in order; threads wait for the processes that decode; encoders run in a thread of their own
    raw = feed.handfuls((_read(dump, i, member) for i, member in listed), job.pace.workers)
    pictures = chain.from_iterable(work_ahead(look, raw, job.pace.by(feed.files)))
    size = max(1, job.pace.batch, *map(full_call_of, encoders.values()))
    embedded = work_ahead(partial(_embedded, encoders), batched(pictures, size), WorkPace(batch=1, workers=1))
    for done in embedded:
        account.counts.update(picture.print_.status for picture, _ in done)
        account.reused += sum(picture.reused for picture, _ in done)
        yield _rows(done, list(encoders))


type _Raw = tuple[int, Member, bytes]


def _read(dump: dumps.Dump, sample_id: int, member: Member) -> _Raw:
    if member.refusal:
        return sample_id, member, b""
    try:
        return sample_id, member, dump.read(member.name, member.offset, member.size)
    except (ArchiveError, FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError) as error:
        return sample_id, replace(member, refusal=f"cannot be read: {error}"), b""


class _Known:
    """Fingerprints from earlier runs, by the bytes of pictures."""

    def __init__(self, job: Job, kinds: Sequence[str]) -> None:
        table = job.known
        self._kinds, self._table, self._place = kinds, table, {}
        self._older = job.known_by_older_code
        if table is not None:
            complete = zip(*(table[name].is_valid().to_pylist() for name in ("sha256", *kinds)), strict=True)
            digests = table["sha256"].to_pylist()
            self._place = {digests[n].hex(): n for n, there in enumerate(complete) if all(there)}

    def of(self, data: bytes) -> tuple[Fingerprint, dict[str, Any]] | None:
        """Return the fingerprint of these bytes and their vectors, or None if they are unknown."""
        if self._table is None or (place := self._place.get(sha256(data))) is None:
            return None
        if self._older and may_show_more(data):
            return None
        row = self._table.slice(place, 1)
        [stored] = row.select(STORED).to_pylist()
        print_ = Fingerprint(**stored | {name: stored[name].hex() for name in DIGESTS})
        return print_, {kind: row[kind].combine_chunks().flatten().to_numpy() for kind in self._kinds}


def _look(feed: Feed, job: Job, known: _Known, some: Sequence[_Raw]) -> list[_Picture]:
    found: list[_Picture | None] = []
    for sample_id, member, data in some:
        if member.refusal:
            found.append(_Picture(sample_id, member, Fingerprint(FAILED, member.refusal)))
        elif not job.hashes:  # nothing but its bytes is wanted
            found.append(_Picture(sample_id, member, Fingerprint(OK), reused=True))
        elif (before := known.of(data)) is not None:
            found.append(_Picture(sample_id, member, before[0], vectors=before[1], reused=True))
        else:
            found.append(None)
    fed = iter(feed([data for (_, _, data), there in zip(some, found, strict=True) if there is None]))
    pictures = [there or _fed(*raw[:2], next(fed)) for raw, there in zip(some, found, strict=True)]
    return [_with_rights(picture, data, job) for picture, (_, _, data) in zip(pictures, some, strict=True)]


def _fed(sample_id: int, member: Member, fed: FedPicture) -> _Picture:
    return _Picture(sample_id, member, fed.print_, {kind: inputs[0] for kind, inputs in fed.inputs.items()})


def _with_rights(picture: _Picture, data: bytes, job: Job) -> _Picture:
    if job.rights is None or picture.member.refusal:
        return picture
    read = picture.print_.failure is None and not picture.reused  # with its pixels
    said = job.rights.of(data, picture.print_ if read else None, job.rules)
    return replace(picture, rights=with_noted(said, picture.member.artist, picture.member.copyright))


type _Done = tuple[_Picture, Mapping[str, Any]]


def _embedded(encoders: Mapping[str, Encoder], pictures: Sequence[_Picture]) -> list[_Done]:
    """Return each picture with its vectors by encoder. Pictures that cannot be decoded have none."""
    fresh = [p for p in pictures if p.print_.failure is None and not p.reused]
    keys = [str(p.print_.pixel_sha256) for p in fresh]
    vectors: dict[str, Vectors] = {
        kind: embed_distinct(encoder, keys, [p.prepared[kind] for p in fresh]) for kind, encoder in encoders.items()
    }
    place = {id(p): n for n, p in enumerate(fresh)}
    return [(p, {k: v[place[id(p)]] for k, v in vectors.items()} if id(p) in place else p.vectors) for p in pictures]


def _rows(done: Sequence[_Done], kinds: Sequence[str]) -> Batch:
    images = pa.Table.from_pylist([_image_row(picture) for picture, _ in done])
    tables = {}
    for kind in kinds:
        with_vector = [(picture.sample_id, vectors[kind]) for picture, vectors in done if kind in vectors]
        if with_vector:
            ids = pa.array([i for i, _ in with_vector], pa.uint64())
            tables[kind] = pa.table({"sample_id": ids, "vector": vector_column([v for _, v in with_vector])})
    said = [{"sample_id": p.sample_id, **p.rights.row()} for p, _ in done if p.rights is not None]
    return Batch(images, tables, pa.Table.from_pylist(said, _RIGHTS) if said else None)


def _image_row(picture: _Picture) -> dict[str, object]:
    member = picture.member
    where = {"key": member.key, "member": member.name, "member_offset": member.offset, "member_size": member.size}
    hashed = picture.print_.row()
    as_bytes = {name: bytes.fromhex(str(hashed[name])) if hashed[name] else None for name in DIGESTS}
    return {"sample_id": picture.sample_id, **where, **hashed, **as_bytes}
