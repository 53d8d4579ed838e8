"""The orientation that a picture's metadata states, read without trusting the rest of it.

What belongs here: the one tag that decides how pixels are turned. What does not: turning them (`pictures/decoder.py`).
"""

import struct

_ORIENTATION = 0x0112
_TYPES = {3: "H", 4: "I"}  # some tools write LONG where SHORT is due
_MOST = 1_000  # entries of a directory that are looked at


def orientation(exif: bytes) -> int | None:
    """Return the value of the orientation tag of an EXIF block, or None if it cannot be read there.

    Only the first directory is read, entry by entry, so that a value of another tag that is none does no harm.

    Args:
        exif: The block, with or without the six bytes that mark it as EXIF.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for place in range(start + 2, start + 2 + 12 * min(count, _MOST), 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, place)
            if tag == _ORIENTATION:
                return int(struct.unpack_from(order + _TYPES[kind], tiff, place + 8)[0]) if kind in _TYPES else None
    except struct.error:
        return None  # the directory is cut off before the tag
    return None
