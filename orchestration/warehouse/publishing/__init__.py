"""Versioned warehouse files behind one link: one writer, any number of readers, never a half-written state.

What belongs here: the lock of the writer, the place of builds, publishing a build, and opening a version. What does
not: the content of the file (`warehouse/build.py`), starting runs (`automation.py`).

    <home>/raisonne.duckdb                      relative link to the published version, replaced atomically
    <home>/versions/raisonne-000007.duckdb      mode 0444, never written again
    <home>/versions/raisonne-000007.duckdb.wal  a dangling link, see `version_files.forbid_log`
    <home>/builds/                              private files of the run under way, gone when it ends
    <home>/writer.lock, writer.json             kernel lock of the writer, and who holds it

DuckDB (1.5, 2.0) resolves the link: its write-ahead log and its cache of open databases go by the versioned file. A new
connection gets the new version. An open connection keeps its version, even after that is pruned.
"""

from orchestration.warehouse.publishing.builds import NotClosed, begin, publish, turn
from orchestration.warehouse.publishing.opening import Damaged, connect, damage, explained, held_open, open_version
from orchestration.warehouse.publishing.version_files import (
    LINK,
    REPAIR,
    LinkReplaced,
    NotPublished,
    Version,
    current,
    history,
    next_number,
    set_aside,
    versions,
)
from orchestration.warehouse.publishing.writer_lock import Busy, holder, lock, writer

__all__ = [
    "LINK",
    "REPAIR",
    "Busy",
    "Damaged",
    "LinkReplaced",
    "NotClosed",
    "NotPublished",
    "Version",
    "begin",
    "connect",
    "current",
    "damage",
    "explained",
    "held_open",
    "history",
    "holder",
    "lock",
    "next_number",
    "open_version",
    "publish",
    "set_aside",
    "turn",
    "versions",
    "writer",
]
