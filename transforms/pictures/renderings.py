"""What a file may show: on which ground it is hashed, and by what two files are equal.

What belongs here: the one rule for the warehouse and the guard. What does not: opening files (`pictures/decoder.py`),
hashing pixels (`hashing/hashes.py`), the process in which this runs (`pictures/confined/`).

A picture with transparent pixels looks different on every ground. White line art is flat on white, and any two of them
would be one picture there. So it is laid on white only if most of what it shows on any ground can be told from white;
else on black, else on grey. Pixels under the transparency count only where nothing else is to be seen.

Two files are equal if all their renderings are: on white, on black and without transparency, in all bits of their
samples, and in all frames.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from transforms.pictures import jpeg, png
from transforms.pictures.bounds import Bounds, DecodeError
from transforms.pictures.decoder import UprightImage, decoded
from transforms.pictures.rights.statements import RightsStatement

Pixels = npt.NDArray[np.uint8]

_GROUNDS = ("white", "black", "#808080")  # in the order in which they are preferred
_STRIP = 1 << 20  # pixels of which something is made at once, so that it takes little beside the picture
_SIDE = 512  # pixels of the longer side at which grounds are compared
_SEEN, _CLEAR = 4, 48  # levels of 256: a step up to the first is invisible; from both together on it is plain
_ENOUGH = 0.75  # share of the steps seen on the best ground, from which another is preferred
_FAINT = 0.05  # share of the steps without transparency, below which a picture shows nothing on any ground
_UNDER = 1.25  # times the steps seen, from which pixels under the transparency show something else


@dataclass(frozen=True)
class Look:
    """What is fingerprinted of a file.

    Attributes:
        picture: uint8 of shape (height, width, 3).
        identity: If `picture` is not all that the file holds, the SHA-256, in hexadecimal, of all of it; else None.
        note: What is odd about the file although its pixels are whole, or None.
        hidden: What the file may show that nothing here does, or None.
        covered: Whether `picture` shows what can be seen in any of the renderings.
        rights: What the file says of its use, or None; a confined process reads it.
    """

    picture: Pixels
    identity: str | None = None
    note: str | None = None
    hidden: str | None = None
    covered: bool = True
    rights: RightsStatement | None = None

    @property
    def unsearched(self) -> str | None:
        """What a search with `picture` alone does not look at, or None."""
        return self.hidden or (None if self.covered else "pixels under its transparency were not compared")


@dataclass(frozen=True)
class Renderings:
    """Every way in which viewers may show a file.

    Attributes:
        pictures: The first is as `decode` returns it.
        identity: As of `Look`.
        hidden: What none of them shows, or None.
    """

    pictures: tuple[Pixels, ...]
    identity: str | None = None
    hidden: str | None = None


def decode(data: bytes, bounds: Bounds) -> Pixels:
    """Decode a picture into uint8 of shape (height, width, 3).

    A picture with transparent pixels is laid on the ground that shows most of it, 16-bit samples are scaled, EXIF
    rotation is applied.

    Args:
        data: Its bytes.
        bounds: What it may have and need; a picture beyond them is refused before it is decompressed.

    Raises:
        DecodeError: If it is refused or cannot be decoded.
    """
    return decoded(data, bounds, _picture)


def look(data: bytes, bounds: Bounds) -> Look:
    """Decode what is fingerprinted of a file.

    Args:
        data: Its bytes.
        bounds: As `decode`.

    Raises:
        DecodeError: As `decode`.
    """
    return decoded(data, bounds, lambda found: _look(data, found))


def renderings(data: bytes, bounds: Bounds) -> Renderings:
    """Decode a picture in every way in which viewers may show it.

    If pixels are transparent, that is on the ground that shows most of it, on white, on black and without transparency.
    Frames or pages after the first are hidden.

    Args:
        data: Its bytes.
        bounds: As `decode`.

    Raises:
        DecodeError: As `decode`, and for samples of 32 bits, which have no defined white.
    """
    return decoded(data, bounds, lambda found: of_image(data, found))


def may_show_more(data: bytes) -> bool:
    """Return whether a file could show more than one opaque picture of 8 bits, by its header alone.

    Args:
        data: The file. False is certain, True is not.
    """
    if data.startswith(jpeg.START):
        read = jpeg.segments(data)
        return read is None or any(each.body.startswith(jpeg.INDEX) for each in read[0])
    if data.startswith(png.SIGNATURE):
        for chunk in png.chunks(data):
            if chunk.kind == b"IHDR" and (len(chunk.body) < 13 or chunk.body[8] > 8 or chunk.body[9] in (4, 6)):
                return True
            if chunk.kind in (b"tRNS", b"acTL"):
                return True
            if chunk.kind == b"IDAT":
                return False
    return True


@dataclass(frozen=True)
class _Transparency:
    """A picture with transparent pixels, the ground it is laid on (None: without transparency), and `Look.covered`."""

    rgba: Image.Image
    ground: str | None
    covered: bool

    def further(self, ground: str | None, most: int | None) -> Pixels:
        """Return it on a ground that is compared by what it looks like alone, at so many pixels at most."""
        factor = 1 if most is None else reduction(self.rgba.width, self.rgba.height, most)
        if factor == 1:
            return self.on(ground)
        if ground is None:  # means of pixels with their transparency would hide what lies under it
            return np.asarray(self.rgba.convert("RGB").reduce(factor))
        return np.asarray(_laid_on(ground, self.rgba.reduce(factor)).convert("RGB"))

    def on(self, ground: str | None) -> Pixels:
        return _pixels(self.rgba, lambda rgba: (rgba if ground is None else _laid_on(ground, rgba)).convert("RGB"))


def _transparency(image: Image.Image) -> _Transparency | None:
    """Return how a picture is laid on a ground, or None if all its pixels are opaque."""
    if _is_deep_grey(image) or not image.has_transparency_data:
        return None
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    if rgba.getchannel("A").getextrema()[0] == 255:
        return None
    scale = min(1.0, _SIDE / max(rgba.size))
    size = max(1, round(rgba.width * scale)), max(1, round(rgba.height * scale))
    small, under = (each.resize(size, Image.Resampling.BOX) for each in (rgba, rgba.convert("RGB")))
    seen = {ground: _steps(_laid_on(ground, small)) for ground in _GROUNDS}
    best, without = max(seen.values()), _steps(under)
    if best <= _FAINT * without and without:
        return _Transparency(rgba, None, covered=True)
    ground = next(each for each in _GROUNDS if seen[each] >= _ENOUGH * best)
    return _Transparency(rgba, ground, covered=without <= _UNDER * seen[ground])


def _steps(image: Image.Image) -> int:
    """Return how much structure a picture shows: its visible steps from pixel to pixel, plain ones counting in full."""
    pixels = np.asarray(image.convert("RGB"), np.int16)
    across, down = (np.abs(np.diff(pixels, axis=axis)).max(axis=2, initial=0) for axis in (1, 0))
    return sum(int((each.clip(_SEEN, _SEEN + _CLEAR) - _SEEN).sum(dtype=np.int64)) for each in (across, down))


def _laid_on(ground: str, rgba: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", rgba.size, ground), rgba)


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield an image in pieces of at most _STRIP pixels or one row, and the first row of each."""
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


