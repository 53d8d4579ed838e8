"""How alike two perceptual hashes are, in words: people do not read bits.

What belongs here: the words, and what a turned or mirrored picture's hash is, of the hash alone. What does not: hashing
(`hashing/hashes.py`), which distance makes a copy (`settings/thresholds.py`).

A PDQ hash says of 16 x 16 frequencies whether each is above their median. Turning a picture swaps or negates them, so
that the hash of a turned picture follows from its own but for those near the median, and for the grid by which it was
made small: measured on photographs up to 40 bits, where the nearest turn of an unrelated picture is 98 bits away.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

_NEARLY, _SIMILAR = 10, 31  # bits of 256
_TURNED_NEARLY, _TURNED_SIMILAR = 40, 64  # of a hash that was turned, those near the median included
_SIDE = 16
DIFFERENT = "different hash"


def likeness(bits: float) -> str:
    """Return how alike two hashes are that differ in so many bits of 256."""
    if bits <= 0:
        return "identical hash"
    if bits <= _NEARLY:
        return "nearly identical hash"
    return "similar hash" if bits <= _SIMILAR else DIFFERENT


def _turns() -> list[tuple[str, bool, npt.NDArray[np.bool_]]]:
    """Return for each turn its words, whether rows and columns swap, and which frequencies are negated."""
    row, column = np.indices((_SIDE, _SIDE)) % 2 == 1
    none = np.zeros_like(row)
    return [
        ("mirrored", False, column),
        ("turned by 180°", False, row ^ column),
        ("mirrored top to bottom", False, row),
        ("turned by 90°", True, row),
        ("turned by 90°", True, column),
        ("mirrored and turned by 90°", True, none),
        ("mirrored and turned by 90°", True, row ^ column),
    ]


_TURNS = _turns()


@dataclass(frozen=True)
class TurnedHash:
    """A hash as that of its picture turned and mirrored, to be compared with many.

    Attributes:
        digest: The hash, as 64 hexadecimal digits.
    """

    digest: str

    @cached_property
    def own(self) -> int:
        """The hash as a number."""
        return int(self.digest, 16)

    @cached_property
    def turned(self) -> tuple[tuple[str, int], ...]:
        """Its turns, each with its words. Most copies are near the hash itself, so that nobody asks for them."""
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(self.digest), np.uint8)).reshape(_SIDE, _SIDE).astype(np.bool_)
        turned = [(word, np.packbits((bits.T if swap else bits) ^ negated)) for word, swap, negated in _TURNS]
        return tuple((word, int.from_bytes(hashed.tobytes())) for word, hashed in turned)

    def likeness(self, digest: str) -> str:
        """Return how alike another hash is, in words, such as "mirrored, nearly identical hash".

        Args:
            digest: The other hash, as 64 hexadecimal digits.
        """
        other = int(digest, 16)
        if (bits := (self.own ^ other).bit_count()) <= _SIMILAR:
            return likeness(bits)
        word, least = min(((word, (each ^ other).bit_count()) for word, each in self.turned), key=lambda pair: pair[1])
        if least <= _TURNED_NEARLY:
            return f"{word}, nearly identical hash"
        return f"{word}, similar hash" if least <= _TURNED_SIMILAR else likeness(bits)
