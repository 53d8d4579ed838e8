"""IPTC-IIM, the fields of newspapers that Photoshop keeps among its resources.

What belongs here: creator, credit and copyright notice of such a block. What does not: finding the block
(`rights/blocks.py`).
"""

import struct
from collections.abc import Iterator, Mapping

FIELDS = {80: "creator", 110: "credit", 116: "notice"}
"""Fields by their number in the second record."""
_RESOURCE = 0x0404
_VALUES = 16  # of a field


def records(resources: bytes) -> bytes:
    """Return the IPTC records among Photoshop's resources, or none.

    Args:
        resources: What follows `Photoshop 3.0` in a JPEG, or the tag 34377 of a TIFF.
    """
    place, found = 0, []
    while resources[place : place + 4] == b"8BIM" and place + 12 <= len(resources):
        (kind,) = struct.unpack_from(">H", resources, place + 4)
        named = 1 + resources[place + 6]
        place += 6 + named + named % 2
        size = int.from_bytes(resources[place : place + 4])
        if kind == _RESOURCE:
            found.append(resources[place + 4 : place + 4 + size])
        place += 4 + size + size % 2
    return b"".join(found)


def fields(block: bytes) -> Mapping[str, list[bytes]]:
    """Return the values of FIELDS that records state, in the order in which they do.

    Args:
        block: The records.

    Returns:
        The values by field, as bytes: UTF-8, or of an alphabet that few files name.
    """
    found: dict[str, list[bytes]] = {}
    for record, number, value in _values(block):
        if record == 2 and number in FIELDS and len(values := found.setdefault(FIELDS[number], [])) < _VALUES:
            values.append(value)
    return found


def _values(block: bytes) -> Iterator[tuple[int, int, bytes]]:
    place = 0
    while block[place : place + 1] == b"\x1c" and place + 5 <= len(block):
        record, number, size = struct.unpack_from(">BBH", block, place + 1)
        place += 5
        if size & 0x8000:  # the length of the length
            length = size & 0x7FFF
            size = int.from_bytes(block[place : place + length]) if length <= 4 else len(block)
            place += length
        yield record, number, block[place : place + size]
        place += size
