"""What was trained on? Assets of the stage `catalog`.

What belongs here: noticing landing files and registering them as shards. What does not: what makes a file valid
(`transforms/landing.py`), the one row shape of all dialects (`sql/catalog/samples.sql`).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import dagster as dg
import pyarrow as pa

from orchestration import pictured
from orchestration.facts import Facts
from orchestration.progress import track
from orchestration.resources import Warehouse
from orchestration.settings import Settings
from transforms import landing
from transforms.landing import Shard

SHARDS = dg.DynamicPartitionsDefinition(name="shards")
OK, IMAGES_ONLY, FAILED = "ok", "images_only", "failed"
_SHARD_BITS = 37  # with ROW_BITS below them, ids stay within a signed 64-bit integer


@dg.asset(group_name="catalog", kinds={"lancedb", "parquet"}, owners=["team:data-engineering"])
def landing_shards(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Every shard in the landing folders, validated once a delivery. A file that cannot be used keeps its reason.

    A shard whose files did not change since the last look is not read again.
    """
    found = discover(warehouse.settings)
    known = {(row["dataset"], row["shard"]): row for row in warehouse.facts["landing_shards"].read().to_pylist()}
    rows = list(_inspected(found, known, warehouse.home / "repaired"))
    changed = [row for row in rows if known.get((row["dataset"], row["shard"])) != row]
    gone = [row["shard_id"] for key, row in known.items() if key not in {(s.dataset, s.name) for s in found}]
    table = warehouse.facts["landing_shards"]
    # a shard that was delivered again is no longer done, even if this run goes no further
    warehouse.facts["fingerprinted_shards"].delete(_any_of(row["shard_id"] for row in changed))
    table.upsert(pa.Table.from_pylist(changed, table.schema))
    table.delete(_any_of(gone))
    register(context.instance, found)
    failed = [row["failure"] for row in rows if row["failure"]]
    for failure in failed:
        context.log.warning(failure)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "training rows": sum(row["rows"] for row in rows),
            "new or changed": len(changed),
            "gone": len(gone),
            "failed": dg.MetadataValue.md("\n".join(f"- {pictured.escaped(text)}" for text in failed) or "none"),
        }
    )


def _any_of(shard_ids: Iterable[int]) -> str:
    return f"shard_id in ({', '.join(['-1', *(str(int(shard_id)) for shard_id in shard_ids)])})"  # never empty


def discover(settings: Settings) -> list[Shard]:
    """List the shards of all datasets, without opening a file."""
    return [shard for d in settings.datasets for shard in landing.shards(d.name, d.metadata, d.images)]


def register(instance: dg.DagsterInstance, shards: list[Shard]) -> None:
    """Make the Dagster partitions those of the shards that have pictures."""
    wanted = [shard.partition for shard in shards if shard.images]
    assert SHARDS.name  # noqa: S101 -- for the type checker: it is a named definition
    known = set(instance.get_dynamic_partitions(SHARDS.name))
    instance.add_dynamic_partitions(SHARDS.name, [name for name in wanted if name not in known])
    for name in known - set(wanted):
        instance.delete_dynamic_partition(SHARDS.name, name)


def _inspected(found: list[Shard], known: dict[tuple[str, str], dict], repaired: Path) -> Iterator[dict]:
    taken = {row["shard_id"]: key for key, row in known.items()}
    for shard in track(found, "looking at shards", len(found)):
        key = (shard.dataset, shard.name)
        before = known.get(key)
        files = _files(shard)
        if before and all(before[name] == value for name, value in files.items()):
            yield before
            continue
        shard_id = before["shard_id"] if before else _shard_id(key, taken)
        taken[shard_id] = key
        yield {"shard_id": shard_id, "dataset": shard.dataset, "shard": shard.name, **files} | _inspect(
            shard, repaired / f"{shard_id}.parquet"
        )


def _files(shard: Shard) -> dict[str, object]:
    nothing: dict[str, object] = dict.fromkeys(("path", "size", "mtime_ns"))
    return {
        f"{kind}_{name}": value
        for kind, file in (("metadata", shard.metadata), ("images", shard.images))
        for name, value in (asdict(file) if file else nothing).items()
    }


def _inspect(shard: Shard, repaired: Path) -> dict[str, object]:
    nothing: dict[str, object] = {"failure": None, "rows": 0, "repaired_rows": 0, "columns": [], "readable_path": None}
    if shard.metadata is None:
        return nothing | {"status": IMAGES_ONLY}
    repaired.unlink(missing_ok=True)
    try:
        seen = landing.inspect(shard.metadata.path, repaired)
    except landing.LandingError as error:
        return nothing | {"status": FAILED, "failure": str(error)}
    return nothing | {
        "status": OK,
        "rows": seen.rows,
        "repaired_rows": seen.repaired_rows,
        "columns": list(seen.columns),
        "readable_path": str(repaired) if repaired.exists() else shard.metadata.path,
    }


def _shard_id(key: tuple[str, str], taken: dict[int, tuple[str, str]]) -> int:
    """Hash the shard's name, so that ids are the same in every warehouse; the next free number after a collision."""
    digest = hashlib.sha256("/".join(key).encode()).digest()
    number = int.from_bytes(digest[:8]) >> (64 - _SHARD_BITS)
    while number in taken:
        number = (number + 1) % (1 << _SHARD_BITS)
    return number


def metadata_files(facts: Facts) -> list[dict]:
    """Return the shards whose metadata can be read."""
    return facts["landing_shards"].read(where=f"status = '{OK}'").sort_by("shard_id").to_pylist()
