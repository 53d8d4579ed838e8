"""What the figures are measured on: the committed sample's pictures and truth, and made-up vectors.

What belongs here: inputs that several groups share, the same on every run. What does not: measuring.
"""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from tests.benchmarks.figures import NotMeasured
from transforms.fingerprints.fingerprint import Fingerprint, Rules, fingerprint
from transforms.pictures import Pixels

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
TRUTH = SAMPLE / "truth"
PUBLISHED = ROOT / "data" / "warehouse" / "raisonne.duckdb"
RULES = Rules(max_pixels=50_000_000, member_bytes=100_000_000, pdq_quality=50)


@cache
def originals() -> dict[str, bytes]:
    """Return the sample's unedited training pictures that can be read: the bytes by the name the truth gives them."""
    truth = pl.read_csv(TRUTH / "training.csv", schema_overrides={"shard": pl.String})
    rows = truth.filter(pl.col("edit") == "original")
    found = {}
    for (shard,), part in rows.group_by("shard", maintain_order=True):
        with tarfile.open(SAMPLE / "laion" / f"{shard}.tar") as archive:
            members = {m.name.partition(".")[0]: m for m in archive if m.name.endswith((".jpg", ".png", ".webp"))}
            for row, picture in part.select("row_number", "picture").iter_rows():
                member = members.get(f"{shard}{row:04d}")
                file = archive.extractfile(member) if member else None
                if file:
                    found[picture] = file.read()
    return {name: data for name, data in found.items() if fingerprint(data, RULES)[1] is not None}


@cache
def decoded(count: int) -> tuple[list[Fingerprint], list[Pixels]]:
    """Return some originals, decoded and hashed."""
    prints, pictures = [], []
    for data in list(originals().values())[:count]:
        print_, picture = fingerprint(data, RULES)
        if picture is not None:
            prints.append(print_)
            pictures.append(picture)
    return prints, pictures


@cache
def vectors(count: int, seed: int = 3) -> npt.NDArray[np.float32]:
    """Return random unit vectors, float32 of shape (count, 512)."""
    made = np.random.default_rng(seed).standard_normal((count, 512), dtype=np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def flip_bits(
    rows: npt.NDArray[np.uint8],
    source: npt.NDArray[np.int64],
    copy: npt.NDArray[np.int64],
    bits: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    """Make some hashes copies of others with random bits flipped.

    Args:
        rows: uint8 of shape (n, 32); changed.
        source: Indices of the hashes that are copied.
        copy: Indices of the hashes that become copies, none of them a source.
        bits: How many bits each copy differs in, at most 40.
        rng: Chooses the bits.
    """
    for part in np.array_split(np.arange(len(copy)), 1 + len(copy) // 20_000):
        rank = rng.random((len(part), 256), np.float32).argsort(axis=1)
        flip = np.zeros((len(part), 256), np.uint8)
        np.put_along_axis(flip, rank[:, :40], np.arange(40) < bits[part, None], axis=1)
        rows[copy[part]] = rows[source[part]] ^ np.packbits(flip, axis=1)


@contextmanager
def published() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published sample with its truth beside it, as the tables `training` and `planted`.

    training: sample_id, picture, edit, cluster_id (its own id where it is alone), of the rows with a readable picture.
    planted: generation_id, kind, picture.
    """
    if not PUBLISHED.exists():
        raise NotMeasured("no published sample: run `make demo` first")
    with duckdb.connect(str(PUBLISHED), read_only=True) as con:
        con.execute(
            """
            create temp table training as
            select samples.sample_id, truth.picture, truth.edit, coalesce(clusters.cluster_id, samples.sample_id)
                as cluster_id
            from read_csv($file, all_varchar = true) as truth
            join catalog.samples on samples.shard = truth.shard and samples.row_number = truth.row_number::bigint
            join fingerprints.images on images.sample_id = samples.sample_id and images.status <> 'failed'
            left join duplicates.clusters on clusters.sample_id = samples.sample_id""",
            {"file": str(TRUTH / "training.csv")},
        )
        con.execute(
            """
            create temp table planted as
            select 'simulated/' || file_name as generation_id, kind, nullif(picture, '') as picture
            from read_csv($file, all_varchar = true)""",
            {"file": str(TRUTH / "generations.csv")},
        )
        yield con


def one(con: duckdb.DuckDBPyConnection, query: str) -> float:
    """Return the single number a query gives. NotMeasured: there is nothing to count."""
    value = con.execute(query).fetchall()[0][0]
    if value is None:
        raise NotMeasured("the published sample has no such row")
    return float(value)
