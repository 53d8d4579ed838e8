"""The metadata of files made of boxes (ISO 14496-12): AVIF and HEIC, and JPEG XL.

What belongs here: finding their blocks. What does not: other files (`rights/blocks.py`), reading the blocks
(`rights/statements.py`).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from transforms.pictures.rights.blocks import PARTS, MetadataBlocks, is_manifest

_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP_TYPE = b"application/rdf+xml"
_PACKED = {b"xml ": "XMP", b"Exif": "EXIF", b"jumb": "C2PA"}  # of a JPEG XL
_EXTENTS = 10_000  # of all items, those of pixels too


class _Broken(ValueError):
    """A box is cut off, or holds what it cannot."""


@dataclass
class _Items:
    """The items of a file: their kinds, and where they lie.

    Attributes:
        kinds: EXIF or XMP by the number of an item.
        extents: Places and sizes, and whether they are in the box `idat`.
        inside: Where the contents of that box begin and end.
    """

    kinds: dict[int, str] = field(default_factory=dict)
    extents: dict[int, list[tuple[int, int, bool]]] = field(default_factory=dict)
    inside: tuple[int, int] = (0, 0)


def of_boxes(data: bytes, found: MetadataBlocks) -> None:
    """Find the blocks of a file made of boxes.

    Args:
        data: The file.
        found: Receives them.
    """
    try:
        for kind, start, end in _boxes(data, 0, len(data), found):
            if kind == b"meta":
                _add_items(data, _items(data, start + 4, end, found), found)
            elif kind == b"uuid" and data.startswith(_C2PA, start):
                found.manifest = "a box uuid"
            elif kind == b"jumb" and is_manifest(data[start - 8 : start + 12]):
                found.manifest = "a box jumb"
            elif kind == b"xml " and found.afford("XMP", end - start):
                found.xmp.append(data[start:end])
            elif kind == b"brob" and data[start : start + 4] in _PACKED:
                found.note(f"{_PACKED[data[start : start + 4]]}: compressed by brotli, which is not read")
            elif kind == b"Exif" and found.afford("EXIF", end - start):
                found.exif.append(_without_offset(data[start:end]))
    except (struct.error, _Broken) as error:
        found.note(f"boxes of metadata are broken: {error}")


def _boxes(data: bytes, place: int, end: int, found: MetadataBlocks) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box, and where its contents begin and end."""
    for _ in range(PARTS):
        if place + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, place + 8)
            head = 16
        elif size == 0:
            size = end - place
        if size < head:
            raise _Broken(f"a box of {size} bytes")
        yield kind, place + head, min(end, place + size)
        place += size
    found.note(f"metadata behind its first {PARTS} boxes")


def _items(data: bytes, start: int, end: int, found: MetadataBlocks) -> _Items:
    items = _Items()
    for kind, first, last in _boxes(data, start, end, found):
        if kind == b"iinf":
            wide = data[first] > 0
            for each, at, until in _boxes(data, first + (8 if wide else 6), last, found):
                if each == b"infe":
                    _add_kind(data[at:until], items)
        elif kind == b"iloc":
            _add_extents(data[first:last], items, found)
        elif kind == b"idat":
            items.inside = first, last
    return items


def _add_kind(entry: bytes, items: _Items) -> None:
    version = entry[0] if entry else 0
    if version < 2:
        return  # of a file without metadata items
    number = int.from_bytes(entry[4:6] if version == 2 else entry[4:8])
    rest = entry[8:] if version == 2 else entry[10:]
    kind = rest[:4]
    if kind == b"Exif":
        items.kinds[number] = "EXIF"
    elif kind == b"mime" and rest[4:].split(b"\0")[1:2] == [_XMP_TYPE]:
        items.kinds[number] = "XMP"


def _add_extents(box: bytes, items: _Items, found: MetadataBlocks) -> None:
    version, sizes, more = struct.unpack_from(">B3xBB", box)
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, more >> 4
    index_size = more & 15 if version in (1, 2) else 0
    place = 6

    def number(size: int) -> int:
        nonlocal place
        if place + size > len(box):
            raise _Broken("a list of places that is cut off")
        place += size
        return int.from_bytes(box[place - size : place])

    left = _EXTENTS
    for _ in range(min(number(4 if version == 2 else 2), PARTS)):
        item = number(4 if version == 2 else 2)
        inside = bool(version) and number(2) & 15 == 1
        number(2)  # which file
        base = number(base_size)
        for _ in range(number(2)):
            number(index_size)
            offset, length = base + number(offset_size), number(length_size)
            left -= 1
            if left < 0:
                found.note(f"metadata behind its first {_EXTENTS} pieces")
                return
            items.extents.setdefault(item, []).append((offset, length, inside))


def _add_items(data: bytes, items: _Items, found: MetadataBlocks) -> None:
    for number, kind in items.kinds.items():
        pieces = []
        for offset, length, inside in items.extents.get(number, ()):
            start = offset + (items.inside[0] if inside else 0)
            end = min(len(data) if not inside else items.inside[1], start + length if length else len(data))
            if not found.afford(kind, max(0, end - start)):
                break
            pieces.append(data[start:end])
        else:
            block = b"".join(pieces)
            if kind == "XMP":
                found.xmp.append(block)
            else:
                found.exif.append(_without_offset(block))


def _without_offset(block: bytes) -> bytes:
    """Return an EXIF block without the four bytes that say how much precedes it."""
    return block[4 + int.from_bytes(block[:4]) :]
