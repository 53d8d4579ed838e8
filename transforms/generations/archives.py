"""Generations in a tar or in a parquet with pictures: names, tables, sidecars, and the bytes of each.

What belongs here: what the readers of dumps list, under names that no two pictures share. What does not: the layouts
themselves (`dumps/`), folders (`generations/folders.py`).
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from transforms.catalog.byte_limits import open_parquet
from transforms.catalog.not_taken import NotTaken
from transforms.catalog.picture_columns import picture_columns
from transforms.catalog.record_files import PARQUET_ERRORS, RecordFileError, records
from transforms.dumps import dump as dumps
from transforms.dumps import tars
from transforms.dumps.members import ArchiveError, Member
from transforms.dumps.picture_cells import place_of
from transforms.generations.folders import SIDECARS
from transforms.generations.generation import Location
from transforms.generations.statements import COLUMNS, FILE_NAMES, PictureStatement, of_record
from transforms.generations.tables import HeldTexts, is_table
from transforms.storage import stores
from transforms.storage.file_limits import ByteLimits
from transforms.storage.system_files import is_system_file

_RECORDS = 500_000  # of lists that are kept, so that a sensor reads an archive once: some 300 MB
_FIXED = 100  # records that a list counts for beside its own

BROKEN = "the rest of an archive that breaks off; copy it again"
UNREADABLE = "an archive that cannot be read, or a parquet without pictures"


@dataclass
class Archive:
    """What lies in a tar or parquet, by name.

    Attributes:
        pictures: Where each is.
        refusals: Why some must not be read.
        tables: Tables of generations in a tar.
        sidecars: Texts and JSON in a tar.
        rows: What a parquet's own columns state of each picture.
        not_taken: What else was found in it, and where it breaks off.
    """

    pictures: dict[str, Location] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    tables: dict[str, Location] = field(default_factory=dict)
    sidecars: dict[str, Location] = field(default_factory=dict)
    rows: dict[str, PictureStatement] = field(default_factory=dict)
    not_taken: Sequence[NotTaken] = ()

    @property
    def records(self) -> int:
        """What it holds in memory."""
        return _FIXED + len(self.pictures) + len(self.tables) + len(self.sidecars) + len(self.rows)


type _Key = tuple[str, int, ByteLimits]


class _Lists:
    """Lists of archives, as many as fit. Others make room by chance, so that of a larger scan some are there again."""

    def __init__(self, most: int) -> None:
        self.records = 0
        self._most, self._lock = most, Lock()
        self._kept: dict[_Key, tuple[tuple[int, int], Archive]] = {}

    def get(self, key: _Key, state: tuple[int, int]) -> Archive | None:
        """Return the list of an archive, if it was kept in this state."""
        before, archive = self._kept.get(key, (None, None))
        return archive if before == state else None

    def keep(self, key: _Key, state: tuple[int, int], archive: Archive) -> None:
        """Keep the list of an archive in place of an earlier one."""
        with self._lock:
            self._drop(key)
            if archive.records > self._most:
                return
            while self.records + archive.records > self._most:
                self._drop(random.choice(list(self._kept)))  # noqa: S311 -- no secret
            self._kept[key] = state, archive
            self.records += archive.records

    def _drop(self, key: _Key) -> None:
        if key in self._kept:
            self.records -= self._kept.pop(key)[1].records


_LISTS = _Lists(_RECORDS)


def holds_pictures(path: str, limits: ByteLimits) -> bool:
    """Return whether a file is a parquet with a column of pictures. A cut one holds none, nor one beyond the limits.

    Args:
        path: The file.
        limits: Of what is read of it.
    """
    try:
        with stores.open_file(path) as source:
            return bool(picture_columns(open_parquet(path, source, limits)))
    except PARQUET_ERRORS:
        return False


def listed(path: str, size: int, stamp: int, member_bytes: int, limits: ByteLimits) -> Archive:
    """List an archive.

    Args:
        path: The tar or parquet.
        size: Its size, by which a changed one is listed anew.
        stamp: Likewise.
        member_bytes: Size above which a picture is refused.
        limits: Of its texts.

    Raises:
        ArchiveError: If it cannot be read, breaks a limit, or is a parquet without pictures.
        OSError: If it cannot be opened.
    """
    key, state = (path, member_bytes, limits), (size, stamp)
    found = _LISTS.get(key, state)
    if found is None:
        found = _listed(path, stamp, member_bytes, limits)
        _LISTS.keep(key, state, found)
    return found


def _listed(path: str, stamp: int, member_bytes: int, limits: ByteLimits) -> Archive:
    with dumps.open_dump(path, limits) as dump:
        listing = dump.listing(member_bytes)
    found = Archive()
    not_taken = list(listing.not_taken)
    numbers: dict[int, list[str]] = {}
    for name, member in _distinct(listing.members):
        if not member.name and (member.refusal or "").startswith("missing: "):
            continue  # a row of a table within the tar, which is read as a table of generations
        if not member.name or (not member.size and member.refusal):  # a row without a picture
            not_taken.append(NotTaken(path, member.refusal or "no picture in the row", 1, (name,)))
            continue
        found.pictures[name] = Location(path, member.size, stamp, name, member.offset)
        numbers.setdefault(place_of(member.offset)[0], []).append(name)  # the row of the parquet that it is in
        if member.refusal:
            found.refusals[name] = member.refusal
    if listing.broken:
        not_taken.append(NotTaken(path, BROKEN, 1, (listing.broken,)))
    found.not_taken = not_taken
    if _is_tar(path):
        _read_texts(path, stamp, found)
    else:
        found.rows = _rows(path, numbers, limits)
    return found


def _distinct(members: Sequence[Member]) -> list[tuple[str, Member]]:
    """Return pictures under different names: those that share one are numbered."""
    names = [member.name.removeprefix("./") or f"row {member.offset}" for member in members]
    shared, seen = Counter(names), Counter[str]()
    taken = set(names)
    found = []
    for name, member in zip(names, members, strict=True):
        seen[name] += 1
        own = name
        while shared[name] > 1 and seen[name] > 1 and own in taken:
            own = f"{name} ({seen[name]})"
            seen[name] += own in taken
        taken.add(own)
        found.append((own, member))
    return found


def _is_tar(path: str) -> bool:
    """Return whether a file is no parquet."""
    with stores.open_file(path) as file:
        return file.read(4) != b"PAR1"


def _read_texts(path: str, stamp: int, found: Archive) -> None:
    """Note where a tar holds tables and sidecars. Of a broken tar, those before the break."""
    for part in tars.parts(path):
        name = part.name.removeprefix("./")
        if is_system_file(name) or (part.refusal and not part.readable):
            continue  # the listing says so
        at = Location(path, part.size, stamp, name, part.offset)
        if is_table(name):
            found.tables[name] = at
        elif name.lower().endswith(SIDECARS):
            found.sidecars[name] = at


def _rows(path: str, names: dict[int, list[str]], limits: ByteLimits) -> dict[str, PictureStatement]:
    """Return what the columns of a parquet state of its pictures, by name."""
    held = HeldTexts(path, limits)
    try:
        stated = {
            name: held.add(of_record("columns of the parquet", row.fields))
            for row in records(path, limits, COLUMNS.difference(FILE_NAMES))
            for name in names.get(row.number - 1, ())
        }
    except RecordFileError as error:
        raise ArchiveError(str(error)) from error
    return {name: statement for name, statement in stated.items() if statement.fields}
