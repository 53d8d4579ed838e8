"""Files of a bundle that stay open: what is verified is what is mapped, whatever their paths hold later.

What belongs here: opening files, their digests, mapping arrays, reading rows, detecting changes. What does not: which
files there are and what they must hold (`guard/bundle.py`, `guard/bundle_schema.py`).
"""

import hashlib
import math
import mmap
import os
import re
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC = b"\x93NUMPY\x01\x00"  # of NumPy's format 1.0, as `bundle_writer` writes it
_MOST_HEADER = 1024
_HEADER = re.compile(r"\{'descr': '([<>|]\w+)', 'fortran_order': (True|False), 'shape': \(([\d, ]{0,60})\), \} *\n")
"""A header is text that NumPy evaluates; ours is one of this form, and nothing is evaluated."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # no link, and no wait for the writer of a pipe


class BundleChanged(OSError):
    """A file was written to while the bundle was in use, so the mapped data is not what was verified."""


def open_file(path: Path) -> int:
    """Open a file for reading and return its descriptor.

    Raises OSError for a link, and for what is no regular file.
    """
    if path.is_symlink():
        raise OSError(None, "is a link, and links of a bundle are not followed", str(path))
    descriptor = os.open(path, _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "is no regular file", str(path))
    return descriptor


def read_file(path: Path, most: int) -> bytes:
    """Read a small file. Raises OSError as `open_file`, and for one that is larger.

    Args:
        path: The file.
        most: Bytes that it may have.
    """
    with os.fdopen(open_file(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(None, f"has more than {most:,} bytes", str(path))
    return data


@dataclass(frozen=True)
class ArrayHeader:
    """What a .npy file says of its array, and where the array begins."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    row_wise: bool
    offset: int

    @property
    def bytes(self) -> int:
        """The size of a file that holds the array and nothing else."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class RowFile:
    """Rows of a .npy file, read on demand and not kept in memory."""

    descriptor: int
    offset: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return rows by ascending indices, of shape (k, width). Adjacent rows are read at once.

        Raises BundleChanged if the file has become shorter.
        """
        width = self.shape[1] * self.dtype.itemsize
        ends = np.flatnonzero(np.diff(rows, append=-1) != 1)
        lengths = np.diff(ends, prepend=-1)
        starts = self.offset + width * rows[ends + 1 - lengths]
        read = b"".join(map(os.pread, repeat(self.descriptor), (width * lengths).tolist(), starts.tolist()))
        if len(read) < len(rows) * width:
            raise BundleChanged("a file of the bundle was cut off while it was in use")
        return np.frombuffer(read, self.dtype).reshape(len(rows), self.shape[1])

    def __del__(self) -> None:
        os.close(self.descriptor)


class HeldFiles:
    """Open files, and their state at opening. They can be moved meanwhile. Raises OSError as `open_file`."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._open: dict[str, tuple[int, tuple[int, int]]] = {}
        self._maps: list[mmap.mmap] = []
        for name in names:
            descriptor = open_file(folder / name)
            self._open[name] = descriptor, self._state(descriptor)

    def _state(self, descriptor: int) -> tuple[int, int]:
        stat = os.fstat(descriptor)
        return stat.st_size, stat.st_mtime_ns

    def size(self, name: str) -> int:
        """Return the bytes of a file at opening."""
        return self._open[name][1][0]

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of every file, the largest first, on all cores."""
        largest_first = sorted(self._open, key=lambda name: -self.size(name))
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            return dict(zip(largest_first, pool.map(self._digest, largest_first), strict=True))

    def _digest(self, name: str) -> str:
        with self._file(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _file(self, name: str) -> FileIO:
        file = FileIO(self._open[name][0], closefd=False)
        file.seek(0)
        return file

    def header(self, name: str) -> ArrayHeader:
        """Read the header of an array. Raises ValueError naming a file that has none of ours."""
        with self._file(name) as file:
            magic, length = file.read(len(_MAGIC)), int.from_bytes(file.read(2), "little")
            text = file.read(min(length, _MOST_HEADER)).decode("latin-1")
            match = _HEADER.fullmatch(text)
            if magic != _MAGIC or length != len(text) or not match:
                raise ValueError(f"{name} does not begin as an array of ours: {text[:80]!r}")
            try:
                dtype, shape = np.dtype(match[1]), tuple(int(size) for size in match[3].split(",") if size.strip())
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name}: its header cannot be read: {error}") from None
            return ArrayHeader(dtype, shape, match[2] == "False", file.tell())

    def array(self, name: str, header: ArrayHeader) -> npt.NDArray[Any]:
        """Map an array, read-only.

        Args:
            name: Its file.
            header: What it was found to hold.
        """
        if not (count := math.prod(header.shape)):
            return np.empty(header.shape, header.dtype)
        return np.frombuffer(self.mapped(name), header.dtype, count, header.offset).reshape(header.shape)

    def rows(self, name: str, header: ArrayHeader) -> RowFile:
        """Return an array of two axes that is read row by row.

        Args:
            name: Its file.
            header: What it was found to hold.
        """
        height, width = header.shape
        return RowFile(os.dup(self._open[name][0]), header.offset, (height, width), header.dtype)

    def mapped(self, name: str) -> mmap.mmap:
        """Map a file, read-only. Raises ValueError if it is empty."""
        self._maps.append(mmap.mmap(self._open[name][0], 0, access=mmap.ACCESS_READ))
        return self._maps[-1]

    def release_pages(self) -> None:
        """Release the pages of mapped files that verifying has read. They are read again when they are needed."""
        for mapped in self._maps:
            if hasattr(mapped, "madvise"):
                mapped.madvise(mmap.MADV_DONTNEED)

    def require_unchanged(self) -> None:
        """Raise BundleChanged naming a file that was written to."""
        for name, (descriptor, state) in self._open.items():
            if self._state(descriptor) != state:
                raise BundleChanged(f"{name} of the bundle was written to while it was in use; load a bundle again")

    def __del__(self) -> None:
        for descriptor, _ in self._open.values():
            os.close(descriptor)
