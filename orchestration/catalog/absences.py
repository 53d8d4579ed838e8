"""What the settings name and nothing is found of, and what the warehouse holds and the settings no longer name.

What belongs here: refusing to take an unmounted disk or a typing error for a removal, and describing what is gone. What
does not: finding files (`transforms/catalog/landing.py`), deleting what is gone (`orchestration/catalog/shards.py`),
holding back a version (`orchestration/warehouse/previous.py`).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from orchestration.facts import Facts
from orchestration.facts.filters import equals
from orchestration.settings import Settings
from orchestration.settings.inputs import Dataset, Generations
from orchestration.warehouse import previous
from transforms.catalog.columns import LandingError
from transforms.catalog.landing import IMAGES_ONLY, LandedShard, Shard
from transforms.catalog.not_taken import NotTakenCounts
from transforms.readable import count

HASHES, SHA256 = "hashes", "sha256"


def require_datasets(
    shards: Sequence[Shard],
    known: Iterable[LandedShard],
    datasets: Sequence[Dataset],
    not_taken: Mapping[str, NotTakenCounts],
    forget: Collection[str],
) -> None:
    """Refuse to go on if a glob of the settings finds nothing, or a dataset left the settings without a word.

    Args:
        shards: What the globs find.
        known: The shards as the last run found them.
        datasets: Those of the settings.
        not_taken: By dataset, what the globs find and no shard takes.
        forget: Datasets to remove for good.

    Raises:
        LandingError: The message names the setting and the fix.
    """
    named = {dataset.name for dataset in datasets}
    if still := sorted(named & set(forget)):
        raise LandingError(f"`--forget {still[0]}`: take its [[datasets]] section out of the settings first")
    before: defaultdict[str, list[LandedShard]] = defaultdict(list)
    for shard in known:
        before[shard.files.dataset].append(shard)
    if gone := sorted(before.keys() - named - set(forget)):
        raise LandingError(
            f"dataset {gone[0]!r} is in the warehouse ({count(len(before[gone[0]]), 'shard')}), but no longer in the "
            f"settings: put its [[datasets]] section back, or run `raisonne run --forget {gone[0]}` to remove it for "
            f"good"
        )
    for dataset in datasets:
        own = [shard for shard in shards if shard.dataset == dataset.name]
        had_pictures = any(shard.files.images for shard in before[dataset.name])
        for setting, pattern, found in (
            ("metadata", dataset.metadata, any(shard.metadata for shard in own)),
            ("images", dataset.images, any(shard.images for shard in own)),
            ("download", dataset.download if had_pictures else None, any(shard.images for shard in own)),
        ):
            if pattern and not found:
                raise LandingError(nothing_found(setting, pattern, dataset.name, not_taken.get(dataset.name)))


def unknown_names(facts: Facts, named: Collection[str], forget: Collection[str]) -> str | None:
    """Return a sentence if a dataset to be removed is neither in the warehouse nor in the settings, or None.

    Args:
        facts: The fact tables; `landing_shards` is read.
        named: The datasets of the settings.
        forget: Datasets to remove for good.
    """
    known = set(facts["landing_shards"].read(["dataset"])["dataset"].to_pylist())
    unknown = sorted(set(forget) - known - set(named))
    if not unknown:
        return None
    return f"`--forget {unknown[0]}`: the warehouse has no such dataset; it has: {', '.join(sorted(known)) or 'none'}"


def nothing_found(setting: str, pattern: str, dataset: str, not_taken: NotTakenCounts | None = None) -> str:
    """Return the sentence for a glob that finds nothing.

    Args:
        setting: Its key in the settings.
        pattern: The glob.
        dataset: The dataset.
        not_taken: What the dataset's globs find and no shard takes.
    """
    others = not_taken.counts() if not_taken else []
    seen = "".join(f"; not taken: {each.files} ({each.reason}), such as {each.examples[0]}" for each in others[:3])
    return (
        f"nothing found at {pattern}{seen}; correct `{setting}` of [[datasets]] {dataset!r}, or mount its disk; to "
        f"remove the dataset for good, take its section out of the settings and run `raisonne run --forget {dataset}`"
    )


def gone_shards(shards: Iterable[Shard], known: Sequence[LandedShard]) -> list[str]:
    """Return a sentence for each dataset of which shards, or image dumps of shards, are gone.

    Args:
        shards: What the globs find.
        known: The shards as the last run found them.
    """
    now = {(shard.dataset, shard.name): shard for shard in shards}
    totals = Counter(each.files.dataset for each in known)
    gone: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for each in known:
        found = now.get((each.files.dataset, each.files.name))
        if found is None:
            gone[each.files.dataset, "are gone with their rows"].append(each.files.name)
        elif each.files.images and not found.images:
            gone[each.files.dataset, "have no image dump any more"].append(each.files.name)
    return [
        f"{len(names)} of {count(totals[dataset], 'shard')} of {dataset!r} {what}, such as {names[0]}"
        for (dataset, what), names in gone.items()
    ]


def require_coverage(
    facts: Facts, landed: Sequence[LandedShard], known: Sequence[LandedShard], settings: Settings
) -> None:
    """Refuse to delete the fingerprints of gone shards if much of a dataset could be searched by them.

    Rows of new shards make up for those of gone ones: shards may have been renamed. What rows a new dump without
    metadata of its name shows is unknown by now, so a dataset with one is only compared before it is published.

    Args:
        facts: The fact tables; `fingerprinted_shards` is read.
        landed: The shards as they are now.
        known: The shards as the last run found them.
        settings: The datasets, and `publishing.coverage_drop`.

    Raises:
        LandingError: The message says what is gone and how to accept it.
    """
    columns = ["shard_id", "dataset", "ok", "low_quality"]
    notes = facts["fingerprinted_shards"].read(columns, equals("fingerprint", HASHES)).to_pylist()
    with_pictures = {each.shard_id: each for each in landed if each.files.images}
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for note in notes:
        usable = (note["ok"] or 0) + (note["low_quality"] or 0)
        before[note["dataset"]] += usable
        after[note["dataset"]] += usable if note["shard_id"] in with_pictures else 0
    noted = {note["shard_id"] for note in notes}
    new = [each for each in with_pictures.values() if each.shard_id not in noted]
    for each in new:
        after[each.files.dataset] += each.rows
    unknown = {each.files.dataset for each in new if each.status == IMAGES_ONLY}
    names, most = {each.name for each in settings.datasets} - unknown, settings.publishing.coverage_drop
    usable_before, usable_now = ({(name, SHA256): rows[name] for name in before} for rows in (before, after))
    if found := previous.falls(usable_before, usable_now, names, most):
        raise LandingError(previous.held_back(found, most, gone_shards([each.files for each in landed], known)))


def empty_sources(facts: Facts, sources: Iterable[Generations], found: Collection[str]) -> list[str]:
    """Return a sentence for each source of generations without any.

    Args:
        facts: The fact tables; `generation_fingerprints` is read.
        sources: Those of the settings.
        found: The sources of which there are generations now.

    Raises:
        LandingError: If the warehouse has generations of such a source: its disk may not be mounted.
    """
    empty = [source for source in sources if source.name not in found]
    before = Counter(facts["generation_fingerprints"].read(["source"])["source"].to_pylist()) if empty else Counter()
    for source in empty:
        if lost := before[source.name]:
            raise LandingError(
                f"nothing found at {source.path}, but the warehouse has {count(lost, 'generation')} of it; correct "
                f"`path` of [[generations]] {source.name!r}, or mount its disk; to remove them for good, take the "
                f"section out of the settings"
            )
    return [
        f"no generations at {source.path}; add pictures, or correct `path` of [[generations]] {source.name!r}"
        for source in empty
    ]
