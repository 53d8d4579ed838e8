"""The shape of a bundle: the fields of its manifest with their bounds, and the types, shapes and values of its arrays.

What belongs here: what must be true before a file is mapped, and that the parts of a bundle fit each other: an intact
file may belong to another bundle, and whoever made a bundle may want the guard to fail. What does not: the table of
clusters (`guard/clusters/table.py`), opening files and verifying their checksums (`guard/bundle.py`).

A bound keeps a search within the memory and time that the export's own settings allow; the settings have the same ones.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from transforms.guard.clusters.table import CLUSTERS
from transforms.guard.hash_index import blocks
from transforms.guard.held_files import ArrayHeader, RowFile
from transforms.joins.cosine.sketches import bits

NO_CLUSTER = 2**32 - 1  # of a background picture that is not in the bundle
ROW_FILES = ("bytes_digests", "pixels_digests", "vectors")
"""Arrays that are read row by row, and not mapped."""

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
_RENDITIONS: dict[str, tuple[type[np.generic], tuple[str | int, ...]]] = {
    "rendition_bytes": (np.uint8, ("rendition bytes",)),
    "rendition_starts": (np.uint64, ("rendition starts",)),
    "rendition_cluster": (np.uint32, ("renditions",)),
}
_INDEX: dict[str, tuple[type[np.generic], tuple[str | int, ...]]] = {
    "pdq_upper_starts": (np.uint32, (blocks.BLOCKS, blocks.HALF + 1)),
    "pdq_lower_starts": (np.uint32, (blocks.BLOCKS, blocks.HALF + 1)),
    "pdq_lower": (np.uint16, (blocks.BLOCKS, "pdq")),
    "pdq_upper": (np.uint16, (blocks.BLOCKS, "pdq")),
    "pdq_rows": (np.uint8, (blocks.BLOCKS, "pdq", "row bytes")),
}
_RENDITION = 1 << 24  # bytes of one
_OWN = ("long_side", "enlarged", "keypoints", "ratio", "reprojection", "stretch")  # limits that no setting changes
_BACKGROUND = 1 << 30  # bytes of the background, which is held in memory
_BLOCK = 1 << 14  # digests read at once; few, so that their memory is returned
_LEAST_SCORE, _HIGHEST_SCORE = -2.0, 2.0  # differences of two cosines
_ROUNDING = 0.01  # of norms: vectors may be kept in 16 bits

_Count = Annotated[int, Field(ge=0, le=2**50)]
_Clusters = Annotated[int, Field(ge=0, lt=NO_CLUSTER)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Score = Annotated[float, Field(ge=_LEAST_SCORE, le=_HIGHEST_SCORE, allow_inf_nan=False)]
_Limit = Annotated[float, Field(gt=0, le=1600, allow_inf_nan=False)]
_Text = Annotated[str, Field(min_length=1, max_length=4096)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class _Whole(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Version(_Part):
    number: _Count


class _Policy(_Whole):
    pdq: Annotated[int, Field(ge=0, le=31)]
    pdq_quality: Annotated[int, Field(ge=0, le=100)]
    copy_score: _Share
    p_value: _Share | None
    at_least: Annotated[int, Field(ge=1, le=2**50)]
    pixels_decide: bool = False
    look_from: _Share | None = None


class _Limits(_Part):
    pixels: Annotated[int, Field(ge=1, le=2**30)]
    member_bytes: Annotated[int, Field(ge=1, le=2**32)]


class _Views(_Whole):
    scales: Annotated[list[Annotated[float, Field(ge=0.1, lt=1)]], Field(max_length=4)]
    flips: Literal["none", "whole", "all"]


class _Counts(_Part):
    rows: _Count
    clusters: _Clusters
    pictures: _Count
    searchable: _Count
    coverage: _Share


class _Encoder(_Part):
    name: _Text
    identity: _Text
    dimension: Annotated[int, Field(ge=1, le=2**16)]


class _Sketches(_Part):
    recall: _Share | None


class _Tail(_Whole):
    threshold: _Score
    shape: Annotated[_Number, Field(ge=0)]
    scale: Annotated[_Number, Field(gt=0)]
    exceedances: Annotated[int, Field(ge=1, le=2**32)]


class _Calibration(_Part):
    null_pictures: Annotated[int, Field(ge=0, le=2**26)]
    tail: _Tail | None


class _Renditions(_Part):
    renditions: _Clusters
    bytes: Annotated[int, Field(ge=0, le=2**40)]
    pixels: dict[str, _Limit]
    alterations: dict[str, _Limit]


class _File(_Part):
    bytes: Annotated[int, Field(ge=0, lt=2**62)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Manifest(_Part):
    version: _Version
    policy: _Policy
    limits: _Limits
    views: _Views
    counts: _Counts
    fingerprints: Annotated[list[Literal["sha256", "pixels", "pdq", "embedding"]], Field(max_length=4)]
    encoder: _Encoder | None
    sketches: _Sketches | None
    calibration: _Calibration | None
    renditions: _Renditions | None = None
    files: dict[str, _File]


def arrays(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the arrays of a bundle."""
    return tuple(_expected(manifest))


