"""A reliability plot: how often p-values fall below a level, over how often they should.

What belongs here: drawing, as one SVG element that needs nothing but itself. What does not: measuring
(`matches/null_distribution.py`, `sql/matches/calibration.sql`), the page around it.
"""

import html
from collections.abc import Iterable
from dataclasses import dataclass

_SIDE, _MARGIN = 240, 44  # pixels


@dataclass(frozen=True)
class Point:
    """The share of pictures with a p-value up to a nominal level, and its interval; all between 0 and 1."""

    level: float
    share: float
    low: float
    high: float


def plot(points: Iterable[Point], title: str) -> str:
    """Return an SVG element: the observed share over the nominal level, with intervals and the diagonal of the ideal.

    title: any text; it is escaped, and read out by screen readers with the numbers.
    """
    drawn = sorted(points, key=lambda point: point.level)
    size = _SIDE + 2 * _MARGIN
    told = "; ".join(f"level {p.level:g}: {p.share:.3f} ({p.low:.3f} to {p.high:.3f})" for p in drawn) or "no pictures"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" width="{size}" height="{size}" '
        'role="img" font-family="sans-serif" font-size="11" fill="currentColor">',
        f"<title>{html.escape(title)}</title><desc>{told}</desc>",
        f'<rect x="{_MARGIN}" y="{_MARGIN}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#999"/>',
        f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#999" stroke-dasharray="4 3"/>',
        f'<text x="{size / 2}" y="{_MARGIN - 14}" text-anchor="middle">{html.escape(title)}</text>',
        f'<text x="{size / 2}" y="{size - 8}" text-anchor="middle">nominal level</text>',
        f'<text x="12" y="{size / 2}" text-anchor="middle" transform="rotate(-90 12 {size / 2})">observed share</text>',
    ]
    for tick in (0, 0.5, 1):
        parts.append(f'<text x="{_x(tick)}" y="{_y(0) + 14}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{_x(0) - 5}" y="{_y(tick) + 4}" text-anchor="end">{tick:g}</text>')
    for p in drawn:
        parts.append(
            f'<line x1="{_x(p.level)}" y1="{_y(p.low)}" x2="{_x(p.level)}" y2="{_y(p.high)}" stroke="currentColor"/>'
        )
        parts.append(f'<circle cx="{_x(p.level)}" cy="{_y(p.share)}" r="3" fill="#3584e4"/>')
    return "".join([*parts, "</svg>"])


def _x(value: float) -> float:
    return round(_MARGIN + _SIDE * value, 1)


def _y(value: float) -> float:
    return round(_MARGIN + _SIDE * (1 - value), 1)
