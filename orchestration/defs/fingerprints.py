"""What does each image look like? Assets of the stage `fingerprints`.

What belongs here: the assets, and what Dagster shows of them. What does not: which shards are due and committing them
(`orchestration/fingerprints/bookkeeping.py`), how pictures are decoded, hashed and embedded (`transforms/`), status and
coverage (`sql/fingerprints/`).
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import batched
from pathlib import Path

import dagster as dg
import pyarrow as pa

from orchestration.defs.catalog import SHARDS, landing_shards
from orchestration.facts import literal
from orchestration.facts.recipes import recipe
from orchestration.fingerprints import second_dump
from orchestration.fingerprints.bookkeeping import (
    CODE,
    COPY,
    due_shards,
    fingerprinted,
    forget_gone_shards,
    maintain,
    partition,
)
from orchestration.progress import track
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import Warehouse
from transforms.catalog import generations
from transforms.catalog.generations import Generation
from transforms.encoders import Encoder, Prepared
from transforms.fingerprints import shard as shards
from transforms.fingerprints.ahead import ahead
from transforms.fingerprints.fingerprint import FAILED, LOW_QUALITY, Fingerprint, Rules, fingerprint, vector_column
from transforms.fingerprints.views import View


@dg.asset(
    group_name="fingerprints",
    kinds={"lancedb", "onnx"},
    owners=["team:data-engineering"],
    deps=[landing_shards],
    partitions_def=SHARDS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool="gpu",
)
def image_fingerprints(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """SHA-256, pixel hash, PDQ and embeddings of every training picture; one shard of the image dump a partition.

    Without a partition chosen, every shard that is new or was delivered again. A shard that is done is not read.
    """
    chosen = set(context.partition_keys) if context.has_partition_key or context.has_partition_key_range else None
    due = [d for d in due_shards(warehouse) if chosen is None or partition(d.shard) in chosen]
    forget_gone_shards(warehouse.facts)
    done: list[shards.Account] = []
    began = time.monotonic()
    for shard, account in fingerprinted(warehouse, due):
        done.append(account)
        if account.broken or account.unlisted:
            context.log.warning("%s: %s", partition(shard), account.broken or f"{account.unlisted} pictures unlisted")
        if chosen is None and not account.unreachable:
            context.log_event(
                dg.AssetMaterialization(context.asset_key, partition=partition(shard), metadata=_plain(account.row()))
            )
    if due:
        context.log.info("fact tables: %s", maintain(warehouse))
    told = _told(warehouse, "image_fingerprints", done, time.monotonic() - began)
    return dg.MaterializeResult(
        metadata=told | {f"{kind} encoder": name for kind, name in warehouse.encoder_names.items()}
    )


def _told(
    warehouse: Warehouse, table: str, done: Sequence[shards.Account], seconds: float
) -> dict[str, int | float | str]:
    """Return what Dagster shows of a run: totals, throughput and failures."""
    counts = sum((account.counts for account in done), Counter[str]())
    return {
        **asset_metadata.fact(warehouse.facts[table]),
        "shards fingerprinted now": len(done),
        "pictures fingerprinted now": counts.total(),
        "known by their bytes": sum(account.reused for account in done),
        "pictures per second": round(counts.total() / seconds, 1) if seconds else 0.0,
        "low quality now": counts[LOW_QUALITY],
        "failed now": counts[FAILED],
        "unlisted now": sum(account.unlisted for account in done),
    }


def _plain(row: dict) -> dict:
    return {name: value if isinstance(value, int) else str(value) for name, value in row.items() if value}


@dg.asset(
    group_name="fingerprints",
    kinds={"lancedb"},
    owners=["team:data-engineering"],
    deps=[image_fingerprints],
    pool="gpu",
)
def redownload_fingerprints(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Hashes of a second dump of the same rows, where the settings name one; shards that are done are not read."""
    began = time.monotonic()
    done = []
    for shard, account in fingerprinted(warehouse, second_dump.due(warehouse), "fingerprinting the second dump"):
        done.append(account)
        if account.broken or account.unlisted:
            context.log.warning("%s: %s", partition(shard), account.broken or f"{account.unlisted} pictures unlisted")
    return dg.MaterializeResult(metadata=_told(warehouse, "redownload_fingerprints", done, time.monotonic() - began))