def _expected(manifest: Mapping[str, Any]) -> dict[str, tuple[type[np.generic], tuple[str | int, ...]]]:
    parts = (
        _HASHES,
        _INDEX if "pdq_rows.npy" in manifest["files"] else {},
        _EMBEDDINGS if manifest["encoder"] else {},
        _RENDITIONS if manifest.get("renditions") else {},
    )
    return {name: shape for part in parts for name, shape in part.items()}


def require_manifest(manifest: Mapping[str, Any]) -> None:
    """Raise ValueError naming a field of a manifest that is missing, wrong or out of bounds."""
    try:
        _Manifest.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))[:200]}: {first['msg']}") from None
    parts = (
        manifest["encoder"],
        manifest["sketches"],
        manifest["calibration"],
        "embedding" in manifest["fingerprints"],
    )
    if len({bool(part) for part in parts}) > 1:
        raise ValueError("encoder, sketches, calibration and the fingerprint `embedding` are all needed, or none")
    counts, files = manifest["counts"], {CLUSTERS, *(f"{name}.npy" for name in arrays(manifest))}
    for less, more in (("clusters", "rows"), ("pictures", "rows"), ("rows", "searchable")):
        if counts[less] > counts[more]:
            raise ValueError(f"counts.{less} is greater than counts.{more}")
    for name in sorted(manifest["files"].keys() ^ files):
        wrong = "is missing" if name in files else "is not a file of a bundle"
        raise ValueError(f"files: {name[:200]!r} {wrong}")


def require_headers(manifest: Mapping[str, Any], headers: Mapping[str, ArrayHeader]) -> None:
    """Raise ValueError naming an array that does not fit the manifest, the others, or its own file.

    Args:
        manifest: A valid one.
        headers: What the file of each array says of it.
    """
    counts, sizes, expected = manifest["counts"], dict[str, int](), _expected(manifest)
    if manifest["encoder"]:
        dimension = manifest["encoder"]["dimension"]
        sizes = {
            "dimension": dimension,
            "sketch words": bits(dimension) // 32,
            "vectors": counts["pictures"],
            "null pictures": manifest["calibration"]["null_pictures"],
        }
    if kept := manifest.get("renditions"):
        sizes |= {"renditions": kept["renditions"], "rendition starts": kept["renditions"] + 1}
        sizes["rendition bytes"] = kept["bytes"]
    for name, (dtype, axes) in expected.items():
        header = headers[name]
        fits = header.dtype == dtype and header.row_wise and len(header.shape) == len(axes)
        for size, axis in zip(header.shape if fits else (), axes, strict=False):
            fits = fits and 0 <= size == (axis if isinstance(axis, int) else sizes.setdefault(axis, size))
        if not fits:
            raise ValueError(f"{name}.npy is {header.dtype} of {header.shape}, which does not fit the other files")
        if header.bytes != manifest["files"][f"{name}.npy"]["bytes"]:
            raise ValueError(f"{name}.npy says that it holds {header.shape}, which does not fit its size")
    for axis in ("bytes", "pixels", "pdq"):
        if sizes[axis] > counts["rows"]:
            raise ValueError(f"{axis}_cluster.npy has {sizes[axis]:,} rows, more than counts.rows")
    if "row bytes" in sizes and (sizes["row bytes"] != blocks.row_bytes(sizes["pdq"]) or sizes["pdq"] < blocks.LEAST):
        raise ValueError(f"pdq_rows.npy has {sizes['row bytes']} bytes a row, which does not fit {sizes['pdq']:,} rows")
    if sizes["pixels"] < counts["pictures"]:
        raise ValueError(f"pixels_cluster.npy has {sizes['pixels']:,} rows, fewer than counts.pictures")
    if sizes.get("background", 0) * sizes.get("dimension", 0) * 4 > _BACKGROUND:
        raise ValueError(f"background.npy has more than {_BACKGROUND:,} bytes")


