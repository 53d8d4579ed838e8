"""The curator's duplicate-frequency report: its first page, and the page on which each cluster is shown.

What belongs here: the shape of the report's numbers, and the scales they are drawn on. What does not: counting
(`sql/duplicates/`, `sql/reports/`), choosing which pictures to show, the data that the gallery loads, writing files.
Structure and scripts are in `templates/`, the look and the rules for strangers' text in `reports/page.py`.
"""

import math
from dataclasses import asdict, dataclass

from transforms.reports import page

_AXIS_START = -0.25  # a bar for the value 1 needs some length: the axis starts at 10^-0.25


@dataclass(frozen=True)
class Coverage:
    """How many pictures have a usable fingerprint of one kind, and why the others have none."""

    fingerprint: str
    expected: int
    ok: int
    low_quality: int
    failed: int
    missing: int

    @property
    def not_searched(self) -> int:
        """Pictures that this fingerprint could not compare."""
        return self.expected - self.ok


@dataclass(frozen=True)
class Band:
    """Pictures seen between so many and so many times: `"1"`, `"2"`, `"3-4"`, … `"100-999"`.

    share_of_rows: the band's rows over all counted rows, between 0 and 1.
    """

    band: str
    clusters: int
    rows: int
    share_of_rows: float


@dataclass(frozen=True)
class Repeated:
    """How many rows of one host or licence share their picture with another row; rows as in `reports.repeated_by_…`."""

    name: str
    rows: int
    usable_rows: int
    repeated_rows: int
    repeated_pictures: int
    largest_count: int


@dataclass(frozen=True)
class Policy:
    """What removing copies by one policy would leave; as in `duplicates.policies`."""

    policy: str
    description: str
    removed_rows: int
    kept_rows: int
    removed_share: float
    pictures_removed: int
    largest_count_after: int


@dataclass(frozen=True)
class Gallery:
    """The data beside the page, and how much of the warehouse it holds.

    listed: repeated pictures, most repeated first. least: rows of the last of them. thumbnails: of so many, from the
    first on, a small copy is shown. part, sheet, column: entries, thumbnails and index rows in a file. cluster_files:
    a cluster lies in the file of its id modulo this. members: of a cluster, listed at most.
    """

    listed: int
    least: int
    thumbnails: int
    part: int
    sheet: int
    column: int
    cluster_files: int
    members: int


@dataclass(frozen=True)
class DuplicateReport:
    """Everything the first page says.

    rows: training rows. images: rows with a picture. clusters: pictures that at least two rows show.
    rows_in_clusters: rows that show one of those. largest: rows of the most repeated picture.
    coverage: one entry a fingerprint. hosts, licences: most repeated rows first, of `all_hosts` and `all_licences`.
    """

    title: str
    version: int
    published_at: str
    rows: int
    images: int
    clusters: int
    rows_in_clusters: int
    largest: int
    coverage: tuple[Coverage, ...]
    bands: tuple[Band, ...]
    policies: tuple[Policy, ...]
    hosts: tuple[Repeated, ...]
    all_hosts: int
    licences: tuple[Repeated, ...]
    all_licences: int
    gallery: Gallery


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis from just below 1 to just above `maximum`; positions are percentages of its length."""

    maximum: int

    def at(self, value: int) -> float:
        """Where `value` lies on the axis; 0 for nothing."""
        if value < 1:
            return 0.0
        end = math.log10(max(self.maximum, 10)) + 0.08
        return round(100 * (math.log10(value) - _AXIS_START) / (end - _AXIS_START), 3)

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """Powers of ten up to the maximum, with short labels."""
        powers = range(int(math.log10(max(self.maximum, 10))) + 1)
        return [(_short(10**power), self.at(10**power)) for power in powers]


def render(report: DuplicateReport) -> str:
    """Render the first page. Its gallery is drawn by its script from the files that `Gallery` describes."""
    return page.render(
        "duplicate_frequency.html.j2",
        ("common.js", "shards.js", "listing.js", "gallery.js"),
        asdict(report.gallery),
        loads=True,
        report=report,
        gaps=[part for part in report.coverage if part.not_searched > 0],
        axis=LogAxis(max((band.rows for band in report.bands), default=0)),
    )


def render_cluster(report: DuplicateReport) -> str:
    """Render the page that shows the cluster which its address names: `cluster.html#CLUSTER_ID`."""
    return page.render(
        "cluster.html.j2",
        ("common.js", "shards.js", "listing.js", "cluster.js"),
        asdict(report.gallery),
        loads=True,
        report=report,
    )


def _short(number: int) -> str:
    for size, suffix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number // size}{suffix}"
    return str(number)
