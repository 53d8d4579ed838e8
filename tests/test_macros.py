"""Questions as functions of the published file, in any DuckDB that opens it; and embeddings from SQL."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from conftest import ROOT, Landing

from orchestration.cli.sql import lance_extension, nearest_macro
from orchestration.facts import Facts
from orchestration.warehouse import functions, macros
from orchestration.warehouse.headers import ModelError


@pytest.fixture
def con(sample: Landing) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published file with nothing of ours loaded."""
    with duckdb.connect(str(sample.home / "raisonne.duckdb"), read_only=True) as opened:
        yield opened


def rows(con: duckdb.DuckDBPyConnection, query: str, *values: object) -> list[tuple]:
    return con.execute(query, list(values)).fetchall()


def test_every_file_is_a_macro_of_the_database_and_says_what_it_is(con: duckdb.DuckDBPyConnection) -> None:
    kept = rows(
        con,
        "select function_name, parameters, comment from duckdb_functions() "
        "where not internal and function_type = 'table_macro'",
    )
    files = {path.stem for path in (ROOT / "sql" / "macros").glob("*.sql")}
    assert {name for name, _, _ in kept} == files
    for macro in macros.load(ROOT / "sql"):
        [(parameters, comment)] = [found[1:] for found in kept if found[0] == macro.name]
        assert parameters == list(macro.parameters)
        assert comment.startswith("One row per ") and f"`from {macro.name}(" in comment


def test_every_function_is_kept_in_the_database_and_says_what_it_returns(con: duckdb.DuckDBPyConnection) -> None:
    kept = rows(
        con,
        "select function_name, parameters, comment from duckdb_functions() "
        "where not internal and function_type = 'macro'",
    )
    expected = functions.load(ROOT / "sql")
    assert {name for name, _, _ in kept} == {function.name for function in expected}
    for function in expected:
        [(parameters, comment)] = [found[1:] for found in kept if found[0] == function.name]
        assert parameters == list(function.parameters)
        assert comment.startswith(function.description)


def test_a_view_that_calls_a_function_answers_from_another_database(sample: Landing) -> None:
    with duckdb.connect() as other:
        other.execute(f"attach '{sample.home / 'raisonne.duckdb'}' as published (read_only)")
        assert rows(other, "select count(*) from published.duplicates.url_keys") != [(0,)]


def test_sources_of_answers_by_id_and_by_path(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(con, "from sources_of('simulated/0018.jpg')")
    expected = "select sample_id from provenance.sources where generation_id = 'simulated/0018.jpg' order by rank"
    assert [row[2] for row in found] == [sample_id for (sample_id,) in rows(con, expected)] != []
    assert rows(con, "from sources_of('0018.jpg')") == found
    assert rows(con, "from sources_of($1)", "'; drop table x; --") == []


def test_copies_of_any_row_of_a_cluster_are_all_of_them(con: duckdb.DuckDBPyConnection) -> None:
    [(cluster_id, count)] = rows(con, "select max_by(cluster_id, duplicate_count), 120 from duplicates.counts")
    members = rows(con, "select sample_id from duplicates.clusters where cluster_id = ?", cluster_id)
    assert len(members) == count
    for asked in (members[-1][0], str(members[0][0]), cluster_id):
        found = rows(con, "select sample_id, rank from copies_of($1)", asked)
        assert sorted((sample_id,) for sample_id, _ in found) == sorted(members)
        assert found[0][1] == 1
    [(alone,)] = rows(con, "select min(sample_id) from catalog.samples anti join duplicates.clusters using (sample_id)")
    assert rows(con, "select sample_id, rank from copies_of($1)", alone) == [(alone, 1)]


def test_generations_of_any_row_of_a_cluster_are_those_of_its_picture(con: duckdb.DuckDBPyConnection) -> None:
    [(cluster_id, expected)] = rows(
        con, "select cluster_id, count(*) from provenance.sources group by 1 order by 2 desc, 1 limit 1"
    )
    members = rows(con, "select sample_id from duplicates.clusters where cluster_id = ?", cluster_id)
    for (sample_id,) in members[:2] or [(cluster_id,)]:
        assert rows(con, "select count(*) from generations_of($1)", sample_id) == [(expected,)]


def test_rows_of_a_host_are_those_of_the_hosts_below_it(con: duckdb.DuckDBPyConnection) -> None:
    below = "select count(*) from catalog.samples where url_host ilike '%.example.net'"
    assert rows(con, "select count(*) from rows_of_host('Example.NET')") == rows(con, below) != [(0,)]
    assert rows(con, "select count(*) from rows_of_host('ample.net')") == [(0,)]


def test_a_macro_that_says_too_little_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "macros"
    folder.mkdir()
    (folder / "vague.sql").write_text("-- One row per thing.\nselect 1")
    with pytest.raises(ModelError, match="vague"):
        macros.load(folder.parent)


def test_nearest_is_what_the_vectors_say(sample: Landing) -> None:
    table = Facts(sample.home / "facts")["copy_embeddings"].read(["sample_id", "vector"])
    ids = table["sample_id"].to_numpy()
    vectors = np.stack(table["vector"].to_numpy())
    cosines = vectors @ vectors[7] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[7])
    query = f"select cosine from nearest({ids[7]}, k := 20)"  # noqa: S608
    shown = sample.raisonne("sql", "--format", "csv", query).stdout.split()[1:]
    assert np.allclose([float(cosine) for cosine in shown], np.sort(cosines)[::-1][:20], atol=1e-5)
    with duckdb.connect(str(sample.home / "raisonne.duckdb"), read_only=True) as con:
        nearest_macro.provide(con, sample.home / "facts")
        assert con.execute("from nearest(7)").fetchall() == [], "of a row without a vector, not any ten rows"
        if lance_extension.extension() is None:
            pytest.skip("the lance extension of this DuckDB is not installed: pip install '.[lance]'")
        lance_extension.load(con)
        con.execute("set variable wanted = ?", [vectors[7].tolist()])
        searched = con.execute(
            "select sample_id, _distance from lance_vector_search($1, 'vector', getvariable('wanted'), k = 3)",
            [str(sample.home / "facts" / "copy_embeddings.lance")],
        ).fetchall()
    assert searched[0][0] == ids[7] and searched[0][1] == pytest.approx(0, abs=1e-5)


def test_without_the_extension_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance_extension, "extension", lambda: None)
    fix = "pip install 'duckdb-extension-lance=="
    with duckdb.connect() as con, pytest.raises(lance_extension.NoExtension, match=fix):
        lance_extension.load(con)
