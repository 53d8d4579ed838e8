"""What a run will cost, in lines: for `raisonne init` and `raisonne run --dry-run`.

What belongs here: the lines. What does not: measuring and estimating (`survey/costs.py`), what is due (`outlook/`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestration.settings import Settings
    from orchestration.survey.costs import Cost, Rates


def cost_lines(cost: "Cost", rates: "Rates", settings: "Settings", run: str) -> list[str]:
    """Return a line each for time, memory and disk.

    Args:
        cost: What the run takes.
        rates: What its time rests on.
        settings: Of the run.
        run: The run as the lines name it.
    """
    from orchestration.progress import duration
    from orchestration.runtime import full_disks
    from orchestration.settings.memory import machine_memory
    from transforms.readable import size

    parts = ", ".join(f"{what} {duration(seconds)}" for what, seconds in cost.seconds.items() if seconds >= 1)
    free, memory, most = full_disks.free(settings.home), machine_memory(), max(cost.memory.values())
    part = _largest(cost.memory)
    held = "" if most < memory else f": too little, {_LESS.get(part, 'take a larger machine')}"
    later = f"up to {size(cost.later)} with all versions and logs"
    return [
        f"time: about {duration(sum(cost.seconds.values()))} for {run} ({parts}); {rates.told}",
        f"memory: about {size(round(most))} at most, by {part}; {size(memory)} in the machine, "
        f"limits.memory is {size(settings.memory.whole)}{held}",
        f"disk: about {size(cost.first)} more, {later}; {size(free)} free"
        + (", the lake left out" if settings.publishing.lake else "")
        + ("" if free > cost.later else ": too little, set `home` on a larger disk"),
    ]


_LESS = dict.fromkeys(
    ("joins and duplicates", "captions", "tables and reports"), "take a larger machine, or lower limits.memory"
)


def _largest(parts: Mapping[str, float]) -> str:
    return max(parts, key=parts.__getitem__)
