"""Text, counts and shares for people to read on pages, in Dagster and at a terminal.

What belongs here: showing characters that hide or reorder text, and formatting numbers. What does not: escaping markup
(`reports/page.py`), formulas (`reports/spreadsheets/formulas.py`).
"""

import re

# Controls, line and paragraph separators, bidirectional marks, embeddings, overrides and isolates, what has no width
# (but for the joiners that scripts and emoji need), tags, lone surrogates.
_MISLEADING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff"
    "\ufffe\uffff\U000e0000-\U000e007f]"
)


def legible(text: str, limit: int | None = None) -> str:
    """Replace characters that hide or reorder others by their code points.

    Args:
        text: From anybody.
        limit: Characters that are kept, or None for all. The result says how many are left out.
    """
    left = 0 if limit is None else len(text) - limit
    shown = _MISLEADING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text if left <= 0 else text[:limit])
    return shown if left <= 0 else f"{shown}… ({count(left, 'more character')})"


def count(number: int, one: str = "", many: str = "") -> str:
    """Format a count with thousands separated, and with its noun if one is given.

    Args:
        number: The count.
        one: The noun in the singular.
        many: The noun in the plural, if it is not `one` and an s.
    """
    noun = one if number == 1 else many or one + "s"
    return f"{number:,} {noun}" if one else f"{number:,}"


def percent(part: float, whole: float = 1) -> str:
    """Format a share in percent. A small share is never rounded to none, nor a large one to all.

    Args:
        part: How many.
        whole: Of how many.
    """
    if not whole:
        return "none"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1%"
    if 99.9 < share < 100:
        return ">99.9%"
    return f"{share:.1f}%".replace(".0%", "%")


def printable(text: str) -> str:
    """Replace what a terminal would act on: names and captions from the open web may hold escape codes."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
