"""Folders and what lies in them by name and size, or by first bytes where the name says nothing, as far as is looked.

What belongs here: walking. What does not: what the files are (`survey/contents.py`), what a folder is
(`survey/findings.py`).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from transforms.catalog.landing import PARQUET, is_by_product
from transforms.catalog.text_metadata import ENDINGS
from transforms.dumps import first_bytes
from transforms.dumps.names import PICTURE_NAMES
from transforms.generations.folders import DANGLING, DEVICE, SIDECARS
from transforms.generations.tables import is_table
from transforms.storage.system_files import is_system_file

MOST = 200_000
"""Files and folders that are looked at; beyond, counts are estimates."""
_WAREHOUSE = ("raisonne.duckdb", "writer.lock")
CLOSED, LINK, HOME = "it may not be opened", "a link to a folder; name its target", "the home of a warehouse"
BEYOND = f"not looked into: more than {MOST:,} files and folders came before"
PASSED_BY = frozenset({LINK, HOME, DANGLING, DEVICE})
"""Reasons of what is left out as it is. What has another reason could not be looked into."""
_DEEPEST = 100
_DEEP = f"not looked into: {_DEEPEST} folders lie above it"


@dataclass
class Place:
    """A folder.

    Attributes:
        path: Where it is.
        pictures: Files that are pictures by their endings or first bytes, with their sizes.
        tars: Tars by their endings, likewise.
        parquets: Parquets that are no table of generations by their names, likewise.
        texts: CSV and JSON lines that may be metadata, likewise.
        tables: Tables of generations by their names, likewise.
        sidecars: How many texts and JSON lie beside pictures.
        others: Files of no known kind.
        below: The folders in it.
        unread: What could not be looked into, with the reason.
    """

    path: Path
    pictures: list[tuple[Path, int]] = field(default_factory=list)
    tars: list[tuple[Path, int]] = field(default_factory=list)
    parquets: list[tuple[Path, int]] = field(default_factory=list)
    texts: list[tuple[Path, int]] = field(default_factory=list)
    tables: list[tuple[Path, int]] = field(default_factory=list)
    sidecars: int = 0
    others: list[Path] = field(default_factory=list)
    below: list["Place"] = field(default_factory=list)
    unread: list[tuple[Path, str]] = field(default_factory=list)

    def within(self) -> Iterator["Place"]:
        """Yield the folder and all below it."""
        yield self
        for each in self.below:
            yield from each.within()

    @property
    def holds_anything(self) -> bool:
        """Whether there is a picture, a tar, a parquet or a table in it or below."""
        return any(each.pictures or each.tars or each.parquets or each.texts or each.tables for each in self.within())

    def bytes(self, *, own: bool = False) -> int:
        """Return the size of its files, and of those below it unless only its own are meant."""
        kinds = ((each.pictures, each.tars, each.parquets, each.texts) for each in ((self,) if own else self.within()))
        return sum(size for lists in kinds for files in lists for _, size in files)

    def is_dump_beside(self, place: "Place") -> bool:
        """Return whether it is the dump of the parquet of its name in the folder above, as img2dataset writes files."""
        return bool(self.pictures) and self.path.name in {path.stem for path, _ in place.parquets}


class Budget:
    """Counts what is looked at. `spent` says whether something was left out for it."""

    def __init__(self, most: int = MOST) -> None:
        self.left, self.spent = most, False

    def take(self) -> bool:
        """Take one entry. Returns False where none is left."""
        self.left -= 1
        self.spent |= self.left < 0
        return self.left >= 0


def walk(folder: Path, budget: Budget) -> Place:
    """List a folder and what lies below it. Links to folders are not followed.

    Args:
        folder: The folder.
        budget: How much may be looked at.

    Raises:
        OSError: If the folder itself cannot be listed.
    """
    return _listed(folder, _entries(folder, budget), budget, 0)


def _entries(folder: Path, budget: Budget) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, in order: no more than is left to look at, and one that says that there is more."""
    with os.scandir(folder) as found:
        return sorted(islice(found, max(0, budget.left) + 1), key=lambda each: each.name)


def _listed(folder: Path, entries: list[os.DirEntry[str]], budget: Budget, depth: int) -> Place:
    place, folders, beside = Place(folder), list[Path](), list[tuple[Path, int]]()
    for entry in entries:
        path = Path(entry.path)
        if not budget.take():
            place.unread.append((folder, BEYOND))
            break
        if is_system_file(entry.name):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif entry.is_symlink() and not path.is_file():
                place.unread.append((path, LINK if path.is_dir() else DEVICE if path.exists() else DANGLING))
            elif entry.is_file():
                _enter(place, path, entry.stat().st_size, beside)
            else:
                place.unread.append((path, DEVICE))
        except OSError as error:
            place.unread.append((path, _refused(error)))
    _tell_sidecars(place, beside)
    for path in folders:
        _descend(place, path, budget, depth + 1)
    return place


def _descend(place: Place, path: Path, budget: Budget, depth: int) -> None:
    try:
        entries = _entries(path, budget)
    except OSError as error:
        place.unread.append((path, _refused(error)))
        return
    if all(os.path.lexists(path / name) for name in _WAREHOUSE):
        place.unread.append((path, HOME))
    elif budget.left < 0:
        place.unread.append((path, BEYOND))
    elif depth > _DEEPEST:
        place.unread.append((path, _DEEP))
    else:
        place.below.append(_listed(path, entries, budget, depth))


def _refused(error: OSError) -> str:
    return CLOSED if isinstance(error, PermissionError) else f"it cannot be looked at: {error.strerror or error}"


def _enter(place: Place, path: Path, size: int, beside: list[tuple[Path, int]]) -> None:
    """Enter a file; what may lie beside a picture is told apart when all names are known. Raises OSError."""
    name = path.name.lower()
    ending = PurePosixPath(name).suffix
    if ending in PICTURE_NAMES:
        place.pictures.append((path, size))
    elif is_table(name):
        place.tables.append((path, size))
    elif is_by_product(name):
        return
    elif ending == ".tar":
        place.tars.append((path, size))
    elif ending in PARQUET:
        place.parquets.append((path, size))
    elif ending in SIDECARS:
        beside.append((path, size))
    elif name.endswith(ENDINGS):
        place.texts.append((path, size))
    elif _begins_as_picture(path):
        place.pictures.append((path, size))
    else:
        place.others.append(path)


def _begins_as_picture(path: Path) -> bool:
    with path.open("rb") as file:
        return first_bytes.is_picture(file.read(first_bytes.HEAD))


def _tell_sidecars(place: Place, beside: list[tuple[Path, int]]) -> None:
    stems = {path.stem for path, _ in place.pictures} | {path.name for path, _ in place.pictures}
    for path, size in beside:
        if path.stem in stems or (place.pictures and path.suffix.lower() != ".json"):
            place.sidecars += 1
        elif path.suffix.lower() == ".json":
            place.texts.append((path, size))
        else:
            place.others.append(path)
