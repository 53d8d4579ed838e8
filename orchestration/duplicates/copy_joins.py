"""The joins that find copies: PDQ hashes within a radius, copy embeddings above a similarity.

What belongs here: from the fingerprints of a warehouse to a join, exact or measured. What does not: what was joined
before (`duplicates/incremental_join.py`), the joins (`transforms/joins/hamming/join.py`, `joins/cosine/join.py`,
`joins/cosine/cells.py`), where they run (`compute/engines.py`).
"""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from orchestration.compute import engines
from orchestration.duplicates.incremental_join import HASHES, PICTURES, Found, Join, Joined, Positions
from orchestration.facts.recipes import recipe
from orchestration.fingerprints import stored_vectors
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.progress import track
from orchestration.runtime.resources import Warehouse
from orchestration.settings.sections import Compute
from transforms.fingerprints.picture_set import Pictures
from transforms.hashing.digest_arrays import Rows
from transforms.joins.cosine import cells as cosine_cells
from transforms.joins.cosine import join as cosine_join
from transforms.joins.cosine.cells import Cells
from transforms.joins.hamming import join as hamming_join

CODE = 1  # raise when the same fingerprints would give other pairs
_SEED = 7
_SAMPLED = 40  # vectors a cell that k-means looks at
_NUMBER = 4  # bytes


def hashes(warehouse: Warehouse, read: Callable[[], Pictures]) -> Joined:
    """Join the PDQ hashes that were not joined yet, exactly. read: asked only where fingerprints changed."""
    radius, compute = warehouse.settings.thresholds.pdq, warehouse.settings.compute
    made_by = recipe(HASHES.name, CODE, radius)
    state = recipe("joined hashes", made_by, fingerprint_versions(warehouse.facts, warehouse.encoder_id(COPY)))
    joined = Joined(warehouse, HASHES, lambda note: bool(note["recipe"] == made_by))
    if joined.current(state):
        return joined
    values, *_ = read().hashed()

    def join(fresh: Positions, rest: Positions) -> tuple[Join, Iterable[Found]]:
        def found() -> Iterator[Found]:
            for part in _near_hashes(values[fresh], None, radius, compute):
                yield Found(fresh[part.left], fresh[part.right], part.distance)
            for part in _near_hashes(values[fresh], values[rest], radius, compute) if len(rest) else ():
                yield Found(fresh[part.left], rest[part.right], part.distance)

        return Join(made_by, radius), found()

    joined.extend(values, join)
    joined.settle(state)
    return joined


def _near_hashes(new: Rows, old: Rows | None, radius: int, compute: Compute) -> Iterator[hamming_join.Pairs]:
    if compute.engine == "ray":
        tasks = hamming_join.tasks(len(new), None if old is None else len(old), radius)
        run = partial(hamming_join.run, threads=max(1, math.ceil(compute.ray_cpus)))
        return engines.join(tasks, run, new, old, compute, "joining hashes")
    # here the bands share the work of arranging the hashes
    pairs = hamming_join.self_join(new, radius) if old is None else hamming_join.cross_join(new, old, radius)
    return track(pairs, "joining hashes", None, len)


def pictures(warehouse: Warehouse, read: Callable[[], Pictures]) -> Joined:
    """Join the copy embeddings of the different pictures that were not joined yet.

    read: asked only where fingerprints changed. Raises as `vectors.stored`.
    """
    similar = warehouse.settings.thresholds.similar
    exact = recipe(PICTURES.name, CODE, warehouse.encoder_id(COPY), similar)
    chosen = warehouse.settings.joins
    # memory decides how, never what
    approximate = recipe("approximate join", exact, chosen.model_dump(exclude={"memory"}))

    def usable(note: dict) -> bool:
        return note["recipe"] in {exact, approximate}

    state = recipe(
        "joined pictures", exact, approximate, fingerprint_versions(warehouse.facts, warehouse.encoder_id(COPY))
    )
    joined = Joined(warehouse, PICTURES, usable)
    if joined.current(state):
        return joined
    known = read()
    rows, owner = stored_vectors.stored(warehouse.facts, warehouse.encoder().id, known)

    def join(fresh: Positions, rest: Positions) -> tuple[Join, Iterable[Found]]:
        new, old = rows.part(fresh), rows.part(rest)
        if _pays(warehouse, len(fresh), len(rows)):
            return Join(exact, similar), _exactly(warehouse, fresh, rest, new, old)
        cells = _cells(warehouse, rows)
        recall = cosine_cells.measured_recall(
            rows, similar, cells, chosen.probes, chosen.recall_sample, _SEED, int(chosen.memory)
        )
        measured = (recall.share, recall.low, recall.high, recall.true)
        return Join(approximate, similar, False, *measured), _in_cells(warehouse, cells, fresh, rest, new, old)

    joined.extend(known.pixel_digests[owner], join)
    joined.settle(state)
    return joined


def _pays(warehouse: Warehouse, fresh: int, total: int) -> bool:
    """Tell whether comparing all is worth it: `exact_pictures` with each other, or as much work of another shape."""
    chosen = warehouse.settings.joins
    if chosen.cosine == "auto":
        return fresh * total <= chosen.exact_pictures**2
    return chosen.cosine == "exact"


def _exactly(
    warehouse: Warehouse, fresh: Positions, rest: Positions, new: StoredVectors, old: StoredVectors
) -> Iterator[Found]:
    memory, compute = int(warehouse.settings.joins.memory), warehouse.settings.compute
    run = partial(cosine_join.run, threshold=warehouse.settings.thresholds.similar)
    for others, right in ((fresh, None), (rest, old)) if len(rest) else ((fresh, None),):
        tasks = cosine_join.blocks(len(new), None if right is None else len(right), memory, new.dimension)
        for part in engines.join(tasks, run, new, right, compute, "joining embeddings"):
            yield Found(fresh[part.left], others[part.right], part.score)


def _cells(warehouse: Warehouse, rows: StoredVectors) -> Cells:
    """Fit the cells of an approximate join to all pictures."""
    chosen = warehouse.settings.joins
    count = chosen.cells or max(1, math.isqrt(len(rows)))
    held = int(chosen.memory) // (4 * _NUMBER * rows.dimension)  # a quarter: k-means makes copies
    return Cells.fit(rows, count, _SEED, max(1, min(_SAMPLED * count, held)))


def _in_cells(
    warehouse: Warehouse, cells: Cells, fresh: Positions, rest: Positions, new: StoredVectors, old: StoredVectors
) -> Iterator[Found]:
    chosen, similar = warehouse.settings.joins, warehouse.settings.thresholds.similar
    how = (similar, cells, chosen.probes, int(chosen.memory))
    across = cosine_cells.cross_join(new, old, *how) if len(rest) else ()
    for part in track(cosine_cells.self_join(new, *how), "joining embeddings in cells", None, _pairs):
        yield Found(fresh[part.left], fresh[part.right], part.score)
    for part in track(across, "joining embeddings in cells", None, _pairs):
        yield Found(fresh[part.left], rest[part.right], part.score)


def _pairs(part: cosine_join.CosinePairs) -> int:
    return len(part.left)
