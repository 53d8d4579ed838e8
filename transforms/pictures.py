"""Decoding pictures from the open web into one shape: RGB, 8 bit, upright, the first frame.

What belongs here: bytes in, pixels or a plain-worded reason out. What does not: hashing, embedding, reading files.
"""

import io
import struct
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Pixels = npt.NDArray[np.uint8]

# Only formats that browsers show: Pillow also opens some that run other programs (EPS) or that nobody trains on.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# What Pillow's decoders raise on broken input; anything else is a bug of ours and must surface.
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, struct.error, OverflowError)


class DecodeError(ValueError):
    """The bytes are no usable picture; the message says why in plain words."""


def decode(data: bytes, max_pixels: int) -> Pixels:
    """Decode `data` into uint8 of shape (height, width, 3).

    Transparent pixels are laid on white, 16-bit samples are scaled, EXIF rotation is applied. Raises DecodeError,
    also for more than `max_pixels` pixels, before any of them is decompressed.
    """
    if not data:
        raise DecodeError("empty: zero bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of big pictures and odd EXIF; the limit below decides
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise DecodeError(f"{width}x{height} pixels are more than limits.pixels = {max_pixels}")
                image.load()
                return np.ascontiguousarray(_rgb(ImageOps.exif_transpose(image)))
    except DecodeError:
        raise
    except Image.UnidentifiedImageError:
        raise DecodeError(f"not a picture: begins with {data[:16]!r}") from None
    except Image.DecompressionBombError as error:
        raise DecodeError(f"too many pixels: {error}") from None
    except _BROKEN as error:
        raise DecodeError(f"broken {error.__class__.__name__}: {str(error)[:200]}") from None


def _rgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I") or image.mode == "F":
        samples = np.asarray(image, dtype=np.float64)
        # 16-bit greys come as I;16 or I: scale by the format's range, never by the picture's own extremes
        grey = np.clip(samples / 257.0 if image.mode != "F" else samples, 0, 255).round().astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return np.asarray(image.convert("RGB"))
