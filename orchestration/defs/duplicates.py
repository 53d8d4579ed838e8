"""Which rows are the same picture? Assets of the stage `duplicates`.

What belongs here: reading fingerprints, calling a transform, writing facts, saying how it went. What does not: how
pairs are found and confirmed (`transforms/duplicates/pairs.py`), which were joined before and how
(`duplicates/incremental_join.py`, `duplicates/copy_joins.py`), counts and views (`sql/duplicates/`).
"""

import os

import dagster as dg

from orchestration.defs.catalog import landing_shards
from orchestration.defs.fingerprints import image_fingerprints
from orchestration.defs.opt_outs import recalled_rows
from orchestration.duplicates import copy_joins
from orchestration.duplicates.incremental_join import HASHES, PICTURES, Joined, near_pairs
from orchestration.duplicates.pixel_comparisons import comparing
from orchestration.facts import FactTable
from orchestration.facts.recipes import recipe
from orchestration.fingerprints import stored_vectors
from orchestration.fingerprints.notes import forget_outdated_shards
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import Warehouse
from transforms.duplicates import components
from transforms.duplicates import members as membership
from transforms.duplicates import pairs as duplicates

CODE = 2  # raise when the same fingerprints would give other pairs or clusters
_WORKERS = len(os.sched_getaffinity(0))
_VECTOR = 4  # bytes of a number


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "numba"},
    owners=["team:safety-research"],
    deps=[landing_shards, image_fingerprints],  # the landing too: `derive` leaves the fingerprints between them out
    pool="cpu",
)
def near_hashes(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Every pair of different PDQ hashes within `thresholds.pdq` bits, found exactly; new ones are joined with all."""
    forget_outdated_shards(warehouse.facts)
    return _told(copy_joins.hashes(warehouse, lambda: usable_pictures(warehouse.facts)), warehouse.facts["near_hashes"])


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=[landing_shards, image_fingerprints],
    pool="gpu",
)
def near_pictures(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Every pair of different pictures of close copy embeddings; new ones are joined with all.

    Exact, unless `joins.cosine` says otherwise; then what is missed is measured on a sample.
    """
    forget_outdated_shards(warehouse.facts)
    return _told(
        copy_joins.pictures(warehouse, lambda: usable_pictures(warehouse.facts)), warehouse.facts["near_pictures"]
    )


def _told(joined: Joined, table: FactTable) -> dg.MaterializeResult:
    notes = joined.notes()
    measured = [note["recall"] for note in notes if note["recall"] is not None]
    return dg.MaterializeResult(
        metadata={
            **asset_metadata.fact(table),
            "dagster/row_count": sum(note["pairs"] for note in notes),
            "joins": len(notes),
            "exact": all(note["exact"] for note in notes),
            **({"least measured recall": min(measured)} if measured else {}),
            **({"compared in the last join": notes[-1]["new"]} if notes else {}),
        }
    )


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "opencv"},
    owners=["team:safety-research"],
    deps=[near_hashes, near_pictures],
    pool="cpu",
)
def duplicate_pairs(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Every pair of training rows with equal bytes or pixels, close hashes, or close embeddings that pixels confirm."""
    facts, cut = warehouse.facts, warehouse.duplicate_thresholds
    table = facts["duplicate_pairs"]
    made_by = recipe("pairs", CODE, _fingerprints(warehouse), cut)
    made = failed = 0
    if table.recipe != made_by:
        pictures = usable_pictures(warehouse.facts)
        hashed, embedded = near_pairs(facts, HASHES), near_pairs(facts, PICTURES)
        with comparing(warehouse, pictures) as compare:
            pairs = duplicates.pairs(pictures, hashed, embedded, cut, compare, _WORKERS)
            table.replace(pairs, made_by)
        made, failed = compare.made, compare.failed
        if failed:
            context.log.warning("%d pairs could not be compared by pixels; the next run tries again", failed)
            table.forget_recipe()
    methods = table.counts("method")
    return dg.MaterializeResult(
        metadata={
            **asset_metadata.fact(table),
            "compared by pixels now": made,
            "could not be compared": failed,
            **methods,
        }
    )


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "numba", "opencv"},
    owners=["team:safety-research"],
    deps=[duplicate_pairs, recalled_rows],
    pool="cpu",
)
def cluster_members(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Components of the confirmed pairs, cut so that every member is confirmed against its representative."""
    facts, cut = warehouse.facts, warehouse.duplicate_thresholds
    table, alike = facts["cluster_members"], facts["cluster_similarities"]
    made_by = recipe("clusters", CODE, facts["duplicate_pairs"].version, facts["recalled_rows"].version)
    if {table.recipe, alike.recipe} != {made_by}:
        pictures = usable_pictures(warehouse.facts)
        pairs = facts["duplicate_pairs"].scan(["sample_id_a", "sample_id_b"], "method <> 'similar'")
        labels = membership.connected(pictures, pairs).labels()
        worth = membership.worth(pictures, near_pairs(facts, PICTURES), cut, labels)
        with comparing(warehouse, pictures) as compare:
            groups = components.groups(labels)
            table.replace(membership.members(pictures, groups, cut, worth, compare, _WORKERS), made_by)
        if compare.failed:
            table.forget_recipe()
        rows, owner = stored_vectors.stored(warehouse.facts, warehouse.encoder().id, pictures)
        at_once = max(1, int(warehouse.settings.joins.memory) // (_VECTOR * rows.dimension))
        members = table.scan(["sample_id", "representative_id"])
        alike.replace(membership.similarities(pictures, members, rows, owner, at_once), made_by)
    heads = table.read(["representative_id"])["representative_id"]
    return dg.MaterializeResult(metadata={**asset_metadata.fact(table), "clusters": len(heads.unique())})


def _fingerprints(warehouse: Warehouse) -> tuple[object, ...]:
    names = ("image_fingerprints", *(kind.near for kind in (HASHES, PICTURES)))
    return tuple(warehouse.facts[name].version for name in names)
