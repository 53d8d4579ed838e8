"""Versioned warehouse files behind one link: one writer, any number of readers, never a half-written state.

What belongs here: the lock of the writer, the place of builds, publishing a build, and opening a version. What does
not: the content of the file (`warehouse/models.py`), starting runs (`automation.py`).

    <home>/raisonne.duckdb                      relative link to the published version, replaced atomically
    <home>/versions/raisonne-000007.duckdb      mode 0444, never written again
    <home>/versions/raisonne-000007.duckdb.wal  a dangling link, see `_guard`
    <home>/builds/                              private files of the run under way, gone when it ends
    <home>/writer.lock, writer.json             kernel lock of the writer, and who holds it

DuckDB (1.5, 2.0) resolves the link: its write-ahead log and its cache of open databases go by the versioned file. A new
connection gets the new version. An open connection keeps its version, even after that is pruned.
"""

import fcntl
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from filelock import AcquireReturnProxy, FileLock, Timeout

from transforms.storage.staging import sync

LINK = "raisonne.duckdb"
REPAIR = "raisonne doctor --repair"
_NAME = re.compile(r"raisonne-(\d{6,})\.duckdb(\.wal.*)?")
_GUARD = "published/never-written"
_DAMAGE = re.compile(
    "Corrupt database file|not a valid DuckDB database|Could not read (enough bytes|.*: Input/output error)"
)
_UNCLEAR = (duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)


class Busy(RuntimeError):
    """Another run holds the warehouse for writing."""


class NotPublished(RuntimeError):
    """No published version can be read."""


class Damaged(NotPublished):
    """The published version is there, but cannot be read; the message names the repair."""


class LinkReplaced(FileExistsError):
    """Something else is in the place of the link to the published version."""


class NotClosed(RuntimeError):
    """A build is still open for writing, or its last transactions are not in the file."""


@dataclass(frozen=True)
class Version:
    """A version of the warehouse. `path` is the versioned file itself, never the link."""

    number: int
    path: Path


