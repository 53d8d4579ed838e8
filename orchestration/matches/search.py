"""Searching the training pictures with the generations: what is new on either side, in bounded memory.

What belongs here: reading both sides, and which of them have to meet. What does not: what was met before
(`matches/kept_lists.py`), the search itself (`transforms/matches/search.py`), what is found by it
(`transforms/matches/candidates.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.facts.recipes import recipe
from orchestration.fingerprints import stored_vectors
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.matches.kept_lists import Lists, Searched, stretch
from orchestration.progress import track
from orchestration.runtime.resources import Warehouse
from transforms.fingerprints.fingerprint import OK
from transforms.fingerprints.picture_set import Pictures
from transforms.hashing.hashes import from_hex
from transforms.matches import candidates, neighbour_lists, search
from transforms.matches.candidates import Cut, Query, Training
from transforms.matches.neighbour_lists import FIRST, MOST, Floor, Near, extended, last, next_size, size

CODE = 1  # raise when the same fingerprints would give other lists
_BYTES = 4  # of a number of a vector
_LISTED = 24 * neighbour_lists.MOST  # bytes of a list at most

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """The training pictures that are searched. rows: their vectors as stored; number: int64, of each stored vector."""

    known: Pictures
    training: Training
    rows: StoredVectors
    number: Numbers
    number_of: Numbers  # of each usable row

    @classmethod
    def read(cls, warehouse: Warehouse, known: Pictures) -> "Pool":
        """Return the different pictures, numbered. Raises as `vectors.stored`."""
        rows, owner = stored_vectors.stored(warehouse.facts, warehouse.encoder().id, known)
        words = np.ascontiguousarray(known.pixel_digests).view(">u8").reshape(-1, 4)
        order = np.lexsort(words.T[::-1])  # the first word counts most
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        number_of = rank[np.searchsorted(known.distinct, known.pixels_group)]
        chosen = known.distinct[order]
        cluster = np.arange(len(order))
        for batch in warehouse.facts["cluster_members"].scan(["sample_id", "representative_id"]):
            member, head = (number_of[np.searchsorted(known.ids, column.to_numpy())] for column in batch.columns)
            cluster[member] = head
        training = Training(
            known.ids[chosen], known.pixel_digests[order], cluster, known.comparable[chosen], known.pdq[chosen]
        )
        return cls(known, training, rows, rank[owner], number_of)

    @cached_property
    def places(self) -> Numbers:
        """Where the vector of each picture is stored, by number."""
        places = np.empty(len(self.number), np.int64)
        places[self.number] = np.arange(len(self.number))
        return places

    def heads(self) -> tuple[StoredVectors, Numbers]:
        """Return one vector a cluster, and the numbers of their pictures."""
        places = np.sort(self.places[self.training.heads])
        return self.rows.part(places), self.number[places]

    def numbers(self, sample_ids: Sequence[int]) -> list[int | None]:
        """Return the number of the picture of each row, None for those without a usable one."""
        wanted = np.array(sample_ids, np.uint64)
        if not len(self.known.ids):
            return [None] * len(wanted)
        place = np.searchsorted(self.known.ids, wanted).clip(max=len(self.known.ids) - 1)
        there = self.known.ids[place] == wanted
        return [int(self.number_of[p]) if t else None for p, t in zip(place, there, strict=True)]


@dataclass(frozen=True)
class Now:
    """How much a run searched: generations against all pictures, and pictures that met all generations."""

    generations: int = 0
    pictures: int = 0


class Search:
    """The generations of a warehouse against its training pictures."""

    def __init__(self, warehouse: Warehouse, pool: Pool, cut: Cut) -> None:
        self._warehouse, self._pool, self._cut = warehouse, pool, cut
        self.searched = Searched(warehouse.facts, pool.training.digests)
        self._views = [view.name for view in warehouse.views]
        columns = ["generation_id", "sha256", "pixel_sha256", "status", "dihedral_pdq", "recipe", "encoder", "path"]
        table = warehouse.facts["generation_fingerprints"].read(columns, "status <> 'failed'")
        for other in table["encoder"].unique().to_pylist():
            warehouse.encoder().id.require(other)
        self.readable = table.sort_by("generation_id")

    def batches(self) -> Iterator[pa.Table]:
        """Yield the generations that can be searched, some at once, so that a batch fits into the memory of a join."""
        held = len(self._views) * self._warehouse.encoder().id.dimension * _BYTES + _LISTED
        size = max(1, int(self._warehouse.settings.joins.memory) // 4 // held)
        for start in range(0, len(self.readable), size):
            yield self.readable.slice(start, size)

    def recipes(self, batch: pa.Table) -> dict[str, str]:
        """Return what the lists of some generations are made by."""
        fixed = (CODE, self._warehouse.encoder_id(COPY), self._cut.pdq, self._warehouse.rules.pdq_quality)
        names, made_by = (batch[name].to_pylist() for name in ("generation_id", "recipe"))
        return {name: recipe("neighbour lists", *fixed, made) for name, made in zip(names, made_by, strict=True)}

    def run(self) -> Now:
        """Bring all lists up to date with the training pictures."""
        self.searched.forget_others(self.readable["generation_id"].to_pylist())
        new = self.searched.begin()
        count = 0
        for batch in track(self.batches(), "searching generations", len(self.readable), len):
            count += self._update(batch, new)
        self.searched.end(new)
        return Now(count, len(new))

    def _update(self, batch: pa.Table, new: Numbers) -> int:
        recipes, queries = self.recipes(batch), {query.generation_id: query for query in queries_of(batch)}
        lists = self.searched.read(recipes)
        changed = self._extended(lists, queries, new) if lists and len(new) else {}
        lists |= changed
        count = 0
        while due := [name for name in queries if name not in lists or not self._suffices(*lists[name])]:
            most = max(next_size(lists[name][0]) if name in lists else FIRST for name in due)
            found = self._against([queries[name] for name in due], np.arange(len(self._pool.training.ids)), most)
            lists |= found
            changed |= found
            count += len(due)
        self.searched.write(changed, recipes)
        return count

    def _suffices(self, near: Near, alike: Near) -> bool:
        enough = neighbour_lists.suffices(near, self._pool.training.cluster, self._cut.wanted)
        return enough and (alike.floor is None or len(alike) >= MOST)

    def _extended(self, lists: Mapping[str, Lists], queries: Mapping[str, Query], new: Numbers) -> dict[str, Lists]:
        """Let generations meet new pictures. Returns the lists that it changed."""
        asked = [query for name, query in queries.items() if name in lists]
        floors = [lists[query.generation_id][0].floor for query in asked]
        sizes = {name: size(near) for name, (near, _) in lists.items()}
        found = self._against(asked, new, max(sizes.values()), floors)
        changed = {}
        for name, (near, alike) in found.items():
            before, digests = lists[name], self._pool.training.digests
            after = extended(before[0], near, digests, sizes[name]), extended(before[1], alike, digests, MOST)
            if any(was.number.tolist() != now.number.tolist() for was, now in zip(before, after, strict=True)):
                changed[name] = after
        return changed

    def _against(
        self, queries: Sequence[Query], numbers: Numbers, most: int, floors: Sequence[Floor | None] | None = None
    ) -> dict[str, Lists]:
        """Search some pictures. numbers: theirs, ascending. most: pictures kept by embedding."""
        names, places = [query.generation_id for query in queries], np.sort(self._pool.places[numbers])
        of, rows = self._pool.number[places], self._pool.rows.part(places)
        least = np.array([-np.inf if floor is None else floor.score for floor in floors or [None] * len(names)])
        block = max(1, int(self._warehouse.settings.joins.memory) // 8 // (_BYTES * rows.dimension))
        views = view_vectors(self._warehouse, names)
        found = search.best_over_views(views, rows, most, order=of, floor=least.astype(np.float32), block=block)
        hashed = candidates.hashed(queries, numbers, self._pool.training, self._cut.pdq)
        digests = self._pool.training.digests
        near = [Near(of[each.position], each.score, each.view) for each in found]
        if len(numbers) > most:
            near = [replace(each, floor=last(each, digests)) if len(each) == most else each for each in near]
        return dict(zip(names, zip(near, hashed, strict=True), strict=True))


def view_vectors(warehouse: Warehouse, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return the views of generations in ascending order: float32 (generations, views, d)."""
    place = {name: number for number, name in enumerate(names)}
    order = {view.name: number for number, view in enumerate(warehouse.views)}
    table = warehouse.facts["generation_embeddings"]
    found = np.zeros((len(names), len(order), warehouse.encoder().id.dimension), np.float32)
    for batch in table.scan(["generation_id", "view", "vector"], stretch(names)):
        stored = batch.column("vector").flatten().to_numpy().reshape(len(batch), -1)
        whose, which = batch["generation_id"].to_pylist(), batch["view"].to_pylist()
        for name, view, vector in zip(whose, which, stored, strict=True):
            if name in place and view in order:
                found[place[name], order[view]] = vector
    return found


def queries_of(rows: pa.Table) -> list[Query]:
    """Return generations as they are searched with."""
    return [
        Query(
            row["generation_id"],
            row["sha256"],
            row["pixel_sha256"],
            row["status"] == OK,
            from_hex(row["dihedral_pdq"]),
        )
        for row in rows.to_pylist()
    ]
