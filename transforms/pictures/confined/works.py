"""What confined processes make of a file, and the form in which they answer.

What belongs here: a work, and those that need pictures alone. What does not: works of later steps, which a process
loads when it is first asked for one (`fingerprints/feed.py`); holding an answer to its form (`confined/answers.py`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.pictures import renderings, shown
from transforms.pictures.bounds import Bounds
from transforms.pictures.rights import manifests, statements
from transforms.pictures.rights.statements import RightsStatement

type Made = tuple[Sequence[npt.NDArray[np.uint8]], Mapping[str, Any]]
"""Arrays of bytes, and the rest by name, of values of JSON."""


@dataclass(frozen=True)
class DecoderWork:
    """A work, and the form of its answer.

    Attributes:
        function: What makes it, a name in `module`: of the file, its bounds, and `details` unless these are empty.
        sizes: The shapes of the arrays that come first.
        pictures: The least and the most pictures after them.
        texts: The names of the texts among the rest, each of which may be None.
        switches: The names of the truth values.
        rights: The number of statements of rights in the list `rights` among the rest, each of which may be None.
        module: Where the function is. It holds nothing that a process that decodes strangers' files must not know.
        details: What else it has to know, as JSON, the same from file to file.
    """

    function: str
    sizes: tuple[tuple[int, ...], ...] = ()
    pictures: tuple[int, int] = (1, 1)
    texts: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    rights: int = 0
    module: str = __name__
    details: str = ""


def decoded(data: bytes, bounds: Bounds) -> Made:
    """Make the pixels of a file.

    Args:
        data: Its bytes.
        bounds: What it may have and need.
    """
    return [renderings.decode(data, bounds)], {}


def looked_at(data: bytes, bounds: Bounds) -> Made:
    """Make what is fingerprinted of a file.

    Args:
        data: Its bytes.
        bounds: As of `decoded`.
    """
    seen = renderings.look(data, bounds)
    rest = {"identity": seen.identity, "note": seen.note, "hidden": seen.hidden, "covered": seen.covered}
    return [seen.picture], rest | {"rights": [rights_row(data)]}


def rendered(data: bytes, bounds: Bounds) -> Made:
    """Make every way in which viewers may show a file.

    Args:
        data: Its bytes.
        bounds: As of `decoded`.
    """
    seen = renderings.renderings(data, bounds)
    return seen.pictures, {"identity": seen.identity, "hidden": seen.hidden}


def shown_all(data: bytes, bounds: Bounds, details: str) -> Made:
    """Make everything that viewers may show of a file.

    Args:
        data: Its bytes.
        bounds: As of `decoded`.
        details: Most frames, as JSON.
    """
    seen = shown.everything(data, bounds, json.loads(details))
    return seen.pictures, {"identity": seen.identity, "hidden": seen.hidden}


def rights_read(data: bytes, bounds: Bounds, details: str = "null") -> Made:
    """Make what a file says of its use, and no pixel.

    Args:
        data: Its bytes.
        bounds: What reading it may need.
        details: Certificates, PEM, by which manifests are verified, as JSON; null if they are not.
    """
    return [], {"rights": [rights_row(data, json.loads(details))]}


def rights_row(data: bytes, anchors: str | None = None) -> dict[str, Any] | None:
    """Return what a file says of its use as values of JSON, or None.

    What fails here keeps no picture from being used, and is said.

    Args:
        data: Its bytes.
        anchors: As of `requests.read_rights`.
    """
    try:
        said = statements.read(data)
        if said is not None and anchors is not None:
            said = manifests.verified(data, said, anchors)
    except Exception as error:
        what = f"{type(error).__name__}: {str(error)[:200]} ({place_of(error)})"
        said = RightsStatement(unread=f"its reader failed: {what}")
    return None if said is None else said.row()


def place_of(error: Exception) -> str:
    """Return the file and the line that raised an error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"


DECODE = DecoderWork("decoded")
LOOK = DecoderWork("looked_at", texts=("identity", "note", "hidden"), switches=("covered",), rights=1)
RENDER = DecoderWork("rendered", pictures=(1, 4), texts=("identity", "hidden"))
SHOWN = DecoderWork("shown_all", pictures=(1, shown.PICTURES), texts=("identity", "hidden"))
RIGHTS = DecoderWork("rights_read", pictures=(0, 0), rights=1)
