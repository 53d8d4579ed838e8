"""Fact tables that stay open between two readings, because a run asks for each of them dozens of times.

What belongs here: telling whether an open table is still the latest version, and how much may stay open. What does not:
opening for writing (`facts/upkeep.py`), what a table of an older release reads as (`facts/table.py`).

A table stays open while its folder of versions is as it was: each commit, and whatever forgets versions, changes the
names in it and its times. That holds for small tables alone, which have no index and a short list of files, because
Lance holds what it read of both; and for the `_KEPT` that were read last.
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

type _State = tuple[int, int, int, int, frozenset[str]]


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
        if dataset is not None and _small(Path(uri), state[-1]):
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
    except OSError:
        return None
    return folder.st_dev, folder.st_ino, folder.st_mtime_ns, folder.st_ctime_ns, names


def _small(table: Path, versions: frozenset[str]) -> bool:
    """Return whether a table has no index and a short list of files, which is its newest manifest."""
    newest = min((name for name in versions if name.endswith(".manifest")), default="")  # Lance counts names down
    try:
        return not (table / "_indices").exists() and (table / "_versions" / newest).stat().st_size <= _LARGEST
    except OSError:  # another process forgets versions meanwhile
        return False


OPEN_TABLES = OpenTables()
os.register_at_fork(after_in_child=OPEN_TABLES.forget)
