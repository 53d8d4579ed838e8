"""The curators' pages of a published version, as a folder that needs no server and no network.

    duplicate_frequency.html, provenance.html    the two reports, to be opened
    pages/cluster.html                           any repeated picture, by its id: cluster.html#CLUSTER_ID
    pages/cases/                                 the confirmed copies and similar cases, a page each
    pages/data/                                  what the pages load as they are read

What belongs here: the list of pages, and the order of writing them. What does not: the look of pages
(`transforms/reports/`), the data behind the gallery, the clusters and the cases (`reports/gallery.py`,
`reports/clusters.py`, `reports/provenance.py`).

The pages are files and need no server, so the pages of a version can be mailed and archived.
"""

import errno
from pathlib import Path

import duckdb

from orchestration.reports import cases, clusters, gallery, provenance
from orchestration.reports.case_pages import CasePages
from orchestration.reports.clusters import ListedClusters
from orchestration.reports.page_data import DataFolder, Publication, publication, rows
from orchestration.reports.pictures import PictureReader
from orchestration.settings import Settings
from transforms.reports import duplicate_report
from transforms.reports.duplicate_report import (
    DuplicateReport,
    FrequencyBand,
    GalleryExtent,
    RemovalPolicy,
    RepeatedRows,
)

FIRST = "duplicate_frequency.html"
FOLDER, CLUSTER = "pages", "cluster.html"
NAMES = (FIRST, provenance.PAGE, f"{FOLDER}/{CLUSTER}")
"""The pages that every version has."""
_ROWS = 20  # hosts, licences and changes on the page; the tables hold all


def write(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    settings: Settings,
    pictures: PictureReader,
    earlier: Path | None = None,
) -> None:
    """Write the pages of a published version.

    Args:
        con: a connection to the version.
        folder: The folder to write into.
        settings: Limits of the pages, thresholds, and the largest picture.
        pictures: Reader of the training pictures.
        earlier: The folder of another version's pages, from which is copied what did not change; the result is the
            same without.
    """
    inner, limits, version = folder / FOLDER, settings.reports, publication(con)
    data, extent = DataFolder(inner / "data"), gallery.extent(con, limits)
    gallery.write(con, data, extent, pictures)
    case_pages = CasePages(version, settings.thresholds, settings.limits.bounds, pictures)
    listed = ListedClusters(con, extent.listed)
    shown = provenance.shown_cases(con, limits.cases, limits.similar)
    files = provenance.write_cases(con, shown, inner / "cases", data, case_pages, listed)
    before = None if earlier is None else DataFolder(earlier / FOLDER / "data")
    clusters.write(con, data, extent, limits.pictured, pictures, files, before)
    report = _report(con, extent, version)
    (folder / FIRST).write_text(duplicate_report.render(report), encoding="utf-8")
    (inner / CLUSTER).write_text(duplicate_report.render_cluster(report), encoding="utf-8")
    page = provenance.page(con, shown, report.title, version)
    (folder / provenance.PAGE).write_text(page, encoding="utf-8")


def require_free(folder: Path) -> None:
    """Raise FileExistsError if `folder` holds a folder of pages that is not from an earlier export."""
    inner = folder / FOLDER
    if inner.exists() and not (inner / CLUSTER).is_file():
        raise FileExistsError(errno.EEXIST, "not of an earlier export; choose another folder with --to", str(inner))


def _report(con: duckdb.DuckDBPyConnection, extent: GalleryExtent, version: Publication) -> DuplicateReport:
    [totals] = rows(con, "duplicate_totals")
    return DuplicateReport(
        **totals,
        version=version.number,
        published_at=version.published_at,
        coverage=cases.coverage(con),
        not_taken=cases.not_taken(con),
        bands=tuple(FrequencyBand(**row) for row in rows(con, "bands")),
        policies=tuple(RemovalPolicy(**row) for row in rows(con, "policies")),
        hosts=tuple(RepeatedRows(**row) for row in rows(con, "repeated_by_host", most=_ROWS)),
        licences=tuple(RepeatedRows(**row) for row in rows(con, "repeated_by_license", most=_ROWS)),
        gallery=extent,
        decided=cases.decided_counts(con),
        reviewed=cases.reviewed_precision(con, "pair", "cluster"),
        changes=cases.changes(con, "cluster", _ROWS),
    )
