"""Finding landing files by glob, on disk or in an object store.

What belongs here: which parts of a path are a glob, and what it finds. What does not: opening files
(`storage/stores.py`), which of them are dumps (`catalog/landing.py`).
"""

import glob as local
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from fsspec.utils import glob_translate

from transforms.storage import stores
from transforms.storage.remote_stores import explain_errors, filesystem, is_remote
from transforms.storage.stores import Entry


def glob(pattern: str) -> Iterator[Entry]:
    """Find files and folders, hidden ones too. `**` crosses folders; a pattern that ends in `/` finds folders alone.

    Paths are paths: a part with `[` or `?` that exists under this very name is that name. A link to nothing is found
    too, so that what it led to is not taken for removed. A link that leads back to where it lies is refused.

    Raises StoreError if a store does not answer, because an unlisted shard may still exist.
    """
    if is_remote(pattern):
        with explain_errors(pattern):
            yield from _remote_glob(pattern)
        return
    parts = pattern.split("/")
    first = _first_glob(parts, os.path.lexists)
    above = "/".join(parts[:first])
    if above and not os.path.lexists(above):
        above = str(stores.on_disk(above))  # settings hold a name that is not UTF-8 as `plain` writes it
    written = "/".join([*map(local.escape, above.split("/")[:first]), *parts[first:]])
    leads_back = _Loops(stores.on_disk(fixed_part(pattern)))
    for path in local.iglob(written, recursive=True, include_hidden=True):  # noqa: PTH207 -- Path.glob takes no such
        entry = _found(Path(path))
        if entry is not None and entry.refusal is None and "**" in parts and leads_back(Path(path)):
            entry = replace(entry, refusal="reached through a link that leads back to where it lies")
        if entry is not None:
            yield entry


def _found(path: Path) -> Entry | None:
    try:
        found = path.stat()
    except OSError:
        if not path.is_symlink():
            return None  # gone since it was listed
        return Entry(stores.plain(str(path)), 0, path.lstat().st_mtime_ns)
    folder = stat.S_ISDIR(found.st_mode)
    if not folder and not stat.S_ISREG(found.st_mode):
        return None
    return Entry(stores.plain(str(path)), found.st_size, found.st_mtime_ns, folder)


class _Loops:
    """Tells paths through a link to a folder that holds the link. Looks at each folder once."""

    def __init__(self, root: Path) -> None:
        self._known = {root: False}

    def __call__(self, path: Path) -> bool:
        above = path.parent
        if path in self._known or above == path:
            return self._known.get(path, False)
        back = self(above) or (path.is_symlink() and _real(above).is_relative_to(_real(path)))
        if path.is_dir():
            self._known[path] = back
        return back


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _first_glob(parts: Sequence[str], exists: Callable[[str], bool]) -> int:
    """Return the index of the first part that is a glob, or the count of parts if all are literal.

    A part with a `*` is one if it finds a file of this very name among others.
    """
    for number, part in enumerate(parts):
        finds_itself = "*" in part and fnmatchcase(part, part)
        if local.has_magic(part) and (finds_itself or not exists("/".join(parts[: number + 1]))):
            return number
    return len(parts)


def fixed_part(pattern: str) -> str:
    """Return the folder that contains all paths found by a glob. Of a plain path, return its parent."""
    scheme, rest = stores.split_scheme(pattern)
    parts = PurePosixPath(rest).parts
    exists = (lambda path: False) if scheme else os.path.lexists
    fixed = parts[: min(_first_glob(parts, exists), len(parts) - 1)]
    return scheme + str(PurePosixPath(*fixed)) if fixed else scheme + "."


def _remote_glob(pattern: str) -> Iterator[Entry]:
    store, inner = filesystem(pattern)
    if "*" not in inner:
        try:
            yield stores.store_entry(pattern.rstrip("/"), store.info(inner.rstrip("/")))
            return
        except FileNotFoundError:
            if not local.has_magic(inner):
                return
    root = stores.split_scheme(fixed_part(pattern))[1]
    depth = None if "**" in inner else len(PurePosixPath(inner).parts) - len(PurePosixPath(root).parts)
    wanted = re.compile(glob_translate(inner))
    for name, info in stores.store_files(store, root, depth, folders=True):
        folder = info["type"] == "directory"
        if wanted.match(f"{name}/" if folder and inner.endswith("/") else name):
            yield stores.store_entry(stores.split_scheme(pattern)[0] + name, info)
