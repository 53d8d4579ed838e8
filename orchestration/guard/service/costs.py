"""What a file may cost before it is decoded, by what its header says: so that costly ones do not hold up the others.

What belongs here: reading sizes of headers. What does not: refusing a file (`transforms/pictures/bounds.py`), its way
through the service (`guard/service/admission.py`). A header that lies costs its file a place among the costly ones, or
the limits of decoding.
"""

from transforms.pictures.png import SIGNATURE

COSTLY = 16_000_000  # pixels
_GIF, _JPEG, _RIFF, _WEBP = (b"GIF87a", b"GIF89a"), b"\xff\xd8", b"RIFF", b"WEBP"
_FRAMES = range(0xC0, 0xD0)  # markers of JPEG that state a size, but for these
_OTHER = {0xC4, 0xC8, 0xCC}
_AVIF, _BOXES = b"ispe", 65_536  # the box that states a size, and the bytes in which it is looked for
_CHUNKS = 64


def is_costly(data: bytes, frames: int) -> bool:
    """Return whether a file may show more than 16 million pixels, or does not say how many in a way that is known.

    Args:
        data: Its bytes.
        frames: Frames that are checked at most.
    """
    stated = _pixels(data)
    if stated is None or not stated[0]:
        return True
    pixels, several = stated
    return pixels * (frames if several else 1) > COSTLY


def _pixels(data: bytes) -> tuple[int, bool] | None:
    """Return how many pixels a picture has, and whether it may have frames; None if that cannot be told."""
    if data.startswith(SIGNATURE):
        return _area(data[16:20], data[20:24], "big"), _has_chunk(data, b"acTL")
    if data.startswith(_JPEG):
        return _of_jpeg(data)
    if data.startswith(_GIF):
        return _area(data[6:8], data[8:10], "little"), True
    if data.startswith(_RIFF) and data[8:12] == _WEBP:
        return _of_webp(data)
    if data[4:8] == b"ftyp":
        return _of_boxes(data)
    return None


def _area(width: bytes, height: bytes, order: str) -> int:
    return int.from_bytes(width, order) * int.from_bytes(height, order)  # type: ignore[arg-type]


def _has_chunk(data: bytes, kind: bytes) -> bool:
    place = len(SIGNATURE)
    for _ in range(_CHUNKS):
        found = data[place + 4 : place + 8]
        if found in (kind, b"IDAT", b""):
            return found == kind
        place += 12 + int.from_bytes(data[place : place + 4])
    return True


def _of_jpeg(data: bytes) -> tuple[int, bool] | None:
    place = 2
    for _ in range(_CHUNKS):
        marker = data[place + 1 : place + 2]
        if data[place : place + 1] != b"\xff" or not marker:
            return None
        if marker[0] in _FRAMES and marker[0] not in _OTHER:
            return _area(data[place + 7 : place + 9], data[place + 5 : place + 7], "big"), False
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return None


def _of_webp(data: bytes) -> tuple[int, bool] | None:
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(body[place : place + 3], "little") for place in (4, 7))
        return width * height, bool(body[0] & 2)
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (1 + (bits & 0x3FFF)) * (1 + (bits >> 14 & 0x3FFF)), False
    if kind == b"VP8 ":
        return (int.from_bytes(body[6:8], "little") & 0x3FFF) * (int.from_bytes(body[8:10], "little") & 0x3FFF), False
    return None


def _of_boxes(data: bytes) -> tuple[int, bool] | None:
    """Return the greatest of the sizes that an AVIF or a HEIC states."""
    place, most = data.find(_AVIF, 0, _BOXES), 0
    while place >= 0:
        most = max(most, _area(data[place + 8 : place + 12], data[place + 12 : place + 16], "big"))
        place = data.find(_AVIF, place + 4, _BOXES)
    return (most, data[8:12] in (b"avis", b"msf1")) if most else None
