"""Files of a bundle that stay open, and detecting changes since they were verified.

What belongs here: descriptors, and reading rows by them. What does not: the list of files (`guard/bundle.py`).
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class BundleChanged(OSError):
    """A file was written to while the bundle was in use, so the mapped data is not what was verified."""


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
    """Open files, and their state at opening. They can be moved meanwhile."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._open: dict[str, tuple[int, tuple[int, int]]] = {}
        for name in names:
            descriptor = os.open(folder / name, os.O_RDONLY)
            self._open[name] = descriptor, self._state(descriptor)

    def _state(self, descriptor: int) -> tuple[int, int]:
        stat = os.fstat(descriptor)
        return stat.st_size, stat.st_mtime_ns

    def require_unchanged(self) -> None:
        """Raise BundleChanged naming a file that was written to."""
        for name, (descriptor, state) in self._open.items():
            if self._state(descriptor) != state:
                raise BundleChanged(f"{name} of the bundle was written to while it was in use; load a bundle again")

    def __del__(self) -> None:
        for descriptor, _ in self._open.values():
            os.close(descriptor)
