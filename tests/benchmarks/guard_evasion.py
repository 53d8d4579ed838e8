"""What gets past the guard: copies changed in some thirty ways, with and without evidence, beside blocked innocents."""

import io
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from PIL import Image

from tests import bundles, evasions
from tests.benchmarks.data import originals
from tests.benchmarks.figures import Figure, Measured, say
from tests.benchmarks.guard_data import FAST, encoder
from transforms.guard import Guard, Looks
from transforms.guard.wider_views import ALSO

_COPIES, _KNOWN, _INNOCENT = 20, 120, 60  # pictures that are changed, in the bundle, and that are not
_LIMITS = {"pixels": 20_000_000, "member_bytes": 50_000_000}
ENCODER = os.environ.get("RAISONNE_BENCH_ENCODER", FAST)
_HELD_FROM = "turned by 5°"  # the changes from here on should not get past it

type Allowed = Mapping[str, int]


@cache
def _files() -> tuple[Sequence[bytes], Sequence[bytes]]:
    files = list(originals().values())
    return files[:_KNOWN], files[_KNOWN : _KNOWN + _INNOCENT]


@cache
def guards() -> Mapping[str, Guard]:
    """Return guards of one set of pictures that look or decide in other ways."""
    known, _ = _files()
    folder = Path(tempfile.mkdtemp(prefix="evasion"))
    model = encoder(ENCODER)
    confirm = replace(bundles.POLICY, look_from=0.25)
    decide = replace(confirm, pixels_decide=True)
    plain = bundles.write(folder / "plain", known, model, limits=_LIMITS)  # type: ignore[arg-type]
    sure = bundles.write(folder / "sure", known, model, decide, _LIMITS, renditions=_KNOWN)  # type: ignore[arg-type]
    more = bundles.write(folder / "more", known, model, confirm, _LIMITS, renditions=_KNOWN)  # type: ignore[arg-type]
    return {
        "the warehouse's views alone": Guard.load(plain, model, looks=Looks(also=())),
        "defaults": Guard.load(plain, model),
        "every view in full": Guard.load(plain, model, looks=Looks(every_view=True)),
        "all further views": Guard.load(plain, model, looks=Looks(also=ALSO)),
        "one view, doubt from 0.2": Guard.load(plain, model, looks=Looks(doubt=0.2)),
        "evidence confirms more": Guard.load(more, model),
        "evidence decides": Guard.load(sure, model),
    }


@cache
def allowed(name: str) -> Allowed:
    """Return how many of 20 copies a guard allows by change, and how many of 60 innocents it blocks."""
    guard, (known, innocent) = guards()[name], _files()
    found = {}
    for change, make in evasions.CHANGES.items():
        shown = [make(Image.open(io.BytesIO(data)).convert("RGB")) for data in known[:_COPIES]]
        found[change] = sum(guard.check(data).decision == "allow" for data in shown)
    found["innocent, blocked"] = sum(guard.check(data).decision == "block" for data in innocent)
    return found


def table(names: Sequence[str] = ()) -> str:
    """Return the table of the page, in Markdown.

    Args:
        names: Guards. Default: all.
    """
    rows = {name: allowed(name) for name in names or guards()}
    lines = [f"| allowed of {_COPIES} | {' | '.join(rows)} |", "| --- |" + " --- |" * len(rows)]
    for change in next(iter(rows.values())):
        lines.append(f"| {change} | {' | '.join(str(row[change]) for row in rows.values())} |")
    return "\n".join(lines)


def _evasion() -> Measured:
    rows = {name: allowed(name) for name in guards()}
    say(table())
    held = list(evasions.CHANGES)
    held = held[held.index(_HELD_FROM) :]
    worst = max(rows["defaults"][change] for change in held)
    parts = {f"{name}, in all": float(sum(row[change] for change in evasions.CHANGES)) for name, row in rows.items()}
    parts |= {f"{name}, innocent blocked": float(row["innocent, blocked"]) for name, row in rows.items()}
    return Measured(float(worst), parts)


FIGURES = (
    Figure(
        "guard_evasion_held",
        "of 20",
        "<= 1",
        f"{_COPIES} photographs of the sample, {len(evasions.CHANGES)} changes, by {ENCODER}: the most of any change "
        "that is held that the defaults allow",
        _evasion,
    ),
)

if __name__ == "__main__":
    print(table(sys.argv[1:]))
