"""Bringing the facts of an older release up to date, once at the start of a run, and reporting the changes.

What belongs here: all tables at once, and the format of their recipes. What does not: one table (`facts/table.py`), how
recipes are written (`facts/recipes.py`).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestration.facts.facts import Facts
from orchestration.facts.recipes import FORMAT
from orchestration.facts.schemas.tables import EMBEDDINGS, TABLES
from orchestration.facts.table import Change, FactTable

KEPT = ("fingerprinted_shards", "generation_fingerprints", "calibration_embeddings")
"""Tables that are still good under their older recipes (`recipes.older_recipe`)."""
_FORMAT_FILE = "recipe_format"


@dataclass(frozen=True)
class Migration:
    """The changes of a migration.

    Attributes:
        tables: The changed tables, by the kind of change.
        stale: The tables whose recipes have an older format, so that they are computed again.
    """

    tables: Mapping[Change, Sequence[str]] = field(default_factory=dict)
    stale: Sequence[str] = ()

    @property
    def sentences(self) -> list[str]:
        """Sentences for the log. Empty for a warehouse that is new or up to date."""
        told = []
        if evolved := self.tables.get(Change.EVOLVED):
            told.append(f"fact tables of an older release were brought up to date: {', '.join(evolved)}")
        if emptied := self.tables.get(Change.EMPTIED):
            told.append(
                "fact tables of an older release have other keys or types; they were emptied and are computed again: "
                + ", ".join(emptied)
            )
        if self.stale:
            told.append(
                "facts of an older release are computed again once, because recipes have a new format: "
                f"{', '.join(self.stale)}; hashes and embeddings of pictures are kept where the settings are the same"
            )
        return told


def migrate(facts: Facts, tell: Callable[[str], None] = lambda sentence: None) -> Migration:
    """Create the tables that do not exist and bring those of an older release up to date.

    Only the holder of the writer's lock calls this. If it is killed, the next run completes it.

    Args:
        facts: All tables.
        tell: Receives the sentences before anything is changed, so that a run that is killed then has logged them.
    """
    file = facts.folder / _FORMAT_FILE
    current = file.exists() and file.read_text(encoding="utf-8").strip() == str(FORMAT)
    stale = [] if current else _stale(facts)
    tables: defaultdict[Change, list[str]] = defaultdict(list)
    for table in facts:
        if (change := table.due_change) is not Change.NONE:
            tables[change].append(table.name)
    migration = Migration(tables, stale)
    for sentence in migration.sentences:
        tell(sentence)
    for change in (Change.CREATED, Change.EVOLVED, Change.EMPTIED):  # notes are brought up to date before some go
        for name in tables.get(change, ()):
            facts[name].migrate()
    if not current:
        file.write_text(f"{FORMAT}\n", encoding="utf-8")
    return migration


def _stale(facts: Facts) -> list[str]:
    """Return the tables whose rows, or whose notes, have recipes. Vectors count only by a recipe of their own."""
    noted = {table.name for table in facts if table.name not in KEPT and _has_recipe(table)}
    by_notes = {
        name
        for name, definition in TABLES.items()
        if name not in EMBEDDINGS and definition.noted_in and definition.noted_in[0] in noted
    }
    return [table.name for table in facts if table.name in noted | by_notes and table.dataset().count_rows()]


def _has_recipe(table: FactTable) -> bool:
    dataset = table.dataset()
    in_rows = "recipe" in dataset.schema.names and dataset.count_rows(filter="recipe <> ''")
    return bool(table.recipe or in_rows)
