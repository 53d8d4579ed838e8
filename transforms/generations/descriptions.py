"""What all that describes a generation says of it: tables, the sidecars beside it, the texts within it.

What belongs here: the order in which they are believed. What does not: reading each of them.
"""

import json
from dataclasses import replace
from pathlib import PurePosixPath

from transforms.catalog.record_files import decoded
from transforms.generations import addresses, dialects, embedded
from transforms.generations.generation import FoundGeneration, Location
from transforms.generations.statements import Description, PictureStatement, describe

SIDECAR_BYTES = 4 << 20  # larger ones are not read


def description(found: FoundGeneration, data: bytes) -> Description:
    """Return what is said of a generation. A table is believed over a sidecar, a sidecar over the file itself.

    Args:
        found: The generation.
        data: Its bytes; empty if they cannot be read.
    """
    beside, unread = [], []
    for location in found.sidecars:
        statement = _sidecar(location)
        if isinstance(statement, str):
            unread.append(statement)
        elif statement is not None:
            beside.append(statement)
    within = dialects.statements(embedded.texts(data)) if data else []
    said = describe([*found.stated, *beside, *within])
    return replace(said, stated_otherwise=(*said.stated_otherwise, *unread))


def _sidecar(location: Location) -> PictureStatement | str | None:
    """Return what a sidecar states, or why it cannot be read; None if it says nothing of how a picture was made."""
    said_by = ending = PurePosixPath(location.member or location.path).suffix.lower()
    if location.size > SIDECAR_BYTES:
        return f"{ending}: not read, more than {SIDECAR_BYTES:,} bytes"
    try:
        text, letters = decoded(addresses.read_location(location))
        said_by += " (read as Windows-1252)" if letters else ""
        if ending == ".json":
            json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        return f"{ending}: cannot be read ({str(error)[:100]})"
    statement = dialects.of_text(said_by, text, plain=ending != ".json")
    return statement if statement is not None and statement.fields else None
