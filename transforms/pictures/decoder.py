"""Opening a picture with Pillow, within limits, upright, its metadata never deciding over its pixels.

What belongs here: bytes in, an upright image or a plain-worded reason out. What does not: what the image shows on which
ground (`pictures/renderings.py`), taking a file apart (`pictures/containers.py`).

Plain JPEGs are decoded by simplejpeg, which has the same libjpeg-turbo as Pillow and writes the pixels where they are
wanted: the same to the bit, in three quarters of the time. Whatever it refuses, Pillow decides.

JPEGs are decoded in full. Decoded at half their size (Pillow's draft mode), 99 photographs of 481 x 321 pixels change
22 of 256 PDQ bits on average, 36 at most and none fewer than 11, and the pixel hash and the embedding need all pixels.
"""

import io
import struct
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, features

from transforms.pictures import exif, jxl
from transforms.pictures.bounds import BeyondLimitsError, Bounds, DecodeError
from transforms.pictures.containers import RebuiltFile, rebuilt_files
from transforms.pictures.formats import HEAD, readable_formats
from transforms.pictures.jxl import JxlHeader

PILLOW_ERRORS = (
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
"""What Pillow raises on broken input (RuntimeError: AVIF); anything else is a bug of ours and must surface."""
# Encoders write a picture in some ten scans. In 200 of them one of 50 million pixels takes ten seconds; a scan can be
# as short as its header, and a file of 200 kB held 206.
_SCANS, _SCAN_BYTES = 200, 10
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SAME_LIBRARY = features.check("libjpeg_turbo")  # a Pillow of another library may have other pixels
_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}


class NoPictureError(DecodeError):
    """No format that is read begins so."""


@dataclass(frozen=True)
class UprightImage:
    """A decoded image.

    Attributes:
        image: Its first frame, turned as its metadata says.
        file: As Pillow opened it.
        notes: What was odd about the file although its pixels are whole.
        hidden: What was left out that a viewer may show, or None.
        jxl: The header of a JPEG XL file, of which Pillow tells less; else None.
        pixels: All that the image shows, uint8 of shape (height, width, 3), if that is known; else None.
    """

    image: Image.Image
    file: Image.Image
    notes: Sequence[str] = ()
    hidden: str | None = None
    jxl: JxlHeader | None = None
    pixels: npt.NDArray[np.uint8] | None = None


def decoded[T](data: bytes, bounds: Bounds, made: Callable[[UprightImage], T]) -> T:
    """Decode a file, and return what is made of its image.

    A file that cannot be decoded is tried again without its metadata. Of a file whose end is cut off, that is a picture
    if no missing bit decides a pixel.

    Args:
        data: The file.
        bounds: What it may have and need.
        made: Makes something of the image while the file is open.

    Raises:
        DecodeError: If it is refused or cannot be decoded.
    """
    if not data:
        raise DecodeError("empty: zero bytes")
    try:
        return _attempt(data, bounds, made)
    except BeyondLimitsError:
        raise
    except DecodeError as error:
        for other in rebuilt_files(data, bounds.pixels):
            try:
                return _second_attempt(other, bounds, made, error)
            except DecodeError:
                continue
        raise


def _second_attempt[T](
    other: RebuiltFile, bounds: Bounds, made: Callable[[UprightImage], T], failure: DecodeError
) -> T:
    if other.witnesses:
        shown = _attempt(other.data, bounds, _pixels)
        if not all(np.array_equal(shown, _attempt(each, bounds, _pixels)) for each in other.witnesses):
            raise DecodeError("pixels are missing")
    why = other.note if isinstance(failure, NoPictureError) else f"{other.note} ({failure})"
    return _attempt(other.data, bounds, made, other, [why])


def _pixels(found: UprightImage) -> np.ndarray:
    return np.asarray(found.image)


