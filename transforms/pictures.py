"""Decoding pictures from the open web into one shape: RGB, 8 bit, upright, the first frame.

What belongs here: bytes in, pixels or a plain-worded reason out. What does not: hashing, embedding, reading files.

JPEGs are decoded in full. Decoded at half their size (Pillow's draft mode), 99 photographs of 481 x 321 pixels change
22 of 256 PDQ bits on average, 36 at most and none fewer than 11, and the pixel hash and the embedding need all pixels.
"""

import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Pixels = npt.NDArray[np.uint8]

# Only formats that browsers show: Pillow also opens some that run other programs (EPS) or that nobody trains on.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
HEAD = 16  # bytes by which Pillow tells them
# What Pillow's decoders raise on broken input (RuntimeError: AVIF); anything else is a bug of ours and must surface.
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    struct.error,
    ArithmeticError,
    RuntimeError,
)
# Encoders write a picture in some ten scans. In 200 of them one of 50 million pixels takes ten seconds; a scan can be
# as short as its header, and a file of 200 kB held 206.
_SCANS, _SCAN_BYTES = 200, 10
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF


class DecodeError(ValueError):
    """The bytes are not a usable picture. The message says why."""


def decode(data: bytes, max_pixels: int) -> Pixels:
    """Decode a picture into uint8 of shape (height, width, 3).

    Transparent pixels are laid on white, 16-bit samples are scaled, EXIF rotation is applied.

    Args:
        data: Its bytes.
        max_pixels: Most pixels it may have; larger pictures are refused before they are decompressed.

    Raises:
        DecodeError: If it is refused or cannot be decoded.
    """
    return _decoded(data, max_pixels, _rgb)


@dataclass(frozen=True)
class Renderings:
    """Every way in which viewers may show a file.

    Attributes:
        pictures: The first is as `decode` returns it.
        hidden: What none of them shows, or None.
    """

    pictures: tuple[Pixels, ...]
    hidden: str | None = None


def renderings(data: bytes, max_pixels: int) -> Renderings:
    """Decode a picture in every way in which viewers may show it.

    If pixels are transparent, that is on white, on black and without transparency. Frames or pages after the first are
    hidden.

    Args:
        data: Its bytes.
        max_pixels: Most pixels it may have.

    Raises:
        DecodeError: As `decode`, and for samples of 32 bits, which have no defined white.
    """
    return _decoded(data, max_pixels, _renderings)


def _decoded[T](data: bytes, max_pixels: int, made: Callable[[Image.Image], T]) -> T:
    if not data:
        raise DecodeError("empty: zero bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of big pictures and odd EXIF; the limit below decides
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _refuse_excess(image, data, max_pixels)
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
                return made(image)
    except DecodeError:
        raise
    except Image.UnidentifiedImageError:
        raise DecodeError(f"not a picture: begins with {data[:16]!r}") from None
    except Image.DecompressionBombError as error:
        raise DecodeError(f"too many pixels: {error}") from None
    except _BROKEN as error:
        raise DecodeError(f"broken {error.__class__.__name__}: {str(error)[:200]}") from None


def begins_as_picture(head: bytes) -> bool:
    """Return whether a file with these first HEAD bytes could be of FORMATS."""
    Image.init()
    return any(accept is not None and accept(head) for _, accept in (Image.OPEN[kind] for kind in FORMATS))


def _refuse_excess(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Raise DecodeError for a header that asks for more memory or time than a picture of `max_pixels` takes."""
    width, height = image.size
    if width * height > max_pixels:
        raise DecodeError(f"{width}x{height} pixels are more than limits.pixels = {max_pixels}")
    if image.format == "TIFF":  # a tile is decompressed whole, however little of it the picture shows
        tags = getattr(image, "tag_v2", {})
        across, down = (int(np.max(tags.get(tag, 1))) for tag in (_TILE_WIDTH, _TILE_LENGTH))
        if across * down > max_pixels:
            raise DecodeError(f"tiles of {across}x{down} pixels are more than limits.pixels = {max_pixels}")
    most = _SCANS * max_pixels // (width * height)
    if image.format in ("JPEG", "MPO") and len(data) > most * _SCAN_BYTES:
        scans = data.count(b"\xff\xda")
        if scans > most:
            raise DecodeError(f"{scans} scans of {width}x{height} pixels: limits.pixels = {max_pixels} allows {most}")


def _rgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I") or image.mode == "F":
        samples = np.asarray(image, dtype=np.float64)
        # 16-bit greys come as I;16 or I: scale by the format's range, never by the picture's own extremes
        grey = np.clip(samples / 257.0 if image.mode != "F" else samples, 0, 255).round().astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = _laid_on("white", image.convert("RGBA"))
    return np.ascontiguousarray(image if image.mode == "RGB" else image.convert("RGB"))


def _laid_on(colour: str, rgba: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", rgba.size, colour), rgba)


def _renderings(image: Image.Image) -> Renderings:
    if image.mode in ("I", "F"):
        raise DecodeError(f"samples of 32 bits (mode {image.mode}), which have no white: convert it to 8 or 16 bits")
    pictures = [_rgb(image)]
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        if min(rgba.getchannel("A").getextrema()) != 255:
            pictures += [np.ascontiguousarray(each.convert("RGB")) for each in (_laid_on("black", rgba), rgba)]
    # Asked last: it moves on to the second frame of some formats.
    several = getattr(image, "is_animated", False)
    return Renderings(
        tuple(pictures), "it has several frames or pages, and only the first is compared" if several else None
    )


PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
