"""What the next run has to do: shards, generations, joins, publishing, and what would stop it or hold it back.

What belongs here: asking each stage what is due, and saying it. What does not: deciding what is due (each stage does),
the work. Nothing is written; an encoder is loaded, because recipes hold its identity.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial

import duckdb

from orchestration.catalog import absences, gone_dumps, opt_outs, shards
from orchestration.catalog.opt_outs import OptOutList
from orchestration.duplicates.copy_joins import EmbeddingJoin, HashJoin
from orchestration.facts import Facts
from orchestration.facts.decision_log import DecisionLog
from orchestration.facts.table import Change
from orchestration.fingerprints.due_shards import due_shards
from orchestration.fingerprints.generations import GenerationFingerprinter, find_generations
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.makers import Makers
from orchestration.fingerprints.notes import require_embeddings
from orchestration.runtime.resources import rights_of, rules_of
from orchestration.settings import Settings, SettingsError
from orchestration.warehouse import models, publishing, sql_folder, version
from transforms import encoders
from transforms.catalog.columns import LandingError
from transforms.catalog.landing import IMAGES_ONLY, REFUSED, LandedShard, Shard
from transforms.catalog.not_taken import NotTakenCounts
from transforms.catalog.opt_outs import OptOutListError
from transforms.encoders import EncoderId, EncoderUnavailable
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.shard import RightsReading
from transforms.fingerprints.views import search_views
from transforms.generations.generation import FoundGeneration, GenerationsError
from transforms.readable import count, first_line, printable

_NAMED = 5
_GENERATIONS, _RIGHTS = "generations", "what files say of their use"
_NOT_TRAINING = {_GENERATIONS, _RIGHTS}


@dataclass
class DueInputs:
    """The inputs that the next run reads, and those that stay as they are, for an estimate of what it takes.

    Attributes:
        shards: Shards whose metadata is read.
        pictured: Shards whose pictures are read.
        known_rows: Rows of metadata of the other shards.
        generations: Generations that are fingerprinted.
        known_generations: The others.
    """

    shards: Sequence[Shard] = ()
    pictured: Sequence[Shard] = ()
    known_rows: int = 0
    generations: Sequence[FoundGeneration] = ()
    known_generations: int = 0


@dataclass(frozen=True)
class DueWork:
    """What the next run has to do.

    Attributes:
        lines: A line for each part of the work that is due; none if there is nothing to do.
        idle: A line for each part that is done.
        stops: Why a run would stop before its work, or hold its version back.
        inputs: What is read.
    """

    lines: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    inputs: DueInputs = field(default_factory=DueInputs)


class _Found:
    """Collects what is found, part by part."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.idle: list[str] = []
        self.stops: list[str] = []
        self.inputs = DueInputs()

    def add(self, part: str, due: Sequence[str], done: str) -> None:
        if due:
            self.lines.append(f"{part}: {', '.join(due)}")
        else:
            self.idle.append(f"{part}: {done}")

    def attempt[T](self, look: Callable[[], T]) -> T | None:
        """Return what is found; None where it would stop a run, whose reason is kept."""
        try:
            return look()
        except duckdb.Error as error:
            self.stops.append(publishing.explained(error) or first_line(error))
            return None
        except (LandingError, GenerationsError, OptOutListError, EncoderUnavailable, SettingsError, OSError) as error:
            self.stops.append(str(error))
            return None


def due_work(settings: Settings) -> DueWork:
    """Find what the next run of everything has to do, and what would stop it."""
    facts, found = Facts(settings.home / "facts"), _Found()
    rights = found.attempt(lambda: rights_of(settings)) or RightsReading()
    load = cache(partial(encoders.load, device=settings.encoders.device))
    makers = Makers(rules_of(settings), settings.encoders.by_purpose, load, rights)
    usable = found.attempt(lambda: {kind: makers.encoder(kind).id for kind in makers.encoder_names})
    lists = found.attempt(lambda: opt_outs.find_lists(settings.recalls))
    landing = _landing(facts, settings, None if usable is None else makers, found)
    if landing is not None:
        fresh, pictured = landing
        _older_tables(facts, found)
        if usable is not None:
            fresh |= _fingerprints(facts, makers, fresh, pictured, found)
            fresh |= _generations(facts, makers, settings, found)
            _joins(facts, settings, usable.get(COPY), fresh, found)
        if lists is not None:
            fresh |= _opt_outs(facts, settings, lists, fresh, found)
        if new := DecisionLog(settings.home).new:
            fresh.add("decisions")
            found.add("decisions", [f"{count(new, 'decision')} to be taken up"], "")
        found.attempt(lambda: _publishing(facts, settings, fresh, found))
    return DueWork(tuple(found.lines), tuple(found.idle), tuple(found.stops), found.inputs)


