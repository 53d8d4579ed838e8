"""Which rows are the same picture? Assets of the stage `duplicates`.

What belongs here: the assets, and what the UI shows of them. What does not: joining what is new
(`duplicates/copy_joins.py`), pairs (`duplicates/pairs.py`), clusters (`duplicates/members.py`), counts and views
(`sql/duplicates/`).
"""

from typing import Any

import dagster as dg

from orchestration.duplicates import copy_joins, members, pairs
from orchestration.fingerprints.notes import forget_outdated_shards
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.readable import count


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "numba"},
    owners=["team:safety-research"],
    deps=["landing_shards", "image_fingerprints"],  # the landing too: `derive` leaves the fingerprints between them out
    pool="cpu",
)
@explained
def near_hashes(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Every pair of different PDQ hashes within `thresholds.pdq` bits, found exactly; new ones are joined with all."""
    facts, settings = warehouse.facts, warehouse.settings
    forget_outdated_shards(facts)
    join = copy_joins.HashJoin(
        facts, warehouse.copy_encoder, settings.thresholds.pdq, settings.memory, settings.compute
    )
    notes = copy_joins.update(join)
    return asset_metadata.fact_result(facts, "near_hashes", _of_joins(notes))


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=["landing_shards", "image_fingerprints"],
    pool="gpu",
)
@explained
def near_pictures(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Every pair of different pictures with close copy embeddings; new ones are joined with all.

    The join is exact, unless `joins.cosine` sets another; then the share of missed pairs is measured on a sample.
    Without a copy encoder there are none.
    """
    facts, settings = warehouse.facts, warehouse.settings
    forget_outdated_shards(facts)
    encoder = warehouse.copy_encoder
    if encoder is None:
        copy_joins.forget_embeddings(facts)
        return asset_metadata.fact_result(facts, "near_pictures", _of_joins([]))
    join = copy_joins.EmbeddingJoin(
        facts, encoder, settings.thresholds.similar, settings.joins, settings.memory, settings.compute
    )
    notes = copy_joins.update(join)
    return asset_metadata.fact_result(facts, "near_pictures", _of_joins(notes))


def _of_joins(notes: list[dict]) -> dict[str, Any]:
    """Return what the UI shows of joins, given from the oldest to the latest."""
    measured = [note["recall"] for note in notes if note["recall"] is not None]
    return {
        "dagster/row_count": sum(note["pairs"] for note in notes),
        "joins": len(notes),
        "exact": all(note["exact"] for note in notes),
        **({"least measured recall": min(measured)} if measured else {}),
        **({"compared in the last join": notes[-1]["new"]} if notes else {}),
    }


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "opencv"},
    owners=["team:safety-research"],
    deps=["near_hashes", "near_pictures"],
    pool="cpu",
)
@explained
def duplicate_pairs(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Every pair of training rows with equal bytes or pixels, close hashes, or close embeddings that pixels confirm."""
    cut, memory, compute = warehouse.duplicate_thresholds, warehouse.memory.pictures, warehouse.settings.compute
    compared = pairs.update(warehouse.facts, cut, warehouse.training_picture, memory, compute)
    if compared.failed:
        context.log.warning("%s not compared by pixels; the next run tries again", count(compared.failed, "pair"))
    told = {
        "compared by pixels now": compared.compared,
        "could not be compared": compared.failed,
        "waiting for image dumps": compared.waiting,
    }
    methods = warehouse.facts["duplicate_pairs"].counts("method")
    return asset_metadata.fact_result(warehouse.facts, "duplicate_pairs", told | methods)


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "numba", "opencv"},
    owners=["team:safety-research"],
    deps=["duplicate_pairs", "recalled_rows", "decisions"],
    pool="cpu",
)
@explained
def cluster_members(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Components of the confirmed pairs, cut so that all members are confirmed or decided to be."""
    facts = warehouse.facts
    inputs = facts, warehouse.duplicate_thresholds, warehouse.training_picture, warehouse.copy_encoder
    members.update(*inputs, warehouse.memory, warehouse.settings.compute)
    heads = facts["cluster_members"].read(["representative_id"])["representative_id"]
    return asset_metadata.fact_result(facts, "cluster_members", {"clusters": len(heads.unique())})
