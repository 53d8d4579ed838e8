"""Lists of neighbours: whatever came and went, what is derived from them is what a search of everything gives."""

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from transforms.matches import neighbour_lists, search
from transforms.matches.neighbour_lists import (
    NONE,
    Floor,
    ListDemand,
    NeighbourList,
    best,
    extend,
    last,
    next_size,
    size,
    suffices,
)

ALL = 40  # pictures that may come and go
# Few directions: many pictures are equally near, and the digests decide.
VECTORS = np.random.default_rng(0).integers(-1, 2, (ALL, 3)).astype(np.float32) + np.float32(0.1)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
DIGESTS = np.random.default_rng(1).integers(0, 256, (ALL, 32)).astype(np.uint8)
DIGESTS[:, 0] //= 64  # alike at first


def ordered(present: list[int]) -> list[int]:
    """Return the pictures by number: in the order of their digests."""
    return sorted(present, key=lambda picture: DIGESTS[picture].tobytes())


def searched(
    views: np.ndarray, numbers: np.ndarray, vectors: np.ndarray, digests: np.ndarray, most: int
) -> NeighbourList:
    """Search some pictures, given by number in any order, as a warehouse does."""
    (found,) = search.best_over_views(views[None], vectors[numbers], most, order=numbers, block=7)
    near = NeighbourList(numbers[found.position], found.score, found.view)
    return replace(near, floor=last(near, digests)) if len(near) == most < len(numbers) else near


class Warehouse:
    """One generation, its list, and the pictures that come and go."""

    def __init__(self, views: np.ndarray) -> None:
        self.views, self.present, self.held = views, [], {}
        self.floor: Floor | None = None
        self.listed = False

    def step(self, present: list[int], cluster_of: np.ndarray, wanted: ListDemand) -> list[int]:
        """Bring the list up to date; return the pictures of the best clusters."""
        order = ordered(present)
        vectors, digests = VECTORS[order], DIGESTS[order]
        cluster = cluster_of[order]
        near = NONE
        if self.listed:
            held = [(n, *self.held[p]) for n, p in enumerate(order) if p in self.held]
            held.sort(key=lambda each: (-each[1], each[0]))
            numbers, scores, views = zip(*held, strict=True) if held else ((), (), ())
            near = NeighbourList(
                np.array(numbers, np.int64), np.array(scores, np.float32), np.array(views, np.int64), self.floor
            )
            new = np.array([n for n, p in enumerate(order) if p not in self.present], np.int64)[::-1].copy()
            near = extend(near, searched(self.views, new, vectors, digests, size(near)), digests, size(near))
        anew = not self.listed
        while anew or not suffices(near, cluster, wanted):
            most = neighbour_lists.FIRST if anew else next_size(near)
            near, anew = searched(self.views, np.arange(len(order)), vectors, digests, most), False
        self.listed, self.present, self.floor = True, present, near.floor
        self.held = {
            order[n]: (s, v)
            for n, s, v in zip(near.index.tolist(), near.score.tolist(), near.view.tolist(), strict=True)
        }
        return [order[n] for n in near.index[best(near, cluster, wanted)].tolist()]


HISTORY = st.lists(st.sets(st.integers(0, ALL - 1)), min_size=1, max_size=6)


@given(
    history=HISTORY,
    seed=st.integers(0, 9),
    clusters=st.integers(1, 4),
    least=st.sampled_from([0.0, 0.5, 0.9]),
    groups=st.integers(1, 12),
)
@settings(max_examples=200, deadline=None)
def test_any_history_gives_what_a_search_of_everything_gives(
    history: list[set[int]], seed: int, clusters: int, least: float, groups: int
) -> None:
    rng, wanted = np.random.default_rng(seed), ListDemand(clusters, least)
    views = VECTORS[rng.integers(0, ALL, 2)]
    with pytest.MonkeyPatch.context() as patch:  # lists so short that they are cut, deepened and full
        patch.setattr(neighbour_lists, "FIRST", 2)
        patch.setattr(neighbour_lists, "MOST", 20)
        warehouse = Warehouse(views)
        for pictures in history:
            cluster_of = rng.integers(0, groups, ALL)  # clusters change as pictures come and go
            found = warehouse.step(list(pictures), cluster_of, wanted)
            assert found == Warehouse(views).step(list(pictures), cluster_of, wanted)
            scores = (views.astype(np.float64) @ VECTORS.T.astype(np.float64)).max(axis=0).astype(np.float32)
            truth = sorted(pictures, key=lambda p: (-scores[p], DIGESTS[p].tobytes()))[:20]
            firsts = [p for i, p in enumerate(truth) if cluster_of[p] not in cluster_of[truth[:i]]][:clusters]
            assert found == [p for p in firsts if p == truth[0] or scores[p] >= least]


def test_a_list_without_a_cut_holds_all_there_is_and_a_cut_one_says_where_it_ends() -> None:
    digests = DIGESTS[ordered(list(range(ALL)))]
    near = NeighbourList(np.arange(5), np.float32([0.9, 0.8, 0.7, 0.7, 0.7]), np.zeros(5, np.int64))
    assert extend(NONE, near, digests, 5).floor is None
    cut = extend(NONE, near, digests, 3)
    assert cut.index.tolist() == [0, 1, 2]
    assert cut.floor == Floor(float(np.float32(0.7)), digests[2].tobytes())
    again = extend(cut, near, digests, 5)  # beyond the floor others are not known: 3 and 4 stay out
    assert again.index.tolist() == [0, 1, 2]
    nearer = NeighbourList(np.array([7]), np.float32([0.95]), np.array([1]))
    assert extend(cut, nearer, digests, 3).index.tolist() == [7, 0, 1]


def test_a_picture_that_is_gone_still_bounds_a_list() -> None:
    digests = DIGESTS[ordered(list(range(ALL)))]
    floor = Floor(0.5, digests[10].tobytes())
    left = np.delete(digests, 10, axis=0)  # number 10 is now what was 11, beyond the floor
    tied = NeighbourList(np.array([9, 10]), np.float32([0.5, 0.5]), np.zeros(2, np.int64))
    assert extend(replace(NONE, floor=floor), tied, left, 64).index.tolist() == [9]


def test_a_floor_leaves_out_what_scores_less_and_keeps_what_ties() -> None:
    rows = np.eye(4, dtype=np.float32)
    views = np.float32([[[0.6, 0.8, 0, 0]]])
    (found,) = search.best_over_views(views, rows, 4, floor=np.float32([0.6]))
    assert found.position.tolist() == [1, 0]


@given(seed=st.integers(0, 99), block=st.integers(1, 30), k=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_neither_blocks_nor_equal_vectors_change_what_is_found(seed: int, block: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    rows, views = VECTORS[rng.integers(0, ALL, 25)], VECTORS[rng.integers(0, ALL, (3, 2))]
    order = rng.permutation(25)
    whole = search.best_over_views(views, rows, k, order=order)
    for one, other in zip(whole, search.best_over_views(views, rows, k, order=order, block=block), strict=True):
        assert one.position.tolist() == other.position.tolist()
        assert one.score.tobytes() == other.score.tobytes()
    for found, each in zip(whole, views, strict=True):
        score, _ = search.scores(each[None], rows, np.zeros(25, np.int64))
        assert found.position.tolist() == np.lexsort((order, -score))[:k].tolist()
        assert found.score.tolist() == score[found.position].tolist()
