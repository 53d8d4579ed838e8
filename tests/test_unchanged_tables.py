"""A version copies unchanged tables from the one before. Nobody can tell them from tables that are made anew."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Kept, Landing, Row, encoded, picture

from orchestration.facts import Facts
from orchestration.settings import load as load_settings
from orchestration.warehouse import previous, publishing, version
from orchestration.warehouse.incremental import unchanged_tables
from orchestration.warehouse.incremental.shard_changes import ShardChanges
from orchestration.warehouse.incremental.unchanged_tables import Recipes
from orchestration.warehouse.models import load
from orchestration.warehouse.soundness import faults

MODELS = load(ROOT / "sql")
_ANEW = {
    "warehouse.versions",
    "warehouse.tables",
    "warehouse.shards",
    "provenance.timeline",
    "reports.changes",
}  # of the version itself, or of the one before


def land_captions(landing: Landing, rows: int) -> None:
    """Land rows without pictures, so that unchanged tables have most of the rows."""
    urls, texts = [f"https://many.example.org/{at}" for at in range(rows)], [f"row {at}" for at in range(rows)]
    pq.write_table(pa.table({"URL": urls, "TEXT": texts}), landing.folder / "laion" / "many.parquet")


def made_in(landing: Landing) -> dict[str, int]:
    return dict(landing.query("select table_name, made_in from warehouse.tables"))


def contents(path: Path) -> dict[str, list[tuple]]:
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("set threads = 1")  # sums of floats depend on their order
        names = {model.name for model in MODELS} - _ANEW
        return {name: con.execute(f"from {name} order by all").fetchall() for name in sorted(names)}


def compare_with_anew(landing: Landing) -> None:
    """Build every table of the published version anew, from the same facts, and hold one against the other."""
    settings, facts = load_settings(landing.config), Facts(landing.home / "facts")
    with publishing.writer(landing.home, run="the test", wait_s=0):
        plan = version.plan(facts, settings, landing.home, MODELS, MODELS)
        with version.build_version(replace(plan, keep_unchanged=False), facts, settings, landing.home, "a run") as file:
            assert [result.sentence for result in file.audits if result.failing] == []
        anew = contents(file.path)
    published = contents(landing.home / "raisonne.duckdb")
    for name, rows in anew.items():
        assert published[name] == rows, name


def run_once(landing: Landing, rows_of: Callable[[int, int], list[Row]]) -> None:
    landing.shard("00000", rows_of(0, 4))
    land_captions(landing, 300)
    (landing.folder / "generations" / "a.jpg").write_bytes(encoded(picture(1)))
    landing.run_here()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, rows_of: Callable[[int, int], list[Row]]) -> Kept[Landing]:
    """Run a warehouse whose unchanged tables have most of the rows."""
    made = Landing(tmp_path_factory.mktemp("unchanged") / "ran")
    made.folder.mkdir()
    made.write_config()
    run_once(made, rows_of)
    return Kept.of(made)


@pytest.fixture
def published(ran: Kept[Landing]) -> Landing:
    """Return that warehouse as the run left it."""
    return ran.restored()


def test_only_tables_whose_inputs_changed_are_made_anew(published: Landing) -> None:
    landing = published
    assert set(made_in(landing).values()) == {1}
    assert made_in(landing).keys() == {model.name for model in MODELS}

    (landing.folder / "generations" / "b.jpg").write_bytes(encoded(picture(2)))
    landing.run_here()
    by_version = made_in(landing)
    training = {name for name in by_version if name.startswith(("catalog.samples", "fingerprints.", "duplicates."))}
    assert {name: by_version[name] for name in training} == dict.fromkeys(training, 1)
    assert {by_version[name] for name in ("catalog.generations", "provenance.sources", *_ANEW)} == {2}
    assert landing.query("select count(*) from provenance.sources where verdict = 'exact'") == [(2,)]
    compare_with_anew(landing)


@pytest.mark.thorough
def test_recalls_and_what_comes_and_goes_make_anew_what_reads_them(
    landing: Landing, rows_of: Callable[[int, int], list[Row]]
) -> None:
    (landing.folder / "generations" / "b.jpg").write_bytes(encoded(picture(2)))
    run_once(landing, rows_of)
    landing.write_config('[thresholds]\ncoverage = 0.5\n[[recalls]]\nname = "list"\npath = "gone.txt"\n')
    (landing.folder / "gone.txt").write_text("https://many.example.org/7\n")
    landing.run_here()
    assert made_in(landing)["catalog.samples"] == 2, "a row is recalled"
    assert landing.query("select count(*) from provenance.recalled") == [(1,)]
    compare_with_anew(landing)

    (landing.folder / "generations" / "a.jpg").unlink()
    landing.run_here()
    assert made_in(landing)["catalog.samples"] == 2
    compare_with_anew(landing)

    land_captions(landing, 301)
    landing.run_here()
    by_version = made_in(landing)
    assert by_version["catalog.samples"] == 4
    compare_with_anew(landing)


def test_nothing_is_copied_from_a_version_of_another_release(published: Landing) -> None:
    landing = published
    settings, facts = load_settings(landing.config), Facts(landing.home / "facts")
    last = publishing.current(landing.home)
    before, made_by = unchanged_tables.read_made(last), unchanged_tables.recipes(MODELS, facts.versions(), settings)
    changes = ShardChanges(facts, last.number, facts.versions(), settings.memory.duckdb)

    def names(models: tuple, made: Recipes) -> set[str]:
        copied = unchanged_tables.find(last, before, models, made, changes)
        assert not copied.replaced
        return set(copied.unchanged)

    over = names(MODELS, made_by)
    assert over == {model.name for model in MODELS} - _ANEW
    assert names(MODELS[1:], made_by) == set(), "a table is gone"
    one = next(model for model in MODELS if model.name == "catalog.samples")
    other = tuple(replace(model, select=f"{model.select}\nlimit 1") if model is one else model for model in MODELS)
    changed = unchanged_tables.recipes(other, facts.versions(), settings)
    assert "catalog.samples" not in names(other, changed)
    assert "duplicates.captions" not in names(other, changed), "what reads it is made anew too"
    others = [{name: f"{made} changed" for name, made in each.items()} for each in (made_by.tables, made_by.shared)]
    assert names(MODELS, Recipes(*others)) == set()
    assert unchanged_tables.read_made(None) == {}
    with writing(landing) as con:
        con.execute("create table duplicates.of_an_older_release as select 1 as a")
    assert names(MODELS, made_by) == set(), "it has another table"
    with writing(landing) as con:
        con.execute("drop table duplicates.of_an_older_release; create macro main.of_another_release() as 1")
    assert names(MODELS, made_by) == set(), "it has another function"


@contextmanager
def writing(landing: Landing) -> Iterator[duckdb.DuckDBPyConnection]:
    """Change the published file, as nobody should."""
    path = (landing.home / "raisonne.duckdb").resolve()
    changed = landing.folder / "changed.duckdb"
    changed.write_bytes(path.read_bytes())
    with duckdb.connect(str(changed)) as con:
        yield con
    changed.replace(path)


def test_tables_are_copied_only_from_a_version_that_can_be_read_whole(
    published: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = published
    settings, facts = load_settings(landing.config), Facts(landing.home / "facts")

    def plan() -> version.VersionPlan:
        return version.plan(facts, settings, landing.home, MODELS, MODELS)

    def copied() -> set[str]:
        (landing.folder / "laion" / "many.parquet").rename(landing.folder / "away.parquet")
        try:
            with (
                publishing.writer(landing.home, run="the test", wait_s=0),
                version.build_version(plan(), facts, settings, landing.home, "a run") as file,
            ):
                rows = file.con.execute("select table_name, made_in from warehouse.tables").fetchall()
                return {name for name, made in rows if made == 1}
        finally:
            (landing.folder / "away.parquet").rename(landing.folder / "laion" / "many.parquet")

    def fault(reason: str | None) -> Callable[..., str | None]:
        return lambda version, memory, tables=None: None if tables == previous.READ else reason

    with monkeypatch.context() as patch:
        patch.setattr(
            faults,
            "fault",
            lambda version, memory, tables=None: None if tables == previous.READ else pytest.fail("read whole"),
        )
        assert plan().holder == 1, "nothing is due, so nothing is read for it"
    table = facts["generation_fingerprints"]
    table.replace([table.read()], table.recipe)  # another version of the table, the same rows
    assert "catalog.samples" in copied(), "and the landing files are not asked for"
    monkeypatch.setattr(faults, "fault", fault("it is damaged"))
    with pytest.raises(Exception, match=r"many\.parquet"):
        copied()
