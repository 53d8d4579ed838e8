"""Files that appear as a whole, and folders that several go into together.

What belongs here: writing apart from what is there, one writer of a folder at a time, and clearing what a killed one
left. What does not: which files, and how they take the place of earlier ones (`reports/exports.py`,
`reports/removal_lists.py`).
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".exporting-"


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of `file` once all is written. Raises OSError.

    Also for a file that is none, such as /dev/stdout: a rename would put a regular file in the place of the device.
    """
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "not a regular file, which it would be replaced by; name another", str(file))
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=file.parent) as folder:
        partial = Path(folder, file.name)
        yield partial
        partial.replace(file)


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write in, from which files can be renamed into `folder`.

    It lies within, as `folder` may be a mount of its own. Waits while another process or thread writes into the same
    folder; the kernel's lock ends with its process, and what that left is removed. A folder that was not there before
    is gone afterwards if nothing was put into it. Raises OSError.
    """
    made = not folder.exists()
    handle = _locked(folder)
    try:
        for left in folder.glob(f"{_PREFIX}*"):
            shutil.rmtree(left)
        partial = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            if made:
                with suppress(OSError):  # it holds what was written
                    folder.rmdir()
    finally:
        os.close(handle)


def remove(folder: Path) -> None:
    """Remove a folder of exports with all that it holds, unless somebody writes into it just now."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
    finally:
        os.close(handle)


def _locked(folder: Path) -> int:
    """Lock a folder, made as needed, by a descriptor: no lock file is left among what people open."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(folder.stat(), os.fstat(handle)):
                return handle
        os.close(handle)  # the one who had the lock removed the folder
