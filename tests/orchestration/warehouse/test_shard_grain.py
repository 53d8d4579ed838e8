"""Rows are replaced shard by shard. Nobody can tell the result from tables that are made anew as a whole."""

from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from conftest import ROOT, Kept

from orchestration.facts.filters import equals
from orchestration.facts.schemas.tables import SCHEMAS, TABLES
from orchestration.warehouse import build, grain, publishing
from orchestration.warehouse.incremental import unchanged_tables
from orchestration.warehouse.incremental.fact_changes import changed_shards
from orchestration.warehouse.incremental.replacement import NotOfGrain, within
from orchestration.warehouse.models import Model, ModelError, load
from tests.planted import MODELS, Planted, read_by

BY_SHARD = {model.name for model in MODELS if model.by_shard and not model.view}
SOME = read_by((*BY_SHARD, "duplicates.audit"))
"""The tables that are made shard by shard, what they read, and one that reads them."""


def texts(count: int, start: int = 0) -> list[str]:
    return [f"A small harbour at dusk with boat number {at - (at % 10 == 1)}" for at in range(start, start + count)]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Kept[Planted]:
    """Publish a warehouse of three shards."""
    warehouse = Planted(tmp_path_factory.mktemp("shards") / "planted", SOME)
    warehouse.folder.mkdir()
    warehouse.land(a=texts(150), b=texts(130, 140), c=texts(20, 20))  # most of the rows are in tables of rows
    for name, pictures in (("a", range(150)), ("b", range(140, 260)), ("c", ())):
        warehouse.fingerprint(name, pictures)
    assert set(warehouse.publish().values()) == {1}
    return Kept.of(warehouse)


@pytest.fixture
def planted(three: Kept[Planted]) -> Planted:
    """Return the warehouse of three shards as it was published."""
    return replace(three.restored(), thresholds="")


def test_only_the_shards_that_changed_are_made_again(planted: Planted) -> None:
    def shards_of(table: str) -> dict[str, int]:
        return planted.made_in(table)

    planted.land(d=texts(8, 100), c=texts(22, 10))  # the one is new, the other is delivered again
    planted.fingerprint("d", range(3, 9))
    made = planted.publish()
    assert {name for name in BY_SHARD if made[name] == 2} == BY_SHARD
    assert shards_of("catalog.samples") == shards_of("fingerprints.images") == {"a": 1, "b": 1, "c": 2, "d": 2}


@pytest.mark.thorough
def test_shards_are_made_again_for_each_kind_of_change(planted: Planted) -> None:
    def shards_of(table: str) -> dict[str, int]:
        return planted.made_in(table)

    planted.land(d=texts(8, 100), c=texts(22, 10))
    planted.fingerprint("d", range(3, 9))
    planted.publish()
    assert shards_of("catalog.samples") == {"a": 1, "b": 1, "c": 2, "d": 2}

    planted.fingerprint("b", range(140, 262))
    assert planted.publish()["catalog.samples"] == 2, "fingerprints change no row of the metadata"
    assert shards_of("fingerprints.images") == {"a": 1, "b": 3, "c": 2, "d": 2}

    planted.recall(("c", 3, "list"), ("d", 1, "list"))
    planted.say("a", data_mining="DMI-PROHIBITED")
    planted.publish()
    assert planted.query("select reserved_by from catalog.rights") == [(["plus"],)]
    assert shards_of("catalog.rights") == {"a": 4, "b": 3, "c": 4, "d": 4}
    assert shards_of("catalog.samples") == {"a": 1, "b": 1, "c": 4, "d": 4}
    planted.recall(("d", 1, "list"))
    planted.publish()
    assert shards_of("catalog.samples") == {"a": 1, "b": 1, "c": 5, "d": 4}, "what is still recalled is as it was"
    assert planted.query("select count(*) from catalog.samples where recalled") == [(1,)]

    planted.land(d=None)
    planted.publish()
    assert shards_of("catalog.samples") == {"a": 1, "b": 1, "c": 5}
    assert planted.query("select count(*) from fingerprints.images where dataset is null") == [(0,)]

    planted.thresholds = "[thresholds]\npdq = 30\n"
    made = planted.publish()
    assert (made["catalog.samples"], made["duplicates.audit"]) == (6, 7), "no setting is read by the tables of rows"


@pytest.mark.thorough
def test_what_is_only_written_again_changes_no_shard(planted: Planted) -> None:
    table = planted.facts["image_fingerprints"]
    before = table.version
    table.dataset().optimize.compact_files()
    table.dataset().delete("sample_id = 0")
    older, newer = table.dataset(before), table.dataset()
    assert newer.version > before
    memory = planted.settings.memory.duckdb
    assert changed_shards("image_fingerprints", older, newer, memory) == set()
    made = planted.publish()
    assert {name: made[name] for name in BY_SHARD} == dict.fromkeys(BY_SHARD, 1)
    wider = newer.to_table().append_column("new", pa.nulls(newer.count_rows(), pa.int8()))
    assert changed_shards("image_fingerprints", older, _in_memory(wider), memory) is None, "it has another column"


