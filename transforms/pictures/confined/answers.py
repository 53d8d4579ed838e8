"""What a process that decodes pictures answers. Nothing vouches for it: a file may have taken its decoder over.

What belongs here: the form of an answer, and refusing any other. What does not: making one (`confined/worker.py`),
waiting for it (`confined/process.py`).
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transforms.pictures.bounds import BeyondLimitsError, Bounds, DecodeError
from transforms.pictures.confined.works import DecoderWork
from transforms.pictures.decoder import NoPictureError
from transforms.pictures.rights.statements import PLACES, TEXTS, RightsStatement
from transforms.readable import legible

LONGEST = 1 << 20
"""Most bytes of an answer; pixels are no part of it."""
_TEXT = 2_000  # characters of a reason or a note
_ERRORS = {each.__name__: each for each in (DecodeError, BeyondLimitsError, NoPictureError)}
_OUT_OF_MEMORY = ("memory", "alloc")  # in the message of a library that got none
_SHA256 = re.compile("[0-9a-f]{64}")


class OutOfMemoryError(BeyondLimitsError):
    """A library got no memory."""


@dataclass(frozen=True)
class DecoderAnswer:
    """An answer of the right form, whose sizes are within the bounds.

    Attributes:
        processor_s: Seconds of a processor that the process says it has used.
        shapes: Of the arrays that it says it has written: of pictures, height, width and channels.
        rest: What else it made, by name.
        failure: Why there is no picture, or None.
        kind: The class of that reason.
    """

    processor_s: float
    shapes: Sequence[tuple[int, ...]] = ()
    rest: Mapping[str, Any] = field(default_factory=dict)
    failure: str | None = None
    kind: str = ""

    @classmethod
    def of(cls, message: bytes, work: DecoderWork, bounds: Bounds) -> "DecoderAnswer":
        """Read an answer. Raises ValueError if it is of another form, or RecursionError.

        Args:
            message: What the process sent.
            work: What it was asked to make.
            bounds: The bounds of the picture.
        """
        said = _of(dict, json.loads(message))
        processor_s = _seconds(said)
        if "failure" in said:
            return cls(processor_s, failure=_text(said["failure"]), kind=_of(str, said["kind"]))
        shapes = _shapes(_of(list, said["shapes"]), work, bounds)
        given = _of(dict, said.get("rest", {}))
        rest: dict[str, Any] = {name: None if given[name] is None else _text(given[name]) for name in work.texts}
        if (identity := rest.get("identity")) is not None and not _SHA256.fullmatch(identity):
            raise ValueError("the identity is no SHA-256")
        rest |= {name: _of(bool, given[name]) for name in work.switches}
        if work.rights:
            stated = _of(list, given["rights"])
            if len(stated) != work.rights:
                raise ValueError(f"{len(stated)} statements of rights")
            rest["rights"] = [_rights(each) for each in stated]
        return cls(processor_s, shapes, rest)

    def error(self, said: str, bounds: Bounds) -> DecodeError | None:
        """Return the failure that the answer states, or None.

        Args:
            said: What libraries wrote meanwhile.
            bounds: The bounds of the picture.
        """
        if self.failure is None:
            return None
        if self.kind == MemoryError.__name__ or (
            self.kind == DecodeError.__name__ and got_no_memory(self.failure + said)
        ):
            needed = f"decoding needed more than {bounds.memory_limit} bytes"
            return OutOfMemoryError(told(needed, self.failure or said))
        return _ERRORS.get(self.kind, DecodeError)(told(self.failure, said))


def seconds_used(message: bytes) -> float:
    """Return the seconds of a processor that a message states. Raises as `DecoderAnswer.of`."""
    return _seconds(_of(dict, json.loads(message)))


def told(reason: str, said: str) -> str:
    """Return a reason with what libraries said, if they said something.

    Args:
        reason: Why there is no picture.
        said: What they wrote meanwhile.
    """
    return f"{reason} (its decoder says: {said})" if said else reason


def got_no_memory(said: str) -> bool:
    """Return whether a message says that a library ran out of memory."""
    return any(word in said.lower() for word in _OUT_OF_MEMORY)


def _of[T](kind: type[T] | tuple[type[T], ...], value: Any) -> T:  # noqa: ANN401 -- any value of JSON
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{type(value).__name__} in place of {kind}")
    return value


def _seconds(said: Mapping[str, Any]) -> float:
    seconds = float(_of((int, float), said["processor_s"]))
    if not math.isfinite(seconds):
        raise ValueError("the seconds are not finite")
    return seconds


def _text(value: Any) -> str:  # noqa: ANN401 -- any value of JSON
    return legible(_of(str, value), _TEXT)


def _shapes(given: Sequence[Any], work: DecoderWork, bounds: Bounds) -> list[tuple[int, ...]]:
    sized, pictures = given[: len(work.sizes)], given[len(work.sizes) :]
    if sized != [list(each) for each in work.sizes] or not work.pictures[0] <= len(pictures) <= work.pictures[1]:
        raise ValueError(f"{len(given)} arrays, not of the sizes that were asked for")
    return [*work.sizes, *(_shape(each, bounds) for each in pictures)]


def _rights(value: Any) -> RightsStatement | None:  # noqa: ANN401 -- any value of JSON
    if value is None:
        return None
    said = _of(dict, value)
    places = {_of(str, each) for each in _of(list, said["stated_in"])}
    texts = {name: None if said[name] is None else _text(said[name]) for name in TEXTS}
    return RightsStatement(**texts, stated_in=tuple(place for place in PLACES if place in places))


def _shape(value: Any, bounds: Bounds) -> tuple[int, int, int]:  # noqa: ANN401 -- any value of JSON
    height, width, channels = (_of(int, each) for each in _of(list, value))
    if min(height, width) < 1 or channels != 3 or height * width > bounds.pixels:
        raise ValueError(f"a picture of {width}x{height} pixels and {channels} channels")
    return height, width, channels
