"""What queries of `raisonne sql` may touch: the published version, and nothing else unless somebody says so."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from conftest import command

from orchestration.cli.sql import lance_extension, nearest_macro, statements
from orchestration.cli.sql.session import Refused, Session
from orchestration.warehouse import publishing
from orchestration.warehouse.soundness import repair
from tests import published_home

_QUERY = "select band, rows from reports.duplicate_frequency order by all"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("published") / "home"
    published_home.publish(made, 2)
    return made


@pytest.fixture(autouse=True)
def unharmed(home: Path) -> Iterator[None]:
    """Hold, after each test, that the home is as it was before it, to the last byte."""
    before = contents(home)
    yield
    assert contents(home) == before


def contents(home: Path) -> dict[str, str]:
    return {
        str(path.relative_to(home)): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def opened(home: Path, *, unsafe: bool = False) -> Session:
    return Session(publishing.connect(home), home, unsafe=unsafe)


def attempt(session: Session, text: str) -> None:
    session.prepare(text)
    for statement in session.con.extract_statements(text):
        session.con.execute(statement).fetchall()


@pytest.mark.parametrize(
    "text",
    [
        "copy (select 1) to '{home}/raisonne.duckdb' (format csv)",
        "copy (select 1) to '{version}' (format csv)",
        "copy (select 1) to '{version}' (format csv, use_tmp_file false)",
        "explain analyze copy (select 1) to '{version}' (format csv, use_tmp_file false)",
        "prepare p as copy (select 1) to '{version}' (format csv, use_tmp_file false); execute p",
        "copy (select 1) to '{version}.wal.checkpoint' (format csv, use_tmp_file false)",
        "copy (select 1) to '{home}/facts/new.csv'",
        "copy (select 1) to '{elsewhere}/new.csv'",
        "select 1; copy (select 1) to '{elsewhere}/new.csv'",
        "export database '{elsewhere}/all'",
        "import database '{elsewhere}/all'",
        "attach '{elsewhere}/other.duckdb' as other",
        "attach '{other_version}' as other",
        "set threads = 30000",  # as many as a machine has processes for
        "select * from read_text('/etc/passwd')",
        "from read_csv('/etc/passwd')",
        "from glob('/etc/*')",
        "from '{elsewhere}/secret.csv'",
        "from 'https://127.0.0.1:9/x.parquet'",
        "install httpfs",
        "load httpfs",
        "load '{elsewhere}/secret.csv'",
        "set enable_external_access = true",
        "set allowed_directories = ['/']",
        "set lock_configuration = false",
        "reset lock_configuration",
        "set temp_directory = '{elsewhere}'",
        "pragma profiling_output = '{elsewhere}/profile.json'",
        "call enable_logging(storage = 'file', storage_config = {{'path': '{elsewhere}/log'}})",
        "create secret (type s3)",
        "from enable_logging('QueryLog', storage := 'file', storage_path := '{elsewhere}/log'); select 1",
        'from/**/system."main"."ENABLE_logging" /* ( */ ()',
        "from\u00a0enable_logging\u00a0(storage := 'file', storage_path := '{elsewhere}/log')",
        "create temp macro m() as table from enable_logging(storage := 'file', storage_path := '{elsewhere}/log')",
        "create temp view v as from enable_logging(storage := 'file', storage_path := '{elsewhere}/log')",
        "prepare p as from enable_logging(storage := 'file', storage_path := $1); execute p('{elsewhere}/log')",
        "from query('from enable_' || 'logging(storage := ''file'', storage_path := ''{elsewhere}/log'')')",
        "prepare p as from query($1)",
        "from json_execute_serialized_sql(json_serialize_sql('from enable_' || 'logging()'))",
        "pragma json_execute_serialized_sql(json_serialize_sql('from enable_' || 'logging()'))",
        "from enable_profiling(save_location := '{elsewhere}/profile.txt')",
        "explain\u00a0analyze\u00a0copy\u00a0(select 1) to '{elsewhere}/new.csv'",
        "select getenv('HOME')",
        "from home",  # a variable of the program
        "create table catalog.mine as select 1",
    ],
)
def test_no_statement_reaches_beyond_the_published_version(home: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "secret.csv").write_text("a\nhidden\n")
    one, two = publishing.versions(home)
    session = opened(home)
    with pytest.raises((Refused, duckdb.Error)):
        attempt(session, text.format(home=home, version=two.path, other_version=one.path, elsewhere=tmp_path))
    session.con.close()
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


@pytest.mark.parametrize(
    "text",
    [
        "from sources_of('gen/1.png')",
        "from copies_of((select max_by(cluster_id, duplicate_count) from duplicates.counts))",
        "set memory_limit = '1GB'; set timezone = 'CET'",
        "create temp table mine as from duplicates.counts; select max(duplicate_count) from mine",
        "set variable wanted = 7; select getvariable('wanted')",
        "prepare p as select ?::int + 1; execute p(3)",
        "explain analyze from duplicates.counts",
        "pivot catalog.samples on license using count(*)",
        "select 'copy' as copy, 'x' as export",
        "select 'from enable_logging()' as query, query || '.lance'",
        "from query_table('catalog.samples')",
        "describe catalog.samples; summarize duplicates.counts",
    ],
)
def test_what_queries_need_still_works(home: Path, text: str) -> None:
    session = opened(home)
    try:
        attempt(session, text)
    finally:
        session.con.close()


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_rows_are_written_to_the_file_that_was_named_and_to_no_other(home: Path, tmp_path: Path, form: str) -> None:
    config = home.with_suffix(".toml")
    command(config, "sql", "--format", form, "--to", str(tmp_path / f"rows.{form}"), _QUERY)
    with duckdb.connect() as con, publishing.connect(home) as published:
        read = con.execute(f"select band, rows from read_{form}($1)", [str(tmp_path / f"rows.{form}")]).fetchall()  # noqa: S608
        assert read == published.execute(_QUERY).fetchall() != []
    refused = command(config, "sql", f"copy (select 1) to '{tmp_path}/more.csv'", check=False)
    assert (refused.returncode, refused.stdout) == (1, "") and "--unsafe" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == [f"rows.{form}"]


def test_unsafe_queries_use_files_and_what_they_overwrite_is_repaired(tmp_path: Path) -> None:
    home = tmp_path / "home"
    published_home.publish(home, 2)
    one, two = publishing.versions(home)
    session = opened(home, unsafe=True)
    attempt(session, f"copy (select 7 as a) to '{tmp_path}/mine.csv' (header)")
    attempt(session, f"attach '{tmp_path}/mine.duckdb' as mine (read_write); create table mine.a as select 1 as a")
    assert session.con.execute(f"from '{tmp_path}/mine.csv'").fetchall() == [(7,)]
    attempt(session, f"copy (select 1) to '{two.path}' (format csv)")
    session.con.close()
    with pytest.raises(publishing.Damaged, match="doctor --repair"):
        publishing.connect(home)
    assert "version 1 is sound and published again" in repair.repair(home, "1GB")[-1]
    assert publishing.current(home) == one


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """Return the folder of facts of three vectors, in two versions."""
    import lance
    import pyarrow as pa

    folder = tmp_path / "facts"
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1, 0, 0, 1, 1, 1], pa.float32()), 2)
    table = pa.table({"sample_id": pa.array([1, 2, 3], pa.uint64()), "vector": vectors})
    for mode in ("create", "overwrite"):
        lance.write_dataset(table, str(folder / "copy_embeddings.lance"), mode=mode)
    return folder


def test_nearest_opens_no_door_to_lance(home: Path, facts: Path) -> None:
    table = facts / "copy_embeddings.lance"
    kept = contents(facts)
    session = Session(publishing.connect(home), facts.parent)
    attempt(session, "create temp table mine as select 1")
    text = "select sample_id from nearest(1, k := 2)"
    for spelt in (text, text, text.replace("nearest", ' "Nearest" ')):
        session.prepare(spelt)
        assert session.con.execute(spelt).fetchall() == [(1,), (3,)]
    assert session.con.execute("from nearest(7)").fetchall() == [], "of a row without a vector, not any ten rows"
    assert session.con.execute("from mine").fetchall() == [(1,)]
    [(functions,)] = session.con.execute(
        "select count(*) from duckdb_functions() where function_name ilike '%lance%'"
    ).fetchall()
    assert functions == 0, "whatever a query spells, there is nothing to call"
    for attack in (
        f"from __lance_cleanup_old_versions('{table}', '{{}}')",
        f"from nearest(1), \"__LANCE_exec\"/**/('{table}')",
        f"from '{table}'",
        f"from nearest(1), '{table}'",
        f'from nearest(1), "{table}"',
        f"from query_table('{table}')",
        f"from lance_fts('{table}', 'x', 'y')",
        f"copy (select 1 as a) to '{table}' (format lance, mode 'overwrite')",
        "load lance",
    ):
        with pytest.raises((Refused, duckdb.Error)):
            attempt(session, attack)
    session.con.close()
    assert contents(facts) == kept


def test_without_embeddings_nearest_names_the_fix_and_other_queries_run(home: Path) -> None:
    session = opened(home)
    attempt(session, "select 'the nearest' as nearest, '.lance'")
    with pytest.raises(nearest_macro.NoEmbeddings, match=r"\.lance is not there; `raisonne run` makes it"):
        session.prepare("from nearest(1)")
    session.con.close()


@pytest.mark.skipif(lance_extension.extension() is None, reason="DuckDB's lance extension is not installed")
def test_unsafe_queries_read_lance_tables(home: Path, facts: Path) -> None:
    session = Session(publishing.connect(home), facts.parent, unsafe=True)
    attempt(session, "select 1")
    text = f"select count(*) from '{facts}/copy_embeddings.lance' join nearest(1, k := 2) using (sample_id)"  # noqa: S608
    session.prepare(text)
    assert session.con.execute(text).fetchall() == [(2,)]
    session.con.close()


def test_a_file_is_prepared_for_before_the_query_runs(home: Path, tmp_path: Path) -> None:
    session, asked = opened(home), []
    statements.save(session.con, _QUERY, "csv", tmp_path / "rows.csv", asked.append)
    session.con.close()
    assert [path.name for path in asked] == ["rows.csv"] and asked[0].parent != tmp_path