def _attempt[T](
    data: bytes,
    bounds: Bounds,
    made: Callable[[UprightImage], T],
    rebuilt: RebuiltFile | None = None,
    told: Sequence[str] = (),
) -> T:
    notes = list(told)
    left_out, hidden = (rebuilt.exif, rebuilt.hidden) if rebuilt is not None else (None, None)
    try:
        formats = readable_formats(data[:HEAD])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of big pictures and odd EXIF; the limit below decides
            header = jxl.header(data) if formats == ("JXL",) else None
            if header is not None:  # the plug-in decompresses as it opens
                bounds.refuse_size(header.width, header.height)
            with Image.open(io.BytesIO(data), formats=formats) as image:
                _refuse_excess(image, data, bounds)
                pixels = _plain_jpeg(image, data)
                if pixels is None:
                    image.load()
                if not notes and not data.endswith(_ENDS.get(str(image.format), b"")):
                    notes.append("its end mark is missing, or bytes follow it")
                turned = upright(image, left_out, notes)
                pixels = pixels if turned is image else None
                return made(UprightImage(turned, image, notes, hidden, header, pixels))
    except DecodeError:
        raise
    except ImportError as error:
        raise BeyondLimitsError(str(error)) from None  # no other bytes help
    except Image.UnidentifiedImageError:
        raise NoPictureError(f"not a picture: begins with {data[:16]!r}") from None
    except Image.DecompressionBombError as error:
        raise BeyondLimitsError(f"too many pixels: {error}") from None
    except PILLOW_ERRORS as error:
        raise DecodeError(f"broken {error.__class__.__name__}: {_line(error)[:200]}") from None


def _plain_jpeg(image: Image.Image, data: bytes) -> npt.NDArray[np.uint8] | None:
    """Return the pixels of a JPEG in grey or in three colours without a flaw, or None. CMYK becomes RGB otherwise."""
    if image.format != "JPEG" or image.mode not in ("RGB", "L") or not _SAME_LIBRARY:
        return None
    try:
        pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except (ValueError, RuntimeError):
        return None
    return pixels if pixels.shape == (image.height, image.width, 3) else None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def upright(image: Image.Image, left_out: bytes | None, notes: list[str]) -> Image.Image:
    """Turn an image as its EXIF says, and note what cannot be read or is no orientation.

    Args:
        image: As Pillow opened it.
        left_out: An EXIF block that was taken out of the file before.
        notes: What is odd is added.
    """
    if image.format == "JXL" and not getattr(image, "jpeg", False):
        return image  # turned by the decoder; what EXIF says does not count
    try:
        stated: object = image.getexif().get(ExifTags.Base.Orientation)
    except PILLOW_ERRORS as error:
        notes.append(f"its EXIF is broken ({error.__class__.__name__}: {_line(error)[:100]})")
        block = image.info.get("exif")
        stated = exif.orientation(block) if isinstance(block, bytes) else None
    if stated is None and left_out is not None:
        stated = exif.orientation(left_out)
    if stated is None or stated == 1:
        return image
    turn = _TURNS.get(stated) if isinstance(stated, int) else None
    if turn is None:
        notes.append(f"its EXIF orientation {str(stated)[:20]!r} is none; it is taken as upright")
        return image
    return image.transpose(turn)


def _refuse_excess(image: Image.Image, data: bytes, bounds: Bounds) -> None:
    """Raise BeyondLimitsError for a header that asks for more memory or time than the bounds allow."""
    width, height = image.size
    bounds.refuse_size(width, height, image.mode)
    if image.format == "TIFF":  # a tile is decompressed whole, however little of it the picture shows
        tags = getattr(image, "tag_v2", {})
        across, down = (int(np.max(tags.get(tag, 1))) for tag in (_TILE_WIDTH, _TILE_LENGTH))
        if across * down > bounds.pixels:
            raise BeyondLimitsError(f"tiles of {across}x{down} pixels are more than limits.pixels = {bounds.pixels}")
    most = _SCANS * bounds.pixels // (width * height)
    if image.format in ("JPEG", "MPO") and len(data) > most * _SCAN_BYTES:
        scans = data.count(b"\xff\xda")
        if scans > most:
            raise BeyondLimitsError(
                f"{scans} scans of {width}x{height} pixels: limits.pixels = {bounds.pixels} allows {most}"
            )
