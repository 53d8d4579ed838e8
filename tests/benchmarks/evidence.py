"""The provenance benchmark: which edited copies are confirmed, and whether anything else ever is.

What belongs here: the figures of planted generations. What does not: what is planted (`planted.py`), judging it
(`judged.py`), counting (`confirmations.py`), pairs that nothing was searched for (`wrong_pairs.py`), the published
sample (`sample_evidence.py`), p-values (`calibration.py`).
"""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.benchmarks import calibration, sample_evidence, wrong_pairs
from tests.benchmarks.confirmations import Cases, table
from tests.benchmarks.figures import Figure, Measured, say
from tests.benchmarks.judged import Judged, Outcome, outcome
from tests.benchmarks.planted import Photo
from transforms.intervals import wilson
from transforms.matches.edits import PART, WHOLE

FAILURES = os.environ.get("RAISONNE_BENCH_FAILURES")
"""A file to write: what was missed and what was wrongly confirmed, with all measurements, tab-separated."""


@cache
def cases() -> Cases:
    """Return all generations, judged; says what every edit came to."""
    made = outcome()
    found = Cases.of(made)
    for line in table(found):
        say(line)
    if FAILURES:
        _write_failures(made, found, Path(FAILURES))
    return found


def _confirmed(kind: str) -> Measured:
    found = cases()
    rows = (found.kind == kind) & ~found.traps
    by_method = {name: float(found.right(relation)[rows].mean()) for name, relation in found.methods().items()}
    first = {f"first_{name}": float(part[rows].mean()) for name, part in found.ranked_first().items()}
    share, right = by_method.pop("ours"), found.right(found.ours)
    low, high = wilson(share, int(rows.sum()))
    halves = {f"half_{half}": float(right[rows & (found.half == half)].mean()) for half in (0, 1)}
    of = {"compared": found.compared, "as_a_whole": found.entire}
    said = {name: float(found.right(relation)[rows].mean()) for name, relation in of.items()}
    parts = {"generations": int(rows.sum()), "low": low, "high": high, **halves, **said}
    return Measured(share, parts | by_method | first)


def _false() -> Measured:
    found = cases()
    parts: dict[str, float] = {
        "traps": int(found.traps.sum()),
        "wrong_pairs_compared": int(found.wrong(found.compared).sum()),
    }
    for name, scores in (("sscd", found.whole), ("sscd_views", found.views)):
        parts |= {f"{name}_zero_in_half_{half}": float(found.zero(scores)[found.half == half][0]) for half in (0, 1)}
    for name, relation in found.methods().items():
        wrong = found.wrong(relation).any(axis=1)
        parts |= {f"traps_{name}": int(wrong[found.traps].sum()), f"copies_{name}": int(wrong[~found.traps].sum())}
    return Measured(int(found.wrong(found.ours).sum()), parts)


def _by_edit(right: npt.NDArray[np.bool_], found: Cases) -> Measured:
    shares = {name: float(right[(found.edit == name) & ~found.traps].mean()) for name in found.edits}
    return Measured(min(shares.values()), shares)


def _write_failures(made: Outcome, found: Cases, file: Path) -> None:
    wrong = found.wrong(found.ours)
    rows = []
    for row, each in enumerate(made.judged):
        source = int(found.source[row])
        missed = [source] if source >= 0 and not found.ours[row, source] else []
        for failure, numbers in (("missed", missed), ("false", np.flatnonzero(wrong[row]).tolist())):
            rows += [_failure(failure, each, number, made.trained) for number in numbers]
    with file.open("w", newline="", encoding="utf-8") as out:
        names: Sequence[str] = list(dict.fromkeys(name for each in rows for name in each))
        writer = csv.DictWriter(out, names, delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    say(f"  {len(rows)} failures written to {file}")


def _failure(failure: str, judged: Judged, number: int, trained: Sequence[Photo]) -> Mapping[str, object]:
    planted, compared = judged.planted, next((s for s in judged.sources if s.number == number), None)
    said: dict[str, object] = {"failure": failure, "edit": planted.edited, "half": planted.photo.half}
    said |= {"photo": f"{planted.photo.origin}/{planted.photo.name}", "other": planted.other and planted.other.name}
    said |= {"source": trained[number].name, "compared": compared is not None}
    said |= {"verdict": compared and compared.verdict, "whole": judged.whole[number], "views": judged.views[number]}
    said["bits"] = judged.bits[number]
    return said | (asdict(compared.found.alignment) if compared and compared.found.alignment else {})


_SET = (
    "photographs (RAISONNE_BENCH_PHOTOS) and the sample edited by code; searched, compared and judged as a run does, "
    "by the default settings"
)
_BESIDE = (
    "; parts: Wilson's 95% interval, SSCD of the whole generation and of its best view at 0.5, at 0.75, at the other "
    "half's highest trap and, in hindsight, at the highest, PDQ at 31 bits, which of them ranks first"
)

FIGURES = (
    Figure(
        "whole_confirmed",
        "share",
        ">= 0.99",
        f"whole pictures confirmed: {_SET}{_BESIDE}",
        lambda: _confirmed(WHOLE),
    ),
    Figure("part_confirmed", "share", ">= 0.95", f"parts confirmed: {_SET}{_BESIDE}", lambda: _confirmed(PART)),
    Figure(
        "false_confirmed",
        "sources",
        "<= 0",
        f"confirmed sources that a generation does not show, traps and copies: {_SET}; parts: generations with one, by "
        "method",
        _false,
    ),
    Figure(
        "confirmed_by_edit",
        "share",
        "reported",
        f"the least by edit: {_SET}",
        lambda: _by_edit(cases().right(cases().ours), cases()),
    ),
    Figure(
        "first_by_edit",
        "share",
        "reported",
        f"what a copy shows ranks first, the least by edit: {_SET}",
        lambda: _by_edit(cases().ranked_first()["ours"], cases()),
    ),
    *wrong_pairs.FIGURES,
    *sample_evidence.FIGURES,
    *calibration.FIGURES,
)
