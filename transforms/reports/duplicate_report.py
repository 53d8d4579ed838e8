"""The curator's duplicate-frequency report: its first page, and the page that shows one cluster.

What belongs here: what the report says, and the scales of its charts. What does not: counting (`sql/duplicates/`,
`sql/reports/`), reading and writing (`orchestration/reports/pages.py`). Structure and scripts are in `templates/`. The
look, and the rules for text from outside, are in `reports/page.py`.
"""

import math
from dataclasses import asdict, dataclass

from transforms.reports import page

_AXIS_START = -0.25  # the axis starts at 10^-0.25, so that a bar for the value 1 has some length


@dataclass(frozen=True)
class Coverage:
    """How many pictures have a usable fingerprint of one kind, and why the others have none.

    Attributes:
        failed: Pictures that were never downloaded, and pictures that cannot be read.
        not_downloaded: Of these, the former.
        missing: Rows of which the dump has no bytes.
    """

    fingerprint: str
    expected: int
    ok: int
    low_quality: int
    failed: int
    missing: int
    not_downloaded: int = 0

    @property
    def unreadable(self) -> int:
        """Pictures that are there and cannot be read."""
        return self.failed - self.not_downloaded

    @property
    def not_searched(self) -> int:
        """Pictures that this fingerprint could not compare."""
        return self.expected - self.ok


@dataclass(frozen=True)
class OtherFiles:
    """Files that became no row for one reason, as in `catalog.not_taken`.

    Attributes:
        name: The dataset or the source of generations.
        places: Tars, parquets and folders in which they were found.
        place: The first of these.
        example: The name of one of them.
    """

    name: str
    reason: str
    files: int
    places: int
    place: str
    example: str


@dataclass(frozen=True)
class NotTakenFiles:
    """All files that became no row or no generation, with the most frequent reasons."""

    files: int = 0
    reasons: int = 0
    listed: tuple[OtherFiles, ...] = ()


@dataclass(frozen=True)
class FrequencyBand:
    """How many pictures repeat about equally often.

    Attributes:
        band: How often, such as `"1"`, `"3-4"` or `"100-999"` times.
        share_of_rows: The band's rows over all counted rows, between 0 and 1.
    """

    band: str
    clusters: int
    rows: int
    share_of_rows: float


@dataclass(frozen=True)
class RepeatedRows:
    """How many rows of one host or licence share their picture with another row, as in `reports.repeated_by_…`."""

    name: str
    rows: int
    repeated_rows: int
    repeated_pictures: int


@dataclass(frozen=True)
class RemovalPolicy:
    """What removing copies by one policy would leave, as in `duplicates.policies`."""

    policy: str
    description: str
    removed_rows: int
    kept_rows: int
    removed_share: float
    pictures_removed: int
    largest_count_after: int


@dataclass(frozen=True)
class DecidedCount:
    """A count with what people decided and without it, as in `reports.decided_counts`."""

    measure: str
    with_decisions: int
    without_decisions: int


@dataclass(frozen=True)
class ReviewedPrecision:
    """How often people say what the warehouse says, as in `catalog.review_precision`.

    Attributes:
        said: The verdict of cases; of pairs, clusters and blocks of the guard what they are, and the method.
        items: Items of it.
        answered: How many were drawn at random and answered.
        low: Lower end of the 95% interval of `precision`.
        high: Upper end of it.
        kappa: Cohen's kappa of those that two people answered, `asked_twice` in number; None where it is not defined.
    """

    said: str
    items: int
    answered: int
    precision: float
    low: float
    high: float
    asked_twice: int
    kappa: float | None


@dataclass(frozen=True)
class ChangedItem:
    """A cluster or a case that is another one than in the version before, as in `reports.changes`.

    Attributes:
        changes: What happened to it.
        now_in: The cluster that has what was in a merged one.
    """

    changes: tuple[str, ...]
    cluster_id: int | None
    generation_id: str | None
    now_in: int | None
    rows_before: int | None
    rows_after: int | None
    verdict_before: str | None
    verdict_after: str | None
    decided_by: str | None
    caption: str | None


@dataclass(frozen=True)
class VersionChanges:
    """What changed since the version before.

    Attributes:
        counts: Each change, and to how many clusters or cases it happened.
        listed: The first of them.
    """

    counts: tuple[tuple[str, int], ...] = ()
    listed: tuple[ChangedItem, ...] = ()


NO_CHANGES = VersionChanges()


@dataclass(frozen=True)
class GalleryExtent:
    """How much of the warehouse the data beside the pages holds.

    Attributes:
        listed: Number of listed pictures, the most repeated ones.
        least: Rows of the least repeated of them.
        thumbnails: Number of pictures, from the first on, with a small copy.
        part: Entries in a file.
        sheet: Thumbnails in a file.
        column: Index rows in a file.
        cluster_files: Number of files with clusters; a cluster is in the file of its id modulo this number.
        members: Rows listed of a cluster at most.
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
    """The content of the first page.

    Attributes:
        rows: Training rows.
        images: Rows with a picture.
        clusters: Pictures that at least two rows show.
        rows_in_clusters: Rows that show one of these pictures.
        largest: Rows of the most repeated picture.
        coverage: One entry for each fingerprint.
        hosts: The first of `all_hosts` hosts, those with the most repeated rows.
        licences: The first of `all_licences` licences, likewise.
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
    not_taken: NotTakenFiles
    bands: tuple[FrequencyBand, ...]
    policies: tuple[RemovalPolicy, ...]
    hosts: tuple[RepeatedRows, ...]
    all_hosts: int
    licences: tuple[RepeatedRows, ...]
    all_licences: int
    gallery: GalleryExtent
    decided: tuple[DecidedCount, ...] = ()
    reviewed: tuple[ReviewedPrecision, ...] = ()
    changes: VersionChanges = NO_CHANGES


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis from just below 1 to just above `maximum`; positions are percentages of its length."""

    maximum: int

    def at(self, value: int) -> float:
        """Return the position of `value` on the axis, 0 for a value below 1."""
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
    """Render the first page. Its script draws the gallery from the files that `GalleryExtent` describes."""
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
    """Render the page that shows the cluster in its address: `cluster.html#CLUSTER_ID`."""
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
