"""Measures of a guard bundle, for its manifest: the recall of its search, and the error rates of its rule.

What belongs here: the recall of sketches, the error of quantised vectors, error rates of the rule. What does not:
writing (`guard/export.py`), the null distribution (`transforms/matches/null_distribution.py`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.encoders import Vectors
from transforms.intervals import wilson
from transforms.joins.cosine import sketches

_THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
_QUERIES = 64  # edited copies whose views are searched with
NOT_TRAINED, _COPIES = "not_trained", ("whole", "part")  # as `calibration_pictures` names populations


class Losses:
    """Measures the loss of sketches and 8-bit numbers against the vectors of a bundle.

    Args:
        queries: Views of edited copies of training pictures, float32 (pictures, views, d).
        threshold: Cosine from which a search should find a pair.
    """

    def __init__(self, queries: npt.NDArray[np.float32], threshold: float) -> None:
        self._queries, self._threshold = queries, threshold
        self._pairs = self._found = 0
        self._error = 0.0
        self._alike = 1.0

    def add(self, vectors: Vectors) -> None:
        """Compare vectors, float32 (n, d), with all queries, and with their own 8-bit form."""
        if not len(vectors):
            return
        codes, signs = sketches.quantise(vectors), sketches.sketch(vectors)
        kept = codes / np.maximum(np.linalg.norm(codes.astype(np.float32), axis=1, keepdims=True), 1)
        self._alike = min(self._alike, float(np.einsum("ij,ij->i", kept, vectors).min()))
        radius = sketches.radius(self._threshold, 8 * signs.shape[1])
        for views in self._queries:
            true = (vectors @ views.T).max(axis=1)
            near = np.flatnonzero(true >= self._threshold)
            if not len(near):
                continue
            bits = np.bitwise_count(signs[near][:, None] ^ sketches.sketch(views)[None]).sum(axis=2).min(axis=1)
            scored = sketches.cosines(codes[near], views).max(axis=1)
            self._pairs += len(near)
            self._found += int((bits <= radius).sum())
            self._error = max(self._error, float(np.abs(scored - true[near]).max()))

    def summary(self) -> dict[str, Any]:
        """Return the measures. `recall` is None if no query is near to a vector."""
        recall = self._found / self._pairs if self._pairs else None
        low, high = (None, None) if recall is None else wilson(recall, self._pairs)
        return {
            "queries": len(self._queries),
            "pairs": self._pairs,
            "recall": recall,
            "recall_low": low,
            "recall_high": high,
            "least_self_cosine": self._alike,
            "largest_cosine_error": self._error if self._pairs else None,
        }


def queries(embeddings: pa.Table, views: Sequence[str], dimension: int) -> npt.NDArray[np.float32]:
    """Return the views of at most 64 edited copies: float32 (pictures, views, dimension).

    Args:
        embeddings: Rows of `calibration_embeddings`. Pictures that lack a view are left out.
        views: Names of the views.
        dimension: d.
    """
    vectors: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for row in embeddings.to_pylist():
        vectors[row["pixel_sha256"], row["edit"]][row["view"]] = row["vector"]
    whole = [vectors[key] for key in sorted(vectors) if all(view in vectors[key] for view in views)][:_QUERIES]
    stacked = [[each[view] for view in views] for each in whole]
    return np.array(stacked, np.float32).reshape(len(whole), len(views), dimension)


def error_rates(pictures: Sequence[Mapping[str, Any]], score: float, p_value: float | None) -> list[dict[str, Any]]:
    """Return how often the rule for embeddings errs, by population: `not_trained`, `whole` and `part`.

    Perceptual hashes and equal files block further copies; they are not counted. Intervals are Wilson's, of 95%.

    Args:
        pictures: Rows of `calibration_pictures`.
        score: Cosine from which the rule blocks.
        p_value: p-value up to which it also blocks, if any.
    """
    blocked: dict[str, list[bool]] = defaultdict(list)
    for each in pictures:
        flagged = each["score"] >= score or (p_value is not None and each["p_value"] <= p_value)
        blocked[each["population"]].append(flagged)
    return [_errors(population, flags) for population, flags in sorted(blocked.items())]


def _errors(population: str, flags: Sequence[bool]) -> dict[str, Any]:
    copy = population in _COPIES
    wrong = sum(flag != copy for flag in flags)
    low, high = wilson(wrong / len(flags), len(flags))
    return {
        "population": population,
        "error": "false_negative" if copy else "false_positive",
        "pictures": len(flags),
        "wrong": wrong,
        "rate": wrong / len(flags),
        "low": low,
        "high": high,
    }


def operating_points(pictures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the error rates at each of some thresholds, without a p-value."""
    return [{"copy_score": score, **each} for score in _THRESHOLDS for each in error_rates(pictures, score, None)]
