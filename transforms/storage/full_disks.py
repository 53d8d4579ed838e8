"""Telling a disk that takes no more from a file that cannot be read.

What belongs here: what an error says about our own disk. What does not: the message for people, which names the folder
and the fix (`orchestration/runtime/full_disks.py`).

Who reads a delivery also writes, copies and repaired files for example, and a full disk must not become a fault of the
delivery: it would be noted, and the file not read again. Reading never fails with these errors.
"""

import errno

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(error: Exception) -> bool:
    """Return whether an error, of Python or Arrow, says that a disk, a quota or a limit of files takes no more."""
    return isinstance(error, OSError) and error.errno in _FULL
