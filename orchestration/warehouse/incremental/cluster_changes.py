"""The clusters whose rows may differ between two versions, in all tables of the grain cluster.

What belongs here: which clusters these are, from facts alone. What does not: making and placing their rows
(`warehouse/incremental/cluster_rows.py`), which tables are made so (`warehouse/incremental/unchanged_tables.py`).

A cluster changed if a row of a fact that names it is new, gone or another one, or if anything changed in the shard of a
member or of the representative. Facts that name clusters are written as a whole, so they are read as a whole, but only
once. Decisions tie clusters to others, so those that one has moved rows between are always made again.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt

from orchestration.warehouse import build, grain
from orchestration.warehouse.incremental.replacement import within
from orchestration.warehouse.incremental.shard_changes import ShardChanges
from orchestration.warehouse.models import Model

Ids = npt.NDArray[np.uint64]
_MOST = 4  # if more than one in so many members is of a changed cluster, making all costs no more
_CONTROLS, _SMALL = 20, 1_000  # clusters that are made again although they did not change, and their most rows
_TIED = {grain.MEMBERS: "automatic_representative_id is not null"}


@dataclass(frozen=True, eq=False)
class ClusterChanges:
    """The clusters to make again.

    Attributes:
        changed: Their ids, in this version and in the last one.
        controls: Ids of some that did not change; their rows must come out as they were.
        rows: The sample ids of the members of both, and of their representatives.
    """

    changed: Ids
    controls: Ids
    rows: Ids


def find(models: Iterable[Model], changes: ShardChanges, turn: int) -> ClusterChanges | None:
    """Return the clusters to make again. None if that cannot be told, or if they are so many that all had better be.

    Args:
        models: The tables of the grain cluster that are not as they were.
        changes: What changed in the facts.
        turn: Another number gives other controls.
    """
    read = {name.removeprefix("lance_") for model in models for name in model.inputs}
    facts = sorted({grain.MEMBERS} | {name for name in read if grain.cluster_of(name)})
    shards: set[int] = set()
    for table in changes.facts:
        if grain.shard_of(table.name):  # those that a table reads through others too
            found = changes.of_fact(table.name)
            if found is None:
                return None
            shards |= found
    with duckdb.connect(config={"memory_limit": changes.memory}) as con:
        con.execute("set temp_directory = ?", [str(changes.facts.folder / ".changes.spill")])
        con.execute("set preserve_insertion_order = false")
        con.execute("create table changed (cluster_id ubigint)")
        for fact in facts:
            if not _add_changed(con, fact, changes, shards):
                return None
        con.execute("create table chosen as select distinct cluster_id from changed")
        [(members, all_members)] = con.execute(
            "select count(*) filter (where cluster_id in (from chosen)), count(*) from cluster_members_now"
        ).fetchall()
        if _MOST * members > all_members:
            return None
        con.execute(_CHOOSE_CONTROLS, {"turn": turn, "some": 10 * _CONTROLS, "most": _CONTROLS, "small": _SMALL})
        con.execute("create table made as from chosen union all from controls")
        rows = "select sample_id from cluster_members_now semi join made using (cluster_id) union from made"
        return ClusterChanges(*(_ids(con, sql) for sql in ("from chosen", "from controls", rows)))


_CHOOSE_CONTROLS = """
create table controls as
select cluster_id
from cluster_members_now
anti join chosen using (cluster_id)
where hash(cluster_id + $turn::ubigint) % (select 1 + count(*) // $some from cluster_members_now) = 0
group by cluster_id
having count(*) <= $small
order by hash(cluster_id + $turn::ubigint), cluster_id
limit $most
"""


def _add_changed(con: duckdb.DuckDBPyConnection, fact: str, changes: ShardChanges, shards: Collection[int]) -> bool:
    """Add the clusters of which a fact says something else than before. Return False if its columns differ."""
    older = changes.facts.as_published(fact, changes.published)
    newer = changes.facts[fact].dataset(changes.now[fact])
    if older is None or older.schema != newer.schema:
        return False
    columns, cluster = build.columns_read(fact), grain.cluster_of(fact)
    rows = "sample_id" if grain.names_rows(fact) else cluster
    versions = [newer] if older.version == newer.version else [older, newer]
    for number, dataset in enumerate(versions):
        name = f"{fact}_{'now' if dataset is newer else 'was'}"
        con.register("arriving", dataset.scanner(columns).to_reader())
        con.execute(
            f"create table {name} as select {rows} as sample_id, {cluster} as cluster_id, hash(arriving) as content, "  # noqa: S608
            f"{_TIED.get(fact, 'false')} as tied from arriving"
        )
        con.unregister("arriving")
        of_shards = f"{within(shards)} or {within(shards).replace('sample_id', 'cluster_id')}"
        con.execute(f"insert into changed select cluster_id from {name} where tied or {of_shards}")  # noqa: S608
        if number:
            for one, other in ((f"{fact}_was", name), (name, f"{fact}_was")):
                con.execute(
                    f"insert into changed select cluster_id from {one} "  # noqa: S608
                    f"anti join {other} using (sample_id, cluster_id, content)"
                )
    return True


def _ids(con: duckdb.DuckDBPyConnection, sql: str) -> Ids:
    [ids] = con.execute(sql).fetchnumpy().values()
    return np.asarray(ids, np.uint64)
