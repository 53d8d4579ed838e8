"""Writing the files of a guard bundle, batch by batch. The same input gives the same bytes.

What belongs here: arrays into files, and the manifest. What does not: selecting rows
(`orchestration/guard/export.py`), reading (`guard/bundle.py`).
"""

import json
import shutil
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.encoders import Vectors
from transforms.guard import bundle
from transforms.guard.bundle_schema import first_bytes
from transforms.guard.clusters.table import CLUSTERS
from transforms.guard.hash_index import blocks
from transforms.guard.signature import SigningKey
from transforms.hashing.digest_arrays import Rows
from transforms.hashing.hashes import file_sha256
from transforms.joins.cosine.sketches import bits, quantise, sketch
from transforms.joins.hamming.scan import words
from transforms.storage import staging

_WORD = np.dtype(np.uint32)
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
"""The table of clusters, as `clusters/table.py` reads it."""


class ArrayFile:
    """A .npy file of known shape that is filled piece by piece, in any order, without holding it in memory."""

    def __init__(self, path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
        self._dtype, self._shape = np.dtype(dtype), shape
        self._file = path.open("wb")
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._start = self._file.tell()
        self._file.truncate(self._start + int(np.prod(shape)) * self._dtype.itemsize)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def put(self, indices: npt.NDArray[np.int64], rows: npt.NDArray[Any], plane: int | None = None) -> None:
        """Write rows.

        Args:
            indices: Where they go, ascending.
            rows: One a given index.
            plane: First index, for an array of shape (planes, n).
        """
        width = self._dtype.itemsize * (1 if plane is not None else int(np.prod(self._shape[1:])))
        start = self._start + (0 if plane is None else plane * self._shape[1] * width)
        data, done = memoryview(np.ascontiguousarray(rows, self._dtype).tobytes()), 0
        for run in np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1) if len(indices) else []:
            self._file.seek(start + int(run[0]) * width)
            self._file.write(data[done : done + len(run) * width])
            done += len(run) * width

    def part(self, number: int, rows: npt.NDArray[Any]) -> None:
        """Write one of the arrays of which the first axis counts.

        Args:
            number: Its index.
            rows: The array.
        """
        data = np.ascontiguousarray(rows, self._dtype)
        self._file.seek(self._start + number * data.nbytes)
        self._file.write(data.tobytes())

    def fill(self, source: BinaryIO) -> None:
        """Write all of the array's bytes from an open file.

        Args:
            source: They are read from where it is.
        """
        self._file.seek(self._start)
        shutil.copyfileobj(source, self._file)


