"""The two joins that find copies: PDQ hashes within a radius, and copy embeddings above a similarity.

What belongs here: joining the fingerprints of a warehouse, exactly or in cells. What does not: the record of earlier
joins (`duplicates/incremental_join.py`), the joins themselves (`transforms/joins/`), where they run
(`compute/engines.py`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import dagster as dg

from orchestration.compute import engines
from orchestration.duplicates.incremental_join import (
    HASHES,
    PICTURES,
    Backlog,
    IncrementalJoin,
    Indices,
    JoinedBlock,
    JoinNote,
)
from orchestration.facts import Facts
from orchestration.facts.recipes import recipe
from orchestration.fingerprints import stored_vectors
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.progress import say, share_of, track
from orchestration.runtime import full_disks
from orchestration.settings.memory import MemoryParts
from orchestration.settings.sections import Compute, Joins
from transforms.encoders import EncoderId
from transforms.fingerprints.picture_set import Pictures
from transforms.joins.cosine import cells as cosine_cells
from transforms.joins.cosine import join as cosine_join
from transforms.joins.cosine.cells import Cells
from transforms.joins.hamming import bounded_join
from transforms.joins.hamming import join as hamming_join
from transforms.joins.hamming.bounded_join import JoinWay
from transforms.joins.hamming.disk_join import HashRows
from transforms.joins.hamming.join import HammingPairs
from transforms.readable import size

CODE = 1  # raise when the same fingerprints would give other pairs
CELLS_CODE = 2  # likewise, of the join in cells
_SEED = 7
_SAMPLED = 40  # vectors a cell that k-means looks at
_NUMBER = 4  # bytes


@dataclass(frozen=True)
class HashJoin:
    """The join of the different PDQ hashes within `radius` bits, exact."""

    facts: Facts
    encoder: EncoderId | None
    radius: int
    memory: MemoryParts
    compute: Compute

    @cached_property
    def record(self) -> IncrementalJoin:
        """What was joined before."""
        state = recipe("joined hashes", self._recipe, fingerprint_versions(self.facts, str(self.encoder)))
        return IncrementalJoin(self.facts, HASHES, {self._recipe}, state)

    @property
    def _recipe(self) -> str:
        return recipe(HASHES.name, CODE, self.radius)

    def extend(self, pictures: Pictures) -> None:
        """Join the hashes of the pictures that were not joined yet."""
        values, *_ = pictures.hashed()
        work = self.record.backlog(values)
        if len(work.new):
            self.record.add(work, JoinNote(self._recipe, self.radius), self._blocks(work))
        self.record.settle()

    def _blocks(self, work: Backlog) -> Iterator[JoinedBlock]:
        new, old = work.values.pick(work.new), work.values.pick(work.old)
        for part in self._pairs(new, None):
            yield JoinedBlock(work.new[part.left], work.new[part.right], part.distance)
        for part in self._pairs(new, old) if len(old) else ():
            yield JoinedBlock(work.new[part.left], work.old[part.right], part.distance)

    def _pairs(self, new: HashRows, old: HashRows | None) -> Iterator[HammingPairs]:
        if self.compute.engine == engines.RAY and self._fits_workers(new, old):
            tasks = hamming_join.tasks(len(new), None if old is None else len(old), self.radius)
            run = partial(hamming_join.run, threads=max(1, math.ceil(self.compute.ray_cpus)))
            sides = new[: len(new)], None if old is None else old[: len(old)]
            return engines.join(track(tasks, "joining hashes", len(tasks)), run, *sides, self.compute)
        return self._within_memory(new, old)

    def _fits_workers(self, new: HashRows, old: HashRows | None) -> bool:
        """Return whether each worker may hold all hashes. Say so if not: they are joined in this process then."""
        counts = len(new), None if old is None else len(old)
        if bounded_join.choose(*counts, self.radius, self.memory.joins).way is JoinWay.MEMORY:
            return True
        say(
            f"joining {sum(filter(None, counts)):,} hashes takes more than joins.memory of each Ray worker, "
            f"{size(self.memory.joins)}: they are joined in the process of the run, within that memory"
        )
        return False

    def _within_memory(self, new: HashRows, old: HashRows | None) -> Iterator[HammingPairs]:
        """Join in this process, in memory or on the disk of the facts."""
        folder, counts = self.facts.folder, (len(new), None if old is None else len(old))
        disk, free = bounded_join.choose(*counts, self.radius, self.memory.joins).disk, full_disks.free(folder)
        if disk > free:
            raise dg.Failure(
                f"joining {sum(filter(None, counts)):,} hashes takes {size(disk)} of the disk of {folder}, where "
                f"{size(free)} are free: free some of it, move `home` to a larger disk, or set `joins.memory` to "
                f"{size(disk)}, if the machine has as much"
            )
        with share_of("joining hashes", sum(filter(None, counts))) as report:
            yield from bounded_join.pairs_within(new, old, self.radius, self.memory.joins, folder, report)


@dataclass(frozen=True)
class EmbeddingJoin:
    """The join of the copy embeddings of different pictures from the cosine `similar` on: exact, or in cells."""

    facts: Facts
    encoder: EncoderId
    similar: float
    joins: Joins
    memory: MemoryParts
    compute: Compute

    @cached_property
    def record(self) -> IncrementalJoin:
        """What was joined before."""
        recipes = self._exact_recipe, self._cell_recipe
        state = recipe("joined pictures", *recipes, fingerprint_versions(self.facts, str(self.encoder)))
        return IncrementalJoin(self.facts, PICTURES, set(recipes), state)

    @property
    def _exact_recipe(self) -> str:
        return recipe(PICTURES.name, CODE, str(self.encoder), self.similar)

    @property
    def _cell_recipe(self) -> str:
        # memory decides how, never what
        return recipe("approximate join", CELLS_CODE, self._exact_recipe, self.joins.model_dump(exclude={"memory"}))

    def extend(self, pictures: Pictures) -> None:
        """Join the embeddings of the pictures that were not joined yet. Raises as `stored_vectors.stored`."""
        rows, owner = stored_vectors.read_vectors(self.facts, self.encoder, pictures)
        work = self.record.backlog(pictures.pixel_digests.pick(owner))
        if len(work.new):
            self._join(work, rows)
        self.record.settle()

    def _join(self, work: Backlog, rows: StoredVectors) -> None:
        new, old = rows.part(work.new), rows.part(work.old)
        if self._exact_pays(len(work.new), len(rows)):
            self.record.add(work, JoinNote(self._exact_recipe, self.similar), self._all_blocks(work, new, old))
            return
        cells, memory = self._cells(rows), self.memory.joins
        recall = cosine_cells.measured_recall(
            rows, self.similar, cells, self.joins.probes, self.joins.recall_sample, _SEED, memory
        )
        measured = recall.share, recall.low, recall.high, recall.true
        note = JoinNote(self._cell_recipe, self.similar, False, *measured)
        self.record.add(work, note, self._cell_blocks(work, new, old, cells))

    def _exact_pays(self, new: int, total: int) -> bool:
        """Return whether comparing all takes no more comparisons than `exact_pictures` with each other."""
        if self.joins.cosine == "auto":
            return new * total <= self.joins.exact_pictures**2
        return self.joins.cosine == "exact"

    def _all_blocks(self, work: Backlog, new: StoredVectors, old: StoredVectors) -> Iterator[JoinedBlock]:
        run = partial(cosine_join.run, threshold=self.similar)
        sides: list[tuple[Indices, StoredVectors | None]] = [(work.new, None)]
        for indices, right in [*sides, (work.old, old)] if len(work.old) else sides:
            count = None if right is None else len(right)
            tasks = cosine_join.blocks(len(new), count, self.memory.joins, new.dimension)
            tracked = track(tasks, "joining embeddings", len(tasks))
            for part in engines.join(tracked, run, new, right, self.compute):
                yield JoinedBlock(work.new[part.left], indices[part.right], part.score)

    def _cells(self, rows: StoredVectors) -> Cells:
        """Fit the cells of an approximate join to all pictures."""
        count = self.joins.cells or max(1, math.isqrt(len(rows)))
        held = self.memory.joins // (4 * _NUMBER * rows.dimension)  # a quarter: k-means makes copies
        return Cells.fit(rows, count, _SEED, max(1, min(_SAMPLED * count, held)))

    def _cell_blocks(
        self, work: Backlog, new: StoredVectors, old: StoredVectors, cells: Cells
    ) -> Iterator[JoinedBlock]:
        how = self.similar, cells, self.joins.probes, self.memory.joins
        with share_of("joining embeddings in cells", len(new)) as report:
            for part in cosine_cells.self_join(new, *how, report):
                yield JoinedBlock(work.new[part.left], work.new[part.right], part.score)
        if len(work.old):
            with share_of("joining embeddings in cells", len(work.values)) as report:
                for part in cosine_cells.cross_join(new, old, *how, report):
                    yield JoinedBlock(work.new[part.left], work.old[part.right], part.score)


def forget_embeddings(facts: Facts) -> None:
    """Forget the join of embeddings: the settings name no copy encoder. The embeddings themselves stay for later."""
    IncrementalJoin(facts, PICTURES, set(), "").repair()


def update(join: HashJoin | EmbeddingJoin) -> list[dict]:
    """Join the new fingerprints, and return the notes of all joins, oldest first."""
    join.record.repair()
    if not join.record.current:
        join.extend(usable_pictures(join.facts, join.memory.pictures))
    return join.record.notes()
