"""Keeping the counts of files that were found and did not become rows.

What belongs here: the fact table `not_taken`, and who counts what. What does not: counting
(`transforms/catalog/not_taken.py`), deciding what is taken (`transforms/dumps/`, `transforms/catalog/`), the published
table (`sql/catalog/not_taken.sql`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from orchestration.facts import Facts
from orchestration.facts.filters import equals, is_in
from transforms.catalog.not_taken import EXAMPLES, NotTaken, NotTakenCounts
from transforms.storage.stores import plain

LANDING, DUMP, SECOND_DUMP, GENERATIONS = "landing", "dump", "second dump", "generations"
"""Kinds of owners: the folders of a dataset, the dump of a shard, its second dump, a source of generations."""
SECOND_LANDING = f"{SECOND_DUMP}/landing"
"""The folders of the second dump of a dataset, which are published as part of the second dump."""


@dataclass(frozen=True)
class Owner:
    """Whoever counted some files, and replaces these counts when it counts again.

    Attributes:
        kind: LANDING, DUMP, SECOND_DUMP, SECOND_LANDING or GENERATIONS.
        name: The dataset, the id of the shard, or the source of generations.
        dataset: The dataset, or None for generations.
        source: The source of generations, or None for a dataset.
    """

    kind: str
    name: str | int
    dataset: str | None = None
    source: str | None = None

    @property
    def key(self) -> str:
        """Its value in the fact table."""
        return f"{self.kind}/{self.name}"


def store(facts: Facts, found: Mapping[Owner, Iterable[NotTaken]]) -> None:
    """Replace the counts of owners. Writes nothing if they did not change.

    Store them before the notes that the owners are done, so that a run killed in between counts again.

    Args:
        facts: The fact tables; `not_taken` is written.
        found: The counts of each owner, one for each place and reason.
    """
    table, rows = facts["not_taken"], dict[tuple[str, str, str], dict[str, object]]()
    for each, counts in found.items():
        named = {"owner": each.key, "dataset": each.dataset, "source": each.source}
        for row in map(_row, counts):
            rows[each.key, str(row["place"]), str(row["reason"])] = named | row
    stored = table.read(where=is_in("owner", sorted(each.key for each in found))).to_pylist()
    before = {(row["owner"], row["place"], row["reason"]): row for row in stored}
    table.upsert(pa.Table.from_pylist([row for key, row in rows.items() if before.get(key) != row], table.schema))
    for owner, place, reason in before.keys() - rows.keys():
        table.delete(f"{equals('owner', owner)} and {equals('place', place)} and {equals('reason', reason)}")


def _row(each: NotTaken) -> dict[str, object]:
    examples = [plain(name) for name in each.examples if name][:EXAMPLES]
    place = plain(each.place)
    return {"place": place, "reason": plain(each.reason), "files": each.files, "examples": examples or [place]}


def forget(facts: Facts, kind: str, names: Iterable[str | int]) -> None:
    """Delete the counts of owners.

    Args:
        facts: The fact tables; `not_taken` is written.
        kind: The kind of the owners.
        names: Their names.
    """
    facts["not_taken"].delete(is_in("owner", sorted(Owner(kind, name).key for name in names)))


def keep_only(facts: Facts, kind: str, names: Collection[str]) -> None:
    """Delete the counts of all owners of a kind but some, such as of datasets that are no longer in the settings.

    Args:
        facts: The fact tables; `not_taken` is written.
        kind: The kind of owner.
        names: The owners to keep.
    """
    kept = {Owner(kind, name).key for name in names}
    owners = set(facts["not_taken"].read(["owner"])["owner"].to_pylist())
    gone = {owner for owner in owners if owner.startswith(f"{kind}/")} - kept
    facts["not_taken"].delete(is_in("owner", sorted(gone)))


def store_landing(facts: Facts, counts: Mapping[str, NotTakenCounts], kind: str = LANDING) -> None:
    """Replace the counts of the datasets' folders, and delete those of datasets that are no longer in the settings.

    Args:
        facts: The fact tables; `not_taken` is written.
        counts: By dataset, for every dataset of the settings.
        kind: LANDING or SECOND_LANDING.
    """
    keep_only(facts, kind, counts.keys())
    store(facts, {Owner(kind, name, dataset=name): found.counts() for name, found in counts.items()})


def store_generations(facts: Facts, counts: Mapping[str, Iterable[NotTaken]]) -> None:
    """Replace the counts of the sources of generations, and delete those of sources that are no longer in the settings.

    Args:
        facts: The fact tables; `not_taken` is written.
        counts: By source, for every source of the settings.
    """
    keep_only(facts, GENERATIONS, counts.keys())
    store(facts, {Owner(GENERATIONS, name, source=name): found for name, found in counts.items()})
