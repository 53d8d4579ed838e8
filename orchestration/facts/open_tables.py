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

type _State = tuple[int, int, int, int, int, frozenset[str]]

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
    if dataset is not None and _small(Path(uri), state[-1]):
        with _lock:
            _open[uri] = state, dataset
            while len(_open) > _KEPT:
                _open.popitem(last=False)
    return dataset


def _state(uri: str) -> _State | None:
    """Return what changes with each commit: the names of all versions. A folder that was made anew is another one.

    A forked process must not use what its parent opened.
    """
    versions = os.path.join(uri, "_versions")  # noqa: PTH118 -- asked hundreds of times a run
    try:
        folder = os.stat(versions)  # noqa: PTH116 -- likewise
        names = frozenset(os.listdir(versions))  # noqa: PTH208 -- likewise
    except OSError:
        return None
    return os.getpid(), folder.st_dev, folder.st_ino, folder.st_mtime_ns, folder.st_ctime_ns, names


def _small(table: Path, versions: frozenset[str]) -> bool:
    """Tell whether Lance holds little of a table: no index, whose pages it would hold, and few files."""
    newest = min((name for name in versions if name.endswith(".manifest")), default="")  # Lance counts names down
    try:
        return not (table / "_indices").exists() and (table / "_versions" / newest).stat().st_size <= _LARGEST
    except OSError:  # another process forgets versions meanwhile
        return False
