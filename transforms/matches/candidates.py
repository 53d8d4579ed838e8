"""Which training pictures could a generation come from? Candidates of every method, then evidence from pixels.

What belongs here: gathering the candidates of one generation and measuring them. What does not: searching
(`matches/search.py`), lists of what was found (`matches/neighbour_lists.py`), verdicts (`sql/matches/evidence.sql`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.alignment.policy import Alignment
from transforms.fingerprints.views import WHOLE, View
from transforms.hashing.digest_arrays import Rows
from transforms.joins.hamming import join
from transforms.matches import neighbour_lists
from transforms.matches.neighbour_lists import MOST, Near
from transforms.regions import Box

BYTES, PERCEPTUAL, EMBEDDING = "sha256", "pdq", "embedding"
PROMPTS = ("prompt", "prompt_normalised", "prompt_semantic")
_BITS = 256


@dataclass(frozen=True)
class Query:
    """A generation as it is searched with. dihedral: uint8 (8, 32)."""

    generation_id: str
    sha256: str
    pixel_sha256: str
    comparable: bool
    dihedral: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Training:
    """The different training pictures by number, in the order of the SHA-256 of their pixels.

    ids: uint64 (n,), the first row that shows each. digests: uint8 (n, 32), ascending. cluster: int64 (n,), the number
    of each picture's representative, its own where it is alone. comparable: bool (n,), its PDQ hash says something.
    pdq: uint8 (n, 32).
    """

    ids: npt.NDArray[np.uint64]
    digests: Rows
    cluster: npt.NDArray[np.int64]
    comparable: npt.NDArray[np.bool_]
    pdq: npt.NDArray[np.uint8]

    @property
    def heads(self) -> npt.NDArray[np.int64]:
        """Numbers of the representatives and of the pictures that are alone."""
        return np.unique(self.cluster)


@dataclass(frozen=True)
class Candidate:
    """A training row that one method brings to a generation. score: 0 to 1, higher is closer.

    number: of its picture, None where it has none that can be used. sample_id: the row.
    """

    generation_id: str
    number: int | None
    sample_id: int
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

    @property
    def wanted(self) -> neighbour_lists.Wanted:
        """What is asked of a list of neighbours."""
        return neighbour_lists.Wanted(self.neighbours, self.candidate)


@dataclass(frozen=True)
class Equals:
    """Numbers of the training pictures whose bytes, and whose pixels, are those of a generation."""

    by_bytes: frozenset[int] = frozenset()
    by_pixels: frozenset[int] = frozenset()


def hashed(queries: Sequence[Query], numbers: npt.NDArray[np.int64], training: Training, radius: int) -> list[Near]:
    """Return for each generation the pictures among `numbers` whose PDQ hash is near, in any rotation or reflection.

    radius: bits. The score of a list is the share of equal bits; it holds at most MOST pictures.
    """
    lists = [neighbour_lists.NONE] * len(queries)
    asked = np.array([place for place, query in enumerate(queries) if query.comparable], np.int64)
    known = numbers[training.comparable[numbers]]
    if not len(asked) or not len(known):
        return lists
    variants = np.concatenate([queries[place].dihedral for place in asked])
    turns = len(variants) // len(asked)
    for pairs in join.cross_join(variants, training.pdq[known], radius):
        order = np.argsort(pairs.left, kind="stable")
        owner, first = np.unique(pairs.left[order] // turns, return_index=True)
        for mine, part in zip(asked[owner].tolist(), np.split(order, first[1:]), strict=True):
            score = (1 - pairs.distance[part] / _BITS).astype(np.float32)
            found = Near(known[pairs.right[part]], score, np.zeros(len(part), np.int64))
            lists[mine] = neighbour_lists.extended(lists[mine], found, training.digests, MOST)
    return lists


def candidates(
    query: Query, equals: Equals, near: Near, alike: Near, training: Training, cut: Cut, views: Sequence[View]
) -> list[Candidate]:
    """Return a generation's candidates by its own looks. near: by embedding; alike: by PDQ.

    The nearest picture is kept however far it is: without it nothing could be said about how far that is.
    """

    def made(number: int, method: str, score: float, box: Box = WHOLE) -> Candidate:
        return Candidate(query.generation_id, number, int(training.ids[number]), method, score, box)

    found = [made(number, BYTES, 1.0) for number in sorted(equals.by_bytes | equals.by_pixels)]
    found += [made(n, PERCEPTUAL, s) for n, s in zip(alike.number.tolist(), alike.score.tolist(), strict=True)]
    for place in neighbour_lists.best(near, training.cluster, cut.wanted).tolist():
        score = min(1.0, max(0.0, float(near.score[place])))
        found.append(made(int(near.number[place]), EMBEDDING, score, views[near.view[place]].box))
    return found


def compared(found: Sequence[Candidate], training: Training, cut: Cut) -> list[int]:
    """Return the numbers of the pictures that are compared by pixels: the best candidate of each cluster.

    Those of at most `cut.neighbours` clusters by looks, and of as many others by prompt.
    """
    order = {method: place for place, method in enumerate((BYTES, PERCEPTUAL, EMBEDDING, *PROMPTS))}
    best: dict[int, Candidate] = {}
    for each in sorted(found, key=lambda c: (order[c.method], -c.score, -1 if c.number is None else c.number)):
        if each.number is not None:
            best.setdefault(int(training.cluster[each.number]), each)
    looks = [c.number for c in best.values() if c.method not in PROMPTS and c.number is not None]
    texts = [c.number for c in best.values() if c.method in PROMPTS and c.number is not None]
    return looks[: cut.neighbours] + texts[: cut.neighbours]


def measure(
    query: Query,
    equals: Equals,
    scored: Sequence[tuple[int, float, Box]],
    training: Training,
    compare: Callable[[Query, int], Alignment | None],
) -> Iterator[Measured]:
    """Yield the evidence for the pictures to compare.

    scored: their numbers, with the cosine of the best view and its box. compare: aligns a generation with a training
    picture; an OSError or ValueError it raises (a picture that is gone or changed) becomes the failure of that row, and
    the rest goes on.
    """
    for number, score, box in scored:
        failure, alignment = None, None
        try:
            alignment = compare(query, number)
        except (OSError, ValueError) as error:
            failure = str(error)
        bits = np.bitwise_count(query.dihedral ^ training.pdq[number]).sum(axis=1)
        yield Measured(
            generation_id=query.generation_id,
            position=number,
            copy_score=score,
            pdq_distance=int(bits.min()) if query.comparable and training.comparable[number] else None,
            same_bytes=number in equals.by_bytes,
            same_pixels=number in equals.by_pixels,
            alignment=alignment,
            box=alignment.region_a if alignment else box,
            failure=failure,
        )
