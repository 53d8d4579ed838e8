"""Joins that grow with the dataset: new fingerprints are joined with all, old ones never again.

What belongs here: the record of joined fingerprints, the order of commits, and the notes of joins. What does not: the
joins (`duplicates/copy_joins.py`, `transforms/joins/`), the meaning of their pairs (`transforms/duplicates/pairs.py`).

Three tables hold a join. `joined_*` lists the joined fingerprints, `near_*` holds their pairs, and each row of both
names the join that wrote it. `joins` holds one note a join, written last. So rows without a note are left over from a
killed run, and `IncrementalJoin.repair` deletes them. Pairs are keyed by fingerprints, not by training rows.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.facts import Facts, FactTable
from orchestration.facts.filters import equals, is_in
from orchestration.progress import say
from transforms.duplicates.pairs import NearPairs
from transforms.hashing import digest_arrays
from transforms.hashing.digest_arrays import PickedDigests
from transforms.hashing.digest_tables import Lookup
from transforms.readable import count

Indices = npt.NDArray[np.integer]
_WRITTEN = 1 << 18  # fingerprints written at once
_JOURNAL_ID = 0  # joins are numbered from 1: the row of this number says that fingerprints are being forgotten


@dataclass(frozen=True)
class JoinKind:
    """What is joined, and the tables that hold it.

    Attributes:
        name: The kind of a note in `joins`.
        joined: Table of the fingerprints that were joined.
        column: The column of the fingerprint in it.
        near: Table of the pairs.
        ends: The columns of the two fingerprints in it.
        measure: The column of their distance or similarity.
    """

    name: str
    joined: str
    column: str
    near: str
    ends: tuple[str, str]
    measure: str


HASHES = JoinKind("hashes", "joined_hashes", "pdq", "near_hashes", ("pdq_a", "pdq_b"), "distance")
PICTURES = JoinKind(
    "pictures", "joined_pictures", "pixel_sha256", "near_pictures", ("pixel_a", "pixel_b"), "copy_score"
)


@dataclass(frozen=True)
class JoinNote:
    """How a join was computed. `recall` is the measured share of all pairs that it finds, if it is not exact."""

    recipe: str
    threshold: float
    exact: bool = True
    recall: float | None = None
    recall_low: float | None = None
    recall_high: float | None = None
    recall_pairs: int | None = None


@dataclass(frozen=True)
class JoinedBlock:
    """Some pairs of near fingerprints, by index; `measure` holds differing bits, or cosines."""

    left: Indices
    right: Indices
    measure: npt.NDArray[np.floating] | npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Backlog:
    """The remaining work of a join.

    Attributes:
        values: All fingerprints.
        new: Indices of those that were never joined, uint32.
        old: Indices of the others, which were joined before, uint32.
        began: `time.monotonic()` at the start of the work.
    """

    values: PickedDigests
    new: Indices
    old: Indices
    began: float


class IncrementalJoin:
    """The join of one kind of fingerprint in a warehouse. Constructing it only reads.

    Call `repair` before anything is joined.
    """

    def __init__(self, facts: Facts, kind: JoinKind, recipes: Collection[str], state: str) -> None:
        """Open the tables of a join.

        Args:
            facts: The fact tables.
            kind: What is joined.
            recipes: Recipes that are valid under the current settings. Joins by other recipes are forgotten.
            state: Recipe of the current fingerprints and of the join.
        """
        self.kind, self._facts, self._recipes, self._state = kind, facts, recipes, state
        self._notes, self._joined, self._near = facts["joins"], facts[kind.joined], facts[kind.near]
        self._forgetting = f"forgetting {kind.name}"

    @property
    def current(self) -> bool:
        """Whether all fingerprints are joined, so they need not be read."""
        return self._joined.recipe == self._state

    def notes(self) -> list[dict]:
        """Return the notes of all joins, oldest first."""
        return _notes(self._facts, self.kind)

    def repair(self) -> None:
        """Finish or undo what a killed run left, and forget joins that the current settings exclude."""
        if self._notes.dataset().count_rows(filter=equals("kind", self._forgetting)):
            self._forget_pairs(Lookup(self._joined_values()))
        if not all(note["recipe"] in self._recipes for note in self.notes()):
            self._begin_anew()
        self._drop_unnoted()
        if not self._adds_up():  # a table was lost, or is of an older release
            self._begin_anew()
            self._drop_unnoted()

    def backlog(self, values: PickedDigests) -> Backlog:
        """Return which fingerprints are not joined yet, and forget joined ones that no longer exist.

        Args:
            values: All fingerprints, without repeats.
        """
        known = np.zeros(len(values), np.bool_)
        lookup, gone = Lookup(values), False
        for batch in self._joined.scan([self.kind.column]):
            index, present = lookup.find(digest_arrays.rows(batch.column(0)))
            known[index[present]] = True
            gone |= not present.all()
        if gone:
            self._forget(lookup)
        new, old = (np.flatnonzero(each).astype(np.uint32) for each in (~known, known))
        return Backlog(values, new, old, time.monotonic())

    def add(self, work: Backlog, how: JoinNote, blocks: Iterable[JoinedBlock]) -> None:
        """Commit the pairs of new fingerprints, then the fingerprints, then the note.

        Args:
            work: What `backlog` returned.
            how: How the pairs are found.
            blocks: The pairs of new fingerprints with each other and with old ones, streamed.
        """
        number = 1 + max((note["join_id"] for note in self.notes()), default=_JOURNAL_ID)
        pairs = self._near.append(self._pair_rows(number, work.values, blocks))
        parts = (work.new[start : start + _WRITTEN] for start in range(0, len(work.new), _WRITTEN))
        self._joined.append(_batch(self._joined, number, work.values[part]) for part in parts)
        note = asdict(how) | {"join_id": number, "kind": self.kind.name, "new": len(work.new), "old": len(work.old)}
        note |= {"pairs": pairs, "seconds": time.monotonic() - work.began}
        self._notes.upsert(pa.Table.from_pylist([note], self._notes.schema))
        say(f"joined {self.kind.name}: {len(work.new):,} new with {len(work.old):,} known, {count(pairs, 'pair')}")

    def settle(self) -> None:
        """Note that all fingerprints are joined."""
        if not self.current:
            self._joined.note_recipe(self._state)

    def _begin_anew(self) -> None:
        self._joined.forget_recipe()
        self._notes.delete(equals("kind", self.kind.name))

    def _drop_unnoted(self) -> None:
        unnoted = f"not ({_of_notes(self.notes())})"
        tables = [table for table in (self._near, self._joined) if table.dataset().count_rows(filter=unnoted)]
        if tables:
            self._joined.forget_recipe()
        for table in tables:
            table.delete(unnoted)

    def _adds_up(self) -> bool:
        """Return whether the tables hold as many rows as the notes count."""
        notes = self.notes()
        counted = sum(note["new"] for note in notes), sum(note["pairs"] for note in notes)
        return counted == tuple(table.dataset().count_rows() for table in (self._joined, self._near))

    def _joined_values(self) -> digest_arrays.Rows:
        parts = [digest_arrays.rows(batch.column(0)) for batch in self._joined.scan([self.kind.column])]
        return np.concatenate([np.empty((0, digest_arrays.BYTES), np.uint8), *parts])

    def _forget(self, present: Lookup) -> None:
        """Forget fingerprints that no longer exist: first the list, then their pairs, then the counts in the notes.

        A journal row marks the start. If the run is killed, the row stays, and `repair` continues.
        """
        journal = [{"join_id": _JOURNAL_ID, "kind": self._forgetting}]
        self._notes.upsert(pa.Table.from_pylist(journal, self._notes.schema))
        _keep(self._joined, (self.kind.column,), present)
        self._forget_pairs(present)

    def _forget_pairs(self, present: Lookup) -> None:
        _keep(self._near, self.kind.ends, present)
        new, pairs = (Counter(table.counts("join_id")) for table in (self._joined, self._near))
        notes = [
            note | {"new": new[note["join_id"]], "old": min(note["old"], new.total()), "pairs": pairs[note["join_id"]]}
            for note in self.notes()
        ]
        self._notes.upsert(pa.Table.from_pylist(notes, self._notes.schema))
        self._notes.delete(equals("kind", self._forgetting))

    def _pair_rows(self, number: int, values: PickedDigests, blocks: Iterable[JoinedBlock]) -> Iterator[pa.RecordBatch]:
        for block in blocks:
            if len(block.left):
                yield _batch(self._near, number, *_ascending(values[block.left], values[block.right]), block.measure)


def near_pairs(facts: Facts, kind: JoinKind) -> Iterator[NearPairs]:
    """Stream the pairs of all joins that have a note. This only reads.

    Args:
        facts: The fact tables.
        kind: What was joined.
    """
    for batch in facts[kind.near].scan([*kind.ends, kind.measure], _of_notes(_notes(facts, kind))):
        a, b, measure = batch.columns
        yield NearPairs(digest_arrays.rows(a), digest_arrays.rows(b), measure.to_numpy().astype(np.float64))


def _notes(facts: Facts, kind: JoinKind) -> list[dict]:
    return facts["joins"].read(where=equals("kind", kind.name)).sort_by("join_id").to_pylist()


def _of_notes(notes: list[dict]) -> str:
    """Return the filter for rows of joins that have a note."""
    return is_in("join_id", [note["join_id"] for note in notes])


def _batch(table: FactTable, number: int, *columns: np.ndarray) -> pa.RecordBatch:
    """Return rows of a join: its number, then columns in the table's order."""
    arrays = [pa.array(np.full(len(columns[0]), number, np.int64))]
    for field, column in zip(list(table.schema)[1:], columns, strict=True):
        arrays.append(digest_arrays.column(column) if column.ndim == 2 else pa.array(column).cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)


def _ascending(a: digest_arrays.Rows, b: digest_arrays.Rows) -> tuple[digest_arrays.Rows, digest_arrays.Rows]:
    """Return the ends of pairs with the lower fingerprint first, in whatever order they were joined."""
    higher, open_ = np.zeros(len(a), np.bool_), np.ones(len(a), np.bool_)
    for one, other in zip(*(np.ascontiguousarray(each).view(">u8").T for each in (a, b)), strict=True):
        higher |= open_ & (one > other)
        open_ &= one == other
    return np.where(higher[:, None], b, a), np.where(higher[:, None], a, b)


def _keep(table: FactTable, ends: tuple[str, ...], present: Lookup) -> None:
    """Rewrite a table without the rows of fingerprints that no longer exist."""

    def kept_rows() -> Iterator[pa.Table]:
        for batch in table.scan(table.schema.names):
            known = [present.find(digest_arrays.rows(batch.column(end)))[1] for end in ends]
            yield pa.Table.from_batches([batch]).filter(pa.array(np.logical_and.reduce(known)))

    table.replace(kept_rows(), "")
