"""The provenance report as files: its page, the confirmed copies it shows, and a page for each of these.

What belongs here: from `provenance.*` and `matches.calibration` to files. What does not: how the page looks
(`transforms/reports/provenance_report.py`), reading a single case (`reports/cases.py`, `reports/case_pages.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import batched
from pathlib import Path
from typing import Any

import duckdb

from orchestration.reports import case_pages, cases
from orchestration.reports.page_data import DataFolder
from orchestration.settings import Settings
from transforms.pictures import Pixels
from transforms.reports.case_page import Case
from transforms.reports.duplicate_report import Coverage
from transforms.reports.page import VERDICTS
from transforms.reports.provenance_report import (
    SHEET,
    Effect,
    GenerationsSearched,
    Licence,
    ProvenanceReport,
    Rightsholder,
    VerdictCount,
    render,
    side_by_side,
)

PAGE = "provenance.html"
_ROWS = 20  # licences and hosts on the page; the tables hold all
_CONFIRMED = """
    select generation_id, verdict, coalesce(duplicate_count, 0) as copies, q_value, best_cluster_id as cluster_id
    from provenance.generations where verdict in ('exact', 'copy', 'partial_copy')
    order by list_position(['exact', 'copy', 'partial_copy'], verdict), q_value, duplicate_count desc, generation_id
    limit ?"""
_SEARCHED = """
    select count(*), coalesce(min(searched) filter (verdict <> 'not_searched'), 0), coalesce(max(searchable), 0),
        coalesce(max(required_coverage), 0)
    from provenance.generations"""
_VERDICTS = "select verdict, count(*), count(*) filter (not conclusive) from provenance.generations group by 1"
_EFFECT = """
    select effect.* from provenance.duplication_effect as effect join duplicates.bands using (band)
    order by bands.first"""
_LICENSES = f"""
    select license, host, generations, exact_generations + copy_generations + partial_copy_generations, pictures, rows,
        recalled_rows
    from provenance.licenses order by 4 desc, generations desc, license, host limit {_ROWS}"""  # noqa: S608
_HOLDERS = f"""
    select host, copies, similar_only, copied_pictures, only_here, rows, licenses
    from provenance.rightsholders order by copies desc, generations desc, host limit {_ROWS}"""  # noqa: S608


def write_cases(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    data: DataFolder,
    settings: Settings,
    version: tuple[int, str],
    picture: Callable[[int], Pixels],
    listed: Callable[[int], bool],
) -> dict[str, str]:
    """Write a page for each confirmed copy that is shown, and what the report shows of it, one file in memory.

    folder: of the pages of cases. listed: whether a cluster has a page. Returns generation → file of its page.
    """
    files = {}
    for sheet, confirmed in enumerate(batched(_confirmed(con, settings), SHEET)):
        shown = []
        for row in confirmed:
            facts = cases.known(con, row["generation_id"])
            made = _linked(case_pages.gather(facts, settings, version, picture), facts, listed)
            made = case_pages.without_folders(made)
            file = case_pages.write(made, folder / case_pages.file_name(made.generation_id), "../../")
            files[made.generation_id] = file.name
            shown.append(side_by_side(made, file.name, row["cluster_id"], listed(row["cluster_id"])))
        data.write("cases", sheet, shown)
    return files


def _linked(made: Case, facts: cases.Facts, listed: Callable[[int], bool]) -> Case:
    """Return a case whose sources name the page of their cluster, where it has one."""
    clusters = (source["cluster_id"] for source in facts.sources)
    pages = (f"../cluster.html#{cluster}" if listed(cluster) else None for cluster in clusters)
    sources = zip(made.sources, pages, strict=True)
    return replace(made, sources=tuple(replace(source, cluster_page=page) for source, page in sources))


def page(con: duckdb.DuckDBPyConnection, settings: Settings, title: str, version: tuple[int, str]) -> str:
    """Render the report's page."""
    verdicts = [VerdictCount(*row) for row in con.execute(_VERDICTS).fetchall()]
    reliability = cases.reliability(con)
    return render(
        ProvenanceReport(
            title=title,
            version=version[0],
            published_at=version[1],
            coverage=tuple(Coverage(*row) for row in cases.coverage(con)),
            searched=GenerationsSearched(*con.execute(_SEARCHED).fetchall()[0]),
            verdicts=tuple(sorted(verdicts, key=lambda found: list(VERDICTS).index(found.verdict))),
            effect=tuple(Effect(*row) for row in con.execute(_EFFECT).fetchall()),
            errors=case_pages.errors(reliability),
            reliability=case_pages.points(reliability),
            confirmed=sum(v.generations for v in verdicts if v.verdict in ("exact", "copy", "partial_copy")),
            shown=tuple((row["verdict"], row["copies"], row["q_value"]) for row in _confirmed(con, settings)),
            licences=tuple(Licence(*row) for row in con.execute(_LICENSES).fetchall()),
            all_licences=_count(con, "provenance.licenses"),
            rightsholders=tuple(Rightsholder(*row) for row in con.execute(_HOLDERS).fetchall()),
            all_rightsholders=_count(con, "provenance.rightsholders"),
        )
    )


def _confirmed(con: duckdb.DuckDBPyConnection, settings: Settings) -> Iterator[Mapping[str, Any]]:
    cursor = con.execute(_CONFIRMED, [settings.reports.cases])
    names = [column[0] for column in cursor.description or ()]
    return (dict(zip(names, row, strict=True)) for row in cursor.fetchall())


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(con.execute(f"select count(*) from {table}").fetchall()[0][0])  # noqa: S608 -- our own name
