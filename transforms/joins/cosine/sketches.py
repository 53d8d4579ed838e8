"""Vectors in little memory: sketches to search by, and 8-bit numbers to score by.

What belongs here: the sketch of a vector, what it can miss, and rounding a vector to bytes. What does not: scanning
sketches (`joins/hamming/scan.py`), the vectors themselves (`encoders/`).

A sketch is the signs of a vector after a random rotation. Two vectors at an angle differ in the share angle / π of
their signs (Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002). The rotation is three
rounds of random signs and a Walsh-Hadamard transform (Andoni et al., "Practical and optimal LSH for angular distance",
NeurIPS 2015): sums in a fixed order, so a sketch is the same on every machine.
"""

import math

import numpy as np
import numpy.typing as npt

from transforms.encoders import Vectors
from transforms.packages import COMPILED

if COMPILED:
    from transforms.joins.cosine.sketch_kernels import products, turn
else:
    from transforms.uncompiled.turns import products, turn

__all__ = ("Codes", "bits", "cosines", "products", "quantise", "radius", "sketch")

Codes = npt.NDArray[np.int8]
_ROUNDS, _SEED = 3, 20_260
_LEAST_BITS = 128  # what a scan reads at once
_MISS = 4.0  # standard deviations: 3 pairs in 100,000 lie beyond
_CODE = 127


def bits(dimension: int) -> int:
    """Return the bits of a sketch of a vector: the next power of two."""
    return max(_LEAST_BITS, 1 << (dimension - 1).bit_length())


def sketch(vectors: Vectors) -> npt.NDArray[np.uint8]:
    """Return the sketches of vectors, float32 of shape (n, d), as uint8 of shape (n, bits / 8)."""
    turned = np.zeros((len(vectors), bits(vectors.shape[1])), np.float32)
    turned[:, : vectors.shape[1]] = vectors
    turn(turned, np.random.default_rng(_SEED).integers(0, 2, (_ROUNDS, turned.shape[1])) == 1)
    return np.packbits(turned > 0, axis=1)


def radius(cosine: float, width: int, deviations: float = _MISS) -> int:
    """Return the bits in which nearly all pairs of at least this cosine differ at most.

    This assumes independent signs, and those of a rotation are nearly independent, so measure the recall.

    Args:
        cosine: Least cosine of the pairs.
        width: Bits of a sketch.
        deviations: How far it lies beyond the mean of pairs at that cosine, in standard deviations.
    """
    share = math.acos(max(-1.0, min(1.0, cosine))) / math.pi
    return min(width, math.ceil(width * share + deviations * math.sqrt(width * share * (1 - share))))


def quantise(vectors: Vectors) -> Codes:
    """Return vectors of norm 1, float32 (n, d), as int8 (n, d): each scaled by its largest number, then rounded.

    The scale is not kept: a cosine needs none.
    """
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    return np.rint(vectors * (_CODE / np.where(largest > 0, largest, 1))).astype(np.int8)


def cosines(codes: Codes, vectors: Vectors) -> npt.NDArray[np.float32]:
    """Return the cosines of quantised vectors and vectors, float32 of shape (n, m).

    Args:
        codes: int8 of shape (n, d), as `quantise` returns them.
        vectors: float32 of shape (m, d), norm 1.
    """
    norms = np.sqrt(np.einsum("ij,ij->i", codes, codes, dtype=np.float32))[:, None]
    return np.asarray(products(codes, vectors) / np.maximum(norms, 1), np.float32)