def _pixels(image: Image.Image, made: Callable[[Image.Image], Any]) -> Pixels:
    """Return what is made of an image, piece by piece: of RGB, or uint8 of the same shape."""
    if image.width * image.height <= _STRIP:
        return np.ascontiguousarray(made(image))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top, strip in _strips(image):
        pixels[top : top + strip.height] = made(strip)
    return pixels


def _grey(image: Image.Image) -> Pixels:
    """Return grey samples of more than 8 bits at 8, three times."""
    samples = np.asarray(image)
    if image.mode == "F":
        grey = np.clip(samples, 0, 255).round().astype(np.uint8)
    else:  # 16-bit greys come as I;16 or I: scale by the format's range, never by the picture's own extremes
        grey = ((np.clip(samples, 0, 65_535).astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _is_deep_grey(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _picture(found: UprightImage, transparency: _Transparency | None = None) -> Pixels:
    if found.pixels is not None:
        return found.pixels
    image = found.image
    if _is_deep_grey(image):
        return _pixels(image, _grey)
    transparency = transparency or _transparency(image)
    if transparency is not None:
        return transparency.on(transparency.ground)
    opaque = image.convert("RGBA") if image.has_transparency_data and image.mode != "RGBA" else image
    return _pixels(opaque, lambda strip: strip if strip.mode == "RGB" else strip.convert("RGB"))


def _look(data: bytes, found: UprightImage) -> Look:
    transparency = _transparency(found.image)
    picture = _picture(found, transparency)
    identity = _identity(data, found, transparency)
    hidden = _hidden(found)  # asked last: it moves on to the second frame of some formats
    if hidden is not None:
        identity = _digest("file", [data])
    notes = [*found.notes, *([hidden] if hidden and hidden != found.hidden else [])]
    return Look(picture, identity, "; ".join(notes) or None, hidden, transparency is None or transparency.covered)


def reduction(width: int, height: int, most: int) -> int:
    """Return the whole number by which both sides are divided so that a picture has at most so many pixels.

    Args:
        width: Its own.
        height: Likewise.
        most: Pixels.
    """
    return max(1, math.ceil(math.sqrt(width * height / most)))


def reduced(picture: Pixels, most: int) -> Pixels:
    """Return a picture at so many pixels at most, by the means of squares of them.

    Args:
        picture: uint8 of shape (height, width, 3).
        most: Pixels.
    """
    factor = reduction(picture.shape[1], picture.shape[0], most)
    return picture if factor == 1 else np.asarray(Image.fromarray(picture).reduce(factor))


def on_ground(image: Image.Image, colour: tuple[int, int, int], most: int) -> tuple[Pixels, ...]:
    """Return an image with transparent pixels laid on a ground; nothing if all are opaque.

    Args:
        image: Any.
        colour: Of the ground.
        most: Pixels to which it is reduced.
    """
    transparency = _transparency(image)
    return () if transparency is None else (transparency.further("#" + bytes(colour).hex(), most),)


def digest(picture: Pixels) -> bytes:
    """Return a digest of a picture and its shape.

    Args:
        picture: uint8 of shape (height, width, 3).
    """
    return hashlib.sha256(repr(picture.shape).encode() + np.ascontiguousarray(picture).data).digest()


def of_image(data: bytes, found: UprightImage, most: int | None = None) -> Renderings:
    """Return every way in which viewers may show an opened image. Raises as `renderings`.

    Args:
        data: The file.
        found: Its image.
        most: Pixels to which all pictures but the first are reduced. Default: they have those of the first.
    """
    image = found.image
    if image.mode in ("I", "F"):
        raise DecodeError(f"samples of 32 bits (mode {image.mode}), which have no white: convert it to 8 or 16 bits")
    transparency = _transparency(image)
    pictures = [_picture(found, transparency)]
    if transparency is not None:
        others = [ground for ground in ("white", "black", None) if ground != transparency.ground]
        pictures += [transparency.further(ground, most) for ground in others]
    identity = _identity(data, found, transparency)
    hidden = _hidden(found)
    return Renderings(tuple(pictures), identity if hidden is None else _digest("file", [data]), hidden)


def _hidden(found: UprightImage) -> str | None:
    if found.hidden is not None:
        return found.hidden
    several = getattr(found.file, "is_animated", False) or (found.jxl is not None and found.jxl.several)
    return "it has several frames or pages, and only the first is compared" if several else None


def _identity(data: bytes, found: UprightImage, transparency: _Transparency | None) -> str | None:
    """Return the digest of all that a frame holds, or None if its picture on 8 bits is all."""
    image = found.image
    shape = f"{image.height}x{image.width}"
    if _is_deep_grey(image):
        if "transparency" in image.info:
            return _digest("file", [data])
        if image.mode != "F" and not any(np.any(np.asarray(strip) % 257) for _, strip in _strips(image)):
            return None  # 8 bits, written as 16
        doubles = (np.asarray(strip).astype("<f8").tobytes() for _, strip in _strips(image))
        return _digest(f"{shape} {image.mode[0]}", doubles)
    if _has_deep_colours(data, found):  # which Pillow cuts down to 8 bits
        return _digest("file", [data])
    if transparency is None:
        return None
    return _digest(f"{shape} RGBA", (strip.tobytes() for _, strip in _strips(transparency.rgba)))


def _has_deep_colours(data: bytes, found: UprightImage) -> bool:
    """Return whether the samples of a colour picture have more than 8 bits."""
    if data.startswith(png.SIGNATURE):
        return data[24:25] > b"\x08"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return int(np.max(getattr(found.file, "tag_v2", {}).get(258, 8))) > 8  # BitsPerSample
    if data[4:8] == b"ftyp":  # AVIF and HEIC say it in a box: channels, then the bits of each
        place = data.find(b"pixi", 0, 65_536)
        return place >= 0 and any(bits > 8 for bits in data[place + 9 : place + 9 + data[place + 8]])
    return found.jxl is not None and found.jxl.bits > 8


def _digest(kind: str, data: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for part in data:
        whole.update(part)
    return hashlib.sha256(f"{kind}:".encode() + whole.digest()).hexdigest()
