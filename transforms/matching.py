"""Which training pictures could a generation come from? Candidates by three methods, then evidence from pixels.

What belongs here: gathering candidates and measuring them. What does not: verdicts (`sql/matches/evidence.sql`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms import hamming_join, search
from transforms.alignment import Alignment, Box
from transforms.encoders import Vectors
from transforms.generations import VIEWS, WHOLE

BYTES, PERCEPTUAL, EMBEDDING = "sha256", "pdq", "embedding"


@dataclass(frozen=True)
class Query:
    """A generation as it is searched with. dihedral: uint8 (8, 32). views: float32 (views, d), norm 1."""

    generation_id: str
    sha256: str
    pixel_sha256: str
    comparable: bool
    dihedral: npt.NDArray[np.uint8]
    views: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Training:
    """The different training pictures, by position.

    ids: uint64 (n,). cluster: int64 (n,), the position of each picture's representative, its own where it is alone.
    comparable: bool (n,), its PDQ hash says something. pdq: uint8 (n, 32). vectors: float32 (n, d), norm 1.
    by_bytes, by_pixels: position of a SHA-256.
    """

    ids: npt.NDArray[np.uint64]
    cluster: npt.NDArray[np.int64]
    comparable: npt.NDArray[np.bool_]
    pdq: npt.NDArray[np.uint8]
    vectors: Vectors
    by_bytes: dict[str, int]
    by_pixels: dict[str, int]

    @property
    def heads(self) -> npt.NDArray[np.int64]:
        """Positions of the representatives and of the pictures that are alone."""
        return np.unique(self.cluster)


@dataclass(frozen=True)
class Candidate:
    """A training picture that one method brings to a generation. score: 0 to 1, higher is closer."""

    generation_id: str
    position: int
    method: str
    score: float
    box: Box


@dataclass(frozen=True)
class Measured:
    """What comparing a generation with a training picture gave. copy_score: cosine. pdq_distance: bits of 256."""

    generation_id: str
    position: int
    copy_score: float
    pdq_distance: int | None
    same_bytes: bool
    same_pixels: bool
    alignment: Alignment | None
    box: Box
    failure: str | None = None


@dataclass(frozen=True)
class Cut:
    """Where searching stops. pdq: bits. candidate: cosine. neighbours: clusters kept for a generation."""

    pdq: int
    candidate: float
    neighbours: int


def candidates(queries: Sequence[Query], training: Training, cut: Cut) -> Iterator[list[Candidate]]:
    """Yield each generation's candidates, in the order of `queries`.

    The nearest picture is kept however far it is: without it nothing could be said about how far that is.
    """
    if not queries or not len(training.ids):
        yield from ([] for _ in queries)
        return
    heads = training.heads
    near = search.best_over_views(np.stack([q.views for q in queries]), training.vectors[heads], cut.neighbours)
    hashed = _by_hash(queries, training, cut.pdq)
    for number, (query, found) in enumerate(zip(queries, near, strict=True)):
        mine = [Candidate(query.generation_id, p, BYTES, 1.0, WHOLE) for p in _equal(query, training)]
        mine += [Candidate(query.generation_id, p, PERCEPTUAL, 1 - d / 256, WHOLE) for p, d in hashed[number].items()]
        for rank, (head, score) in enumerate(zip(heads[found.position], found.score, strict=True)):
            if rank == 0 or score >= cut.candidate:
                mine.append(_best_member(query, training, int(head)))
        yield mine


def _equal(query: Query, training: Training) -> list[int]:
    found = (training.by_bytes.get(query.sha256), training.by_pixels.get(query.pixel_sha256))
    return sorted({position for position in found if position is not None})


def _by_hash(queries: Sequence[Query], training: Training, radius: int) -> list[dict[int, int]]:
    best: list[dict[int, int]] = [{} for _ in queries]
    asked = [number for number, query in enumerate(queries) if query.comparable]
    known = np.flatnonzero(training.comparable)
    if asked and len(known):
        variants = np.concatenate([queries[number].dihedral for number in asked])
        for pairs in hamming_join.cross_join(variants, training.pdq[known], radius):
            for left, right, distance in zip(pairs.left, pairs.right, pairs.distance, strict=True):
                mine, position = best[asked[left // 8]], int(known[right])
                mine[position] = min(mine.get(position, 256), int(distance))
    return best


def _best_member(query: Query, training: Training, head: int) -> Candidate:
    positions = np.flatnonzero(training.cluster == head)
    scores = query.views @ training.vectors[positions].T
    view, member = np.unravel_index(int(scores.argmax()), scores.shape)
    score = float(np.clip(scores[view, member], 0, 1))
    return Candidate(query.generation_id, int(positions[member]), EMBEDDING, score, VIEWS[view].box)


def measure(
    query: Query,
    found: Sequence[Candidate],
    training: Training,
    cut: Cut,
    compare: Callable[[str, int], Alignment | None],
) -> Iterator[Measured]:
    """Yield the evidence for the best candidate of each cluster, at most `cut.neighbours` clusters.

    compare: aligns a generation with a training picture by position; an OSError or ValueError it raises (a picture
    that is gone or changed) becomes the failure of that row, and the rest goes on.
    """
    order = {BYTES: 0, PERCEPTUAL: 1, EMBEDDING: 2}
    best: dict[int, Candidate] = {}
    for candidate in sorted(found, key=lambda c: (order[c.method], -c.score, training.ids[c.position])):
        best.setdefault(int(training.cluster[candidate.position]), candidate)
    for candidate in list(best.values())[: cut.neighbours]:
        position, failure, alignment = candidate.position, None, None
        try:
            alignment = compare(query.generation_id, position)
        except (OSError, ValueError) as error:
            failure = str(error)
        scores = query.views @ training.vectors[position]
        bits = np.bitwise_count(query.dihedral ^ training.pdq[position]).sum(axis=1)
        yield Measured(
            generation_id=query.generation_id,
            position=position,
            copy_score=float(scores.max()),
            pdq_distance=int(bits.min()) if query.comparable and training.comparable[position] else None,
            same_bytes=training.by_bytes.get(query.sha256) == position,
            same_pixels=training.by_pixels.get(query.pixel_sha256) == position,
            alignment=alignment,
            box=alignment.region_a if alignment else VIEWS[int(scores.argmax())].box,
            failure=failure,
        )
