"""Small charts as SVG: bars with intervals, in colours that hold on light and dark.

What belongs here: drawing. What does not: what is drawn, pages with charts of their own (`report.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_ROW, _LABEL, _BAR, _VALUE = 20, 240, 320, 110  # pixels: of a row's height, of the widths of its parts
_LETTERS = 38  # of a label
_TEXT, _FILL, _LINE = "#808792", "#2a8f8f", "#c0672f"
_LOG_FROM = 1_000  # counts that reach this are drawn on a logarithmic axis


@dataclass(frozen=True)
class Bar:
    """A value with its label, and an interval where one is known."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


def bars(rows: Sequence[Bar]) -> str:
    """Draw horizontal bars from zero. Labels may be anybody's text.

    Counts of a thousand and more are drawn on a logarithmic axis, which the chart then says.
    """
    values = [row.value for row in rows]
    logarithmic = max(values, default=0) >= _LOG_FROM and min(values) >= 0
    most = max((row.high if row.high is not None else row.value for row in rows), default=0) or 1
    height = _ROW * (len(rows) + logarithmic)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LABEL + _BAR + _VALUE}" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="{_TEXT}">'
    ]

    def at(value: float) -> float:
        share = math.log10(1 + value) / math.log10(1 + most) if logarithmic else value / most
        return _LABEL + _BAR * max(share, 0)

    for number, row in enumerate(rows):
        top = number * _ROW
        parts.append(_text(_LABEL - 8, top, _short(row.label), "end"))
        width = at(row.value) - _LABEL
        parts.append(f'<rect x="{_LABEL}" y="{top + 4}" width="{width:.1f}" height="{_ROW - 8}" fill="{_FILL}"/>')
        if row.low is not None and row.high is not None:
            middle = top + _ROW / 2
            parts.append(
                f'<path d="M{at(row.low):.1f} {middle}H{at(row.high):.1f}" stroke="{_LINE}" stroke-width="2"/>'
            )
        end = max(at(row.value), at(row.high or 0))
        parts.append(_text(end + 6, top, f"{row.value:,.4g}" if row.value % 1 else f"{row.value:,.0f}", "start"))
    if logarithmic:
        parts.append(_text(_LABEL, height - _ROW, "logarithmic axis", "start"))
    return "".join([*parts, "</svg>"])


def _text(x: float, top: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{top + 14}" text-anchor="{anchor}">{escape(text)}</text>'


def _short(label: str) -> str:
    legible = "".join(c if c.isprintable() else "·" for c in label)
    return legible if len(legible) <= _LETTERS else legible[: _LETTERS - 1] + "…"
