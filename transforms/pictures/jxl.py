"""The header of a JPEG XL file: its size, its bits and whether it moves, before anything is decompressed.

What belongs here: reading the header. What does not: decoding, which the plug-in does as it opens a file, of any size.

Source: ISO/IEC 18181-1, sections on SizeHeader and ImageMetadata.
"""

import struct
from dataclasses import dataclass

_BARE, _BOXED = b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_HEADER = 64  # bytes; longer than any header that is read here


@dataclass(frozen=True)
class JxlHeader:
    """What the header states. `several`: whether it may hold more than a single still picture."""

    width: int
    height: int
    bits: int
    several: bool


class _Bits:
    """The bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("its header is cut off")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return value

    def side(self) -> int:
        return 1 + self.take((9, 13, 18, 30)[self.take(2)])

    def size(self) -> tuple[int, int]:
        small = self.take(1)
        height = 8 * (1 + self.take(5)) if small else self.side()
        ratio = self.take(3)
        if ratio:
            across, down = _RATIOS[ratio]
            return height * across // down, height
        return (8 * (1 + self.take(5)) if small else self.side()), height


def header(data: bytes) -> JxlHeader:
    """Read the header of a JPEG XL file. Raises ValueError if there is none."""
    bits = _Bits(_codestream(data))
    width, height = bits.size()
    depth, several = 8, False
    if not bits.take(1):  # not all is as usual
        if bits.take(1):  # orientation, intrinsic size, preview, animation
            bits.take(3)
            if bits.take(1):
                bits.size()
            several = bool(bits.take(1)) or bool(bits.take(1))
        if not several:  # after a preview or an animation come fields of their own
            depth = 32 if bits.take(1) else (8, 10, 12, 0)[bits.take(2)] or 1 + bits.take(6)
    return JxlHeader(width, height, depth, several)


def _codestream(data: bytes) -> bytes:
    """Return the first bytes of the codestream."""
    if data.startswith(_BARE):
        return data[2 : 2 + _HEADER]
    place = 0 if data.startswith(_BOXED) else len(data)
    while place + 16 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        start = place + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        if kind in (b"jxlc", b"jxlp"):
            start += 4 if kind == b"jxlp" else 0  # the number of the part
            if data[start : start + 2] == _BARE:
                return data[start + 2 : start + 2 + _HEADER]
            break
        place += max(8, length) if length else len(data)
    raise ValueError("it holds no codestream of JPEG XL")
