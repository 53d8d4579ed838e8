"""Clusters as people decided them: pairs cut, pairs tied, another picture to stand for a cluster.

What belongs here: changing the clusters that decisions are about, and saying which decisions cannot be followed. What
does not: cutting components without decisions (`duplicates/clusters.py`), which decisions are in force
(`transforms/review/decisions.py`), removing rows (`sql/duplicates/removals.sql`).

The automatic clusters come first, of the components that a decision names a picture of; all others are left alone.
Then the decisions are followed in this order:

1. *different*: of a cluster with both pictures, the one that ranks lower leaves, with the members that are nearer to it
   by hash. Those that leave are cut into clusters of their own, as if nothing else were there.
2. *same* and *keep*: the clusters of both pictures become one, unless a *different* would stand within it.
3. *keep*: the picture stands for its cluster.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.alignment.comparer import PixelComparison
from transforms.duplicates import clusters
from transforms.duplicates.clusters import METHODS, Candidates, Confirm, PictureHashes
from transforms.duplicates.components import ComponentMembers
from transforms.fingerprints.picture_set import Pictures, Positions
from transforms.hashing.digest_tables import Lookup
from transforms.hashing.hashes import from_hex
from transforms.review.decisions import Decision

DECIDED = "decided"
"""The method of a member that nothing but a decision ties to its representative."""
ANSWERS = ("different", "same", "keep")
"""The answers that change clusters."""
_NO_DECISION: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClusterRuling:
    """A decision about clusters, its two pictures by index: the first row of each."""

    decision_id: str
    answer: str
    a: int
    b: int


@dataclass
class ClusterRulings:
    """The decisions in force that change clusters.

    Attributes:
        followed: Those whose pictures are there, in the order in which they were given.
        waiting: Why each of the others waits, by decision.
    """

    followed: list[ClusterRuling] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, decisions: Iterable[Decision], pictures: Pictures) -> "ClusterRulings":
        """Find the pictures of decisions.

        Args:
            decisions: Those in force, in the order in which they were given. Other answers than `ANSWERS` are left out.
            pictures: The training pictures.
        """
        made, about = cls(), [each for each in decisions if each.answer in ANSWERS]
        if not about:
            return made
        named = [digest for each in about for digest in (each.picture_a, each.picture_b or each.picture_a)]
        index, known = Lookup(pictures.pixel_digests).find(from_hex(named))
        for i, each in enumerate(about):
            there = known[2 * i : 2 * i + 2]
            if not there.all():
                gone = [digest for digest, found in zip(named[2 * i :], there, strict=False) if not found]
                made.waiting[each.decision_id] = f"no training row shows the picture {gone[0]} now"
                continue
            a, b = (int(each) for each in pictures.distinct[index[2 * i : 2 * i + 2]])
            made.followed.append(ClusterRuling(each.decision_id, each.answer, a, b))
        return made

    @property
    def pictures(self) -> Positions:
        """The pictures that they name, by index."""
        return np.unique([end for each in self.followed for end in (each.a, each.b)]).astype(np.int64)


def split(
    components: ComponentMembers, labels: npt.NDArray[np.signedinteger], rulings: ClusterRulings
) -> tuple[ComponentMembers, ComponentMembers]:
    """Divide components into those that no decision names a picture of, and the others, single pictures included.

    Args:
        components: All components of at least two.
        labels: The component of every picture.
        rulings: The decisions.
    """
    named = rulings.pictures
    touched = np.unique(labels[named])
    is_touched = np.isin(labels[components.nodes[components.starts[:-1]]], touched)
    alone = named[~np.isin(named, components.nodes)]
    return _part(components, ~is_touched), _part(components, is_touched, alone)


def _part(
    components: ComponentMembers, chosen: npt.NDArray[np.bool_], alone: Positions | None = None
) -> ComponentMembers:
    if chosen.all() and alone is None:
        return components
    sizes = np.diff(components.starts)
    nodes = components.nodes[np.repeat(chosen, sizes)]
    kept = sizes[chosen]
    if alone is not None and len(alone):
        nodes, kept = np.concatenate([nodes, alone]), np.concatenate([kept, np.ones(len(alone), np.int64)])
    return ComponentMembers(nodes, np.concatenate([[0], np.cumsum(kept)]).astype(np.int64))


class DecidedClusters:
    """The clusters of some components, as decisions change them.

    Memory: 60 bytes a member of these components.
    """

    def __init__(
        self,
        pictures: Pictures,
        components: ComponentMembers,
        hashes: PictureHashes,
        candidates: Candidates,
        confirm: Confirm[PixelComparison],
    ) -> None:
        """Cut the components without any decision.

        Args:
            pictures: The training pictures.
            components: Those that decisions are about.
            hashes: As for `clusters.cut`.
            candidates: Likewise.
            confirm: Likewise.
        """
        self._pictures, self._hashes, self._candidates, self._confirm = pictures, hashes, candidates, confirm
        parts = list(clusters.cut(components, pictures.rank, hashes, candidates, confirm))
        self._nodes = np.concatenate([part.member for part in parts] or [np.empty(0, np.int64)])
        order = np.argsort(self._nodes)
        self._nodes = self._nodes[order]
        self._head: Positions = _joined([part.representative for part in parts], np.int64)[order]
        self._method = np.array([*METHODS, DECIDED], object)[_joined([part.method for part in parts], np.uint8)[order]]
        self._bits = _joined([part.bits for part in parts], np.int64)[order]
        self._evidence: dict[int, PixelComparison] = {}
        for part in parts:
            self._evidence |= part.evidence
        self._automatic = self._head.copy()
        self._marks = np.zeros(len(self._nodes), np.int64)
        self._sets: list[tuple[str, ...]] = [_NO_DECISION]

    def follow(self, rulings: ClusterRulings) -> dict[str, str]:
        """Change the clusters, and return why decisions that cannot be followed wait, by decision.

        Args:
            rulings: The decisions.
        """
        cuts = [each for each in rulings.followed if each.answer == "different"]
        while conflict := next((each for each in cuts if self._head_of(each.a) == self._head_of(each.b)), None):
            self._cut(conflict)
        waiting: dict[str, str] = {}
        for ruling in rulings.followed:
            if ruling.answer != "different" and (against := self._tie(ruling, cuts)):
                waiting[ruling.decision_id] = (
                    f"it would put two pictures into one cluster that decision {against} says are different"
                )
        last: dict[int, ClusterRuling] = {}
        for ruling in (each for each in rulings.followed if each.answer == "keep" and each.decision_id not in waiting):
            head = self._head_of(ruling.b)
            if earlier := last.get(head):
                waiting[earlier.decision_id] = f"decision {ruling.decision_id} keeps another picture of the cluster"
            last[head] = ruling
        for ruling in last.values():
            if not self._keep(ruling):
                waiting[ruling.decision_id] = "every row that shows the picture to keep is recalled"
        return waiting

    def rows(self) -> pa.Table:
        """Return the members with what confirms each against its representative, and the decisions that changed it."""
        order = np.argsort(self._head, kind="stable")
        _, of, sizes = np.unique(self._head, return_inverse=True, return_counts=True)
        _, was, were = np.unique(self._automatic, return_inverse=True, return_counts=True)
        order = order[(sizes[of] > 1)[order] | (were[was] > 1)[order]]
        nodes, method = self._nodes[order], self._method[order]
        aligned = [
            self._evidence[node].aligned_distance if by == "aligned" else None
            for node, by in zip(nodes.tolist(), method.tolist(), strict=True)
        ]
        ids = self._pictures.ids
        return pa.table(
            {
                "sample_id": ids[nodes],
                "representative_id": ids[self._head[order]],
                "method": pa.array(method.tolist(), pa.string()),
                "distance_to_representative": self._bits[order].astype(np.float64),
                "aligned_distance_to_representative": pa.array(aligned, pa.float64()),
                "automatic_representative_id": ids[self._automatic[order]],
                "decisions": pa.array(
                    [list(self._sets[mark]) or None for mark in self._marks[order]], pa.list_(pa.string())
                ),
            }
        )

    def _place(self, node: int) -> int:
        return int(np.searchsorted(self._nodes, node))

    def _head_of(self, picture: int) -> int:
        """Return the representative of a picture. Rows with equal pixels always have the same."""
        return int(self._head[self._place(picture)])

    def _showing(self, picture: int) -> npt.NDArray[np.bool_]:
        return self._pictures.pixels_group[self._nodes] == picture

    def _cut(self, ruling: ClusterRuling) -> None:
        """Take one of two pictures out of the cluster of both, with what is nearer to it."""
        head = self._head_of(ruling.a)
        members = self._head == head
        self._mark(members, ruling.decision_id)
        groups, rank = self._pictures.pixels_group[self._nodes], self._pictures.rank
        own = int(self._pictures.pixels_group[head])
        first, leaving = sorted((ruling.a, ruling.b), key=lambda picture: (picture != own, int(rank[picture]), picture))
        some = self._nodes[members]
        nearer = self._pictures.bits(some, np.full_like(some, leaving)) < self._pictures.bits(
            some, np.full_like(some, first)
        )
        out = members.copy()
        out[members] = nearer & self._hashes.comparable[some]
        out = (out & ~np.isin(groups, [first, own])) | (members & (groups == leaving))
        self._cut_again(out)

    def _cut_again(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Cut some members into clusters as if they were a component."""
        nodes = self._nodes[chosen]
        component = ComponentMembers(nodes, np.array([0, len(nodes)], np.int64))
        for part in clusters.cut(component, self._pictures.rank, self._hashes, self._candidates, self._confirm):
            at = np.searchsorted(self._nodes, part.member)
            self._head[at], self._bits[at] = part.representative, part.bits
            self._method[at] = np.array(METHODS, object)[part.method]
            self._evidence |= part.evidence

    def _tie(self, ruling: ClusterRuling, cuts: Sequence[ClusterRuling]) -> str | None:
        """Make the clusters of two pictures one. Return the decision that forbids it, or None."""
        one, other = sorted(
            (self._head_of(ruling.a), self._head_of(ruling.b)), key=lambda node: (int(self._pictures.rank[node]), node)
        )
        if one == other:
            return None
        for each in cuts:
            if {self._head_of(each.a), self._head_of(each.b)} == {one, other}:
                return each.decision_id
        moved = self._head == other
        self._head[moved] = one
        self._confirm_again(moved, one)
        self._mark(self._head == one, ruling.decision_id)
        return None

    def _keep(self, ruling: ClusterRuling) -> bool:
        """Let a picture stand for its cluster. Returns whether a row shows it that is not recalled."""
        members = self._head == self._head_of(ruling.b)
        rows = self._nodes[members & self._showing(ruling.b)]
        rows = rows[self._pictures.live[rows]]
        if not len(rows):
            return False
        head = int(rows[np.lexsort((rows, self._pictures.rank[rows]))[0]])
        if head != self._head_of(ruling.b):
            self._head[members] = head
            self._confirm_again(members, head)
            self._mark(members, ruling.decision_id)
        return True

    def _confirm_again(self, chosen: npt.NDArray[np.bool_], head: int) -> None:
        """Find what confirms members against a new representative; what nothing confirms is decided."""
        nodes, known, pictures = self._nodes[chosen], self._hashes, self._pictures
        bits = pictures.bits(nodes, np.full_like(nodes, head))
        method = np.full(len(nodes), DECIDED, object)
        method[(bits <= known.radius) & known.comparable[nodes] & known.comparable[head]] = "pdq"
        method[known.pixels_group[nodes] == known.pixels_group[head]] = "pixels"
        method[known.bytes_group[nodes] == known.bytes_group[head]] = "sha256"
        method[nodes == head] = "representative"
        open_ = np.flatnonzero(method == DECIDED)
        open_ = open_[self._candidates(head, nodes[open_])] if len(open_) else open_
        for at, found in zip(open_, self._confirm(head, nodes[open_].tolist()) if len(open_) else (), strict=True):
            if found is not None:
                method[at] = "aligned"
                self._evidence[int(nodes[at])] = found
        self._method[chosen], self._bits[chosen] = method, bits

    def _mark(self, chosen: npt.NDArray[np.bool_], decision_id: str) -> None:
        """Note that a decision changed the cluster of members."""
        for mark in np.unique(self._marks[chosen]).tolist():
            names = tuple(sorted({*self._sets[mark], decision_id}))
            if names not in self._sets:
                self._sets.append(names)
            self._marks[chosen & (self._marks == mark) & (mark != self._sets.index(names))] = self._sets.index(names)


def _joined(parts: Sequence[npt.NDArray], kind: npt.DTypeLike) -> npt.NDArray:
    return np.concatenate([np.asarray(part, kind) for part in parts] or [np.empty(0, kind)])


def outcomes(rulings: ClusterRulings, waiting: Mapping[str, str]) -> pa.Table:
    """Return what became of each decision, as rows of `cluster_decisions`.

    Args:
        rulings: The decisions, and why some wait for their pictures.
        waiting: Why others wait, as `DecidedClusters.follow` returned it.
    """
    why: dict[str, str | None] = {each.decision_id: None for each in rulings.followed}
    why |= rulings.waiting
    why |= waiting
    return pa.table(
        {
            "decision_id": pa.array(why, pa.string()),
            "state": pa.array(["applied" if each is None else "waiting" for each in why.values()], pa.string()),
            "why": pa.array(why.values(), pa.string()),
        }
    )