@contextmanager
def writer(home: Path, *, run: str, wait_s: float, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the warehouse for writing; `begin` and `publish` belong inside.

    The kernel releases the lock when the process ends in any way. This removes builds that it left.

    Args:
        home: The folder of the warehouse, created as needed.
        run: Name of the writer in the messages of other runs.
        wait_s: Seconds to wait for another writer.
        on_wait: Called with one sentence that names the holder, before waiting.

    Raises:
        Busy: If another writer still holds the lock after `wait_s` seconds.
    """
    home.mkdir(parents=True, exist_ok=True)
    with lock(home, wait_s, on_wait):
        current(home)  # a run that could not be published is refused before its work, not after
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"run": run, "pid": os.getpid(), "host": socket.gethostname(), "since": since}
        (home / "writer.json").write_text(json.dumps(holder))
        shutil.rmtree(home / "builds", ignore_errors=True)
        for folder in ("builds", "versions"):
            (home / folder).mkdir(exist_ok=True)
        try:
            yield
        finally:
            shutil.rmtree(home / "builds", ignore_errors=True)
            (home / "writer.json").unlink(missing_ok=True)


def current(home: Path) -> Version | None:
    """Return the version that readers open, or None before the first.

    Raises LinkReplaced if the link is anything else.
    """
    link = home / LINK
    try:
        path = home / link.readlink()
    except FileNotFoundError:
        return None
    except OSError:
        path = link
    if match := _NAME.fullmatch(path.name):
        return Version(int(match[1]), path)
    raise LinkReplaced(f"{link} is not a link to a version; `{REPAIR}` moves it away, or move it away yourself")


def versions(home: Path) -> list[Version]:
    """Return the kept published versions, oldest first. A file newer than the link was never published."""
    published = current(home)
    return [version for version in _files(home) if published and version.number <= published.number]


def history(home: Path) -> list[Version]:
    """Return the kept versions, oldest first, also if the link is gone or something else is in its place."""
    with suppress(LinkReplaced):
        if current(home):
            return versions(home)
    return _files(home)  # nothing tells an unpublished file from history: then all of it counts as history


def next_number(home: Path) -> int:
    """Return a version number that no publish has used, not even a killed one."""
    # Skipped, not reused: tags on the facts may carry that number, and DuckDB's cache of open databases goes by
    # path. A guard keeps its number taken when the file is gone.
    return 1 + max((number for number, _ in _entries(home)), default=0)


def begin(home: Path, run: str, *, from_current: bool, start: Version | None = None) -> Path:
    """Return the path of a new private build, to be written with DuckDB and closed before `publish`.

    Args:
        home: The folder of the warehouse, held for writing.
        run: The run, for the name of the build's folder.
        from_current: Whether to copy the published version, so that single tables can be rebuilt. Otherwise the file
            does not exist yet.
        start: The version to copy. None: the current one.

    Raises:
        NotPublished: If there is no version to start from.
    """
    prefix = re.sub(r"[^A-Za-z0-9_.-]+", "-", run)[:80]
    build = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=home / "builds"), LINK)
    if from_current:
        if (published := start or current(home)) is None:
            raise NotPublished(f"{home} has no version to start from; run `raisonne run` on everything first")
        _copy(published.path, build)
    return build


def publish(home: Path, build: Path, number: int, *, keep: int) -> tuple[Version, list[Version]]:
    """Publish `build`. A crash leaves either the old version or the new one.

    Args:
        home: The folder of the warehouse.
        build: From `begin`, closed.
        number: From `next_number`, under the same `writer`.
        keep: Versions to keep, the new one included. 2 or more where others read: a plain `duckdb.connect` fails if
            the file is removed between resolving the link and opening it.

    Returns:
        The new version, and the older ones that were removed.

    Raises:
        NotClosed: If the build is still open.
        ValueError: If the number is taken or `keep` is below 1.
        OSError: If the file system refuses. The link is then unchanged, and the build is deleted.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, the new version itself, not {keep}")
    if number < next_number(home):
        raise ValueError(f"version {number} is taken; pass next_number(home), now {next_number(home)}")
    _require_closed(build)
    earlier = history(home)
    for unpublished in set(_files(home)) - set(earlier):
        unpublished.path.unlink()
    version = Version(number, home / "versions" / f"raisonne-{number:06d}.duckdb")
    _guard(version.path)
    build.chmod(0o444)
    sync(build)
    try:
        build.rename(version.path)
        sync(version.path.parent)
        turn(home, version, build.parent)
    except BaseException:
        if current(home) != version:
            version.path.unlink(missing_ok=True)
        raise
    return version, _prune(home, earlier, [*earlier, version][-keep:])


def turn(home: Path, version: Version, scratch: Path) -> None:
    """Turn the link to a version, atomically for readers.

    Args:
        home: The folder of the warehouse, held for writing.
        version: A file in `versions/`.
        scratch: A folder of this writer alone, on the same file system.
    """
    link = scratch / "link"
    link.symlink_to(Path("versions", version.path.name))
    link.replace(home / LINK)
    sync(home)


def connect(home: Path, number: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open a published version read-only.

    Args:
        home: The folder of the warehouse.
        number: A version that is still kept; None for the current one.

    Raises:
        NotPublished: If there is no such version.
        Damaged: If its file cannot be read, or something else is in the place of the link.
        duckdb.IOException: If a writer has it open, or this user may not read it.
    """
    try:
        return _connect(home, number)
    except LinkReplaced as error:
        raise Damaged(str(error)) from None


def damage(error: duckdb.Error) -> str | None:
    """Return the first line of an error if it says that a database file is damaged, else None.

    DuckDB's own defects raise errors of the same types, so the words tell.
    """
    line = str(error).partition("\n")[0]
    return line if _DAMAGE.search(line) else None


def explained(error: duckdb.Error) -> str | None:
    """Return a sentence if an error of a query says that the published version is damaged, or may be, else None."""
    if told := damage(error):
        return f"the published version is damaged ({told}); run `{REPAIR}`"
    if isinstance(error, _UNCLEAR):
        line = str(error).partition("\n")[0]
        return f"DuckDB failed ({line}); the published version may be damaged: `raisonne doctor` tells"
    return None


def _connect(home: Path, number: int | None) -> duckdb.DuckDBPyConnection:
    gone = None
    while (version := current(home) if number is None else _kept(home, number)) is not None and version != gone:
        try:
            return open_version(version)
        except duckdb.Error as error:
            if version.path.exists():
                if told := damage(error):
                    raise Damaged(f"version {version.number} is damaged ({told}); run `{REPAIR}`") from error
                raise
        gone = version  # pruned after the link was read: by now the link points elsewhere
    if gone is None:
        raise NotPublished(f"{home} has no published version; run `raisonne run`")
    fix = f"run `raisonne run`, or `{REPAIR}` for the newest kept version" if versions(home) else "run `raisonne run`"
    raise Damaged(f"{home} has no published version, {gone.path} is gone; {fix}")


def open_version(version: Version) -> duckdb.DuckDBPyConnection:
    """Open the file of a version read-only.

    Raises:
        NotPublished: If a write-ahead log would be replayed into it.
        duckdb.Error: If it is missing, damaged, or open for writing.
    """
    try:
        if (stray := _log(version.path)).exists():
            _guard(version.path)
    except OSError as error:
        raise NotPublished(f"{stray} would be replayed into the published version; remove it") from error
    return duckdb.connect(str(version.path), read_only=True)


def set_aside(path: Path) -> Path:
    """Give what is damaged another name, which nothing reads. Returns the new path. Its number stays taken."""
    if _NAME.fullmatch(path.name):
        _guard(path)
    free = path.with_name(f"damaged-{path.name}")
    while free.exists() or free.is_symlink():
        free = free.with_name(f"again-{free.name}")
    return path.rename(free)


def _kept(home: Path, number: int) -> Version:
    for version in versions(home):
        if version.number == number:
            return version
    kept = ", ".join(str(version.number) for version in versions(home)) or "none"
    raise NotPublished(f"{home} does not keep version {number}; it has {kept}")


def lock(
    home: Path, wait_s: float | None = None, on_wait: Callable[[str], None] | None = None
) -> AcquireReturnProxy[FileLock]:
    """Take the lock of the writer, for a `with` statement. `writer` is for runs.

    Args:
        home: The folder of the warehouse.
        wait_s: See `writer`, as for the others. None: no setting says how long, so this does not wait.
        on_wait: likewise.

    Raises:
        Busy: likewise.
    """
    held = FileLock(home / "writer.lock", thread_local=False)  # the context may be left in another thread
    with suppress(Timeout):
        return held.acquire(timeout=0)
    if on_wait is not None:
        on_wait(f"waiting up to {wait_s or 0:g} s for {_holder(home)}, which is writing {home}")
    try:
        return held.acquire(timeout=max(wait_s or 0, 0))
    except Timeout:
        fix = "wait for that run, or end it"
        if wait_s is not None:
            fix = f"gave up after {wait_s:g} s: wait for that run, end it, or raise publishing.lock_wait_s"
        raise Busy(f"{home} is being written by {_holder(home)}; {fix}") from None


def holder(home: Path) -> str | None:
    """Return who holds the lock of the writer, or None. Writes nothing and does not wait."""
    try:
        with (home / "writer.lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(home)
            return None
    except OSError:
        return None  # no run was here, or this user may not look


def _holder(home: Path) -> str:
    try:
        return "run {run} (pid {pid} on {host}, since {since})".format(**json.loads((home / "writer.json").read_text()))
    except (FileNotFoundError, json.JSONDecodeError):  # it has the lock, but has not written its name yet
        return "a run that has just started"


def _entries(home: Path) -> list[tuple[int, Path]]:
    named = ((_NAME.fullmatch(path.name), path) for path in (home / "versions").glob("raisonne-*"))
    return sorted((int(match[1]), path) for match, path in named if match)  # a file comes before its guard


def _files(home: Path) -> list[Version]:
    return [Version(number, path) for number, path in _entries(home) if path.suffix == ".duckdb"]


def _require_closed(build: Path) -> None:
    if _log(build).exists():
        raise NotClosed(f"{_log(build)} holds transactions that are not in the build; close its connections first")
    try:  # refused while anybody, this process included, has it open for writing
        duckdb.connect(str(build), read_only=True).close()
    except duckdb.Error as error:
        raise NotClosed(f"{build} cannot be published; close every connection to it first ({error})") from error


def _prune(home: Path, history: list[Version], kept: list[Version]) -> list[Version]:
    numbers = {version.number for version in kept}
    for path in [*home.glob(f"{LINK}.wal*"), *(path for number, path in _entries(home) if number not in numbers)]:
        with suppress(OSError):  # the new version stands already; what cannot go now goes with the next one
            path.unlink()
    for version in kept:
        _guard(version.path)
    return [version for version in history if version not in kept and not version.path.exists()]


def _guard(file: Path) -> None:
    """Create a dangling link in place of the write-ahead log of `file`.

    Read-only connections replay any log beside a file, or fail if it belongs to another file. Mode 0444 stops writers,
    except root. With this link, readers find no log, and writers cannot create one, so commits fail.
    """
    log = _log(file)
    for stray in file.parent.glob(f"{log.name}*"):
        if not (stray == log and log.is_symlink() and str(log.readlink()) == _GUARD):
            stray.unlink(missing_ok=True)
    with suppress(FileExistsError):
        log.symlink_to(_GUARD)


def _log(file: Path) -> Path:
    return file.with_name(f"{file.name}.wal")


def _copy(source: Path, target: Path) -> None:
    try:  # shares blocks instead of copying them where the file system can (Btrfs, XFS)
        with source.open("rb", buffering=0) as reader, target.open("wb", buffering=0) as copy:
            while os.copy_file_range(reader.fileno(), copy.fileno(), 1 << 30):
                pass
    except (AttributeError, OSError):  # not on this system, or not on this file system
        shutil.copyfile(source, target)
