"""The provenance report as files: its page, the cases it shows, and a page for each of these.

What belongs here: writing files from `provenance.*` and `matches.calibration`. What does not: how the page looks
(`transforms/reports/provenance_report.py`), reading a single case (`reports/cases.py`, `reports/case_pages.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import batched
from pathlib import Path
from typing import Any

import duckdb

from orchestration.reports import case_pages, cases
from orchestration.reports.case_pages import CasePages
from orchestration.reports.cases import Case
from orchestration.reports.clusters import ListedClusters
from orchestration.reports.page_data import DataFolder, Publication, rows
from transforms.reports.case_page import CasePage
from transforms.reports.page import CONFIRMED, VERDICTS
from transforms.reports.provenance_report import (
    SHEET,
    DuplicationEffect,
    Licence,
    ProvenanceReport,
    Rightsholder,
    SearchExtent,
    VerdictCount,
    render,
    side_by_side,
)

PAGE = "provenance.html"
_ROWS = 20  # licences, hosts and changes on the page; the tables hold all


def shown_cases(con: duckdb.DuckDBPyConnection, most: int, similar: int) -> list[dict[str, Any]]:
    """Return the generations that the report shows: those with a confirmed copy, the surest first, then similar ones.

    Args:
        con: a connection to a published version.
        most: How many with a confirmed copy at most.
        similar: How many that are only similar at most.
    """
    return rows(con, "shown_cases", most=most, similar=similar)


def write_cases(
    con: duckdb.DuckDBPyConnection,
    listed_cases: Sequence[Mapping[str, Any]],
    folder: Path,
    data: DataFolder,
    pages: CasePages,
    listed: ListedClusters,
) -> dict[str, str]:
    """Write a page for each case, and the data of the report. Memory holds one data file.

    Args:
        con: a connection to a published version.
        listed_cases: The cases, from `shown_cases`.
        folder: Folder of the case pages.
        data: Folder of the report's data.
        pages: Maker of the case pages.
        listed: The clusters that have a page.

    Returns:
        The file name of each generation's page, by generation.
    """
    files = {}
    for sheet, batch in enumerate(batched(listed_cases, SHEET)):
        shown = []
        for row in batch:
            case = cases.read(con, row["generation_id"])
            page = case_pages.without_folders(_link_clusters(pages.page(case), case, listed))
            file = case_pages.write(page, folder / case_pages.file_name(page.generation_id), "../../")
            files[page.generation_id] = file.name
            shown.append(side_by_side(page, file.name, row["cluster_id"], row["cluster_id"] in listed))
        data.write("cases", sheet, shown)
    return files


def _link_clusters(page: CasePage, case: Case, listed: ListedClusters) -> CasePage:
    """Return a case page whose sources name the page of their cluster, where it has one."""
    ids = (source["cluster_id"] for source in case.sources)
    links = (f"../cluster.html#{cluster}" if cluster in listed else None for cluster in ids)
    sources = zip(page.sources, links, strict=True)
    return replace(page, sources=tuple(replace(source, cluster_page=link) for source, link in sources))


def page(
    con: duckdb.DuckDBPyConnection, listed_cases: Sequence[Mapping[str, Any]], title: str, version: Publication
) -> str:
    """Render the report's page.

    Args:
        con: a connection to a published version.
        listed_cases: The cases that it shows, from `shown_cases`.
        title: Title of the report.
        version: The version.
    """
    verdicts = [VerdictCount(**row) for row in rows(con, "verdicts")]
    reliability = cases.reliability(con)
    [totals] = rows(con, "provenance_totals")
    [search] = rows(con, "search_extent")
    return render(
        ProvenanceReport(
            **totals,
            title=title,
            version=version.number,
            published_at=version.published_at,
            coverage=cases.coverage(con),
            not_taken=cases.not_taken(con),
            search=SearchExtent(**search),
            verdicts=tuple(sorted(verdicts, key=lambda row: list(VERDICTS).index(row.verdict))),
            effect=tuple(DuplicationEffect(**row) for row in rows(con, "duplication_effect")),
            errors=case_pages.error_rates(reliability),
            reliability=case_pages.reliability_points(reliability),
            confirmed=sum(row.generations for row in verdicts if row.verdict in CONFIRMED),
            similar=sum(row.generations for row in verdicts if row.verdict == "similar"),
            listed_cases=tuple((row["verdict"], row["copies"], row["q_value"]) for row in listed_cases),
            licences=tuple(Licence(**row) for row in rows(con, "licences", most=_ROWS)),
            rightsholders=tuple(Rightsholder(**row) for row in rows(con, "rightsholders", most=_ROWS)),
            decided=cases.decided_counts(con),
            reviewed=cases.reviewed_precision(con, "case", "guard_block"),
            changes=cases.changes(con, "case", _ROWS),
        )
    )
