"""What a picture's EXIF states, read entry by entry without trusting the rest of it.

What belongs here: entries of the first directory of an EXIF block or a TIFF. What does not: turning pixels
(`pictures/decoder.py`), what the values mean (`pictures/rights/`).
"""

import struct
from collections.abc import Collection, Iterator, Mapping

_ORIENTATION = 0x0112
_TYPES = {3: "H", 4: "I"}  # some tools write LONG where SHORT is due
_MOST = 1_000  # entries of a directory that are looked at
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_ORDERS = {b"II": "<", b"MM": ">"}
_BIG = 43  # the number of a TIFF whose offsets have 64 bits


def orientation(exif: bytes) -> int | None:
    """Return the value of the orientation tag of an EXIF block, or None if it cannot be read there.

    Only the first directory is read, entry by entry, so that a value of another tag that is none does no harm.

    Args:
        exif: The block, with or without the six bytes that mark it as EXIF.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = _ORDERS.get(tiff[:2])
    if order is None:
        return None
    try:
        for tag, kind, place in _entries(tiff, order):
            if tag == _ORIENTATION:
                return int(struct.unpack_from(order + _TYPES[kind], tiff, place + 8)[0]) if kind in _TYPES else None
    except struct.error:
        return None  # the directory is cut off before the tag
    return None


def values(exif: bytes, wanted: Collection[int]) -> Mapping[int, memoryview]:
    """Return the bytes of some tags of the first directory, as far as they are there. None of them is copied.

    Args:
        exif: An EXIF block, with or without the six bytes that mark it, or a TIFF.
        wanted: The tags.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    found: dict[int, memoryview] = {}
    order = _ORDERS.get(tiff[:2])
    if order is None:
        return found
    whole = memoryview(tiff)
    try:
        big = struct.unpack_from(f"{order}H", tiff, 2)[0] == _BIG
        count_form, inline = ("Q", 8) if big else ("I", 4)
        for tag, kind, place in _entries(tiff, order, big=big):
            if tag in wanted and tag not in found and kind in _SIZES:
                (count,) = struct.unpack_from(order + count_form, tiff, place + 4)
                size, start = count * _SIZES[kind], place + 4 + inline
                if size > inline:
                    (start,) = struct.unpack_from(order + count_form, tiff, start)
                found[tag] = whole[start : start + size]
    except struct.error:
        return found  # the directory is cut off
    return found


def _entries(tiff: bytes, order: str, *, big: bool = False) -> Iterator[tuple[int, int, int]]:
    """Yield tag, type and place of each entry of the first directory. Raises struct.error where it is cut off."""
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), tiff, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), tiff, start)
    first, length = (start + 8, 20) if big else (start + 2, 12)
    for place in range(first, first + length * min(count, _MOST), length):
        tag, kind = struct.unpack_from(f"{order}HH", tiff, place)
        yield tag, kind, place
