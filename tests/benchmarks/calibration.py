"""Do p-values keep what they promise? Photographs split at random into trained and never trained, again and again.

What belongs here: the figures of calibration, on data that no fit has seen. What does not: the tests of its parts
(`tests/transforms/matches/test_null_distribution.py`).

All photographs and two edited copies of each, one of them altered, are embedded once, with `sscd_distilled`, which
takes a quarter of the time of `sscd`. In each split 200 are training pictures; the null distribution is fitted to
these, each searched against the others. The 100 others, never trained on, are judged with it among copies of 40
training pictures, and again among these and altered copies of the same 40.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from tests.benchmarks.altered_edits import ALTERED
from tests.benchmarks.figures import Figure, Measured, NotMeasured, say
from tests.benchmarks.labelled import PHOTOS
from transforms import encoders
from transforms.encoders import Vectors
from transforms.fingerprints.embeddings import embed
from transforms.fingerprints.views import VIEWS
from transforms.matches import null_distribution, search
from transforms.matches.edits import EDITS, Edit
from transforms.matches.null_distribution import NormalisedMatch, Null
from transforms.pictures import Pixels, decode

TRAINED, COPIES, SPLITS, TAIL = 200, 40, 40, 0.9
_AT_ONCE = 8
_NEIGHBOURS = 10
_MIXED = {"collage", "inset", "splice", "template"} | {
    edit.name for edit in ALTERED if edit.name.endswith("_inset") or edit.name in ("hidden_40", "blended_65", "ninth")
}
"""Edits that show another photograph too."""


@dataclass(frozen=True)
class Copies:
    """Views of a copy of each photograph, float32 (n, views, d). other: what else a copy shows, or -1."""

    views: Vectors
    other: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Embedded:
    """Views of all photographs, float32 (n, views, d), and of copies of them."""

    plain: Vectors
    copies: Copies
    altered: Copies


@dataclass(frozen=True)
class Split:
    """p-values of never-trained photographs and of copies, and whether a copy's best match is what it shows.

    The altered copies come after the others.
    """

    never: npt.NDArray[np.float64]
    copies: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]

    def discovered(self, level: float, copies: int) -> tuple[int, int]:
        """Return how many are discovered at a false discovery rate (Benjamini-Hochberg), and how many of them wrongly.

        A discovered copy whose best match is a picture that it does not show is wrong too.

        Args:
            level: The rate.
            copies: How many of the copies there are, the first.
        """
        p = np.concatenate([self.never, self.copies[:copies]])
        false = np.concatenate([np.ones(len(self.never), np.bool_), ~self.right[:copies]])
        ordered = np.sort(p)
        under = np.flatnonzero(ordered <= level * np.arange(1, len(p) + 1) / len(p))
        found = p <= ordered[under[-1]] if len(under) else np.zeros(len(p), np.bool_)
        return int(found.sum()), int((found & false).sum())


@cache
def _embedded() -> Embedded:
    files = sorted((PHOTOS / "bsds500").glob("*.jpg"))
    if len(files) <= TRAINED:
        raise NotMeasured(f"no {TRAINED} photographs in {PHOTOS / 'bsds500'}; set RAISONNE_BENCH_PHOTOS")
    photos = [decode(file.read_bytes(), 50_000_000) for file in files]
    others = np.random.default_rng(2).permutation(len(photos))
    say(f"  embedding {len(photos)} photographs and two copies of each, {len(VIEWS)} views of all")
    return Embedded(_views(photos), _copies(photos, others, EDITS), _copies(photos, others, ALTERED))


def _copies(photos: list[Pixels], others: npt.NDArray[np.int64], among: Sequence[Edit]) -> Copies:
    edits = [among[i % len(among)] for i in range(len(photos))]
    copies = [
        edit.apply(photo, photos[other], np.random.default_rng(i))
        for i, (photo, edit, other) in enumerate(zip(photos, edits, others, strict=True))
    ]
    return Copies(_views(copies), np.where([edit.name in _MIXED for edit in edits], others, -1))


def _views(photos: list[Pixels]) -> Vectors:
    encoder = encoders.load("sscd_distilled")
    parts = [
        embed(encoder, [view.cut(photo) for photo in photos[start : start + _AT_ONCE] for view in VIEWS])
        for start in range(0, len(photos), _AT_ONCE)
    ]
    return np.concatenate(parts).reshape(len(photos), len(VIEWS), -1)


def _judged(views: Vectors, training: Vectors, own: range | None = None) -> list[NormalisedMatch]:
    near = search.best_over_views(views, training, _NEIGHBOURS + 1)
    around = search.best_over_views(views, training, null_distribution.BACKGROUND + 2)
    return [
        null_distribution.strongest(found, background, None if own is None else own[place])
        for place, (found, background) in enumerate(zip(near, around, strict=True))
    ]


def _p_values(null: Null, judged: list[NormalisedMatch]) -> npt.NDArray[np.float64]:
    return null.p_values([each.normalised for each in judged])


@cache
def splits() -> list[Split]:
    """Return what each random split gave."""
    known, found = _embedded(), []
    for seed in range(SPLITS):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(known.plain))
        trained, never = order[:TRAINED], order[TRAINED:]
        training = known.plain[trained, 0]
        null = null_distribution.fit(
            [each.normalised for each in _judged(known.plain[trained], training, range(TRAINED))], TAIL
        )
        copied = trained[rng.choice(TRAINED, COPIES, replace=False)]
        judged, right = list[NormalisedMatch](), list[npt.NDArray[np.bool_]]()
        for copies in (known.copies, known.altered):
            judged += (of_copies := _judged(copies.views[copied], training))
            best = trained[[each.position or 0 for each in of_copies]]
            right.append((best == copied) | (best == copies.other[copied]))
        unseen = _p_values(null, _judged(known.plain[never], training))
        found.append(Split(unseen, _p_values(null, judged), np.concatenate(right)))
    return found


def _uniform() -> Measured:
    distances = [null_distribution.uniformity(split.never) for split in splits()]
    pooled = np.concatenate([split.never for split in splits()])
    parts = {
        "pooled": null_distribution.uniformity(pooled)[0],
        "splits_rejected_at_05": float(np.mean([p <= 0.05 for _, p in distances])),
        **{f"share_up_to_{level:g}": float(np.mean(pooled <= level)) for level in (0.01, 0.05, 0.1)},
    }
    return Measured(float(np.mean([distance for distance, _ in distances])), parts)


def _fdr(level: float, copies: int) -> Measured:
    counts = [split.discovered(level, copies) for split in splits()]
    power = np.mean([(found - false) / copies for found, false in counts])
    rate = [false / max(1, found) for found, false in counts]
    error = float(np.std(rate) / len(rate) ** 0.5)
    return Measured(float(np.mean(rate)), {"copies_discovered": float(power), "standard_error": error})


_AGAINST = "bsds500, sscd_distilled: 100 never-trained photographs, 40 splits"

_LEVELS = 0.01, 0.05, 0.1

FIGURES = (
    Figure("p_uniform_ks", "distance", "reported", f"{_AGAINST}; mean over splits, beside all pooled", _uniform),
    *(
        Figure(
            f"fdr_at_{round(100 * level):02}",
            "share",
            f"<= {level:g}",
            f"{_AGAINST}, with 40 edited copies: false among those discovered",
            lambda level=level: _fdr(level, COPIES),
        )
        for level in _LEVELS
    ),
    *(
        Figure(
            f"fdr_altered_at_{round(100 * level):02}",
            "share",
            f"<= {level:g}",
            f"{_AGAINST}, with 40 edited and 40 altered copies: false among those discovered",
            lambda level=level: _fdr(level, 2 * COPIES),
        )
        for level in _LEVELS
    ),
)
