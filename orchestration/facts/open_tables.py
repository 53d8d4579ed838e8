"""Fact tables that stay open between two readings, because a run asks for each of them dozens of times.

What belongs here: telling whether an open table is still the latest version, and how much may stay open. What does not:
opening for writing (`facts/upkeep.py`), what a table of an older release reads as (`facts/table.py`).

A table stays open while its folder of versions and the newest file in it are as they were: each commit, and whatever
forgets versions, changes the names in the folder and its times; a backup that is copied over a table may leave these as
they were, and changes the file. That holds for small tables alone, which have no index and a short list of files,
because Lance holds what it read of both; and for the `_KEPT` that were read last.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import lance

_KEPT = 256
_LARGEST = 65_536
"""Bytes of a short list of files. A file takes some 80, and the keys that the last merge inserted take 33,000."""

type _FileState = tuple[int, int, int, int, int]
type _State = tuple[_FileState, _FileState, frozenset[str]]


class OpenTables:
    """The open tables of this process."""

    def __init__(self) -> None:
        self.forget()

    def latest(self, uri: str, load: Callable[[str], lance.LanceDataset | None]) -> lance.LanceDataset | None:
        """Return the latest version of a table for reading; None if the table does not exist.

        Nobody may commit by it: others hold it too, and would see the version move. Tags may be written.

        Args:
            uri: The folder of the table.
            load: Opens the table.
        """
        state = _state(uri)  # before the table is opened: what is committed in between makes another state
        if state is None:
            return load(uri)
        with self._lock:
            found, dataset = self._open.get(uri, (None, None))
            if found == state:
                self._open.move_to_end(uri)
                return dataset
            self._open.pop(uri, None)
        dataset = load(uri)
        if dataset is not None and _small(Path(uri), state):
            with self._lock:
                self._open[uri] = state, dataset
                while len(self._open) > _KEPT:
                    self._open.popitem(last=False)
        return dataset

    def forget(self) -> None:
        """Begin without a table. So must a forked process: its parent's have no threads, and its lock may be held."""
        self._lock = Lock()
        self._open: OrderedDict[str, tuple[_State, lance.LanceDataset]] = OrderedDict()


def _state(uri: str) -> _State | None:
    """Return what changes with each commit: the names of all versions. A folder that was made anew is another one."""
    versions = os.path.join(uri, "_versions")  # noqa: PTH118 -- asked hundreds of times a run
    try:
        folder = os.stat(versions)  # noqa: PTH116 -- likewise
        names = frozenset(os.listdir(versions))  # noqa: PTH208 -- likewise
        newest = min((name for name in names if name.endswith(".manifest")), default="")  # Lance counts names down
        file = os.stat(os.path.join(versions, newest))  # noqa: PTH116, PTH118 -- likewise
    except OSError:  # also if another process forgets versions meanwhile
        return None
    return _told(folder), _told(file), names


def _told(place: os.stat_result) -> _FileState:
    return place.st_dev, place.st_ino, place.st_size, place.st_mtime_ns, place.st_ctime_ns


def _small(table: Path, state: _State) -> bool:
    """Return whether a table has no index and a short list of files, which is its newest manifest."""
    _, (_, _, size, *_), _ = state
    return size <= _LARGEST and not (table / "_indices").exists()


OPEN_TABLES = OpenTables()
os.register_at_fork(after_in_child=OPEN_TABLES.forget)
