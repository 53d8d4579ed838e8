"""Files rebuilt so that only what decides their pixels is left: metadata never decides over pixels.

What belongs here: for each format, which other bytes hold the same pixels. What does not: trying them
(`pictures/decoder.py`), the orientation tag (`pictures/exif.py`).

All of it is done to the bytes of one file. Pillow's own switches (`LOAD_TRUNCATED_IMAGES`, `MAX_TEXT_CHUNK`) hold for
the whole process, so that other threads and libraries would get half pictures too; they stay as they are.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transforms.pictures import jpeg, png

_RIFF_PIXELS = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
_RIFF_METADATA = 0x20 | 0x08 | 0x04  # flags of VP8X: colour profile, EXIF, XMP
_AVIF_EXIF = re.compile(rb"(infe[\x02\x03].{3}(?:.{2}|.{4}).{2})Exif", re.DOTALL)
_ORIENTATION, _WHOLE_NUMBERS = 274, (3, 4)
# Tags of TIFF that decide pixels and their place. All others may be of any type and point anywhere.
_TIFF_TAGS = frozenset(
    {254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 332}
    | {336, 338, 339, 347, 512, 513, 514, 519, 520, 521, 529, 530, 531, 532}
)


@dataclass(frozen=True)
class RebuiltFile:
    """Other bytes with the same pixels.

    Attributes:
        data: The bytes.
        note: What was wrong with the file.
        witnesses: Further files. Pixels are whole only if all show the same.
        exif: The EXIF block that was left out, or None.
        hidden: What was left out that a viewer may show, or None.
    """

    data: bytes
    note: str
    witnesses: Sequence[bytes] = ()
    exif: bytes | None = None
    hidden: str | None = None


def rebuilt_files(data: bytes, max_pixels: int) -> Iterator[RebuiltFile]:
    """Yield files to decode in place of one that cannot be decoded, the most complete first.

    Args:
        data: The file.
        max_pixels: Most pixels it may have.
    """
    if data.startswith(png.SIGNATURE):
        yield from _png_files(data, max_pixels)
    elif data.startswith(jpeg.START):
        yield from _jpeg_files(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        yield from _webp_files(data)
    elif data[:4] in (b"II*\0", b"MM\0*"):
        if (tiff := _tiff(data)) is not None:
            yield RebuiltFile(tiff, "its metadata was left out")
    elif data[4:8] == b"ftyp" and (without := _AVIF_EXIF.sub(rb"\1none", data)) != data:
        yield RebuiltFile(without, "its metadata was left out")


def _png_files(data: bytes, max_pixels: int) -> Iterator[RebuiltFile]:
    ends = any(chunk.kind == b"IEND" for chunk in png.chunks(data))
    note = "its metadata was left out" if ends else "its end is cut off after the last pixel"
    whole = png.rebuilt(data, max_pixels, animated=True)
    if whole is not None:
        yield RebuiltFile(whole, note)
    if any(chunk.kind == b"acTL" for chunk in png.chunks(data)):
        still = png.rebuilt(data, max_pixels, animated=False)
        if still is not None:
            yield RebuiltFile(still, "its animation was left out", hidden="its animation is broken")


def _jpeg_files(data: bytes) -> Iterator[RebuiltFile]:
    plain = jpeg.without_metadata(data)
    read = jpeg.segments(data)
    if plain is None or read is None:
        return
    exif = b"".join(each.body.removeprefix(jpeg.EXIF) for each in read[0] if each.body.startswith(jpeg.EXIF)) or None
    several = any(each.body.startswith(jpeg.INDEX) for each in read[0])
    hidden = "its list of further pictures is broken" if several else None
    yield RebuiltFile(plain, "its metadata was left out", exif=exif, hidden=hidden)
    if (closed := jpeg.closed(plain)) is not None:
        note = "its end is cut off after the last pixel"
        yield RebuiltFile(closed[0], note, witnesses=closed[1:], exif=exif, hidden=hidden)


def _webp_files(data: bytes) -> Iterator[RebuiltFile]:
    parts: list[tuple[bytes, bytes]] = []
    exif, place = None, 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        body = data[place + 8 : place + 8 + length]
        if kind == b"EXIF":
            exif = body
        elif kind in _RIFF_PIXELS:
            if len(body) < length:
                return  # pixels are missing
            parts.append((kind, bytes([body[0] & ~_RIFF_METADATA]) + body[1:] if kind == b"VP8X" and body else body))
        place += 8 + length + length % 2
    if parts:
        yield RebuiltFile(_riff(parts), "its metadata was left out", exif=exif)


def _riff(parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    written = b"".join(
        struct.pack("<4sI", kind, len(body)) + body + (b"\0" if len(body) % 2 else b"") for kind, body in parts
    )
    return struct.pack("<4sI4s", b"RIFF", len(written) + 4, b"WEBP") + written


def _decides(tag: int, kind: int, count: int) -> bool:
    if tag == _ORIENTATION:
        return kind in _WHOLE_NUMBERS and count == 1
    return tag in _TIFF_TAGS


def _tiff(data: bytes) -> bytes | None:
    """Return a TIFF whose first directory has only the tags that decide pixels, or None if it cannot be read."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        entries = [data[place : place + 12] for place in range(start + 2, start + 2 + 12 * count, 12)]
        kept = [each for each in entries if len(each) == 12 and _decides(*struct.unpack(f"{order}HHI", each[:8]))]
        following = data[start + 2 + 12 * count :][:4].ljust(4, b"\0")
        directory = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + following
        return data[:start] + directory + data[start + len(directory) :]  # nothing moves: offsets count from the start
    except struct.error:
        return None