def _landing(
    facts: Facts, settings: Settings, makers: Makers | None, found: _Found
) -> tuple[set[str], set[str]] | None:
    """Compare the landing folders with what is known.

    Returns:
        The partitions of shards that changed or are gone, and those among them whose pictures will be read. None if a
        run would stop here, so that nothing can be said of what follows.
    """
    counts: defaultdict[str, NotTakenCounts] = defaultdict(NotTakenCounts)
    known = shards.landed_shards(facts)

    def look() -> list[Shard]:
        delivered = gone_dumps.with_gone_dumps(shards.discover(settings, counts), known, settings.datasets, facts)
        absences.require_datasets(delivered, known, settings.datasets, counts, ())
        return delivered

    delivered = found.attempt(look)
    if delivered is None:
        return None
    uninspected = shards.uninspected(delivered, known, settings)
    fresh = {each.partition for each in uninspected}
    before = {each.files.partition for each in known}
    gone = sorted(before - {each.partition for each in delivered})
    again = sorted(each.files.partition for each in known if each.status == REFUSED and each.files.partition in fresh)
    parts = (
        ("new", sorted(fresh - before)),
        ("delivered again", sorted((fresh & before) - set(again))),
        ("refused before, to be read again", again),
        ("gone", gone),
    )
    told = [f"{count(len(names))} {what} ({_named(names)})" for what, names in parts if names]
    refused = sum(each.status == REFUSED for each in known) - len(again)
    left = f", {count(refused)} of them refused" if refused else ""
    found.add("shards", told, f"{count(len(delivered), 'shard')}, as they were{left}")
    landed = _landed(delivered, known)
    if makers:
        found.attempt(lambda: require_embeddings(facts, makers, landed))
    found.attempt(lambda: absences.require_coverage(facts, landed, known, settings))
    found.inputs.shards = uninspected
    found.inputs.pictured = [each for each in uninspected if each.images]
    found.inputs.known_rows = sum(each.rows for each in landed if each.files.partition not in fresh)
    return fresh | set(gone), {each.partition for each in found.inputs.pictured}


def _landed(delivered: Sequence[Shard], known: Sequence[LandedShard]) -> list[LandedShard]:
    """Return the shards as far as they are known before they are inspected."""
    before = {each.files.partition: each for each in known}
    landed = []
    for number, shard in enumerate(delivered):
        earlier = before.get(shard.partition)
        if earlier and earlier.files == shard:
            landed.append(replace(earlier, files=shard))
        else:
            landed.append(LandedShard(-1 - number, shard, IMAGES_ONLY))
    return landed


def _older_tables(facts: Facts, found: _Found) -> None:
    changes = {table.name: table.due_change for table in facts if facts.folder.is_dir()}
    for change, what in ((Change.EVOLVED, "to be brought up to date"), (Change.EMPTIED, "to be computed again")):
        if names := sorted(name for name, each in changes.items() if each is change):
            found.lines.append(f"fact tables of an older release: {len(names)} {what} ({_named(names)})")


def _fingerprints(facts: Facts, makers: Makers, fresh: set[str], pictured: set[str], found: _Found) -> set[str]:
    lacking = found.attempt(lambda: due_shards(facts, makers))
    if lacking is None:
        return set()
    due = {each.partition: each.shard.files for each in lacking if not each.rights_alone}
    unread = {each.partition for each in lacking if each.rights_alone} - fresh
    stale = set(due)
    found.inputs.pictured = [*found.inputs.pictured, *(due[name] for name in sorted(stale - fresh))]
    noted = facts["fingerprinted_shards"].read(["dataset", "shard", "recipe"]).to_pylist()
    known = {f"{each['dataset']}/{each['shard']}" for each in noted}
    stale = (stale - (fresh - pictured)) | (pictured & known)
    new = pictured - known
    told = [f"pictures of {count(len(new), 'shard')} for the first time"] if new else []
    if again := stale - new:
        why = "new pictures, metadata, encoder or rules; or a run that was stopped"
        told.append(f"pictures of {count(len(again), 'shard')} again ({_named(sorted(again))}: {why})")
    if unread:
        told.append(f"what the files of {count(len(unread), 'shard')} say of their use, which computes nothing again")
    gone = sum(each.files.images_gone for each in shards.landed_shards(facts))
    left = f", {gone:,} of them without an image dump any more" if gone else ""
    found.add("fingerprints", told, f"done for {count(len(known), 'shard')}{left}")
    return stale | ({_RIGHTS} if unread else set())


