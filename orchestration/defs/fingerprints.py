"""What does each image look like? Assets of the stage `fingerprints`.

What belongs here: which shards and generations are due, and writing their facts. What does not: how pictures are
decoded, hashed and embedded (`transforms/`), status and coverage (`sql/fingerprints/`).
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import batched
from pathlib import Path

import dagster as dg
import pyarrow as pa

from orchestration.defs.catalog import SHARDS, landing_shards, metadata_files
from orchestration.facts import literal
from orchestration.progress import track
from orchestration.resources import Warehouse
from transforms import generations, rows, shards
from transforms.archives import ArchiveError
from transforms.fingerprints import FAILED, Fingerprint, Rules, ahead, embed, fingerprint, vector_column
from transforms.generations import VIEWS, Generation
from transforms.pictures import Pixels

CODE = 1  # raise when the same bytes would give another fingerprint


def recipe(*parts: object) -> str:
    """Hash whatever a fact depends on."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


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
    """SHA-256, pixel hash, PDQ and copy embedding of every training picture; one shard of the image dump a partition.

    Without a partition chosen, every shard that is new or was delivered again. A shard that is done is not read.
    """
    chosen = set(context.partition_keys) if context.has_partition_key or context.has_partition_key_range else None
    due = [s for s in due_shards(warehouse) if chosen is None or partition(s) in chosen]
    forget_gone_shards(warehouse)
    pictures = 0
    for shard in due:
        account = fingerprint_shard(warehouse, shard)
        pictures += account.pictures
        context.log.info("%s: %s", partition(shard), account.row())
        if account.broken or account.unlisted:
            context.log.warning("%s: %s", partition(shard), account.broken or f"{account.unlisted} pictures unlisted")
        if chosen is None:
            context.log_event(
                dg.AssetMaterialization(context.asset_key, partition=partition(shard), metadata=_plain(account.row()))
            )
    table = warehouse.facts["image_fingerprints"].dataset()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": table.count_rows(),
            "shards fingerprinted now": len(due),
            "pictures fingerprinted now": pictures,
            "encoder": str(warehouse.encoder.id) if due else warehouse.settings.encoders.copy_,
        }
    )


def partition(shard: dict) -> str:
    """Return the Dagster partition of a landing row."""
    return f"{shard['dataset']}/{shard['shard']}"


def due_shards(warehouse: Warehouse) -> list[dict]:
    """Return the image shards whose delivery, metadata, encoder or rules are not those they were fingerprinted with."""
    landed = warehouse.facts["landing_shards"].read(where="images_path is not null").sort_by("shard_id").to_pylist()
    done = dict(
        zip(*warehouse.facts["fingerprinted_shards"].read(["shard_id", "recipe"]).to_pydict().values(), strict=True)
    )
    return (
        [shard for shard in landed if done.get(shard["shard_id"]) != _shard_recipe(warehouse, shard)] if landed else []
    )


def forget_gone_shards(warehouse: Warehouse) -> None:
    """Drop the fingerprints of shards that left the landing folder."""
    landed = set(
        warehouse.facts["landing_shards"].read(["shard_id"], "images_path is not null")["shard_id"].to_pylist()
    )
    done = warehouse.facts["fingerprinted_shards"].read(["shard_id"])["shard_id"].to_pylist()
    for shard_id in set(done) - landed:
        _forget(warehouse, shard_id)


def _shard_recipe(warehouse: Warehouse, shard: dict) -> str:
    delivery = {name: value for name, value in shard.items() if name.startswith(("images_", "metadata_"))}
    # a tar without metadata of its own name meets rows of any file of the dataset
    others = [f["metadata_path"] for f in _metadata_of(warehouse, shard)] if shard["status"] != "ok" else []
    return recipe(CODE, str(warehouse.encoder.id), warehouse.rules, delivery, others)


def _metadata_of(warehouse: Warehouse, shard: dict) -> list[dict]:
    if shard["status"] == "ok":
        return [shard]
    return [file for file in metadata_files(warehouse.facts) if file["dataset"] == shard["dataset"]]


def fingerprint_shard(warehouse: Warehouse, shard: dict) -> shards.Account:
    """Fingerprint one shard and commit it: embeddings, then hashes, then the note that it is done."""
    account = shards.Account()
    files = [rows.MetadataFile(f["shard_id"], f["readable_path"]) for f in _metadata_of(warehouse, shard)]
    try:
        work = shards.fingerprint_shard(
            shard["images_path"], files, warehouse.encoder, warehouse.rules, warehouse.pace, account
        )
        batches = list(track(work, f"fingerprinting {partition(shard)}", None, lambda batch: len(batch.images)))
    except ArchiveError as error:
        account.broken, batches = str(error), []
    _forget(warehouse, shard["shard_id"])
    facts = warehouse.facts
    if batches:
        for name, tables in (
            ("copy_embeddings", [b.vectors for b in batches]),
            ("image_fingerprints", [b.images for b in batches]),
        ):
            table = pa.concat_tables(tables, promote_options="permissive")
            table = table.append_column("shard_id", pa.array([shard["shard_id"]] * len(table), pa.int64()))
            facts[name].upsert(table.select(facts[name].schema.names))
    done = {name: shard[name] for name in ("shard_id", "dataset", "shard")}
    done |= {"encoder": str(warehouse.encoder.id), "recipe": _shard_recipe(warehouse, shard), **account.row()}
    facts["fingerprinted_shards"].upsert(pa.Table.from_pylist([done], facts["fingerprinted_shards"].schema))
    return account


