"""Matching pictures with training rows by all that both state: URL, hash, the dataset's own name, key and caption.

What belongs here: matching the pictures of one dump with metadata rows, and finding the metadata that may list them.
What does not: what pictures and rows state (`fingerprints/identifiers.py`), reading rows
(`fingerprints/metadata_rows.py`), reading dumps (`dumps/dump.py`).

Picture by picture, the strongest identifier that both sides state decides. Where both state a URL, a row of another URL
is another row, whatever its key; and a URL alone does not decide between rows that state other captions. Where one of
them states no URL, the hash, the name, the key and the caption have to do, and a stronger one that differs excludes the
row. Equal rows are interchangeable: the n-th picture gets the n-th row.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from transforms.catalog.columns import BLANKS
from transforms.catalog.landing import OK, ROW_BITS, LandedShard
from transforms.dumps.members import Member
from transforms.fingerprints.identifiers import IDENTIFIERS, Identifiers
from transforms.fingerprints.match_tiers import Tiers
from transforms.fingerprints.metadata_rows import MetadataRow, StatedValues, read_rows, states_hashes

_EXAMPLES = 5
_HINTED = 8  # pictures of one value that a row is held against


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


@dataclass(frozen=True)
class Matches:
    """The rows of the pictures of a dump.

    Attributes:
        ids: The sample id of each picture, or None if no row lists it.
        contradictions: Count of pictures that agree with a row in one thing and differ from it in another.
        examples: The first of them in words.
    """

    ids: Sequence[int | None]
    contradictions: int = 0
    examples: Sequence[str] = ()


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


def match_rows(
    members: Sequence[Member], files: Sequence[MetadataFile], read: Callable[[Member], bytes] | None = None
) -> Matches:
    """Find the row of each picture. Of several pictures of one row of a parquet, the first is the row's.

    Memory grows with the pictures, not with the metadata, which is streamed: once, and once more for the pictures that
    meet no row, which are then compared without what gets lost or added on the way.

    Args:
        members: The pictures of a dump.
        files: The metadata that may list them.
        read: Returns the bytes of a picture. Given, a picture that met no row is held against the hashes of rows.
    """
    if own := next((file for file in files if file.own), None):
        rows = [member.offset if member.own_row is None else member.own_row for member in members]
        first = {row: at for at, row in reversed(list(enumerate(rows)))}
        ids = ((own.shard_id << ROW_BITS) | row if first[row] == at else None for at, row in enumerate(rows))
        return Matches(list(ids))
    matching = _Matching(members, files)
    matching.read(loose=False)
    if read and any(states_hashes(file.path) for file in files):
        matching.hash_pictures(read)
    matching.read(loose=True)
    return matching.result()


class _Matching:
    """The pictures of a dump and the rows they met so far."""

    def __init__(self, members: Sequence[Member], files: Sequence[MetadataFile]) -> None:
        self._members, self._files = members, files
        self._said = [Identifiers.of(member) for member in members]
        self._matched: dict[int, MetadataRow] = {}
        self._taken: set[int] = set()
        self._refused: dict[int, MetadataRow] = {}

    def hash_pictures(self, read: Callable[[Member], bytes]) -> None:
        """Hash the pictures that have no row yet, to find them by the hashes that rows state."""
        for at in self._left():
            if self._members[at].name and not self._members[at].refusal:
                self._said[at] = self._said[at].with_digests(read(self._members[at]))

    def _left(self) -> list[int]:
        return [at for at in range(len(self._members)) if at not in self._matched]

    def read(self, *, loose: bool) -> None:
        """Read the metadata once, and match pictures that have no row yet."""
        left = self._left()
        wanted = _wanted([self._said[at] for at in left], loose=loose)
        if not wanted.values and not wanted.without_url:
            return
        tiers = Tiers(self._said, left, loose=loose)
        hints = _Hints(self._said, left) if loose else None
        for file in self._files:
            for row in read_rows(file.path, file.shard_id << ROW_BITS, wanted):
                tiers.offer(row)
                if hints:
                    hints.note(row, self._refused)
        for at, row in tiers.matches(self._matched, self._taken):
            self._matched[at] = row
            self._taken.add(row.sample_id)

    def result(self) -> Matches:
        """Return the rows, and in what pictures differ from the row that they met or that they could not meet."""
        found, examples = 0, list[str]()
        for at in sorted(range(len(self._said)), key=lambda at: at in self._matched):  # first those that met no row
            said, row = self._said[at], self._matched.get(at) or self._refused.get(at)
            if row and (differs := [each for each in IDENTIFIERS if said.agrees(row.said, each) is False]):
                found += 1
                if len(examples) < _EXAMPLES:
                    agrees = [each for each in IDENTIFIERS if said.agrees(row.said, each)]
                    examples.append(self._sentence(self._members[at], row, agrees, differs))
        ids = [row.sample_id if (row := self._matched.get(at)) else None for at in range(len(self._said))]
        return Matches(ids, found, examples)

    def _sentence(self, member: Member, row: MetadataRow, agrees: Sequence[str], differs: Sequence[str]) -> str:
        shard_id, number = divmod(row.sample_id, 1 << ROW_BITS)
        file = next(PurePosixPath(file.path).name for file in self._files if file.shard_id == shard_id)
        name = member.name or member.key
        return f"{name}: {' and '.join(agrees)} of row {number} of {file}, but another {' and '.join(differs)}"


class _Hints:
    """The pictures by what they state, to find the first row that a picture agrees with in some way."""

    def __init__(self, said: Sequence[Identifiers], pictures: Sequence[int]) -> None:
        self._said = said
        self._pictures = defaultdict[tuple[str, str], list[int]](list)
        for at in pictures:
            for identifier in IDENTIFIERS[:-1]:  # captions repeat
                for value in said[at].loosely(identifier):
                    self._pictures[identifier, value].append(at)

    def note(self, row: MetadataRow, refused: dict[int, MetadataRow]) -> None:
        """Note a row as that of pictures that agree with it in some way, unless they have one."""
        for identifier in IDENTIFIERS[:-1]:
            for value in row.said.loosely(identifier):
                for at in self._pictures.get((identifier, value), ())[:_HINTED]:
                    refused.setdefault(at, row)


def _wanted(pictures: Iterable[Identifiers], *, loose: bool) -> StatedValues:
    """Return the values by which rows concern some pictures."""
    values: defaultdict[str, set[str]] = defaultdict(set)
    without_url: defaultdict[str, set[str]] = defaultdict(set)
    for said in pictures:
        has_url = bool(said.of_kind("url"))
        for identifier in (*IDENTIFIERS, "path", "digest") if loose else IDENTIFIERS:
            # a row of another URL is another row, but when all else failed, one says why a picture met no row
            only_bare = has_url and identifier != "url" and (not loose or identifier in {"caption", "path", "digest"})
            found = said.loosely(identifier) if loose and identifier != "url" else said.of_kind(identifier)
            if loose and identifier == "url":  # other spellings are found by what else the row states
                found = [value.strip(BLANKS) for value in found]
            (without_url if only_bare else values)[identifier].update(found)
    some, bare = ({name: found for name, found in each.items() if found} for each in (values, without_url))
    return StatedValues(some, bare, loose)
