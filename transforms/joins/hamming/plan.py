"""Choosing the bands of an exact Hamming join: which bits are looked up, and how many of them may differ.

What belongs here: the bands, why they miss nothing, and what they cost. What does not: looking up
(`joins/hamming/kernels.py`), the join (`joins/hamming/join.py`).

Why it is exact. Cut a hash into bands without shared bits, and let band i tolerate rᵢ differing bits. If two hashes did
not come together in any band, they would differ in at least rᵢ + 1 bits of each, hence in Σ(rᵢ + 1) bits in all. So two
hashes that differ in at most Σ(rᵢ + 1) - 1 bits come together in some band (the generalised pigeonhole of Qin et al.:
"GPH: Similarity Search in Hamming Space", 2018; with equal bands it is Norouzi, Punjani, Fleet: "Fast Exact Search in
Hamming Space with Multi-Index Hashing", 2014). The widths do not enter: they decide the time only. A band without bits
matches all pairs, which is brute force.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

BITS = 256
REACHES = (0, 1, 2)
MAX_WIDTH = 24  # bits of a band: a table of its values has 16 million places

# Seconds of one core, fitted to runs with 0.1 to 10 million hashes on an AMD EPYC (Zen 4) with two cores.
_SORTED = 25e-9  # a hash is sorted by a band
_PLACE = 4e-9  # a value of a band has its place in a table
_VISIT = 11e-9  # a group of equal values is compared with another
_BLOCK = 1.6e-9  # a hash is compared with up to 16 others
_LANES = 16


@dataclass(frozen=True)
class HashBand:
    """Bits `start` to `start + width` of a hash, of which at most `reach` differ where two hashes come together."""

    start: int
    width: int
    reach: int

    @property
    def masks(self) -> npt.NDArray[np.int64]:
        """Return the differences that the band tolerates, none first: int64, one a set of at most `reach` bits."""
        sets = (c for size in range(self.reach + 1) for c in itertools.combinations(range(self.width), size))
        return np.array([sum(1 << bit for bit in bits) for bits in sets], np.int64)


@dataclass(frozen=True)
class BandPlan:
    """The bands of a join that finds all pairs within `radius` bits; `seconds` is what it may take one core."""

    radius: int
    bands: tuple[HashBand, ...]
    seconds: float

    @property
    def guarantee(self) -> int:
        """Return the largest distance at which no pair is missed."""
        return BITS if any(not band.width for band in self.bands) else sum(b.reach + 1 for b in self.bands) - 1


@cache
def plan(left: int, right: int | None, radius: int) -> BandPlan:
    """Return the cheapest bands for a join.

    Costs add up over bands, so this is a knapsack: `least[g][b]` is the least cost at which bands of at most b bits
    guarantee g - 1 bits. Every choice of widths and reaches is considered.

    Args:
        left: How many hashes are joined.
        right: With how many others; None for a self-join.
        radius: Most differing bits of a pair.

    Raises:
        ValueError: If the radius is not from 0 to 255.
    """
    if not 0 <= radius < BITS:
        raise ValueError(f"radius must be between 0 and {BITS - 1} bits, not {radius}")
    brute = BandPlan(radius, (HashBand(0, 0, 0),), _cost(left, right, 0, 0))
    # Only the widths around one row a value are worth a look: wider tables are empty, narrower ones brute force.
    most = min(MAX_WIDTH, max(left, right or 0).bit_length() + 2)
    kinds = [(width, reach) for width in range(1, most + 1) for reach in REACHES if reach < width]
    costs = {kind: _cost(left, right, *kind) for kind in kinds}
    least = np.full((radius + 2, BITS + 1), math.inf)
    best = np.zeros((radius + 2, BITS + 1), np.int64)
    least[0] = 0
    for guaranteed in range(1, radius + 2):
        for number, (width, reach) in enumerate(kinds):
            before = least[max(0, guaranteed - reach - 1), : BITS + 1 - width] + costs[width, reach]
            better = before < least[guaranteed, width:]
            least[guaranteed, width:][better] = before[better]
            best[guaranteed, width:][better] = number
    if not least[-1, -1] < brute.seconds:
        return brute
    shapes, guaranteed, free = [], radius + 1, BITS
    while guaranteed > 0:
        width, reach = kinds[best[guaranteed, free]]
        shapes.append((width, reach))
        guaranteed, free = guaranteed - reach - 1, free - width
    widths = [width for width, _ in shapes]
    starts = itertools.accumulate(widths, initial=0)
    bands = tuple(HashBand(start, width, reach) for start, (width, reach) in zip(starts, shapes, strict=False))
    return BandPlan(radius, bands, float(least[-1, -1]))


def _cost(left: int, right: int | None, width: int, reach: int) -> float:
    """Return the seconds that one band takes, if its values are uniform."""
    fewer, more = (left, left) if right is None else sorted((left, right))
    places = 2**width
    masks = sum(math.comb(width, size) for size in range(reach + 1)) / (2 if right is None else 1)
    groups = places * -math.expm1(-fewer / places)
    load = more / places
    filled = -math.expm1(-load)
    blocks = max(filled, load / _LANES + filled / 2)  # a group of 17 takes two blocks, so does one of 32
    sides = left if right is None else left + right
    return sides * _SORTED + places * _PLACE + masks * (groups * _VISIT + fewer * blocks * _BLOCK)
