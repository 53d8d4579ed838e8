"""The curators' pages of a published version, as a folder that needs no server and no network.

    duplicate_frequency.html, provenance.html    the two reports, to be opened
    pages/cluster.html                           any repeated picture, by its id: cluster.html#CLUSTER_ID
    pages/cases/                                 the confirmed copies, a page each
    pages/data/                                  what the pages load as they are read

What belongs here: the order in which they are written, and the first report's numbers. What does not: how pages look
(`transforms/`), the data behind the gallery, the clusters and the cases (`reports/gallery.py`, `reports/clusters.py`,
`reports/provenance.py`).

Files and not a server: a version's pages are mailed and archived as they are, nothing has to run for them to be read,
and what is archived is what was published.
"""

import errno
from collections.abc import Callable
from pathlib import Path

import duckdb

from orchestration.reports import (
    cases as case,
)
from orchestration.reports import (
    clusters as cluster_files,
)
from orchestration.reports import (
    gallery as gallery_files,
)
from orchestration.reports import (
    provenance,
)
from orchestration.reports.page_data import DataFolder
from orchestration.settings import Settings
from transforms.pictures import Pixels
from transforms.reports import duplicate_report
from transforms.reports.duplicate_report import Band, Coverage, DuplicateReport, Gallery, Policy, Repeated

FIRST = "duplicate_frequency.html"
FOLDER, CLUSTER = "pages", "cluster.html"
_ROWS = 20  # hosts and licences on the page; the tables hold all
_POLICIES = """
    select policy, description, removed_rows, kept_rows, removed_share, pictures_removed, largest_count_after
    from duplicates.policies"""
_BANDS = """
    select found.band, clusters, rows, share_of_rows
    from reports.duplicate_frequency as found join duplicates.bands using (band) order by bands.first"""


def write(con: duckdb.DuckDBPyConnection, folder: Path, settings: Settings, picture: Callable[[int], Pixels]) -> None:
    """Write the pages into `folder`. picture: reads a training row's pixels; what cannot be read is shown as such."""
    inner = folder / FOLDER
    data = DataFolder(inner / "data")
    limits, version = settings.reports, _version(con)
    gallery = gallery_files.extent(con, limits)
    gallery_files.write(con, data, gallery, picture)
    cases = provenance.write_cases(
        con, inner / "cases", data, settings, version, picture, lambda cluster: _listed(con, gallery, cluster)
    )
    cluster_files.write(con, data, gallery, limits, picture, cases)
    told = _report(con, gallery, version)
    (folder / FIRST).write_text(duplicate_report.render(told), encoding="utf-8")
    (inner / CLUSTER).write_text(duplicate_report.render_cluster(told), encoding="utf-8")
    page = provenance.page(con, settings, told.title, version)
    (folder / provenance.PAGE).write_text(page, encoding="utf-8")


def require_free(folder: Path) -> None:
    """Refuse a folder in which another one lies where the pages' would. FileExistsError names it."""
    inner = folder / FOLDER
    if inner.exists() and not (inner / CLUSTER).is_file():
        raise FileExistsError(errno.EEXIST, "not of an earlier export; choose another folder with --to", str(inner))


def _version(con: duckdb.DuckDBPyConnection) -> tuple[int, str]:
    number, at = con.execute(
        "select version, published_at from warehouse.versions order by version desc limit 1"
    ).fetchall()[0]
    return number, f"{at:%Y-%m-%d %H:%M} UTC"


def _listed(con: duckdb.DuckDBPyConnection, gallery: Gallery, cluster: int) -> bool:
    """Return whether a cluster is among those that have a page."""
    place = con.execute(
        """
        select count(*) from duplicates.counts as other, duplicates.counts as this
        where this.cluster_id = ? and (other.duplicate_count > this.duplicate_count
            or (other.duplicate_count = this.duplicate_count and other.cluster_id <= this.cluster_id))""",
        [cluster],
    ).fetchall()[0][0]
    return 0 < place <= gallery.listed


def _report(con: duckdb.DuckDBPyConnection, gallery: Gallery, version: tuple[int, str]) -> DuplicateReport:
    def one(query: str) -> tuple:
        return con.execute(query).fetchall()[0]

    rows, images = one(
        "select count(*), count(images.sample_id) from catalog.samples left join fingerprints.images using (sample_id)"
    )
    clusters, clustered, largest = one(
        "select count(*), coalesce(sum(duplicate_count), 0), coalesce(max(duplicate_count), 1) from duplicates.counts"
    )
    found = con.execute("select distinct dataset from catalog.samples order by 1").fetchall()
    hosts, all_hosts = _repeated(con, "host")
    licences, all_licences = _repeated(con, "license")
    return DuplicateReport(
        title=", ".join(name for (name,) in found) or "no dataset",
        version=version[0],
        published_at=version[1],
        rows=rows,
        images=images,
        clusters=clusters,
        rows_in_clusters=int(clustered),
        largest=largest,
        coverage=tuple(Coverage(*row) for row in case.coverage(con)),
        bands=tuple(Band(*row) for row in con.execute(_BANDS).fetchall()),
        policies=tuple(Policy(*row) for row in con.execute(_POLICIES).fetchall()),
        hosts=hosts,
        all_hosts=all_hosts,
        licences=licences,
        all_licences=all_licences,
        gallery=gallery,
    )


def _repeated(con: duckdb.DuckDBPyConnection, column: str) -> tuple[tuple[Repeated, ...], int]:
    """Return the hosts or licences with the most repeated rows, and how many there are."""
    found = con.execute(
        f"""
        select {column}, rows, usable_rows, repeated_rows, repeated_pictures, largest_count
        from reports.repeated_by_{column} order by repeated_rows desc, {column} limit {_ROWS}"""  # noqa: S608 -- our own
    ).fetchall()
    [(every,)] = con.execute(f"select count(*) from reports.repeated_by_{column}").fetchall()  # noqa: S608 -- our own
    return tuple(Repeated(*row) for row in found), every
