"""Small copies of pictures for pages: their pixels, re-encoded, never the original's bytes or metadata.

What belongs here: shrinking and encoding. What does not: choosing the pictures.
"""

import base64
import io

from PIL import Image

from transforms.pictures import Pixels

LONG_SIDE = 240  # pixels
_QUALITY = 82  # of the JPEG


def thumbnail(picture: Pixels, long_side: int = LONG_SIDE) -> bytes:
    """Shrink a picture to a JPEG.

    Args:
        picture: uint8 of shape (height, width, 3), RGB.
        long_side: Pixels of the longer side; smaller pictures keep their size.

    Raises:
        ValueError: If the picture has another shape or type.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != "uint8" or picture.size == 0:
        raise ValueError(f"a picture must be uint8 of shape (h, w, 3), not {picture.dtype} of {picture.shape}")
    image = Image.fromarray(picture)
    image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=_QUALITY, optimize=True)
    return encoded.getvalue()


def source(picture: Pixels, long_side: int = LONG_SIDE) -> str:
    """Return a thumbnail as a `data:` URL.

    Args:
        picture: As for `thumbnail`.
        long_side: As for `thumbnail`.
    """
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail(picture, long_side)).decode("ascii")