def _generations(facts: Facts, makers: Makers, settings: Settings, found: _Found) -> set[str]:
    limits, search = settings.limits, settings.search
    seen = found.attempt(lambda: find_generations(settings.generations, limits.member_bytes, limits.of_files))
    if seen is None:
        return set()
    named = {each.generation.source for each in seen.generations}
    found.attempt(lambda: absences.empty_sources(facts, settings.generations, named))
    views = search_views(search.scales, search.flips)
    backlog = GenerationFingerprinter(facts, makers, views, WorkPace(1, 1)).backlog(seen.generations)
    found.inputs.generations = backlog.due
    found.inputs.known_generations = len(seen.generations) - len(backlog.due)
    parts = (
        (len(backlog.due), "to be fingerprinted and searched for"),
        (len(backlog.outdated), "to be described anew"),
        (len(backlog.gone), "gone"),
    )
    told = [f"{count(number)} {what}" for number, what in parts if number]
    found.add("generations", told, f"done for {count(len(seen.generations), 'generation')}")
    return {_GENERATIONS} if told else set()


def _joins(facts: Facts, settings: Settings, encoder: EncoderId | None, fresh: set[str], found: _Found) -> None:
    training = fresh - _NOT_TRAINING
    cut = settings.thresholds
    joins: dict[str, HashJoin | EmbeddingJoin] = {
        "hashes": HashJoin(facts, encoder, cut.pdq, settings.memory, settings.compute),
    }
    if encoder:
        joins["embeddings"] = EmbeddingJoin(
            facts, encoder, cut.similar, settings.joins, settings.memory, settings.compute
        )
    pictures = facts["image_fingerprints"].dataset().count_rows()
    due = [name for name, join in joins.items() if training or (pictures and not join.record.current)]
    done = "done" if encoder else "done, of hashes alone: encoders.copy is none"
    found.add("joins of training pictures", due, done if pictures else "no pictures")


def _opt_outs(
    facts: Facts, settings: Settings, lists: Sequence[OptOutList], fresh: set[str], found: _Found
) -> set[str]:
    if not lists and not settings.policies.honour and not facts["recalled_rows"].dataset().count_rows():
        return set()
    stale = bool(fresh - {_GENERATIONS}) or not opt_outs.is_current(facts, settings, lists)
    found.add(
        "opt-out lists", ["to be looked up in the training rows"] if stale else [], f"{len(lists):,}, as they were"
    )
    return {"opt-out lists"} if stale else set()


def _publishing(facts: Facts, settings: Settings, fresh: set[str], found: _Found) -> None:
    tables = models.load(sql_folder.SQL)
    plan = version.plan(facts, settings, settings.home, tables, tables)
    last = plan.history.to_pylist()[-1:]
    if plan.damaged:
        due = list(map(printable, plan.damaged))
    elif not last:
        due = ["the first version"]
    elif fresh:
        due = ["a new version, as the above changes it"]
    elif plan.holder is not None:
        due = []
    elif last[0]["settings_hash"] != settings.settings_hash:
        due = [f"a new version, as settings differ from those of version {last[0]['version']}"]
    elif dict(last[0]["lance_versions"]) != dict(plan.fact_versions):
        due = [f"a new version, as facts are newer than version {last[0]['version']}"]
    else:
        due = [f"a new version, as tables have another definition than in version {last[0]['version']}"]
    if due or not found.stops:  # of what could not be looked at, nobody knows whether a version holds it
        found.add("publishing", due, f"version {plan.holder} holds all of this")


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return printable(", ".join(names[:_NAMED])) + (f" and {more:,} more" if more > 0 else "")
