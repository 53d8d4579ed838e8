"""Which version files there are, and which of them readers open.

What belongs here: names and numbers of versions, the link, what keeps a version from being written. What does not:
making one (`publishing/builds.py`), opening one (`publishing/opening.py`).
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LINK = "raisonne.duckdb"
REPAIR = "raisonne doctor --repair"
_NAME = re.compile(r"raisonne-(\d{6,})\.duckdb(\.wal.*)?")
_GUARD = "published/never-written"


class NotPublished(RuntimeError):
    """No published version can be read."""


class LinkReplaced(FileExistsError):
    """Something else is in the place of the link to the published version."""


@dataclass(frozen=True)
class Version:
    """A version of the warehouse. `path` is the versioned file itself, never the link."""

    number: int
    path: Path


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
    return [version for version in files(home) if published and version.number <= published.number]


def history(home: Path) -> list[Version]:
    """Return the kept versions, oldest first, also if the link is gone or something else is in its place."""
    with suppress(LinkReplaced):
        if current(home):
            return versions(home)
    return files(home)  # nothing tells an unpublished file from history: then all of it counts as history


def kept(home: Path, number: int) -> Version:
    """Return a kept version.

    Args:
        home: The folder of the warehouse.
        number: Of the version.

    Raises:
        NotPublished: If it is not kept.
    """
    for version in versions(home):
        if version.number == number:
            return version
    numbers = ", ".join(str(version.number) for version in versions(home)) or "none"
    raise NotPublished(f"{home} does not keep version {number}; it has {numbers}")


def next_number(home: Path) -> int:
    """Return a version number that no publish has used, not even a killed one."""
    # Skipped, not reused: tags on the facts may carry that number, and DuckDB's cache of open databases goes by
    # path. A guard keeps its number taken when the file is gone.
    return 1 + max((number for number, _ in entries(home)), default=0)


def set_aside(path: Path) -> Path:
    """Give what is damaged another name, which nothing reads. Returns the new path. Its number stays taken."""
    if _NAME.fullmatch(path.name):
        forbid_log(path)
    free = path.with_name(f"damaged-{path.name}")
    while free.exists() or free.is_symlink():
        free = free.with_name(f"again-{free.name}")
    return path.rename(free)


def forbid_log(file: Path) -> None:
    """Create a dangling link in place of the write-ahead log of `file`.

    Read-only connections replay any log beside a file, or fail if it belongs to another file. Mode 0444 stops writers,
    except root. With this link, readers find no write_ahead_log, and writers cannot create one, so commits fail.
    """
    log = write_ahead_log(file)
    for stray in file.parent.glob(f"{log.name}*"):
        if not (stray == log and log.is_symlink() and str(log.readlink()) == _GUARD):
            stray.unlink(missing_ok=True)
    with suppress(FileExistsError):
        log.symlink_to(_GUARD)


def write_ahead_log(file: Path) -> Path:
    """Return where DuckDB would write the log of a file."""
    return file.with_name(f"{file.name}.wal")


def files(home: Path) -> list[Version]:
    """Return the files of versions, published or not, oldest first."""
    return [Version(number, path) for number, path in entries(home) if path.suffix == ".duckdb"]


def entries(home: Path) -> list[tuple[int, Path]]:
    """Return the files of versions and what lies in the place of their logs, with the numbers that they take."""
    named = ((_NAME.fullmatch(path.name), path) for path in (home / "versions").glob("raisonne-*"))
    return sorted((int(match[1]), path) for match, path in named if match)  # a file comes before its guard
