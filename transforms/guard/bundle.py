"""The guard's bundle: a folder with a manifest and flat arrays that are mapped into memory.

What belongs here: the list of files, opening and verifying them. What does not: writing (`guard/bundle_writer.py`),
reading rows of open files (`guard/held_files.py`), checking pictures (`guard/check.py`).

    manifest.json                               version, policy, encoder, calibration, coverage, SHA-256 of every file,
                                                and its own
    clusters.arrow                              a row a cluster of training pictures: counts, licences, URL
    bytes_*, pixels_*                           SHA-256 of files and of decoded pixels, ascending: first 8 bytes, all
                                                32, the cluster
    pdq_words, pdq_cluster                      perceptual hashes, word by word, and the cluster
    pdq_*                                       of many hashes, an index: see `guard/hash_index/blocks.py`
    sketch_words, vectors, vector_cluster       embeddings as signs and as 8-bit numbers, and the cluster
    background*, null_scores                    the input of p-values
    rendition_*                                 small copies of pictures: see `guard/pixels/renditions.py`
    manifest.sig, manifest.json.minisig         if the bundle was signed: see `guard/signature.py`

Opening verifies every file. SHA-256 takes half a second a gigabyte and core. The checksums detect damage and mistakes;
against malice they help only together with a signature. Whatever the manifest says, opening a bundle takes no memory
beyond the size of its files, and ends with a bundle or a BundleError.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.alignment.alteration_policy import AlterationLimits
from transforms.alignment.policy import PixelLimits
from transforms.guard import bundle_schema, signature
from transforms.guard.bundle_schema import ROW_FILES
from transforms.guard.clusters import table as cluster_table
from transforms.guard.clusters.table import CLUSTERS
from transforms.guard.hash_index import blocks
from transforms.guard.hash_index.blocks import HashIndex
from transforms.guard.held_files import HeldFiles, RowFile, read_file
from transforms.guard.pixels.renditions import Renditions
from transforms.guard.verdict import Policy, Searched, Source
from transforms.matches.null_distribution import Null, Tail

FORMAT = 2
_READ = (1, 2)  # formats; the first has no renditions
MANIFEST = "manifest.json"
EXACT_KINDS = ("bytes", "pixels")
_MANIFEST_BYTES = 1 << 22


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
        headers = {name: files.header(f"{name}.npy") for name in bundle_schema.arrays(manifest)}
        bundle_schema.require_headers(manifest, headers)
        self._arrays = {n: files.array(f"{n}.npy", header) for n, header in headers.items() if n not in ROW_FILES}
        self._row_files = {n: files.rows(f"{n}.npy", header) for n, header in headers.items() if n in ROW_FILES}
        bundle_schema.require_values(manifest, self._arrays, self._row_files)
        self.renditions = self._renditions()
        self._clusters = cluster_table.read(files.mapped(CLUSTERS))
        counts = manifest["counts"]
        cluster_table.require(self._clusters, counts["clusters"], counts["rows"], self.policy.at_least)
        files.release_pages()

    @classmethod
    def open(cls, folder: Path, trusted: Sequence[Path] = ()) -> "Bundle":
        """Open a bundle.

        Args:
            folder: The bundle.
            trusted: Public keys, one of which must have signed it. None: no signature is asked for.

        Raises:
            BundleError: A file is missing, cut off, changed, inconsistent or not signed; the message names it.
            KeyUnusable: A key cannot be read.
        """
        manifest = _manifest(folder, trusted)
        try:
            files = HeldFiles(folder, manifest["files"])
        except OSError as error:
            raise BundleError(f"{error.filename}: {error.strerror}; copy the bundle again") from None
        _verify(folder, manifest["files"], files)
        try:
            return cls(folder, manifest, files)
        except (ValueError, OSError) as error:  # of NumPy too
            raise BundleError(f"{folder} cannot be searched: {error}; write the bundle again") from None

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
            renditions=(self.manifest.get("renditions") or {}).get("renditions", 0),
        )

    def _renditions(self) -> tuple[Renditions, PixelLimits, AlterationLimits] | None:
        """Return the renditions and the limits by which they are compared, or None if there are none."""
        kept = self.manifest.get("renditions")
        if not kept:
            return None
        pixels = bundle_schema.limits(PixelLimits, kept["pixels"])
        files = self.array("rendition_bytes"), self.array("rendition_starts"), self.array("rendition_cluster")
        looser = bundle_schema.limits(AlterationLimits, kept["alterations"])
        return Renditions(*files, pixels.long_side), pixels, looser

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return an array of the bundle, mapped read-only."""
        return self._arrays[name]

    def row_file(self, name: str) -> RowFile:
        """Return an array of the bundle that is read row by row: digests, or vectors."""
        return self._row_files[name]

    def digests(self, kind: str) -> Digests:
        """Return the digests of one of EXACT_KINDS."""
        return Digests(self.array(f"{kind}_keys"), self.array(f"{kind}_cluster"), self.row_file(f"{kind}_digests"))

    @property
    def hashes(self) -> HashIndex:
        """The perceptual hashes, and their index if there is one."""
        names = blocks.NAMES if blocks.NAMES[0] in self._arrays else ()
        arrays = blocks.BlockArrays(*map(self.array, names)) if names else None
        return HashIndex(self.array("pdq_words"), arrays)

    def source(self, cluster: int, **evidence: Any) -> Source:  # noqa: ANN401 -- the fields of Source
        """Return a cluster as a source.

        Args:
            cluster: Its number.
            evidence: The fields of Source that the bundle does not know.
        """
        row = self._clusters.row(cluster)
        derived = {"licenses": tuple(row["licenses"]), "recalled": row["duplicate_count"] == 0}
        return Source(**(row | derived), **evidence)

    def shown_by(self, cluster: int) -> int:
        """Return how many training rows show a cluster, recalled ones included.

        Args:
            cluster: Its number.
        """
        return self._clusters.shown_by(cluster)

    def cluster_id(self, cluster: int) -> int:
        """Return the warehouse's id of a cluster.

        Args:
            cluster: Its number.
        """
        return self._clusters.cluster_id(cluster)

    def by_cluster[T](self, by_id: Mapping[int, T]) -> dict[int, T]:
        """Map values by the numbers of clusters in this bundle. `by_id` maps them by the warehouse's ids."""
        if not by_id:  # the usual case: do not read the column of ids
            return {}
        ids = self._clusters.column("cluster_id")
        numbers = np.flatnonzero(np.isin(ids, np.array([*by_id], np.uint64)))
        return {number: by_id[int(ids[number])] for number in numbers.tolist()}

    @cached_property
    def null(self) -> Null | None:
        """The null distribution of best matches in a bundle with embeddings. None if it was not measured."""
        if not self.manifest["calibration"]["null_pictures"]:
            return None
        tail = self.manifest["calibration"]["tail"]
        return Null(self.array("null_scores"), tail and Tail(**tail))


