"""What the next version copies from the last one, because nothing that it is made of has changed.

What belongs here: what each table is made of, as recipes; which tables are copied, and which but for some shards or
clusters. What does not: copying and building tables (`warehouse/build.py`), which shards and clusters changed
(`shard_changes.py` and `cluster_changes.py` beside it), the recipe of a whole version (`warehouse/version.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from orchestration.facts.recipes import recipe, sql_words
from orchestration.settings import Settings
from orchestration.warehouse import build, functions, grain, macros, publishing, sql_folder
from orchestration.warehouse.incremental import cluster_changes
from orchestration.warehouse.incremental.cluster_changes import ClusterChanges
from orchestration.warehouse.incremental.replacement import within
from orchestration.warehouse.incremental.shard_changes import ShardChanges
from orchestration.warehouse.macros import Macro
from orchestration.warehouse.models import Model
from orchestration.warehouse.soundness import faults

CODE = 1  # raise when the same facts, files and SQL would give other tables


@dataclass(frozen=True)
class MadeTable:
    """How a table of a version was made.

    Attributes:
        made_in: The version that made it, or replaced some of its rows.
        recipe: Of all that it was made of.
        shared_recipe: Of a table that has a grain, the same without the rows of shards and clusters; else empty.
        shards: Of a table of the grain shard, the version that made the rows of each shard.
    """

    made_in: int
    recipe: str
    shared_recipe: str = ""
    shards: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipes:
    """What the tables of the next version are made of.

    Attributes:
        tables: The recipe of each table; empty where the table is made anew in each version.
        shared: Of each table that has a grain, the same without the rows of shards and clusters; empty likewise.
    """

    tables: Mapping[str, str]
    shared: Mapping[str, str]


@dataclass(frozen=True)
class Copied:
    """What the next version copies from the last one.

    Attributes:
        unchanged: The names of tables that stay as they are.
        replaced: Tables of which the rows of some shards are made again, and these shards. The other rows stay.
        clustered: Tables of which the rows of `clusters` are made again. The other rows stay.
        clusters: The clusters that changed; None if there is no such table.
    """

    unchanged: frozenset[str] = frozenset()
    replaced: Mapping[str, frozenset[int]] = field(default_factory=dict)
    clustered: frozenset[str] = frozenset()
    clusters: ClusterChanges | None = None

    @property
    def names(self) -> set[str]:
        """All of these tables."""
        return {*self.unchanged, *self.replaced, *self.clustered}


def read_made(version: publishing.Version | None) -> dict[str, MadeTable]:
    """Return how the tables of a version were made; of one of an older release, nothing."""
    if version is None:
        return {}
    with publishing.open_version(version) as con:
        kept = "select table_name from duckdb_tables() where schema_name = 'warehouse'"
        if not {("tables",), ("shards",)} <= set(con.execute(kept).fetchall()):
            return {}
        shards: dict[str, dict[int, int]] = {}
        for name, shard, made_in in con.execute(
            "select table_name, shard_id, made_in from warehouse.shards"
        ).fetchall():
            shards.setdefault(name, {})[shard] = made_in
        rows = con.execute("select table_name, made_in, recipe, shared_recipe from warehouse.tables").fetchall()
    return {
        name: MadeTable(made_in, made_by, shared or "", shards.get(name, {})) for name, made_in, made_by, shared in rows
    }


def recipes(
    models: Iterable[Model],
    fact_versions: Mapping[str, int],
    settings: Settings,
    stay: Mapping[str, MadeTable] | None = None,
) -> Recipes:
    """Return what each table is made of.

    Args:
        models: All models, in the order in which they can be built.
        fact_versions: The Lance version of each fact table that is read.
        settings: All of them; only those that models read count.
        stay: Tables that stay as they were made.
    """
    states = {f"lance_{name}": str(number) for name, number in fact_versions.items()}
    states |= {
        grain.LANDING: str(fact_versions[grain.LANDED])
    }  # a row holds what tells the deliveries of its files apart
    states |= {"settings": str(build.settings_row(settings).to_pylist())}
    tables: dict[str, str] = {}
    shared: dict[str, str] = {}
    known = functions.load(sql_folder.SQL)
    for model in models:
        if stay is not None and model.name in stay:
            tables[model.name] = stay[model.name].recipe
            shared[model.name] = stay[model.name].shared_recipe
            continue
        others = [tables[name] for name in model.depends_on]
        made_of = _made_of(model, known)
        tables[model.name] = _recipe("published table", made_of, [states.get(name) for name in model.inputs], others)
        if model.by_shard:
            of_no_shard = [states.get(name) for name in model.inputs if not grain.fact_of(name)]
            others = [shared[name] for name in model.depends_on]
            shared[model.name] = _recipe("published table but for its shards", made_of, of_no_shard, others)
        if model.by_cluster:
            of_neither = [
                states.get(name) for name in model.inputs if not grain.fact_of(name) and not grain.cluster_of(name)
            ]
            others = [shared.get(name, tables[name]) for name in model.depends_on]
            shared[model.name] = _recipe("published table but for its clusters", made_of, of_neither, others)
    return Recipes(tables, shared)


def _made_of(model: Model, known: Sequence[Macro]) -> tuple[object, ...] | None:
    """Return what the SQL of a model is, its functions included. None if its rows cannot be told by it."""
    # of a table that stays the inputs are without rows
    if any(name in check.sql for check in model.checks for name in model.inputs):
        return None
    promises = [(check.sql, check.blocks) for check in model.checks]  # they held, and are not held again
    return functions.words(model.select, known), sql_words(model.create), model.comments, promises


def _recipe(kind: str, made_of: tuple[object, ...] | None, inputs: Sequence[str | None], tables: Sequence[str]) -> str:
    """Return a recipe, or nothing where an input or a table has none. Their order is that of the model."""
    if made_of is None or None in inputs or "" in tables:
        return ""
    return recipe(kind, (CODE, duckdb.__version__), made_of, inputs, tables)


def find(
    last: publishing.Version | None,
    made: Mapping[str, MadeTable],
    models: Sequence[Model],
    now: Recipes,
    changes: ShardChanges,
) -> Copied:
    """Return what is copied from the last version.

    Nothing is if the last version has other tables or macros than the next or was made of other facts, if what stays of
    it cannot be read, or if most of its rows would be replaced: what is replaced leaves free space in a copy.

    Args:
        last: The newest sound version, as far as a run reads it.
        made: How its tables were made.
        models: All models.
        now: The recipes of the next version.
        changes: What changed in the facts since.
    """
    names = {model.name for model in models}
    if last is None or made.keys() != names or not changes.comparable:
        return Copied()
    same = {name for name, each in made.items() if each.recipe and each.recipe == now.tables[name]}
    partly = [
        model
        for model in models
        if model.by_shard
        and made[model.name].shared_recipe
        and made[model.name].shared_recipe == now.shared[model.name]
    ]
    as_they_were = {model.name for model in partly} <= same or not changes.complete
    replaced = {} if as_they_were else changes.of(partly)
    unchanged = frozenset(same.union(name for name, shards in replaced.items() if not shards))
    by_shards = {name: shards for name, shards in replaced.items() if shards and name not in same}
    copied = _with_clusters(Copied(unchanged, by_shards), models, made, now, changes)
    if not copied.names or faults.fault(last, changes.memory, copied.names) is not None:
        return Copied()
    with publishing.open_version(last) as con:
        rows = con.execute("select schema_name || '.' || table_name, estimated_size from duckdb_tables()").fetchall()
        views = con.execute("select schema_name || '.' || view_name from duckdb_views() where not internal").fetchall()
        called = {each.name for load in (macros.load, functions.load) for each in load(sql_folder.SQL)}
        if {name for name, _ in rows} | {name for (name,) in views} != names or _callables(con) != called:
            return Copied()
        stays = sum(count for name, count in rows if name in copied.names)
        for name, shards in copied.replaced.items():
            if (name,) in views:
                continue
            [(count,)] = con.execute(f"select count(*) from {name} where {within(shards)}").fetchall()  # noqa: S608
            stays -= count
    return copied if 2 * stays >= sum(count for _, count in rows) else Copied()


def _with_clusters(
    copied: Copied, models: Sequence[Model], made: Mapping[str, MadeTable], now: Recipes, changes: ShardChanges
) -> Copied:
    """Add the tables of which the rows of some clusters are made again, where that can be told and is worth it."""
    found: list[Model] = []
    there = copied.names
    for model in models:
        shared = made[model.name].shared_recipe
        same = bool(shared) and shared == now.shared.get(model.name)
        if model.by_cluster and same and model.name not in there and there.issuperset(model.depends_on):
            found.append(model)
            there.add(model.name)
    clusters = cluster_changes.find(found, changes, changes.published) if found and changes.complete else None
    if clusters is None:
        return copied
    return replace(copied, clustered=frozenset(model.name for model in found), clusters=clusters)


def _callables(con: duckdb.DuckDBPyConnection) -> set[str]:
    ours = "not internal and database_name = current_database()"
    rows = con.execute(f"select distinct function_name from duckdb_functions() where {ours}").fetchall()  # noqa: S608
    return {name for (name,) in rows}
