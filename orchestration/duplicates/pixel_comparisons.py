"""Comparisons of pictures by pixels, kept as facts, so that no pair is compared twice.

What belongs here: looking up stored comparisons, having new ones made, committing them, and the one rule for failures.
What does not: where they are made (`compute/engines.py`), comparing (`transforms/alignment/comparer.py`), which pairs
are worth it (`transforms/duplicates/pairs.py`, `transforms/matches/candidates.py`).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import partial
from itertools import batched
from operator import methodcaller
from typing import Any, NamedTuple

import pyarrow as pa

from orchestration.compute import engines
from orchestration.compute.ray_tasks import Lost
from orchestration.facts import Facts, FactTable
from orchestration.facts.filters import equals, literal
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import DumpGone, StoredPicture, TrainingPictures
from orchestration.settings.sections import Compute
from transforms.alignment.comparer import Comparer, PixelComparison
from transforms.duplicates.pairs import DuplicateThresholds
from transforms.fingerprints.picture_set import Pictures
from transforms.hashing.digest_arrays import of_hex
from transforms.hashing.digest_tables import Lookup

CODE = 4  # raise when two training pictures would compare otherwise
TASK = 8  # comparisons of a task, half a second of work or more
_COMMIT = 500  # comparisons, about a minute of work
_EACH = {"local": 2, "ray": 2 * TASK}  # comparisons a worker that are asked for at once

type Pair = tuple[str, str]
"""The keys of two pictures, by which a table of comparisons knows them."""


class PixelOutcome(NamedTuple):
    """The result of comparing a pair: a JSON text, or why a picture could not be read, and whether its dump is gone."""

    text: str | None
    failure: str | None = None
    waiting: bool = False


@dataclass(frozen=True)
class PicturePair:
    """Two pictures to compare.

    Attributes:
        keys: By which the comparison is stored.
        a: A picture, as the function that compares takes it; other processes must be able to receive it.
        b: Another.
    """

    keys: Pair
    a: Any
    b: Any


def compare_pair(pair: PicturePair, compare: Callable[[Any, Any], object]) -> PixelOutcome:
    """Compare a pair, in whatever process.

    Args:
        pair: The pair.
        compare: Compares two pictures. Its result becomes JSON, and an OSError or ValueError a failure.
    """
    try:
        return PixelOutcome(json.dumps(compare(pair.a, pair.b), separators=(",", ":")))
    except (OSError, ValueError) as error:
        return PixelOutcome(None, str(error), isinstance(error, DumpGone))


class PixelComparisons:
    """Comparisons of one kind, each made once in the life of a warehouse.

    If a picture of a pair cannot be read, or the workers that compare it die, the failure is stored, and the next run
    compares the pair again; a pair that waits for a dump that is gone, once there is reason to. Memory: about 500 bytes
    for each loaded pair.

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
        self._older: dict[Pair, PixelOutcome] = {}  # loaded, and to be made again
        self._under_way: dict[Pair, PixelOutcome | None] = {}  # with what is stored of each
        self._new: dict[Pair, PixelOutcome] = {}
        self._failed: set[Pair] = set()  # in this run
        self.compared = self.failed = self.waiting = 0
        self.changed = False

    def forget_outdated(self) -> None:
        """Delete the comparisons of other recipes."""
        self._table.delete(f"recipe <> {literal(self._recipe)}")

    def load(
        self,
        where: str | None = None,
        keep: Callable[[pa.RecordBatch], pa.Array] | None = None,
        current: Callable[[str | None], bool] | None = None,
    ) -> None:
        """Load the stored comparisons of the recipe, in place of those loaded before.

        Args:
            where: A filter over the table.
            keep: Returns which rows of a batch to load.
            current: Returns whether an outcome needs no second look. The pairs of others are due, and what is stored of
                them stays as long as an image dump is gone.
        """
        self.commit()
        self._held.clear()
        self._older.clear()
        which = equals("recipe", self._recipe) + (f" and {where}" if where else "")
        for batch in self._table.scan(["picture_a", "picture_b", "outcome", "failure", "waiting"], which):
            columns = (batch.filter(keep(batch)) if keep else batch).to_pydict().values()
            for a, b, text, failure, waiting in zip(*columns, strict=True):
                held = self._older if current and not current(text) else self._held
                held[a, b] = PixelOutcome(text, failure, bool(waiting))

    def is_due(self, keys: Pair) -> bool:
        """Return whether a pair has no loaded outcome, or only a failure of an earlier run."""
        before = self._held.get(keys)
        asked = keys in self._failed or keys in self._under_way
        return not asked and (before is None or before.failure is not None)

    def compare(
        self,
        pairs: Iterable[PicturePair],
        compare: Callable[[Any, Any], object],
        compute: Compute,
        size: int = TASK,
        threads: int = 1,
    ) -> None:
        """Compare the pairs that are due. They are read while others are compared, so that few are held.

        Args:
            pairs: Pairs.
            compare: See `compare_pair`. Workers must be able to import it.
            compute: Where.
            size: Pairs of a task.
            threads: Tasks at once in this process.
        """
        tasks = batched(self._begun(pairs), size)
        for pair, found in engines.each(compare_pair, tasks, engines.by_core(compute), (compare,), threads):
            self._add(pair.keys, PixelOutcome(None, str(found)) if isinstance(found, Lost) else found)

    def _begun(self, pairs: Iterable[PicturePair]) -> Iterator[PicturePair]:
        for pair in pairs:
            if self.is_due(pair.keys):
                self._under_way[pair.keys] = self._held.get(pair.keys) or self._older.get(pair.keys)
                yield pair

    def _add(self, keys: Pair, found: PixelOutcome) -> None:
        before = self._under_way.pop(keys)
        self.compared += 1
        if found.waiting and before and before.text is not None:
            self.waiting += 1
            self._held[keys] = before
            return
        self._held[keys] = found
        if found.failure is not None:
            self.failed += not found.waiting
            self.waiting += found.waiting
            self._failed.add(keys)
        if found != before:
            self._new[keys] = found
            self.changed = True
        if len(self._new) >= _COMMIT:
            self.commit()

    def known(self, keys: Pair) -> PixelOutcome:
        """Return the outcome of a pair that is loaded."""
        return self._held[keys]

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
    """Compares training pictures, given by their index among the usable rows.

    Attributes:
        at_once: Pairs to ask for at once, so that all workers are busy.
    """

    def __init__(
        self,
        facts: Facts,
        cut: DuplicateThresholds,
        training_picture: TrainingPictures,
        rows: Pictures,
        compute: Compute,
    ) -> None:
        """Load the comparisons of pictures that the rows show. See `training_comparisons` for the arguments."""
        made_by = recipe("pixel comparisons", CODE, cut.pixels, cut.overlap)
        super().__init__(facts["pixel_comparisons"], made_by)
        self._rows, self._training_picture, self._compute = rows, training_picture, compute
        self._workers = engines.at_once(compute)
        self.at_once = _EACH[compute.engine] * self._workers
        comparer = Comparer[StoredPicture](methodcaller("pixels", training_picture.bounds), cut.pixels)
        self._same = partial(_same, comparer, cut.overlap)
        present = Lookup(rows.pixel_digests)

        def shown(batch: pa.RecordBatch) -> pa.Array:
            a, b = (present.find(of_hex(batch.column(name)))[1] for name in ("picture_a", "picture_b"))
            return pa.array(a & b)

        self.load(keep=shown)

    def __call__(self, pairs: Sequence[tuple[int, int]]) -> list[PixelComparison]:
        """Return whether the two pictures of each pair are the same.

        Args:
            pairs: Pairs of pictures.
        """
        ordered = [self._ordered(*pair) for pair in pairs]
        due = {keys: pair for keys, pair in ordered if self.is_due(keys)}
        ids = {index: int(self._rows.ids[index]) for pair in due.values() for index in pair}
        located = self._training_picture.locate(ids.values())
        named = [PicturePair(keys, located[ids[a]], located[ids[b]]) for keys, (a, b) in due.items()]
        size = max(1, min(TASK, -(-len(named) // (2 * self._workers))))
        self.compare(named, self._same, self._compute, size, self._workers)
        return [_comparison(self.known(keys)) for keys, _ in ordered]

    def _ordered(self, a: int, b: int) -> tuple[Pair, tuple[int, int]]:
        """Return a pair always in one order: which picture is laid over which may change the measurements."""
        keys = self._digest(a), self._digest(b)
        return (keys, (a, b)) if keys[0] <= keys[1] else (keys[::-1], (b, a))

    def _digest(self, index: int) -> str:
        return self._rows.pixel_digest(index).tobytes().hex()


def _same(comparer: Comparer[StoredPicture], overlap: float, a: StoredPicture, b: StoredPicture) -> tuple[object, ...]:
    return astuple(comparer.same(a, b, overlap))[:-1]


def _comparison(outcome: PixelOutcome) -> PixelComparison:
    if outcome.text is None:
        return PixelComparison(same=False, failure=outcome.failure)
    return PixelComparison(*json.loads(outcome.text))


@contextmanager
def training_comparisons(
    facts: Facts, cut: DuplicateThresholds, training_picture: TrainingPictures, pictures: Pictures, compute: Compute
) -> Iterator[TrainingComparisons]:
    """Compare training pictures inside this context, and commit at its end, even after an error.

    Args:
        facts: The fact tables.
        cut: When two pictures are the same.
        training_picture: Reads the pixels of a row.
        pictures: The usable rows. Comparisons of other pictures are not loaded.
        compute: Where pictures are compared.
    """
    comparisons = TrainingComparisons(facts, cut, training_picture, pictures, compute)
    comparisons.forget_outdated()
    try:
        yield comparisons
    finally:
        comparisons.commit()
