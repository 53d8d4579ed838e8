"""How far a dataset's coverage falls from the published version to the next, and what to do about it.

What belongs here: comparing the usable fingerprints of two versions. What does not: counting them
(`sql/fingerprints/coverage.sql`), holding a version back (`defs/warehouse.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from orchestration.settings import Settings
from orchestration.warehouse.queries import query
from transforms.readable import count, legible, percent

_CAUSES = 5

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
        f"held back, the last version stands: coverage falls by more than publishing.coverage_drop = {most:g}\n"
        f"{listed}\ndeliver what is missing again, or accept the loss with `raisonne run --accept-drop`"
    )
