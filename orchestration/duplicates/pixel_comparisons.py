"""Comparisons of pictures by pixels, kept as facts, so that no pair is compared twice.

What belongs here: looking up stored comparisons, committing new ones, and the one rule for failures. What does not:
comparing (`transforms/alignment/comparer.py`), which pairs are worth it (`transforms/duplicates/pairs.py`,
`transforms/matches/candidates.py`).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from threading import Lock
from typing import NamedTuple

import pyarrow as pa

from orchestration.facts import Facts, FactTable
from orchestration.facts.filters import equals, literal
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import DumpGone, TrainingPictures
from transforms.alignment.comparer import Comparer, PixelComparison
from transforms.duplicates.pairs import DuplicateThresholds
from transforms.fingerprints.picture_set import Pictures
from transforms.hashing.digest_arrays import of_hex
from transforms.hashing.digest_tables import Lookup

CODE = 4  # raise when two training pictures would compare otherwise
_COMMIT = 500  # comparisons, about a minute of work

type Pair = tuple[str, str]
"""The keys of two pictures, by which a table of comparisons knows them."""


class PixelOutcome(NamedTuple):
    """The result of comparing a pair: a JSON text, or why a picture could not be read, and whether its dump is gone."""

    text: str | None
    failure: str | None = None
    waiting: bool = False


class PixelComparisons:
    """Comparisons of one kind, each made once in the life of a warehouse. Several threads may use it.

    If a picture of a pair cannot be read, the failure is stored, and the next run compares the pair again; a pair that
    waits for a dump that is gone, once there is reason to. Memory: about 500 bytes for each loaded pair.

    Attributes:
        compared: Comparisons made in this run.
        failed: Of these, those in which a picture could not be read, which the next run tries again.
        waiting: Of these, those for which an image dump is gone.
        changed: Whether a result differs from the stored one.
    """

    def __init__(self, table: FactTable, made_by: str, dependents: Sequence[FactTable] = ()) -> None:
        """Open the comparisons without loading any.

        Args:
            table: With the columns `picture_a`, `picture_b`, `recipe`, `outcome` and `failure`.
            made_by: The recipe of an outcome.
            dependents: Tables that are made of outcomes. They are marked stale before an outcome is written, so that a
                run killed before it replaced them does not leave them as if nothing had changed.
        """
        self._table, self._recipe, self._dependents = table, made_by, dependents
        self._held: dict[Pair, PixelOutcome] = {}
        self._new: dict[Pair, PixelOutcome] = {}
        self._failed: set[Pair] = set()  # in this run
        self._lock = Lock()
        self.compared = self.failed = self.waiting = 0
        self.changed = False

    def forget_outdated(self) -> None:
        """Delete the comparisons of other recipes."""
        self._table.delete(f"recipe <> {literal(self._recipe)}")

    def load(self, where: str | None = None, keep: Callable[[pa.RecordBatch], pa.Array] | None = None) -> None:
        """Load the stored comparisons of the recipe, in place of those loaded before.

        Args:
            where: A filter over the table.
            keep: Returns which rows of a batch to load.
        """
        self.commit()
        self._held.clear()
        current = equals("recipe", self._recipe) + (f" and {where}" if where else "")
        for batch in self._table.scan(["picture_a", "picture_b", "outcome", "failure", "waiting"], current):
            columns = (batch.filter(keep(batch)) if keep else batch).to_pydict().values()
            for a, b, text, failure, waiting in zip(*columns, strict=True):
                self._held[a, b] = PixelOutcome(text, failure, bool(waiting))

    def outcome[*Names](self, pair: Pair, compare: Callable[[*Names], object], *names: *Names) -> PixelOutcome:
        """Return the outcome of a pair: the loaded one, or that of a comparison made now.

        Args:
            pair: The pictures.
            compare: Compares them. Its result is stored as JSON, and an OSError or ValueError as a failure.
            *names: The pictures as `compare` names them.
        """
        before = self._held.get(pair)
        if before is not None and (before.failure is None or pair in self._failed):
            return before
        try:
            found = PixelOutcome(json.dumps(compare(*names), separators=(",", ":")))
        except (OSError, ValueError) as error:
            found = PixelOutcome(None, str(error), isinstance(error, DumpGone))
        with self._lock:
            self.compared += 1
            self._held[pair] = found
            if found.failure is not None:
                self.failed += not found.waiting
                self.waiting += found.waiting
                self._failed.add(pair)
            if found != before:
                self._new[pair] = found
                self.changed = True
            if len(self._new) >= _COMMIT:
                self.commit()
        return found

    def known(self, pair: Pair) -> PixelOutcome:
        """Return the outcome of a pair that is loaded."""
        return self._held[pair]

    def commit(self) -> None:
        """Write the comparisons made since the last commit."""
        rows = [
            {"picture_a": a, "picture_b": b, "recipe": self._recipe, **found._asdict(), "outcome": found.text}
            for (a, b), found in self._new.items()
        ]
        for each in self._dependents if rows else ():
            each.forget_recipe()
        self._table.upsert(pa.Table.from_pylist(rows, self._table.schema))
        self._new.clear()

    def close(self) -> None:
        """Commit, and delete the failures of pairs that this run did not request."""
        self.commit()
        stored = self._table.read(["picture_a", "picture_b"], "failure is not null").to_pydict().values()
        for a, b in set(zip(*stored, strict=True)) - self._failed:
            self._table.delete(f"{equals('picture_a', a)} and {equals('picture_b', b)}")


def failures(table: FactTable) -> int:
    """Count the pairs of a table that could not be compared and that the next run tries again."""
    return int(table.dataset().count_rows(filter="failure is not null and (waiting is null or not waiting)"))


class TrainingComparisons(PixelComparisons):
    """Compares training pictures, given by their index among the usable rows."""

    def __init__(
        self, facts: Facts, cut: DuplicateThresholds, training_picture: TrainingPictures, rows: Pictures
    ) -> None:
        """Load the comparisons of pictures that the rows show. See `comparing` for the arguments."""
        made_by = recipe("pixel comparisons", CODE, cut.pixels, cut.overlap)
        super().__init__(facts["pixel_comparisons"], made_by)
        self._rows, self._overlap, self._comparer = rows, cut.overlap, Comparer(training_picture, cut.pixels)
        present = Lookup(rows.pixel_digests)

        def shown(batch: pa.RecordBatch) -> pa.Array:
            a, b = (present.find(of_hex(batch.column(name)))[1] for name in ("picture_a", "picture_b"))
            return pa.array(a & b)

        self.load(keep=shown)

    def __call__(self, a: int, b: int) -> PixelComparison:
        """Return whether two pictures are the same.

        Args:
            a: A picture.
            b: Another.
        """
        pair = self._digest(a), self._digest(b)
        if pair[0] > pair[1]:  # always in one order: which picture is laid over which may change the measurements
            pair, a, b = pair[::-1], b, a
        text, failure, _ = self.outcome(pair, self._compare, a, b)
        return PixelComparison(same=False, failure=failure) if text is None else PixelComparison(*json.loads(text))

    def _compare(self, a: int, b: int) -> tuple[object, ...]:
        found = self._comparer.same(int(self._rows.ids[a]), int(self._rows.ids[b]), self._overlap)
        return astuple(found)[:-1]

    def _digest(self, index: int) -> str:
        return self._rows.pixel_digest(index).tobytes().hex()


@contextmanager
def training_comparisons(
    facts: Facts, cut: DuplicateThresholds, training_picture: TrainingPictures, pictures: Pictures
) -> Iterator[TrainingComparisons]:
    """Compare training pictures inside this context, and commit at its end, even after an error.

    Args:
        facts: The fact tables.
        cut: When two pictures are the same.
        training_picture: Reads the pixels of a row.
        pictures: The usable rows. Comparisons of other pictures are not loaded.
    """
    comparisons = TrainingComparisons(facts, cut, training_picture, pictures)
    comparisons.forget_outdated()
    try:
        yield comparisons
    finally:
        comparisons.commit()
