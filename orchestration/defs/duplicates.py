"""Which rows are the same picture? Assets of the stage `duplicates`.

What belongs here: reading fingerprints, calling a transform, writing facts, saying how it went. What does not: how
pairs are found and confirmed (`transforms/duplicates.py`), counts and views (`sql/duplicates/`).
"""

import dagster as dg
import numpy as np
import polars as pl
import pyarrow as pa

from orchestration.defs.catalog import landing_shards
from orchestration.defs.fingerprints import image_fingerprints
from orchestration.fingerprinting import COPY, fingerprint_versions, forget_outdated_shards, recipe
from orchestration.resources import Warehouse
from transforms import duplicates
from transforms.comparisons import Comparer
from transforms.duplicates import Pictures
from transforms.encoders import Vectors

CODE = 1  # raise when the same fingerprints would give other pairs or clusters
_COLUMNS = ("sample_id", "status", "sha256", "pixel_sha256", "pdq", "width", "height")


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "numba"},
    owners=["team:safety-research"],
    deps=[landing_shards, image_fingerprints],  # the landing too: `derive` leaves the fingerprints between them out
    pool="cpu",
)
def duplicate_pairs(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Every pair of training rows with equal bytes, close hashes, or close embeddings that aligned pixels confirm."""
    table = warehouse.facts["duplicate_pairs"]
    forget_outdated_shards(warehouse)
    made_by = recipe("pairs", CODE, fingerprint_versions(warehouse), warehouse.duplicate_thresholds)
    if table.recipe != made_by:
        pictures, cut = usable_pictures(warehouse), warehouse.duplicate_thresholds
        hashed = pl.concat([pl.DataFrame(schema=duplicates.PAIR), *duplicates.hash_pairs(pictures, cut)])
        vectors = distinct_vectors(warehouse, pictures)
        compare = Comparer(warehouse.training_picture, cut.pixels)
        near = duplicates.embedding_pairs(pictures, vectors, hashed, cut, compare)
        table.replace([pl.concat([hashed, near]).to_arrow()], made_by)
    methods = pl.DataFrame(table.read(["method"]))["method"].value_counts(sort=True)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": int(methods["count"].sum()), **dict(methods.iter_rows())}
    )


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "scipy"},
    owners=["team:safety-research"],
    deps=[duplicate_pairs],
    pool="cpu",
)
def cluster_members(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Components of the confirmed pairs, cut so that every member is confirmed against its representative."""
    table = warehouse.facts["cluster_members"]
    made_by = recipe("clusters", CODE, warehouse.facts["duplicate_pairs"].recipe)
    if table.recipe != made_by:
        cut = warehouse.duplicate_thresholds
        pairs = pl.DataFrame(warehouse.facts["duplicate_pairs"].read())
        compare = Comparer(warehouse.training_picture, cut.pixels)
        members = duplicates.members(usable_pictures(warehouse), pairs, cut, compare)
        table.replace([members.to_arrow()], made_by)
    heads = table.read(["representative_id"])["representative_id"]
    return dg.MaterializeResult(metadata={"dagster/row_count": len(heads), "clusters": len(heads.unique())})


def usable_pictures(warehouse: Warehouse) -> Pictures:
    """Read the training pictures that could be decoded."""
    return Pictures(warehouse.facts["image_fingerprints"].read(_COLUMNS, "status <> 'failed'"))


def distinct_vectors(warehouse: Warehouse, pictures: Pictures) -> Vectors:
    """Read the copy embeddings of the different pictures, float32 of shape (len(pictures.distinct), d), in order.

    Raises EncoderMismatch if some shard was embedded by another encoder than the settings name.
    """
    encoder = warehouse.encoder().id
    notes = warehouse.facts["fingerprinted_shards"].read(["encoder"], f"fingerprint = '{COPY}'")
    for other in notes["encoder"].unique().to_pylist():
        encoder.require(other)
    wanted = pictures.ids[pictures.distinct]
    vectors = np.zeros((len(wanted), encoder.dimension), np.float32)
    if not len(wanted):
        return vectors
    filled = np.zeros(len(wanted), bool)
    for batch in warehouse.facts["copy_embeddings"].scan(["sample_id", "vector"]):
        ids = batch.column("sample_id").to_numpy()
        places = np.searchsorted(wanted, ids).clip(max=len(wanted) - 1)
        hit = wanted[places] == ids
        vectors[places[hit]] = _matrix(batch.column("vector"))[hit]
        filled[places[hit]] = True
    if not filled.all():
        raise dg.Failure(
            f"{int((~filled).sum())} pictures have no copy embedding; materialize image_fingerprints again"
        )
    return vectors


def _matrix(column: pa.FixedSizeListArray) -> Vectors:
    return column.flatten().to_numpy().reshape(len(column), -1)
