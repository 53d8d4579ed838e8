"""What confined processes make of a file, and the form in which they answer.

What belongs here: a work, and those that need pictures alone. What does not: works of later steps, which a process
loads when it is first asked for one (`fingerprints/feed.py`); holding an answer to its form (`confined/answers.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.pictures import renderings
from transforms.pictures.bounds import Bounds

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
        module: Where the function is. It holds nothing that a process that decodes strangers' files must not know.
        details: What else it has to know, as JSON, the same from file to file.
    """

    function: str
    sizes: tuple[tuple[int, ...], ...] = ()
    pictures: tuple[int, int] = (1, 1)
    texts: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
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
    return [seen.picture], rest


def rendered(data: bytes, bounds: Bounds) -> Made:
    """Make every way in which viewers may show a file.

    Args:
        data: Its bytes.
        bounds: As of `decoded`.
    """
    seen = renderings.renderings(data, bounds)
    return seen.pictures, {"identity": seen.identity, "hidden": seen.hidden}


DECODE = DecoderWork("decoded")
LOOK = DecoderWork("looked_at", texts=("identity", "note", "hidden"), switches=("covered",))
RENDER = DecoderWork("rendered", pictures=(1, 4), texts=("identity", "hidden"))
