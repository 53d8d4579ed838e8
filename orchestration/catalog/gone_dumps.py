"""Image dumps whose files are gone since they were fingerprinted: people delete dumps to save space.

What belongs here: telling them from dumps that were replaced or never there. What does not: reading pictures
(`facts/training_pictures.py`), shards that are gone with their rows (`catalog/absences.py`).
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from orchestration.facts import Facts
from orchestration.facts.filters import equals
from orchestration.settings.inputs import Dataset
from transforms.catalog.byte_limits import LISTED
from transforms.catalog.landing import PARQUET, LandedShard, LandingFile, Shard
from transforms.dumps.members import ArchiveError
from transforms.dumps.parquet import Parquet
from transforms.fingerprints.row_matching import metadata_of
from transforms.storage import stores

_HASHES = "hashes"


def with_gone_dumps(
    found: Sequence[Shard], known: Sequence[LandedShard], datasets: Iterable[Dataset], facts: Facts
) -> list[Shard]:
    """Return the shards that are found, and with them the dumps of which only the fingerprints are left.

    Fingerprints stay while their rows do: the metadata that lists the pictures is as it was, and the dataset still
    names a dump. A dump that holds its rows itself, or that no run fingerprinted, is gone like any other file. The
    report of img2dataset that is left of a dump is no dump, though a glob such as `laion/*` now takes it for one.

    Args:
        found: The shards as `shards.discover` lists them.
        known: The shards as the last run found them.
        datasets: Those of the settings.
        facts: The fact tables; `fingerprinted_shards` is read.

    Returns:
        The shards in order of their datasets and names, as `shards.discover` has it.
    """
    noted = facts["fingerprinted_shards"].read(["shard_id"], f"{equals('fingerprint', _HASHES)} and recipe <> ''")
    done = set(noted["shard_id"].to_pylist())
    before = {(each.files.dataset, each.files.name): each.files for each in known if each.shard_id in done}
    found = list(_without_reports(found, before, datasets))
    files: defaultdict[str, set[LandingFile]] = defaultdict(set)
    for shard in found:
        if shard.metadata:
            files[shard.dataset].add(shard.metadata)
    shards = [_kept(shard, before.pop((shard.dataset, shard.name), None), datasets) for shard in found]
    missing = {(shard.dataset, shard.name) for shard in before.values() if _names_dump(shard, datasets)}
    for each in known:
        files_of = files[each.files.dataset]
        if (each.files.dataset, each.files.name) in missing and _rows_stay(each, known, files_of):
            shards.append(replace(each.files, images_gone=True))
    order = {dataset.name: place for place, dataset in enumerate(datasets)}
    return sorted(shards, key=lambda shard: (order[shard.dataset], shard.name))


def _without_reports(
    found: Iterable[Shard], before: Mapping[tuple[str, str], Shard], datasets: Iterable[Dataset]
) -> Iterator[Shard]:
    """Yield the shards without what is a report on the dump that was fingerprinted."""
    for shard in found:
        earlier = before.get((shard.dataset, shard.name))
        if earlier and _names_dump(shard, datasets) and _is_report(shard.images, earlier.images):
            shard = replace(shard, images=None)
        if shard.metadata or shard.images:
            yield shard


def _is_report(found: LandingFile | None, earlier: LandingFile | None) -> bool:
    """Return whether a file is the parquet beside an earlier dump, and holds no pictures."""
    if found is None or earlier is None or found.path == earlier.path:
        return False
    path, dump = PurePosixPath(found.path), PurePosixPath(earlier.path)
    if path.suffix.lower() not in PARQUET or path.with_suffix("") not in (dump, dump.with_suffix("")):
        return False
    try:
        with stores.open_file(found.path) as file:
            Parquet.of(found.path, file, LISTED)
    except ArchiveError:
        return True
    return False


def _kept(shard: Shard, before: Shard | None, datasets: Iterable[Dataset]) -> Shard:
    """Return a shard without a dump with the dump that it had, if its rows are the same."""
    stays = (
        before is not None
        and shard.images is None
        and shard.metadata is not None
        and before.metadata == shard.metadata
        and before.images not in (None, before.metadata)
        and _names_dump(shard, datasets)
    )
    return replace(shard, images=before.images, images_gone=True) if before and stays else shard


def _names_dump(shard: Shard, datasets: Iterable[Dataset]) -> bool:
    return any(dataset.name == shard.dataset and dataset.metadata and dataset.dump for dataset in datasets)


def _rows_stay(shard: LandedShard, known: Iterable[LandedShard], files: Container[LandingFile]) -> bool:
    """Return whether all metadata that may list the pictures of a dump without metadata of its name is as it was."""
    listing = [each.files.metadata for each in metadata_of(shard, known)]
    return shard.files.metadata is None and bool(listing) and all(file in files for file in listing)
