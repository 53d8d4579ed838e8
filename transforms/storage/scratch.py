"""Arrays of any size in files without a name.

What belongs here: writing rows of one kind to such a file, reading them back, mapping them. What does not: what the
rows are.

The kernel frees the files with the process, however it ends. They take their full size at once, so that a disk that is
too small is met before the work, not in the middle of it. What is mapped is no memory of the process: the kernel keeps
in its cache what there is room for, and reads the rest again.
"""

import errno
import math
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt


class ScratchFile:
    """Rows of one shape and type on disk."""

    def __init__(self, folder: Path, rows: int, kind: npt.DTypeLike, shape: tuple[int, ...] = ()) -> None:
        """Take the room on disk.

        Args:
            folder: Where the file is made; it is made too if it is not there.
            rows: How many rows there will be at most.
            kind: The type of their numbers.
            shape: The shape of a row.

        Raises:
            OSError: If the disk has too little room.
        """
        self._folder, self._rows, self._kind, self._shape = folder, rows, np.dtype(kind), shape
        self._bytes = self._kind.itemsize * math.prod(shape)
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 -- `close`
        try:
            if rows:
                os.posix_fallocate(self._file.fileno(), 0, self._bytes * rows)
        except OSError as error:
            self.close()
            if error.errno == errno.ENOSPC:
                raise OSError(error.errno, error.strerror, str(folder)) from error
            raise

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(self._rows)
        return self.read(start, stop)

    def like(self) -> "ScratchFile":
        """Return another file of as many such rows in the same folder. Raises OSError if the disk has no room."""
        return ScratchFile(self._folder, self._rows, self._kind, self._shape)

    def trim(self, rows: int) -> None:
        """Free what is beyond the first rows."""
        self._file.truncate(self._bytes * rows)
        self._rows = rows

    def close(self) -> None:
        """Free the room on disk, once no array maps it any more."""
        self._file.close()

    def write(self, rows: np.ndarray, start: int) -> None:
        """Write rows of the file's type and shape.

        Args:
            rows: The rows.
            start: The place of the first.
        """
        data, offset = _bytes(np.ascontiguousarray(rows, self._kind)), self._bytes * start
        while data:
            written = os.pwrite(self._file.fileno(), data, offset)
            data, offset = data[written:], offset + written

    def read(self, start: int, stop: int, into: np.ndarray | None = None) -> np.ndarray:
        """Return rows. Raises EOFError if the file ends before them.

        Args:
            start: The place of the first.
            stop: The place after the last.
            into: Where they are put, C-contiguous; None for a new array.
        """
        rows = np.empty((stop - start, *self._shape), self._kind) if into is None else into
        data, offset = _bytes(rows), self._bytes * start
        while data:
            if not (found := os.preadv(self._file.fileno(), [data], offset)):
                raise EOFError("rows on disk end before their count")
            data, offset = data[found:], offset + found
        return rows

    def mapped(self, *, writable: bool = False) -> np.ndarray:
        """Return all rows as an array that is read from the file as it is used, also after `close`.

        Args:
            writable: Whether writing to the array writes to the file.
        """
        if not self._rows:
            return np.empty((0, *self._shape), self._kind)
        how = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        data = mmap.mmap(self._file.fileno(), self._bytes * self._rows, prot=how)
        return np.frombuffer(data, self._kind).reshape(self._rows, *self._shape)


def _bytes(rows: np.ndarray) -> memoryview:
    return memoryview(rows).cast("B") if rows.size else memoryview(b"")
