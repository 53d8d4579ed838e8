"""The guard's bundle: a folder with a manifest and flat arrays that are mapped into memory.

What belongs here: the list of files, opening and verifying them. What does not: writing (`guard/bundle_writer.py`),
reading rows of open files (`guard/held_files.py`), checking pictures (`guard/check.py`).

    manifest.json               version, policy, encoder, calibration, coverage, SHA-256 of every file, and its own
    clusters.arrow              a row a cluster of training pictures: counts, licences, URL bytes_*, pixels_*
    SHA-256 of files and of decoded pixels, ascending: first 8 bytes, all 32, the cluster pdq_*
    perceptual hashes, word by word, and the cluster sketch_words, vectors, vector_cluster      embeddings as signs and
    as 8-bit numbers, and the cluster background*, null_scores    the input of p-values

Opening verifies every file. SHA-256 takes half a second a gigabyte and core. The checksums detect damage and mistakes.
They are not a signature, so ship the bundle over a channel that you trust.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.guard import bundle_schema
from transforms.guard.bundle_schema import CLUSTERS
from transforms.guard.held_files import HeldFiles, RowFile
from transforms.guard.verdict import Policy, Searched, Source
from transforms.hashing.digest_arrays import Rows
from transforms.hashing.hashes import file_sha256
from transforms.matches.null_distribution import Null, Tail

FORMAT = 1
MANIFEST = "manifest.json"
EXACT_KINDS = ("bytes", "pixels")
_ROW_FILES = ("bytes_digests", "pixels_digests", "vectors")


class BundleError(ValueError):
    """A bundle cannot be used; the message names the file and the fix."""


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its field `digest`."""
    fields = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class Digests:
    """SHA-256 digests, looked up by their first 8 bytes.

    Attributes:
        keys: The first 8 bytes, uint64 (n,), ascending.
        cluster: Numbers of clusters, uint32 (n,).
        rows: The digests, uint8 (n, 32).
    """

    keys: npt.NDArray[np.uint64]
    cluster: npt.NDArray[np.uint32]
    rows: RowFile

    def find(self, digest: bytes) -> list[int]:
        """Return the numbers of the clusters that have a digest of 32 bytes."""
        key = np.uint64(int.from_bytes(digest[:8], "big"))
        first, last = np.searchsorted(self.keys, key, "left"), np.searchsorted(self.keys, key, "right")
        rows = np.arange(first, last)
        equal = (self.rows.take(rows) == np.frombuffer(digest, np.uint8)).all(axis=1)
        return sorted(set(self.cluster[rows[equal]].tolist()))


