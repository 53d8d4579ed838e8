"""The home of a warehouse: where Dagster's records lie, and what its file system must be able to do.

What belongs here: trying that before a run begins its work, and refusing with the fix. What does not: names that no
library can open (`settings/settings.py`), a disk that gets full on the way (`runtime/full_disks.py`).

Network and FAT file systems lack some of it, and containers forbid some. Without the trial a run of hours would end at
its last step: publishing is the first that needs a symbolic link.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from transforms.storage.full_disks import is_full
from transforms.storage.staging import staging_folder, sync

_CLOSED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.ENOENT, errno.ENAMETOOLONG}
)


class HomeError(ValueError):
    """A warehouse cannot be kept in a folder; the message names the folder and the fix."""


def dagster_folder(home: Path) -> Path:
    """Return Dagster's home for a warehouse: what the environment names, else a folder in the warehouse's."""
    return Path(os.environ.get("DAGSTER_HOME") or home / "dagster")  # empty is not set


def require_usable(home: Path) -> None:
    """Try in a folder of its own what a warehouse needs.

    Args:
        home: The folder of the warehouse, which may be missing. Nothing stays in it.

    Raises:
        HomeError: If the file system refuses something.
        OSError: If the disk is full.
    """
    trial = None
    try:
        with staging_folder(home) as folder:
            for trial in _trials(folder):  # noqa: B007 -- the last one is the one that failed
                pass
    except OSError as error:
        if is_full(error):
            raise
        if trial is None and error.errno in _CLOSED:
            fix = "correct its permissions, or choose another `home`"
            raise HomeError(f"{error.filename or home} cannot be written ({error.strerror}); {fix}") from error
        refused = f"the file system of {home} cannot {trial or 'lock folders'} ({error.strerror})"
        raise HomeError(f"{refused}, which a warehouse needs; move `home` to a local disk") from error


def _trials(folder: Path) -> Iterator[str]:
    file, link, newer = folder / "file", folder / "link", folder / "newer"
    yield "write and sync files"
    file.write_bytes(b"whole")
    sync(file)
    yield "lock files"  # DuckDB and SQLite by the second kind
    with file.open("r+b") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield "make hard links"  # by which Lance commits
    file.with_name("hard").hardlink_to(file)
    yield "make files read-only"
    file.chmod(0o444)
    yield "make symbolic links"
    link.symlink_to(file.name)
    yield "open files through symbolic links"
    link.read_bytes()
    yield "replace a symbolic link in one step"
    newer.symlink_to("hard")
    newer.replace(link)
    yield "sync folders"
    sync(folder)
