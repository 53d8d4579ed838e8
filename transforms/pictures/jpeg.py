"""A JPEG rebuilt from the segments that hold its pixels.

What belongs here: the segments of a JPEG, and whether its scans are all there. What does not: other formats
(`pictures/containers.py`), decoding (`pictures/decoder.py`).
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

START, END = b"\xff\xd8", b"\xff\xd9"
EXIF, INDEX = b"Exif\0\0", b"MPF\0"
_APP0, _APP15, _COMMENT, _SCAN = 0xE0, 0xEF, 0xFE, 0xDA
_COLOURS = {0xE0: 14, 0xEE: 12}  # JFIF's and Adobe's segments, and the least bytes of each
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_NEXT = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # a marker; neither a stuffed byte nor a restart
_COEFFICIENTS = 64
_FILLERS = tuple(bytes((seed + 97 * i) % 255 for i in range(64)) for seed in (42, 85, 170, 254))  # without 0xFF


@dataclass(frozen=True)
class Segment:
    """A segment before the pixels: its marker's second byte, and its contents."""

    marker: int
    body: bytes


def spans(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the contents of each segment up to the first scan, that of its header last."""
    place = 2
    while found := _MARKER.search(data, place):  # fill bytes, and what is none of the format's, lie between
        place, marker = found.start(), data[found.start() + 1]
        if place + 4 > len(data):
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD9:
            place += 2  # markers without contents
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        end = place + 2 + max(2, length)
        yield marker, place + 4, end
        if marker == _SCAN:
            return
        place = end


def segments(data: bytes) -> tuple[list[Segment], int] | None:
    """Return the segments before the first scan, and where that begins, or None if there is none."""
    found: list[Segment] = []
    for marker, start, end in spans(data):
        if marker == _SCAN:
            return found, start - 4
        found.append(Segment(marker, data[start:end]))
    return None


def without_metadata(data: bytes) -> bytes | None:
    """Return a JPEG without its metadata, or None if it has no scan.

    JFIF's and Adobe's segments stay: they say how colours are stored.
    """
    if (read := segments(data)) is None:
        return None
    found, start = read
    kept = (each for each in found if not _is_metadata(each))
    written = (struct.pack(">BBH", 0xFF, each.marker, len(each.body) + 2) + each.body for each in kept)
    return START + b"".join(written) + data[start:]


def _is_metadata(segment: Segment) -> bool:
    if segment.marker in _COLOURS:
        return len(segment.body) < _COLOURS[segment.marker]
    return segment.marker == _COMMENT or _APP0 <= segment.marker <= _APP15


def closed(data: bytes) -> list[bytes] | None:
    """Close a JPEG that ends before its end mark, in several ways.

    The decoder reads zeros after the end of the data. In the further files other bits follow. If all show the same
    pixels, no missing bit decides any.

    Args:
        data: The file.

    Returns:
        The files, the plain one first, or None if a whole scan is missing, of which no bit tells.
    """
    if not _scans_are_all_there(data):
        return None
    stuffed = data + (b"\0" if data.endswith(b"\xff") else b"")
    return [data + END, *(stuffed + filler + END for filler in _FILLERS)]


def _scans_are_all_there(data: bytes) -> bool:
    """Return whether the scans state every coefficient of every component to its last bit."""
    left: dict[int, list[int]] | None = None
    for marker, body in _headers(data):
        if marker in _FRAMES and len(body) >= 6:
            left = {body[6 + 3 * i]: [_COEFFICIENTS] * _COEFFICIENTS for i in range(body[5]) if 6 + 3 * i < len(body)}
        if marker == _SCAN and left and body and len(body) >= 4 + 2 * body[0]:
            first, last, bits = body[1 + 2 * body[0] :][:3]
            for component in body[1 : 1 + 2 * body[0] : 2]:
                for place in range(first, min(last, _COEFFICIENTS - 1) + 1):
                    left.get(component, [0] * _COEFFICIENTS)[place] = bits & 15
    return left is not None and not any(bits for component in left.values() for bits in component)


def _headers(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the segments of a whole file, those between scans too."""
    place = 2
    while found := _NEXT.search(data, place):
        marker, start = data[found.end() - 1], found.end()
        if marker == END[1] or start + 2 > len(data):
            return
        (length,) = struct.unpack_from(">H", data, start)
        yield marker, data[start + 2 : start + max(2, length)]
        place = start + max(2, length)
