"""Fact tables that stay open between two readings, because a run asks for each of them dozens of times.

What belongs here: telling whether an open table is still the latest version, and how much may stay open. What does not:
opening for writing (`facts/upkeep.py`), what a table of an older release reads as (`facts/table.py`).
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import lance

_KEPT = 256
_LARGEST = 65_536
"""Bytes of the list of a table's files beyond which it is not kept: Lance holds what it read of each of them.

A file takes some 80 bytes, and the keys that the last merge inserted take 33,000.
"""

type _FileState = tuple[int, int, int, int, int]
type _State = tuple[int, _FileState, _FileState, frozenset[str]]

_open: OrderedDict[str, tuple[_State, lance.LanceDataset]] = OrderedDict()
_lock = Lock()


def latest(uri: str, load: Callable[[str], lance.LanceDataset | None]) -> lance.LanceDataset | None:
    """Return the latest version of a table for reading; None if the table does not exist.

    Nobody may write by it: others hold it too, and would see the version move.

    Args:
        uri: The folder of the table.
        load: Opens the table.
    """
    state = _state(uri)  # before the table is opened: what is committed in between makes another state
    if state is None:
        return load(uri)
    with _lock:
        found, dataset = _open.get(uri, (None, None))
        if found == state:
            _open.move_to_end(uri)
            return dataset
        _open.pop(uri, None)
    dataset = load(uri)
    if dataset is not None and _small(Path(uri), state):
        with _lock:
            _open[uri] = state, dataset
            while len(_open) > _KEPT:
                _open.popitem(last=False)
    return dataset


def _state(uri: str) -> _State | None:
    """Return what changes with each commit: the names of all versions. A folder that was made anew is another one.

    Backups that are copied over a table may leave its names, and its folder, as they were: its newest file differs. A
    forked process must not use what its parent opened.
    """
    versions = os.path.join(uri, "_versions")  # noqa: PTH118 -- asked hundreds of times a run
    try:
        folder = os.stat(versions)  # noqa: PTH116 -- likewise
        names = frozenset(os.listdir(versions))  # noqa: PTH208 -- likewise
        newest = min((name for name in names if name.endswith(".manifest")), default="")  # Lance counts names down
        file = os.stat(os.path.join(versions, newest))  # noqa: PTH116, PTH118 -- likewise
    except OSError:  # also if another process forgets versions meanwhile
        return None
    return os.getpid(), _told(folder), _told(file), names


def _told(place: os.stat_result) -> _FileState:
    return place.st_dev, place.st_ino, place.st_size, place.st_mtime_ns, place.st_ctime_ns


def _small(table: Path, state: _State) -> bool:
    """Tell whether Lance holds little of a table: no index, whose pages it would hold, and few files."""
    _, _, (_, _, size, *_), _ = state
    return size <= _LARGEST and not (table / "_indices").exists()
