"""Jobs and sensors: what runs, and what starts it.

What belongs here: the assets of each job, and detecting shards, generations and opt-out lists that are new or changed.
What does not: the assets (`defs/`).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict

import dagster as dg

from orchestration import settings
from orchestration.catalog import opt_outs
from orchestration.catalog.partitions import NAME
from orchestration.catalog.shards import discover, landed_shards
from orchestration.facts import Facts
from orchestration.fingerprints.generations import description_recipe, find_generations
from orchestration.fingerprints.kinds import HASHES, RIGHTS
from orchestration.open_lineage import hooks
from orchestration.runtime import instance
from orchestration.warehouse import publishing
from transforms.catalog.opt_outs import OptOutListError

_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")  # Dagster's tags
_STATUSES = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
_OF_TRAINING = ("image_fingerprints", "copy_embeddings", "semantic_embeddings", "picture_rights")
_OF_DECISIONS = ("decisions", "reviewed_items", "review_precision")
_NOTHING_PARTITIONED = dg.AssetSelection.all() - dg.AssetSelection.assets("image_fingerprints")

everything = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.all(),
    description="Everything from landing files to reports. Finished shards and generations are not read again.",
)
fingerprint_shard = dg.define_asset_job(
    "fingerprint_shard",
    selection=dg.AssetSelection.assets("landing_shards", "landing_dumps", "image_fingerprints"),
    description="Fingerprint shards of the image dump. The sensor starts it for new shards.",
)
derive = dg.define_asset_job(
    "derive",
    selection=_NOTHING_PARTITIONED,
    description="Everything after the fingerprints of training pictures. The sensor starts it when shards are done.",
)
generations_only = dg.define_asset_job(
    "generations_only",
    selection=(
        dg.AssetSelection.assets("generation_fingerprints", "match_candidates")
        | dg.AssetSelection.groups("matches", "provenance", "reports", "warehouse")
        | dg.AssetSelection.assets(["catalog", "generations"], ["catalog", "not_taken"], ["fingerprints", "coverage"])
        | dg.AssetSelection.assets(*(["catalog", name] for name in _OF_DECISIONS))
    ),
    description="Match new generations with the current training set. Decisions about generations are followed; those "
    "about training pictures wait for a run of everything, which makes their clusters.",
)
curator_job = dg.define_asset_job(
    "curator_job",
    selection=dg.AssetSelection.assets("curator_exports"),
    description="Write all exports of the current version, or of the one that `version` in the configuration names.",
)
JOBS = [everything, fingerprint_shard, derive, generations_only, curator_job]
weekly_exports = dg.ScheduleDefinition(
    name="weekly_exports",
    job=curator_job,
    cron_schedule="0 6 * * MON",
    description="Writes the exports of the current version every Monday at six, once it is switched on.",
)
SCHEDULES = [weekly_exports]


@dg.sensor(
    job=fingerprint_shard,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run for shards that are new or were delivered again.",
)
def new_shards(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Compare the landing folders with what is fingerprinted, without opening a file."""
    current = settings.load()
    killed = instance.release_killed_runs(context.instance, current.home)
    for sentence in hooks.tell_killed(killed, instance.IN_PROCESS, instance.KILLED):
        context.log.warning(sentence)
    if busy := _under_way(context.instance, "everything", "fingerprint_shard"):
        return dg.SkipReason(f"{busy} is under way")
    landed = {shard.partition: shard for shard in discover(current) if shard.images}
    done = _fingerprinted(Facts(current.home / "facts"), {HASHES, RIGHTS, *current.encoders.by_purpose})
    fresh = {name: digest for name, shard in landed.items() if done.get(name) != (digest := _digest(asdict(shard)))}
    if not fresh:
        return dg.SkipReason("every shard is fingerprinted")
    context.instance.add_dynamic_partitions(NAME, list(fresh))  # those that are there stay where they are
    order = [name for name in context.instance.get_dynamic_partitions(NAME) if name in fresh]
    # One run for all: runs take turns at writing. What lies between the first and the last and is done is not read.
    tags = dict(zip(_RANGE, (order[0], order[-1]), strict=True))
    # A run key runs once: shards that failed wait for the next delivery, or for somebody to start them.
    if len(order) == 1:
        return dg.SensorResult([dg.RunRequest(_digest(fresh), partition_key=order[0])])
    return dg.SensorResult([dg.RunRequest(_digest(fresh), tags=tags)])


