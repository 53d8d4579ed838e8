"""The provenance benchmark: which edited copies are confirmed, and whether anything else ever is.

What belongs here: counting, by edit and by method. What does not: what is planted (`planted.py`), judging it
(`judged.py`), the published sample (`sample_evidence.py`), p-values (`calibration.py`).

SSCD alone confirms from a cosine on, of the whole generation or of its best view; PDQ alone up to a distance. The
cosines 0.5 and 0.75 are the literature's. `zero` confirms above the highest cosine of any trap of the other half of the
photographs: chosen on one half, reported on the other, both ways. Nothing of ours is chosen here: the limits are the
settings'.
"""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.benchmarks import calibration, sample_evidence
from tests.benchmarks.figures import Figure, Measured, say
from tests.benchmarks.judged import CONFIRMED, Judged, Outcome, outcome, pixel_limits
from tests.benchmarks.planted import Photo
from transforms.alignment import align, features
from transforms.edits import PART, WHOLE
from transforms.shares import wilson

FAILURES = os.environ.get("RAISONNE_BENCH_FAILURES")
"""A file to write: what was missed and what was wrongly confirmed, with all measurements, tab-separated."""

Relation = npt.NDArray[np.bool_]  # (generations, training pictures)
Scores = npt.NDArray[np.float32]  # likewise


