"""What does each image look like? Assets of the stage `fingerprints`.

What belongs here: the assets. What does not: which shards are due and committing them (`orchestration/fingerprints/`),
how pictures are decoded, hashed and embedded (`transforms/`), status and coverage (`sql/fingerprints/`).
"""

from collections.abc import Iterator

import dagster as dg

from orchestration.catalog import absences, not_taken
from orchestration.catalog.partitions import SHARDS
from orchestration.fingerprints import notes, second_dump
from orchestration.fingerprints.accounts import Accounts, partition_events, partition_results, unusable
from orchestration.fingerprints.due_shards import due_shards, outdated_for_good
from orchestration.fingerprints.generations import GenerationFingerprinter, complaints, find_generations
from orchestration.fingerprints.makers import Makers
from orchestration.fingerprints.shard_writer import maintain
from orchestration.fingerprints.shards import ShardFingerprinter
from orchestration.progress import say
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.readable import count


@dg.asset(
    group_name="fingerprints",
    kinds={"lancedb", "onnx"},
    owners=["team:data-engineering"],
    deps=["landing_dumps"],
    partitions_def=SHARDS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool="gpu",
)
@explained
def image_fingerprints(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult | dg.AssetMaterialization]:
    """SHA-256, pixel hash, PDQ and embeddings of every training picture; one shard of the image dump a partition.

    Without a selected partition, a run covers every shard that is new or was delivered again. Finished shards are not
    read. A partition whose dump is broken or out of reach fails: what could be read of it is kept.
    """
    keys = set(context.partition_keys) if context.has_partition_key or context.has_partition_key_range else None
    facts = warehouse.facts
    makers = Makers(warehouse.rules, warehouse.encoder_names, warehouse.load, warehouse.rights)
    due = [shard for shard in due_shards(facts, makers) if keys is None or shard.partition in keys]
    notes.forget_gone_shards(facts)
    for sentence in notes.outdated_sentences(outdated_for_good(facts, makers)):
        say(f"warning: {sentence}")
    accounts = Accounts()
    fingerprinter = ShardFingerprinter(facts, makers, warehouse.settings, warehouse.pace, warehouse.fetched)
    for shard, account in fingerprinter.run(due):
        accounts.add(shard.partition, account)
        if account.complaint:
            context.log.warning("%s: %s", shard.partition, account.complaint)
        if account.usable and keys is None:
            yield from partition_events(facts, [shard.partition])
    if due:
        context.log.info("fact tables: %s", maintain(facts, warehouse.settings.limits.index_rows))
    reasons = accounts.left | notes.broken_shards(facts)
    if broken := {name: why for name, why in reasons.items() if name in (keys or ())}:
        raise dg.Failure(unusable(broken), allow_retries=False)
    told = accounts.metadata() | {f"{kind} encoder": name for kind, name in warehouse.encoder_names.items()}
    if keys is None:
        yield asset_metadata.fact_result(facts, "image_fingerprints", told)
    else:
        yield from partition_results(facts, sorted(keys), told)


@dg.asset(
    group_name="fingerprints",
    kinds={"lancedb"},
    owners=["team:data-engineering"],
    deps=["image_fingerprints"],
    pool="gpu",
)
@explained
def redownload_fingerprints(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Hashes of a second dump of the same rows, where the settings name one. Finished shards are not read."""
    facts, makers = warehouse.facts, Makers(warehouse.rules, warehouse.encoder_names, warehouse.load)
    due = second_dump.due_shards(facts, makers, warehouse.settings.datasets)
    accounts = Accounts()
    fingerprinter = ShardFingerprinter(facts, makers, warehouse.settings, warehouse.pace, warehouse.fetched)
    for shard, account in fingerprinter.run(due, "fingerprinting the second dump"):
        accounts.add(shard.partition, account)
        if account.complaint:
            context.log.warning("%s: %s", shard.partition, account.complaint)
    return asset_metadata.fact_result(facts, "redownload_fingerprints", accounts.metadata())


@dg.asset(group_name="fingerprints", kinds={"lancedb", "onnx"}, owners=["team:safety-research"], pool="gpu")
@explained
def generation_fingerprints(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Hashes of every generated image, and embeddings of its views: whole, mirrored, parts. Reads only new images."""
    makers = Makers(warehouse.rules, warehouse.encoder_names, warehouse.load)
    fingerprinter = GenerationFingerprinter(warehouse.facts, makers, warehouse.views, warehouse.pace)
    settings = warehouse.settings
    found = find_generations(settings.generations, settings.limits.member_bytes, settings.limits.of_files)
    named = {each.generation.source for each in found.generations}
    for sentence in absences.empty_sources(warehouse.facts, settings.generations, named):
        say(f"warning: {sentence}")
    not_taken.store_generations(warehouse.facts, found.not_taken)
    counts = fingerprinter.update(found.generations)
    if counts["failed now"]:
        context.log.warning(
            "%s cannot be read; catalog.generations says why", count(counts["failed now"], "generation")
        )
    for complaint in complaints(found):
        context.log.warning(complaint)
    return asset_metadata.fact_result(warehouse.facts, "generation_fingerprints", counts)
