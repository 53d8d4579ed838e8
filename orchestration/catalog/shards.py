"""Landing shards: which there are, what was seen of each, and the row that is kept of it.

What belongs here: inspecting shards that are new or changed, and shard ids. What does not: what makes a file valid
(`transforms/catalog/metadata.py`), the asset (`defs/catalog.py`).
"""

import hashlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from orchestration.facts import Facts, FactTable
from orchestration.progress import track
from orchestration.runtime.resources import Warehouse
from orchestration.settings import Settings
from transforms.catalog import landing
from transforms.catalog.landing import Shard
from transforms.dumps import implied_metadata
from transforms.dumps.members import ArchiveError
from transforms.storage.remote_stores import StoreError

OK, IMAGES_ONLY, FAILED = "ok", "images_only", "failed"


_SHARD_BITS = 37  # with ROW_BITS below them, ids stay within a signed 64-bit integer


def _outdate(notes: FactTable, where: str) -> None:
    """Make shards due again. Who made their fingerprints stays noted, for pictures that did not change."""
    found = notes.read(where=where)
    notes.upsert(found.set_column(found.schema.get_field_index("recipe"), "recipe", pa.array([""] * len(found))))


def _any_of(shard_ids: Iterable[int]) -> str:
    return f"shard_id in ({', '.join(['-1', *(str(int(shard_id)) for shard_id in shard_ids)])})"  # never empty


def discover(settings: Settings) -> list[Shard]:
    """List the shards of all datasets, without opening a file.

    Raises LandingError for globs that cannot be used, and OSError for a store that does not answer.
    """
    return [shard for d in settings.datasets for shard in landing.shards(d.name, d.metadata, d.dump)]


def _inspected(warehouse: Warehouse, found: list[Shard], known: dict[tuple[str, str], dict]) -> Iterator[dict]:
    taken = {row["shard_id"]: key for key, row in known.items()}
    for shard in track(found, "looking at shards", len(found)):
        key = (shard.dataset, shard.name)
        before = known.get(key)
        files = _files(shard)
        if before and all(before[name] == value for name, value in files.items()):
            yield before
            continue
        shard_id = before["shard_id"] if before else shard_number(key, taken)
        taken[shard_id] = key
        row = {"shard_id": shard_id, "dataset": shard.dataset, "shard": shard.name, **files}
        yield row | _inspect(warehouse, shard, shard_id)


def _files(shard: Shard) -> dict[str, object]:
    nothing: dict[str, object] = dict.fromkeys(("path", "size", "mtime_ns"))
    return {
        f"{kind}_{name}": value
        for kind, file in (("metadata", shard.metadata), ("images", shard.images))
        for name, value in (asdict(file) if file else nothing).items()
    }


_NOTHING: dict[str, object] = {"failure": None, "rows": 0, "repaired_rows": 0, "columns": [], "readable_path": None}


def _inspect(warehouse: Warehouse, shard: Shard, shard_id: int) -> dict[str, object]:
    copy, listed = (warehouse.home / folder / f"{shard_id}.parquet" for folder in ("repaired", "listed"))
    for path in (copy, listed):
        path.unlink(missing_ok=True)
    try:
        if shard.metadata:
            seen = landing.inspect(shard.metadata.path, copy)
            return _usable(seen, copy if copy.exists() else shard.metadata.path)
        if shard.images and any(d.name == shard.dataset and not d.metadata for d in warehouse.settings.datasets):
            limit = warehouse.settings.limits.member_bytes
            return _usable(implied_metadata.write(shard.images.path, listed, limit, warehouse.fetched), listed)
    except (landing.LandingError, ArchiveError) as error:
        return _NOTHING | {"status": FAILED, "failure": str(error)}
    except StoreError:
        raise  # the file may be whole, and would be looked at again only once it changes
    except OSError as error:
        return _NOTHING | {"status": FAILED, "failure": f"{error.filename or shard.name}: {error.strerror or error}"}
    return _NOTHING | {"status": IMAGES_ONLY}


def _usable(seen: landing.Inspection, readable: Path | str) -> dict[str, object]:
    return _NOTHING | {
        "status": OK,
        "rows": seen.rows,
        "repaired_rows": seen.repaired_rows,
        "columns": list(seen.columns),
        "readable_path": str(readable),
    }


def shard_number(key: tuple[str, str], taken: Container[int] = ()) -> int:
    """Hash a shard's dataset and name, so that ids are the same in every warehouse; the next free after a collision."""
    digest = hashlib.sha256("/".join(key).encode()).digest()
    number = int.from_bytes(digest[:8]) >> (64 - _SHARD_BITS)
    while number in taken:
        number = (number + 1) % (1 << _SHARD_BITS)
    return number


def landed_metadata(facts: Facts) -> list[dict]:
    """Return the shards that have metadata, usable or not; `rows.metadata_of` chooses among them."""
    return facts["landing_shards"].read(where="metadata_path is not null").sort_by("shard_id").to_pylist()
