"""The shape of a bundle: the fields of its manifest, and the types and shapes of its arrays.

What belongs here: checking that the parts of a bundle fit each other, because an intact file may belong to another
bundle. What does not: opening files and verifying their checksums (`guard/bundle.py`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from transforms.joins.cosine.sketches import bits

CLUSTERS = "clusters.arrow"
CLUSTER_SCHEMA = pa.schema(
    {
        "cluster_id": pa.uint64(),
        "sample_id": pa.uint64(),
        "dataset": pa.string(),
        "duplicate_count": pa.int64(),
        "recalled_count": pa.int64(),
        "url": pa.string(),
        "licenses": pa.list_(pa.string()),
    }
)
_HASHES: dict[str, tuple[type[np.generic], tuple[str | int, ...]]] = {
    "bytes_keys": (np.uint64, ("bytes",)),
    "bytes_digests": (np.uint8, ("bytes", 32)),
    "bytes_cluster": (np.uint32, ("bytes",)),
    "pixels_keys": (np.uint64, ("pixels",)),
    "pixels_digests": (np.uint8, ("pixels", 32)),
    "pixels_cluster": (np.uint32, ("pixels",)),
    "pdq_words": (np.uint32, (8, "pdq")),
    "pdq_cluster": (np.uint32, ("pdq",)),
}
_EMBEDDINGS: dict[str, tuple[type[np.generic], tuple[str | int, ...]]] = {
    "sketch_words": (np.uint32, ("sketch words", "vectors")),
    "vectors": (np.int8, ("vectors", "dimension")),
    "vector_cluster": (np.uint32, ("vectors",)),
    "background": (np.float32, ("background", "dimension")),
    "background_cluster": (np.uint32, ("background",)),
    "null_scores": (np.float64, ("null pictures",)),
}

_Count = Annotated[int, Field(ge=0)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class _Whole(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Version(_Part):
    number: _Count


class _Policy(_Whole):
    pdq: Annotated[int, Field(ge=0, le=256)]
    pdq_quality: Annotated[int, Field(ge=0, le=100)]
    copy_score: _Share
    p_value: _Share | None
    at_least: Annotated[int, Field(ge=1)]


class _Limits(_Part):
    pixels: Annotated[int, Field(ge=1)]
    member_bytes: Annotated[int, Field(ge=1)]


class _Views(_Whole):
    scales: list[Annotated[float, Field(gt=0, lt=1)]]
    flips: Literal["none", "whole", "all"]


class _Counts(_Part):
    rows: _Count
    clusters: _Count
    pictures: _Count
    searchable: _Count
    coverage: _Share


class _Encoder(_Part):
    name: str
    identity: Annotated[str, Field(min_length=1)]
    dimension: Annotated[int, Field(ge=1)]


class _Sketches(_Part):
    recall: _Share | None


class _Calibration(_Part):
    null_pictures: _Count
    tail: dict[str, float | int] | None


class _File(_Part):
    bytes: _Count
    sha256: str


class _Manifest(_Part):
    version: _Version
    policy: _Policy
    limits: _Limits
    views: _Views
    counts: _Counts
    fingerprints: list[Literal["sha256", "pixels", "pdq", "embedding"]]
    encoder: _Encoder | None
    sketches: _Sketches | None
    calibration: _Calibration | None
    files: dict[str, _File]


def arrays(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the arrays of a bundle."""
    return (*_HASHES, *(_EMBEDDINGS if manifest["encoder"] else ()))


def require_manifest(manifest: Mapping[str, Any]) -> None:
    """Raise ValueError naming a field of a manifest that is missing or wrong."""
    try:
        _Manifest.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    parts = (
        manifest["encoder"],
        manifest["sketches"],
        manifest["calibration"],
        "embedding" in manifest["fingerprints"],
    )
    if len({bool(part) for part in parts}) > 1:
        raise ValueError("encoder, sketches, calibration and the fingerprint `embedding` are all needed, or none")
    for name in (CLUSTERS, *(f"{name}.npy" for name in arrays(manifest))):
        if name not in manifest["files"]:
            raise ValueError(f"files: {name} is missing")


def require_arrays(manifest: Mapping[str, Any], opened: Mapping[str, npt.NDArray[Any]], clusters: pa.Table) -> None:
    """Raise ValueError naming a file that does not fit the manifest or the other files.

    Args:
        manifest: a valid one.
        opened: The arrays by name.
        clusters: The table of clusters.
    """
    if clusters.schema != CLUSTER_SCHEMA or len(clusters) != manifest["counts"]["clusters"]:
        raise ValueError(f"{CLUSTERS} has other columns, or not {manifest['counts']['clusters']:,} rows")
    sizes: dict[str, int] = {}
    expected = _HASHES | (_EMBEDDINGS if manifest["encoder"] else {})
    if manifest["encoder"]:
        dimension = manifest["encoder"]["dimension"]
        null_pictures = manifest["calibration"]["null_pictures"]
        sizes = {"dimension": dimension, "sketch words": bits(dimension) // 32, "null pictures": null_pictures}
    for name, (dtype, axes) in expected.items():
        array = opened[name]
        fits = array.dtype == dtype and array.ndim == len(axes) and array.flags.c_contiguous
        shape = array.shape if fits else ()
        for size, axis in zip(shape, axes, strict=False):
            fits = fits and size == (axis if isinstance(axis, int) else sizes.setdefault(axis, size))
        if not fits:
            raise ValueError(f"{name}.npy is {array.dtype} of {array.shape}, which does not fit the other files")
        if np.issubdtype(dtype, np.floating) and not np.isfinite(array).all():
            raise ValueError(f"{name}.npy holds numbers that are not finite")
