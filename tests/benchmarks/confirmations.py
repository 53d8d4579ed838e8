"""What each method confirms of planted generations, as arrays: ours beside SSCD and PDQ alone.

What belongs here: counting, by edit and by method. What does not: judging (`judged.py`), figures (`evidence.py`).

SSCD alone confirms from a cosine on, of the whole generation or of its best view; PDQ alone up to a distance. The
cosines 0.5 and 0.75 are the literature's. `zero` confirms above the highest cosine of any trap of the other half of the
photographs: chosen on one half, reported on the other, both ways. `hindsight` confirms above the highest of all traps,
chosen on what it is reported on: the most that the peer could do. Nothing of ours is chosen here: the limits are the
settings'.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.benchmarks.judged import CONFIRMED, ENTIRE, Judged, Outcome
from transforms.intervals import wilson
from transforms.matches.edits import PART, WHOLE

Relation = npt.NDArray[np.bool_]  # (generations, training pictures)
Scores = npt.NDArray[np.float32]  # likewise


@dataclass(frozen=True)
class Cases:
    """Generations as arrays, one row each. edit: its name. source: the number of what it shows, -1 for a trap.

    half: 0 or 1, of its photograph. compared, ours, entire: which pictures were compared with it, confirmed, and
    confirmed as a whole (`exact`, `copy`). first: the number that ranks first, -1 where nothing does. whole, views:
    cosines. bits: PDQ's distances.
    """

    edit: npt.NDArray[np.str_]
    kind: npt.NDArray[np.str_]
    source: npt.NDArray[np.int64]
    half: npt.NDArray[np.int64]
    compared: Relation
    ours: Relation
    entire: Relation
    first: npt.NDArray[np.int64]
    whole: Scores
    views: Scores
    bits: npt.NDArray[np.int64]

    @classmethod
    def of(cls, made: Outcome) -> "Cases":
        """Arrange what was judged."""
        number = {photo.name: place for place, photo in enumerate(made.trained)}
        planted = [each.planted for each in made.judged]
        compared, ours, entire = np.zeros((3, len(planted), len(made.trained)), np.bool_)
        for row, each in enumerate(made.judged):
            compared[row, [source.number for source in each.sources]] = True
            ours[row, [source.number for source in each.sources if source.verdict in CONFIRMED]] = True
            entire[row, [source.number for source in each.sources if source.verdict in ENTIRE]] = True
        return cls(
            edit=np.array([each.edited for each in planted]),
            kind=np.array([each.edit.kind if each.edit else "none" for each in planted]),
            source=np.array([number[each.source.name] if each.source else -1 for each in planted]),
            half=np.array([each.photo.half for each in planted]),
            compared=compared,
            ours=ours,
            entire=entire,
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
            found[f"{name}_hindsight"] = scores > scores[self.traps].max(initial=0)
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
