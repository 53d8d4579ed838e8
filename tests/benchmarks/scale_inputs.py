"""Inputs of any size, made in pieces: hashes and edges with planted truth, captions, digests, metadata.

What belongs here: arrays and tables that depend on seeds alone. What does not: warehouses that hold them
(`scale_warehouse.py`), measuring (`scale.py`).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tests.benchmarks.data import flip_bits

Numbers = npt.NDArray[np.int64]
ZIPF, UNIFORM = "zipf", "uniform"
_TAIL, _SHIFT = 0.6, 10  # the k-th word is drawn as often as 1 / (k + 10)^1.6
_MANY = 2**40  # words are numbers below, and those that only one caption has lie above
_FEW = 33_000  # uniform words
_COPIED = 20  # one caption in so many is a copy
_SHARED = 20  # of so many pictures, two have nearly equal hashes


@dataclass(frozen=True)
class PlantedHashes:
    """Uniform 256-bit hashes, of which some were made close.

    Attributes:
        rows: uint8 of shape (n, 32).
        left: The lower indices of the close pairs.
        right: The higher ones.
    """

    rows: npt.NDArray[np.uint8]
    left: Numbers
    right: Numbers

    def codes(self, left: Numbers, right: Numbers) -> Numbers:
        """Return a number for each pair, of lower and higher indices."""
        return left * len(self.rows) + right


def hashes(count: int, pairs: int) -> PlantedHashes:
    """Return uniform hashes, and pairs of them that differ in 0 to 31 bits."""
    rng = np.random.default_rng(7)
    rows = np.empty((count, 32), np.uint8)
    for start in range(0, count, 1_000_000):  # so that nothing else needs their memory again
        part = rows[start : start + 1_000_000]
        part[:] = rng.integers(0, 256, part.shape, np.uint8)
    ends = rng.choice(count, (pairs, 2), replace=False, shuffle=False)
    flip_bits(rows, ends[:, 0], ends[:, 1], np.arange(pairs) % 32, rng)
    return PlantedHashes(rows, ends.min(axis=1), ends.max(axis=1))


@dataclass(frozen=True)
class HashFile:
    """256-bit hashes in a file, one behind the other; read piece by piece, and never mapped into memory."""

    path: Path

    def __len__(self) -> int:
        return self.path.stat().st_size // 32

    def __getitem__(self, part: slice) -> npt.NDArray[np.uint8]:
        start, stop, _ = part.indices(len(self))
        return np.fromfile(self.path, np.uint8, 32 * (stop - start), offset=32 * start).reshape(-1, 32)


def hash_file(path: Path, count: int, pairs: int) -> tuple[HashFile, Numbers, Numbers]:
    """Write uniform hashes to a file, and pairs of them that differ in 0 to 31 bits; return the ends of the pairs.

    Args:
        path: The file.
        count: How many hashes.
        pairs: How many pairs of them are near.
    """
    rng = np.random.default_rng(7)
    with path.open("wb", buffering=0) as file:
        for start in range(0, count, 1_000_000):
            rng.integers(0, 256, (min(1_000_000, count - start), 32), np.uint8).tofile(file)
    made, ends = HashFile(path), rng.choice(count, (pairs, 2), replace=False, shuffle=False)
    sources = np.concatenate([made[row : row + 1] for row in ends[:, 0].tolist()])
    both = np.concatenate([sources, sources])
    flip_bits(both, np.arange(pairs), np.arange(pairs, 2 * pairs), np.arange(pairs) % 32, rng)
    with path.open("r+b", buffering=0) as file:
        for row, copy in zip(ends[:, 1].tolist(), both[pairs:], strict=True):
            os.pwrite(file.fileno(), copy.tobytes(), 32 * row)
    return made, ends.min(axis=1), ends.max(axis=1)


def edges(nodes: int, count: int, groups: int, batch: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield edges that connect node v with v modulo `groups` and with no other: trees first, then random ones.

    Members of a group are far from each other in memory, and edges come in no order of nodes.

    Args:
        nodes: How many nodes there are.
        count: How many edges, at least `nodes` - `groups`.
        groups: How many components they make.
        batch: Edges that are yielded at once.
    """
    rng = np.random.default_rng(9)
    tree = nodes - groups
    step = next(step for step in range(int(tree * 0.6180339), tree + 1) if np.gcd(step, tree) == 1)
    for start in range(0, count, batch):
        number = np.arange(start, min(count, start + batch))
        node = groups + number % tree * step % tree  # every node but the first of each group, once a round
        earlier = (rng.random(len(node)) * (node // groups)).astype(np.int64) * groups + node % groups
        yield node, earlier


def captions(count: int, words: str, seed: int) -> pa.Array:
    """Return captions, of which the last twentieth are copies of the first ones with a word appended.

    A copy shares all words of its original but one: of four different words or more, which each of those has, that is a
    Jaccard similarity of 0.8 or more. Words are numbers.

    Args:
        count: How many captions.
        words: `zipf`: as real texts have them, a few in every caption and new ones appearing as the text grows;
            `uniform`: eight of 33,000, all equally frequent.
        seed: Of their words.
    """
    rng, copies = np.random.default_rng(seed), count // _COPIED
    lengths = np.full(count, 8) if words == UNIFORM else 5 + rng.poisson(6, count)
    lengths[count - copies :] = lengths[:copies] + 1
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    drawn = rng.random(offsets[-1])
    if words == UNIFORM:
        said = (drawn * _FEW).astype(np.int64)
    else:  # the inverse of the distribution: a power law without an end
        said = np.minimum((_SHIFT + 1) * (1 - drawn) ** (-1 / _TAIL) - _SHIFT, _MANY - 1).astype(np.int64)
    first = offsets[:copies, None] + np.arange(4)
    said[first] += (np.arange(4) - said[first]) % 4  # four words that differ
    begin = offsets[count - copies]
    for number in range(copies):
        start = offsets[count - copies + number]
        said[start : start + lengths[number]] = said[offsets[number] : offsets[number + 1]]
    said[offsets[count - copies + 1 :] - 1] = _MANY + (seed << 24) + begin + np.arange(copies)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pc.cast(said, pa.string())), " ")


