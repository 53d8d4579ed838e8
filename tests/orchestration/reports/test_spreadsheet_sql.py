"""Rows for spreadsheets: SQL neutralises as Python does, cells are flat, and nothing else about a table changes."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from orchestration.reports import exports
from orchestration.reports.spreadsheets.cells import neutralise_sql, safe_select
from transforms.reports.spreadsheets.formulas import neutralise

HOSTILE = [
    "=cmd|'/C calc'!A0",
    'quoted "=1", then more',
    "two\n=lines",
    "a;=b",
    "\r\n=1",
    "\u200b＝1",
    "-1\x00",
    "",
    "ok",
]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.text(st.sampled_from("=+-@＝＋－＠ \t\r\n\x00;'a1~\x7f\u00a0\u200b\ufeff"), max_size=12) | st.text())
)
def test_sql_neutralises_as_python_does(con: duckdb.DuckDBPyConnection, cells: list[str]) -> None:
    query = f"select {neutralise_sql('cell')} from (select unnest(?::varchar[]) as cell)"  # noqa: S608
    assert [row[0] for row in con.execute(query, [cells]).fetchall()] == [neutralise(cell) for cell in cells]


@pytest.mark.parametrize(
    ("value", "cells"),
    [
        ("18446744073709551615::ubigint", {"v": 2**64 - 1}),
        ("-1", {"v": -1}),
        ("'-1'", {"v": "'-1"}),
        ("null::varchar", {"v": None}),
        ("true", {"v": True}),
        ("['a.example', '=b', null, '-c']", {"v": "a.example; '=b; '-c"}),
        ("['-c']", {"v": "'-c"}),
        ("[]::varchar[]", {"v": ""}),
        ("null::varchar[]", {"v": None}),
        ("[-1, 2]", {"v": "-1; 2"}),
        ("[[['-1'], ['x']], [['=2', 'y']]]", {"v": "'-1; x; '=2; y"}),
        ("[[['a'::blob]]]", {"v": "61"}),
        ("[-1, 2]::integer[2]", {"v": "-1; 2"}),
        ("{'x': 1, 'of': {'name': '=a'}}", {"v.x": 1, "v.of.name": "'=a"}),
        ("null::struct(x integer)", {"v.x": None}),
        ("[{'x': '=a'}]", {"v": '{"x":"=a"}'}),
        ("map {'=a': 1}", {"v": '{"key":"=a","value":1}'}),
        ("'=1'::blob", {"v": "3d31"}),
        ("'=a'::enum('=a', 'b')", {"v": "'=a"}),
    ],
)
def test_cells_are_flat_and_keep_what_needs_no_change(
    con: duckdb.DuckDBPyConnection, value: str, cells: dict[str, object]
) -> None:
    con.execute(f"create or replace table made as select {value} as v")
    found = con.execute(safe_select(con, "made"))
    assert dict(zip([c[0] for c in found.description], found.fetchall()[0], strict=True)) == cells


def test_names_are_safe_too(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("""create or replace table made as select 1 as "=na""me" """)
    assert con.execute(safe_select(con, "made")).description[0][0] == "'=na\"me"


def test_files_read_back(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """CSV with every cell neutralised, an empty text apart from none; Parquet with every value as it was."""
    con.execute(
        "create or replace table made as select unnest(?::varchar[]) as caption, ['=a', 'b'] as hosts",
        [[*HOSTILE, None]],
    )
    file = tmp_path / "it's.csv"
    exports.write_csv(con, "made", file)
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["caption"] for row in rows] == [*map(neutralise, HOSTILE), ""]
    assert {row["hosts"] for row in rows} == {"'=a; b"}
    assert file.read_text().splitlines()[-2:] == ["ok,'=a; b", ",'=a; b"]
    exports.write_parquet(con, "made", tmp_path / "it's.parquet")
    again = con.execute("select caption, hosts from read_parquet(?)", [str(tmp_path / "it's.parquet")]).fetchall()
    assert json.dumps(again) == json.dumps(con.execute("from made").fetchall())
