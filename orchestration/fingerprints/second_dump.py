"""A second dump of the same rows: finding its due shards, to compare them with the first.

What belongs here: finding its shards, and the metadata that may list their rows. What does not: fingerprinting them
(`fingerprints/shards.py`), comparing the two dumps (`sql/fingerprints/redownloads.sql`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from orchestration.catalog import not_taken
from orchestration.catalog.absences import nothing_found
from orchestration.catalog.shards import landed_shards, shard_number
from orchestration.facts import Facts
from orchestration.facts.filters import equals
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.due_shards import DueShard, deliveries, with_shared
from orchestration.fingerprints.kinds import REDOWNLOAD
from orchestration.fingerprints.makers import Makers
from orchestration.fingerprints.notes import forget
from orchestration.settings.inputs import Dataset
from transforms.catalog.columns import LandingError
from transforms.catalog.landing import IMAGES_ONLY, LandedShard, find_shards
from transforms.catalog.not_taken import NotTakenCounts
from transforms.fingerprints.row_matching import metadata_of


def due_shards(facts: Facts, makers: Makers, datasets: Sequence[Dataset]) -> list[DueShard]:
    """Return the new or changed shards of the second dump, and delete the fingerprints of removed ones.

    The metadata of the same name lists the pictures of a shard, or else any file of the dataset.

    Args:
        facts: The fact tables; landed shards and notes are read, `not_taken` is written.
        makers: The current rules and encoders.
        datasets: Those of the settings.
    """
    notes = facts["fingerprinted_shards"].read(["shard_id", "recipe"], equals("fingerprint", REDOWNLOAD))
    done = dict(zip(notes["shard_id"].to_pylist(), notes["recipe"].to_pylist(), strict=True))
    counts: defaultdict[str, NotTakenCounts] = defaultdict(NotTakenCounts)
    landed = {shard.shard_id: shard for shard in _shards(landed_shards(facts), datasets, counts)}
    not_taken.store_landing(facts, counts, not_taken.SECOND_LANDING)
    if gone := done.keys() - landed.keys():
        forget(facts, gone, [REDOWNLOAD])
    if not landed:
        return []
    digest, files = makers.digests()[REDOWNLOAD], landed_shards(facts, "metadata_path is not null")
    due, listed = [], Counter[int]()
    for shard in landed.values():
        listing = metadata_of(shard, files)
        listed.update(each.shard_id for each in listing)
        delivery = shard.files.images and asdict(shard.files.images)
        made_by = recipe("second dump fingerprints", digest, delivery, deliveries(listing))
        if done.get(shard.shard_id) != made_by:
            due.append(DueShard(shard, listing, {REDOWNLOAD: made_by}))
    noted = [each.shard.shard_id for each in due if each.shard.shard_id in done]
    return with_shared(facts, due, listed, noted, [REDOWNLOAD])


def _shards(
    landed: Sequence[LandedShard], datasets: Sequence[Dataset], counts: defaultdict[str, NotTakenCounts]
) -> Iterator[LandedShard]:
    first_dump = {each.files.partition: each for each in landed}
    for dataset in datasets:
        if not dataset.redownload:
            continue
        left = counts[dataset.name]
        found = find_shards(dataset.name, None, dataset.redownload, left)
        if not found:
            raise LandingError(nothing_found("redownload", dataset.redownload, dataset.name, left))
        for shard in found:
            if same_name := first_dump.get(shard.partition):
                yield replace(same_name, files=replace(same_name.files, images=shard.images))
            else:
                yield LandedShard(shard_number((shard.dataset, shard.name)), replace(shard, metadata=None), IMAGES_ONLY)