def planted_pairs(count: int) -> tuple[Numbers, Numbers]:
    """Return which of so many captions are originals, and which are their copies."""
    originals = np.arange(count // _COPIED)
    return originals, count - len(originals) + originals


def metadata(rows: int, words: str, seed: int) -> pa.Table:
    """Return metadata in LAION's columns: `captions`, and a URL of its own for each row."""
    rng = np.random.default_rng(seed)
    host = (1000 * rng.random(rows) ** 3).astype(np.int64)
    urls = [f"https://host{of}.example.org/{seed}/{row}.jpg" for row, of in enumerate(host.tolist())]
    return pa.table(
        {
            "URL": urls,
            "TEXT": captions(rows, words, seed),
            "WIDTH": rng.integers(200, 2_000, rows, np.int32),
            "HEIGHT": rng.integers(200, 2_000, rows, np.int32),
            "similarity": rng.uniform(0.28, 0.5, rows),
            "punsafe": rng.random(rows) ** 4,
        }
    )


def shown(rows: Numbers) -> Numbers:
    """Return which picture each row shows: four of five one of their own, the others one of an earlier row.

    Low numbers are repeated most, as on the web.
    """
    own = rows - rows // 5
    repeated = (_mixed(rows.astype(np.uint64)) / 2.0**64) ** 3 * own
    return np.where(rows % 5 == 4, repeated.astype(np.int64), own)


def clustered(pictures: Numbers) -> Numbers:
    """Return the picture that each one is in a cluster with, the lower of two with nearly equal hashes."""
    return pictures - (pictures % _SHARED == 1)


def digests(pictures: Numbers, kind: str) -> npt.NDArray[np.uint8]:
    """Return a digest of each picture, uint8 of shape (n, 32), the same wherever it is asked for.

    Args:
        pictures: Their numbers.
        kind: Which: `sha256`, `pixel_sha256` or `pdq`. Of the latter, pictures of one cluster differ in three bits.
    """
    numbers = clustered(pictures) if kind == "pdq" else pictures
    seeds = np.uint64(("sha256", "pixel_sha256", "pdq").index(kind) << 60) + numbers.astype(np.uint64) * np.uint64(4)
    made = _mixed(seeds[:, None] + np.arange(4, dtype=np.uint64)).view(np.uint8)
    if kind == "pdq":
        made[numbers != pictures, 3] ^= 0b111
    return made


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Spread numbers over all bits (SplitMix64)."""
    x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
