"""The next version of the published file: planning, building and publishing it.

What belongs here: choosing the tables and the versions of the facts, the row of `warehouse.versions`, and pruning older
versions. What does not: building a file (`warehouse/build.py`), which tables are unchanged
(`warehouse/incremental/`), replacing the published version (`warehouse/publishing/`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.facts import Facts
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import recipe, sql_words
from orchestration.progress import track
from orchestration.settings import Settings
from orchestration.warehouse import build, functions, grain, macros, previous, publishing, sql_folder
from orchestration.warehouse.incremental import unchanged_tables
from orchestration.warehouse.incremental.shard_changes import ShardChanges
from orchestration.warehouse.incremental.table_builder import TableBuilder
from orchestration.warehouse.incremental.unchanged_tables import Copied, MadeTable, Recipes
from orchestration.warehouse.models import Model
from orchestration.warehouse.soundness import faults

HISTORY = pa.schema(
    {
        "version": pa.int64(),
        "published_at": pa.timestamp("us", "UTC"),
        "lance_versions": pa.map_(pa.string(), pa.int64()),
        "encoders": pa.list_(pa.string()),
        "settings_hash": pa.string(),
        "recipe": pa.string(),
        "run_id": pa.string(),
    }
)
"""The columns of `warehouse.versions`."""


@dataclass(frozen=True)
class VersionPlan:
    """The content of the next version.

    Attributes:
        models: The tables that the version needs, in order. Unchanged ones are not built again.
        complete: Whether these are all models. Otherwise the other tables stay as published.
        fact_versions: The Lance version of each fact table to read.
        recipe: The recipe of a complete version.
        history: The versions published so far, oldest first, with the columns of `HISTORY`.
        previous: The newest sound version, with which the next is compared and from which tables stay. None: there is
            none.
        damaged: Sentences about newer versions that cannot be read.
        made: How the tables of `previous` were made.
        recipes: What each table of the next version is made of.
        keep_unchanged: Whether what is unchanged is copied from `previous`. Otherwise all of `models` are built.
    """

    models: tuple[Model, ...]
    complete: bool
    fact_versions: Mapping[str, int]
    recipe: str
    history: pa.Table
    previous: publishing.Version | None = None
    damaged: tuple[str, ...] = ()
    made: Mapping[str, MadeTable] = field(default_factory=dict)
    recipes: Recipes = field(default_factory=lambda: Recipes({}, {}))
    keep_unchanged: bool = True

    def made_tables(self, number: int, copied: Copied, landed: Collection[int]) -> dict[str, MadeTable]:
        """Return how the tables of the next version are made.

        Args:
            number: That of the next version.
            copied: What is copied from `previous`.
            landed: The shards that have rows.
        """
        anew = {model.name for model in self.models}.difference(copied.unchanged)
        of_shards = {model.name for model in self.models if model.by_shard and not model.view}
        found = {}
        for name, made_by in self.recipes.tables.items():
            before = self.made.get(name)
            if name not in anew and before is None:
                continue  # it stays as a version of an older release has it
            shared = self.recipes.shared.get(name, "")
            shards = before.shards if before and name not in anew else {}
            if shared and name in anew and name in of_shards:
                changed = copied.replaced.get(name)
                stay = before.shards if before and changed is not None else {}
                shards = {
                    each: number if changed is None or each in changed else stay.get(each, number) for each in landed
                }
            made_in = number if before is None or name in anew else before.made_in
            found[name] = MadeTable(made_in, made_by, shared, shards)
        return found

    @property
    def holder(self) -> int | None:
        """The published version that already holds this content, or None."""
        if (
            self.complete
            and not self.damaged
            and self.history.num_rows
            and self.history["recipe"][-1].as_py() == self.recipe
        ):
            return int(self.history["version"][-1].as_py())
        return None


@dataclass(frozen=True)
class VersionBuild:
    """A private file with the tables of a plan.

    Attributes:
        con: A connection to the file while the build lasts.
        rows: The count of rows of each table.
        columns: As `build.columns` returns them.
        audits: The results of all checks.
        held_back: Why the version may be published only if its loss of coverage is accepted. None if it lost little.
    """

    number: int
    path: Path
    con: duckdb.DuckDBPyConnection
    rows: Mapping[str, int]
    columns: Mapping[str, Mapping[str, str]]
    audits: Sequence[build.Audit]
    held_back: str | None = None

    def refusal(self, *, accept_drop: bool) -> str | None:
        """Return why the version must not be published, or None.

        Args:
            accept_drop: Whether a loss of coverage is accepted.
        """
        if failed := [result.sentence for result in self.audits if result.failing and result.check.blocks]:
            return "nothing was published:\n" + "\n".join(failed)
        return None if accept_drop else self.held_back


def plan(
    facts: Facts, settings: Settings, home: Path, models: Sequence[Model], selected: Sequence[Model]
) -> VersionPlan:
    """Decide the content of the next version.

    Args:
        facts: The fact tables.
        settings: The settings of the run.
        home: The folder of the warehouse.
        models: All models, in the order in which they can be built.
        selected: The models to build again.

    Raises:
        NotPublished: If tables should stay as published, and no sound version has them.
    """
    fact_versions, complete = facts.versions(), len(selected) == len(models)
    version_recipe = _recipe(models, fact_versions, settings.settings_hash)
    with publishing.held_open(home):
        last, history, damaged = _last_sound(home, settings.memory.duckdb, stay=not complete)
        made = unchanged_tables.read_made(last)
    if complete:
        recipes = unchanged_tables.recipes(models, fact_versions, settings)
        return VersionPlan(tuple(models), True, fact_versions, version_recipe, history, last, damaged, made, recipes)
    if last is None:
        raise publishing.NotPublished(
            "\n".join([*damaged, f"{home} has no version to start from; run `raisonne run` on everything first"])
        )
    # each version says what it is made of, whichever tables were selected
    rebuilt = tuple(model for model in models if model in selected or model.stage == "warehouse")
    stay = [model for model in models if model not in rebuilt]
    versions_read = fact_versions | _published_versions(history, stay)
    unknown = MadeTable(0, "")
    kept = {model.name: made.get(model.name, unknown) for model in stay}
    recipes = unchanged_tables.recipes(models, versions_read, settings, kept)
    return VersionPlan(rebuilt, False, versions_read, version_recipe, history, last, damaged, made, recipes)


@contextmanager
def build_version(
    plan: VersionPlan, facts: Facts, settings: Settings, home: Path, run_id: str
) -> Iterator[VersionBuild]:
    """Build and audit the tables of a plan in a private file, and close it at the end of the context.

    Args:
        plan: What to build.
        facts: The fact tables.
        settings: The settings of the run.
        home: The folder of the warehouse, held for writing.
        run_id: The run, as `warehouse.versions` names it.
    """
    copied = Copied()
    if plan.previous and plan.complete and plan.keep_unchanged:
        complete = bool(plan.history["recipe"][-1].as_py())  # only a complete version notes one
        changes = ShardChanges(facts, plan.previous.number, plan.fact_versions, settings.memory.duckdb, complete)
        with publishing.held_open(home):
            copied = unchanged_tables.find(plan.previous, plan.made, plan.models, plan.recipes, changes)
    start_from_copy = bool(copied.names) or not plan.complete
    path = publishing.begin(home, run_id, from_current=start_from_copy, start=plan.previous)
    number = publishing.next_number(home)
    made = plan.made_tables(number, copied, _landed(plan, facts))
    this_version = pa.Table.from_pylist([_version(plan, facts, settings, number, run_id)], HISTORY)
    with build.open_build(path, settings) as con, previous.open_previous(plan.previous) as last:
        inputs = build.Inputs(facts, plan.fact_versions, settings, this_version, plan.history, last)
        inputs = replace(inputs, made_tables=_rows_of_tables(made), made_shards=_rows_of_shards(made))
        tables = TableBuilder(con, plan.models, copied, inputs)
        with tables.changed_rows(path.parent, number):
            for model in track(plan.models, "building tables", len(plan.models)):
                tables.add(model)
        macros.create(con, macros.load(sql_folder.SQL))
        held_back = previous.refusal(last.con, con, settings)
        yield VersionBuild(number, path, con, tables.rows, tables.columns, tables.audits, held_back)


def _landed(plan: VersionPlan, facts: Facts) -> list[int]:
    landed = facts[grain.LANDED].dataset(plan.fact_versions[grain.LANDED])
    return landed.to_table(["shard_id"], filter="readable_path is not null")["shard_id"].to_pylist()


def _rows_of_tables(made: Mapping[str, MadeTable]) -> pa.Table:
    rows = [
        {
            "table_name": name,
            "made_in": each.made_in,
            "recipe": each.recipe,
            "shared_recipe": each.shared_recipe or None,
        }
        for name, each in made.items()
    ]
    return pa.Table.from_pylist(rows, build.MADE_TABLES)


def _rows_of_shards(made: Mapping[str, MadeTable]) -> pa.Table:
    rows = [
        {"table_name": name, "shard_id": shard, "made_in": made_in}
        for name, each in made.items()
        for shard, made_in in each.shards.items()
    ]
    return pa.Table.from_pylist(rows, build.MADE_SHARDS)


def publish(plan: VersionPlan, file: VersionBuild, facts: Facts, home: Path, *, keep: int) -> publishing.Version:
    """Publish a closed build, and release the facts of pruned versions.

    Args:
        plan: The plan of the build.
        file: The build.
        facts: The fact tables.
        home: The folder of the warehouse, held for writing.
        keep: Versions to keep, the new one included.
    """
    facts.tag(file.number, plan.fact_versions)  # first: a published version is never without its facts
    version, _ = publishing.publish(home, file.path, file.number, keep=keep)
    facts.keep_tags({kept.number for kept in publishing.versions(home)})
    for table in facts:
        table.forget_old_versions()
    return version


def _last_sound(home: Path, memory: str, *, stay: bool) -> tuple[publishing.Version | None, pa.Table, tuple[str, ...]]:
    """Return the newest sound version, its history, and what is wrong with newer ones.

    A version is read as far as this run reads it. `raisonne doctor` reads it whole.

    Args:
        home: The folder of the warehouse.
        memory: The most that DuckDB may hold.
        stay: Whether tables of the last version stay in the next: then all are read.
    """
    damaged: list[str] = []
    published, kept = publishing.current(home), publishing.versions(home)
    if published and published not in kept:
        damaged.append(f"version {published.number} is gone")
    for version in reversed(kept):
        fault = faults.fault(version, memory, None if stay else previous.READ)
        if fault is None:
            return version, _history(version), tuple(damaged)
        damaged.append(f"version {version.number} is damaged ({fault})")
    return None, HISTORY.empty_table(), tuple(damaged)


def _history(version: publishing.Version) -> pa.Table:
    with publishing.open_version(version) as con:
        con.execute("set timezone = 'UTC'")
        return con.execute("select * from warehouse.versions order by version").to_arrow_table().cast(HISTORY)


def _published_versions(history: pa.Table, stay: Sequence[Model]) -> dict[str, int]:
    """Return the Lance versions of the facts behind the unchanged tables, which rebuilt tables must use too."""
    read = {name.removeprefix("lance_") for model in stay for name in model.inputs}
    last = history["lance_versions"][-1].as_py() if history.num_rows else []
    return {name: number for name, number in last if name in read}


def _recipe(models: Sequence[Model], fact_versions: Mapping[str, int], settings_hash: str) -> str:
    tables = [[model.name, sql_words(model.create), model.comments] for model in models]
    callables = [*macros.load(sql_folder.SQL), *functions.load(sql_folder.SQL)]
    made = [[sql_words(statement) for statement in each.statements] for each in callables]
    return recipe("published version", fact_versions, settings_hash, tables, made)


def _version(plan: VersionPlan, facts: Facts, settings: Settings, number: int, run_id: str) -> dict[str, object]:
    used = is_in("fingerprint", settings.encoders.by_purpose)  # notes of others stay for when the settings name them
    noted = facts["fingerprinted_shards"].read(["encoder"], f"encoder is not null and {used}")
    encoders = noted["encoder"].unique().to_pylist()
    return {
        "version": number,
        "published_at": datetime.now(UTC),
        "lance_versions": sorted(plan.fact_versions.items()),
        "encoders": sorted(encoders),
        "settings_hash": settings.settings_hash,
        "recipe": plan.recipe if plan.complete else "",
        "run_id": run_id,
    }
