"""Models are read as written, built in order by a real DuckDB, and audited by checks that find planted rows."""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest

from orchestration.warehouse import build
from orchestration.warehouse.lineage import lineage
from orchestration.warehouse.models import Model, ModelError, load

SAMPLES = """\
-- One row per training row.
-- Nothing is dropped here.
-- unique: sample_id
-- not_null: sample_id, url
-- column url: the row's own address; 'as given'

select sample_id, url, caption from landing_metadata
"""

COUNTS = """\
-- One row per cluster of training rows that show the same picture.
-- as: table
-- unique: cluster_id
-- unique: cluster_id, representative_id
-- not_null: duplicate_count
-- assert: duplicate_count = exact_count
--     + near_count
-- assert: cluster_id in (select sample_id from catalog.samples)
-- column duplicate_count: training rows in the cluster, the representative included

with members as (
    select sample_id, representative_id, distance from lance_cluster_members
),

described as (
    select members.*, samples.url
    from members
    join catalog.samples as samples using (sample_id)
)

select
    representative_id as cluster_id,
    representative_id,
    count(*) as duplicate_count,
    count(*) filter (where distance = 0) as exact_count,
    count(*) filter (where distance > 0) as near_count,
    count(distinct url) as distinct_urls,
    {'nearest': min(distance), 'of': any_value(url)} as evidence,
    'pdq' as method
from described
group by representative_id
"""


def write(folder: Path, models: Mapping[str, str]) -> Path:
    for name, text in models.items():
        path = folder / Path(*name.split(".")).with_suffix(".sql")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def read(folder: Path, name: str, text: str) -> Model:
    return next(model for model in load(write(folder, {name: text})) if model.name == name)


@pytest.fixture
def models(tmp_path: Path) -> tuple[Model, ...]:
    return load(write(tmp_path / "sql", {"catalog.samples": SAMPLES, "duplicates.counts": COUNTS}))