def _forget(warehouse: Warehouse, shard_id: int) -> None:
    where = f"shard_id = {int(shard_id)}"
    warehouse.facts["fingerprinted_shards"].delete(where)
    warehouse.facts["image_fingerprints"].delete(where)
    warehouse.facts["copy_embeddings"].delete(where)


def _plain(row: dict) -> dict:
    return {name: value if isinstance(value, int) else str(value) for name, value in row.items() if value}


@dg.asset(group_name="fingerprints", kinds={"lancedb", "onnx"}, owners=["team:safety-research"], pool="gpu")
def generation_fingerprints(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Hashes of every generated image, and embeddings of its views: whole, mirrored, and parts. New images only."""
    found = [g for source in warehouse.settings.generations for g in generations.find(source.name, source.path)]
    table = warehouse.facts["generation_fingerprints"]
    known = {row["generation_id"]: row for row in table.read(["generation_id", "recipe"]).to_pylist()}
    recipes = {g.generation_id: _generation_recipe(warehouse, g) for g in found}
    due = [g for g in found if known.get(g.generation_id, {}).get("recipe") != recipes[g.generation_id]]
    failed = 0
    work = ahead(partial(_read, warehouse.rules), due, warehouse.pace)
    for batch in batched(track(work, "fingerprinting generations", len(due)), max(1, warehouse.pace.batch // 4)):
        encoder = str(warehouse.encoder.id)
        prints = [
            _generation_row(g, print_, {"encoder": encoder, "recipe": recipes[g.generation_id]})
            for g, print_, _ in batch
        ]
        failed += sum(row["status"] == FAILED for row in prints)
        warehouse.facts["generation_embeddings"].upsert(_view_rows(warehouse, batch))
        table.upsert(pa.Table.from_pylist(prints, table.schema))
    gone = known.keys() - recipes.keys()
    _forget_generations(warehouse, gone)
    if failed:
        context.log.warning("%d generations cannot be read; catalog.generations says why", failed)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(found),
            "fingerprinted now": len(due),
            "failed now": failed,
            "gone": len(gone),
        }
    )


def _generation_recipe(warehouse: Warehouse, generation: Generation) -> str:
    stat = Path(generation.path).stat()
    return recipe(CODE, str(warehouse.encoder.id), warehouse.rules, generation, VIEWS, stat.st_size, stat.st_mtime_ns)


type _Read = tuple[Generation, Fingerprint, Pixels | None]


def _read(rules: Rules, generation: Generation) -> _Read:
    path = Path(generation.path)
    try:
        if path.stat().st_size > rules.member_bytes:
            return generation, Fingerprint(FAILED, f"more than limits.member_bytes = {rules.member_bytes} bytes"), None
        return generation, *fingerprint(path.read_bytes(), rules, dihedral=True)
    except OSError as error:
        return generation, Fingerprint(FAILED, f"cannot be opened: {error.strerror}"), None


def _generation_row(generation: Generation, print_: Fingerprint, made_by: dict[str, str]) -> dict[str, object]:
    dihedral = None if print_.dihedral is None else [row.tobytes().hex() for row in print_.dihedral]
    return {**vars(generation), **print_.row(), "dihedral_pdq": dihedral, **made_by}


def _view_rows(warehouse: Warehouse, batch: Sequence[_Read]) -> pa.Table:
    views = [
        (g.generation_id, view, view.cut(picture)) for g, _, picture in batch if picture is not None for view in VIEWS
    ]
    vectors = embed(warehouse.encoder, [picture for *_, picture in views])
    return pa.table(
        {
            "generation_id": pa.array([g for g, *_ in views], pa.string()),
            "view": pa.array([view.name for _, view, _ in views], pa.string()),
            **{
                side: pa.array([getattr(view.box, side) for _, view, _ in views], pa.float64())
                for side in ("x", "y", "width", "height")
            },
            "mirrored": pa.array([view.mirrored for _, view, _ in views], pa.bool_()),
            "vector": vector_column(vectors),
        }
    )


def _forget_generations(warehouse: Warehouse, gone: Iterable[str]) -> None:
    for batch in batched(sorted(gone), 500):
        names = ", ".join(map(literal, batch))
        for table in ("generation_fingerprints", "generation_embeddings"):
            warehouse.facts[table].delete(f"generation_id in ({names})")
