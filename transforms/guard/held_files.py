"""Files of a bundle that stay open: as they were when they were verified, or known to have changed.

What belongs here: descriptors, and rows read by them. What does not: which files a bundle has (`guard/bundle.py`).
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
    """A file was written to while a bundle was in use; what is mapped of it is not what was verified."""


@dataclass(frozen=True)
class RowFile:
    """Rows of a .npy file that are read when they are needed, and so never stay in the memory of the process."""

    descriptor: int
    offset: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return rows, ascending, of shape (k, width). Neighbours are read at once.

        Raises BundleChanged where the file has become shorter.
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
    """Files as they were when they were opened, wherever they are moved to."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._open: dict[str, tuple[int, tuple[int, int]]] = {}
        for name in names:
            descriptor = os.open(folder / name, os.O_RDONLY)
            self._open[name] = descriptor, self._state(descriptor)

    def _state(self, descriptor: int) -> tuple[int, int]:
        found = os.fstat(descriptor)
        return found.st_size, found.st_mtime_ns

    def require_unchanged(self) -> None:
        """Raise BundleChanged naming a file that was written to."""
        for name, (descriptor, state) in self._open.items():
            if self._state(descriptor) != state:
                raise BundleChanged(f"{name} of the bundle was written to while it was in use; load a bundle anew")

    def __del__(self) -> None:
        for descriptor, _ in self._open.values():
            os.close(descriptor)