@pytest.fixture
def built(tmp_path: Path, models: tuple[Model, ...]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(tmp_path / "warehouse.duckdb")
    connection.execute("create table landing_metadata (sample_id ubigint, url varchar, caption varchar)")
    connection.execute("insert into landing_metadata values (1, 'a', 'x'), (2, 'b', 'x'), (3, 'c', 'y')")
    connection.execute(
        "create table lance_cluster_members (sample_id ubigint, representative_id ubigint, distance int)"
    )
    connection.execute("insert into lance_cluster_members values (1, 1, 0), (2, 1, 7)")
    for model in models:
        connection.execute(f'create schema if not exists "{model.stage}"')
        connection.execute(model.create)
        for comment in model.comments:
            connection.execute(comment)
    return connection


def offending(connection: duckdb.DuckDBPyConnection, model: Model) -> dict[str, int]:
    rows = {check.sentence: len(connection.execute(check.sql).fetchall()) for check in model.checks}
    return {sentence: count for sentence, count in rows.items() if count}


def schemas_of(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    schemas: dict[str, dict[str, str]] = {}
    query = "select schema_name, table_name, column_name, data_type from duckdb_columns() where not internal"
    for schema, table, column, kind in connection.execute(query).fetchall():
        schemas.setdefault(table if schema == "main" else f"{schema}.{table}", {})[column] = kind
    return schemas


def test_a_file_is_read_as_written(models: tuple[Model, ...]) -> None:
    samples, counts = models
    assert (samples.name, counts.name) == ("catalog.samples", "duplicates.counts")
    assert samples.description == "One row per training row.\nNothing is dropped here."
    assert samples.columns == {"url": "the row's own address; 'as given'"}
    assert (samples.view, counts.view) == (False, False)
    assert counts.unique == (("cluster_id",), ("cluster_id", "representative_id"))
    assert counts.asserts[0] == "duplicate_count = exact_count + near_count", "an indented line continues the last"
    assert counts.depends_on == ("catalog.samples",)
    assert counts.inputs == ("lance_cluster_members",)
    assert counts.create.startswith('create or replace table "duplicates"."counts" as\nwith members as (')


def test_checks_have_names_for_dagster_and_sentences_for_people(tmp_path: Path) -> None:
    header = "-- assert: a <= 1\n-- assert: samples.a >= 1\n-- assert: a <= -1\n-- unique: a, b\n-- not_null: a\n"
    checks = read(tmp_path, "catalog.samples", f"{header}select 1 as a, 2 as b").checks
    assert [(check.name, check.sentence) for check in checks] == [
        ("unique_a_b", "(a, b) is unique"),
        ("not_null_a", "a is never NULL"),
        ("assert_a_at_most_1", "a <= 1"),
        ("assert_samples_a_at_least_1", "samples.a >= 1"),
        ("assert_a_at_most_1_2", "a <= -1"),
    ]


def test_sound_tables_pass_every_check(built: duckdb.DuckDBPyConnection, models: tuple[Model, ...]) -> None:
    assert [offending(built, model) for model in models] == [{}, {}]


def test_checks_return_the_planted_rows(built: duckdb.DuckDBPyConnection, models: tuple[Model, ...]) -> None:
    samples, counts = models
    built.execute("insert into catalog.samples values (3, null, 'again'), (null, 'd', 'y'), (null, 'e', 'y')")
    assert offending(built, samples) == {
        "sample_id is unique": 4,  # both rows of 3, and NULL twice
        "sample_id, url are never NULL": 3,
    }
    assert built.execute(samples.checks[0].sql).fetchall()[0] == (3, "c", "y")
    built.execute("update lance_cluster_members set distance = null where sample_id = 2")
    built.execute("delete from catalog.samples where sample_id = 1 or sample_id is null")
    built.execute("update lance_cluster_members set representative_id = 9")
    built.execute(counts.create)
    assert offending(built, counts) == {
        "duplicate_count = exact_count + near_count": 1,
        "cluster_id in (select sample_id from catalog.samples)": 1,
    }


def test_the_dictionary_is_stored_in_the_database(built: duckdb.DuckDBPyConnection) -> None:
    columns = built.execute("select table_name, comment from duckdb_columns() where comment is not null").fetchall()
    assert sorted(columns) == [
        ("counts", "training rows in the cluster, the representative included"),
        ("samples", "the row's own address; 'as given'"),
    ]
    tables = built.execute("select comment from duckdb_tables() where table_name = 'counts'").fetchall()
    assert tables == [("One row per cluster of training rows that show the same picture.",)]


def test_lineage_runs_through_ctes_and_joins(built: duckdb.DuckDBPyConnection, models: tuple[Model, ...]) -> None:
    assert lineage(models[1], schemas_of(built)) == {
        "cluster_id": (("lance_cluster_members", "representative_id"),),
        "representative_id": (("lance_cluster_members", "representative_id"),),
        "exact_count": (("lance_cluster_members", "distance"),),
        "near_count": (("lance_cluster_members", "distance"),),
        "distinct_urls": (("catalog.samples", "url"),),
        "evidence": (("catalog.samples", "url"), ("lance_cluster_members", "distance")),
    }, "a count of rows and a constant come from no column"


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("select * from l join r using (id)", {"id": "l.id r.id", "a": "l.a", "s": "l.s", "b": "r.b"}),
        ("select id, a from l union all by name select b as a, id from r", {"id": "l.id r.id", "a": "l.a r.b"}),
        ("select id, a from l union all by name select b from r", {"id": "l.id", "a": "l.a", "b": "r.b"}),
        ("select id from l union all select b from r", {"id": "l.id r.b"}),
        ("select list_transform(a, x -> x + b) as c, s.x as d from l join r using (id)", {"c": "l.a r.b", "d": "l.s"}),
        ("with l as (select b as a from r) select a from l", {"a": "r.b"}),
        ("select u.x from l, unnest(l.a) as u(x)", {"x": "l.a"}),
        ("select * from l semi join r using (id)", {"id": "l.id", "a": "l.a", "s": "l.s"}),
        ("select row_number() over (partition by id order by a) as n from l", {"n": "l.a l.id"}),
        ("select id, nowhere from l join elsewhere using (id)", {}),
        ("select id, nowhere from l", {"id": "l.id"}),
        ("select * from elsewhere union all select * from l", {}),
        ("select *, 1 as one from elsewhere", {}),
        ("select i, url from range(3) as t(i), read_parquet('x.parquet')", {}),
        ("select columns(*), arg_max(l, id) as whole from l", {}),
        ("select count(*), id from l group by id", {"id": "l.id"}),
        ("select v.x from (values (1)) as v(x)", {}),
    ],
)
def test_lineage_is_read_never_guessed(tmp_path: Path, select: str, expected: dict[str, str]) -> None:
    schemas = {"l": {"id": "BIGINT", "a": "BIGINT[]", "s": "STRUCT(x INTEGER)"}, "r": {"id": "BIGINT", "b": "FLOAT[4]"}}
    schemas["empty"] = {}
    found = lineage(read(tmp_path, "catalog.samples", select), schemas)
    assert {name: " ".join(map(".".join, origins)) for name, origins in found.items()} == expected