@dg.asset(group_name="fingerprints", kinds={"lancedb", "onnx"}, owners=["team:safety-research"], pool="gpu")
def generation_fingerprints(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Hashes of every generated image, and embeddings of its views: whole, mirrored, and parts. New images only."""
    found = [g for source in warehouse.settings.generations for g in generations.find(source.name, source.path)]
    if found:  # vectors of another encoder go, and with them what is known of the generations
        encoder = warehouse.encoder(COPY)
        warehouse.facts["generation_embeddings"].reset(str(encoder.id), encoder.id.dimension)
    table = warehouse.facts["generation_fingerprints"]
    known = {row["generation_id"]: row for row in table.read(["generation_id", "recipe"]).to_pylist()}
    recipes = {g.generation_id: _generation_recipe(warehouse, g) for g in found}
    due = [g for g in found if known.get(g.generation_id, {}).get("recipe") != recipes[g.generation_id]]
    failed = 0
    if due:
        embeddings = warehouse.facts.embeddings("generation_embeddings", str(encoder.id), encoder.id.dimension)
        embeddings.delete(f"view not in ({', '.join(literal(view.name) for view in warehouse.views)})")
        work = ahead(partial(_read, warehouse.rules, encoder, warehouse.views), due, warehouse.pace)
        for batch in batched(track(work, "fingerprinting generations", len(due)), max(1, warehouse.pace.batch // 4)):
            prints = [
                _generation_row(g, print_, {"encoder": str(encoder.id), "recipe": recipes[g.generation_id]})
                for g, print_, _ in batch
            ]
            failed += sum(row["status"] == FAILED for row in prints)
            embeddings.upsert(_view_rows(warehouse, batch))
            table.upsert(pa.Table.from_pylist(prints, table.schema))
    gone = known.keys() - recipes.keys()
    _forget_generations(warehouse, gone)
    if failed:
        context.log.warning("%d generations cannot be read; catalog.generations says why", failed)
    return dg.MaterializeResult(
        metadata={
            **asset_metadata.fact(warehouse.facts["generation_fingerprints"]),
            "fingerprinted now": len(due),
            "failed now": failed,
            "gone": len(gone),
        }
    )


def _generation_recipe(warehouse: Warehouse, generation: Generation) -> str:
    stat = Path(generation.path).stat()
    return recipe(
        "generation fingerprints",
        CODE,
        warehouse.encoder_id(COPY),
        warehouse.rules,
        generation,
        warehouse.views,
        stat.st_size,
        stat.st_mtime_ns,
    )


type _Read = tuple[Generation, Fingerprint, list[Prepared]]


def _read(rules: Rules, encoder: Encoder, views: Sequence[View], generation: Generation) -> _Read:
    path = Path(generation.path)
    try:
        if path.stat().st_size > rules.member_bytes:
            return generation, Fingerprint(FAILED, f"more than limits.member_bytes = {rules.member_bytes} bytes"), []
        print_, picture = fingerprint(path.read_bytes(), rules, dihedral=True)
    except OSError as error:
        return generation, Fingerprint(FAILED, f"cannot be opened: {error.strerror}"), []
    prepared = [] if picture is None else [encoder.prepare(view.cut(picture)) for view in views]
    return generation, print_, prepared


def _generation_row(generation: Generation, print_: Fingerprint, made_by: dict[str, str]) -> dict[str, object]:
    dihedral = None if print_.dihedral is None else [row.tobytes().hex() for row in print_.dihedral]
    return {**vars(generation), **print_.row(), "dihedral_pdq": dihedral, **made_by}


def _view_rows(warehouse: Warehouse, batch: Sequence[_Read]) -> pa.Table:
    views = [(g.generation_id, view) for g, _, prepared in batch if prepared for view in warehouse.views]
    vectors = warehouse.encoder(COPY).embed([picture for *_, prepared in batch for picture in prepared])
    return pa.table(
        {
            "generation_id": pa.array([g for g, _ in views], pa.string()),
            "view": pa.array([view.name for _, view in views], pa.string()),
            **{
                side: pa.array([getattr(view.box, side) for _, view in views], pa.float64())
                for side in ("x", "y", "width", "height")
            },
            "mirrored": pa.array([view.mirrored for _, view in views], pa.bool_()),
            "vector": vector_column(vectors),
        }
    )


def _forget_generations(warehouse: Warehouse, gone: Iterable[str]) -> None:
    for batch in batched(sorted(gone), 500):
        names = ", ".join(map(literal, batch))
        for table in ("generation_fingerprints", "generation_embeddings"):
            warehouse.facts[table].delete(f"generation_id in ({names})")
