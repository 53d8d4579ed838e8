"""Shares, counts and paragraphs in the form of the page.

What belongs here: how a number and a paragraph are written. What does not: what is said (`page.py`, `extraction.py`,
`judgement.py`).
"""

import textwrap
from collections.abc import Mapping, Sequence

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


def one_in(samples: Numbers, kind: str) -> str:
    """Write how many samples a different picture of that kind takes."""
    return f"{samples['generations'] / samples[kind]:.1f}" if samples[kind] else "none"


def expected(rungs: Sequence[Numbers], copies: int) -> float:
    """Return the share of a rung that comes back if rows are only repeated."""
    of_step = [(rung["expected"], rung["copied"]["of"]) for rung in rungs if rung["copies"] == copies]
    return sum(share * of for share, of in of_step) / sum(of for _, of in of_step)


def prompts_of(found: list[Numbers], *, alone: bool) -> str:
    """Write how many prompts of a kind are flagged."""
    row = next((each for each in found if each["alone"] is alone), None)
    return f"{row['flagged']:,} of {row['prompts']:,}, largest {row['largest_clique']}" if row else "–"


def prose(*text: str) -> list[str]:
    """Return a paragraph in lines, and the empty line after it."""
    return [*textwrap.wrap(" ".join(text), 118, break_long_words=False, break_on_hyphens=False), ""]


def beside(title: str, *text: str, first: str = "") -> list[str]:
    """Begin a section whose table has a column for each model."""
    return [f"## {title}", "", *prose(*text), f"| {first} | before | after |", "| --- | --- | --- |"]
