"""Files below a folder of generations, linked folders included, and what each of them is.

What belongs here: walking, and telling pictures, tables, sidecars and archives apart. What does not: the content of
archives (`generations/archives.py`) and tables (`generations/tables.py`).
"""

import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from transforms.catalog.not_taken import NotTakenCounts
from transforms.dumps import first_bytes
from transforms.dumps.names import goes_on_in_words, shorter_stems
from transforms.dumps.samples import UNREADABLE
from transforms.generations.generation import Location
from transforms.generations.tables import is_table
from transforms.pictures import PICTURE_ENDINGS
from transforms.storage import stores
from transforms.storage.links import CLOSED, note_closed
from transforms.storage.system_files import HIDDEN, is_system_file

SIDECARS = (".json", ".txt", ".caption")
"""Endings of files beside a picture, in the order in which they are believed."""
_WORDS = ("", ".prompt", ".caption", ".metadata")  # before the ending: `a.prompt.txt`

NO_PICTURE = "no picture, and no table of generations by its name"
PACKED = "a compressed archive, which is not read; unpack it"
DANGLING = "a link to nothing"
DEVICE = "a device or a pipe, not a file"
TWICE = "a link to a folder that is read where it lies"
SAME_NAME = "a second file of this name once it is made UTF-8; rename it"


@dataclass
class FolderContent:
    """What lies below a folder, by path within it.

    Attributes:
        pictures: Files that are pictures.
        tables: Files that are tables of generations by their names.
        archives: Tars, and parquets that are no table by their names.
        sidecars: Texts and JSON that may describe a picture of the same name.
    """

    pictures: dict[str, Location] = field(default_factory=dict)
    tables: dict[str, Location] = field(default_factory=dict)
    archives: dict[str, Location] = field(default_factory=dict)
    sidecars: dict[str, Location] = field(default_factory=dict)

    def include(self, before: str, other: "FolderContent") -> None:
        """Add what lies in another folder.

        Args:
            before: What comes before the paths in it.
            other: Its content.
        """
        for own, added in (
            (self.pictures, other.pictures),
            (self.tables, other.tables),
            (self.archives, other.archives),
            (self.sidecars, other.sidecars),
        ):
            own.update({f"{before}{inside}": location for inside, location in added.items()})


def content(folder: str, counts: NotTakenCounts) -> FolderContent:
    """List what lies below a folder. Only files whose endings say nothing are opened, for their first bytes.

    Args:
        folder: The folder.
        counts: Receives what is none of these.

    Raises:
        OSError: If the folder cannot be listed, or one below it for another reason than its permissions.
    """
    found = FolderContent()
    for name, path in _walk(stores.on_disk(folder), folder, counts):
        if is_system_file(name):
            counts.add(folder, HIDDEN, name)
        else:
            enter(name, path, found, folder, counts)
    return found


def enter(name: str, path: Path, found: FolderContent, place: str, counts: NotTakenCounts) -> None:
    """Enter a file as what it is.

    Args:
        name: Its path below the folder.
        path: Where it is.
        found: Receives it.
        place: The folder.
        counts: Receives it if it is of no use.
    """
    location = _location(path)
    if isinstance(location, str):
        counts.add(place, location, name)
    else:
        _classify(name, location, found, place, counts)


def _classify(name: str, location: Location, found: FolderContent, place: str, counts: NotTakenCounts) -> None:
    ending = PurePosixPath(name.lower()).suffix
    if ending in PICTURE_ENDINGS:
        found.pictures[name] = location
    elif is_table(name):
        found.tables[name] = location
    elif ending in (".parquet", ".pq", ".tar"):
        found.archives[name] = location
    elif ending in SIDECARS:
        found.sidecars[name] = location
    else:
        try:
            with stores.open_file(location.path) as file:
                head = file.read(first_bytes.HEAD)
        except OSError:
            counts.add(place, UNREADABLE, name)
            return
        if first_bytes.is_picture(head):
            found.pictures[name] = location
        elif first_bytes.is_archive(head):
            found.archives[name] = location
        else:
            counts.add(place, PACKED if first_bytes.is_compressed(head) else NO_PICTURE, name)


def is_picture(location: Location) -> bool:
    """Return whether a file is a picture by its first bytes. Raises OSError."""
    with stores.open_file(location.path) as file:
        return first_bytes.is_picture(file.read(first_bytes.HEAD))


def _location(path: Path) -> Location | str:
    """Return where a file is, or why it cannot be taken."""
    text = stores.plain(str(path))
    if text != str(path) and os.path.lexists(text):
        return SAME_NAME
    try:
        found = path.stat()
    except FileNotFoundError:
        return DANGLING
    except OSError:  # a link that leads to itself, or into a closed folder
        return UNREADABLE
    if stat.S_ISDIR(found.st_mode):
        return CLOSED
    if not stat.S_ISREG(found.st_mode):
        return DEVICE
    return Location(text, found.st_size, found.st_mtime_ns)


def _walk(root: Path, folder: str, counts: NotTakenCounts) -> Iterator[tuple[str, Path]]:
    """Yield every file below a folder with its path within it, and the folders that are closed to us.

    Each folder is read once, however many links name it. Folders that lie there come before linked ones, so that a link
    never takes away the name of a file.
    """
    seen: set[tuple[int, int]] = set()
    waiting, closed = [root], list[Path]()
    while waiting:
        start = waiting.pop(0)
        if _seen(start, seen):
            counts.add(folder, TWICE, stores.plain(start.relative_to(root).as_posix()))
            continue
        for place, folders, files in os.walk(start, onerror=note_closed(root, closed)):
            if Path(place) != start and _seen(Path(place), seen):
                folders.clear()
                counts.add(folder, TWICE, stores.plain(Path(place).relative_to(root).as_posix()))
                continue
            folders.sort()
            waiting += [path for name in folders if (path := Path(place, name)).is_symlink()]
            for name in sorted(files):
                path = Path(place, name)
                yield stores.plain(path.relative_to(root).as_posix()), path
    for path in closed:
        yield stores.plain(path.relative_to(root).as_posix()), path


def _seen(folder: Path, seen: set[tuple[int, int]]) -> bool:
    found = folder.stat()
    known = (found.st_dev, found.st_ino) in seen
    seen.add((found.st_dev, found.st_ino))
    return known


def sidecars_of(name: str, sidecars: dict[str, Location], used: set[str]) -> tuple[Location, ...]:
    """Return the files that describe a picture: `a.json` or `a.png.json` for `a.png`, JSON first.

    Args:
        name: The picture's path.
        sidecars: By path.
        used: Receives the paths of those that are returned.
    """
    stem = posixpath.splitext(name)[0]
    shorter = (each for each in shorter_stems(stem) if goes_on_in_words(stem, each))
    stems = dict.fromkeys((name, stem, *shorter))
    endings = [form for ending in SIDECARS for form in (ending, ending.upper())]
    written = (stem + word + ending for ending in endings for stem in stems for word in _WORDS)
    names = [each for each in written if each in sidecars]
    used.update(names)
    return tuple(sidecars[each] for each in names)