def require_values(
    manifest: Mapping[str, Any], opened: Mapping[str, npt.NDArray[Any]], row_files: Mapping[str, RowFile]
) -> None:
    """Raise ValueError naming an array that holds a number no export writes.

    Args:
        manifest: A valid one.
        opened: The arrays by name, of the right types and shapes.
        row_files: Those of `ROW_FILES`, likewise.
    """
    clusters = manifest["counts"]["clusters"]
    for name, array in opened.items():
        if not name.endswith("_cluster"):
            continue
        wrong = array >= clusters
        if name == "background_cluster":
            wrong &= array != NO_CLUSTER
        if wrong.any():
            raise ValueError(f"{name}.npy names a cluster that is not among the {clusters:,} of {CLUSTERS}")
    for kind in ("bytes", "pixels"):
        keys, digests = opened[f"{kind}_keys"], row_files[f"{kind}_digests"]
        if (keys[1:] < keys[:-1]).any():
            raise ValueError(f"{kind}_keys.npy does not ascend")
        for start in range(0, len(keys), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(keys)))
            if not np.array_equal(first_bytes(digests.take(rows)), keys[rows]):
                raise ValueError(f"{kind}_keys.npy holds other keys than the digests of {kind}_digests.npy")
    if "pdq_rows" in opened:
        blocks.require(opened["pdq_words"], blocks.BlockArrays(*(opened[name] for name in blocks.NAMES)))
    if manifest.get("renditions"):
        _require_renditions(opened["rendition_starts"], opened["rendition_cluster"], manifest["renditions"]["bytes"])
    if manifest["encoder"]:
        _require_calibration(opened["background"], opened["null_scores"])


def _require_calibration(background: npt.NDArray[np.float32], scores: npt.NDArray[np.float64]) -> None:
    with np.errstate(all="ignore"):
        norms = np.linalg.norm(background, axis=1)
    if not (np.abs(norms - 1) < _ROUNDING).all():  # of what is not finite too
        raise ValueError("background.npy holds numbers that are not finite, or a vector whose norm is not 1")
    if not ((scores >= _LEAST_SCORE) & (scores <= _HIGHEST_SCORE)).all() or (scores[1:] < scores[:-1]).any():
        raise ValueError("null_scores.npy does not ascend within -2 and 2")


def _require_renditions(starts: npt.NDArray[np.uint64], cluster: npt.NDArray[np.uint32], size: int) -> None:
    if starts[0] != 0 or starts[-1] != size or (starts[1:] < starts[:-1]).any():
        raise ValueError(f"rendition_starts.npy does not ascend from 0 to {size:,}")
    if len(starts) > 1 and np.diff(starts).max() > _RENDITION:
        raise ValueError(f"rendition_starts.npy has a picture of more than {_RENDITION:,} bytes")
    if len(np.unique(cluster)) != len(cluster):
        raise ValueError("rendition_cluster.npy names a cluster twice")


def limits[Limits](kind: type[Limits], said: Mapping[str, float]) -> Limits:
    """Return the limits of pixels in a manifest: those of the settings, beside this release's own.

    Args:
        kind: `PixelLimits` or `AlterationLimits`.
        said: Numbers by name.

    Raises:
        ValueError: If a name is none of the limits', or a number is none of its kind.
    """
    known = {each.name: each.type for each in fields(kind) if each.name not in _OWN}  # type: ignore[arg-type]
    for name, value in said.items():
        if name not in known or (known[name] in ("int", int) and value != int(value)):
            raise ValueError(f"renditions: {name[:200]!r} = {value:g} is none of {kind.__name__}")
    return kind(**{name: int(value) if known[name] in ("int", int) else value for name, value in said.items()})


def first_bytes(digests: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return the first 8 bytes of digests, uint8 (n, 32), as numbers in the same order."""
    return np.ascontiguousarray(digests[:, :8]).view(">u8").ravel().astype(np.uint64)
