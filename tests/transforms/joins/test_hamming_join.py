"""The joins are exact: they agree with brute force on hashes built to sit on both sides of every radius."""

import pickle
from collections.abc import Iterable

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from transforms.joins.hamming.join import BandTask, HammingPairs, cross_join, run, self_join, tasks
from transforms.joins.hamming.kernels import TILE, bit_tables
from transforms.joins.hamming.plan import BITS, MAX_WIDTH, BandPlan, plan
from transforms.joins.hamming.sieve import choose

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([100, 20_000, 300_000, 1_000_000, 10_000_000])
type Triples = set[tuple[int, int, int]]


def brute_force(left: np.ndarray, right: np.ndarray | None, radius: int) -> Triples:
    a, b = (np.ascontiguousarray(side).view(np.uint64) for side in (left, left if right is None else right))
    found = set()
    for i, row in enumerate(a):
        distance = np.bitwise_count(b ^ row).sum(axis=1, dtype=np.int64)
        near = np.flatnonzero(distance <= radius)
        found |= {(i, j, int(distance[j])) for j in near.tolist() if right is not None or j > i}
    return found


def triples(batches: Iterable[HammingPairs]) -> Triples:
    """Return what a join yields, none of it twice."""
    found = [t for p in batches for t in zip(p.left.tolist(), p.right.tolist(), p.distance.tolist(), strict=True)]
    assert len(found) == len(set(found)), "a pair was reported twice"
    return set(found)


def by_plan(chosen: BandPlan, left: np.ndarray, right: np.ndarray | None, parts: int = 1) -> Triples:
    """Join by bands that were chosen for more hashes than these."""
    made = [BandTask(chosen, band, part, parts) for band in range(len(chosen.bands)) for part in range(parts)]
    return triples(p for task in made for p in run(task, left, right))


