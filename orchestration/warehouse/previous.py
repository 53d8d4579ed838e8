"""The published version, with which the next version is compared.

What belongs here: the list of tables, reading them in batches from files of any release, and how far the coverage of a
dataset falls. What does not: the comparison (`sql/provenance/timeline.sql`, `sql/reports/changes.sql`), finding the
published version (`warehouse/publishing/`), holding a version back (`defs/warehouse.py`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from orchestration.settings import Settings
from orchestration.warehouse import publishing
from orchestration.warehouse.queries import query
from transforms.readable import count, legible, percent

_STATE = {"verdict": pa.string(), "sample_id": pa.uint64(), "cluster_id": pa.uint64(), "duplicate_count": pa.int64()}
_STATE |= {"coverage": pa.float64(), "conclusive": pa.bool_()}
_BATCH = 50_000
_CAUSES = 5

TABLES: dict[str, tuple[str, pa.Schema]] = {
    "previous_generations": (
        "provenance.generations",
        pa.schema(
            {"generation_id": pa.string(), "decided_by": pa.string()}
            | {f"best_{name}" if name.endswith("_id") else name: kind for name, kind in _STATE.items()}
        ),
    ),
    "previous_timeline": (
        "provenance.timeline",
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
    "previous_counts": (
        "duplicates.counts",
        pa.schema({"cluster_id": pa.uint64(), "duplicate_count": pa.int64(), "decided_by": pa.string()}),
    ),
}
"""Published tables, by the names by which models read those of the version before."""
READ = (
    *(table for table, _ in TABLES.values()),
    "fingerprints.coverage",
    "warehouse.versions",
    "warehouse.tables",
)
"""The tables of the version before that a run reads."""


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
        named = "select column_name from duckdb_columns() where schema_name || '.' || table_name = ?"
        known = {column for (column,) in self.con.execute(named, [table]).fetchall()}
        if not known:
            return schema.empty_table()
        columns = ", ".join(f'"{c}"' if c in known else f'null as "{c}"' for c in schema.names)
        rows = self.con.execute(f"select {columns} from {table}").to_arrow_reader(_BATCH)  # noqa: S608
        return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in rows))


@contextmanager
def open_previous(version: publishing.Version | None) -> Iterator[Previous]:
    """Open the version with which the next one is compared, if there is one."""
    if version is None:
        yield Previous()
        return
    with publishing.open_version(version) as con:
        con.execute("set timezone = 'UTC'")
        yield Previous(con)


type Usable = Mapping[tuple[str, str], int]
"""Rows with a usable fingerprint, by dataset and fingerprint."""


@dataclass(frozen=True)
class CoverageFall:
    """A dataset of which fewer rows can be searched than before.

    Attributes:
        dataset: The dataset.
        fingerprint: As in `fingerprints.coverage`.
        before: Rows that could be searched by it in the published version.
        after: Rows that can be searched by it now.
    """

    dataset: str
    fingerprint: str
    before: int
    after: int

    @property
    def share(self) -> float:
        """The lost share of the rows that could be searched."""
        return max(0, self.before - self.after) / self.before if self.before else 0.0

    @property
    def sentence(self) -> str:
        """The fall in words."""
        lost = percent(self.before - self.after, self.before)
        return (
            f"{self.dataset}: {count(self.after, 'row')} can be searched by {self.fingerprint}, of "
            f"{self.before:,} before ({lost} fewer)"
        )


def usable(con: duckdb.DuckDBPyConnection | None) -> Usable:
    """Return the rows with a usable fingerprint of a version. Empty without one.

    Args:
        con: Open on the version; None before the first.
    """
    if con is None:
        return {}
    built = "select 1 from duckdb_columns() where schema_name = 'fingerprints' and table_name = 'coverage'"
    if not con.execute(built).fetchall():
        return {}
    rows = con.execute(query("coverage/usable")).fetchall()
    return {(dataset, fingerprint): number for dataset, fingerprint, number in rows}


def falls(before: Usable, after: Usable, datasets: Iterable[str], most: float) -> list[CoverageFall]:
    """Return the greatest fall of each dataset whose coverage falls by more than a share.

    Args:
        before: The usable fingerprints of the published version.
        after: Those of the next.
        datasets: Those of the settings; others were removed on purpose.
        most: `publishing.coverage_drop`.
    """
    fingerprints = {fingerprint for _, fingerprint in after}  # one of another encoder is not comparable
    kept = set(datasets)
    greatest: dict[str, CoverageFall] = {}
    for (dataset, fingerprint), number in before.items():
        if dataset not in kept or (after and fingerprint not in fingerprints):
            continue
        fall = CoverageFall(dataset, fingerprint, number, after.get((dataset, fingerprint), 0))
        if fall.share > most and (dataset not in greatest or fall.share > greatest[dataset].share):
            greatest[dataset] = fall
    return [greatest[dataset] for dataset in sorted(greatest)]


def refusal(
    before: duckdb.DuckDBPyConnection | None, after: duckdb.DuckDBPyConnection, settings: Settings
) -> str | None:
    """Return why a version is held back, or None.

    Args:
        before: Open on the published version; None before the first.
        after: Open on the next version.
        settings: The datasets, and `publishing.coverage_drop`.
    """
    names, most = [dataset.name for dataset in settings.datasets], settings.publishing.coverage_drop
    found = falls(usable(before), usable(after), names, most)
    if not found:
        return None
    unusable = [str(text) for (text,) in after.execute(query("failures/shards")).fetchall()]
    return held_back(found, most, unusable)


def held_back(found: Sequence[CoverageFall], most: float, causes: Sequence[str] = ()) -> str:
    """Return the message that holds a version back.

    Args:
        found: The falls.
        most: `publishing.coverage_drop`.
        causes: What may explain them, such as shards that are broken.
    """
    listed = "\n".join([*(fall.sentence for fall in found), *(legible(cause) for cause in causes[:_CAUSES])])
    return (
        f"held back: coverage falls by more than publishing.coverage_drop = {most:g}\n"
        f"{listed}\ndeliver what is missing again, or accept the loss with `raisonne run --accept-drop`"
    )
