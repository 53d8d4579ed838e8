"""Joins of what is new with everything, kept as facts: a new shard costs new × old, never old × old again.

What belongs here: which fingerprints were compared before, the order of commits, and the note of a join. What does not:
the joins (`transforms/joins/hamming/join.py`, `joins/cosine/join.py`), what their pairs mean
(`transforms/duplicates/pairs.py`).

Pairs are keyed by the fingerprints themselves, whichever rows have them. All pairs among the joined fingerprints are
known, and a note counts those that are there. A run that is killed before its note leaves pairs that nobody counts, and
one that is killed while it forgets fingerprints leaves a note that it does; the next run tidies up.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.facts import Facts, FactTable
from orchestration.progress import say
from orchestration.runtime.resources import Warehouse
from transforms.duplicates.pairs import NearPairs
from transforms.hashing import digest_arrays

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class JoinKind:
    """What is joined: `joined` notes the fingerprints that were compared, `near` holds the pairs."""

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
    """How a join was made. recall: the share of all pairs that it was measured to find, where it is not exact."""

    recipe: str
    threshold: float
    exact: bool = True
    recall: float | None = None
    recall_low: float | None = None
    recall_high: float | None = None
    recall_pairs: int | None = None


@dataclass(frozen=True)
class JoinedBlock:
    """Near fingerprints, by their places among all. measure: differing bits, or cosine."""

    left: Positions
    right: Positions
    measure: npt.NDArray[np.floating] | npt.NDArray[np.uint8]


# Takes the places of the new and of the known fingerprints; returns how it joins them, and the pairs.
type Joiner = Callable[[Positions, Positions], tuple[JoinNote, Iterable[JoinedBlock]]]


class Joined:
    """The joins of one kind in a warehouse.

    usable: tells whether a noted join is one that the settings would still make; if one is not, all is joined anew.
    """

    def __init__(self, warehouse: Warehouse, kind: JoinKind, usable: Callable[[dict], bool]) -> None:
        self.kind, self._facts = kind, warehouse.facts
        self._notes = warehouse.facts["joins"]
        self._joined, self._near = warehouse.facts[kind.joined], warehouse.facts[kind.near]
        if self._notes.dataset().count_rows(filter=f"kind = '{self._forgetting}'"):
            self._forget_pairs(digest_arrays.Lookup(self._known()))
        if not all(usable(note) for note in self.notes()):
            self._begin_anew()
        self._drop_unnoted()
        if not self._adds_up():  # a table that was lost, or is of an older release
            self._begin_anew()
            self._drop_unnoted()

    def _begin_anew(self) -> None:
        self._joined.forget_recipe()
        self._notes.delete(f"kind = '{self.kind.name}'")

    def _drop_unnoted(self) -> None:
        unnoted = f"not ({_of_noted(self.notes())})"
        tables = [table for table in (self._near, self._joined) if table.dataset().count_rows(filter=unnoted)]
        if tables:
            self._joined.forget_recipe()
        for table in tables:
            table.delete(unnoted)

    def _adds_up(self) -> bool:
        noted = [(note["new"], note["pairs"]) for note in self.notes()]
        there = tuple(table.dataset().count_rows() for table in (self._joined, self._near))
        return tuple(map(sum, zip(*noted, strict=True))) == there if noted else there == (0, 0)

    @property
    def _forgetting(self) -> str:
        return f"forgetting {self.kind.name}"

    def _known(self) -> digest_arrays.Rows:
        parts = [digest_arrays.rows(batch.column(0)) for batch in self._joined.scan([self.kind.column])]
        return np.concatenate([np.empty((0, digest_arrays.BYTES), np.uint8), *parts])

    def _forget(self, lookup: digest_arrays.Lookup) -> None:
        """Forget the fingerprints that are not there any more: what was joined first, then pairs, then counts."""
        mark = [{"join_id": 0, "kind": self._forgetting}]
        self._notes.upsert(pa.Table.from_pylist(mark, self._notes.schema))
        _keep(self._joined, (self.kind.column,), lookup)
        self._forget_pairs(lookup)

    def _forget_pairs(self, lookup: digest_arrays.Lookup) -> None:
        _keep(self._near, self.kind.ends, lookup)
        new, pairs = (Counter(table.counts("join_id")) for table in (self._joined, self._near))
        notes = [
            note | {"new": new[note["join_id"]], "old": min(note["old"], new.total()), "pairs": pairs[note["join_id"]]}
            for note in self.notes()
        ]
        self._notes.upsert(pa.Table.from_pylist(notes, self._notes.schema))
        self._notes.delete(f"kind = '{self._forgetting}'")

    def current(self, made_by: str) -> bool:
        """Tell whether all is joined: of these fingerprints, by these settings, as `settle` noted."""
        return self._joined.recipe == made_by

    def settle(self, made_by: str) -> None:
        """Note that all is joined, so that fingerprints that did not change are not even read."""
        if not self.current(made_by):
            self._joined.note_recipe(made_by)

    def notes(self) -> list[dict]:
        """Return the joins that were made."""
        return _noted(self._facts, self.kind)

    def extend(self, values: digest_arrays.Rows, join: Joiner) -> int:
        """Join the fingerprints that were not joined before, with each other and with the rest. Returns how many.

        values: uint8 (n, 32), without repeats: those that rows have now. What no row has any more is forgotten.
        """
        known = np.zeros(len(values), np.bool_)
        lookup, gone = digest_arrays.Lookup(values), False
        for batch in self._joined.scan([self.kind.column]):
            place, there = lookup.find(digest_arrays.rows(batch.column(0)))
            known[place[there]] = True
            gone |= not there.all()
        if gone:
            self._forget(lookup)
        fresh, rest = np.flatnonzero(~known), np.flatnonzero(known)
        if not len(fresh):
            return 0
        began = time.monotonic()
        number = 1 + max((note["join_id"] for note in self.notes()), default=0)
        made, found = join(fresh, rest)
        pairs = self._near.append(self._pairs(number, values, found))
        self._joined.append([_batch(self._joined, number, values[fresh])])
        note = asdict(made) | {"join_id": number, "kind": self.kind.name, "new": len(fresh), "old": len(rest)}
        note |= {"pairs": pairs, "seconds": time.monotonic() - began}
        self._notes.upsert(pa.Table.from_pylist([note], self._notes.schema))
        say(f"joined {self.kind.name}: {len(fresh):,} new with {len(rest):,} known, {pairs:,} pairs")
        return len(fresh)

    def _pairs(self, number: int, values: digest_arrays.Rows, found: Iterable[JoinedBlock]) -> Iterator[pa.RecordBatch]:
        for part in found:
            if len(part.left):
                yield _batch(self._near, number, values[part.left], values[part.right], part.measure)


def near_pairs(facts: Facts, kind: JoinKind) -> Iterator[NearPairs]:
    """Stream the pairs of all joins that were noted. Nothing is tidied up: this only reads."""
    for batch in facts[kind.near].scan([*kind.ends, kind.measure], _of_noted(_noted(facts, kind))):
        a, b, measure = batch.columns
        yield NearPairs(digest_arrays.rows(a), digest_arrays.rows(b), measure.to_numpy().astype(np.float64))


def _noted(facts: Facts, kind: JoinKind) -> list[dict]:
    return facts["joins"].read(where=f"kind = '{kind.name}'").sort_by("join_id").to_pylist()


def _of_noted(notes: list[dict]) -> str:
    return f"join_id in ({', '.join(['-1', *(str(note['join_id']) for note in notes)])})"  # never empty


def _batch(table: FactTable, number: int, *columns: np.ndarray) -> pa.RecordBatch:
    """Return rows of a join: its number, then columns in the table's order."""
    arrays = [pa.array(np.full(len(columns[0]), number, np.int64))]
    for field, column in zip(list(table.schema)[1:], columns, strict=True):
        arrays.append(digest_arrays.column(column) if column.ndim == 2 else pa.array(column).cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)


def _keep(table: FactTable, ends: tuple[str, ...], lookup: digest_arrays.Lookup) -> None:
    """Rewrite a table without the rows that name a fingerprint which is not there any more."""

    def kept() -> Iterator[pa.Table]:
        for batch in table.scan(table.schema.names):
            there = [lookup.find(digest_arrays.rows(batch.column(end)))[1] for end in ends]
            yield pa.Table.from_batches([batch]).filter(pa.array(np.logical_and.reduce(there)))

    table.replace(kept(), "")