def _fingerprinted(facts: Facts, wanted: Collection[str]) -> dict[str, str]:
    notes = facts["fingerprinted_shards"].read(["shard_id", "fingerprint"], "recipe <> ''").to_pylist()
    counts = Counter(note["shard_id"] for note in notes if note["fingerprint"] in wanted)
    done = {shard_id for shard_id, count in counts.items() if count == len(wanted)}
    return {each.files.partition: _digest(asdict(each.files)) for each in landed_shards(facts) if each.shard_id in done}


@dg.sensor(
    job=derive,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Publishes a version when fingerprints of training pictures are newer than the published one.",
)
def new_fingerprints(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Compare the fingerprints' Lance version with the published one, unless a shard is being fingerprinted."""
    facts = Facts(settings.load().home / "facts")
    now = [facts[name].version for name in _OF_TRAINING]
    if now == [_published(settings.load(), name) for name in _OF_TRAINING]:
        return dg.SkipReason("the published version is up to date")
    if busy := _under_way(context.instance, "fingerprint_shard", "everything", "derive"):
        return dg.SkipReason(f"{busy} is under way")
    return dg.SensorResult(run_requests=[dg.RunRequest(f"fingerprints {now}")])


def _under_way(dagster_instance: dg.DagsterInstance, *jobs: str) -> str:
    """Return the name of a job with a queued or executing run, or None."""
    runs = {job: dagster_instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=_STATUSES)) for job in jobs}
    return next((job for job, count in runs.items() if count), "")


def _published(current: settings.Settings, table: str) -> int:
    try:
        with publishing.connect(current.home) as con:
            rows = con.execute("select max_by(lance_versions, version)[?] from warehouse.versions", [table]).fetchall()
            return int(rows[0][0])
    except publishing.NotPublished:
        return 1  # the empty table


@dg.sensor(
    job=generations_only,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Matches generated images that were added to the folders of generations or removed from them.",
)
def new_generations(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Compare the folders of generations with what is fingerprinted, without opening an image."""
    current = settings.load()
    if publishing.current(current.home) is None:
        return dg.SkipReason("nothing is published yet; the first version will include the generations")
    if busy := _under_way(context.instance, "fingerprint_shard", "everything", "derive", "generations_only"):
        return dg.SkipReason(f"{busy} is under way")
    if Facts(current.home / "facts")["image_fingerprints"].version != _published(current, "image_fingerprints"):
        return dg.SkipReason("`derive` is due and will include the generations")
    limits = current.limits
    found = find_generations(current.generations, limits.member_bytes, limits.of_files).generations
    recipes = {each.generation_id: description_recipe(each) for each in found}
    digest = _digest(recipes)
    known = (
        Facts(current.home / "facts")["generation_fingerprints"].read(["generation_id"])["generation_id"].to_pylist()
    )
    if set(known) == recipes.keys() and context.cursor in (digest, None):
        return dg.SensorResult(cursor=digest)
    return dg.SensorResult(run_requests=[dg.RunRequest(digest)], cursor=digest)


@dg.sensor(
    job=derive,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Publishes a version when an opt-out list, or a picture of one, was changed, added or removed.",
)
def new_opt_outs(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Compare the files of the lists, by size and time, with those of the last look; what changed is read then."""
    current = settings.load()
    if not current.recalls:
        return dg.SkipReason("the settings name no opt-out list")
    if publishing.current(current.home) is None:
        return dg.SkipReason("nothing is published yet; the first version will include the lists")
    try:
        stats = [(str(path), path.stat()) for path in opt_outs.listed_files(current.recalls)]
        digest = _digest([(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats])
        if digest == context.cursor:
            return dg.SkipReason("the lists are as they were")
        if busy := _under_way(context.instance, "fingerprint_shard", "everything", "derive", "generations_only"):
            return dg.SkipReason(f"{busy} is under way")
        lists = opt_outs.find_lists(current.recalls)
    except (OptOutListError, OSError) as error:
        return dg.SkipReason(f"no run is started: {error}")
    if opt_outs.is_current(Facts(current.home / "facts"), current, lists):
        return dg.SensorResult(cursor=digest)
    return dg.SensorResult(run_requests=[dg.RunRequest(f"opt-outs {digest}")], cursor=digest)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


SENSORS = [new_shards, new_fingerprints, new_generations, new_opt_outs]