def _manifest(folder: Path, trusted: Sequence[Path] = ()) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        data = read_file(path, _MANIFEST_BYTES)
        if trusted:
            _require_signature(folder, data, trusted)
        manifest = json.loads(data.decode())
        if not isinstance(manifest, dict) or manifest.get("format") not in _READ:
            other = manifest.get("format") if isinstance(manifest, dict) else None
            raise BundleError(
                f"{path} has format {repr(other)[:20]}, and this release reads {_READ[0]} to {_READ[-1]}; "
                "write the bundle again"
            )
        if manifest.get("digest") != manifest_digest(manifest):
            raise BundleError(f"{path} was changed since it was written; write the bundle again")
    except FileNotFoundError:
        raise BundleError(
            f"no bundle at {folder}: it has no {MANIFEST}; write one with `raisonne export guard`"
        ) from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}; write the bundle again") from error
    except (BundleError, signature.KeyUnusable):
        raise
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read: {error}; write the bundle again") from error
    try:
        bundle_schema.require_manifest(manifest)
    except ValueError as error:
        raise BundleError(f"{path}: {error}; write the bundle again") from None
    return manifest


def _require_signature(folder: Path, manifest: bytes, trusted: Sequence[Path]) -> None:
    keys = [signature.public_key(each) for each in trusted]
    names = " or ".join(sorted({str(folder / key.file) for key in keys}))
    by = f"by a key of {', '.join(map(str, trusted))}"
    try:
        signed = signature.is_signed(manifest, lambda name, most: read_file(folder / name, most), keys)
    except OSError as error:
        raise BundleError(
            f"{names}: {error.strerror}; the bundle must be signed {by}: `raisonne export guard --sign KEY`"
        ) from None
    if not signed:
        raise BundleError(f"{names} is no signature of {folder / MANIFEST} {by}; do not use this bundle")


def _verify(folder: Path, listed: Mapping[str, Mapping[str, Any]], files: HeldFiles) -> None:
    for name, entry in listed.items():
        if files.size(name) != entry["bytes"]:
            raise BundleError(
                f"{folder / name} has {files.size(name):,} bytes instead of {entry['bytes']:,}; copy the bundle again"
            )
    for name, digest in files.digests().items():
        if digest != listed[name]["sha256"]:
            raise BundleError(f"{folder / name} was changed: its SHA-256 differs; copy the bundle again")
