"""Which words of two hashes settle that they are no new pair, before all eight are compared.

What belongs here: choosing the words of a band. What does not: the bands (`joins/hamming/plan.py`), comparing
(`joins/hamming/kernels.py`).

Why nothing is missed. A pair is reported in the first band in which it matches. In each band before, which tolerates r
differing bits, a pair that is still to be reported differs in r + 1 bits or more. So words that share no bit with some
of these bands may differ in that many bits fewer than the radius. In the first band the words are bound by the radius
alone, and three of them settle nearly every pair; in the last ones a single word does.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from transforms.joins.hamming.plan import BITS, BandPlan

_WORD, _LANES = 32, 16
_SIZES = (1, 2, 3)
# In units of one word of 16 hashes: what every comparison takes besides, what comparing all eight words takes.
_EACH, _ALL = 1, 10
_INDEPENDENT = 0.9  # bits of real hashes are not wholly independent: a word tells as much as so many of its bits


@dataclass(frozen=True)
class WordSieve:
    """Words of a pair that is still to be reported, and the most bits in which they differ together.

    Attributes:
        words: Their numbers, at most three; none if no choice of them saves time.
        bound: Differing bits.
    """

    words: tuple[int, ...]
    bound: int


def band_bits(plan: BandPlan) -> npt.NDArray[np.uint32]:
    """Return the bits of each band in each word of a hash: uint32 of shape (bands, 8)."""
    used = np.zeros((len(plan.bands), BITS), np.uint8)
    for number, band in enumerate(plan.bands):
        used[number, band.start : band.start + band.width] = 1
    return np.packbits(used, axis=1, bitorder="little").view("<u4").astype(np.uint32)


@cache
def choose(plan: BandPlan, band: int) -> WordSieve:
    """Return the words by which comparing within a band is fastest, for hashes of random bits.

    Args:
        plan: The bands.
        band: Which of them.
    """
    bits = np.bitwise_count(band_bits(plan)).astype(int)
    spent = np.array([each.reach + 1 for each in plan.bands[:band]], int)
    least, chosen = float(_ALL), WordSieve((), plan.radius)
    for words in itertools.chain.from_iterable(itertools.combinations(range(BITS // _WORD), n) for n in _SIZES):
        touched = bits[:, words].sum(axis=1)
        bound = max(0, plan.radius - int(spent[touched[:band] == 0].sum()))
        telling = int(_INDEPENDENT * (_WORD * len(words) - touched[band]))  # within the band nearly all bits agree
        cost = len(words) + _EACH + _LANES * _share(telling, bound) * _ALL
        if cost < least:
            least, chosen = cost, WordSieve(words, bound)
    return chosen


@cache
def _share(bits: int, bound: int) -> float:
    """Return the share of random pairs that differ in at most `bound` of so many bits."""
    return sum(math.comb(bits, differing) for differing in range(min(bits, bound) + 1)) / 2**bits
