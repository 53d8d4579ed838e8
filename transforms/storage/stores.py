r"""Files on disk, or in an object store (`s3://`, `gs://`, `hf://`).

What belongs here: finding, describing and opening files by path, and errors that name the path and the fix. What does
not: the content of the files; copies on disk (`storage/copies.py`); the stores' clients (`storage/remote_stores.py`).
Nothing is written to a store.

Paths are text that a fact table can hold: a byte of a file name that is not UTF-8 is written `\udcXX`, and read back.
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from fsspec import AbstractFileSystem
from fsspec.implementations.arrow import ArrowFSWrapper

from transforms.storage.links import CLOSED, DANGLING, INSIDE, OUTSIDE, files_below, is_below
from transforms.storage.remote_stores import explain_errors, filesystem, is_remote

_ESCAPED = re.compile(r"\\udc([89a-f][0-9a-f])")


@dataclass(frozen=True)
class Entry:
    """A file or folder.

    Attributes:
        path: Where it is.
        size: In bytes.
        stamp: Changes with its content: a time in nanoseconds, or a number made from the store's tag.
        folder: Whether it is a folder.
        refusal: Why it must not be read, or None.
    """

    path: str
    size: int
    stamp: int
    folder: bool = False
    refusal: str | None = None


def plain(name: str) -> str:
    """Return a file name as text that any table can hold. `open_file` accepts it."""
    return name.encode(errors="backslashreplace").decode()


def split_scheme(path: str) -> tuple[str, str]:
    """Return `s3://` or its like, empty on disk, and the rest of a path."""
    head, mark, rest = path.partition("://")
    return (head + mark, rest) if mark else ("", path)


def store_files(
    store: AbstractFileSystem, root: str, depth: int | None, *, folders: bool = False
) -> Iterator[tuple[str, dict]]:
    """Yield what lies below a folder of a store, with what the store says of it.

    Args:
        store: The store.
        root: The folder.
        depth: How many folders down, or None for all.
        folders: Whether to yield folders too.
    """
    # fsspec's own glob takes a store that does not answer for an empty one
    strict = {"on_error": "raise"} if isinstance(store, ArrowFSWrapper) else {}
    try:
        found = store.find(root, maxdepth=depth, withdirs=folders, detail=True, **strict)
    except FileNotFoundError:
        return
    yield from found.items()


def at(path: str) -> Entry:
    """Describe a file or folder. Raises OSError (FileNotFoundError if it is gone) naming the path."""
    with explain_errors(path):
        if is_remote(path):
            store, inner = filesystem(path)
            return store_entry(path, store.info(inner.rstrip("/")))
        found = on_disk(path).stat()
        return Entry(path, found.st_size, found.st_mtime_ns, stat.S_ISDIR(found.st_mode))


def walk(folder: str) -> Iterator[tuple[str, Entry]]:
    """Yield every file below a folder with its path within it, a folder at a time, in order.

    A link to a folder within is followed once. Links that leave the folder or lead to nothing are refused, and
    devices, and folders that must not be opened. In a snapshot of the cache of the Hugging Face Hub, links to its
    blobs are followed.
    """
    with explain_errors(folder):
        if is_remote(folder):
            store, inner = filesystem(folder)
            found = store_files(store, inner, None)
            skip = len(inner.rstrip("/")) + 1
            for name, info in sorted(found, key=lambda f: f[0].rpartition("/")):
                yield name[skip:], store_entry(split_scheme(folder)[0] + name, info)
            return
        root = on_disk(folder)
        real = root.resolve()
        for path in sorted(files_below(root, real), key=lambda path: (path.parent, path.name)):
            yield plain(path.relative_to(root).as_posix()), _local_entry(path, real)


def stays_within(path: str, folder: str) -> bool:
    """Return whether a path is a file below a folder, all links followed.

    Args:
        path: The path, on disk.
        folder: The folder, on disk.
    """
    real = Path(os.path.realpath(on_disk(path)))
    return real.is_file() and is_below(real, Path(os.path.realpath(on_disk(folder))))


def _local_entry(path: Path, root: Path) -> Entry:
    text, found = plain(str(path)), path.lstat()
    if stat.S_ISLNK(found.st_mode):
        target = Path(os.path.realpath(path))
        if not target.exists():
            return Entry(text, 0, found.st_mtime_ns, refusal=DANGLING)
        if target.is_dir():
            return Entry(text, 0, found.st_mtime_ns, True, INSIDE if target.is_relative_to(root) else OUTSIDE)
        if not is_below(target, root):
            return Entry(text, 0, found.st_mtime_ns, refusal="refused: a link that leaves the folder")
        found = target.stat()
    if stat.S_ISDIR(found.st_mode):
        return Entry(text, 0, found.st_mtime_ns, True, CLOSED)
    if not stat.S_ISREG(found.st_mode):
        return Entry(text, 0, found.st_mtime_ns, refusal="refused: a device or a pipe, not a file")
    if text != str(path) and os.path.lexists(text):
        return Entry(text, 0, found.st_mtime_ns, refusal="refused: two files have this name once it is made UTF-8")
    return Entry(text, found.st_size, found.st_mtime_ns)


def open_file(path: str) -> BinaryIO:
    """Open a file for random reads. Raises OSError naming the path."""
    with explain_errors(path):
        if is_remote(path):
            store, inner = filesystem(path)
            return cast(BinaryIO, store.open(inner, "rb"))
        return on_disk(path).open("rb")


def beside_of(path: str, *, folder: bool) -> str | None:
    """Return the parquet of the same name beside a dump, which img2dataset writes, or None.

    Args:
        path: The dump.
        folder: Whether it is a folder.
    """
    beside = _name_beside(path, folder=folder)
    found = _at_or_none(beside) if beside else None
    return beside if found and not found.folder else None


def find_beside(dumps: Iterable[Entry]) -> dict[str, Entry]:
    """Find what `beside_of` returns for each dump, by the path of the dump. A store is asked once for each folder.

    Raises StoreError if a store does not answer.
    """
    named = ((dump.path, _name_beside(dump.path, folder=dump.folder)) for dump in dumps)
    names = {dump: name for dump, name in named if name}
    listed: dict[str, Entry] = {}
    for folder in {name.rpartition("/")[0] for name in names.values() if is_remote(name)}:
        with explain_errors(folder):
            store, inner = filesystem(folder)
            scheme = split_scheme(folder)[0]
            listed |= {scheme + at: store_entry(scheme + at, info) for at, info in store_files(store, inner, 1)}
    found = {dump: listed.get(name) if is_remote(name) else _at_or_none(name) for dump, name in names.items()}
    return {dump: entry for dump, entry in found.items() if entry and not entry.folder}


def _name_beside(path: str, *, folder: bool) -> str | None:
    """Return how the parquet beside a dump would be called. None beside a parquet, and beside a whole bucket."""
    whole = path.rstrip("/")
    beside = f"{whole if folder else whole[: len(whole) - len(PurePosixPath(whole).suffix)]}.parquet"
    in_bucket = "/" in split_scheme(beside)[1] or not is_remote(beside)
    return beside if in_bucket and beside != path else None


def _at_or_none(path: str) -> Entry | None:
    """Describe a file or folder. Return None if it is missing, its name is too long to exist, or its links loop."""
    try:
        return at(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in {errno.ENAMETOOLONG, errno.ELOOP}:
            return None
        raise


def on_disk(path: str) -> Path:
    """Return the file on disk whose name `plain` turned into this text."""
    if "\\udc" in path and not os.path.lexists(path):
        return Path(_ESCAPED.sub(lambda m: chr(0xDC00 + int(m[1], 16)), path))
    return Path(path)


def store_entry(path: str, info: dict[str, Any]) -> Entry:
    """Describe a file or folder of a store.

    Args:
        path: Where it is.
        info: What the store says of it.
    """
    when = info.get("mtime")
    if isinstance(when, datetime):
        stamp = int(when.timestamp()) * 1_000_000_000 + when.microsecond * 1000
    else:  # Hugging Face has no times: what names the content tells deliveries apart
        tag = info.get("lfs") or info.get("blob_id") or info.get("etag") or ""
        stamp = int.from_bytes(hashlib.sha256(str(tag).encode()).digest()[:8]) >> 1
    return Entry(path, int(info.get("size") or 0), stamp, info["type"] == "directory")
