"""The C library's allocator: memory that was freed goes back, however long a run is.

What belongs here: its one setting. What does not: how much a run may hold (`settings/limits.py`).
"""

import ctypes
from functools import cache

_MMAP_THRESHOLD = -3  # glibc's M_MMAP_THRESHOLD
_BYTES = 128 << 10  # as glibc begins with


@cache
def give_back_large_blocks() -> None:
    """Have large blocks given back to the kernel when they are freed, once a process.

    Left to itself, glibc raises the size from which it does so to 32 MB once blocks of that size were freed, and from
    then on cuts batches of pictures and vectors from heaps, of which each thread has its own: they lie between smaller
    ones that stay. Of 24,000 rows in eight shards a run held 115 MB more than of 3,000 in one, and grew on; by this it
    does not. Elsewhere than on glibc nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _BYTES)
