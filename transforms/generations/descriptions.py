"""What all that describes a generation says of it: tables, the sidecars beside it, the texts within it.

What belongs here: the order in which they are believed. What does not: reading each of them.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from transforms.dumps.members import ArchiveError
from transforms.generations import addresses, dialects, embedded
from transforms.generations.generation import FoundGeneration
from transforms.generations.statements import Description, PictureStatement, describe

SIDECAR_BYTES = 4 << 20  # larger ones are not read


def description(found: FoundGeneration, data: bytes) -> Description:
    """Return what is said of a generation. A table is believed over a sidecar, a sidecar over the file itself.

    Args:
        found: The generation.
        data: Its bytes; empty if they cannot be read.
    """
    within = dialects.statements(embedded.texts(data)) if data else []
    return describe([*found.stated, *_sidecars(found), *within])


def _sidecars(found: FoundGeneration) -> Iterator[PictureStatement]:
    for location in found.sidecars:
        if location.size > SIDECAR_BYTES:
            continue
        try:
            data = addresses.read_location(location)
        except (OSError, ArchiveError):
            continue  # gone since it was listed: the next run sees that it changed
        ending = PurePosixPath(location.member or location.path).suffix.lower()
        statement = dialects.of_text(ending, _decoded(data), plain=ending == ".txt")
        if statement is not None and statement.fields:
            yield statement


def _decoded(data: bytes) -> str:
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    return data.decode(errors="replace")
