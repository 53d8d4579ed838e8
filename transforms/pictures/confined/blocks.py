"""Memory that arrays of confined processes are read into, used again from array to array.

What belongs here: blocks, and when one is free. What does not: reading (`confined/process.py`).

A large array from the C library's allocator is memory that the kernel clears and maps page by page, each time: where
large blocks are given back, as in runs, the inputs of an encoder then cost five times what reading them does.
"""

import mmap
import threading
import weakref
from collections import defaultdict

import numpy as np
import numpy.typing as npt

_LEAST = 1 << 17  # bytes: a smaller array is the allocator's
_KEPT = 64 << 20  # bytes of free blocks that stay


class Blocks:
    """Makes arrays, in blocks whose sizes are powers of two. A block is free once nothing refers to its array."""

    def __init__(self) -> None:
        self._free: defaultdict[int, list[mmap.mmap]] = defaultdict(list)
        self._bytes = 0
        self._lock = threading.RLock()  # a block may become free while this thread holds it, by garbage collection

    def array(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """Return an array of bytes of any values.

        Args:
            shape: Its shape.
        """
        count = int(np.prod(shape))
        if count < _LEAST:
            return np.empty(shape, np.uint8)
        size = 1 << (count - 1).bit_length()
        with self._lock:
            block = self._free[size].pop() if self._free[size] else None
            self._bytes -= size if block is not None else 0
        if block is None:
            block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        whole = np.frombuffer(block, np.uint8, count)  # what is cut from it refers to it: its memory is no array's
        weakref.finalize(whole, self._put_back, block).atexit = False
        return whole.reshape(shape)

    def _put_back(self, block: mmap.mmap) -> None:
        with self._lock:
            if self._bytes + len(block) <= _KEPT:
                self._free[len(block)].append(block)
                self._bytes += len(block)


BLOCKS = Blocks()
