"""Text that a spreadsheet shows instead of running.

What belongs here: what makes a cell safe to open in Excel, LibreOffice or Google Sheets, and what a cell can hold.
What does not: writing files (`reports/spreadsheets/sheets.py`).

A cell that starts with `= + - @`, a tab or a line break may run as a formula, and captions, hosts and licences are
text that strangers wrote. An apostrophe before it makes it text (OWASP, "CSV Injection",
https://owasp.org/www-community/attacks/CSV_Injection). The same page warns that a separator inside a value can start
a new cell: a comma-separated file opened where the list separator is `;` splits inside quotes. Therefore formula
characters after `;`, a tab or a line break get the apostrophe too.
"""

import re

LIST_SEPARATOR = "; "
CELL = 32_767  # characters of an Excel cell, as UTF-16 counts them
EXACT = 10**15 - 1  # a spreadsheet keeps fifteen digits of a number and sets the others to zero
_CUT = "… [cut: {} characters]"

# Plain characters only, so that the regular expressions of Python and RE2 (DuckDB's) read the classes alike.
_BLANK = "[\x00-\x20\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*"
_FORMULA = "=+@＝＋－＠﹢﹣﹦﹫\\-"
AT_START = f"^({_BLANK}[{_FORMULA}\t\r\n\x00])"
AFTER_SEPARATOR = f"([;\t\r\n]{_BLANK})([{_FORMULA}])"


def neutralise(text: str) -> str:
    """Put an apostrophe before every place in `text` where a spreadsheet would start a formula.

    A second call changes nothing more. Negative numbers written as text count as formulas.
    """
    return re.sub(AT_START, r"'\1", re.sub(AFTER_SEPARATOR, r"\1'\2", text))


def fit(text: str) -> str:
    """Cut `text` to what an Excel cell holds, 32,767 UTF-16 units, and mark the cut."""
    if len(text) <= CELL // 2 or _units(text) <= CELL:
        return text
    mark = _CUT.format(f"{len(text):,}")
    kept = text[: CELL - len(mark)]
    while (over := _units(kept) + len(mark) - CELL) > 0:
        kept = kept[: -max(over // 2, 1)]
    return kept + mark


def _units(text: str) -> int:
    return len(text) + sum(c > "\uffff" for c in text)
