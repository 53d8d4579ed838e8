"""Replacing the rows of some clusters in tables of the grain cluster.

What belongs here: making these rows in a database of their own, holding them against the grain, and putting them in the
place of the old ones. What does not: which clusters (`warehouse/incremental/cluster_changes.py`).

That database holds these clusters and what is said of their members, and no other row, so a model cannot read others.
Whether it would have wanted to is seen from some clusters that did not change, the controls: they are made again too,
and must come out as they were made among all others.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.warehouse import build, grain
from orchestration.warehouse.incremental.cluster_changes import ClusterChanges
from orchestration.warehouse.incremental.replacement import NotOfGrain
from orchestration.warehouse.models import Model

CHANGED = "changed_clusters"
"""The temporary table of the ids of changed clusters, in the build."""
WITHIN = f"{grain.CLUSTER} in (from temp.{CHANGED})"
"""The condition that a row of a table of the grain cluster was made for this version."""
_SHARE = 0.25
"""Of DuckDB's memory, for the database of changed clusters. All other rows of tables are read in the build."""
_FIX = "remove `-- grain: cluster` from its header, or what reads other rows"


@dataclass
class ClusterReplacement:
    """The rows of changed clusters, made table by table as they are asked for.

    Attributes:
        con: Open on the build, which has the tables that come before.
        alone: Open on the database of these clusters.
        models: All models by name.
        inputs: The inputs of all rows.
    """

    con: duckdb.DuckDBPyConnection
    alone: duckdb.DuckDBPyConnection
    models: Mapping[str, Model]
    inputs: build.Inputs
    _there: set[str] = field(default_factory=set)

    def replace(self, model: Model) -> None:
        """Replace the rows of changed clusters in a table. Clusters that are gone lose their rows.

        Raises:
            NotOfGrain: If the model makes a row of another cluster, or a control comes out another way than it was made
                among all clusters.
        """
        self._make(model)
        self.con.execute(f"create or replace temporary table fresh as from {model.name} limit 0")
        _insert(self.con, "fresh", self.alone.execute(f"from {model.name}").to_arrow_reader())
        self._require_grain(model)
        self.con.begin()
        if order := model.order:  # sorted as a whole, so that it cannot be told from one that was made anew
            rows = (
                f"select * from (from {model.name} where not ({WITHIN}) union all from temp.fresh where {WITHIN}) "  # noqa: S608
                f"order by {order}"
            )
            self.con.execute("\n;\n".join((f"create or replace table {model.name} as {rows}", *model.comments)))
        else:
            self.con.execute(f"delete from {model.name} where {WITHIN}")  # noqa: S608
            self.con.execute(f"insert into {model.name} from temp.fresh where {WITHIN}")
        self.con.commit()
        self.con.execute("drop table temp.fresh")

    def _require_grain(self, model: Model) -> None:
        controls = f"{grain.CLUSTER} in (from temp.control_clusters)"
        strange = f"select count(*) from temp.fresh where ({WITHIN} or {controls}) is not true"  # noqa: S608
        if (count := self.con.execute(strange).fetchall()[0][0]) > 0:
            raise NotOfGrain(f"{model.path}: {count:,} rows of clusters that it was not asked for; {_FIX}")
        was, is_now = f"from {model.name} where {controls}", f"from temp.fresh where {controls}"
        rows = f"({was} except all {is_now}) union all ({is_now} except all {was})"
        if differing := self.con.execute(f"select {grain.CLUSTER} from ({rows}) limit 1").fetchall():  # noqa: S608
            raise NotOfGrain(
                f"{model.path}: the rows of cluster {differing[0][0]} differ from those that were made of the same "
                f"facts among all clusters; {_FIX}"
            )

    def _make(self, model: Model) -> None:
        """Make a table of these clusters, after all that it reads."""
        for name in model.inputs:
            if self._is_new(name):
                self._provide(name)
        for name in model.depends_on:
            other = self.models[name]
            if other.by_cluster:
                self._make(other)
            elif self._is_new(name):
                self._carry(name, f"from {name}" + (" semi join temp.changed_rows using (sample_id)" * other.by_shard))
        if self._is_new(model.name):
            build.materialize(self.alone, model)

    def _is_new(self, name: str) -> bool:
        new = name not in self._there
        self._there.add(name)
        return new

    def _provide(self, name: str) -> None:
        """Provide an input of models: of facts that name a cluster or belong to a shard the rows of these alone."""
        cluster = grain.cluster_of(name)
        if not cluster and not grain.fact_of(name):
            build.provide(self.alone, [name], self.inputs)
            return
        table = name.removeprefix("lance_")
        rows = self.inputs.facts[table].reader(self.inputs.fact_versions[table], build.columns_read(table))
        chosen = f"{cluster} in (from both_clusters)" if cluster else "sample_id in (from changed_rows)"
        self.alone.register("arriving", rows)
        self.alone.execute(f"create temporary table {name} as from arriving where {chosen}")
        self.alone.unregister("arriving")

    def _carry(self, name: str, rows: str) -> None:
        """Copy rows of a table of the build, with its types."""
        typed = ", ".join(f'"{column}" {kind}' for column, kind, *_ in self.con.execute(f"describe {name}").fetchall())
        self.alone.execute(f"create table {name} ({typed})")
        _insert(self.alone, name, self.con.execute(rows).to_arrow_reader())


@contextmanager
def opened(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    models: Sequence[Model],
    inputs: build.Inputs,
    changes: ClusterChanges,
) -> Iterator[ClusterReplacement]:
    """Open a database of some clusters while a context lasts. It may hold a part of the build's memory, which has less.

    Args:
        con: Open on the build.
        path: The place of the database, a new file.
        models: All models.
        inputs: The inputs of all rows.
        changes: The clusters.
    """
    memory = inputs.settings.memory
    both = pa.concat_arrays([pa.array(changes.changed), pa.array(changes.controls)])
    try:
        with build.open_build(path, inputs.settings) as alone:
            for each, share in ((con, 1 - _SHARE), (alone, _SHARE)):
                each.execute(f"set memory_limit = '{memory.of_duckdb(share)}'")
            for place, name, ids in (
                (con, CHANGED, pa.array(changes.changed)),
                (con, "control_clusters", pa.array(changes.controls)),
                (con, "changed_rows", pa.array(changes.rows)),
                (alone, "both_clusters", both),
                (alone, "changed_rows", pa.array(changes.rows)),
            ):
                column = "sample_id" if name == "changed_rows" else grain.CLUSTER
                place.execute(f"create temporary table {name} ({column} ubigint)")
                _insert(place, name, pa.table({column: ids}))
            yield ClusterReplacement(con, alone, {model.name: model for model in models}, inputs)
    finally:
        path.unlink(missing_ok=True)
    con.execute(f"set memory_limit = '{memory.duckdb}'")
    for name in (CHANGED, "control_clusters", "changed_rows"):
        con.execute(f"drop table temp.{name}")


def _insert(con: duckdb.DuckDBPyConnection, table: str, rows: pa.Table | pa.RecordBatchReader) -> None:
    con.register("arriving", rows)
    con.execute(f"insert into {table} from arriving")
    con.unregister("arriving")
