"""Replacing the rows of some shards in tables of the grain shard.

What belongs here: making these rows in a database of their own, holding them against the grain, and putting them in the
place of the old ones. What does not: which shards (`warehouse/incremental/shard_changes.py`).

That database holds these shards and no other, so a model cannot read rows of others. Whether it would have wanted to is
seen from one unchanged shard, the control: it is made again too, and must come out as it was made among all others.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from orchestration.warehouse import build, grain
from orchestration.warehouse.models import Model
from transforms.catalog.landing import ROW_BITS

_ROWS = "changed_rows"
_RANGES = 16  # beyond, looking for the ids takes longer than reading all
_FEW = 100_000  # rows of a control, if there is such a shard


class NotOfGrain(RuntimeError):
    """The rows of a shard or cluster depend on what their grain forbids. The message names the file."""


def control(con: duckdb.DuckDBPyConnection, changed: Collection[int], turn: int) -> int | None:
    """Return an unchanged shard, another one in each version, of few rows if there is one. None: there is none.

    Args:
        con: Open on a build that was copied from the last version.
        changed: The shards that are made again.
        turn: The number of the version.
    """
    counted = con.execute(
        f"select {grain.SHARD}::bigint as shard_id, count(*) from catalog.samples group by all order by all"  # noqa: S608
    ).fetchall()
    rows = {shard: count for shard, count in counted if shard not in changed}
    small = [shard for shard, count in rows.items() if count <= _FEW] or sorted(rows, key=lambda shard: rows[shard])[:1]
    return small[turn % len(small)] if small else None


@contextmanager
def attached(
    con: duckdb.DuckDBPyConnection, path: Path, models: Sequence[Model], inputs: build.Inputs, shards: Collection[int]
) -> Iterator[None]:
    """Make the rows of some shards, and attach them to a build while a context lasts.

    Args:
        con: Open on the build.
        path: The place of their database, a new file.
        models: The models, and those of the grain shard that they read, in order.
        inputs: The inputs of all shards.
        shards: The shards.

    Raises:
        NotOfGrain: If a model makes a row of another shard.
    """
    names = sorted({name for model in models for name in model.inputs})
    with build.open_build(path, inputs.settings) as alone:
        build.provide(alone, names, replace(inputs, shards=frozenset(shards)))
        for model in models:
            build.materialize(alone, model)
            [(strange,)] = alone.execute(
                f"select count(*) from {model.name} where {within(shards)} is not true"  # noqa: S608
            ).fetchall()
            if strange:
                raise NotOfGrain(f"{model.path}: {strange:,} rows of shards that it was not asked for; {_FIX}")
    con.execute(f"attach '{_quoted(path)}' as {_ROWS} (read_only)")
    try:
        yield
    finally:
        con.execute(f"detach {_ROWS}")
        path.unlink()


def replace_rows(con: duckdb.DuckDBPyConnection, model: Model, shards: Collection[int], unchanged: int | None) -> None:
    """Replace the rows of some shards in a table.

    Args:
        con: Open on a build, with what `attached` attached.
        model: The table.
        shards: The shards to replace. Those that are gone lose their rows.
        unchanged: The control.

    Raises:
        NotOfGrain: If the control comes out another way than it was made among all shards.
    """
    if unchanged is not None:
        was, is_now = (f"from {place}{model.name} where {within([unchanged])}" for place in ("", f"{_ROWS}."))
        rows = f"({was} except all {is_now}) union all ({is_now} except all {was})"
        if con.execute(f"select 1 from ({rows}) limit 1").fetchall():  # noqa: S608
            raise NotOfGrain(
                f"{model.path}: the rows of shard {unchanged} differ from those that were made of the same facts "
                f"among all shards; {_FIX}"
            )
    con.begin()
    con.execute(f"delete from {model.name} where {within(shards)}")  # noqa: S608
    con.execute(f"insert into {model.name} from {_ROWS}.{model.name} where {within(shards)}")
    con.commit()


def read_for(models: Mapping[str, Model], chosen: Collection[str]) -> list[Model]:
    """Return chosen models and all of the grain shard that these read, in the order in which they can be built.

    Args:
        models: All models by name, in that order.
        chosen: Names of models of that grain.
    """
    wanted = set(chosen)
    for name in reversed(list(models)):
        if name in wanted:
            wanted.update(models[name].depends_on)
    return [model for name, model in models.items() if name in wanted]


_FIX = "remove `-- grain: shard` from its header, or what reads other rows"


def within(shards: Collection[int]) -> str:
    """Return the condition that a row of a table of the grain shard belongs to one of some shards.

    Of few shards it says where their ids lie too, so that the other rows are not read.
    """
    if not shards:
        return "false"
    listed = f"{grain.SHARD} in ({', '.join(str(int(shard)) for shard in sorted(shards))})"
    if len(shards) > _RANGES:
        return listed
    ids = ((shard << ROW_BITS, (shard + 1 << ROW_BITS) - 1) for shard in sorted(map(int, shards)))
    ranges = " or ".join(f"sample_id between {first}::ubigint and {last}::ubigint" for first, last in ids)
    return f"({listed} and ({ranges}))"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
