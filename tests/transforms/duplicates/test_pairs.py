"""Proposed pairs, compared by pixels: the same rows however many are compared at once, and few comparisons."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from transforms.alignment.comparer import PixelComparison
from transforms.alignment.policy import PixelLimits
from transforms.duplicates import pairs
from transforms.duplicates.pairs import DuplicateThresholds, NearPairs
from transforms.fingerprints.picture_set import COLUMNS, Pictures

CUT = DuplicateThresholds(31, 0.5, 0.5, PixelLimits())
TRIES = 8


def different(count: int) -> Pictures:
    """Return pictures without a meaningful hash, so that pixels alone decide."""
    kinds = {"sample_id": pa.uint64(), "status": pa.string(), "width": pa.int32(), "height": pa.int32()}
    rows = [
        dict.fromkeys(COLUMNS)
        | {"sample_id": n, "status": "low_quality", "width": 9, "height": 9, "pdq": n.to_bytes(32)}
        | {"sha256": n.to_bytes(32), "pixel_sha256": n.to_bytes(32)}
        for n in range(count)
    ]
    schema = pa.schema([(name, kinds.get(name, pa.binary(32))) for name in COLUMNS])
    with TemporaryDirectory() as folder:
        return Pictures([pa.RecordBatch.from_pylist(rows, schema)], count, Path(folder), 10**6)


class Asked:
    """Answers whether two pictures are the same, and remembers what it was asked."""

    def __init__(self, same: set[tuple[int, int]]) -> None:
        self.same, self.asked, self.most = same, Counter[tuple[int, int]](), 0

    def __call__(self, pairs: Sequence[tuple[int, int]]) -> list[PixelComparison]:
        self.most = max(self.most, len(pairs))
        self.asked.update(pairs)
        return [PixelComparison(pair in self.same, 0.0, 1, 1.0, 1.0) for pair in pairs]


def confirmed(
    pictures: Pictures, proposed: Sequence[tuple[int, int]], compare: Asked, at_once: int
) -> list[tuple[int, int, str]]:
    """Return the ends and the method of the pairs that are compared, the closest first."""
    left, right = np.array(proposed, np.int64).reshape(-1, 2).T
    near = NearPairs(pictures.pixel_digests[left], pictures.pixel_digests[right], 1 - np.arange(len(left)) / 10_000)
    found = pa.concat_tables(pairs.pairs(pictures, [], [near], CUT, compare, at_once))
    names = ("sample_id_a", "sample_id_b", "method")
    return list(zip(*(found[name].to_pylist() for name in names), strict=True))


def one_by_one(proposed: Sequence[tuple[int, int]], same: set[tuple[int, int]]) -> list[tuple[int, int, str]]:
    """Return the same, by the rule itself."""
    group: dict[int, int] = {n: n for pair in proposed for n in pair}
    refused: Counter[tuple[int, int]] = Counter()
    rows = []
    for a, b in proposed:
        one, other = sorted((group[a], group[b]))
        if one == other or refused[one, other] >= TRIES:
            continue
        if (a, b) in same:
            group = {n: one if g == other else g for n, g in group.items()}
        else:
            refused[one, other] += 1
        rows.append((a, b, "aligned" if (a, b) in same else "similar"))
    return rows


@given(data=st.data(), count=st.integers(2, 14), at_once=st.sampled_from([1, 2, 5, 40]))
def test_rows_are_the_same_however_many_are_compared_at_once(data: st.DataObject, count: int, at_once: int) -> None:
    every = [(a, b) for a in range(count) for b in range(a + 1, count)]
    proposed = data.draw(st.permutations(every))
    same = set(data.draw(st.lists(st.sampled_from(every), max_size=count)))
    compare = Asked(same)
    assert confirmed(different(count), proposed, compare, at_once) == one_by_one(proposed, same)
    assert compare.most <= at_once
    assert max(compare.asked.values()) == 1, "no pair is compared twice"


def test_two_templates_of_many_variants_are_compared_few_times_at_any_pace() -> None:
    variants = [*((0, n) for n in range(2, 40)), *((1, n) for n in range(40, 80))]
    across = {(a, b) for a in range(2, 40) for b in range(40, 80)}
    for at_once in (1, 4, 500):
        compare = Asked(set(variants))
        found = confirmed(different(80), [*variants, *sorted(across)], compare, at_once)
        assert len(found) == len(variants) + TRIES
        assert len(across & compare.asked.keys()) <= TRIES + at_once < len(across)
