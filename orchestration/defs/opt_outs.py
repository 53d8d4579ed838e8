"""Which training rows are withdrawn? The asset `recalled_rows` of the stage `catalog`.

What belongs here: the asset. What does not: finding lists and matching entries (`orchestration/catalog/opt_outs.py`),
listed pictures (`orchestration/matches/listed_pictures.py`, `listed_copies.py`).
"""

import dagster as dg

from orchestration.catalog import opt_outs
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.notes import forget_outdated_shards
from orchestration.matches.listed_copies import ListedCopies
from orchestration.matches.listed_pictures import ListedPrinter, listed_files
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.catalog.opt_outs import OptOutListError


@dg.asset(
    group_name="catalog",
    kinds={"lancedb", "duckdb", "torch", "opencv"},
    owners=["team:data-engineering"],
    deps=["landing_shards", "duplicate_pairs"],  # copies of a picture whose file says no may be withdrawn too
    pool="gpu",
)
@explained
def recalled_rows(warehouse: WarehouseResource) -> dg.MaterializeResult:
    """The training rows that an opt-out list names, or that their files reserve, and by what.

    A list names rows by id, URL, host or hash, or by pictures that they show.

    A list that is missing or cannot be read stops the run: otherwise its rows would be published in spite of it.
    """
    facts, settings = warehouse.facts, warehouse.settings
    try:
        lists = opt_outs.find_lists(settings.recalls)
        if lists or settings.policies.honour:
            forget_outdated_shards(facts)
        files = listed_files(lists)
        encoder = warehouse.encoder(COPY) if files and COPY in warehouse.encoder_names else None
        printer = ListedPrinter(facts, warehouse.rules, encoder, warehouse.views, warehouse.pace)
        counts = printer.update(files)
        how = warehouse.views, warehouse.training_picture, settings
        copies = ListedCopies(facts, encoder.id if encoder else None, *how)
        counts |= copies.update(listed_files(lists, copies=True))
        counts |= opt_outs.update_recalled_rows(facts, settings, lists)
    except OptOutListError as error:
        raise dg.Failure(f"nothing was published: {error}", allow_retries=False) from error
    return asset_metadata.fact_result(facts, "recalled_rows", counts)