class BundleFiles:
    """The files of a bundle that is being written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def array(self, name: str, dtype: npt.DTypeLike, *shape: int) -> ArrayFile:
        """Create an array file.

        Args:
            name: Of the array.
            dtype: Of its values.
            shape: Its size along each axis.
        """
        return ArrayFile(self.folder / f"{name}.npy", dtype, shape)

    def clusters(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Write the clusters, in the order of their numbers."""
        with pa.OSFile(str(self.folder / CLUSTERS), "wb") as sink, pa.ipc.new_file(sink, CLUSTER_SCHEMA) as file:
            for batch in batches:
                file.write_batch(batch.cast(CLUSTER_SCHEMA))

    def digests(self, kind: str, count: int, batches: Iterable[tuple[Rows, npt.NDArray[np.uint32]]]) -> None:
        """Write digests.

        Args:
            kind: One of EXACT_KINDS.
            count: Of all digests.
            batches: Digests, uint8 (n, 32), ascending over all batches, and the numbers of their clusters.
        """
        with (
            self.array(f"{kind}_keys", np.uint64, count) as keys,
            self.array(f"{kind}_digests", np.uint8, count, 32) as whole,
            self.array(f"{kind}_cluster", np.uint32, count) as owner,
        ):
            for indices, (digests, cluster) in _indexed(batches):
                keys.put(indices, first_bytes(digests))
                whole.put(indices, digests)
                owner.put(indices, cluster)

    def hashes(
        self, count: int, batches: Iterable[tuple[Rows, npt.NDArray[np.uint32]]], *, indexed: bool | None = None
    ) -> None:
        """Write perceptual hashes, and their index.

        Args:
            count: Of all hashes.
            batches: Hashes, uint8 (n, 32), and the numbers of their clusters.
            indexed: Whether to write the index. Default: if looking up in it is quicker than a scan.
        """
        with (
            self.array("pdq_words", _WORD, 8, count) as planes,
            self.array("pdq_cluster", np.uint32, count) as owner,
        ):
            for indices, (hashes, cluster) in _indexed(batches):
                for plane, values in enumerate(words(hashes)):
                    planes.put(indices, values, plane)
                owner.put(indices, cluster)

        if blocks.pays(count) if indexed is None else indexed:
            self._index(count)

    def _index(self, count: int) -> None:
        planes = np.load(self.folder / "pdq_words.npy", mmap_mode="r")
        width = blocks.row_bytes(count)
        shapes: dict[str, tuple[npt.DTypeLike, tuple[int, ...]]] = {
            "pdq_upper_starts": (np.uint32, (blocks.HALF + 1,)),
            "pdq_lower_starts": (np.uint32, (blocks.HALF + 1,)),
            "pdq_lower": (np.uint16, (count,)),
            "pdq_upper": (np.uint16, (count,)),
            "pdq_rows": (np.uint8, (count, width)),
        }
        with ExitStack() as stack:
            files = {
                name: stack.enter_context(self.array(name, kind, blocks.BLOCKS, *shape))
                for name, (kind, shape) in shapes.items()
            }
            for block in range(blocks.BLOCKS):
                built = blocks.build(np.asarray(planes[block]))
                for name in blocks.NAMES:
                    files[name].part(block, getattr(built, name.removeprefix("pdq_")))

    def vectors(
        self,
        count: int,
        dimension: int,
        batches: Iterable[tuple[npt.NDArray[np.int64], Vectors, npt.NDArray[np.uint32]]],
    ) -> None:
        """Write vectors as signs and as 8-bit numbers.

        Args:
            count: Of all vectors.
            dimension: d.
            batches: Indices, ascending in a batch; vectors of norm 1, float32 (n, d); numbers of clusters.
        """
        with (
            self.array("sketch_words", _WORD, bits(dimension) // 32, count) as planes,
            self.array("vectors", np.int8, count, dimension) as codes,
            self.array("vector_cluster", np.uint32, count) as owner,
        ):
            for indices, vectors, cluster in batches:
                for plane, values in enumerate(words(sketch(vectors))):
                    planes.put(indices, values, plane)
                codes.put(indices, quantise(vectors))
                owner.put(indices, cluster)

    def renditions(self, batches: Iterable[tuple[int, bytes]]) -> tuple[int, int]:
        """Write small copies of pictures. Returns how many there are, and their bytes.

        Args:
            batches: The number of a cluster, each once, and its rendition.
        """
        scratch = self.folder.parent / "renditions"
        cluster, sizes = array("I"), array("Q", [0])
        with scratch.open("w+b") as spool:
            for number, data in batches:
                spool.write(data)
                cluster.append(number)
                sizes.append(len(data))
            starts = np.cumsum(np.array(sizes, np.uint64), dtype=np.uint64)
            self.whole("rendition_cluster", np.array(cluster, np.uint32))
            self.whole("rendition_starts", starts)
            spool.seek(0)
            with self.array("rendition_bytes", np.uint8, int(starts[-1])) as file:
                file.fill(spool)
        scratch.unlink()
        return len(cluster), int(starts[-1])

    def whole(self, name: str, values: npt.NDArray[Any]) -> None:
        """Write an array that fits in memory.

        Args:
            name: Of the array.
            values: The array.
        """
        np.save(self.folder / f"{name}.npy", np.ascontiguousarray(values), allow_pickle=False)

    def finish(self, manifest: Mapping[str, Any], key: SigningKey | None = None) -> None:
        """Write the manifest, with the size and SHA-256 of every file, and sign it.

        Args:
            manifest: Its other fields.
            key: That of the signature. None: it is not signed.
        """
        paths = sorted(self.folder.iterdir())
        files = {path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in paths}
        fields = {"format": bundle.FORMAT, **manifest, "files": files}
        fields["digest"] = bundle.manifest_digest(fields)
        data = (json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
        (self.folder / bundle.MANIFEST).write_bytes(data)
        if key is not None:
            (self.folder / key.file).write_bytes(key.sign(data))


def _indexed[T: tuple[Any, Any]](batches: Iterable[T]) -> Iterator[tuple[npt.NDArray[np.int64], T]]:
    start = 0
    for batch in batches:
        yield np.arange(start, start + len(batch[1])), batch
        start += len(batch[1])


@contextmanager
def new_bundle(target: Path) -> Iterator[BundleFiles]:
    """Yield the files of a bundle that appears at `target` when all is written; a failure leaves nothing.

    The parent of their folder is scratch space. Raises FileExistsError if `target` exists: a bundle is never changed,
    as a service may have it mapped.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists; a bundle is never overwritten: remove it or name another folder")
    with staging.new_folder(target) as folder:
        yield BundleFiles(folder)
