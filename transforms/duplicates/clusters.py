"""Clusters of pictures: components of confirmed pairs, cut so that no member drifts from its representative.

What belongs here: choosing representatives and their members. What does not: finding pairs (`duplicates/pairs.py`),
connecting pairs (`duplicates/components.py`), counting members (`sql/duplicates/counts.sql`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.duplicates.components import ComponentMembers, Nodes
from transforms.joins.hamming.intrinsics import popcount

METHODS = ("representative", "sha256", "pixels", "pdq", "aligned")
"""The methods of confirmation, by the code in `ClusterMembers.method`."""
_REPRESENTATIVE, _BYTES, _PIXELS, _PDQ, _ALIGNED = range(len(METHODS))
_BATCH = 1 << 18  # members


@dataclass(frozen=True)
class PictureHashes:
    """The hashes that confirm pictures without comparing pixels, one set per node.

    Attributes:
        pdq: uint8 of shape (n, 32).
        comparable: bool of shape (n,), whether the hash is meaningful.
        bytes_group: whole numbers of shape (n,), equal for equal bytes.
        pixels_group: whole numbers of shape (n,), equal for equal pixels.
        radius: Bits up to which two hashes show one picture.
    """

    pdq: npt.NDArray[np.uint8]
    comparable: npt.NDArray[np.bool_]
    bytes_group: npt.NDArray[np.integer]
    pixels_group: npt.NDArray[np.integer]
    radius: int

    @property
    def arrays(
        self,
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_], npt.NDArray[np.integer], npt.NDArray[np.integer], int]:
        """The form that compiled loops read: the hashes as uint64 of shape (n, 4), then the other attributes."""
        words = np.ascontiguousarray(self.pdq).view(np.uint64)
        return words, self.comparable, self.bytes_group, self.pixels_group, self.radius

    def of(self, nodes: Nodes) -> "PictureHashes":
        """Return the hashes of some nodes, in that order."""
        columns = self.comparable[nodes], self.bytes_group[nodes], self.pixels_group[nodes]
        return PictureHashes(self.pdq[nodes], *columns, self.radius)


@dataclass(frozen=True)
class ClusterMembers[Evidence]:
    """Members of clusters, each with its confirmation against the representative, which is a member too.

    Attributes:
        member: int64 of shape (m,), nodes.
        representative: int64 of shape (m,), nodes.
        method: uint8 of shape (m,), indices into `METHODS`.
        bits: int16 of shape (m,), PDQ distance to the representative.
        evidence: What `confirm` returned, by member, where it confirmed.
    """

    member: Nodes
    representative: Nodes
    method: npt.NDArray[np.uint8]
    bits: npt.NDArray[np.int16]
    evidence: Mapping[int, Evidence]


Candidates = Callable[[int, Nodes], npt.NDArray[np.bool_]]
type Confirm[Evidence] = Callable[[int, Sequence[int]], Sequence[Evidence | None]]


def cut[Evidence](
    components: ComponentMembers,
    rank: Nodes,
    hashes: PictureHashes,
    candidates: Candidates,
    confirm: Confirm[Evidence],
) -> Iterator[ClusterMembers[Evidence]]:
    """Cut components into clusters whose members are each confirmed against their representative.

    The node of the lowest rank represents every node that is confirmed against it. This repeats with the remaining
    nodes until none is left. A node confirmed against no other stays alone. Equal bytes confirm, then equal pixels,
    then hashes within the radius, then `confirm`.

    `confirm` is slow. It is called only in components that hashes do not decide, only for members that `candidates`
    returns, and once for members of equal pixels. Both functions must depend on pixels alone. Memory: 19 bytes a member
    of a batch or of the largest component, 90 more where hashes leave it open. Time: a component's members times its
    clusters.

    Args:
        components: Nodes that confirmed pairs connect.
        rank: int64 of shape (n,), the lower represents the higher, of equal ones the first.
        hashes: What confirms without comparing pixels.
        candidates: Takes a representative and members; returns which members to pass to `confirm`, bool of shape (m,).
        confirm: Takes a representative and members; returns for each evidence that the two show one picture, or None.

    Returns:
        Members in the order of `components`, in batches of bounded size.
    """
    for first, last in _batches(components.starts):
        starts = components.starts[first : last + 1] - components.starts[first]
        nodes = components.nodes[components.starts[first] : components.starts[last]]
        done = _Columns.empty(nodes)
        evidence: dict[int, Evidence] = {}
        for group in np.flatnonzero(_settle(nodes, starts, rank, hashes.arrays, done[1:])):
            evidence |= _cut_open(done.part(starts[group], starts[group + 1]), rank, hashes, candidates, confirm)
        for at in range(0, len(nodes), _BATCH):
            part = done.part(at, at + _BATCH)
            aligned = part.member[part.method == _ALIGNED].tolist()
            yield ClusterMembers(*part, {member: evidence[member] for member in aligned})


class _Columns(NamedTuple):
    """The columns of `ClusterMembers`, filled in place."""

    member: Nodes
    representative: Nodes
    method: npt.NDArray[np.uint8]
    bits: npt.NDArray[np.int16]

    @classmethod
    def empty(cls, member: Nodes) -> Self:
        count = len(member)
        return cls(member, np.empty(count, np.int64), np.empty(count, np.uint8), np.empty(count, np.int16))

    def part(self, start: int, end: int) -> "_Columns":
        member, representative, method, bits = self
        return _Columns(member[start:end], representative[start:end], method[start:end], bits[start:end])


def _batches(starts: Nodes) -> Iterator[tuple[int, int]]:
    """Yield the first component of each batch and the one behind its last."""
    first = 0
    while first < len(starts) - 1:
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + _BATCH, side="right")) - 1)
        yield first, last
        first = last


def _cut_open[Evidence](
    into: _Columns,
    rank: Nodes,
    hashes: PictureHashes,
    candidates: Candidates,
    confirm: Confirm[Evidence],
) -> dict[int, Evidence]:
    """Cut one component in which the hashes of the first representative do not confirm every node.

    Each pass takes the first open node as a representative: hashes give it what they confirm, then pixels are asked
    about the candidates among the rest. `into` is filled in its own order, `done` holds the same columns in the order
    of rank.
    """
    order = np.argsort(rank[into.member], kind="stable")
    done = _Columns.empty(into.member[order])
    near = hashes.of(done.member)  # side by side in the order of rank: each pass reads them one after the other
    evidence: dict[int, Evidence] = {}
    open_ = np.arange(len(order))
    while len(open_):
        first = open_[0]
        open_ = open_[: _take(open_, near.arrays, done)]
        if not len(open_):
            break
        representative = int(done.member[first])
        worth = open_[candidates(representative, done.member[open_])]
        if not len(worth):
            continue
        _, one, of = np.unique(near.pixels_group[worth], return_index=True, return_inverse=True)
        answers = confirm(representative, done.member[worth[one]].tolist())
        confirmed = np.array([each is not None for each in answers])[of]
        taken = worth[confirmed]
        done.representative[taken], done.method[taken] = representative, _ALIGNED
        done.bits[taken] = np.bitwise_count(near.pdq[taken] ^ near.pdq[first]).sum(axis=1)
        given = (answers[i] for i in of[confirmed])
        members = done.member[taken].tolist()
        evidence |= {member: each for member, each in zip(members, given, strict=True) if each is not None}
        open_ = np.setdiff1d(open_, taken, assume_unique=True)
    into.representative[order], into.method[order], into.bits[order] = done[1:]
    return evidence


@nb.njit(inline="always")
def _confirms(a, b, words, comparable, bytes_group, pixels_group, radius):  # noqa: ANN001, ANN202
    """Return the method that confirms b against a, or the code of a representative, and then the differing bits."""
    bits = np.int64(0)
    for word in range(4):
        bits += np.int64(popcount(words[a, word] ^ words[b, word]))
    if bytes_group[a] == bytes_group[b]:
        return _BYTES, bits
    if pixels_group[a] == pixels_group[b]:
        return _PIXELS, bits
    if bits <= radius and comparable[a] and comparable[b]:
        return _PDQ, bits
    return _REPRESENTATIVE, bits


@nb.njit(parallel=True, cache=True, nogil=True)
def _settle(nodes, starts, rank, known, into):  # noqa: ANN001, ANN202
    """Give each group to its first representative; return the groups of which it does not take all."""
    representative, method, bits = into
    words, comparable, bytes_group, pixels_group, radius = known  # unpacked once: each time counts references
    left_open = np.zeros(len(starts) - 1, np.bool_)
    for group in nb.prange(len(starts) - 1):
        head = nodes[starts[group]]
        for i in range(starts[group], starts[group + 1]):
            if rank[nodes[i]] < rank[head]:
                head = nodes[i]
        for i in range(starts[group], starts[group + 1]):
            by, apart = _confirms(head, nodes[i], words, comparable, bytes_group, pixels_group, radius)
            if nodes[i] == head:
                by = _REPRESENTATIVE
            elif by == _REPRESENTATIVE:
                left_open[group] = True
                break
            representative[i], method[i], bits[i] = head, by, apart
    return left_open


@nb.njit(cache=True, nogil=True)
def _take(open_, known, into):  # noqa: ANN001, ANN202
    """Give the first open index the nodes that its hashes confirm.

    Moves the other open indices to the front of `open_`, in order, and returns how many they are.
    """
    member, representative, method, bits = into
    words, comparable, bytes_group, pixels_group, radius = known
    head, left = open_[0], 0
    representative[head], method[head], bits[head] = member[head], _REPRESENTATIVE, 0
    for i in open_[1:]:
        # Half the bits settle most pairs, five times as fast as all of them.
        half = np.int64(popcount(words[head, 0] ^ words[i, 0]) + popcount(words[head, 1] ^ words[i, 1]))
        if half > radius and pixels_group[head] != pixels_group[i] and bytes_group[head] != bytes_group[i]:
            open_[left] = i
            left += 1
            continue
        by, apart = _confirms(head, i, words, comparable, bytes_group, pixels_group, radius)
        if by == _REPRESENTATIVE:
            open_[left] = i
            left += 1
        else:
            representative[i], method[i], bits[i] = member[head], by, apart
    return left
