"""Reading the bytes of generations, by the text that a table shows or by where they were found.

What belongs here: `file` and `archive :: member`. What does not: finding them (`generations/sources.py`).
"""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from transforms.catalog.byte_limits import LISTED
from transforms.dumps import dump as dumps
from transforms.dumps import tars
from transforms.dumps.dump import Dump
from transforms.dumps.members import ArchiveError
from transforms.dumps.samples import Part
from transforms.generations import archives
from transforms.generations.generation import FoundGeneration, Location
from transforms.storage import stores

MARK = " :: "
"""Between an archive and its member, as in `fingerprints.images.picture`."""
_ANY_SIZE = 1 << 62


def text(location: Location) -> str:
    """Return where a picture is as text: what `catalog.generations.path` shows."""
    return location.path if location.member is None else f"{location.path}{MARK}{location.member}"


def read(path: str) -> bytes:
    """Return the bytes of a generation.

    Args:
        path: A file, or an archive and its member, as `text` writes it.

    Raises:
        OSError: If it is gone or cannot be read.
        ArchiveError: If its archive changed.
    """
    archive, mark, member = path.partition(MARK)
    while mark and (os.path.lexists(stores.on_disk(path)) or not stores.on_disk(archive).is_file()):
        further, mark, member = member.partition(MARK)  # a file or folder may have the mark in its name
        archive = f"{archive}{MARK}{further}"
    if not mark:
        with stores.open_file(path) as file:
            return file.read()
    entry = stores.at(archive)
    found = archives.listed(archive, entry.size, entry.stamp, _ANY_SIZE, LISTED).pictures.get(member)
    if found is None:
        raise ArchiveError(f"{archive} no longer holds {member!r}; run again")
    with dumps.open_dump(archive, LISTED) as dump:
        return dump.read(member, found.offset, found.size)


@contextmanager
def open_member(location: Location) -> Iterator[BinaryIO]:
    """Open a member of a tar at its beginning. Raises OSError, or ArchiveError if the tar has become shorter."""
    with stores.open_file(location.path) as file:
        if file.seek(0, io.SEEK_END) < location.offset + location.size:
            raise ArchiveError(f"{location.path} changed; run again")
        yield tars.Windows(file).open(Part(location.member or "", location.offset, location.size))


def read_location(location: Location) -> bytes:
    """Return the bytes of a file or of a member. Raises OSError or ArchiveError."""
    if location.member is None:
        with stores.open_file(location.path) as file:
            return file.read()
    with dumps.open_dump(location.path, LISTED) as dump:
        return dump.read(location.member, location.offset, location.size)


def read_members(found: Iterable[FoundGeneration]) -> Iterator[tuple[FoundGeneration, bytes | Exception | None]]:
    """Yield generations with the bytes of those in archives, in order, so that each archive is opened once.

    Those that are files, or must not be read, come without. A picture that cannot be read comes with the error.
    """
    opened: str | None = None
    with ExitStack() as stack:
        dump: Dump | None = None
        for each in found:
            location = each.location
            if location.member is None or each.refusal is not None:
                yield each, None
                continue
            try:
                if dump is None or opened != location.path:
                    stack.close()
                    dump, opened = stack.enter_context(dumps.open_dump(location.path, LISTED)), location.path
                data: bytes | Exception = dump.read(location.member, location.offset, location.size)
            except (OSError, ArchiveError) as error:
                data, dump = error, None
            yield each, data