def test_models_come_after_what_they_read_else_by_stage_and_name(tmp_path: Path) -> None:
    models = {
        "reports.a": "select 1 as x",
        "duplicates.z": "select * from matches.late",
        "duplicates.b": "select * from catalog.y",
        "matches.late": "select 1 as x",
        "catalog.y": "select 1 as x",
        "catalog.a": "-- assert: x in (select x from catalog.y)\nselect x from catalog.z",
        "catalog.z": "select 1 as x",
    }
    names = [model.name for model in load(write(tmp_path, models))]
    assert names == ["catalog.y", "catalog.z", "catalog.a", "duplicates.b", "matches.late", "duplicates.z", "reports.a"]


@pytest.mark.parametrize(
    ("select", "inputs"),
    [
        ("select * from Facts", ("facts",)),
        ("with facts as (select 1 as x) select * from facts", ()),
        ("with facts as (select x from facts) select * from facts", ("facts",)),
        ("with recursive r as (select 1 as n union all select n + 1 from r where n < 5) select * from r", ()),
        ("with a as (select 1 as x), b as (select * from a) select * from b join c using (x)", ("c",)),
        ("select * from (with a as (select 1 as x) select * from a) join a using (x)", ("a",)),
        ("with a as (select 1 as x) select (select max(x) from a) as m, exists (from b) as e", ("b",)),
        ("select * from range(3) as r(i), unnest([1]) as u(j), (values (1)) as v(k)", ()),
        ("select * from read_parquet('a.parquet') join 'b.parquet' using (x)", ()),
        ("select 1 as x union all by name (select x from a) except select x from b", ("a", "b")),
    ],
)
def test_inputs_are_tables_that_the_file_does_not_define(tmp_path: Path, select: str, inputs: tuple[str, ...]) -> None:
    model = read(tmp_path, "catalog.samples", select)
    assert (model.inputs, model.depends_on) == (inputs, ())


@pytest.mark.parametrize(
    "select",
    [
        "select {'x': 1, 'y': [a]} as s, {'x': a}.x as x from t",
        "select a from t qualify row_number() over (partition by a order by b desc nulls last) = 1",
        "select t.a, u.b from t asof join u on t.a = u.a and t.b >= u.b",
        "select a, b from t union all by name select b, a from u",
        "select list(a order by b) as l, arg_max(a, b) as m, count(*) filter (where b > 1) as n from t",
        "select list_transform([a], x -> x + 1) as l, list_filter([a], lambda x: x > 1) as k from t",
        "select [x for x in [a]] as c, max(a, 3) as top from t group by all",
        "select getvariable('pdq') as v, columns(*) from t",
        "select * exclude (a) replace (b + 1 as b) from t",
        "select distinct on (a) a, b::ubigint as b, a // 2 as half, bit_count(a)::int as bits from t order by a",
        "select a, sum(b) over w as s from t window w as (partition by a order by b) limit 5;",
        "from t select a",
        "(select a from t) union (select b from u); -- done",
    ],
)
def test_the_sql_of_duckdb_is_understood_and_runs(tmp_path: Path, select: str) -> None:
    model = read(tmp_path, "catalog.samples", f"-- Any.\n\n{select}\n")
    with duckdb.connect() as connection:
        connection.execute("create schema catalog; create table t as select 1 as a, 2 as b; create table u as from t")
        connection.execute(model.create)
        assert connection.execute("select count(*) from catalog.samples").fetchall() > [(0,)]


def test_a_sentence_may_break_before_a_colon(tmp_path: Path) -> None:
    model = read(
        tmp_path, "catalog.samples", "-- A cluster is cut for a reason in\n-- itself: chains drift.\nselect 1 as a"
    )
    assert model.description == "A cluster is cut for a reason in\nitself: chains drift."


def test_prose_may_hold_colons_and_addresses(tmp_path: Path) -> None:
    prose = [
        "Two kinds: exact and near.",
        "",
        "https://example.org/a: b",
        "a::int is 10:30",
        "as a rule: no.",
        "  - one",
    ]
    header = "".join(f"-- {line}\n" for line in prose)
    model = read(tmp_path, "catalog.samples", f"\n{header}select 1 as a -- as it is: fine\n")
    assert model.description.split("\n") == prose


