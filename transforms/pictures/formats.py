"""The formats of pictures, told by their first bytes, and the plug-ins that some of them need.

What belongs here: which formats are read, and by what. What does not: decoding them (`pictures/decoder.py`).
"""

import importlib
from functools import cache
from typing import Any

from PIL import Image

from transforms.packages import installing

# Only formats that browsers show: Pillow also opens some that run other programs (EPS) or that nobody trains on.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
HEAD = 16  # bytes by which a format is told
PICTURE_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".jxl"}
)
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_JXL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n")
_AMBIGUOUS = frozenset({b"mif1", b"msf1"})  # brands of AVIF and HEIC alike


def begins_as_picture(head: bytes) -> bool:
    """Return whether a file with these first HEAD bytes could be a picture, readable with the plug-ins or not."""
    if plug_in_format(head) is not None:
        return True
    Image.init()
    return any(accept is not None and accept(head) for _, accept in (Image.OPEN[kind] for kind in FORMATS))


def plug_in_format(head: bytes) -> str | None:
    """Return HEIF or JXL if a file with these first bytes is one, which only a plug-in reads; else None."""
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        return "HEIF"
    return "JXL" if head.startswith(_JXL) else None


def readable_formats(head: bytes) -> tuple[str, ...]:
    """Return the formats in which to try to open a file, the plug-in's among them where it is installed.

    Args:
        head: The first HEAD bytes of the file.

    Raises:
        ImportError: If the file needs a plug-in that is not installed. The message says what to install.
    """
    needed = plug_in_format(head)
    if needed is None:
        ambiguous = head[4:8] == b"ftyp" and head[8:12] in _AMBIGUOUS
        return (*FORMATS, "HEIF") if ambiguous and _plug_in("HEIF") else FORMATS
    if not _plug_in(needed):
        name = {"HEIF": "HEIC", "JXL": "JPEG XL"}[needed]
        raise ImportError(f"{name} needs a plug-in that is not installed: {installing('formats')}")
    return (needed,)


@cache
def _plug_in(kind: str) -> bool:
    """Register a plug-in with Pillow, once. Return whether it is installed.

    The register is that of the process. Adding a format to it changes nothing for pictures of other formats, and every
    caller here names the formats that it opens. A plug-in gets one thread: there is a process for each picture in work.
    """
    try:
        if kind == "HEIF":
            importlib.import_module("pillow_heif").register_heif_opener(thumbnails=False, decode_threads=1)
        else:
            plug_in: Any = importlib.import_module("pillow_jxl.JpegXLImagePlugin")  # registers itself
            plug_in.DECODE_THREADS = 0  # beside its own
    except ImportError:
        return False
    return True
