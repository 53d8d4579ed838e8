"""Searching a bundle for the training pictures nearest to an image by copy embedding.

What belongs here: comparing sketches, scoring candidates, the p-value of the best. What does not: deciding the verdict
(`guard/check.py`).

Views but the first may be told from the whole or embedded small at first, and in full only where that leaves doubt. The
search compares all sketches. It scores those within the radius of the threshold, and the nearest in any case, by their
quantised vectors, which it reads from the file. The export measures the recall, and every verdict states it.
"""

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.encoders import Encoder, Prepared, Vectors, preview_of, scaling_of
from transforms.fingerprints.views import WHOLE, View
from transforms.guard.bundle import Bundle
from transforms.guard.held_files import RowFile
from transforms.joins.cosine import sketches
from transforms.joins.hamming.scan import Words, least_distances, nearest_rows
from transforms.joins.hamming.workers import Workers
from transforms.matches.null_distribution import BACKGROUND
from transforms.pictures import Pixels
from transforms.pictures.scaling import Scaling
from transforms.regions import Box

SCORED = 256  # least count of nearest sketches that are scored
_BLOCK = 16_384  # scored at once
_NORM = 0.01  # most by which the norm of a vector may differ from 1


_PREVIEWED = 64  # nearest sketches of a previewed view that are scored
_FIRST, _MARGIN = 1, 0.2  # previewed views that are embedded in any case, and how far below a threshold others are
_FIRST_OF_PARTS = 2  # likewise, where vectors of parts stand for previews
_LEAST_DOUBT = 0.15  # cosine below which nearly all views are in doubt, so that previews save nothing


class NotEmbedded(RuntimeError):
    """An encoder returned a vector that has no cosine."""


@dataclass(frozen=True)
class NearCluster:
    """A cluster near to the image. `score`: best cosine of its pictures over the views. `view`: the view with it."""

    cluster: int
    score: float
    view: View


@dataclass(frozen=True)
class StrongestMatch:
    """A match with its p-value."""

    near: NearCluster
    p_value: float | None


@dataclass(frozen=True)
class EmbeddingMatches:
    """The result of a search.

    Attributes:
        clusters: Clusters from the threshold on, best first, including those with an override.
        next: Further clusters from the lower threshold on, best first.
        strongest: The strongest match. If it has an override, also the strongest without one.
        p_value: P-value of the strongest match without an override.
        views: Views that were embedded in full, and searched with.
        best: The best cosine of all.
    """

    clusters: tuple[NearCluster, ...] = ()
    strongest: tuple[StrongestMatch, ...] = ()
    next: tuple[NearCluster, ...] = ()
    p_value: float | None = None
    views: int = 0
    best: float = -1.0


def candidates(words: Words, views: Vectors, radius: int, count: int, workers: Workers) -> npt.NDArray[np.int64]:
    """Return the indices, ascending, of the sketches within `radius` bits of a view and of the `count` nearest.

    Args:
        words: Sketches, uint32 (bits / 32, n).
        views: Vectors of norm 1, float32 (m, d).
        radius: bits.
        count: Least count of nearest sketches; ties are all returned.
        workers: threads.
    """
    bits, counts = least_distances(words, sketches.sketch(views), workers)
    nearest = int(np.searchsorted(np.cumsum(counts), min(count, len(bits))))
    return np.flatnonzero(bits <= max(radius, nearest))


