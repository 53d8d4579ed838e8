"""What the figures of scale are measured on, each function in a process of its own: it times, and proves what it found.

What belongs here: calling the project's own joins, components, commits and jobs. What does not: inputs
(`scale_inputs.py`, `scale_warehouse.py`), sizes and figures (`scale.py`).
"""

import hashlib
import os
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.duplicates import caption_groups as captions
from orchestration.facts import Facts
from orchestration.fingerprints.due_shards import DueShard
from orchestration.fingerprints.kinds import HASHES, IMAGES
from orchestration.fingerprints.makers import Makers
from orchestration.fingerprints.shard_writer import ShardGroup, ShardWriter, maintain, prepare
from orchestration.runtime.resources import rules_of
from orchestration.settings import Settings
from tests.benchmarks import scale_inputs
from tests.benchmarks.alone import Result, peak_gb
from tests.benchmarks.figures import seconds
from tests.benchmarks.scale_inputs import Numbers
from tests.benchmarks.scale_warehouse import SHARD, PlantedWarehouse, environment, fingerprint_rows
from transforms import encoders
from transforms.catalog.landing import OK, LandedShard, Shard
from transforms.duplicates.components import Components
from transforms.fingerprints.shard import Account, Batch
from transforms.joins.hamming.bounded_join import JoinWay, choose, pairs_within
from transforms.joins.hamming.join import HammingPairs, self_join

_RADIUS, _EDGES, _COMMITS = 31, 1_000_000, 15
_THREADS = 100_000_000  # bytes that a process takes for threads and freed memory, whatever it holds
_DONE = (None, 0, 4)  # exit codes: 4 is done, but some rows have no picture


def join_hashes(count: int, pairs: int) -> Result:
    """Join uniform hashes, and find every planted pair."""
    _compile_join()
    made, before = scale_inputs.hashes(count, pairs), peak_gb()
    found = _found(self_join(made.rows, _RADIUS), count, made.left, made.right)
    return found | {"before_gb": before}


def join_hashes_within(folder: str, count: int, pairs: int, memory: int) -> Result:
    """Join uniform hashes of a file within so many bytes of memory, and find every planted pair."""
    _compile_join()
    chosen = choose(count, None, _RADIUS, memory)
    if chosen.way is not JoinWay.DISK:
        raise AssertionError(f"{count} hashes are joined in {chosen.way}, within {memory} bytes")
    made, left, right = scale_inputs.hash_file(Path(folder, "hashes"), count, pairs)
    before, told = peak_gb(), [0.0]

    def report(share: float) -> None:
        if share >= told[-1] + 0.05:
            told.append(share)
            print(f"  {count:,} hashes: {share:.0%}", file=sys.stderr, flush=True)

    found = _found(pairs_within(made, None, _RADIUS, memory, Path(folder), report), count, left, right)
    held = peak_gb() - before
    if held > (memory + _THREADS) / 1e9:
        raise AssertionError(f"the join held {held:.2f} GB, more than the {memory / 1e9:.2f} GB it was allowed")
    return found | {"before_gb": before, "allowed_gb": memory / 1e9, "disk_gb": chosen.disk / 1e9}


def _compile_join() -> None:
    warm = scale_inputs.hashes(5_000, 10)
    sum(len(each) for each in self_join(warm.rows, _RADIUS))


def _found(parts: Iterable[HammingPairs], count: int, left: Numbers, right: Numbers) -> dict[str, float]:
    """Consume a join, and return its time. Raises AssertionError where a planted pair is missing."""
    codes = np.sort(left * count + right)
    seen, found = np.zeros(len(codes), np.bool_), 0
    began = time.perf_counter()
    for each in parts:
        pair = each.left * count + each.right
        place = np.searchsorted(codes, pair).clip(max=len(codes) - 1)
        seen[place[codes[place] == pair]] = True
        found += len(each)
    taken = time.perf_counter() - began
    if not seen.all():
        raise AssertionError(
            f"{len(codes) - seen.sum()} of {len(codes)} planted pairs were missed among {count} hashes"
        )
    return {"s": taken, "planted": len(codes), "pairs": found}


def connect(nodes: int, edges: int, groups: int) -> Result:
    """Connect planted components, edges in batches, and label every node as it must be."""
    warm = Components(2)
    warm.add(np.array([0]), np.array([1]))
    warm.labels()
    taken, began = 0.0, time.perf_counter()
    graph = Components(nodes)
    for left, right in scale_inputs.edges(nodes, edges, groups, _EDGES):
        taken -= time.perf_counter()
        graph.add(left, right)
        taken += time.perf_counter()
    taken -= time.perf_counter()
    labels = graph.labels()
    taken += time.perf_counter()
    for start in range(0, nodes, _EDGES):
        part = labels[start : start + _EDGES]
        if wrong := int((part != np.arange(start, start + len(part)) % groups).sum()):
            raise AssertionError(f"{wrong} of the nodes from {start} on have the label of another component")
    return {"s": taken, "with_making_s": time.perf_counter() - began, "components": groups}


def land(folder: str, rows: int, words: str, fingerprints: int) -> Result:
    """Land rows in a planted warehouse."""
    PlantedWarehouse.at(folder).land(rows, words, fingerprints=bool(fingerprints))
    return {}