ERRORS = {
    "unknown key, and the nearest": (
        "-- uniqe: a\nselect 1 as a",
        "unknown header key in 'uniqe: a'; did you mean unique?",
    ),
    "key in capitals": ("-- Assert: a > 0\nselect 1 as a", "unknown header key"),
    "prose that looks like a key": ("-- Note: a\nselect 1 as a", "only in mid-sentence"),
    "unknown key after prose": ("-- One row a\n-- uniqe: a\nselect 1 as a", "did you mean unique?"),
    "unknown key after a key": ("-- as: view\n-- owner: a\nselect 1 as a", "unknown header key in 'owner: a'"),
    "key written with a space": ("-- not null: a\nselect 1 as a", "did you mean not_null?"),
    "column misspelt": ("-- colum a: it\nselect 1 as a", "did you mean column?"),
    "column without a name": ("-- column: it\nselect 1 as a", "column <name>"),
    "column with two names": ("-- column a b: it\nselect 1 as a", "'a b' in 'column a b: it' is not a column name"),
    "no value": ("-- unique:\nselect 1 as a", "'unique:' has no value"),
    "not a column name": ("-- unique: a b\nselect 1 as a", "'a b' in 'unique: a b' is not a column name"),
    "said twice": ("-- unique: a\n-- unique: a\nselect 1 as a", "'unique: a' repeats an earlier line"),
    "column twice": ("-- column a: x\n-- column a: y\nselect 1 as a", "'column a: y' repeats an earlier line"),
    "as": ("-- as: materialized\nselect 1 as a", "'as: materialized' must be 'as: table' or 'as: view'"),
    "as twice": ("-- as: table\n-- as: view\nselect 1 as a", "'as: table and view' must be"),
    "below the header": (
        "-- A.\n\n-- unique: a\nselect 1 as a",
        "samples.sql:3: move '-- unique: a' up into the header",
    ),
    "two statements": ("select 1 as a; select 2 as a", "holds 2 statements; write one SELECT a file"),
    "empty": ("-- Nothing yet.\n", "holds 0 statements"),
    "ddl": ("create table x as select 1 as a", "CREATE found; write a SELECT"),
    "dml": ("delete from x", "DELETE found; write a SELECT"),
    "values": ("values (1)", "VALUES found; write a SELECT"),
    "no columns": ("select", "SELECT found; write a SELECT of columns"),
    "unparsable": (
        "-- A.\n\nselect a\nfrom (select b from\n",
        "samples.sql:4: DuckDB SQL expected; Expected table name",
    ),
    "open quote": ("-- A.\n\nselect\n 'ok' as a,\n 'abc as b\nfrom t\n", "samples.sql:5: DuckDB SQL expected"),
    "unparsable assertion": ("-- assert: a >\nselect 1 as a", "samples.sql: assert: a >: DuckDB SQL expected"),
    "assertion that escapes": ("-- assert: true); drop table t; (\nselect 1 as a", "assert: true); drop table t; ("),
    "assertion that comments": ("-- assert: a > 0) --\nselect 1 as a", "assert: a > 0) --: DuckDB SQL expected"),
    "unique of a missing column": (
        "-- unique: ab\nselect 1 as abc",
        "the header names ab, which the SELECT lacks; did you mean abc?",
    ),
    "not_null of a missing column": ("-- not_null: a, z\nselect 1 as a", "the header names z"),
    "column that is missing": ("-- column z: it\nselect 1 as a union all select 2", "the header names z"),
    "missing from a union by name": ("-- not_null: c\nselect 1 as a union by name select 2 as b", "the header names c"),
    "assertion on a missing column": (
        "-- assert: list_filter(l, x -> x > z) = []\nselect [1] as l",
        "the header names z",
    ),
    "column twice in the SELECT": ("select 1 as a, 2 as A", "the SELECT names 2 columns a; rename or remove one"),
    "unknown model": ("select * from catalog.sample", "reads catalog.sample, but there is no"),
    "unknown model in an assertion": ("-- assert: a in (from duplicates.x)\nselect 1 as a", "reads duplicates.x"),
    "another database": ("select * from other.catalog.samples", "did you mean catalog.samples?"),
}


