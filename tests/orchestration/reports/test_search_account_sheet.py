"""The first sheet of a workbook says what was not searched: three kinds of rows, and what was not taken at all."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
import xlsxwriter

from orchestration.reports.spreadsheets import workbook
from tests.late_import import LateImport

openpyxl: Any = LateImport("openpyxl")

VERSION = """
    create schema warehouse; create schema catalog; create schema fingerprints; create schema provenance;
    create table warehouse.versions as select 7 as version, timestamptz '2026-01-02 03:04:05+00' as published_at;
    create table catalog.samples as select 'd' as dataset from range(100);
    create table fingerprints.coverage as select 'd' as dataset, 'sscd' as fingerprint, 100 as expected, 40 as ok,
        7 as low_quality, 38 as failed, 15 as missing, 35 as not_downloaded;
    create table catalog.not_taken as select 'd' as dataset, null::varchar as source, 'dump' as part, 'a.tar' as place,
        '=odd()' as reason, 12 as files, ['x.bin'] as examples;
    create table provenance.generations as select unnest([0, 40]) as searched, 100 as searchable,
        unnest(['not_searched', 'no_match_found']) as verdict;
"""


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """Return a published version of a few rows."""
    made = duckdb.connect()
    made.execute(VERSION)
    return made


def said(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict([*workbook._summary(con), *workbook._coverage(con), *workbook._not_taken(con)])


def test_rows_that_were_not_searched_are_told_by_cause(con: duckdb.DuckDBPyConnection) -> None:
    assert said(con)["d by sscd"] == "60 of 100 rows: 7 too flat, 3 unreadable, 35 not downloaded, 15 missing"
    con.execute("alter table fingerprints.coverage drop column not_downloaded")  # as an earlier release published it
    assert said(con)["d by sscd"] == "60 of 100 rows: 7 too flat, 38 unreadable, 0 not downloaded, 15 missing"


def test_files_that_were_not_taken_are_listed_and_no_formula(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    line = said(con)["d: files not taken"]
    assert line == "12 in a.tar: =odd(), such as x.bin"
    with xlsxwriter.Workbook(tmp_path / "b.xlsx") as book:
        book.add_worksheet().write_string(0, 0, line)
    assert openpyxl.load_workbook(tmp_path / "b.xlsx").active["A1"].data_type == "s"
    con.execute("drop table catalog.not_taken")  # a version of an earlier release
    assert "d: files not taken" not in said(con)


def test_a_generation_that_could_not_be_read_does_not_lower_what_the_others_were_compared_with(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert said(con)["Generated images"] == (
        "2: 1 could not be read and were not searched for; the others were each compared with at least 40 of 100 rows"
    )
    con.execute("delete from provenance.generations where verdict = 'not_searched'")
    assert said(con)["Generated images"] == "1: each compared with at least 40 of 100 rows"
    con.execute("update provenance.generations set verdict = 'not_searched', searched = 0")
    assert said(con)["Generated images"] == "1: 1 could not be read and were not searched for"
