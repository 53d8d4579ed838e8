"""Tables of the published version, with which the next version is compared.

What belongs here: the list of tables, and reading them in batches from files of any release. What does not: the
comparison (`sql/provenance/timeline.sql`), finding the published version (`warehouse/publishing.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.warehouse import publishing

_STATE = {"verdict": pa.string(), "sample_id": pa.uint64(), "cluster_id": pa.uint64(), "duplicate_count": pa.int64()}
_STATE |= {"coverage": pa.float64(), "conclusive": pa.bool_()}
_BATCH = 50_000

TABLES: dict[str, tuple[str, pa.Schema]] = {
    "previous_generations": (
        "generations",
        pa.schema(
            {"generation_id": pa.string()}
            | {f"best_{name}" if name.endswith("_id") else name: kind for name, kind in _STATE.items()}
        ),
    ),
    "previous_timeline": (
        "timeline",
        pa.schema(
            {
                "generation_id": pa.string(),
                "version": pa.int64(),
                "published_at": pa.timestamp("us", "UTC"),
                "changes": pa.list_(pa.string()),
            }
            | {f"{name}_{when}": kind for name, kind in _STATE.items() for when in ("before", "after")}
        ),
    ),
}
"""Tables of `provenance`, by the names by which models read those of the version before."""


@dataclass(frozen=True)
class Previous:
    """The version published before.

    Attributes:
        con: A connection to it. None before the first version.
    """

    con: duckdb.DuckDBPyConnection | None = None

    def read(self, name: str) -> pa.Table | pa.RecordBatchReader:
        """Return a table of TABLES in batches. A missing table is empty, and a missing column is NULL.

        The next read invalidates this one. Raises KeyError for another name.
        """
        table, schema = TABLES[name]
        if self.con is None:
            return schema.empty_table()
        known = {
            column
            for (column,) in self.con.execute(
                "select column_name from duckdb_columns() where schema_name = 'provenance' and table_name = ?", [table]
            ).fetchall()
        }
        if not known:
            return schema.empty_table()
        columns = ", ".join(f'"{c}"' if c in known else f'null as "{c}"' for c in schema.names)
        rows = self.con.execute(f"select {columns} from provenance.{table}").to_arrow_reader(_BATCH)  # noqa: S608
        return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in rows))


@contextmanager
def open_previous(home: Path) -> Iterator[Previous]:
    """Open the published version of a warehouse, if it has one."""
    if publishing.current(home) is None:
        yield Previous()
        return
    with publishing.connect(home) as con:
        con.execute("set timezone = 'UTC'")
        yield Previous(con)
