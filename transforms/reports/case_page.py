"""The case of one generation as an HTML page that loads no other file.

What belongs here: the content of the page, and its pictures at the size of a page. What does not: reading a case,
writing files (`orchestration/reports/case_pages.py`). The structure is in `templates/case.html.j2`. The look, and the
rules that stop text from outside from acting, are in `reports/page.py`.
"""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from transforms.pictures import Pixels
from transforms.regions import Box
from transforms.reports import page
from transforms.reports.drawings import overlays, reliability_plot, thumbnails
from transforms.reports.drawings.reliability_plot import ReliabilityPoint
from transforms.reports.duplicate_report import Coverage
from transforms.reports.found_page import ListedPicture

MOST_SOURCES = 10


@dataclass(frozen=True)
class Measurement:
    """One measurement: its name, its value as printed, and what it means in plain words."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class LikelySource:
    """A likely source of a generation.

    Attributes:
        file: The file of the training picture, with its member in an archive.
        picture: Its pixels, or None if it cannot be read; `failure` then says why.
        homography: The alignment as `overlays.overlay` takes it, or None if none is known.
        region: The shared part on the generation, in fractions from the top left.
        source_region: The same part on the source.
        unsafe: Whether the dataset marks a row that shows the picture as unsafe; the page then veils its pictures.
        creator: Who made it, as the file of a row that shows it says.
        reserved_rows: How many rows that show it have a file, or came with headers, that reserve it from training.
        cluster_page: Relative path to the page with all rows that show the picture, or None if there is none.
    """

    rank: int
    verdict: str
    sample_id: int
    file: str
    picture: Pixels | None
    failure: str | None
    homography: tuple[float, ...] | None
    region: Box | None
    source_region: Box | None
    measurements: tuple[Measurement, ...]
    duplicate_count: int
    recalled_count: int
    recalled: bool
    hosts: int
    licenses: tuple[str, ...]
    url: str | None
    caption: str | None
    unsafe: bool = False
    cluster_page: str | None = None
    creator: str | None = None
    reserved_rows: int = 0


@dataclass(frozen=True)
class OverruledSource:
    """A training picture that somebody said the generation is no copy of, as in `provenance.overruled`."""

    sample_id: int
    measured_verdict: str
    decided_by: str
    decided_on: str
    reason: str | None


@dataclass(frozen=True)
class CasePage:
    """The content of the page.

    Attributes:
        thresholds: The thresholds of the published version.
        sources: Likely sources, strongest first.
        source_count: How many likely sources there are, those not in `sources` included.
        errors: How often verdicts and p-values were wrong on pictures of known truth.
        reliability: How often p-values fell below each level.
        unsearched: What the file may show that was not searched, or None.
        not_compared: Candidates whose pixels could not be compared.
        by_hashes: Whether hashes alone were searched.
        related: Training pictures that it resembles in meaning, nearest first. None is evidence of copying.
        related_count: How many of these there are, those not in `related` included.
        unrelated: Why there are none, in a sentence.
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
    thresholds: tuple[Measurement, ...]
    sources: tuple[LikelySource, ...]
    source_count: int
    version: int
    published_at: str
    errors: tuple[Measurement, ...] = ()
    reliability: tuple[ReliabilityPoint, ...] = ()
    unsearched: str | None = None
    not_compared: int = 0
    by_hashes: bool = False
    overruled: tuple[OverruledSource, ...] = ()
    related: tuple[ListedPicture, ...] = ()
    related_count: int = 0
    unrelated: str = "It was not searched by meaning."


def render(case: CasePage, reports: str | None = None) -> str:
    """Render a case as one HTML page that loads nothing and runs only its own script.

    The page shows at most MOST_SOURCES sources and says how many more there are. Pictures are re-encoded from their
    pixels, with the longer side at most `overlays.LONG_SIDE`.

    Args:
        case: What the page says.
        reports: Relative path from the page to the folder of the reports, such as `"../../"`, if it is in one.
    """
    shown = case.sources[:MOST_SOURCES]
    return page.render(
        "case.html.j2",
        ("common.js", "case.js"),
        case=case,
        reports=reports,
        sources=[(source, *_overlay(case, source)) for source in shown],
        more=case.source_count - len(shown),
        unsafe=any(source.unsafe for source in shown),
        image=_image,
        legend=_image(overlays.legend()),
        heat_most=overlays.HEAT_MOST,
        plot=Markup(reliability_plot.plot(case.reliability, "p-values of pictures that are no copies")),  # noqa: S704
    )


def _image(picture: Pixels) -> str:
    return thumbnails.source(picture, overlays.LONG_SIDE)


def _overlay(case: CasePage, source: LikelySource) -> tuple[dict[str, Any] | None, str]:
    """Return the overlay as pictures, or None and why there is none."""
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
