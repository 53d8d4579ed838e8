"""A contact sheet as PDF: the pictures of one owner, with what is known of each.

What belongs here: drawing it. What does not: choosing the pictures (`orchestration/reports/contact_sheets/files.py`).

Text of strangers is drawn as text: no address becomes a link. The fonts that every reader has know the Latin letters of
Western Europe; any other character is written by its number.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fpdf import FPDF

from transforms.readable import count, printable

_COLUMNS, _ROWS = 3, 4
_MARGIN, _WIDTH, _TOP, _HEIGHT = 15.0, 60.0, 38.0, 61.0  # millimetres on A4
_PICTURE = 36.0
_LINE = 3.4
_LONGEST = 44  # characters of a line


@dataclass(frozen=True)
class SheetPicture:
    """A picture of the owner's.

    Attributes:
        jpeg: The picture, made small. None: why it is not shown is in `why`.
        verdict: The strongest of any generation.
        rows: Training rows that show it.
        generations: Generations that resemble it, among them `generation`.
    """

    jpeg: bytes | None
    why: str
    verdict: str
    url: str | None
    license: str | None
    rows: int
    generations: int
    generation: str


@dataclass(frozen=True)
class ContactSheet:
    """The content of a sheet. `left_out`: pictures of the owner's that it has no room for."""

    owner: str
    version: int
    published_at: str
    pictures: Sequence[SheetPicture]
    left_out: int = 0


def draw(sheet: ContactSheet) -> bytes:
    """Return the PDF. The same sheet gives the same bytes."""
    pdf = FPDF(unit="mm", format="A4")
    pdf.set_creation_date(datetime(2000, 1, 1, tzinfo=UTC))
    pdf.set_title(plain(f"Contact sheet: {sheet.owner}", 200))
    pdf.set_lang("en")
    pdf.set_auto_page_break(False)
    each = _COLUMNS * _ROWS
    pages = range(0, max(1, len(sheet.pictures)), each)
    for number, first in enumerate(pages, 1):
        pdf.add_page()
        _head(pdf, sheet, f"page {number} of {len(pages)}")
        for place, picture in enumerate(sheet.pictures[first : first + each]):
            x, y = _MARGIN + _WIDTH * (place % _COLUMNS), _TOP + _HEIGHT * (place // _COLUMNS)
            _cell(pdf, picture, x, y)
    return bytes(pdf.output())


def plain(text: str, longest: int) -> str:
    """Return a text in one line of Latin letters, other characters by number.

    Args:
        text: Any text.
        longest: Characters to keep; three dots say that there are more.
    """
    legible = printable(text).replace("⟨", "<").replace("⟩", ">")
    latin = "".join(each if each.isascii() or "\xa0" < each <= "\xff" else f"<U+{ord(each):04X}>" for each in legible)
    return latin if len(latin) <= longest else f"{latin[: longest - 3]}..."


def _head(pdf: FPDF, sheet: ContactSheet, page: str) -> None:
    pdf.set_font("Times", size=20)
    pdf.text(_MARGIN, 20, plain(sheet.owner, 60))
    pdf.set_font("Helvetica", size=8)
    told = f"{count(len(sheet.pictures), 'picture')} that some generated image resembles"
    if sheet.left_out:
        told += f", {sheet.left_out:,} more are not shown"
    pdf.text(_MARGIN, 26, plain(f"{told}. Version {sheet.version}, {sheet.published_at}; {page}.", 200))
    pdf.text(_MARGIN, 30, "Each is a likely source, not a proven one. Licences are as the metadata states them.")


def _cell(pdf: FPDF, picture: SheetPicture, x: float, y: float) -> None:
    if picture.jpeg is not None:
        alt = plain(f"Training picture, {picture.verdict.replace('_', ' ')}", 100)
        jpeg = io.BytesIO(picture.jpeg)
        pdf.image(jpeg, x, y, _WIDTH - 5, _PICTURE, keep_aspect_ratio=True, alt_text=alt)
    else:
        pdf.rect(x, y, _WIDTH - 5, _PICTURE)
        pdf.set_font("Helvetica", "I", 8)
        pdf.text(x + 3, y + _PICTURE / 2, picture.why)
    whose = picture.generation + (f" and {picture.generations - 1:,} more" if picture.generations > 1 else "")
    lines = (
        f"{picture.verdict.replace('_', ' ')}: {whose}",
        f"{count(picture.rows, 'training row')} show it" if picture.rows != 1 else "1 training row shows it",
        f"licence: {picture.license or 'unknown'}",
        picture.url or "no URL",
    )
    for number, line in enumerate(lines):
        pdf.set_font("Helvetica", "" if number else "B", 7)
        pdf.text(x, y + _PICTURE + _LINE * (number + 1), plain(line, _LONGEST))
