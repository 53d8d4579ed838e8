"""Copies on disk of what lies in an object store, for as long as they are used.

What belongs here: fetching a dump, several parts of it at once, and fetching one while another is in use. What does
not: finding and opening files (`storage/stores.py`).
"""

import errno
import os
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from transforms.storage import stores
from transforms.storage.full_disks import is_full
from transforms.storage.remote_stores import StoreError, explain_errors, is_remote
from transforms.storage.stores import Entry

_AT_ONCE = 8  # requests: one alone waits for the store most of the time
_PART = 32 << 20  # bytes of a file that one thread fetches
_CHUNK = 4 << 20  # bytes that it holds


class _Stopped(Exception):
    """The copy is no longer wanted."""


@contextmanager
def local_copy(
    path: str, folder: Path, *, beside_another: bool = False, stopped: threading.Event | None = None
) -> Iterator[str]:
    """Yield a local path of a file or folder: itself, or a copy of a remote one that is removed afterwards.

    A dump's own metadata, the parquet of the same name beside it, is copied too.

    Args:
        path: Local or remote.
        folder: Where to copy to.
        beside_another: Whether another copy is in use, so that the disk is left as much room as this one takes.
        stopped: Is set once the copy is no longer wanted.

    Raises:
        OSError: If it cannot be read, if it changed meanwhile, or if the disk has no room.
    """
    if not is_remote(path):
        yield path
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        entry = stores.at(path)
        target = Path(place) / PurePosixPath(path.rstrip("/")).name
        files = _inside(path, target) if entry.folder else [_File(entry, target)]
        if beside := stores.beside_of(path, folder=entry.folder):
            files.append(_File(stores.at(beside), Path(place) / PurePosixPath(beside).name))
        if beside_another and shutil.disk_usage(place).free < 2 * sum(each.entry.size for each in files):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)
        _fetch(files, stopped or threading.Event())
        for each in files:
            if not entry.folder and each.entry.size > _CHUNK and stores.at(each.entry.path) != each.entry:
                raise _changed(each.entry.path)  # what is read by several requests may be of two objects
        yield str(target)


def copied_ahead(paths: Iterable[str], folder: Path) -> Generator[AbstractContextManager[str]]:
    """Yield for each path what `local_copy` returns. While one copy is in use, the next is fetched.

    Disk: two dumps at once; one, where it has no room for another and as much again.

    Args:
        paths: Local or remote.
        folder: Where to copy to.

    Yields:
        For each path, what gives the copy inside a `with`. Its errors are raised there.
    """
    with ThreadPoolExecutor(1, "fetch") as reader:
        waiting: deque[_CopyAhead] = deque()
        try:
            for path in paths:
                waiting.append(_CopyAhead(path, folder, reader))
                if len(waiting) > 1:
                    yield waiting[0]
                    waiting.popleft().stop()
            while waiting:
                yield waiting[0]
                waiting.popleft().stop()
        finally:
            for each in waiting:
                each.stop()


class _CopyAhead(AbstractContextManager[str]):
    """A copy that is made before it is asked for, where the disk has room."""

    def __init__(self, path: str, folder: Path, reader: ThreadPoolExecutor) -> None:
        self._path, self._folder = path, folder
        self._held, self._stopped = ExitStack(), threading.Event()
        self._made = reader.submit(self._make) if is_remote(path) else None

    def _make(self) -> str | None:
        """Return the path of the copy, or None if the disk has no room for it now."""
        ahead = local_copy(self._path, self._folder, beside_another=True, stopped=self._stopped)
        try:
            return self._held.enter_context(ahead)
        except OSError as error:
            if is_full(error):
                return None
            raise

    def __enter__(self) -> str:
        made = self._made.result() if self._made else None
        return made or self._held.enter_context(local_copy(self._path, self._folder))

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove the copy, or what there is of it."""
        self._stopped.set()
        if self._made is not None and not self._made.cancel():
            wait([self._made])
        self._held.close()


@dataclass(frozen=True)
class _File:
    """A file to fetch.

    Attributes:
        entry: In the store.
        target: On disk.
    """

    entry: Entry
    target: Path


def _inside(path: str, target: Path) -> list[_File]:
    """Return the files of a folder. Raises StoreError if one would leave it."""
    files = []
    for name, entry in stores.walk(path):
        inside = target / name
        if not Path(os.path.abspath(inside)).is_relative_to(target):  # noqa: PTH100 -- nothing may be resolved
            raise StoreError(f"{path}: the object {name!r} leaves the folder; rename it")
        files.append(_File(entry, inside))
    return files


def _fetch(files: Sequence[_File], stopped: threading.Event) -> None:
    """Fetch files, several parts at once. Raises _Stopped, or what the first part raises that fails."""
    parts = ((each, start) for each in files for start in range(0, max(1, each.entry.size), _PART))
    lock = threading.Lock()

    def work() -> None:
        try:
            while not stopped.is_set():
                with lock:
                    part = next(parts, None)
                    if part is not None and part[1] == 0:
                        part[0].target.parent.mkdir(parents=True, exist_ok=True)
                        part[0].target.touch()
                if part is None:
                    return
                _fetch_part(*part, stopped)
        except BaseException:
            stopped.set()  # for the others
            raise

    count = min(_AT_ONCE, sum(max(1, each.entry.size // _PART) for each in files))
    with ThreadPoolExecutor(max(1, count), "fetch") as pool:
        for done in [pool.submit(work) for _ in range(count)]:
            done.result()
    if stopped.is_set():
        raise _Stopped


def _fetch_part(file: _File, start: int, stopped: threading.Event) -> None:
    """Copy up to `_PART` bytes of a file; all of one whose size the store does not tell."""
    path, size = file.entry.path, file.entry.size
    end = min(start + _PART, size) if size else None
    with stores.open_file(path) as source, file.target.open("r+b") as target:
        target.seek(start)
        if size and _asked(path, lambda: source.seek(0, os.SEEK_END)) != size:
            raise _changed(path)
        _asked(path, lambda: source.seek(start))
        while target.tell() != end and not stopped.is_set():
            most = _CHUNK if end is None else min(_CHUNK, end - target.tell())
            data = _asked(path, partial(source.read, most))
            if not data and end is None:
                return
            if not data:
                raise StoreError(f"{path} became shorter while it was read; run again once it is whole")
            target.write(data)


def _changed(path: str) -> StoreError:
    return StoreError(f"{path} changed while it was read; run again once it is whole")


def _asked[T](path: str, ask: Callable[[], T]) -> T:
    """Ask a store. What our own disk raises is not the store's."""
    with explain_errors(path):
        return ask()
