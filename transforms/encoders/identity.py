"""The protocol of encoders: pictures in, unit vectors and the identity of the encoder out.

What belongs here: the protocol, what an encoder may have besides, the identity and its errors. What does not: any
encoder (`encoders/sscd.py`, `encoders/clip.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from transforms.pictures import Pixels
from transforms.pictures.scaling import Scaling

Vectors = npt.NDArray[np.float32]
Prepared = npt.NDArray[np.uint8]
"""A picture at an encoder's input size, (height, width, 3): a few hundred kB, so that it is cheap to queue."""


class EncoderUnavailable(RuntimeError):
    """An encoder cannot be loaded; the message lists the ways to get it."""


class EncoderMismatch(ValueError):
    """Vectors of two encoders were about to be compared; the message names both."""


@dataclass(frozen=True)
class EncoderId:
    """What makes two vectors comparable: name, weights (SHA-256), preprocessing, dimension and precision."""

    name: str
    weights: str
    preprocessing: str
    dimension: int
    precision: str

    def __str__(self) -> str:
        return f"{self.name} {self.weights[:12]} ({self.preprocessing}, {self.dimension}-d {self.precision})"

    def require(self, other: str) -> None:
        """Raise EncoderMismatch unless `other` is this identity as text."""
        if str(self) != other:
            raise EncoderMismatch(f"vectors of {other} cannot be compared with vectors of {self}; fingerprint again")


class Encoder(Protocol):
    """Anything that turns pictures into unit vectors.

    One whose `prepare` is a `Scaling` may have it as its attribute `scaling`: pictures are then scaled where they are
    decoded. One may have `full_call`, the pictures of a call from which on more gain nothing. One may have `preview`,
    a `Scaling` to a smaller input, whose vector is near enough to that of `prepare` to tell what is worth that. These
    three are read by `scaling_of`, `full_call_of` and `preview_of`, and what is of another type is taken for none. One
    that is built in may have `with_parts`, which takes a prepared picture and boxes, and returns the vector of the
    picture and those of its parts, near enough to tell likewise, and has `device`, the name of what it runs on; those
    of a plug-in are not asked for.
    """

    id: EncoderId

    def prepare(self, picture: Pixels) -> Prepared:
        """Bring one picture, uint8 of shape (height, width, 3), to the input size. Safe to call in many threads."""
        ...

    def embed(self, prepared: Sequence[Prepared]) -> Vectors:
        """Embed any number of prepared pictures into float32 of shape (n, dimension), norm 1.

        Memory is bounded whatever n is. Raises DeviceFull if the device cannot hold even one picture.
        """
        ...


def scaling_of(encoder: Encoder) -> Scaling | None:
    """Return the scaling that an encoder's `prepare` is. None: it is something else, and runs in its own process."""
    return _scaling(encoder, "scaling")


def preview_of(encoder: Encoder) -> Scaling | None:
    """Return the scaling to an encoder's smaller input, None if it has none."""
    return _scaling(encoder, "preview")


def full_call_of(encoder: Encoder | None) -> int:
    """Return the pictures of a call from which on more gain nothing; 1 if there is no telling."""
    found = getattr(encoder, "full_call", 1)
    return found if isinstance(found, int) else 1


def _scaling(encoder: Encoder, name: str) -> Scaling | None:
    found = getattr(encoder, name, None)
    return found if isinstance(found, Scaling) else None
