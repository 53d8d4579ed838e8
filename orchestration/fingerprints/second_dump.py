"""A second dump of the same rows: which of its shards are to be fingerprinted, to be compared with the first.

What belongs here: finding them and whose rows they hold. What does not: fingerprinting them
(`fingerprints/bookkeeping.py`), comparing the two dumps (`sql/fingerprints/redownloads.sql`).
"""

from collections.abc import Iterator
from dataclasses import asdict

from orchestration.catalog.shards import landed_metadata, shard_number
from orchestration.facts.recipes import older_recipe, recipe
from orchestration.fingerprints.bookkeeping import REDOWNLOAD, Due, forget, makers, older_makers
from orchestration.runtime.resources import Warehouse
from transforms.catalog import landing
from transforms.catalog.landing import Shard
from transforms.fingerprints import row_matching


def due(warehouse: Warehouse) -> list[Due]:
    """Return the second dump's shards that are new or were delivered again; forget those that are gone.

    A shard holds rows of the metadata of its own name, else of any file of the dataset.
    """
    notes = warehouse.facts["fingerprinted_shards"].read(["shard_id", "recipe"], f"fingerprint = '{REDOWNLOAD}'")
    done = dict(zip(notes["shard_id"].to_pylist(), notes["recipe"].to_pylist(), strict=True))
    found = {row["shard_id"]: row for row in _rows(warehouse)}
    for shard_id in done.keys() - found.keys():
        forget(warehouse.facts, shard_id, [REDOWNLOAD])
    if not found:
        return []
    made_by, files = makers(warehouse)[REDOWNLOAD], landed_metadata(warehouse.facts)
    older = older_makers(warehouse)[REDOWNLOAD]
    dues = []
    for shard_id, row in found.items():
        listing = row_matching.metadata_of(row, files)
        others = [(file["metadata_path"], file["metadata_mtime_ns"]) for file in listing]
        made = recipe("second dump fingerprints", made_by, row["delivery"], others)
        if done.get(shard_id) not in (made, older_recipe(older, row["delivery"], others)):
            dues.append(Due(row, listing, {REDOWNLOAD: made}))
    return dues


def _rows(warehouse: Warehouse) -> Iterator[dict]:
    landed = warehouse.facts["landing_shards"].read().to_pylist()
    known = {(row["dataset"], row["shard"]): row for row in landed}
    for shard in _shards(warehouse):
        nothing = {"shard_id": shard_number((shard.dataset, shard.name)), "status": "images_only", "rows": 0}
        nothing |= {"metadata_path": None, "readable_path": None}
        same_name = known.get((shard.dataset, shard.name), nothing)
        assert shard.images  # noqa: S101 -- for the type checker: these shards are nothing else
        where = {"dataset": shard.dataset, "shard": shard.name, "images_path": shard.images.path}
        yield same_name | where | {"delivery": asdict(shard.images)}


def _shards(warehouse: Warehouse) -> list[Shard]:
    chosen = [dataset for dataset in warehouse.settings.datasets if dataset.redownload]
    return [shard for d in chosen for shard in landing.shards(d.name, None, d.redownload)]
