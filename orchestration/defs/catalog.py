"""What was trained on? Assets of the stage `catalog`.

What belongs here: the assets of the landing folders. What does not: inspecting shards
(`orchestration/catalog/shards.py`), the one row shape of all dialects (`sql/catalog/samples.sql`).
"""

from collections import defaultdict
from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from orchestration.catalog import absences, gone_dumps, not_taken, shards
from orchestration.catalog.partitions import register_partitions
from orchestration.fingerprints.makers import Makers
from orchestration.fingerprints.notes import require_embeddings
from orchestration.progress import say
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.catalog.not_taken import NotTakenCounts
from transforms.readable import in_markdown


class LandingConsent(dg.Config):
    """What may go."""

    forget: list[str] = Field([], description="Datasets that left the settings, to be removed for good.")
    accept_drop: bool = Field(False, description="Go on although shards are gone of which much could be searched.")


@dg.multi_asset(
    name="landing_shards",
    specs=[
        dg.AssetSpec(
            "landing_shards",
            description="Every shard in the landing folders, validated once per delivery. An unusable file keeps the "
            "reason.\n\nA shard whose files did not change since the last run is not read again. A dataset of which "
            "nothing is found stops the run, and so does an encoder that cannot be loaded.",
            group_name="catalog",
            kinds={"lancedb", "parquet"},
            owners=["team:data-engineering"],
        ),
        dg.AssetSpec(
            "landing_dumps",
            description="The list of image dumps in the landing folders: each is a partition of `image_fingerprints`.",
            group_name="catalog",
            kinds={"file"},
            owners=["team:data-engineering"],
        ),
    ],
)
@explained
def landing_shards(
    context: dg.AssetExecutionContext, config: LandingConsent, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult]:
    """Find and validate what landed, and make a partition of every image dump."""
    warehouse.require_encoders()
    counts: defaultdict[str, NotTakenCounts] = defaultdict(NotTakenCounts)
    known, datasets = shards.landed_shards(warehouse.facts), warehouse.settings.datasets
    found = shards.discover(warehouse.settings, counts)
    delivered = gone_dumps.with_gone_dumps(found, known, datasets, warehouse.facts)
    absences.require_datasets(delivered, known, datasets, counts, config.forget)
    landed = list(shards.inspect_shards(delivered, known, warehouse.settings, warehouse.fetched))
    require_embeddings(warehouse.facts, Makers(warehouse.rules, warehouse.encoder_names, warehouse.load), landed)
    if not config.accept_drop:
        absences.require_coverage(warehouse.facts, landed, known, warehouse.settings)
    changes = shards.commit_shards(warehouse.facts, known, landed)
    not_taken.store_landing(warehouse.facts, counts)
    register_partitions(context.instance, delivered)
    failures = [shard.failure for shard in landed if shard.failure]
    for sentence in absences.gone_shards(delivered, known):
        say(f"warning: {sentence}")
    for failure in failures:
        context.log.warning(failure)
    listed = "\n".join(f"- {in_markdown(failure)}" for failure in failures)
    failed = dg.MetadataValue.md(listed or "none")
    told = {"training rows": sum(shard.rows for shard in landed), **changes, "failed": failed}
    yield asset_metadata.fact_result(warehouse.facts, "landing_shards", told)
    dumps = sum(shard.images is not None and not shard.images_gone for shard in delivered)
    yield dg.MaterializeResult("landing_dumps", {"dumps": dumps}, data_version=asset_metadata.OF_EACH_PARTITION)
