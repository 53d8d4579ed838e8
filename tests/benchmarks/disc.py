"""Ranking copies under edits that others designed, as the DISC challenge counts: micro-AP, and recall at precision 0.9.

What belongs here: the queries, and counting. What does not: the edits (`disc_edits.py`), searching and comparing
(`judged.py`), the peer that is run by another interpreter (`disc_perception.py`).

Training pictures are the references. Queries are edited copies of those of the half that no limit was chosen on, and
twice as many edited photographs that show none of them. All pairs of all queries are ranked together, so one threshold
must fit all, and each query has one right answer at most. DISC has a million references and a fifth of its queries has
an answer: its figures are higher where these are lower, and cannot be compared with them.
"""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from tests.benchmarks import disc_perception
from tests.benchmarks.disc_edits import edits
from tests.benchmarks.figures import FULL, Figure, Measured, say
from tests.benchmarks.judged import CONFIRMED, Judged, Outcome, judge
from tests.benchmarks.planted import Photo, Planted, Set

_COPIES = 100 if FULL else 20  # photographs of which a copy is made by each of the two
_DISTRACTORS = 2  # a copy
_PRECISION = 0.9
_HELD_OUT = 1  # half
_WORDS = (*CONFIRMED, "similar")

type Scores = npt.NDArray[np.float64]  # (queries, references)


def _queries(known: Set) -> Iterator[Planted]:
    trained, never = (
        [photo for photo in photos if photo.half == _HELD_OUT and photo.origin == "bsds500"]
        for photos in (known.trained, known.never)
    )
    for edit in edits():
        for place, photo in enumerate(trained[:_COPIES]):
            yield Planted(photo, photo, edit, never[place % len(never)])
        for place in range(_DISTRACTORS * min(_COPIES, len(trained))):
            photo, other = never[place % len(never)], never[(place + 1 + place // len(never)) % len(never)]
            yield Planted(_again(photo, place // len(never)), None, edit, other)


def _again(photo: Photo, turn: int) -> Photo:
    """Return a photograph under another name, so that it is edited in another way."""
    return Photo(f"{photo.name} {turn}", photo.origin, photo.half, photo.data)


@cache
def outcome() -> Outcome:
    """Search and compare every query; minutes. NotMeasured: no photographs, no encoder, or no edits."""
    known = Set.read()
    return judge(known, list(_queries(known)))


def _ours(judged: Judged) -> npt.NDArray[np.float64]:
    """Rank as `provenance.sources` does: by verdict, then by score; what was no candidate comes last, by its cosine."""
    scores = judged.views.astype(np.float64)
    for source in judged.sources:
        strength = len(_WORDS) - _WORDS.index(source.verdict) if source.verdict else 0
        scores[source.number] = 2.0 * strength + max(float(source.found.copy_score), -1.0)
    return scores


METHODS: dict[str, Callable[[Judged], npt.NDArray[np.float64]]] = {
    "ours": _ours,
    "sscd": lambda judged: judged.whole.astype(np.float64),
    "sscd_views": lambda judged: judged.views.astype(np.float64),
    "pdq": lambda judged: -judged.bits.astype(np.float64),
}


@cache
def _ranked() -> dict[str, Scores]:
    """Score all pairs by each method; by `perception` where an interpreter has it."""
    made = outcome()
    found = {name: np.stack([method(each) for each in made.judged]) for name, method in METHODS.items()}
    if disc_perception.INTERPRETER:
        queries = (each.planted.picture() for each in made.judged)
        found["perception"] = np.array(disc_perception.scores(queries, (photo.picture() for photo in made.trained)))
    return found


def _curve(scores: Scores, right: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return precision and recall after each pair, best first; equal scores are taken in the least favourable order.

    Args:
        scores: Of each query with each reference.
        right: The reference that each query shows; -1: none.
    """
    hits = right[:, None] == np.arange(scores.shape[1])
    order = np.lexsort((hits.ravel(), -scores.ravel()))
    found = np.cumsum(hits.ravel()[order])
    return found / np.arange(1, len(found) + 1), found / max(int((right >= 0).sum()), 1)


def micro_ap(scores: Scores, right: npt.NDArray[np.int64]) -> float:
    """Return the area under precision by recall over all pairs of all queries."""
    precision, recall = _curve(scores, right)
    return float((precision * np.diff(recall, prepend=0.0)).sum())


def recall_at(precision: float, scores: Scores, right: npt.NDArray[np.int64]) -> float:
    """Return the greatest recall at which the precision is still as given."""
    reached, recall = _curve(scores, right)
    return float(recall[reached >= precision].max(initial=0.0))


def _measured(count: Callable[[Scores, npt.NDArray[np.int64]], float]) -> Callable[[], Measured]:
    def measure() -> Measured:
        made = outcome()
        place = {photo.name: number for number, photo in enumerate(made.trained)}
        right = np.array([place[each.planted.source.name] if each.planted.source else -1 for each in made.judged])
        families = np.array([each.planted.edited for each in made.judged])
        parts: dict[str, float] = {"queries": len(right), "copies": int((right >= 0).sum()), "references": len(place)}
        for name, scores in _ranked().items():
            parts[name] = count(scores, right)
            for family in dict.fromkeys(families.tolist()):
                of = families == family
                parts[f"{name}_{family}"] = count(scores[of], right[of])
        wrong = [each for each, n in zip(made.judged, right, strict=True) for s in each.sources if s.number != n]
        confirmed = [
            s
            for each, n in zip(made.judged, right, strict=True)
            for s in each.sources
            if s.number != n and s.verdict in CONFIRMED
        ]
        parts |= {"wrong_compared": len(wrong), "wrong_confirmed": len(confirmed)}
        say(f"  {parts}")
        return Measured(parts.pop("ours"), parts)

    return measure


_AGAINST = (
    "photographs (RAISONNE_BENCH_PHOTOS) of the half that no limit was chosen on under chains of one to four edits by "
    "AugLy and by Albumentations, two distractors a copy, all pairs ranked together; parts: SSCD's cosine of whole "
    "pictures and over 11 views, PDQ over 8 turns, perception's share of matched features (RAISONNE_BENCH_PERCEPTION: "
    "an interpreter that has it), all by edits"
)

FIGURES = (
    Figure("disc_micro_ap", "area", ">= sscd + 0.1", _AGAINST, _measured(micro_ap)),
    Figure(
        "disc_recall_at_p90",
        "share",
        ">= sscd + 0.1",
        _AGAINST,
        _measured(lambda scores, right: recall_at(_PRECISION, scores, right)),
    ),
)
