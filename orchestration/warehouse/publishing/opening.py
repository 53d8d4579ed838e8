"""Opening a published version, and what an error says of it.

What belongs here: read-only connections to versions, and which of DuckDB's errors mean damage. What does not: reading a
version to its last block (`warehouse/soundness/`), repairing.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import duckdb

from orchestration.warehouse.publishing.version_files import (
    REPAIR,
    LinkReplaced,
    NotPublished,
    Version,
    current,
    forbid_log,
    kept,
    versions,
    write_ahead_log,
)

_DAMAGE = re.compile(
    "Corrupt database file|not a valid DuckDB database|Could not read (enough bytes|.*: Input/output error)"
)
_UNCLEAR = (duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)


class Damaged(NotPublished):
    """The published version is there, but cannot be read; the message names the repair."""


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


def _connect(home: Path, number: int | None) -> duckdb.DuckDBPyConnection:
    gone = None
    while (version := current(home) if number is None else kept(home, number)) is not None and version != gone:
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
        if (stray := write_ahead_log(version.path)).exists():
            forbid_log(version.path)
    except OSError as error:
        raise NotPublished(f"{stray} would be replayed into the published version; remove it") from error
    return duckdb.connect(str(version.path), read_only=True)


@contextmanager
def held_open(home: Path) -> Iterator[None]:
    """Keep the current version open during a block, if it can be opened: DuckDB then opens it again at once.

    Args:
        home: The folder of the warehouse.
    """
    with ExitStack() as held:
        with suppress(NotPublished, OSError, duckdb.Error):  # whoever opens it for its rows says what is wrong
            held.enter_context(connect(home))
        yield


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