def test_each_changed_row_is_seen_in_its_shard(planted: Planted) -> None:
    table, memory = planted.facts["image_fingerprints"], planted.settings.memory.duckdb
    before = table.version
    a, b = planted.shard("a"), planted.shard("b")
    rows = table.read(where=equals("sample_id", (b << 26) + 2))
    table.upsert(rows.set_column(rows.schema.get_field_index("width"), "width", pa.array([385], pa.int32())))
    changed = table.version
    table.delete(equals("sample_id", a << 26))
    older, between, newer = table.dataset(before), table.dataset(changed), table.dataset()
    assert changed_shards("image_fingerprints", older, between, memory) == {b}
    assert changed_shards("image_fingerprints", between, newer, memory) == {a}
    assert changed_shards("image_fingerprints", older, newer, memory) == {a, b}
    assert changed_shards("image_fingerprints", newer, newer, memory) == set()


@pytest.mark.thorough
def test_facts_that_were_deleted_and_made_again_are_compared_with_nothing(planted: Planted) -> None:
    """Their versions have the numbers of the old ones."""
    table = planted.facts["image_fingerprints"]
    number, rows = table.version, table.read()
    other = rows.set_column(rows.schema.get_field_index("height"), "height", pa.array([1] * len(rows), pa.int32()))
    Path(table.uri).rename(planted.folder / "away")
    while table.version < number:
        table.replace([other], "")
    assert set(planted.publish().values()) == {2}


def _in_memory(rows: pa.Table):  # noqa: ANN202 -- Lance's own
    import lance

    return lance.write_dataset(rows, "memory://")


COUNTED = """\
-- One row per training row.
-- grain: shard
-- unique: sample_id

select samples.sample_id, {column} as n
from catalog.samples as samples
{rest}
"""


def with_model(tmp_path: Path, column: str, rest: str = "") -> tuple[Model, ...]:
    folder = tmp_path / "sql"
    for path in (ROOT / "sql").rglob("*.sql"):
        target = folder / path.relative_to(ROOT / "sql")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text("utf-8"), "utf-8")
    (folder / "reports" / "counted.sql").write_text(COUNTED.format(column=column, rest=rest))
    return load(folder)


