"""Text, errors, counts and shares for people: on pages, in Dagster, at a terminal.

What belongs here: naming the characters that hide or reorder text or act on a terminal (captions and names come from
the open web), and printing numbers. What does not: escaping HTML (`reports/page.py`), formulas
(`reports/spreadsheets/formulas.py`).
"""

import re

# Controls, line and paragraph separators, bidirectional marks, embeddings, overrides and isolates, annotations, tags,
# lone surrogates, and what has no width: soft hyphens too, but not the joiners that scripts and emoji need.
_MISLEADING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)


def legible(text: str, limit: int | None = None) -> str:
    """Name the characters that change how others read, as ⟨U+202E⟩. Line ends and tabs stay.

    Args:
        text: Any text.
        limit: Most characters to keep; the rest are counted at the end.
    """
    left = 0 if limit is None else len(text) - limit
    shown = text if left <= 0 else text[:limit]
    if not shown.isprintable():  # most texts are, and nothing that misleads is
        shown = _MISLEADING.sub(_code_point, shown)
    return shown if left <= 0 else f"{shown}… ({count(left, 'more character')})"


def harmless(text: str) -> str:
    """Return legible text for a terminal: carriage returns are named too, since they overwrite the line."""
    return legible(text).replace("\r", "⟨U+000D⟩")


def printable(text: str) -> str:
    """Return legible text in one line: line ends and tabs are named too."""
    return re.sub("[\t\n\r]", _code_point, legible(text))


def bare(text: str, limit: int) -> str:
    """Return a text in one line, without the characters that change how others read, shortened.

    Args:
        text: Any text.
        limit: Most characters to keep; a mark at their end says that there are more.
    """
    line = " ".join(_MISLEADING.sub("", text[: 4 * limit]).split())
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 1]}…"


def in_markdown(text: str) -> str:
    """Return legible text as Markdown in which none of it is markup."""
    return "".join(f"&#{ord(c)};" if c in "|<>&`*_[]()!\\~#" else c for c in legible(text))


def _code_point(match: re.Match[str]) -> str:
    return f"⟨U+{ord(match[0]):04X}⟩"


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or what it is called if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()


def count(number: int, one: str = "", many: str = "") -> str:
    """Return a count with thousands separated, and a noun if one is given.

    Args:
        number: The count.
        one: The noun in the singular.
        many: Its plural. Default: with an s.
    """
    noun = one if number == 1 else many or one + "s"
    return f"{number:,} {noun}" if one else f"{number:,}"


def decimal(value: float) -> str:
    """Return a number with four decimals. It never rounds something to nothing: `< 0.0001`."""
    if value and abs(value) < 0.0001:
        return "< 0.0001" if value > 0 else "> -0.0001"
    return f"{value:.4f}"


def size(number: int) -> str:
    """Return a count of bytes in the unit that leaves one to three digits before the point: `4.2 MB`."""
    amount = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def percent(part: float, whole: float = 1) -> str:
    """Return a share as text. It never rounds something to 0%, or less than all to 100%.

    Args:
        part: Of the whole.
        whole: 0 gives "none".
    """
    if not whole:
        return "none"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1%"
    if 99.9 < share < 100:
        return ">99.9%"
    return f"{share:.1f}%".replace(".0%", "%")