def best_scores(
    codes: RowFile, rows: npt.NDArray[np.int64], views: Vectors
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the best cosine over the views for each of some vectors, and the index of the view that has it.

    Args:
        codes: All vectors in 8-bit numbers.
        rows: Indices of those to score, ascending.
        views: Vectors of norm 1, float32 (m, d).
    """
    score, view = np.empty(len(rows), np.float32), np.empty(len(rows), np.int64)
    for start in range(0, len(rows), _BLOCK):
        cosines = sketches.cosines(codes.take(rows[start : start + _BLOCK]), views)
        score[start : start + _BLOCK], view[start : start + _BLOCK] = cosines.max(axis=1), cosines.argmax(axis=1)
    return score, view


def _turned(view: View) -> bool:
    return bool(getattr(view, "degrees", 0))


def _best_of_each(cluster: npt.NDArray[np.int64], score: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return the indices of the best picture of each cluster, best first."""
    order = np.argsort(-score, kind="stable")
    _, first = np.unique(cluster[order], return_index=True)
    return order[np.sort(first)]


class EmbeddingSearch:
    """Searches the embeddings of a bundle.

    Args:
        bundle: One with embeddings.
        encoder: That of the bundle.
        views: Views of the image to embed, those of the warehouse first.
        passed: Numbers of clusters with an override.
        calibrated: How many are the warehouse's, of which p-values are. Default: all.
        doubt: If set, an image whose first view has no cosine from this on is not searched by the others.
        previews: Whether all views but the first are told from the whole or embedded small first, and in full only
            where that leaves doubt. An encoder that has no preview embeds all.
    """

    def __init__(
        self,
        bundle: Bundle,
        encoder: Encoder,
        views: Sequence[View],
        passed: Collection[int] = (),
        calibrated: int | None = None,
        doubt: float | None = None,
        previews: bool = False,
    ) -> None:
        self._preview = preview_of(encoder) if previews else None
        self._with_parts: Callable[[Prepared, Sequence[Box]], tuple[Vectors, Vectors]] | None = getattr(
            encoder, "with_parts", None
        )
        scaling = scaling_of(encoder)
        self._stretches = scaling is not None and not scaling.crop  # so that a part of its input shows what a view does
        self._encoder, self._views, self._null = encoder, views, bundle.null
        self._calibrated, self._doubt = calibrated or len(views), doubt
        cores = len(os.sched_getaffinity(0))
        self._workers = Workers(ThreadPoolExecutor(cores, "guard"), cores)
        self._words, self._codes = bundle.array("sketch_words"), bundle.row_file("vectors")
        self._cluster, self._passed = bundle.array("vector_cluster"), frozenset(passed)
        self._background = np.array(bundle.array("background"))
        self._background_cluster = np.array(bundle.array("background_cluster"))

    def prepare(self, picture: Pixels) -> Future[Prepared]:
        """Begin to bring the first view of a picture to the encoder's input, beside what comes before its search.

        Args:
            picture: uint8 (height, width, 3).
        """
        return self._workers.pool.submit(self._encoder.prepare, self._views[0].cut(picture))

    def search(
        self,
        picture: Pixels,
        first: Future[Prepared],
        threshold: float,
        lower: float | None,
        tick: Callable[[str], None],
        every_view: bool = False,
    ) -> EmbeddingMatches:
        """Return the clusters that are near to a picture.

        Args:
            picture: uint8 (height, width, 3).
            first: Its first view, as `prepare` returns it.
            threshold: cosine.
            lower: Cosine from which others of the nearest are returned too, if any.
            tick: Called with the name of each step that ended; may raise to end the search.
            every_view: Whether all views are embedded in full, as a p-value needs it.

        Raises:
            NotEmbedded: If the encoder returned a vector whose norm is not 1.
        """
        if self._doubt is not None:
            one = self._embed([first.result()])
            found = self._matches(self._views[:1], one, threshold, lower, tick)
            if found.best < self._doubt and not found.clusters:
                return found
            rest = self._embed(self._prepared(picture, self._views[1:]))
            views, vectors = self._views, np.concatenate([one, rest])
        else:
            views, doubted = self._views, min(threshold, lower or threshold) - _MARGIN
            whole, known = first.result(), list[Vectors]()
            if self._preview is not None and len(views) > 1 and doubted >= _LEAST_DOUBT and not every_view:
                known, views = self._doubtful(picture, whole, self._preview, doubted, tick)
            due = [*([] if known else [whole]), *self._prepared(picture, views[1:])]
            vectors = np.concatenate([*known, self._embed(due)])
        tick("embedding")
        return self._matches(views, vectors, threshold, lower, tick)

    def _doubtful(
        self, picture: Pixels, whole: Prepared, preview: Scaling, least: float, tick: Callable[[str], None]
    ) -> tuple[list[Vectors], Sequence[View]]:
        """Return the first view, and those whose previews leave doubt: the nearest, and all of some least cosine.

        Of an encoder that tells parts of the whole, vectors of these stand for previews, and that of the first view
        is returned too.
        """
        others = self._views[1:]

        def is_part(view: View) -> bool:  # it shows what lies there in what is scaled already, in as many pixels
            wide, high = view.box.width * whole.shape[1], view.box.height * whole.shape[0]
            return self._stretches and wide >= preview.width and high >= preview.height and not _turned(view)

        def small(view: View) -> Prepared:
            of_whole = is_part(view) or (view.box == WHOLE and not _turned(view))
            return preview(view.cut(whole if of_whole else picture))

        told = [type(view) is View and not view.mirrored and is_part(view) for view in others]
        known = list[Vectors]()
        if self._with_parts is None or not any(told):
            vectors = self._embed(list(self._workers.pool.map(small, others)))
        else:
            boxes = [view.box for view, one in zip(others, told, strict=True) if one]
            further = self._workers.pool.map(small, [view for view, one in zip(others, told, strict=True) if not one])
            first, parts = map(self._unit, self._with_parts(whole, boxes))
            vectors, known = np.empty((len(others), parts.shape[1]), np.float32), [first]
            vectors[told] = parts
            if due := list(further):
                vectors[np.logical_not(told)] = self._embed(due)
        tick("embedding previews")
        near = nearest_rows(self._words, sketches.sketch(vectors), _PREVIEWED, self._workers)

        def score(one: int) -> float:
            cosines = sketches.cosines(self._codes.take(near[one]), vectors[one : one + 1])
            return float(cosines.max(initial=-1))

        best = np.array(list(self._workers.pool.map(score, range(len(near)))))
        doubted = best >= least
        doubted[np.argsort(-best, kind="stable")[: _FIRST_OF_PARTS if known else _FIRST]] = True
        return known, [self._views[0], *(view for view, one in zip(others, doubted.tolist(), strict=True) if one)]

    def _prepared(self, picture: Pixels, views: Sequence[View]) -> list[Prepared]:
        return list(self._workers.pool.map(lambda view: self._encoder.prepare(view.cut(picture)), views))

    def _embed(self, prepared: Sequence[Prepared]) -> Vectors:
        """Return the vectors of views. Raises NotEmbedded."""
        return self._unit(self._encoder.embed(prepared))

    def _unit(self, vectors: Vectors) -> Vectors:
        """Return vectors as they are. Raises NotEmbedded if the norm of one is not 1."""
        if not (np.abs(np.linalg.norm(vectors, axis=1) - 1) < _NORM).all():
            raise NotEmbedded(f"the encoder {self._encoder.id} returned a vector whose norm is not 1")
        return vectors

    def _matches(
        self,
        shown: Sequence[View],
        views: Vectors,
        threshold: float,
        lower: float | None,
        tick: Callable[[str], None],
    ) -> EmbeddingMatches:
        radius = sketches.radius(threshold, 32 * len(self._words))
        rows = candidates(self._words, views, radius, SCORED, self._workers)
        tick("comparing sketches")
        if not len(rows):
            return EmbeddingMatches(views=len(views))
        score, view = best_scores(self._codes, rows, views)
        cluster = np.asarray(self._cluster[rows], np.int64)
        best = _best_of_each(cluster, score)
        above = best[score[best] >= threshold]
        matches = tuple(self._near(shown, cluster, score, view, index) for index in above.tolist())
        below = best[(score[best] < threshold) & (score[best] >= (threshold if lower is None else lower))]
        nearby = tuple(self._near(shown, cluster, score, view, index) for index in below.tolist())
        strongest: tuple[StrongestMatch, ...] = ()
        p_value = None
        if len(views) == len(self._views) or self._doubt is not None:  # else it would be that of another search
            own, own_view = score, view
            if len(views) > self._calibrated:
                own, own_view = best_scores(self._codes, rows, views[: self._calibrated])
            strongest, p_value = self._strongest(shown, views[: self._calibrated], cluster, own, own_view)
        return EmbeddingMatches(matches, strongest, nearby, p_value, len(views), float(score.max()))

    def _strongest(
        self,
        shown: Sequence[View],
        views: Vectors,
        cluster: npt.NDArray[np.int64],
        score: npt.NDArray[np.float32],
        view: npt.NDArray[np.int64],
    ) -> tuple[tuple[StrongestMatch, ...], float | None]:
        """Return the strongest match, the strongest without an override, and the p-value of that one."""
        best = _best_of_each(cluster, score)
        normalised = score[best].astype(np.float64) - self._common(views, cluster[best])
        strongest: list[StrongestMatch] = []
        for index in np.argsort(-normalised, kind="stable").tolist():
            near = self._near(shown, cluster, score, view, int(best[index]))
            counts = near.cluster not in self._passed
            if counts or not strongest:
                p_value = None if self._null is None else float(self._null.p_values(normalised[index]))
                strongest.append(StrongestMatch(near, p_value))
            if counts:
                return tuple(strongest), p_value
        return tuple(strongest), None

    @staticmethod
    def _near(
        shown: Sequence[View], cluster: np.ndarray, score: np.ndarray, view: np.ndarray, index: int
    ) -> NearCluster:
        return NearCluster(int(cluster[index]), float(score[index]), shown[view[index]])

    def _common(self, views: Vectors, cluster: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the picture's mean best background scores, leaving each cluster out, as `calibration` does."""
        if not len(self._background):
            return np.zeros(len(cluster))
        scores = sketches.products(self._background, views).max(axis=1).astype(np.float64)
        order = np.argsort(-scores, kind="stable")
        mean = np.full(len(cluster), scores[order[:BACKGROUND]].mean())
        for each in order[:BACKGROUND]:  # one picture a cluster: leaving one out lets one more in
            others = scores[order[order != each][:BACKGROUND]]
            mean[cluster == self._background_cluster[each]] = others.mean() if len(others) else 0.0
        return mean