@pytest.mark.parametrize(("text", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_names_the_file_and_the_fix(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ModelError) as error:
        load(write(tmp_path, {"catalog.samples": text}))
    assert str(tmp_path / "catalog" / "samples.sql") in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "select",
    [
        "*",
        "a, facts.*",
        "a, s.*",
        "* from facts union all by name select 1 as a, s",
        "columns('(.*)') as '\\1_'",
        "unnest(s)",
        "a + 1",
    ],
)
def test_what_the_text_does_not_tell_is_left_to_the_database(tmp_path: Path, select: str) -> None:
    text = f"-- unique: z\n-- column z: it\n-- assert: z > 0\nselect {select} from facts"
    model = read(tmp_path, "catalog.samples", text)
    with duckdb.connect() as connection:
        connection.execute("create schema catalog; create table facts as select 1 as a, {'x': 1} as s")
        connection.execute(model.create)
        with pytest.raises(duckdb.BinderException, match='does not have a column with name "z"'):
            connection.execute(model.comments[0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Catalog/samples.sql", "name it <stage>/<table>.sql"),
        ("catalog/Samples.sql", "name it <stage>/<table>.sql"),
        ("catalog/deep/samples.sql", "name it <stage>/<table>.sql"),
        ("samples.sql", "name it <stage>/<table>.sql"),
        ("match/candidates.sql", "unknown stage match (catalog, fingerprints, duplicates, matches"),
    ],
)
def test_the_path_is_the_name(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("select 1 as a")
    with pytest.raises(ModelError) as error:
        load(tmp_path)
    assert f"{path}: {message}" in str(error.value)


def test_a_circle_is_named(tmp_path: Path) -> None:
    circle = {
        "matches.a": "select * from matches.b",
        "matches.b": "select * from reports.c",
        "reports.c": "from matches.a",
    }
    with pytest.raises(ModelError) as error:
        load(write(tmp_path, circle))
    said = str(error.value)
    assert any(f"{a} reads {b}" in said for a, b in [("matches.a", "matches.b"), ("matches.b", "reports.c")])
    assert "matches.b reads matches.a" not in said
    assert "move the shared part" in said


def test_a_model_that_reads_itself_is_a_circle(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"catalog\.a reads catalog\.a"):
        load(write(tmp_path, {"catalog.a": "select * from catalog.a"}))


def test_an_assertion_may_read_its_own_table(tmp_path: Path) -> None:
    model = read(tmp_path, "catalog.a", "-- assert: a.x = (select max(x) from catalog.a)\nselect 1 as x")
    assert model.depends_on == ()


def test_a_missing_folder_is_named_and_an_empty_one_has_no_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="pass the folder that holds"):
        load(tmp_path / "sql")
    assert load(tmp_path) == ()


def test_a_view_reads_models_alone(tmp_path: Path) -> None:
    write(tmp_path, {"catalog.samples": SAMPLES})
    view = read(tmp_path, "reports.urls", "-- as: view\nselect url from catalog.samples")
    assert view.view and view.create.startswith('create or replace view "reports"."urls"')
    with pytest.raises(ModelError, match="a view cannot read lance_cluster_members"):
        read(tmp_path, "duplicates.clusters", "-- as: view\nselect sample_id from lance_cluster_members")


def test_a_warning_is_checked_and_keeps_nothing_from_being_published(tmp_path: Path) -> None:
    header = "-- assert: a <= 1\n-- warn: b <> 2\n"
    model = read(tmp_path, "catalog.samples", f"{header}select 1 as a, 2 as b")
    assert [(check.name, check.blocks) for check in model.checks] == [
        ("assert_a_at_most_1", True),
        ("warn_b_not_2", False),
    ]
    with duckdb.connect() as con:
        con.execute("create schema catalog")
        build.materialize(con, model)
        assert [audit.failing for audit in build.audit(con, model)] == [0, 1]


def test_a_table_is_made_by_one_thread_where_several_run_out_of_memory(tmp_path: Path) -> None:
    # each thread keeps room for fifty numbers of each group, which does not spill
    model = read(tmp_path, "catalog.samples", "select id, min(number, 50) as least from numbers group by id")
    with duckdb.connect(config={"threads": 8}) as con:
        con.execute(
            "create table numbers as select hash(i) % 20_000 as id, hash(-i) as number from range(1_000_000) r(i)"
        )
        con.execute("create schema catalog")
        con.execute("set memory_limit = '64MB'")
        with pytest.raises(duckdb.OutOfMemoryException):
            con.execute(model.create)
        assert build.materialize(con, model) == 20_000
        assert con.execute("select current_setting('threads')").fetchall() == [(8,)]
        con.execute("set memory_limit = '8MB'")
        with pytest.raises(RuntimeError, match=r"samples\.sql: Out of Memory"):
            build.materialize(con, model)
