"""The case of one generation as an HTML page that needs nothing but itself.

What belongs here: the shape of a case, the plain words for its numbers, its pictures at the size of a page. What does
not: gathering a case, writing files. Its structure is in `templates/case.html.j2`, the look and the rules that keep
strangers' text from acting in `reports/page.py`.
"""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from transforms.pictures import Pixels
from transforms.regions import Box
from transforms.reports import overlays, page, reliability_plot, thumbnails
from transforms.reports.duplicate_report import Coverage
from transforms.reports.reliability_plot import Point

MOST_SOURCES = 10


@dataclass(frozen=True)
class Number:
    """One measurement: its name, its value as printed, and what it says in plain words."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Source:
    """A likely source. picture: None if it cannot be read now; then `failure` says why.

    place: where the picture lies. homography: as `overlays.overlay` takes it; None where no alignment is known.
    region, source_region: the shared part on the generation and on the source, fractions from the top left. unsafe: the
    dataset marks some row that shows it; its pictures are veiled until asked for. cluster_page: the way to the
    page with all rows that show it; None where there is none.
    """

    rank: int
    verdict: str
    sample_id: int
    place: str
    picture: Pixels | None
    failure: str | None
    homography: tuple[float, ...] | None
    region: Box | None
    source_region: Box | None
    numbers: tuple[Number, ...]
    duplicate_count: int
    recalled_count: int
    recalled: bool
    hosts: int
    licenses: tuple[str, ...]
    url: str | None
    caption: str | None
    unsafe: bool = False
    cluster_page: str | None = None


@dataclass(frozen=True)
class Case:
    """Everything the page says. sources: strongest first, of `sources_found`. thresholds: as they stood then.

    errors: how often verdicts and p-values were wrong on pictures of known truth. reliability: of the p-values.
    """

    generation_id: str
    path: str
    verdict: str
    conclusive: bool
    picture: Pixels | None
    failure: str | None
    model: str | None
    prompt: str | None
    searched: int
    searchable: int
    required_coverage: float
    coverage: tuple[Coverage, ...]
    thresholds: tuple[Number, ...]
    sources: tuple[Source, ...]
    sources_found: int
    version: int
    published_at: str
    errors: tuple[Number, ...] = ()
    reliability: tuple[Point, ...] = ()


def render(case: Case, report_at: str | None = None) -> str:
    """Render a case as one HTML page that loads nothing and runs only its own script.

    report_at: the way from the page to the folder of the reports, `"../../"`, where it lies in one. At most
    MOST_SOURCES sources are shown, and how many more there are is said. Pictures are re-encoded from their pixels, the
    longer side at most `overlays.LONG_SIDE`.
    """
    shown = case.sources[:MOST_SOURCES]
    return page.render(
        "case.html.j2",
        ("common.js", "case.js"),
        case=case,
        report_at=report_at,
        sources=[(source, *_laid(case, source)) for source in shown],
        more=case.sources_found - len(shown),
        unsafe=any(source.unsafe for source in shown),
        image=_image,
        legend=_image(overlays.legend()),
        heat_most=overlays.HEAT_MOST,
        plot=Markup(reliability_plot.plot(case.reliability, "p-values of pictures that are no copies")),  # noqa: S704
    )


def _image(picture: Pixels) -> str:
    return thumbnails.source(picture, overlays.LONG_SIDE)


def _laid(case: Case, source: Source) -> tuple[dict[str, Any] | None, str]:
    """Return the overlay as pictures, or why there is none."""
    if case.picture is None or source.picture is None:
        return None, "There is no overlay: one of the two pictures cannot be read now."
    if source.homography is None:
        return None, "There is no overlay: no way of laying the source over the generation was found."
    try:
        laid = overlays.overlay(case.picture, source.picture, source.homography, source.region)
    except ValueError as error:
        return None, f"There is no overlay: {error}."
    height, width = laid.generation.shape[:2]
    return {
        "generation": _image(laid.generation),
        "source": _image(laid.source),
        "heat": _image(laid.heat),
        "covered": laid.covered,
        "width": width,
        "height": height,
    }, ""
