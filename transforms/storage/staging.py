"""Files and folders that appear as a whole: locked, written in a separate place, then renamed.

What belongs here: writing where readers do not look, the lock of a folder, and removing what a killed writer left. What
does not: choosing the files, and how they replace earlier ones (`reports/exports.py`, `guard/bundle_writer.py`,
`warehouse/publishing/`).
"""

import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_EXPORTING = ".exporting-"  # within a folder that is filled
_WRITING = ".writing-"  # beside a file or a folder that is new
UNFINISHED = (_EXPORTING, _WRITING)
"""What the names of folders begin with that hold unfinished files, and go with them."""
_HERE, _RENAME_EXCHANGE = -100, 2  # AT_FDCWD of fcntl.h, and the flag of stdio.h
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Yield a path to write to, which replaces `file` once all is written.

    Raises OSError, also for special files such as /dev/stdout, which the rename would replace.
    """
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "not a regular file, and writing would replace it; choose another path", str(file))
    with _beside(file) as partial:
        yield partial
        partial.replace(file)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `target`, which must not exist, once all is written and synced to disk.

    Its files are then read-only. Its parent is scratch space of this writer alone. A failure leaves nothing, and the
    next writer in the same place removes what a killed one left. Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(target.parent)
    with _beside(target) as partial:
        partial.mkdir()
        yield partial
        for path in partial.iterdir():
            path.chmod(0o444)
            sync(path)
        partial.chmod(0o755)
        partial.rename(target)
        sync(target.parent)


def discard(folder: Path) -> None:
    """Remove a folder atomically for readers. If the process is killed, the next writer removes the rest."""
    with _beside(folder) as partial:
        folder.rename(partial)


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write in, from which files can be renamed into `folder`.

    It is inside `folder`, which may be a mount of its own. Waits while another process or thread writes into the same
    folder, and removes what a killed one left. If this creates `folder` and nothing is put into it, it is removed
    again. Raises OSError.
    """
    created = not folder.exists()
    with only_writer(folder):
        for left in folder.glob(f"{_EXPORTING}*"):
            shutil.rmtree(left)
        partial = Path(tempfile.mkdtemp(prefix=_EXPORTING, dir=folder))
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            if created:
                with suppress(OSError):  # it holds what was written
                    folder.rmdir()


def replace_folder(new: Path, target: Path) -> None:
    """Put a folder in the place of `target`, so that readers find the old one or the new one, whenever this is killed.

    The two change places in one step. Where the file system cannot do that (NFS, for example), `target` is missing for
    a moment. A link would do too, but whoever mails or archives the folder would send it without what it points to.

    Args:
        new: The folder, in a `staging_folder` of `target`'s parent. The old one is there afterwards.
        target: A folder, or nothing.

    Raises:
        OSError: If the file system refuses.
    """
    if not target.exists():
        new.rename(target)
        return
    try:
        _exchange(new, target)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        target.rename(new.with_name(f"earlier-{new.name}"))
        new.rename(target)


def _exchange(one: Path, other: Path) -> None:
    """Let two paths change places, by Linux's renameat2. Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        raise OSError(errno.ENOSYS, "the system cannot exchange two paths")
    if library.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))


def remove(folder: Path) -> None:
    """Remove a folder with all that it holds. Does nothing if it is missing, or another writer has its lock."""
    with suppress(FileNotFoundError), _locked(folder) as lock:
        if lock is not None:
            shutil.rmtree(folder)


def sync(path: Path) -> None:
    """Sync a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_if_possible(path: Path) -> None:
    """Sync a file, or the entries of a folder, on a file system that can."""
    try:
        sync(path)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_WRITING, dir=target.parent))
        with _locked(folder) as lock:
            if lock is not None and _opens(folder, lock):
                try:
                    yield folder / target.name
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
                return
        # another writer took it for abandoned before it was locked


def _clear_abandoned(parent: Path) -> None:
    for left in parent.glob(f"{_WRITING}*"):
        with suppress(FileNotFoundError), _locked(left) as lock:  # another may clear it, or be done
            if lock is not None:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is created as needed. Waits for its holder. Raises OSError."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, wait=True) as lock:
            if lock is not None and _opens(folder, lock):
                yield
                return
        # the writer that had the lock removed the folder


def _opens(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def _locked(folder: Path, *, wait: bool = False) -> Iterator[int | None]:
    """Lock a folder itself, without a lock file. The kernel releases the lock when this process ends.

    Args:
        folder: The folder.
        wait: Whether to wait for the holder of the lock.

    Yields:
        The descriptor that holds the lock, or None if the lock cannot be had or the folder is gone.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            if wait:
                raise
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)
