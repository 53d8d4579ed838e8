"""Tables that the next version copies from the last one, because nothing that they are made of has changed.

What belongs here: what each table is made of, as recipes, and which tables are unchanged. What does not: copying and
building tables, and the recipe of a whole version (`warehouse/version.py`).
"""

from collections.abc import Iterable, Mapping, Sequence

import duckdb

from orchestration.facts.recipes import recipe, sql_words
from orchestration.settings import Settings
from orchestration.warehouse import build, functions, macros, publishing, sql_folder
from orchestration.warehouse.models import Model
from orchestration.warehouse.soundness import faults

type Made = Mapping[str, tuple[int, str]]
"""The version in which each table was made, and its recipe, by the name of the table."""
CODE = 1  # raise when the same facts, files and SQL would give other tables
_LANDING = "landing_shards"  # a row holds what tells the deliveries of its files apart


def read_made(version: publishing.Version | None) -> Made:
    """Return how the tables of a version were made; of one of an older release, nothing."""
    if version is None:
        return {}
    with publishing.open_version(version) as con:
        kept = "select 1 from duckdb_tables() where schema_name = 'warehouse' and table_name = 'tables'"
        if not con.execute(kept).fetchall():
            return {}
        rows = con.execute("select table_name, made_in, recipe from warehouse.tables").fetchall()
    return {name: (made_in, made_by) for name, made_in, made_by in rows}


def recipes(
    models: Iterable[Model], fact_versions: Mapping[str, int], settings: Settings, stay: Mapping[str, str]
) -> dict[str, str]:
    """Return the recipe of each table. It is empty where the table is made anew in each version.

    Args:
        models: All models, in the order in which they can be built.
        fact_versions: The Lance version of each fact table that is read.
        settings: All of them; only those that models read count.
        stay: Recipes of tables that stay as they were made.
    """
    states = {f"lance_{name}": str(number) for name, number in fact_versions.items()}
    states |= {"landing_metadata": str(fact_versions[_LANDING])}
    states |= {"settings": str(build.settings_row(settings).to_pylist())}
    found: dict[str, str] = {}
    for model in models:
        if model.name in stay:
            found[model.name] = stay[model.name]
            continue
        inputs = [states.get(name) for name in model.inputs]
        tables = [found[name] for name in model.depends_on]
        made_of = functions.words(model.select, sql_folder.SQL), sql_words(model.create), model.comments
        # checks run on unchanged tables too, but the inputs of these are then without rows
        checked = any(name in check.sql for check in model.checks for name in model.inputs)
        anew = checked or None in inputs or "" in tables
        codes = CODE, duckdb.__version__
        found[model.name] = "" if anew else recipe("published table", codes, made_of, inputs, tables)
    return found


def find(
    last: publishing.Version | None, made: Made, models: Sequence[Model], table_recipes: Mapping[str, str], memory: str
) -> dict[str, int]:
    """Return the unchanged tables, with the version in which each was made.

    There are none if the last version has other tables or macros than the next, if a part of it cannot be read, or if
    most of its rows would be replaced: what is replaced leaves free space in a copy.

    Args:
        last: The newest sound version, as far as a run reads it.
        made: How its tables were made.
        models: All models.
        table_recipes: The recipes of the next version.
        memory: The most that DuckDB may hold.
    """
    names = {model.name for model in models}
    if last is None or made.keys() != names:
        return {}
    same = {name: made_in for name, (made_in, made_by) in made.items() if made_by and made_by == table_recipes[name]}
    if not same or faults.fault(last, memory) is not None:
        return {}
    with publishing.open_version(last) as con:
        rows = con.execute("select schema_name || '.' || table_name, estimated_size from duckdb_tables()").fetchall()
        views = con.execute("select schema_name || '.' || view_name from duckdb_views() where not internal").fetchall()
        called = {each.name for load in (macros.load, functions.load) for each in load(sql_folder.SQL)}
        if {name for name, _ in rows} | {name for (name,) in views} != names or _callables(con) != called:
            return {}
    stays = sum(count for name, count in rows if name in same)
    return same if 2 * stays >= sum(count for _, count in rows) else {}


def _callables(con: duckdb.DuckDBPyConnection) -> set[str]:
    ours = "not internal and database_name = current_database()"
    rows = con.execute(f"select distinct function_name from duckdb_functions() where {ours}").fetchall()  # noqa: S608
    return {name for (name,) in rows}
