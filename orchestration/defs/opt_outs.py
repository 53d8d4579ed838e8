"""Which training rows are withdrawn? The asset `recalled_rows` of the stage `catalog`.

What belongs here: the asset. What does not: finding lists and matching entries (`orchestration/catalog/opt_outs.py`).
"""

import dagster as dg

from orchestration.catalog import opt_outs
from orchestration.fingerprints.notes import forget_outdated_shards
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.catalog.opt_outs import OptOutListError


@dg.asset(
    group_name="catalog",
    kinds={"lancedb", "duckdb"},
    owners=["team:data-engineering"],
    deps=["landing_shards", "duplicate_pairs"],  # copies of a picture whose file says no may be withdrawn too
    pool="cpu",
)
@explained
def recalled_rows(warehouse: WarehouseResource) -> dg.MaterializeResult:
    """The training rows that an opt-out list names by id, URL, host or hash, or that their files reserve, and by what.

    A list that is missing or cannot be read stops the run: otherwise its rows would be published in spite of it.
    """
    try:
        lists = opt_outs.find_lists(warehouse.settings.recalls)
        if lists or warehouse.settings.policies.honour:
            forget_outdated_shards(warehouse.facts)
        counts = opt_outs.update_recalled_rows(warehouse.facts, warehouse.settings, lists)
    except OptOutListError as error:
        raise dg.Failure(f"nothing was published: {error}", allow_retries=False) from error
    return asset_metadata.fact_result(warehouse.facts, "recalled_rows", counts)
