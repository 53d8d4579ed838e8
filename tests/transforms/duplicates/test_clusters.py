"""Components against SciPy, and the cut of clusters against a greedy written plainly."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from transforms.duplicates import clusters
from transforms.duplicates.clusters import METHODS, PictureHashes, cut
from transforms.duplicates.components import ComponentMembers, Components, list_members

SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, count=st.integers(1, 60), density=st.floats(0, 2), batch=st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_components_are_those_of_scipy_in_any_order_of_the_edges(
    seed: int, count: int, density: float, batch: int
) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, count, (2, int(density * count)))
    _, theirs = connected_components(coo_matrix((np.ones(len(left)), (left, right)), shape=(count, count)))
    lowest = [int(np.flatnonzero(theirs == label)[0]) for label in theirs]
    for order in np.arange(len(left)), rng.permutation(len(left)):
        ours = Components(count)
        for start in range(0, len(left), batch):
            ours.labels()  # asking on the way changes nothing
            ours.add(left[order][start : start + batch], right[order][start : start + batch])
        assert ours.labels().tolist() == lowest
    found = list_members(ours.labels())
    assert [found[i].tolist() for i in range(len(found))] == [
        members for label in np.unique(lowest) if len(members := np.flatnonzero(lowest == label).tolist()) > 1
    ]


def test_components_take_four_bytes_a_node() -> None:
    assert Components(1000).labels().nbytes == 4000


@pytest.mark.parametrize("edge", [(0, 3), (-1, 2), (3, 3)])
def test_an_edge_to_no_node_is_refused(edge: tuple[int, int]) -> None:
    graph = Components(3)
    with pytest.raises(ValueError, match="the nodes are 0 to 2"):
        graph.add(*np.array([[1, edge[0]], [0, edge[1]]]))
    with pytest.raises(ValueError, match="one end of each edge, not 1 and 0"):
        graph.add(np.array([0]), np.array([], np.int64))


def test_without_edges_there_are_no_groups() -> None:
    for count in 0, 3:
        found = list_members(Components(count).labels())
        assert (len(found), found.nodes.tolist(), found.starts.tolist()) == (0, [], [0])


class Made:
    """Pictures on a line, near in hash, in bytes, or to who looks: close places are the same picture."""

    def __init__(self, seed: int, count: int, radius: int, reach: float) -> None:
        rng = np.random.default_rng(seed)
        originals = rng.integers(0, count, count)  # of equal pixels
        self.pixels = np.where(rng.random(count) < 0.3, originals[originals], originals)
        self.place = rng.random(count)[self.pixels]
        bits = np.arange(256)[None] < (self.place * 256)[:, None]  # bits of the line: hashes as far apart as places
        self.hashes = PictureHashes(
            pdq=np.packbits(bits ^ rng.integers(0, 2, 256).astype(bool), axis=1),
            comparable=rng.random(count) < 0.7,
            bytes_group=self.pixels * 3 + rng.integers(0, 3, count),
            pixels_group=self.pixels,
            radius=radius,
        )
        self.rank = rng.integers(0, max(1, count // 2), count)
        self.labels = np.sort(rng.integers(0, max(1, count // 8), count))
        self.reach = reach
        self.asked: list[tuple[int, int]] = []

    def list_members(self) -> ComponentMembers:
        first = np.unique(self.labels, return_index=True)[1]
        return list_members(first[np.unique(self.labels, return_inverse=True)[1]])

    def worth(self, a: int, members: np.ndarray) -> np.ndarray:
        return (self.pixels[members] + self.pixels[a]) % 3 != 0

    def confirm(self, a: int, b: int) -> tuple[float] | None:
        self.asked.append((a, self.pixels[b]))
        apart = abs(self.place[a] - self.place[b])
        return (apart,) if apart <= self.reach else None

    def confirm_all(self, a: int, members: Sequence[int]) -> list[tuple[float] | None]:
        return [self.confirm(a, b) for b in members]

    def bits(self, a: int, b: int) -> int:
        return int(np.bitwise_count(self.hashes.pdq[a] ^ self.hashes.pdq[b]).sum())

    def naive(self) -> Iterator[tuple[int, int, str, int, object]]:
        found = self.list_members()
        for rest in (sorted(found[i].tolist(), key=lambda node: (self.rank[node], node)) for i in range(len(found))):
            while rest:
                chosen, *others = rest
                rest = []
                yield chosen, chosen, "representative", 0, None
                for member in others:
                    method, evidence = self.confirmed(chosen, member)
                    if method:
                        yield member, chosen, method, self.bits(chosen, member), evidence
                    else:
                        rest.append(member)

    def confirmed(self, a: int, b: int) -> tuple[str | None, object]:
        if self.hashes.bytes_group[a] == self.hashes.bytes_group[b]:
            return "sha256", None
        if self.pixels[a] == self.pixels[b]:
            return "pixels", None
        if self.bits(a, b) <= self.hashes.radius and self.hashes.comparable[[a, b]].all():
            return "pdq", None
        evidence = self.confirm(a, b) if self.worth(a, np.array([b]))[0] else None
        return ("aligned" if evidence else None), evidence


def rows(batches: Iterator[clusters.ClusterMembers]) -> Iterator[tuple[int, int, str, int, object]]:
    for batch in batches:
        columns = batch.member, batch.representative, batch.method, batch.bits
        assert set(batch.evidence) == set(batch.member[batch.method == METHODS.index("aligned")].tolist())
        for member, representative, method, bits in zip(*(c.tolist() for c in columns), strict=True):
            yield member, representative, METHODS[method], bits, batch.evidence.get(member)


GEOMETRIES = st.builds(Made, SEEDS, st.integers(1, 60), st.integers(0, 60), st.floats(0, 0.3))


@given(made=GEOMETRIES, batch=st.sampled_from([1, 7, 1000]))
@settings(max_examples=70, deadline=None)
def test_the_cut_is_that_of_the_plain_greedy(made: Made, batch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "_BATCH", batch)
        found = list(cut(made.list_members(), made.rank, made.hashes, made.worth, made.confirm_all))
    assert all(len(each.member) <= batch for each in found)
    assert len(set(made.asked)) == len(made.asked), "equal pixels were compared twice"
    ours = list(rows(iter(found)))
    assert [each[0] for each in ours] == made.list_members().nodes.tolist(), (
        "members come out in the order of components"
    )
    assert sorted(ours) == sorted(made.naive())


@given(made=GEOMETRIES)
@settings(max_examples=60, deadline=None)
def test_no_member_of_a_cluster_is_left_unconfirmed(made: Made) -> None:
    found = list(rows(cut(made.list_members(), made.rank, made.hashes, made.worth, made.confirm_all)))
    group = {int(node): i for i in range(len(made.list_members())) for node in made.list_members()[i]}
    assert sorted(each[0] for each in found) == sorted(group), "every picture comes out once"
    for member, representative, method, bits, _ in found:
        if member != representative:
            assert made.confirmed(representative, member)[0] == method
            assert bits == made.bits(representative, member)
            assert (made.rank[representative], representative) < (made.rank[member], member)
    representatives = {each[1] for each in found}
    alone = [(a, b) for a in representatives for b in representatives if a < b and group[a] == group[b]]
    for a, b in alone:
        first, second = sorted((a, b), key=lambda node: (made.rank[node], node))
        assert made.confirmed(first, second)[0] is None, "two representatives show the same picture"


def chain(steps: int, bits: int) -> PictureHashes:
    """Return hashes of which each differs from the next by some bits."""
    flipped = np.zeros((steps, 256), bool)
    for i in range(1, steps):
        flipped[i] = flipped[i - 1]
        flipped[i, (np.arange(bits) + i * bits) % 256] ^= True
    own = np.arange(steps)
    return PictureHashes(np.packbits(flipped, axis=1), np.ones(steps, bool), own, own, 31)


def nothing(representative: int, members: Sequence[int]) -> list[None]:
    raise AssertionError(f"{members} are not worth comparing with {representative}")


def test_a_chain_is_cut_where_its_end_no_longer_matches_the_representative() -> None:
    one = ComponentMembers(np.arange(6), np.array([0, 6]))
    found = rows(cut(one, np.arange(6), chain(6, 16), lambda _, members: np.zeros(len(members), bool), nothing))
    assert [each[:2] for each in found] == [(0, 0), (1, 0), (2, 2), (3, 2), (4, 4), (5, 4)]


def test_what_is_not_worth_it_and_what_hashes_settle_is_not_compared() -> None:
    hashes = chain(9, 10)
    ends = list_members(np.repeat([0, 2, 4], [2, 2, 5]))
    looked = []

    def worth(representative: int, members: np.ndarray) -> np.ndarray:
        looked.append((representative, members.tolist()))
        return members == 8

    def confirm(representative: int, members: Sequence[int]) -> list[str | None]:
        return ["seen" if (representative, member) == (4, 8) else None for member in members]

    found = list(cut(ends, np.arange(9), hashes, worth, confirm))
    assert looked == [(4, [8])], "only the last group reaches beyond the radius"
    assert [each.evidence for each in found] == [{8: "seen"}]
    assert [pair for each in found for pair in pairwise(each.representative.tolist())] == [
        (0, 0), (0, 2), (2, 2), (2, 4), (4, 4), (4, 4), (4, 4), (4, 4)
    ]  # fmt: skip
