"""The tables of which only some shards are made again, because nothing that the other rows are made of has changed.

What belongs here: which shards of which tables. What does not: comparing facts
(`warehouse/incremental/fact_changes.py`), replacing rows (`warehouse/incremental/replacement.py`), tables without any
change (`warehouse/incremental/unchanged_tables.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestration.facts import Facts
from orchestration.warehouse import grain
from orchestration.warehouse.incremental import fact_changes
from orchestration.warehouse.models import Model


@dataclass
class ShardChanges:
    """What changed in the facts since a version was published, shard by shard; found out as it is asked for.

    Attributes:
        facts: The fact tables.
        published: The number of that version.
        now: The Lance version of each fact table that the next one is made of.
        memory: The most that DuckDB may hold.
        complete: Whether all tables of that version were made of the same facts, so that what changed since is all that
            they lack. Where only some were made, others stayed as an earlier version had them.
    """

    facts: Facts
    published: int
    now: Mapping[str, int]
    memory: str
    complete: bool = True
    _known: dict[str, set[int] | None] = field(default_factory=dict)

    @property
    def comparable(self) -> bool:
        """Whether the facts are those that the version was made of, and later versions of them.

        Facts that were deleted and made again may have the numbers of the old ones.
        """
        return all(self.facts.has_published(name, self.published) for name in self.now)

    def of(self, models: Iterable[Model]) -> dict[str, frozenset[int]]:
        """Return the shards to make again of models of the grain shard, where that can be told.

        A table without a shard to make again is as it was, whatever its facts' versions say.

        Args:
            models: Those of which all that belongs to no shard is unchanged, each after those it reads.
        """
        found: dict[str, frozenset[int]] = {}
        for model in models:
            inputs = [self.of_fact(fact) for fact in map(grain.fact_of, model.inputs) if fact]
            tables = [found.get(name) for name in model.depends_on]
            known = [each for each in (*inputs, *tables) if each is not None]
            if len(known) == len(inputs) + len(tables):
                found[model.name] = frozenset().union(*known)
        return found

    def of_fact(self, table: str) -> set[int] | None:
        """Return the shards of which a fact table says something else. None if that cannot be told.

        Args:
            table: One whose rows belong to shards.
        """
        if table not in self._known:
            older = self.facts.as_published(table, self.published)
            newer = self.facts[table].dataset(self.now[table])
            self._known[table] = (
                None if older is None else fact_changes.changed_shards(table, older, newer, self.memory)
            )
        return self._known[table]
