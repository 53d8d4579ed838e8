"""What may be asked of a confined process, as functions that take a file.

What belongs here: the functions, and trying a file once more where its process died. What does not: which process
answers (`confined/pool.py`), how it is asked (`confined/process.py`).
"""

import json
import time
from dataclasses import replace
from typing import Any

from transforms.pictures.bounds import Bounds, DecodeError
from transforms.pictures.confined import works
from transforms.pictures.confined.pool import POOL
from transforms.pictures.confined.process import DecoderDied
from transforms.pictures.confined.works import DecoderWork
from transforms.pictures.renderings import Look, Pixels, Renderings
from transforms.pictures.rights.statements import LONGEST, RightsStatement
from transforms.readable import bare


def decode(data: bytes, within: Bounds | int) -> Pixels:
    """Decode a picture into uint8 of shape (height, width, 3), in a confined process.

    A picture with transparent pixels is laid on the ground that shows most of it, 16-bit samples are scaled, EXIF
    rotation is applied.

    Args:
        data: Its bytes.
        within: The bounds, or the most pixels; the others are then their defaults.

    Raises:
        DecodeError: If it is refused, cannot be decoded, or ends its process.
    """
    (picture,), _ = make(works.DECODE, data, Bounds.of(within))
    return picture


def look(data: bytes, within: Bounds | int) -> Look:
    """Decode what is fingerprinted of a file, in a confined process.

    Args:
        data: Its bytes.
        within: As of `decode`.

    Raises:
        DecodeError: As `decode`.
    """
    (picture,), rest = make(works.LOOK, data, Bounds.of(within))
    notes = [each for each in (rest.pop("note"), rest.pop("said")) if each]
    [rights] = rest.pop("rights")
    return Look(picture, note="; ".join(notes) or None, rights=rights, **rest)


def renderings(data: bytes, within: Bounds | int, patience_s: float | None = None) -> Renderings:
    """Decode a picture in every way in which viewers may show it, in a confined process.

    If pixels are transparent, that is on the ground that shows most of it, on white, on black and without transparency.
    Frames or pages after the first are hidden.

    Args:
        data: Its bytes.
        within: As of `decode`.
        patience_s: Seconds of the clock that the caller has.

    Raises:
        DecodeError: As `decode`, and for samples of 32 bits, which have no defined white.
        OutOfPatience: If it takes longer than that.
    """
    pictures, rest = make(works.RENDER, data, Bounds.of(within), patience_s)
    del rest["said"]
    return Renderings(tuple(pictures), **rest)


def everything(data: bytes, within: Bounds | int, frames: int, patience_s: float | None = None) -> Renderings:
    """Decode everything that viewers may show of a file, in a confined process.

    That is every frame or page, each as by `renderings` and on the background that the file states, and each as it is
    stored and as it looks by what the file says of its colours.

    Args:
        data: Its bytes.
        within: As of `decode`. All pictures together may have four times the pixels of one.
        frames: Most frames or pages; of a file of more the rest is hidden.
        patience_s: As of `renderings`.

    Raises:
        DecodeError: As `renderings`.
        OutOfPatience: If it takes longer than that.
    """
    work = replace(works.SHOWN, details=json.dumps(frames))
    pictures, rest = make(work, data, Bounds.of(within), patience_s)
    del rest["said"]
    return Renderings(tuple(pictures), **rest)


def read_rights(data: bytes, within: Bounds | int, anchors: str | None = None) -> RightsStatement | None:
    """Read what a file says of its creator and its use, in a confined process, without decoding a pixel.

    Args:
        data: Its bytes.
        within: As of `decode`.
        anchors: Certificates, PEM, of those who vouch for signers of C2PA manifests, which are then verified. None:
            that there is a manifest is all that is said of it.

    Returns:
        None if the file says nothing.
    """
    work = works.RIGHTS if anchors is None else replace(works.RIGHTS, details=json.dumps(anchors))
    try:
        _, rest = make(work, data, Bounds.of(within))
    except DecodeError as error:
        return RightsStatement(unread=bare(str(error), LONGEST))
    said: RightsStatement | None = rest["rights"][0]
    return said


def make(
    work: DecoderWork, data: bytes, bounds: Bounds, patience_s: float | None = None
) -> tuple[list[Pixels], dict[str, Any]]:
    """Have a process do a piece of work. One that dies is replaced once, in case something else killed it.

    Args:
        work: What to make of the file.
        data: Its bytes.
        bounds: What it may have and need.
        patience_s: As of `renderings`.

    Returns:
        The arrays, and the rest by name, with `said`: what the decoder said of a picture that it made.

    Raises:
        DecodeError: If nothing was made.
        OutOfPatience: If it takes longer than that.
    """
    until = None if patience_s is None else time.monotonic() + patience_s
    for died_before in (False, True):
        with POOL.process() as process:
            try:
                return process.ask(work, data, bounds, until)
            except DecoderDied as death:
                if died_before:
                    raise DecodeError(f"its decoder {death}, twice") from None
    raise AssertionError("unreachable")


def start(count: int) -> None:
    """Start processes ahead, so that the first pictures do not wait for them.

    Args:
        count: Processes that there are to be at least.
    """
    for _ in range(count - len(POOL.all)):
        POOL.add()
