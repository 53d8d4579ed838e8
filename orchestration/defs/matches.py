"""What could this generation come from? Assets of the stage `matches`.

What belongs here: reading fingerprints of both sides, calling a transform, writing facts. What does not: searching
(`transforms/matching.py`), p-values and verdicts (`sql/matches/evidence.sql`).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict

import dagster as dg
import numpy as np
import polars as pl
import pyarrow as pa

from orchestration import vectors
from orchestration.defs.duplicates import cluster_members, usable_pictures
from orchestration.defs.fingerprints import generation_fingerprints
from orchestration.facts import SCHEMAS, literal
from orchestration.fingerprinting import fingerprint_versions, recipe
from orchestration.progress import track
from orchestration.resources import Warehouse
from transforms import duplicates, matching, pictures
from transforms.comparisons import Comparer
from transforms.fingerprints import OK
from transforms.generations import VIEWS
from transforms.hashes import from_hex
from transforms.matching import Candidate, Cut, Measured, Query, Training
from transforms.pictures import Pixels

CODE = 1  # raise when the same fingerprints would give other matches
_BATCH = 256  # generations searched at once


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch", "opencv"},
    owners=["team:safety-research"],
    deps=[cluster_members, generation_fingerprints],
    pool="gpu",
)
def match_candidates(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """The likely sources of every generation: by bytes, perceptual hash and embedding, the best compared by pixels."""
    candidates, evidence = warehouse.facts["match_candidates"], warehouse.facts["match_evidence"]
    versions = [warehouse.facts[name].version for name in ("generation_fingerprints", "generation_embeddings")]
    rules = (_cut(warehouse), warehouse.pixel_limits)
    made_by = recipe("matches", CODE, _training_recipe(warehouse), versions, rules)
    if {candidates.recipe, evidence.recipe} != {made_by}:
        training = training_pictures(warehouse)
        rows = list(_searched(warehouse, training))
        candidates.replace((table for table, _ in rows), made_by)
        evidence.replace((table for _, table in rows), made_by)
    confirmed = pl.DataFrame(evidence.read(["confirmed"]))["confirmed"].sum()
    return dg.MaterializeResult(
        metadata={"dagster/row_count": candidates.dataset().count_rows(), "confirmed by pixels": int(confirmed)}
    )


def _training_recipe(warehouse: Warehouse) -> str:
    """Hash what is searched. Clusters by what they hold: an opt-out that moves nobody has nothing searched again."""
    clusters = hashlib.sha256()
    for batch in warehouse.facts["cluster_members"].scan(["sample_id", "representative_id"]):
        clusters.update(np.stack([column.to_numpy() for column in batch.columns], axis=1).tobytes())
    return recipe(fingerprint_versions(warehouse), clusters.hexdigest())


def _cut(warehouse: Warehouse) -> Cut:
    cut = warehouse.settings.thresholds
    return Cut(cut.pdq, cut.candidate, warehouse.settings.limits.neighbours)


def training_pictures(warehouse: Warehouse) -> Training:
    """Read the different training pictures and the clusters they are in."""
    known = usable_pictures(warehouse)
    ids = known.ids[known.distinct]
    place = np.searchsorted(known.distinct, known.pixels_group)  # of each row's picture among the different ones
    cluster = np.arange(len(ids))
    for batch in warehouse.facts["cluster_members"].scan(["sample_id", "representative_id"]):
        member, head = (place[duplicates.positions(known, column.to_numpy())] for column in batch.columns)
        cluster[member] = head
    by_bytes: dict[str, int] = {}
    by_pixels: dict[str, int] = {}
    names = ["sample_id", "sha256", "pixel_sha256"]
    for batch in warehouse.facts["image_fingerprints"].scan(names, "status <> 'failed'"):
        where = place[duplicates.positions(known, batch.column("sample_id").to_numpy())].tolist()
        by_bytes.update(zip(batch.column("sha256").to_pylist(), where, strict=True))
        by_pixels.update(zip(batch.column("pixel_sha256").to_pylist(), where, strict=True))
    return Training(
        ids=ids,
        cluster=cluster,
        comparable=known.comparable[known.distinct],
        pdq=known.pdq[known.distinct],
        vectors=vectors.distinct(warehouse, known),
        by_bytes=by_bytes,
        by_pixels=by_pixels,
    )


def _searched(warehouse: Warehouse, training: Training) -> Iterator[tuple[pa.Table, pa.Table]]:
    readable = warehouse.facts["generation_fingerprints"].read(where="status <> 'failed'").sort_by("generation_id")
    for other in readable["encoder"].unique().to_pylist():
        warehouse.encoder().id.require(other)
    paths = dict(zip(*readable.select(["generation_id", "path"]).to_pydict().values(), strict=True))

    def load(name: str | int) -> Pixels:
        if isinstance(name, int):
            return warehouse.training_picture(int(training.ids[name]))
        with open(paths[name], "rb") as file:  # noqa: PTH123 -- a plain read
            return pictures.decode(file.read(), warehouse.rules.max_pixels)

    compare = Comparer(load, warehouse.pixel_limits)
    done = _matched(warehouse, training, readable, compare)
    for query, found, measured in track(done, "matching generations", len(readable)):
        yield _candidate_rows(training, found), _evidence_rows(warehouse, training, query.generation_id, measured)


def _matched(
    warehouse: Warehouse, training: Training, readable: pa.Table, compare: Comparer[str | int]
) -> Iterator[tuple[Query, list[Candidate], list[Measured]]]:
    cut = _cut(warehouse)
    for start in range(0, len(readable), _BATCH):
        queries = _queries(warehouse, readable.slice(start, _BATCH))
        for query, found in zip(queries, matching.candidates(queries, training, cut), strict=True):
            yield query, found, list(matching.measure(query, found, training, cut, compare))


def _queries(warehouse: Warehouse, rows: pa.Table) -> list[Query]:
    order = {view.name: number for number, view in enumerate(VIEWS)}
    names = rows["generation_id"].to_pylist()  # in order: a batch reads its own stretch of the embeddings
    stretch = f"generation_id between {literal(names[0])} and {literal(names[-1])}"
    shape = (len(VIEWS), warehouse.encoder().id.dimension)
    views: dict[str, np.ndarray] = {name: np.zeros(shape, np.float32) for name in names}
    for batch in warehouse.facts["generation_embeddings"].scan(["generation_id", "view", "vector"], stretch):
        vectors = batch.column("vector").flatten().to_numpy().reshape(len(batch), -1)
        for name, view, vector in zip(
            batch["generation_id"].to_pylist(), batch["view"].to_pylist(), vectors, strict=True
        ):
            if name in views and view in order:
                views[name][order[view]] = vector
    return [
        Query(
            generation_id=row["generation_id"],
            sha256=row["sha256"],
            pixel_sha256=row["pixel_sha256"],
            comparable=row["status"] == OK,
            dihedral=from_hex(row["dihedral_pdq"]),
            views=views[row["generation_id"]],
        )
        for row in rows.to_pylist()
    ]


def _candidate_rows(training: Training, found: Iterable[Candidate]) -> pa.Table:
    rows = [
        {
            "generation_id": c.generation_id,
            "sample_id": int(training.ids[c.position]),
            "method": c.method,
            "score": c.score,
            **asdict(c.box),
        }
        for c in found
    ]
    return pa.Table.from_pylist(rows, SCHEMAS["match_candidates"])


def _evidence_rows(warehouse: Warehouse, training: Training, generation_id: str, measured: list[Measured]) -> pa.Table:
    limits = warehouse.pixel_limits
    rows = []
    for each in measured:
        found = each.alignment
        rows.append(
            {
                "generation_id": generation_id,
                "sample_id": int(training.ids[each.position]),
                "copy_score": each.copy_score,
                "pdq_distance": each.pdq_distance,
                "same_bytes": each.same_bytes,
                "same_pixels": each.same_pixels,
                "confirmed": found is not None and found.confirmed(limits),
                "whole": found is not None and found.whole(limits),
                "mirrored": found.mirrored if found else None,
                "aligned_distance": found.aligned_distance if found else None,
                "inliers": found.inliers if found else None,
                "overlap_generation": found.overlap_a if found else None,
                "overlap_source": found.overlap_b if found else None,
                "failure": each.failure,
                **asdict(each.box),
            }
        )
    return pa.Table.from_pylist(rows, SCHEMAS["match_evidence"])
