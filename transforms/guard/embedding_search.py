"""The training pictures of a bundle that are nearest to a generated image by its copy embedding.

What belongs here: looking by sketches, scoring what they bring, the p-value of the best. What does not: what a score
means for the verdict (`guard/check.py`).

All sketches are compared; only what lies within the radius of the threshold, and the nearest in any case, is scored by
the quantised vectors, which are read from the file and never held. How much that misses is measured when the bundle is
written, and every verdict states it.
"""

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.encoders import Encoder, Prepared, Vectors
from transforms.fingerprints.views import View
from transforms.guard.bundle import Bundle
from transforms.guard.held_files import RowFile
from transforms.joins.cosine import sketches
from transforms.joins.hamming.scan import Words, least
from transforms.joins.hamming.workers import Workers
from transforms.matches.null_distribution import BACKGROUND
from transforms.pictures import Pixels

SCORED = 256  # nearest by sketch that are scored at least
_BLOCK = 16_384  # scored at once
_NORM = 0.01  # by which the norm of a view's vector may differ from 1
NO_CLUSTER = 2**32 - 1  # of a background picture that is not in the bundle


class NotEmbedded(RuntimeError):
    """An encoder returned what no cosine can be taken of."""


@dataclass(frozen=True)
class Near:
    """A cluster near to the image. score: the best cosine of its pictures over the views; view: which that was."""

    cluster: int
    score: float
    view: View


@dataclass(frozen=True)
class Strongest:
    """The match that a p-value is of."""

    near: Near
    p_value: float | None


@dataclass(frozen=True)
class Found:
    """What a search found.

    matches: clusters from the threshold on, best first, those too that do not count. strongest: of all clusters, and
    where that is one that does not count, of those that do. p_value: of the strongest that counts.
    """

    matches: tuple[Near, ...] = ()
    strongest: tuple[Strongest, ...] = ()
    p_value: float | None = None


def candidates(words: Words, views: Vectors, radius: int, count: int, workers: Workers) -> npt.NDArray[np.int64]:
    """Return the positions, ascending, of what lies within `radius` bits of a view, and of the `count` nearest.

    words: sketches, uint32 (bits / 32, n). views: float32 (m, d), norm 1. Of equally near ones all are returned.
    """
    bits, counts = least(words, sketches.sketch(views), workers)
    nearest = int(np.searchsorted(np.cumsum(counts), min(count, len(bits))))
    return np.flatnonzero(bits <= max(radius, nearest))


def best_scores(
    codes: RowFile, rows: npt.NDArray[np.int64], views: Vectors
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the best cosine over the views of some quantised vectors, and the view that has it."""
    score, view = np.empty(len(rows), np.float32), np.empty(len(rows), np.int64)
    for start in range(0, len(rows), _BLOCK):
        found = sketches.cosines(codes.take(rows[start : start + _BLOCK]), views)
        score[start : start + _BLOCK], view[start : start + _BLOCK] = found.max(axis=1), found.argmax(axis=1)
    return score, view


class Nearest:
    """Searches the embeddings of a bundle. passed: numbers of clusters whose resemblance does not count."""

    def __init__(self, bundle: Bundle, encoder: Encoder, views: Sequence[View], passed: Collection[int] = ()) -> None:
        self._encoder, self._views, self._null = encoder, views, bundle.null
        cores = len(os.sched_getaffinity(0))
        self._workers = Workers(ThreadPoolExecutor(cores, "guard"), cores)
        self._words, self._codes = bundle.array("sketch_words"), bundle.row_file("vectors")
        self._cluster, self._passed = bundle.array("vector_cluster"), frozenset(passed)
        self._background = np.array(bundle.array("background"))
        self._background_cluster = np.array(bundle.array("background_cluster"))

    def search(self, picture: Pixels, threshold: float, tick: Callable[[str], None]) -> Found:
        """Look a picture up. threshold: cosine. tick: told what ended, and may raise to end the search.

        Raises NotEmbedded for numbers that are near to nothing, whatever they are compared with.
        """
        views = self._encoder.embed(self._prepared(picture))
        if not (np.abs(np.linalg.norm(views, axis=1) - 1) < _NORM).all():
            raise NotEmbedded(f"the encoder {self._encoder.id} returned a vector whose norm is not 1")
        tick("embedding")
        radius = sketches.radius(threshold, 32 * len(self._words))
        rows = candidates(self._words, views, radius, SCORED, self._workers)
        tick("comparing sketches")
        if not len(rows):
            return Found()
        score, view = best_scores(self._codes, rows, views)
        cluster = np.asarray(self._cluster[rows], np.int64)
        order = np.argsort(-score, kind="stable")
        _, first = np.unique(cluster[order], return_index=True)
        best = order[np.sort(first)]  # the best picture of each cluster
        matches = tuple(self._near(cluster, score, view, place) for place in best[score[best] >= threshold].tolist())
        normalised = score[best].astype(np.float64) - self._common(views, cluster[best])
        strongest: list[Strongest] = []
        for place in np.argsort(-normalised, kind="stable").tolist():
            near = self._near(cluster, score, view, int(best[place]))
            counts = near.cluster not in self._passed
            if counts or not strongest:
                p_value = None if self._null is None else float(self._null.p_values(normalised[place]))
                strongest.append(Strongest(near, p_value))
            if counts:
                return Found(matches, tuple(strongest), p_value)
        return Found(matches, tuple(strongest))

    def _prepared(self, picture: Pixels) -> Sequence[Prepared]:
        return list(self._workers.pool.map(lambda view: self._encoder.prepare(view.cut(picture)), self._views))

    def _near(self, cluster: np.ndarray, score: np.ndarray, view: np.ndarray, place: int) -> Near:
        return Near(int(cluster[place]), float(score[place]), self._views[view[place]])

    def _common(self, views: Vectors, cluster: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return what the picture shares with the background, each cluster left out once, as in `calibration`."""
        if not len(self._background):
            return np.zeros(len(cluster))
        scores = sketches.products(self._background, views).max(axis=1).astype(np.float64)
        order = np.argsort(-scores, kind="stable")
        mean = np.full(len(cluster), scores[order[:BACKGROUND]].mean())
        for each in order[:BACKGROUND]:  # one picture a cluster, so that leaving one out lets one more in
            others = scores[order[order != each][:BACKGROUND]]
            mean[cluster == self._background_cluster[each]] = others.mean() if len(others) else 0.0
        return mean