def flipped(hashes: np.ndarray, bits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return each hash with so many different bits flipped."""
    rank = rng.random((len(hashes), BITS)).argsort(axis=1).argsort(axis=1)
    return hashes ^ np.packbits(rank < bits[:, None], axis=1)


def about(radius: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return hashes whose copies lie around the radius, with equal and all-black ones among them."""
    made = rng.integers(0, 256, (count, 32), dtype=np.uint8)
    source = made[rng.integers(0, count, 3 * count)]
    copies = flipped(source, np.clip(rng.integers(radius - 2, radius + 3, 3 * count), 0, BITS), rng)
    found = np.vstack([made, copies, made[:2], np.zeros((3, 32), np.uint8)])
    return found[rng.permutation(len(found))]


@given(seed=SEEDS, radius=st.integers(0, 255), count=st.integers(1, 40), size=SIZES)
@settings(max_examples=60, deadline=None)
def test_the_self_join_agrees_with_brute_force(seed: int, radius: int, count: int, size: int) -> None:
    hashes = about(radius, count, np.random.default_rng(seed))
    true = brute_force(hashes, None, radius)
    assert triples(self_join(hashes, radius)) == true
    assert by_plan(plan(size, None, radius), hashes, None) == true


@given(seed=SEEDS, radius=st.integers(0, 255), counts=st.tuples(*[st.integers(1, 30)] * 2), size=SIZES)
@settings(max_examples=60, deadline=None)
def test_the_cross_join_agrees_with_brute_force(seed: int, radius: int, counts: tuple[int, int], size: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = about(radius, sum(counts), rng)
    left, right = np.split(hashes, [len(hashes) * counts[0] // sum(counts)])
    true = brute_force(left, right, radius)
    assert triples(cross_join(left, right, radius)) == true
    assert by_plan(plan(size // 10, size, radius), left, right) == true


@pytest.mark.parametrize("radius", [31, pytest.param(60, marks=pytest.mark.thorough)])
def test_rows_that_share_most_of_their_bands_are_joined_too(radius: int) -> None:
    rng = np.random.default_rng(radius)
    hashes = rng.integers(0, 256, (TILE + 1500, 32), dtype=np.uint8)
    hashes[::9, :25] = hashes[0, :25]  # 56 bits are left to differ: many lie on both sides of the radius
    hashes[1::9, ::2] = 0
    hashes[rng.integers(0, len(hashes), 20)] = 0
    true = brute_force(hashes, None, radius)
    assert len(true) > 10_000
    assert by_plan(plan(1_000_000, None, radius), hashes, None) == true
    assert by_plan(plan(100, None, radius), hashes, None, parts=2) == true, "one value fills more than a tile"


@given(radius=st.integers(0, 255), size=SIZES, cross=st.booleans(), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_every_plan_brings_hashes_at_the_radius_together(radius: int, size: int, cross: bool, seed: int) -> None:
    chosen = plan(1 + size // 50, size, radius) if cross else plan(size, None, radius)
    assert chosen.guarantee >= radius
    ends = [band.start + band.width for band in chosen.bands]
    assert [band.start for band in chosen.bands] == [0, *ends[:-1]], "bands share no bits"
    assert ends[-1] <= BITS
    assert all(band.reach <= 2 and band.width <= MAX_WIDTH for band in chosen.bands)
    rng = np.random.default_rng(seed)
    bits = np.zeros((50, BITS), np.uint8)
    for row, start in zip(bits, rng.integers(0, BITS, 50), strict=True):
        row[(start + np.arange(radius) * rng.choice([1, 3, 5, 17])) % BITS] = 1  # odd steps: `radius` different bits
    differing = np.array([bits[:, band.start : band.start + band.width].sum(axis=1) for band in chosen.bands])
    reach = np.array([[band.reach] for band in chosen.bands])
    assert (differing <= reach).any(axis=0).all()


@given(radius=st.integers(0, 80), size=SIZES, cross=st.booleans(), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_words_that_settle_most_pairs_settle_none_that_is_reported(
    radius: int, size: int, cross: bool, seed: int
) -> None:
    chosen = plan(1 + size // 50, size, radius) if cross else plan(size, None, radius)
    rng = np.random.default_rng(seed)
    rank = rng.random((300, BITS)) ** rng.uniform(0.2, 5, BITS)  # so that some bits differ more often than others
    differing = rank.argsort(axis=1).argsort(axis=1) <= rng.integers(0, radius + 1, (300, 1)) - 1
    near = np.array([differing[:, band.start : band.start + band.width].sum(axis=1) for band in chosen.bands])
    first = (near <= [[band.reach] for band in chosen.bands]).argmax(axis=0)
    for bits, band in zip(differing, first.tolist(), strict=True):
        sieve = choose(chosen, band)
        assert bits.reshape(8, 32)[list(sieve.words)].sum() <= sieve.bound


def test_fewer_words_settle_later_bands() -> None:
    chosen = plan(10_000_000, None, 31)
    sizes = [len(choose(chosen, band).words) for band in range(len(chosen.bands))]
    assert (sizes[0], sizes[-1]) == (3, 1)
    assert choose(plan(10_000_000, None, 120), 0).words == (), "three words would settle few pairs"


def test_millions_are_looked_up_by_bands_and_a_few_compared_with_all() -> None:
    assert len(plan(1_000_000, None, 31).bands) > 1
    assert len(plan(100_000, 10_000_000, 31).bands) > 1
    assert {band.reach for band in plan(10_000_000, None, 31).bands} >= {1, 2}
    for few in (plan(8, 1_000_000, 31), plan(500, None, 31), plan(10_000_000, None, 200)):
        assert [band.width for band in few.bands] == [0]


def test_every_bit_of_a_hash_has_one_place_among_its_words() -> None:
    places = bit_tables()[:, [1 << bit for bit in range(8)]].reshape(BITS, -1)
    assert np.bitwise_count(places).sum(axis=1).tolist() == [1] * BITS
    assert np.bitwise_or.reduce(places).tolist() == [2**32 - 1] * 8


@pytest.mark.parametrize("batch", [16, 10_000])
def test_batches_are_bounded_however_many_pairs_there_are(batch: int) -> None:
    rng = np.random.default_rng(0)
    count = 3000 if batch > 16 else 100
    base = np.broadcast_to(rng.integers(0, 256, 32, dtype=np.uint8), (count, 32))
    clump = flipped(base, rng.integers(0, 16, count), rng)
    seen = np.zeros((count, count), np.uint8)
    for pairs in self_join(clump, 31, batch):
        assert 0 < len(pairs) <= batch
        assert (pairs.left < pairs.right).all()
        np.add.at(seen, (pairs.left, pairs.right), 1)
    assert (seen == np.triu(np.ones_like(seen), 1)).all(), "every pair, once"


def test_tasks_make_the_join_together_wherever_they_run() -> None:
    rng = np.random.default_rng(2)
    left, right = about(31, 3000, rng), about(31, 20, rng)
    left[:10] = flipped(right[:10], np.full(10, 20), rng)
    for other in (None, right):
        true = triples(self_join(left, 31)) if other is None else triples(cross_join(left, right, 31))
        made = tasks(len(left), None if other is None else len(other), 31, parts=3)
        sent = pickle.loads(pickle.dumps(made))  # noqa: S301
        read_only = left.copy()
        read_only.flags.writeable = False  # as Ray hands them over
        assert triples(p for task in reversed(sent) for p in run(task, read_only, other, threads=1)) == true
        once, again = (list(run(sent[0], left, other, 16, threads)) for threads in (1, 3))
        assert [p.left.tolist() for p in once] == [p.left.tolist() for p in again]


def test_a_join_may_be_left_before_its_end() -> None:
    pairs = self_join(np.zeros((2000, 32), np.uint8), 0, 1000)
    assert 0 < len(next(pairs)) <= 1000
    pairs.close()


def test_nothing_is_joined_with_nothing() -> None:
    none, one = np.empty((0, 32), np.uint8), np.zeros((1, 32), np.uint8)
    assert [*self_join(none, 31), *self_join(one, 31), *cross_join(none, one, 31), *cross_join(one, none, 31)] == []


@pytest.mark.parametrize("radius", [-1, 256])
def test_a_radius_that_a_distance_cannot_reach_is_refused(radius: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 255"):
        next(self_join(np.zeros((2, 32), np.uint8), radius))


@pytest.mark.parametrize("hashes", [np.zeros((2, 31), np.uint8), np.zeros((2, 32), np.int64), np.zeros(32, np.uint8)])
def test_anything_but_hashes_is_refused(hashes: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"uint8 of shape \(n, 32\)"):
        next(self_join(hashes, 31))
    with pytest.raises(ValueError, match=r"uint8 of shape \(n, 32\)"):
        next(cross_join(np.zeros((1, 32), np.uint8), hashes, 31))


def test_a_batch_that_holds_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        next(self_join(np.zeros((2, 32), np.uint8), 31, batch=15))
