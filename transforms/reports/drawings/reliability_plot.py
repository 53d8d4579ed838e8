"""A reliability plot: how often p-values fall below a level, against how often they should.

What belongs here: drawing it as one SVG element that loads nothing. What does not: measuring
(`matches/null_distribution.py`, `sql/matches/calibration.sql`), the page around it.
"""

import html
from collections.abc import Iterable
from dataclasses import dataclass

_SIDE, _MARGIN = 240, 44  # pixels


@dataclass(frozen=True)
class ReliabilityPoint:
    """The share of pictures with a p-value up to a nominal level, with its interval. All values are in [0, 1]."""

    level: float
    share: float
    low: float
    high: float


def plot(points: Iterable[ReliabilityPoint], title: str) -> str:
    """Return an SVG element: the observed share over the nominal level, with intervals and the ideal diagonal.

    Args:
        points: The shares, in any order.
        title: The title; any text, it is escaped. Screen readers read it with the numbers.
    """
    ordered = sorted(points, key=lambda point: point.level)
    size = _SIDE + 2 * _MARGIN
    spoken = "; ".join(f"level {p.level:g}: {p.share:.3f} ({p.low:.3f} to {p.high:.3f})" for p in ordered)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" width="{size}" height="{size}" '
        'role="img" font-family="sans-serif" font-size="11" fill="currentColor">',
        f"<title>{html.escape(title)}</title><desc>{spoken or 'no pictures'}</desc>",
        f'<rect x="{_MARGIN}" y="{_MARGIN}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#999"/>',
        f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#999" stroke-dasharray="4 3"/>',
        f'<text x="{size / 2}" y="{_MARGIN - 14}" text-anchor="middle">{html.escape(title)}</text>',
        f'<text x="{size / 2}" y="{size - 8}" text-anchor="middle">nominal level</text>',
        f'<text x="12" y="{size / 2}" text-anchor="middle" transform="rotate(-90 12 {size / 2})">observed share</text>',
    ]
    for tick in (0, 0.5, 1):
        parts.append(f'<text x="{_x(tick)}" y="{_y(0) + 14}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{_x(0) - 5}" y="{_y(tick) + 4}" text-anchor="end">{tick:g}</text>')
    for p in ordered:
        parts.append(
            f'<line x1="{_x(p.level)}" y1="{_y(p.low)}" x2="{_x(p.level)}" y2="{_y(p.high)}" stroke="currentColor"/>'
        )
        parts.append(f'<circle cx="{_x(p.level)}" cy="{_y(p.share)}" r="3" fill="#3584e4"/>')
    return "".join([*parts, "</svg>"])


def _x(value: float) -> float:
    return round(_MARGIN + _SIDE * value, 1)


def _y(value: float) -> float:
    return round(_MARGIN + _SIDE * (1 - value), 1)
