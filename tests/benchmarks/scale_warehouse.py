"""Warehouses whose fingerprints are made up: landing files and facts of any size, and no picture is decoded.

What belongs here: landing planted shards, and what a run must make of them. What does not: their content
(`scale_inputs.py`), running and measuring (`scale.py`).
"""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration import settings as toml
from orchestration.catalog import shards
from orchestration.facts import Facts
from orchestration.fingerprints.kinds import COPY, EMBEDDINGS, HASHES, IMAGES
from orchestration.fingerprints.shard_writer import maintain
from orchestration.settings import Settings
from orchestration.settings.inputs import Encoders
from tests.benchmarks import scale_inputs
from tests.benchmarks.scale_inputs import Numbers
from transforms import encoders
from transforms.catalog.landing import ROW_BITS, LandedShard
from transforms.fingerprints.fingerprint import DIGESTS
from transforms.hashing.digest_arrays import column

SHARD = 10_000  # rows, as img2dataset writes them
_NOTED = "planted"
_NONE = "none"
_SOME = 50


def hash_only() -> bool:
    """Return whether a warehouse can do without embeddings."""
    return COPY not in Encoders(copy=_NONE).by_purpose


@dataclass(frozen=True)
class PlantedWarehouse:
    """A folder with `raisonne.toml`, landing files and a home.

    Attributes:
        folder: The folder.
        every: One row in so many has a picture. Where hashes are not enough and each picture needs an embedding, they
            are few: comparing embeddings is measured elsewhere (`cosine.py`).
    """

    folder: Path
    every: int = 1

    @classmethod
    def at(cls, folder: str | Path) -> "PlantedWarehouse":
        """Return the warehouse in a folder; the first time, write its settings."""
        warehouse = cls(Path(folder), 1 if hash_only() else _SOME)
        (warehouse.folder / "laion").mkdir(parents=True, exist_ok=True)
        if not warehouse.config.exists():
            copy = _NONE if warehouse.every == 1 else "sscd_distilled"
            warehouse.config.write_text(
                'home = "home"\n[[datasets]]\nname = "planted"\nmetadata = "laion/*.parquet"\nimages = "laion/*.tar"\n'
                f'[encoders]\ncopy = "{copy}"\n'
            )
        return warehouse

    @property
    def config(self) -> Path:
        """Its settings file."""
        return self.folder / "raisonne.toml"

    @cached_property
    def settings(self) -> Settings:
        """Its settings."""
        return toml.load(self.config)

    @cached_property
    def facts(self) -> Facts:
        """Its fact tables."""
        return Facts(self.settings.home / "facts")

    def land(self, rows: int, words: str, *, fingerprints: bool = True) -> None:
        """Land further rows, in shards of at most `SHARD`, and inspect them as a run does.

        Args:
            rows: How many.
            words: Of their captions, see `scale_inputs.captions`.
            fingerprints: Whether to plant fingerprints too. Their dumps are empty: pictures may be gone by then.
        """
        known = shards.landed_shards(self.facts)
        before, total = len(known), sum(each.rows for each in known)
        for number, start in enumerate(range(0, rows, SHARD), start=before):
            path = self.folder / "laion" / f"{number:06d}.parquet"
            pq.write_table(scale_inputs.metadata(min(SHARD, rows - start), words, number), path)
            if fingerprints:
                tarfile.open(path.with_suffix(".tar"), "w").close()
        landed = list(
            shards.inspect_shards(shards.discover(self.settings), known, self.settings, self.folder / "fetched")
        )
        shards.commit_shards(self.facts, known, landed)
        if fingerprints:
            numbers = {each.shard_id for each in known}
            new = sorted((each for each in landed if each.shard_id not in numbers), key=lambda each: each.files.name)
            self._plant(new, total)

    def expected(self) -> dict[str, int]:
        """Return what a run must find: rows, pictures, rows in clusters, and clusters."""
        rows = sum(each.rows for each in shards.landed_shards(self.facts))
        cluster = scale_inputs.clustered(scale_inputs.shown(np.arange(-(-rows // self.every))))
        sizes = np.bincount(cluster)
        repeated = sizes[sizes > 1]
        return {"rows": rows, "pictures": len(cluster), "clustered": int(repeated.sum()), "clusters": len(repeated)}

    def _plant(self, new: list[LandedShard], first: int) -> None:
        table = self.facts[IMAGES[HASHES]]
        table.append(batch for batch, _ in self._shards(new, first))
        kinds = {HASHES: ""}
        if self.every > 1:
            encoder = encoders.load(self.settings.encoders.by_purpose[COPY]).id
            kinds[COPY] = str(encoder)
            embedded = self.facts.embeddings(EMBEDDINGS[COPY], str(encoder), encoder.dimension)
            embedded.append(
                _embedded(batch, embedded.schema, encoder.dimension) for batch, _ in self._shards(new, first)
            )
        notes = self.facts["fingerprinted_shards"]
        done = {"recipe": _NOTED, "maker": _NOTED, "failed": 0, "low_quality": 0, "seconds": 0.0}
        rows = [
            done
            | {"shard_id": shard.shard_id, "dataset": shard.files.dataset, "shard": shard.files.name}
            | {"fingerprint": kind, "encoder": name or None, "pictures": count, "ok": count}
            for shard, count in ((shard, -(-shard.rows // self.every)) for shard in new)
            for kind, name in kinds.items()
        ]
        notes.upsert(pa.Table.from_pylist(rows, notes.schema))
        maintain(self.facts, self.settings.limits.index_rows)

    def _shards(self, new: list[LandedShard], first: int) -> Iterator[tuple[pa.RecordBatch, LandedShard]]:
        """Yield the planted fingerprints of shards. first: how many rows were landed before."""
        schema = self.facts[IMAGES[HASHES]].schema
        for shard in new:
            rows = np.arange(-first % self.every, shard.rows, self.every)
            yield (
                fingerprint_rows(schema, shard.shard_id, rows, scale_inputs.shown((first + rows) // self.every)),
                shard,
            )
            first += shard.rows


def fingerprint_rows(schema: pa.Schema, shard_id: int, rows: Numbers, pictures: Numbers) -> pa.RecordBatch:
    """Return rows of `image_fingerprints`.

    Args:
        schema: Of the table.
        shard_id: The shard.
        rows: Their places in it.
        pictures: What each of them shows.
    """
    count = len(rows)
    columns: dict[str, object] = {name: pa.nulls(count, schema.field(name).type) for name in schema.names}
    columns |= {name: column(scale_inputs.digests(pictures, name)) for name in DIGESTS}
    columns |= {
        "sample_id": (shard_id << ROW_BITS) + rows,
        "shard_id": np.full(count, shard_id),
        "key": [f"{row:09d}" for row in rows.tolist()],
        "member": [f"{row:09d}.jpg" for row in rows.tolist()],
        "member_offset": np.full(count, 512),
        "member_size": np.full(count, 10_000),
        "status": ["ok"] * count,
        "pdq_quality": np.full(count, 90),
        "width": np.full(count, 384),
        "height": np.full(count, 256),
    }
    [batch] = pa.table(columns).select(schema.names).cast(schema).combine_chunks().to_batches()
    return batch


def _embedded(prints: pa.RecordBatch, schema: pa.Schema, dimension: int) -> pa.RecordBatch:
    """Return a random unit vector for each fingerprint: no two of them are near."""
    ids, shard = prints.column("sample_id"), prints.column("shard_id")
    made = np.random.default_rng(shard[0].as_py()).standard_normal((len(ids), dimension), dtype=np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), dimension)
    table = pa.table({"sample_id": ids, "shard_id": shard, "vector": vectors}).cast(schema)
    return table.combine_chunks().to_batches()[0]


def environment() -> None:
    """Leave out settings of this machine: a run takes those of the planted warehouse alone."""
    for name in [name for name in os.environ if name.startswith(("RAISONNE_", "DAGSTER_HOME"))]:
        del os.environ[name]
