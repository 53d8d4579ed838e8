"""Shares and counts in the words of the page.

What belongs here: how a number is written. What does not: which numbers, and what is said of them (`page.py`).
"""

from collections.abc import Mapping

from tests.lab.results import Numbers
from tests.lab.scoring import Share, share


def pooled(found: Mapping[int, Share], steps: tuple[int, ...]) -> Share:
    """Return the share of some rungs together."""
    chosen = [found[step] for step in steps if step in found]
    return share(sum(c["count"] for c in chosen), sum(c["of"] for c in chosen))


def sampled(samples: Numbers, kind: str) -> Share:
    """Return the share of the samples."""
    return share(samples[kind], samples["generations"])


def of_samples(samples: Numbers, kind: str) -> str:
    """Write the share of the samples."""
    return shown(sampled(samples, kind))


def value(one: Share) -> float:
    """Return the share, 0 where nothing was counted."""
    return one["share"] or 0.0


def shown(one: Share) -> str:
    """Write a share with its interval."""
    if not one["of"]:
        return "–"
    return f"{one['count']:,} of {one['of']:,}: {one['share']:.3f} ({one['low']:.3f} to {one['high']:.3f})"


def one_in(samples: Numbers) -> str:
    """Write how many samples an extracted picture takes."""
    return f"{samples['generations'] / samples['unique_extractions']:.1f}" if samples["unique_extractions"] else "none"


def prompts_of(found: list[Numbers], *, alone: bool) -> str:
    """Write how many prompts of a kind are flagged."""
    row = next((each for each in found if each["alone"] is alone), None)
    return f"{row['flagged']:,} of {row['prompts']:,}, largest {row['largest_clique']}" if row else "–"


def beside(title: str, *text: str, first: str = "") -> list[str]:
    """Begin a section whose table has a column for each model."""
    return [f"## {title}", "", *text, "", f"| {first} | before | after |", "| --- | --- | --- |"]
