"""Building the tables of a version, of which some or some rows are in the copy of the last version already.

What belongs here: the order of providing inputs, building or replacing, auditing and dropping inputs, table by table.
What does not: which tables are copied (`warehouse/incremental/unchanged_tables.py`), each of these steps
(`warehouse/build.py`, `warehouse/incremental/replacement.py`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration.warehouse import build, grain
from orchestration.warehouse.incremental import cluster_rows, replacement
from orchestration.warehouse.incremental.cluster_rows import ClusterReplacement
from orchestration.warehouse.incremental.unchanged_tables import Copied
from orchestration.warehouse.models import Model


class TableBuilder:
    """Builds the tables of a plan in order, or finds them in the copy of the last version, and audits them.

    A fact table is provided before the first model that reads it, and dropped after the last. Of tables of which only
    some shards changed, the rows of these are made beforehand, in a database of their own; of those of which only some
    clusters changed, likewise, when their turn has come.

    Attributes:
        rows: The count of rows of each table that was added.
        columns: As `build.columns` returns them.
        audits: The results of all checks.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        models: Sequence[Model],
        copied: Copied,
        inputs: build.Inputs,
    ) -> None:
        """Begin with none.

        Args:
            con: Open on the build.
            models: The tables, in the order in which they can be built.
            copied: What the build has from the last version.
            inputs: What models read.
        """
        self.rows: dict[str, int] = {}
        self.columns: dict[str, dict[str, str]] = {}
        self.audits: list[build.Audit] = []
        self._con, self._inputs, self._copied, self._models = con, inputs, copied, models
        self._provided: set[str] = set()
        self._control: int | None = None
        self._clusters: ClusterReplacement | None = None
        built = [model for model in models if model.name not in copied.names]
        self._last_reader = {name: model.name for model in built for name in model.inputs}

    @contextmanager
    def changed_rows(self, folder: Path, number: int) -> Iterator[None]:
        """Make the rows of changed shards and clusters, for `add` to put in their places while a context lasts.

        Args:
            folder: Where their databases lie while they are needed.
            number: Of the version.
        """
        with self._changed_shards(folder / "changed.duckdb", number):
            if self._copied.clusters is None:
                yield
                return
            place, clusters = folder / "changed_clusters.duckdb", self._copied.clusters
            with cluster_rows.opened(self._con, place, self._models, self._inputs, clusters) as self._clusters:
                yield

    @contextmanager
    def _changed_shards(self, path: Path, number: int) -> Iterator[None]:
        changed = frozenset[int]().union(*self._copied.replaced.values())
        if not changed:
            yield
            return
        self._control = replacement.control(self._con, changed, number)
        shards = changed if self._control is None else changed | {self._control}
        models = {model.name: model for model in self._models}
        tables = {name for name in self._copied.replaced if not models[name].view}
        read = replacement.read_for(models, tables)
        with replacement.attached(self._con, path, read, self._inputs, shards):
            yield

    def add(self, model: Model) -> None:
        """Build or find a table, and audit it."""
        if model.name in self._copied.names:
            unknown = [name for name in model.inputs if name not in self.columns]
            build.provide_columns(self._con, unknown, self._inputs)
            shards = self._copied.replaced.get(model.name)
            if shards and not model.view:
                replacement.replace_rows(self._con, model, shards, self._control)
            if (clustered := model.name in self._copied.clustered) and self._clusters:
                self._clusters.replace(model)
            self.rows[model.name] = build.count_rows(self._con, model)
            if shards:
                self.audits += build.audit(self._con, model, replacement.within(shards), "sample_id")
            elif clustered:
                self.audits += build.audit(self._con, model, cluster_rows.WITHIN, grain.CLUSTER)
            else:
                self.audits += build.audit_unchanged(self._con, model)
            done = unknown
        else:
            build.provide(self._con, [name for name in model.inputs if name not in self._provided], self._inputs)
            self._provided.update(model.inputs)
            self.rows[model.name] = build.materialize(self._con, model)
            done = [name for name in model.inputs if self._last_reader[name] == model.name]
            self.audits += build.audit(self._con, model)
        new = [name for name in (model.name, *model.depends_on, *model.inputs) if name not in self.columns]
        self.columns |= build.columns(self._con, new)
        build.withdraw(self._con, done)