def group_captions(folder: str) -> Result:
    """Group the captions of a planted warehouse as a run does, and count the planted pairs that it finds."""
    environment()
    warehouse = PlantedWarehouse.at(folder)
    began = time.perf_counter()
    note = captions.update(warehouse.facts, warehouse.settings)
    taken, peak = time.perf_counter() - began, peak_gb()
    tied = set()
    for batch in warehouse.facts["caption_groups"].scan(["caption_key", "group_key"], "caption_key <> group_key"):
        tied.update(batch.column(0).to_pylist())
    planted = missed = 0
    for path in sorted((warehouse.folder / "laion").glob("*.parquet")):
        texts = pq.read_table(path, columns=["TEXT"])["TEXT"].to_pylist()
        for pair in zip(*scale_inputs.planted_pairs(len(texts)), strict=True):
            # One of two near captions is in a group under another caption: the later one, if the earlier is not.
            missed += tied.isdisjoint(hashlib.md5(texts[each].encode()).hexdigest() for each in pair)  # noqa: S324
            planted += 1
    if note["exact"] and missed:
        raise AssertionError(f"the exact join missed {missed} of {planted} planted pairs of captions")
    found = {"s": taken, "peak_gb": peak, "exact": float(note["exact"]), "distinct": note["new"], "planted": planted}
    told = {"recall_told": note["recall"]} if note["recall"] is not None else {}
    return found | {"recall": 1 - missed / planted, "groups_s": note["seconds"]} | told


def derive(folder: str) -> Result:
    """Derive a planted warehouse and publish it, by the command, and find its rows and clusters in the version."""
    environment()
    warehouse = PlantedWarehouse.at(folder)
    taken = seconds(lambda: _run(warehouse))
    return {"s": taken, "peak_gb": peak_gb()} | published(warehouse)


def _run(warehouse: PlantedWarehouse) -> None:
    os.environ["RAISONNE_CONFIG"] = str(warehouse.config)
    from orchestration.cli.main import main

    try:
        main(["run", "derive"], standalone_mode=False)
    except SystemExit as ended:
        if ended.code not in _DONE:
            raise


def published(warehouse: PlantedWarehouse) -> dict[str, float]:
    """Return what is in the published version. Raises AssertionError where it is not what was planted."""
    database = warehouse.settings.home / "raisonne.duckdb"
    with duckdb.connect(str(database), read_only=True) as con:
        [(version, *counts)] = con.execute("""
            select (select max(version) from warehouse.versions),
                (select count(*) from catalog.samples),
                (select count(*) from fingerprints.images where status = 'ok'),
                (select count(*) from duplicates.clusters),
                (select count(*) from duplicates.counts)""").fetchall()
    found = dict(zip(("rows", "pictures", "clustered", "clusters"), counts, strict=True))
    if found != (planted := warehouse.expected()):
        raise AssertionError(f"version {version} has {found}, planted were {planted}")
    return found | {"version": version, "file_gb": database.stat().st_size / 1e9}


def commit(folder: str, rows: int) -> Result:
    """Fill the table of fingerprints with planted rows, then write further shards as a run does, each a commit.

    Returns the least of their seconds: of the commit, and of writing the rows, batch by batch, before it.
    """
    settings = Settings(home=Path(folder))
    facts, shards = Facts(settings.home / "facts"), rows // SHARD
    table, makers = facts[IMAGES[HASHES]], Makers(rules_of(settings), {}, encoders.load)

    def made(shard: int) -> pa.RecordBatch:
        numbers = np.arange(SHARD)
        return fingerprint_rows(table.schema, shard, numbers, scale_inputs.shown(shard * SHARD + numbers))

    table.append(made(shard) for shard in range(shards))
    notes = facts["fingerprinted_shards"]
    same = {"fingerprint": HASHES, "dataset": "planted", "recipe": "planted", "maker": "planted", "pictures": SHARD}
    notes.upsert(
        pa.Table.from_pylist(
            [same | {"shard_id": each, "shard": f"{each:06d}"} for each in range(shards)], notes.schema
        )
    )
    upkeep = seconds(lambda: maintain(facts, settings.limits.index_rows))
    due = [_due(shard) for shard in range(shards, shards + 1 + _COMMITS)]
    begun = seconds(lambda: prepare(facts, due))
    group = ShardGroup(facts, makers, settings.limits.commit_rows)

    def written(each: DueShard, images: pa.Table) -> None:
        writer = ShardWriter(facts, each, makers, settings.limits.commit_rows)
        for first in range(0, SHARD, settings.limits.batch):
            writer.add(Batch(images.slice(first, settings.limits.batch), {}))
        group.add(writer, Account(pictures=SHARD))

    taken = []
    for each in due:
        images = pa.Table.from_batches([made(each.shard.shard_id)]).drop_columns("shard_id")
        writing = seconds(lambda each=each, images=images: written(each, images))
        taken.append((seconds(group.commit), writing))
    if (found := table.dataset().count_rows()) != SHARD * (shards + 1 + _COMMITS):
        raise AssertionError(f"{found} rows are in the table after {1 + _COMMITS} commits of {SHARD} to {rows}")
    later = seconds(lambda: maintain(facts, settings.limits.index_rows))
    committing, writing = zip(*taken[1:], strict=True)  # the first loads code
    return {
        "s": min(committing),
        "median_s": statistics.median(committing),
        "worst_s": max(committing),
        "writing_s": min(writing),
        "begin_s": begun,
        "upkeep_s": upkeep,
        "later_upkeep_s": later,
    }


def _due(shard: int) -> DueShard:
    files = Shard("planted", f"{shard:06d}", None, None)
    return DueShard(LandedShard(shard, files, OK, rows=SHARD), (), {HASHES: "planted"})
