"""Files and members that were found and did not become rows, with the reason of each.

What belongs here: counting them by place and reason. What does not: deciding what is taken (`dumps/`,
`generations/`), or keeping the counts (`orchestration/catalog/`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

_LONGEST = 1_000  # characters of an example, which may come from anywhere
EXAMPLES = 5
"""Names that are kept for each place and reason."""


@dataclass(frozen=True)
class NotTaken:
    """Files of one place that were not taken for one reason: a row of `catalog.not_taken`.

    Attributes:
        place: The tar, parquet or folder they were found in, as the settings name it.
        reason: Why, in plain words, without names, so that equal reasons add up.
        files: How many.
        examples: The first of their names, at most EXAMPLES.
    """

    place: str
    reason: str
    files: int
    examples: tuple[str, ...]


@dataclass
class NotTakenCounts:
    """Counts what was not taken while places are listed. Memory: a few names for each place and reason."""

    _counts: dict[tuple[str, str], int] = field(default_factory=dict)
    _examples: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, place: str, reason: str, *names: str) -> None:
        """Count files that were not taken.

        Args:
            place: Where they were found.
            reason: Why they were not taken.
            names: Their names.
        """
        self._counts[place, reason] = self._counts.get((place, reason), 0) + len(names)
        examples = self._examples.setdefault((place, reason), [])
        examples += [name[:_LONGEST] for name in names[: EXAMPLES - len(examples)]]

    def include(self, others: Iterable[NotTaken]) -> None:
        """Add counts that were made elsewhere."""
        for each in others:
            at = each.place, each.reason
            self._counts[at] = self._counts.get(at, 0) + each.files
            examples = self._examples.setdefault(at, [])
            examples += each.examples[: EXAMPLES - len(examples)]

    def counts(self) -> list[NotTaken]:
        """Return one value for each place and reason, in order."""
        return [NotTaken(*at, self._counts[at], tuple(self._examples[at])) for at in sorted(self._counts)]
