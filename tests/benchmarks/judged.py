"""What the search and the pixels say of planted generations, the way a run says it, beside SSCD and PDQ alone.

What belongs here: searching, comparing, the verdict of each pair. What does not: what is planted (`planted.py`),
counting (`evidence.py`).
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import batched

import cv2
import numpy as np
import numpy.typing as npt

from orchestration.settings import Settings
from tests.benchmarks.data import RULES
from tests.benchmarks.figures import NotMeasured, say
from tests.benchmarks.planted import Photo, Planted, Set
from transforms import encoders
from transforms.alignment.align import align
from transforms.alignment.alteration_policy import Alteration
from transforms.alignment.alterations import find_alteration
from transforms.alignment.keypoints import Features, features
from transforms.alignment.policy import Alignment, PixelLimits
from transforms.encoders import Prepared, Vectors
from transforms.fingerprints.distinct_pictures import DistinctPictures
from transforms.fingerprints.embeddings import embed
from transforms.fingerprints.views import VIEWS
from transforms.hashing import hashes
from transforms.hashing.hashes import from_hex
from transforms.matches import candidates, search
from transforms.matches.candidates import CandidateThresholds, Comparison, EqualPictures, PairEvidence, Query
from transforms.matches.neighbour_lists import FIRST, NeighbourList, last
from transforms.pictures import Pixels

ENTIRE = ("exact", "copy")
CONFIRMED = (*ENTIRE, "partial_copy", "altered_copy")
_AT_ONCE, _WORKERS = 32, 2


@dataclass(frozen=True)
class Source:
    """A training picture that a generation was compared with. verdict: a word of the contract, or None."""

    number: int
    verdict: str | None
    found: PairEvidence


@dataclass(frozen=True)
class Judged:
    """A generation with what was compared, best supported first.

    whole, views: float32 (n,), SSCD's cosine with each training picture, of the whole generation and of its best view.
    bits: int64 (n,), PDQ's distance in the nearest of 8 turns, 256 where a hash says nothing.
    """

    planted: Planted
    sources: tuple[Source, ...]
    whole: npt.NDArray[np.float32]
    views: npt.NDArray[np.float32]
    bits: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """All generations, judged. trained: the photographs by number."""

    trained: tuple[Photo, ...]
    never: tuple[Photo, ...]
    judged: tuple[Judged, ...]


def pixel_limits() -> PixelLimits:
    """Return when two pictures agree by pixels, by the default settings."""
    return Settings().thresholds.pixels


@cache
def outcome() -> Outcome:
    """Search and compare every planted generation; minutes. NotMeasured: no photographs, or no encoder."""
    found = Set.read()
    return judge(found, list(found.planted()))


def judge(found: Set, planted: Sequence[Planted]) -> Outcome:
    """Search and compare generations.

    Args:
        found: The training set.
        planted: The generations.

    Raises:
        NotMeasured: There is no encoder.
    """
    try:
        encoder = encoders.load("sscd")
    except encoders.EncoderUnavailable as error:
        raise NotMeasured(str(error)) from None
    # Numbers follow the SHA-256 of the pixels, as a run numbers its pictures.
    trained = tuple(sorted(found.trained, key=lambda photo: hashes.pixel_sha256(photo.picture())))
    judged, spent = list[Judged](), dict.fromkeys(("making", "embedding", "comparing"), 0.0)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # two threads of ours each have a core
    with ThreadPoolExecutor(_WORKERS) as pool:
        pictures = list(pool.map(Photo.picture, trained))
        known = list(pool.map(lambda picture: features(picture, pixel_limits()), pictures))
        judging = _Judge(_training(pictures), embed(encoder, pictures), known)
        for batch in batched(planted, _AT_ONCE):
            began = time.perf_counter()
            made = list(pool.map(lambda each: _look(each, encoder.prepare), batch))
            spent["making"] -= began - (began := time.perf_counter())
            views = encoder.embed([view for each in made for view in each[2]]).reshape(len(batch), len(VIEWS), -1)
            spent["embedding"] -= began - (began := time.perf_counter())
            near = search.best_over_views(views, judging.vectors, FIRST)
            queries = [query for _, query, _ in made]
            alike = candidates.hash_neighbours(
                queries, np.arange(len(trained)), judging.training, judging.cut.pdq, 10**9
            )
            judged += pool.map(judging, batch, [m[0] for m in made], queries, views, near, alike)
            spent["comparing"] += time.perf_counter() - began
            say(f"  {len(judged):,} of {len(planted):,} generations judged")
    cv2.setNumThreads(threads)
    pairs = sum(len(each.sources) for each in judged)
    say(f"  {len(trained)} trained on, {len(found.never)} never, {len(judged):,} generations; {pairs:,} comparisons")
    say("  " + ", ".join(f"{name} {taken:.0f} s" for name, taken in spent.items()))
    return Outcome(trained, found.never, tuple(judged))


def _look(planted: Planted, prepare: Callable[[Pixels], Prepared]) -> tuple[Pixels, Query, list[Prepared]]:
    picture = planted.picture()
    pdq, digest = hashes.pdq(picture), hashes.pixel_sha256(picture)
    name = f"{planted.photo.origin}/{planted.photo.name} {planted.edited}"
    comparable = pdq.quality >= RULES.pdq_quality
    query = Query(name, "", digest, comparable, hashes.pdq_dihedral(picture))
    return picture, query, [prepare(view.cut(picture)) for view in VIEWS]


def _training(pictures: Sequence[Pixels]) -> DistinctPictures:
    found = [hashes.pdq(picture) for picture in pictures]
    return DistinctPictures(
        ids=np.arange(len(pictures), dtype=np.uint64),
        digests=from_hex([hashes.pixel_sha256(picture) for picture in pictures]),
        head=np.arange(len(pictures)),
        comparable=np.array([pdq.quality >= RULES.pdq_quality for pdq in found]),
        pdq=np.stack([pdq.bits for pdq in found]),
    )


class _Judge:
    """Judges one generation: candidates, comparisons, verdicts."""

    def __init__(self, training: DistinctPictures, vectors: Vectors, known: Sequence[Features]) -> None:
        settings = Settings()
        self.training, self.vectors = training, vectors
        self.cut = CandidateThresholds(
            settings.thresholds.pdq, settings.thresholds.candidate, settings.limits.neighbours
        )
        self._known, self._limits, self._similar = known, pixel_limits(), settings.thresholds.similar
        self._looser = settings.thresholds.alterations

    def __call__(
        self,
        planted: Planted,
        picture: Pixels,
        query: Query,
        views: Vectors,
        found: search.SearchHits,
        alike: NeighbourList,
    ) -> Judged:
        training, digests = self.training, self.training.digests
        same = [n for n, digest in enumerate(digests) if digest.tobytes().hex() == query.pixel_sha256]
        equals = EqualPictures(by_pixels=frozenset(same))
        near = NeighbourList(found.position, found.score, found.view)
        near = replace(near, floor=last(near, digests)) if len(near) < len(digests) else near
        chosen = candidates.choose(
            candidates.candidates_by_looks(query, equals, near, alike, training, self.cut, VIEWS), training, self.cut
        )
        score, view = search.scores(views[None], self.vectors[chosen], np.zeros(len(chosen), np.int64))
        mine = features(picture, self._limits)
        comparisons = [
            Comparison(n, s, VIEWS[v].box, *self._looks(mine, self._known[n]))
            for n, s, v in zip(chosen, score.tolist(), view.tolist(), strict=True)
        ]
        measured = [candidates.measure(query, equals, each, training) for each in comparisons]
        sources = [Source(each.index, self._verdict(each), each) for each in measured]
        words = (*CONFIRMED, "similar", None)
        sources.sort(key=lambda s: (words.index(s.verdict), -s.found.copy_score, s.number))
        cosine = views @ self.vectors.T
        bits = np.bitwise_count(query.dihedral[:, None] ^ training.pdq).sum(axis=2, dtype=np.int64).min(axis=0)
        bits = np.where(training.comparable & query.comparable, bits, 256)
        return Judged(planted, tuple(sources), cosine[0], cosine.max(axis=0), bits)

    def _looks(self, mine: Features, theirs: Features) -> tuple[Alignment | None, Alteration | None]:
        alignment = align(mine, theirs, self._limits)
        if alignment and alignment.confirmed(self._limits):
            return alignment, None
        return alignment, find_alteration(mine, theirs, self._limits, self._looser)

    def _verdict(self, found: PairEvidence) -> str | None:
        if found.failure:
            raise ValueError(found.failure)
        return candidates.verdict(found, self._limits, self._looser, self._similar, self.cut.pdq)
