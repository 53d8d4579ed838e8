"""Plots of the page, as SVG that is the same for the same numbers, and sheets of pictures.

What belongs here: drawing. What does not: the numbers (`results.py`), the words around (`page.py`).
"""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from tests.lab.scoring import LEVELS, Share

_COLOURS = {"before": "#3584e4", "after": "#e66100"}
_STYLE = ["default", {"svg.hashsalt": "raisonne", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}]


@mpl.style.context(_STYLE)  # whatever a user's matplotlibrc says
def effect(shares: Mapping[str, Mapping[int, Share]], plain: Mapping[str, Mapping[int, Share]], folder: Path) -> None:
    """Draw the share of each rung that is extracted, with its interval. shares: by model and rows a picture. plain: the
    same of what is reproduced by plain distance.
    """
    figure, axes = _axes("rows that show a picture", "share of the pictures")
    for model, found in plain.items():
        drawn = {copies: one["share"] for copies, one in found.items() if one["of"]}
        style = {"color": _COLOURS[model], "linestyle": ":", "linewidth": 1}
        axes.plot(list(drawn), list(drawn.values()), label=f"by plain distance, {model}", **style)
    for place, (model, found) in enumerate(shares.items()):
        drawn = {copies: one for copies, one in found.items() if one["of"]}
        at = [copies * (1 + 0.06 * place) for copies in drawn]  # beside each other
        _intervals(axes, at, list(drawn.values()), f"extracted, {model} deduplication", _COLOURS[model])
    axes.set_xscale("log", base=2)
    steps = sorted({copies for found in shares.values() for copies in found})
    axes.set_xticks(steps, [str(step) for step in steps])
    _save(figure, folder / "effect.svg")


@mpl.style.context(_STYLE)
def p_values(found: Mapping[str, Mapping[str, Share]], folder: Path) -> None:
    """Draw how often p-values of samples that reproduce nothing fall below a level, over how often they should."""
    figure, axes = _axes("nominal level", "observed share")
    for model, shares in found.items():
        drawn = {level: shares[f"up_to_{level:g}"] for level in LEVELS if shares[f"up_to_{level:g}"]["of"]}
        _intervals(axes, list(drawn), list(drawn.values()), f"{model} deduplication", _COLOURS[model])
    axes.plot([0, 0.8], [0, 0.8], color="#999", linestyle="--", linewidth=1)
    _save(figure, folder / "p-values.svg")


def side_by_side(columns: list[tuple[list[Image.Image], str]], side: int = 96) -> Image.Image:
    """Return columns of pictures one above the other, words below."""
    rows = max(len(pictures) for pictures, _ in columns)
    sheet = Image.new("RGB", (len(columns) * (side + 8), rows * (side + 4) + 20), "white")
    for place, (pictures, words) in enumerate(columns):
        left = place * (side + 8)
        for row, image in enumerate(pictures):
            sheet.paste(image.resize((side, side), Image.Resampling.NEAREST), (left, row * (side + 4)))
        ImageDraw.Draw(sheet).text((left, rows * (side + 4) + 4), words, "black")
    return sheet


def _axes(across: str, up: str) -> tuple[Figure, mpl.axes.Axes]:
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _intervals(axes: mpl.axes.Axes, at: list[float], shares: list[Share], label: str, colour: str) -> None:
    middle = [one["share"] for one in shares]
    below = [one["share"] - one["low"] for one in shares]
    above = [one["high"] - one["share"] for one in shares]
    axes.errorbar(at, middle, yerr=[below, above], fmt="o-", capsize=3, label=label, color=colour)


def _save(figure: Figure, path: Path) -> None:
    figure.legend(frameon=False, loc="outside upper center", ncols=2)
    figure.savefig(path, metadata={"Date": None})
