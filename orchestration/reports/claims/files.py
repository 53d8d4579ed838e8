"""The files of a claim: a page and tables to send, an opt-out list to keep.

    claims.html    the pictures, and whether each was trained on
    claims.csv     the same, a row per picture
    rows.csv       every training row that shows one of them
    opt_outs.csv   an opt-out list that `[[recalls]]` reads

What belongs here: writing them. What does not: the tables (`claims/tables.py`), the look of the page
(`transforms/reports/claim_page.py`), answers of a guard bundle (`claims/bundles.py`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from orchestration.compute.engines import CORES
from orchestration.matches.claims import ClaimedPicture, ClaimFile
from orchestration.reports.claims import tables
from orchestration.reports.exports import write_csv, write_folder
from orchestration.reports.page_data import publication
from orchestration.settings import Settings
from orchestration.warehouse.queries import query
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.hashing.likeness import likeness
from transforms.pictures import Bounds
from transforms.readable import decimal, percent
from transforms.reports import claim_page
from transforms.reports.claim_page import ClaimCase, ClaimedRow, ClaimPage
from transforms.reports.drawings import thumbnails
from transforms.storage.stores import on_disk, plain

PAGE, CLAIMS, ROWS, OPT_OUTS = "claims.html", "claims.csv", "rows.csv", "opt_outs.csv"
FILES = {
    CLAIMS: "a row per picture",
    ROWS: "every training row that shows one of them",
    OPT_OUTS: "an opt-out list for [[recalls]]",
}
SHOWN = 300  # pictures on the page
_LISTED = 20  # rows of a picture on the page
_NAMED = 10  # hosts, licences and generations of a picture on the page


def write(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    folder: Path,
    source: Path,
    found: Iterable[ClaimedPicture],
    methods: Sequence[str],
) -> tuple[list[Path], dict[str, int]]:
    """Write a claim, all of its files or none.

    Args:
        con: A connection to the published version.
        settings: Of the memory, and of the pictures that the page shows.
        folder: Where its files go: new, empty, or of an earlier claim of the same folder, which is replaced.
        source: The claimed folder.
        found: The claimed pictures; they are read as they are found.
        methods: By what they were searched for, a sentence each.

    Returns:
        The files, and the count of pictures by answer.

    Raises:
        FileExistsError: If the folder holds anything else.
        OSError: If the file system refuses.
    """
    counts: dict[str, int] = {}

    def fill(made: Path) -> None:
        try:
            tables.fill(con, found, settings.thresholds.pdq)
            for name, table in ((CLAIMS, "claims"), (ROWS, "claim_rows"), (OPT_OUTS, "claim_opt_outs")):
                write_csv(con, table, made / name)
            page = _page(con, settings, source, methods)
            counts.update(page.counts)
            (made / PAGE).write_text(claim_page.render(page), encoding="utf-8")
        finally:
            for table in tables.TABLES:
                con.execute(f"drop table if exists temp.{table}")

    return write_folder(con, folder, {"claim": str(source.resolve())}, settings.memory.duckdb, fill), counts


def _page(con: duckdb.DuckDBPyConnection, settings: Settings, source: Path, methods: Sequence[str]) -> ClaimPage:
    version = publication(con)
    [searched] = tables.rows(con, query("claims/searched"))
    counts = {row["trained_on"]: row["pictures"] for row in tables.rows(con, query("claims/counts"))}
    shown = tables.rows(con, query("claims/shown"), SHOWN)
    files = (None if row["failure"] else on_disk(str(source / row["picture"])) for row in shown)
    small = thumbnails_of(files, settings.limits.bounds)
    return ClaimPage(
        title=plain(source.resolve().name or str(source)),
        of=f"Version {version.number}",
        published_at=version.published_at,
        searched=searched["searched"],
        searchable=searched["searchable"],
        methods=tuple(methods),
        counts=counts,
        cases=tuple(_case(con, row, each) for row, each in zip(shown, small, strict=True)),
        left_out=sum(counts.values()) - len(shown),
        files=FILES,
    )


def _case(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any], small: str | None) -> ClaimCase:
    listed = tables.rows(con, query("claims/listed"), row["picture"], _LISTED) if row["rows"] else ()
    return ClaimCase(
        name=row["picture"],
        trained_on=row["trained_on"],
        verdict=row["verdict"],
        thumbnail=small,
        rows=row["rows"],
        facts=tuple(_facts(row)),
        listed=tuple(ClaimedRow(**each) for each in listed),
        listed_in=ROWS,
    )


def thumbnails_of(files: Iterable[Path | None], bounds: Bounds) -> Iterator[str | None]:
    """Yield a small copy of each of several claimed pictures as a `data:` URL, or None if it is not wanted or unread.

    Args:
        files: Their files, of which several are read at once; None where none is wanted.
        bounds: What a picture may have and need.
    """
    return work_ahead(partial(_thumbnail, bounds), files, WorkPace(CORES, CORES))


def _thumbnail(bounds: Bounds, path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return thumbnails.source(ClaimFile(path.name, path).pixels(bounds))
    except (OSError, ValueError):
        return None  # its answer says why


def _facts(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if row["failure"]:
        yield "Not read", row["failure"]
    if row["withdrawn_rows"]:
        yield "Of these withdrawn", f"{row['withdrawn_rows']:,}"
    if row["similar_rows"]:
        yield "Rows near it, not confirmed", f"{row['similar_rows']:,}"
    for name, what, count in (("Hosts", "hosts", row["host_count"]), ("Licences", "licences", len(row["licences"]))):
        if row[what]:
            yield name, _first(row[what], count)
    if row["caption_count"]:
        yield "Different captions", f"{row['caption_count']:,}"
    if row["generations"]:
        yield "Copied by generations", _first(row["generation_ids"], row["generations"])
    if evidence := "; ".join(_evidence(row)):
        yield "Evidence", evidence
    if row["not_compared"]:
        yield "Not compared", f"{row['not_compared']:,} candidates could not be read: {row['why_not_compared']}"


def _first(values: Sequence[str], count: int) -> str:
    shown = ", ".join(values[:_NAMED])
    return f"{shown} and {count - _NAMED:,} more" if count > _NAMED else shown


def _evidence(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the measurements of the strongest match in words."""
    if row["verdict"] == "exact":
        yield "the same bytes or pixels"
    if row["copy_score"] is not None:
        yield f"copy score {decimal(row['copy_score'])}, 1 is the same"
    if row["pdq_distance"] is not None:
        yield likeness(row["pdq_distance"])
    if row["inliers"] is not None:
        shared = f"{percent(row['overlap'])} of the claimed picture and {percent(row['overlap_training'])} of the other"
        yield f"{row['inliers']:,} local features agree, over {shared}"
    if row["aligned_distance"] is not None:
        yield f"aligned pixels differ by {decimal(row['aligned_distance'])}, 0 is equal"