class Bundle:
    """An open bundle: verified and mapped. Any number of threads may read it."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], files: HeldFiles) -> None:
        self.folder, self.manifest = folder, manifest
        self.require_unchanged = files.require_unchanged  # a few microseconds
        self.policy = Policy(**manifest["policy"])
        self.encoder: str | None = manifest["encoder"] and manifest["encoder"]["identity"]
        # Opened now: the paths may hold another bundle later, or nothing.
        self._clusters = pa.ipc.open_file(pa.memory_map(str(folder / CLUSTERS))).read_all()
        self._arrays = {name: self._mapped(name) for name in bundle_schema.arrays(manifest)}
        bundle_schema.require_arrays(manifest, self._arrays, self._clusters)
        self._row_files = {name: self._rows(name) for name in _ROW_FILES if name in self._arrays}

    @classmethod
    def open(cls, folder: Path) -> "Bundle":
        """Open a bundle. Raises BundleError naming a file that is missing, cut off, changed or inconsistent."""
        manifest = _manifest(folder)
        _sized(folder, manifest["files"])
        try:
            files = HeldFiles(folder, manifest["files"])
            _verify(folder, manifest["files"])
            bundle = cls(folder, manifest, files)
        except BundleError:
            raise
        except (ValueError, OSError) as error:  # of NumPy and Arrow too
            raise BundleError(f"{folder} cannot be searched: {error}; write the bundle again") from None
        if _manifest(folder)["digest"] != manifest["digest"]:
            raise BundleError(f"{folder} was replaced while it was being opened; open it again")
        return bundle

    @staticmethod
    def read_manifest(folder: Path) -> dict[str, Any]:
        """Return the manifest of a bundle without verifying its files. Raises BundleError."""
        return _manifest(folder)

    @property
    def name(self) -> str:
        """The version of the warehouse, and the start of the digest."""
        return f"{self.manifest['version']['number']:06d}-{self.manifest['digest'][:12]}"

    @property
    def searched(self) -> Searched:
        """The extent of every search in this bundle."""
        counts, sketches = self.manifest["counts"], self.manifest["sketches"]
        return Searched(
            self.name,
            tuple(self.manifest["fingerprints"]),
            counts["rows"],
            counts["searchable"],
            counts["coverage"],
            counts["pictures"],
            sketches["recall"] if sketches else None,
            overrides="",
        )

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return an array of the bundle, mapped read-only."""
        return self._arrays[name]

    def _mapped(self, name: str) -> npt.NDArray[Any]:
        try:
            return np.asarray(np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
        except ValueError as error:
            raise ValueError(f"{name}.npy: {error}") from None

    def row_file(self, name: str) -> RowFile:
        """Return an array of the bundle that is read row by row: digests, or vectors."""
        return self._row_files[name]

    def _rows(self, name: str) -> RowFile:
        path = self.folder / f"{name}.npy"
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        return RowFile(os.open(path, os.O_RDONLY), mapped.offset, mapped.shape, mapped.dtype)

    def digests(self, kind: str) -> Digests:
        """Return the digests of one of EXACT_KINDS."""
        return Digests(self.array(f"{kind}_keys"), self.array(f"{kind}_cluster"), self.row_file(f"{kind}_digests"))

    def source(self, cluster: int, **evidence: Any) -> Source:  # noqa: ANN401 -- the fields of Source
        """Return a cluster as a source.

        Args:
            cluster: Its number.
            evidence: The fields of Source that the bundle does not know.
        """
        row = self._clusters.slice(cluster, 1).to_pylist()[0]
        derived = {"licenses": tuple(row["licenses"]), "recalled": row["duplicate_count"] == 0}
        return Source(**(row | derived), **evidence)

    def by_cluster[T](self, by_id: Mapping[int, T]) -> dict[int, T]:
        """Map values by the numbers of clusters in this bundle. `by_id` maps them by the warehouse's ids."""
        if not by_id:  # the usual case: do not read the column of ids
            return {}
        ids = self._clusters["cluster_id"].to_numpy()
        numbers = np.flatnonzero(np.isin(ids, np.array([*by_id], np.uint64)))
        return {number: by_id[int(ids[number])] for number in numbers.tolist()}

    @cached_property
    def null(self) -> Null | None:
        """The null distribution of best matches in a bundle with embeddings. None if it was not measured."""
        if not self.manifest["calibration"]["null_pictures"]:
            return None
        tail = self.manifest["calibration"]["tail"]
        return Null(self.array("null_scores"), tail and Tail(**tail))


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(
            f"no bundle at {folder}: it has no {MANIFEST}; write one with `raisonne export guard`"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read: {error}; write the bundle again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        other = manifest.get("format") if isinstance(manifest, dict) else None
        raise BundleError(f"{path} has format {other!r}, and this release reads {FORMAT}; write the bundle again")
    if manifest.get("digest") != manifest_digest(manifest):
        raise BundleError(f"{path} was changed since it was written; write the bundle again")
    try:
        bundle_schema.require_manifest(manifest)
    except ValueError as error:
        raise BundleError(f"{path}: {error}; write the bundle again") from None
    return manifest


def _sized(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    for name, entry in files.items():
        if Path(name).name != name:
            raise BundleError(f"{folder / MANIFEST} names {name!r}, which is not a file of a bundle")
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            raise BundleError(f"{folder / name}: {error.strerror}; copy the bundle again") from None
        if size != entry["bytes"]:
            raise BundleError(
                f"{folder / name} has {size:,} bytes instead of {entry['bytes']:,}; copy the bundle again"
            )


def _verify(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        largest_first = sorted(files, key=lambda name: -files[name]["bytes"])
        for name, digest in zip(largest_first, pool.map(lambda n: file_sha256(folder / n), largest_first), strict=True):
            if digest != files[name]["sha256"]:
                raise BundleError(f"{folder / name} was changed: its SHA-256 differs; copy the bundle again")


def first_bytes(digests: Rows) -> npt.NDArray[np.uint64]:
    """Return the first 8 bytes of digests, uint8 (n, 32), as numbers in the same order."""
    return np.ascontiguousarray(digests[:, :8]).view(">u8").ravel().astype(np.uint64)
