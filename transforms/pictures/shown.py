"""Everything that viewers may show of a file: every frame, on every ground, with and without what is said of colours.

What belongs here: which renderings there are beyond the first frame's, and when there are too many. What does not: one
frame on its grounds (`pictures/renderings.py`), colours (`pictures/profiles.py`), opening files
(`pictures/decoder.py`).
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from transforms.pictures import png, profiles, renderings
from transforms.pictures.bounds import BeyondLimitsError, Bounds, DecodeError
from transforms.pictures.decoder import PILLOW_ERRORS, UprightImage, decoded, upright
from transforms.pictures.renderings import Pixels, Renderings

MOST = 64  # frames that may be asked for
PICTURES = 640  # of a file: a frame on five grounds, each with and without its profile
FURTHER = 1 << 21
"""Pixels to which all pictures of a file but the first are reduced: more than any comparison looks at."""
_ROOM = 4  # times the pixels that one picture may have, of all pictures together


class _TooMany(Exception):
    """All that a file may show takes more room than there is."""


def everything(data: bytes, bounds: Bounds, frames: int) -> Renderings:
    """Decode everything that viewers may show of a file, equal pictures once.

    Args:
        data: Its bytes.
        bounds: As of `renderings.decode`; all pictures together may have four times the pixels of one.
        frames: Most frames or pages; a file of more has something hidden.

    Raises:
        DecodeError: As `renderings.renderings`.
    """
    return decoded(data, bounds, lambda found: _everything(data, found, bounds, frames))


def _everything(data: bytes, found: UprightImage, bounds: Bounds, frames: int) -> Renderings:
    first = renderings.of_image(data, found, FURTHER)
    kept = _Kept(bounds)
    hidden = found.hidden
    try:
        for picture in first.pictures:
            kept.add(picture)
        if found.image.has_transparency_data and (own := _own_ground(data, found.file)) is not None:
            for picture in renderings.on_ground(found.image, own, FURTHER):
                kept.add(picture)
        several = hidden is None and first.hidden is not None and found.jxl is None
        if several:
            hidden = _add_frames(data, found, bounds, frames, kept)
        elif hidden is None:
            hidden = first.hidden
        for picture in list(kept.pictures):
            small = renderings.reduced(picture, FURTHER)
            if (coloured := profiles.applied(found.image, data, small)) is not None:
                kept.add(coloured)
    except profiles.NotApplied as error:
        hidden = hidden or str(error)
    except _TooMany:
        hidden = hidden or f"all that it may show has more than {_ROOM} times limits.pixels = {bounds.pixels}"
    return replace(first, pictures=tuple(kept.pictures), hidden=hidden)


class _Kept:
    """The pictures of a file, equal ones once, those after the first reduced to FURTHER pixels."""

    def __init__(self, bounds: Bounds) -> None:
        self.pictures: list[Pixels] = []
        self._room, self._seen = _ROOM * bounds.pixels, set[bytes]()
        self._digested = 0  # of `pictures`; one alone needs none

    def add(self, picture: Pixels) -> None:
        """Keep a picture unless an equal one is kept. Raises _TooMany."""
        self._room -= picture.shape[0] * picture.shape[1]
        if self.pictures:
            picture = renderings.reduced(picture, FURTHER)
            unseen = (renderings.reduced(each, FURTHER) for each in self.pictures[self._digested :])
            self._seen.update(map(renderings.digest, unseen))
            self._digested = len(self.pictures)
            if renderings.digest(picture) in self._seen:
                return
        if self.pictures and (self._room < 0 or len(self.pictures) >= PICTURES):
            raise _TooMany
        self.pictures.append(picture)


def _add_frames(data: bytes, found: UprightImage, bounds: Bounds, frames: int, kept: _Kept) -> str | None:
    """Keep every picture of the frames after the first. Return why one is not, or None."""
    file = found.file
    try:
        count = int(getattr(file, "n_frames", 1))
        if count > frames:
            limit = f"and {frames} are compared at most" if frames > 1 else "and only the first is compared"
            return f"it has several frames or pages, {count} of them, {limit}"
        for number in range(1, count):
            file.seek(number)
            bounds.refuse_size(*file.size, file.mode)
            file.load()
            for picture in _of_frame(data, file):
                kept.add(picture)
    except (*PILLOW_ERRORS, BeyondLimitsError, DecodeError) as error:
        if isinstance(error, MemoryError):
            raise
        return f"one of its frames or pages cannot be decoded: {' '.join(str(error).split())[:200]}"
    return None


def _of_frame(data: bytes, file: Image.Image) -> Iterator[Pixels]:
    frame = upright(file.copy(), None, [])
    if frame.mode in ("I", "F"):
        raise DecodeError(f"samples of 32 bits (mode {frame.mode})")
    yield from renderings.of_image(data, UprightImage(frame, frame), FURTHER).pictures
    if frame.has_transparency_data and (own := _own_ground(data, file)) is not None:
        yield from renderings.on_ground(frame, own, FURTHER)


def _own_ground(data: bytes, file: Image.Image) -> tuple[int, int, int] | None:
    """Return the background that a file states for itself, or None."""
    stated = file.info.get("background")
    if isinstance(stated, tuple) and len(stated) >= 3:
        return stated[0], stated[1], stated[2]
    if isinstance(stated, int) and file.format == "GIF":
        palette = getattr(file, "global_palette", None)
        entry = bytes(palette.palette[3 * stated : 3 * stated + 3]) if palette is not None else b""
        return (entry[0], entry[1], entry[2]) if len(entry) == 3 else None
    if data.startswith(png.SIGNATURE):
        for chunk in png.chunks(data):
            if chunk.kind == b"bKGD":
                return _png_ground(chunk.body, file)
            if chunk.kind == b"IDAT":
                return None
    return None


def _png_ground(body: bytes, file: Image.Image) -> tuple[int, int, int] | None:
    if len(body) == 1 and file.palette is not None:
        entry = bytes(file.palette.palette[3 * body[0] : 3 * body[0] + 3])
        return (entry[0], entry[1], entry[2]) if len(entry) == 3 else None
    samples = np.frombuffer(body[: len(body) // 2 * 2], ">u2")
    deep = samples.max(initial=0) > 255
    values = [int(each) // (257 if deep else 1) for each in samples]
    if len(values) == 1:
        return values[0], values[0], values[0]
    return (values[0], values[1], values[2]) if len(values) == 3 else None
