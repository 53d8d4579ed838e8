"""What a figure is, and how two peers are timed against each other.

What belongs here: the shape of a figure and its line of output. What does not: measuring one (a module a group).
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from transforms.pictures.confined.pool import POOL

FULL = os.environ.get("RAISONNE_BENCH_FULL") == "1"
"""Whether the sizes that take minutes are measured too."""


class NotMeasured(RuntimeError):
    """A figure cannot be measured here; the message says why in plain words."""


@dataclass(frozen=True)
class Measured:
    """A value, and the parts it is made of where those say more."""

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """One figure of the design's table.

    goal: as the design states it, with `>=`, `<=`, or `reported`. against: the peer, the data and its size.
    measure: returns the value, or raises NotMeasured.
    """

    name: str
    unit: str
    goal: str
    against: str
    measure: Callable[[], Measured]

    def line(self, *, dry: bool = False) -> str:
        """Measure and return the figure as a line of JSON. dry: say what would be measured, and measure nothing."""
        said: dict[str, object] = {"figure": self.name, "value": None, "unit": self.unit, "goal": self.goal}
        said["against"] = self.against
        try:
            if dry:
                raise NotMeasured("listed, not measured")
            found = self.measure()
        except NotMeasured as error:
            said["why"] = str(error)
        else:
            said["value"] = float(f"{found.value:.4g}")
            if found.parts:
                said["parts"] = {name: float(f"{part:.4g}") for name, part in found.parts.items()}
        return json.dumps(said, ensure_ascii=False)


def say(text: str) -> None:
    """Print to standard error: standard output holds figures only."""
    print(text, file=sys.stderr, flush=True)


def processors_s() -> float:
    """Return the seconds of processors that this process and those that decode for it have used."""
    own = time.process_time()
    return own + sum(
        int(Path(f"/proc/{each.pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9 for each in POOL.all
    )


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return how long `work` takes."""
    start = clock()
    work()
    return clock() - start


def fastest(
    peers: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Return the least seconds of each peer over some rounds, the peers taking turns in each.

    What else runs on the machine only ever adds time, so the least is the fairest; taking turns spreads it evenly.
    clock: `processors_s` for work whose waiting does not count; no process may start or end meanwhile.
    """
    best = dict.fromkeys(peers, float("inf"))
    for _ in range(rounds):
        for name, work in peers.items():
            best[name] = min(best[name], seconds(work, clock))
    say("  " + ", ".join(f"{name} {best[name]:.3f} s" for name in peers) + f" (best of {rounds})")
    return best