@dataclass(frozen=True)
class Cases:
    """Generations as arrays, one row each. edit: its name. source: the number of what it shows, -1 for a trap.

    half: 0 or 1, of its photograph. compared, ours: which pictures were compared with it, and confirmed. first: the
    number that ranks first, -1 where nothing does. whole, views: cosines. bits: PDQ's distances.
    """

    edit: npt.NDArray[np.str_]
    kind: npt.NDArray[np.str_]
    source: npt.NDArray[np.int64]
    half: npt.NDArray[np.int64]
    compared: Relation
    ours: Relation
    first: npt.NDArray[np.int64]
    whole: Scores
    views: Scores
    bits: npt.NDArray[np.int64]

    @classmethod
    def of(cls, made: Outcome) -> "Cases":
        """Arrange what was judged."""
        number = {photo.name: place for place, photo in enumerate(made.trained)}
        planted = [each.planted for each in made.judged]
        compared, ours = np.zeros((2, len(planted), len(made.trained)), np.bool_)
        for row, each in enumerate(made.judged):
            compared[row, [source.number for source in each.sources]] = True
            ours[row, [source.number for source in each.sources if source.verdict in CONFIRMED]] = True
        return cls(
            edit=np.array([each.edited for each in planted]),
            kind=np.array([each.edit.kind if each.edit else "none" for each in planted]),
            source=np.array([number[each.source.name] if each.source else -1 for each in planted]),
            half=np.array([each.photo.half for each in planted]),
            compared=compared,
            ours=ours,
            first=np.array([_first(each) for each in made.judged]),
            whole=np.stack([each.whole for each in made.judged]),
            views=np.stack([each.views for each in made.judged]),
            bits=np.stack([each.bits for each in made.judged]),
        )

    @property
    def edits(self) -> list[str]:
        """The names of the edits of copies, in their order."""
        return list(dict.fromkeys(self.edit[~self.traps].tolist()))

    @property
    def traps(self) -> npt.NDArray[np.bool_]:
        """Which generations show no training picture."""
        return self.source < 0

    def methods(self) -> dict[str, Relation]:
        """Return what each method confirms: ours, SSCD of the whole and of the best view, PDQ."""
        found = {"ours": self.ours}
        for name, scores in (("sscd", self.whole), ("sscd_views", self.views)):
            found |= {f"{name}_50": scores >= 0.5, f"{name}_75": scores >= 0.75}
            found[f"{name}_zero"] = scores > self.zero(scores)[:, None]
        return found | {"pdq_31": self.bits <= 31}

    def zero(self, scores: Scores) -> Scores:
        """Return, for each generation, the highest score of a trap of the other half."""
        highest = [scores[self.traps & (self.half == half)].max(initial=0) for half in (0, 1)]
        return np.where(self.half == 0, highest[1], highest[0]).astype(np.float32)

    def right(self, relation: Relation) -> npt.NDArray[np.bool_]:
        """Return, for each generation, whether what it shows is confirmed."""
        return (self.source >= 0) & relation[np.arange(len(relation)), self.source]

    def wrong(self, relation: Relation) -> Relation:
        """Return the confirmed pictures that a generation does not show."""
        wrong = relation.copy()
        copies = np.flatnonzero(~self.traps)
        wrong[copies, self.source[copies]] = False
        return wrong

    def ranked_first(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Return, by method, for which generations what they show ranks first."""
        first = {"ours": self.first, "sscd": self.whole.argmax(axis=1), "sscd_views": self.views.argmax(axis=1)}
        first["pdq"] = np.where(self.bits.min(axis=1) < 256, self.bits.argmin(axis=1), -2)
        return {name: (self.source >= 0) & (numbers == self.source) for name, numbers in first.items()}


def _first(judged: Judged) -> int:
    return judged.sources[0].number if judged.sources and judged.sources[0].verdict else -1


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


def table(found: Cases) -> list[str]:
    """Return what each method confirms, by edit, in Markdown."""
    methods, first = found.methods(), found.ranked_first()
    names = [f"{name} first" for name in first] + [f"{name} confirmed" for name in methods]
    lines = [f"| edit | copies | {' | '.join(names)} |", f"| --- {'| --- ' * (1 + len(names))}|"]
    groups = {name: found.edit == name for name in found.edits}
    groups |= {f"**{kind}**": found.kind == kind for kind in (WHOLE, PART)}
    for name, rows in groups.items():
        rows = rows & ~found.traps
        count = int(rows.sum())
        cells = [f"{part[rows].mean():.3f}" for part in first.values()]
        for relation in methods.values():
            share = float(found.right(relation)[rows].mean())
            low, high = wilson(share, count)
            cells.append(f"{share:.3f} ({low:.2f}–{high:.2f})")
        lines.append(f"| {name} | {count} | {' | '.join(cells)} |")
    for name, rows in (("traps falsely confirmed", found.traps), ("copies with a wrong source", ~found.traps)):
        cells = ["" for _ in first]
        cells += [str(int(found.wrong(relation)[rows].any(axis=1).sum())) for relation in methods.values()]
        lines.append(f"| {name} | {int(rows.sum())} | {' | '.join(cells)} |")
    return lines


def _confirmed(kind: str) -> Measured:
    found = cases()
    rows = (found.kind == kind) & ~found.traps
    by_method = {name: float(found.right(relation)[rows].mean()) for name, relation in found.methods().items()}
    first = {f"first_{name}": float(part[rows].mean()) for name, part in found.ranked_first().items()}
    share, right = by_method.pop("ours"), found.right(found.ours)
    low, high = wilson(share, int(rows.sum()))
    halves = {f"half_{half}": float(right[rows & (found.half == half)].mean()) for half in (0, 1)}
    compared = float(found.right(found.compared)[rows].mean())
    parts = {"generations": int(rows.sum()), "low": low, "high": high, **halves, "compared": compared}
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


def _same_scene() -> Measured:
    """Every photograph of the scene laid over every other, whether or not a search would bring them together."""
    made, limits = outcome(), pixel_limits()
    scene = [photo for photo in (*made.trained, *made.never) if photo.origin == "same_scene"]
    known = [features(photo.picture(), limits) for photo in scene]
    laid = [align(a, b, limits) for a in known for b in known if a is not b]
    return Measured(sum(1 for each in laid if each and each.confirmed(limits)), {"pairs": len(laid)})


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
    "; parts: Wilson's 95% interval, SSCD of the whole generation and of its best view at 0.5, at 0.75 and at the "
    "other half's highest trap, PDQ at 31 bits, which of them ranks first"
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
        "same_scene_confirmed",
        "pairs",
        "<= 0",
        "ordered pairs of ten photographs of one church (RAISONNE_BENCH_PHOTOS), laid over each other",
        _same_scene,
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
    *sample_evidence.FIGURES,
    *calibration.FIGURES,
)
