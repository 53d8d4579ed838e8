"""Private builds, and turning one into the version that readers open.

What belongs here: the place of a build, publishing it, removing old versions. What does not: the content of the file
(`warehouse/build.py`), the lock under which all of this happens (`publishing/writer_lock.py`).
"""

import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import duckdb

from orchestration.warehouse.publishing.version_files import (
    LINK,
    NotPublished,
    Version,
    current,
    entries,
    files,
    forbid_log,
    history,
    next_number,
    write_ahead_log,
)
from transforms.storage.staging import sync


class NotClosed(RuntimeError):
    """A build is still open for writing, or its last transactions are not in the file."""


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
    for unpublished in set(files(home)) - set(earlier):
        unpublished.path.unlink()
    version = Version(number, home / "versions" / f"raisonne-{number:06d}.duckdb")
    forbid_log(version.path)
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


def _require_closed(build: Path) -> None:
    if (log := write_ahead_log(build)).exists():
        raise NotClosed(f"{log} holds transactions that are not in the build; close its connections first")
    try:  # refused while anybody, this process included, has it open for writing
        duckdb.connect(str(build), read_only=True).close()
    except duckdb.Error as error:
        raise NotClosed(f"{build} cannot be published; close every connection to it first ({error})") from error


def _prune(home: Path, earlier: list[Version], kept: list[Version]) -> list[Version]:
    numbers = {version.number for version in kept}
    for path in [*home.glob(f"{LINK}.wal*"), *(path for number, path in entries(home) if number not in numbers)]:
        with suppress(OSError):  # the new version stands already; what cannot go now goes with the next one
            path.unlink()
    for version in kept:
        forbid_log(version.path)
    return [version for version in earlier if version not in kept and not version.path.exists()]


def _copy(source: Path, target: Path) -> None:
    try:  # shares blocks instead of copying them where the file system can (Btrfs, XFS)
        with source.open("rb", buffering=0) as reader, target.open("wb", buffering=0) as copy:
            while os.copy_file_range(reader.fileno(), copy.fileno(), 1 << 30):
                pass
    except (AttributeError, OSError):  # not on this system, or not on this file system
        shutil.copyfile(source, target)
