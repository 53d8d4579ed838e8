"""The provenance report: where generated images come from, how sure that is, and what was not searched.

What belongs here: what the page says, and a case as the page shows it. What does not: verdicts
(`sql/provenance/`), one case in full (`reports/case_page.py`), writing files (`orchestration/reports/provenance.py`).
Structure and script are in `templates/`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from transforms.readable import legible
from transforms.regions import Box
from transforms.reports import page
from transforms.reports.case_page import CasePage, Measurement
from transforms.reports.drawings import overlays, reliability_plot, thumbnails
from transforms.reports.drawings.reliability_plot import ReliabilityPoint
from transforms.reports.duplicate_report import (
    NO_CHANGES,
    Coverage,
    DecidedCount,
    NotTakenFiles,
    ReviewedPrecision,
    VersionChanges,
)

SHEET = 12  # cases in a file
_SIDE = 360  # pixels


@dataclass(frozen=True)
class VerdictCount:
    """How many generated images have one verdict, and how many of these answers are inconclusive."""

    verdict: str
    generations: int
    inconclusive: int


@dataclass(frozen=True)
class SearchExtent:
    """What the generations were compared with, as in `provenance.generations`.

    Attributes:
        generations: Generated images in the warehouse.
        searched: Training rows that every generation was compared with at least.
        searchable: Training rows there were to compare with.
        required: The coverage from which finding no copy means that there is none.
        by_hashes: Whether hashes alone were searched.
    """

    generations: int
    searched: int
    searchable: int
    required: float
    by_hashes: bool = False


@dataclass(frozen=True)
class DuplicationEffect:
    """How many of the pictures trained on equally often came back, with Wilson's 95% intervals of the shares.

    As in `provenance.duplication_effect`.
    """

    band: str
    pictures: int
    reproduced: int
    share: float
    share_low: float
    share_high: float
    extracted: int
    extracted_share: float
    extracted_low: float
    extracted_high: float


@dataclass(frozen=True)
class Licence:
    """A licence and host of likely sources, as in `provenance.licenses`."""

    license: str
    host: str
    generations: int
    copies: int
    pictures: int
    rows: int
    recalled_rows: int


@dataclass(frozen=True)
class Rightsholder:
    """A host that serves what some generation resembles, as in `provenance.rightsholders`."""

    host: str
    copies: int
    similar_only: int
    copied_pictures: int
    only_here: int
    rows: int
    licenses: tuple[str, ...]


@dataclass(frozen=True)
class ProvenanceReport:
    """The content of the page.

    Attributes:
        confirmed: Generations with a confirmed copy.
        similar: Generations that are only similar to a training picture.
        listed_cases: The values by which the page sorts the cases it lists: verdict, rows of the source, q-value.
        licences: The first of `all_licences` licences.
        rightsholders: The first of `all_rightsholders` rightsholders.
        reserved_generations: Generations that copy a picture of which a file says that it must not be trained on.
        reserved_pictures: How many pictures these copy.
    """

    title: str
    version: int
    published_at: str
    coverage: tuple[Coverage, ...]
    not_taken: NotTakenFiles
    search: SearchExtent
    verdicts: tuple[VerdictCount, ...]
    effect: tuple[DuplicationEffect, ...]
    errors: tuple[Measurement, ...]
    reliability: tuple[ReliabilityPoint, ...]
    confirmed: int
    similar: int
    listed_cases: tuple[tuple[str, int, float | None], ...]
    licences: tuple[Licence, ...]
    all_licences: int
    rightsholders: tuple[Rightsholder, ...]
    all_rightsholders: int
    reserved_generations: int
    reserved_pictures: int
    decided: tuple[DecidedCount, ...] = ()
    reviewed: tuple[ReviewedPrecision, ...] = ()
    changes: VersionChanges = NO_CHANGES

    def total(self, *verdicts: str) -> int:
        """Return how many generations got any of these verdicts."""
        return sum(row.generations for row in self.verdicts if row.verdict in verdicts)


def render(report: ProvenanceReport) -> str:
    """Render the page. Its script draws the cases from files of `SHEET` cases each."""
    return page.render(
        "provenance.html.j2",
        ("common.js", "shards.js", "listing.js", "cases.js"),
        {"sheet": SHEET, "cases": [list(case) for case in report.listed_cases]},
        loads=True,
        report=report,
        listed_copies=sum(verdict in page.CONFIRMED for verdict, *_ in report.listed_cases),
        listed_similar=sum(verdict == "similar" for verdict, *_ in report.listed_cases),
        most=max((row.generations for row in report.verdicts), default=0),
        open_verdicts=sum(row.inconclusive for row in report.verdicts if row.verdict != "not_searched"),
        plot=Markup(reliability_plot.plot(report.reliability, "p-values of pictures that are no copies")),  # noqa: S704
    )


def side_by_side(case: CasePage, file: str, cluster_id: int, listed: bool) -> dict[str, Any]:
    """Return a case for the page's script: the generation, its best source, and one laid over the other.

    Args:
        case: The case.
        file: File name of its own page.
        cluster_id: Cluster of its best source.
        listed: Whether that cluster has a page.
    """
    best = case.sources[0]
    values = {measurement.name: measurement.value for measurement in best.measurements}
    over = None
    if case.picture is not None and best.picture is not None and best.homography is not None:
        try:
            laid = overlays.overlay(case.picture, best.picture, best.homography, best.region, _SIDE)
            half = (laid.generation.astype(np.float32) + laid.source.astype(np.float32)) / 2
            over = thumbnails.source(half.astype(np.uint8), _SIDE)
        except ValueError:
            over = None  # the page says that there is none, the case's own page says why
    return {
        "id": legible(case.generation_id, 200),
        "verdict": case.verdict,
        "file": file,
        "cluster": str(cluster_id),
        "listed": int(listed),
        "copies": best.duplicate_count,
        "recalled": best.recalled_count,
        "licences": [legible(name, 120) for name in best.licenses],
        "hosts": best.hosts,
        "unsafe": int(best.unsafe),
        "generation": None if case.picture is None else thumbnails.source(case.picture, _SIDE),
        "source": None if best.picture is None else thumbnails.source(best.picture, _SIDE),
        "over": over,
        "region": _fractions(best.region),
        "sourceRegion": _fractions(best.source_region),
        "prompt": None if case.prompt is None else legible(case.prompt, 300),
        "caption": None if best.caption is None else legible(best.caption, 300),
        "q": values.get("q-value", "-"),
        "p": values.get("p-value", "-"),
    }


def _fractions(region: Box | None) -> list[float] | None:
    return None if region is None else [round(v, 4) for v in (region.x, region.y, region.width, region.height)]