@pytest.mark.parametrize(
    ("column", "rest", "why"),
    [
        ("row_number() over ()", "", "has a window"),
        ("count(*)", "group by samples.sample_id", "counts or sums"),
        ("any_value(width)", "group by samples.sample_id", "counts or sums"),
        ("1", "group by samples.sample_id", "groups rows"),
        ("width", "limit 3", "has a limit"),
        ("width", "order by width", "orders rows"),
        ("width", "using sample 10%", "takes a sample"),
        ("width", "union select sample_id, 1 from catalog.samples", "drops equal rows"),
        ("(select max(width) from catalog.samples)", "", "counts or sums"),
        ("(select width from lance_landing_shards)", "", "a query within an expression"),
        ("width", "where exists (from lance_landing_shards)", "a query within an expression"),
        (
            "width",
            "where samples.sample_id in (select sample_id from lance_recalled_rows)",
            "a query within an expression",
        ),
        ("duplicate_count", "join duplicates.counts on cluster_id = samples.sample_id", "reads duplicates.counts"),
    ],
)
def test_a_select_that_reads_across_shards_is_refused(tmp_path: Path, column: str, rest: str, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        with_model(tmp_path, column, rest)


def test_a_table_without_sample_id_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog" / "a.sql"
    path.parent.mkdir()
    for text, why in (
        ("-- grain: row\n\nselect 1 as sample_id", "must be 'grain: shard'"),
        ("-- grain: shard\n\nselect 1 as a", "must name a column sample_id"),
        ("-- grain: shard\n\nselect * from lance_recalled_rows", "must name a column sample_id"),
    ):
        path.write_text(text)
        with pytest.raises(ModelError, match=why):
            load(tmp_path)


def test_a_wrong_grain_is_caught_by_a_shard_that_did_not_change(tmp_path: Path) -> None:
    """The text does not tell that rows of one shard meet those of another, the rows do: nothing is published."""
    rest = "left join lance_recalled_rows as notes on notes.list = samples.caption"
    models = read_by(["reports.counted"], with_model(tmp_path, "notes.value", rest))
    planted = Planted(tmp_path, models)
    planted.land(**{name: [f"{name}{at}" for at in range(80)] for name in "abc"})
    planted.recall(("a", 0, "b1"), ("b", 0, "c1"), ("c", 0, "a1"))
    planted.publish()
    assert planted.query("select count(*) from reports.counted where n is not null") == [(3,)]
    planted.land(d=["a new one"])
    with pytest.raises(NotOfGrain, match=r"counted\.sql: the rows of shard .* remove `-- grain: shard`"):
        planted.publish(against_anew=False)
    assert planted.query("select max(version) from warehouse.versions") == [(1,)]


def with_select(folder: Path, header: str, select: str) -> tuple[Model, ...]:
    with_model(folder, "width")
    path = folder / "sql" / "reports" / "counted.sql"
    path.write_text(f"-- One row per training row.\n-- grain: shard\n-- unique: sample_id\n{header}\n{select}\n")
    return load(folder / "sql")


@pytest.mark.thorough
@pytest.mark.parametrize(
    "select",
    [
        "select sample_id, caption_key as n from duplicates.caption_keys",
        "select sample_id, member_size as n from lance_image_fingerprints",
    ],
)
def test_a_table_of_rows_may_read_a_view_of_rows_or_facts_alone(tmp_path: Path, select: str) -> None:
    """Also where a shard that landed has no row in it."""
    planted = Planted(tmp_path, with_select(tmp_path, "", select))
    planted.land(**{name: texts(80, 80 * at) for at, name in enumerate("abc")})
    planted.fingerprint("a", range(80))
    planted.publish()
    planted.land(d=texts(2, 300))
    planted.publish()
    planted.fingerprint("b", range(80, 90))
    assert planted.publish()["reports.counted"] == (3 if "fingerprints" in select else 2)


def test_rows_that_were_published_with_a_warning_are_warned_of_again(tmp_path: Path) -> None:
    models = with_select(
        tmp_path, "-- warn: n <> 3\n-- assert: n >= 0\n", "select sample_id, width as n from catalog.samples"
    )
    [model] = [model for model in models if model.name == "reports.counted"]
    with duckdb.connect() as con:
        con.execute("create schema reports")
        con.execute(
            "create table reports.counted as select (5::ubigint << 26) + range as sample_id, range as n from range(9)"
        )
        for changed in (None, within([6])):
            failing = {audit.check.sentence: audit.failing for audit in build.audit(con, model, changed)}
            assert failing["n <> 3"] == 1, changed


@pytest.mark.thorough
def test_rows_of_other_shards_are_refused(tmp_path: Path) -> None:
    models = with_model(tmp_path, "width")
    moved = "select sample_id + 67108864 as sample_id, width as n from catalog.samples"
    models = tuple(replace(each, select=moved) if each.name == "reports.counted" else each for each in models)
    planted = Planted(tmp_path, models)
    planted.land(a=texts(80), b=texts(80, 80))
    planted.publish()
    planted.land(c=texts(1, 200))
    with pytest.raises(NotOfGrain, match="rows of shards that it was not asked for"):
        planted.publish()


@pytest.mark.thorough
def test_a_version_of_an_older_release_is_not_copied_from(planted: Planted) -> None:
    last = publishing.current(planted.home)
    made = unchanged_tables.read_made(last)
    assert {name for name, each in made.items() if each.shared_recipe} > BY_SHARD
    assert {name for name, each in made.items() if each.shards} == BY_SHARD
    copy = planted.folder / "older.duckdb"
    copy.write_bytes(last.path.read_bytes())
    with duckdb.connect(str(copy)) as con:
        con.execute("drop table warehouse.shards")
    copy.replace(last.path)
    assert unchanged_tables.read_made(last) == {}
    planted.land(d=texts(2, 100))
    assert set(planted.publish().values()) == {2}


def test_facts_say_the_shard_of_their_rows_where_they_have_one() -> None:
    """A fact table that models of the grain shard read is replaced by the shards it names."""
    for name, definition in TABLES.items():
        if definition.shard_of:
            with duckdb.connect() as con:
                con.register("facts", SCHEMAS[name].empty_table())
                con.table("facts").select(duckdb.SQLExpression(f"{definition.shard_of}::bigint")).fetchall()
    read = {name for model in MODELS if model.by_shard for name in model.inputs}
    assert {name: grain.fact_of(name) for name in read} == {
        "landing_metadata": "landing_shards",
        "lance_landing_shards": "landing_shards",
        "lance_recalled_rows": "recalled_rows",
        "lance_image_fingerprints": "image_fingerprints",
        "lance_picture_rights": "picture_rights",
    }
    assert grain.fact_of("settings") == grain.fact_of("lance_cluster_members") == ""
