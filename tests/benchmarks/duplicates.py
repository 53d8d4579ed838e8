"""Duplicates as a warehouse computes them: what a new shard costs beside joining all, and beside nothing new."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from orchestration.duplicates import copy_joins
from orchestration.duplicates.incremental_join import HASHES, PICTURES, near_pairs
from orchestration.facts import Facts
from orchestration.fingerprints import stored_vectors
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.settings import Settings
from tests.benchmarks.figures import FULL, Figure, Measured, say, seconds
from transforms.alignment.comparer import PixelComparison
from transforms.alignment.policy import PixelLimits
from transforms.duplicates import members, pairs
from transforms.duplicates.components import list_members
from transforms.fingerprints.picture_set import Pictures

_DISTINCT, _COPIES = (100_000, 10) if FULL else (20_000, 10)
_DIMENSION, _ENCODER, _BATCH = 512, "made up", 50_000
_CUT = pairs.DuplicateThresholds(31, 0.5, 0.6, PixelLimits())


class _Id:
    dimension = _DIMENSION

    def require(self, other: str) -> None:
        assert other == _ENCODER

    def __str__(self) -> str:
        return _ENCODER


class _Warehouse(SimpleNamespace):
    """Facts and settings over made-up fingerprints."""

    def __init__(self, folder: str) -> None:
        super().__init__(facts=Facts(Path(folder)), settings=Settings(home=Path(folder)))

    def land(self, first: int, distinct: int, copies: int) -> None:
        """Write fingerprints of different pictures, each in several rows; one in twenty is near another by hash."""
        rng = np.random.default_rng(first)
        pdq = rng.integers(0, 256, (distinct, 32), np.uint8)
        near = distinct // 20
        pdq[:near] = pdq[near : 2 * near]
        pdq[:near, 3] ^= 0b111
        made = rng.standard_normal((distinct, _DIMENSION), dtype=np.float32)
        made[:near] = made[near : 2 * near] + made[:near] / 2
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        digests = [hashlib.sha256(f"{first}-{number}".encode()).digest() for number in range(distinct)]
        who = np.tile(np.arange(distinct), copies)
        images = self.facts["image_fingerprints"]
        embeddings = self.facts.embeddings("copy_embeddings", _ENCODER, _DIMENSION)
        for start in range(0, len(who), _BATCH):
            some = who[start : start + _BATCH]
            ids = np.arange(first + start, first + start + len(some), dtype=np.uint64)
            row = {name: pa.nulls(len(some), images.schema.field(name).type) for name in images.schema.names}
            row |= {"sample_id": ids, "status": ["ok"] * len(some), "pdq": [pdq[i].tobytes() for i in some]}
            row |= {name: [digests[i] for i in some] for name in ("sha256", "pixel_sha256")}
            row |= {name: np.full(len(some), 256, np.int32) for name in ("width", "height")}
            images.append(pa.table(row).cast(images.schema).to_batches())
            column = pa.FixedSizeListArray.from_arrays(pa.array(made[some].ravel()), _DIMENSION)
            table = pa.table({"sample_id": ids, "shard_id": np.zeros(len(some), np.int64), "vector": column})
            embeddings.append(table.cast(embeddings.schema).to_batches())

    def derive(self) -> dict[str, float]:
        """Do what the assets do, without comparing pixels; return the seconds of each step."""
        facts, taken = self.facts, {}
        held: list[Pictures] = []

        def read() -> None:
            held.append(usable_pictures(facts, self.settings.memory.pictures))

        taken["read_s"] = seconds(read)
        [known] = held
        thresholds, memory, compute = self.settings.thresholds, self.settings.memory, self.settings.compute
        hashes = copy_joins.HashJoin(facts, _Id(), thresholds.pdq, memory, compute)
        embeddings = copy_joins.EmbeddingJoin(facts, _Id(), thresholds.similar, self.settings.joins, memory, compute)
        taken["hashes_s"] = seconds(lambda: _join(hashes, known))
        taken["embeddings_s"] = seconds(lambda: _join(embeddings, known))
        taken["pairs_s"] = seconds(lambda: facts["duplicate_pairs"].replace(self._pairs(known), "made up"))
        taken["clusters_s"] = seconds(lambda: facts["cluster_members"].replace(self._members(known), "made up"))
        return taken

    def _pairs(self, known: Pictures) -> Iterator[pa.Table]:
        near = near_pairs(self.facts, HASHES), near_pairs(self.facts, PICTURES)
        return pairs.pairs(known, *near, _CUT, _refused, 4)

    def _members(self, known: Pictures) -> Iterator[pa.Table]:
        confirmed = self.facts["duplicate_pairs"].scan(["sample_id_a", "sample_id_b"], "method <> 'similar'")
        labels = members.connect(known, confirmed).labels()
        worth = members.open_pairs(known, near_pairs(self.facts, PICTURES), _CUT, labels)
        return members.members(known, list_members(labels), _CUT, worth, _refused)


def _refused(asked: Sequence[tuple[int, int]]) -> list[PixelComparison]:
    return [PixelComparison(same=False)] * len(asked)


def _join(join: copy_joins.HashJoin | copy_joins.EmbeddingJoin, known: Pictures) -> None:
    join.record.repair()
    if not join.record.current:
        join.extend(known)


def _new_shard() -> Measured:
    with TemporaryDirectory() as folder:
        warehouse = _Warehouse(folder)
        warehouse.land(1 << 40, 64, 1)
        warehouse.derive()  # compiles, and loads torch
        warehouse.land(0, _DISTINCT, _COPIES)
        steps = {"all": warehouse.derive()}
        warehouse.land(_DISTINCT * _COPIES, _DISTINCT // 10, 1)
        steps["new"] = warehouse.derive()
        steps["nothing"] = warehouse.derive()
        rows, _ = stored_vectors.read_vectors(
            warehouse.facts, _Id(), usable_pictures(warehouse.facts, warehouse.settings.memory.pictures)
        )
    for name, taken in steps.items():
        say(f"  {name}: " + ", ".join(f"{step} {value:.2f}" for step, value in taken.items()))
    joins = {name: taken["hashes_s"] + taken["embeddings_s"] for name, taken in steps.items()}
    parts = {f"{name}_s": sum(taken.values()) for name, taken in steps.items()} | {"pictures": len(rows)}
    return Measured(joins["new"] / joins["all"], parts)


FIGURES = (
    Figure(
        "duplicates_new_shard",
        "ratio",
        "reported",
        f"the joins of {_DISTINCT:,} different pictures in {_DISTINCT * _COPIES:,} rows; new: a tenth as many",
        _new_shard,
    ),
)
