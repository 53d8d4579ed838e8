"""Which training pictures could a generation come from? Candidates of every method, then evidence from pixels.

What belongs here: choosing the candidates of one generation, and deriving evidence from a comparison. What does not:
searching (`matches/search.py`), kept lists of neighbours (`matches/neighbour_lists.py`), verdicts
(`sql/matches/evidence.sql`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.alignment.alteration_policy import Alteration, AlterationLimits
from transforms.alignment.policy import Alignment, PixelLimits
from transforms.fingerprints.distinct_pictures import DistinctPictures, Indices
from transforms.fingerprints.views import WHOLE, View
from transforms.joins.hamming import join
from transforms.matches import neighbour_lists
from transforms.matches.neighbour_lists import MOST, ListDemand, NeighbourList
from transforms.regions import Box

BYTES, PERCEPTUAL, EMBEDDING = "sha256", "pdq", "embedding"
PROMPTS = ("prompt", "prompt_normalised", "prompt_semantic")
_BITS = 256


@dataclass(frozen=True)
class Query:
    """A generation to search with. `dihedral`: uint8 (8, 32), the PDQ hashes of its rotations and reflections."""

    generation_id: str
    sha256: str
    pixel_sha256: str
    comparable: bool
    dihedral: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Candidate:
    """A training row that one method proposes for a generation.

    Attributes:
        generation_id: The generation.
        index: Of the row's picture; None if the row has no usable picture.
        sample_id: The row.
        method: One of the methods named above.
        score: 0 to 1, higher is closer.
        box: The part of the generation that scored best.
    """

    generation_id: str
    index: int | None
    sample_id: int
    method: str
    score: float
    box: Box


@dataclass(frozen=True)
class CandidateThresholds:
    """The limits of the search.

    Attributes:
        pdq: Bits.
        candidate: Cosine.
        neighbours: Clusters kept for a generation.
    """

    pdq: int
    candidate: float
    neighbours: int

    @property
    def demand(self) -> ListDemand:
        """The demand on a list of neighbours."""
        return ListDemand(self.neighbours, self.candidate)


@dataclass(frozen=True)
class EqualPictures:
    """Indices of the training pictures whose bytes, and whose pixels, are those of a generation."""

    by_bytes: frozenset[int] = frozenset()
    by_pixels: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Comparison:
    """A generation laid over a training picture.

    Attributes:
        index: Of the training picture.
        copy_score: Cosine of the best view; None where nothing is embedded.
        box: That view's part of the generation.
        alignment: None if no alignment was found, or a picture could not be read.
        alteration: None where pixels confirm a copy, or no sign of an altered one was found.
        failure: Why a picture could not be read.
    """

    index: int
    copy_score: float | None
    box: Box
    alignment: Alignment | None
    alteration: Alteration | None = None
    failure: str | None = None


@dataclass(frozen=True)
class PairEvidence:
    """The evidence of a comparison about a generation and a training picture. `pdq_distance`: bits of 256."""

    generation_id: str
    index: int
    copy_score: float | None
    pdq_distance: int | None
    same_bytes: bool
    same_pixels: bool
    alignment: Alignment | None
    alteration: Alteration | None
    box: Box
    failure: str | None = None


def hash_neighbours(
    queries: Sequence[Query], indices: Indices, pictures: DistinctPictures, radius: int, memory: int
) -> list[NeighbourList]:
    """Find the pictures whose PDQ hash is near that of a generation, in any rotation or reflection.

    Args:
        queries: The generations.
        indices: The pictures to search among.
        pictures: All pictures.
        radius: Bits.
        memory: Bytes that may be held; it changes no result.

    Returns:
        A list for each generation, of at most MOST pictures; the score is the share of equal bits.
    """
    lists = [neighbour_lists.NONE] * len(queries)
    comparable = np.array([i for i, query in enumerate(queries) if query.comparable], np.int64)
    among = indices[pictures.comparable[indices]]
    if not len(comparable) or not len(among):
        return lists
    variants = np.concatenate([queries[i].dihedral for i in comparable])
    turns = len(variants) // len(comparable)
    at_once = join.at_once(memory)
    for start in range(0, len(among), at_once):
        some = among[start : start + at_once]
        for pairs in join.cross_join(variants, pictures.pdq[some], radius):
            order = np.argsort(pairs.left, kind="stable")
            owner, first = np.unique(pairs.left[order] // turns, return_index=True)
            for query, part in zip(comparable[owner].tolist(), np.split(order, first[1:]), strict=True):
                score = (1 - pairs.distance[part] / _BITS).astype(np.float32)
                near = NeighbourList(some[pairs.right[part]], score, np.zeros(len(part), np.int64))
                lists[query] = neighbour_lists.extend(lists[query], near, pictures.digests, MOST)
    return lists


def candidates_by_looks(
    query: Query,
    equal: EqualPictures,
    by_embedding: NeighbourList,
    by_hash: NeighbourList,
    pictures: DistinctPictures,
    cut: CandidateThresholds,
    views: Sequence[View],
) -> list[Candidate]:
    """Return a generation's candidates by equality, hash and embedding.

    The nearest picture is a candidate at any distance, so that its distance is published.

    Args:
        query: The generation.
        equal: Pictures that equal it.
        by_embedding: Its nearest pictures by embedding.
        by_hash: Its nearest pictures by PDQ.
        pictures: All pictures.
        cut: The limits of the search.
        views: The views, in the order of their indices in the lists.
    """

    def candidate(index: int, method: str, score: float, box: Box = WHOLE) -> Candidate:
        return Candidate(query.generation_id, index, int(pictures.ids[index]), method, score, box)

    proposed = [candidate(index, BYTES, 1.0) for index in sorted(equal.by_bytes | equal.by_pixels)]
    hashed = zip(by_hash.index.tolist(), by_hash.score.tolist(), strict=True)
    proposed += [candidate(index, PERCEPTUAL, score) for index, score in hashed]
    for at in neighbour_lists.best(by_embedding, pictures.head, cut.demand).tolist():
        score = min(1.0, max(0.0, float(by_embedding.score[at])))
        proposed.append(candidate(int(by_embedding.index[at]), EMBEDDING, score, views[by_embedding.view[at]].box))
    return proposed


def choose(candidates: Sequence[Candidate], pictures: DistinctPictures, cut: CandidateThresholds) -> list[int]:
    """Choose the pictures to compare by pixels: the best candidate of each cluster.

    Args:
        candidates: Those of one generation.
        pictures: All pictures.
        cut: At most `cut.neighbours` clusters by looks are compared, and as many others by prompt.

    Returns:
        Indices of pictures.
    """
    order = {method: rank for rank, method in enumerate((BYTES, PERCEPTUAL, EMBEDDING, *PROMPTS))}
    best: dict[int, Candidate] = {}
    for each in sorted(candidates, key=lambda c: (order[c.method], -c.score, -1 if c.index is None else c.index)):
        if each.index is not None:
            best.setdefault(int(pictures.head[each.index]), each)
    looks = [c.index for c in best.values() if c.method not in PROMPTS and c.index is not None]
    texts = [c.index for c in best.values() if c.method in PROMPTS and c.index is not None]
    return looks[: cut.neighbours] + texts[: cut.neighbours]


def measure(query: Query, equal: EqualPictures, comparison: Comparison, pictures: DistinctPictures) -> PairEvidence:
    """Return the evidence about a generation and a training picture.

    Args:
        query: The generation.
        equal: Pictures that equal it.
        comparison: The generation laid over the picture.
        pictures: All pictures.
    """
    index, alignment = comparison.index, comparison.alignment
    bits = np.bitwise_count(query.dihedral ^ pictures.pdq[index]).sum(axis=1)
    return PairEvidence(
        generation_id=query.generation_id,
        index=index,
        copy_score=None if comparison.copy_score is None else min(1.0, max(-1.0, comparison.copy_score)),
        pdq_distance=int(bits.min()) if query.comparable and pictures.comparable[index] else None,
        same_bytes=index in equal.by_bytes,
        same_pixels=index in equal.by_pixels,
        alignment=alignment,
        alteration=comparison.alteration,
        box=alignment.region_a if alignment else comparison.box,
        failure=comparison.failure,
    )


def verdict(
    evidence: PairEvidence, limits: PixelLimits, looser: AlterationLimits, similar: float, pdq: int
) -> str | None:
    """Return the word for the evidence, as `sql/matches/evidence.sql` decides it; None where nothing holds.

    Args:
        evidence: About two pictures.
        limits: When two pictures agree by pixels.
        looser: When structure confirms an altered copy.
        similar: Copy score from which two pictures are similar.
        pdq: Bits up to which they are.
    """
    alignment = evidence.alignment
    if evidence.same_bytes or evidence.same_pixels:
        return "exact"
    if alignment is not None and alignment.confirmed(limits):
        return "copy" if alignment.whole(limits) else "partial_copy"
    if evidence.alteration is not None and evidence.alteration.confirmed(looser):
        return "altered_copy"
    near = evidence.pdq_distance is not None and evidence.pdq_distance <= pdq
    alike = evidence.copy_score is not None and evidence.copy_score >= similar
    return "similar" if near or alike else None
