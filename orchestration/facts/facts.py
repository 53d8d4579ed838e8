"""The facts: what costs a GPU or a join, kept in Lance tables, keyed and versioned.

What belongs here: all tables of a warehouse, and which of their versions were published. What does not: one table
(`facts/table.py`), its columns (`facts/schemas/`), bringing a warehouse of an older release up to date
(`facts/migration.py`), computing facts (`transforms/`), or anything derived from them (`sql/`).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import lance

from orchestration.facts import upkeep
from orchestration.facts.schemas.tables import EMBEDDINGS, SCHEMAS
from orchestration.facts.table import FactTable


@dataclass(frozen=True)
class Facts:
    """All fact tables of a warehouse.

    Attributes:
        folder: The folder of the tables. It need not exist.
    """

    folder: Path

    def __getitem__(self, name: str) -> FactTable:
        if name not in SCHEMAS:
            raise KeyError(f"unknown fact table {name}; available: {', '.join(SCHEMAS)}")
        return FactTable(self.folder, name)

    def embeddings(self, name: str, encoder: str, dimension: int) -> FactTable:
        """Return an embedding table bound to an encoder.

        Args:
            name: The table.
            encoder: The encoder's identity as text.
            dimension: The length of its vectors.
        """
        if name not in EMBEDDINGS:
            raise KeyError(f"unknown embedding table {name}; available: {', '.join(EMBEDDINGS)}")
        return FactTable(self.folder, name, encoder, dimension)

    def __iter__(self) -> Iterator[FactTable]:
        return (FactTable(self.folder, name) for name in SCHEMAS)

    def versions(self) -> dict[str, int]:
        """Return the latest version of every table."""
        return {table.name: table.version for table in self}

    def tag(self, number: int, versions: Mapping[str, int]) -> None:
        """Tag the Lance versions that a published version was derived from, so that cleanup keeps them.

        Args:
            number: The published version.
            versions: The Lance version of every table.
        """
        name = f"{_TAG}{number}"
        for table in self:
            tags = table.dataset().tags
            if name in tags.list():
                tags.update(name, versions[table.name])
            else:
                tags.create(name, versions[table.name])
        upkeep.remove_encoded_folders(self.folder)

    def as_published(self, name: str, number: int) -> lance.LanceDataset | None:
        """Return a table as it was when a published version was derived from it. None if it is not kept so.

        Args:
            name: The table.
            number: The published version.
        """
        dataset = self[name].dataset()
        tag = dataset.tags.list().get(f"{_TAG}{number}")
        return dataset.checkout_version(tag["version"]) if tag else None

    def has_published(self, name: str, number: int) -> bool:
        """Return whether a table is kept as it was when a published version was derived from it.

        Args:
            name: The table.
            number: The published version.
        """
        return f"{_TAG}{number}" in self[name].dataset().tags.list()

    def keep_tags(self, kept: Collection[int]) -> None:
        """Remove the tags of published versions that were pruned, and of versions that were never published."""
        names = {f"{_TAG}{number}" for number in kept}
        for table in self:
            tags = table.dataset().tags
            for name in tags.list():
                if name.startswith(_TAG) and name not in names:
                    tags.delete(name)


_TAG = "warehouse-"
