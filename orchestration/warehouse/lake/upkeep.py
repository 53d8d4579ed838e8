"""Removing old versions of a lake, and files that no version has.

What belongs here: what may go, and when. What does not: writing a version (`lake/writing.py`).

A reader keeps to the version that it opened. So a version goes only when it has been followed by `keep` others for a
while, and its files a while after that.
"""

from datetime import UTC, datetime, timedelta

import duckdb

from orchestration.settings.targets import PATTERN
from orchestration.warehouse.lake.attaching import NAME, stored_folder
from orchestration.warehouse.lake.reading import snapshots


def remove_old_versions(con: duckdb.DuckDBPyConnection, *, keep: int, grace: timedelta) -> list[int]:
    """Remove versions that are old enough from the catalog, and files of those that were removed earlier.

    Args:
        con: A connection that has the lake attached for writing, in no transaction.
        keep: Newest versions that stay.
        grace: For how long a version stays after that many others, and a file after the last version that has it.

    Returns:
        The snapshots that were removed.
    """
    until = datetime.now(UTC) - grace
    then = con.execute(f"select snapshot_id from {NAME}.snapshots() where snapshot_time <= ?", [until]).fetchall()  # noqa: S608
    kept_then = [snapshot for snapshot in snapshots(con) if (snapshot,) in then][-keep:]
    rows = con.execute(f"select snapshot_id from {NAME}.snapshots() order by 1").fetchall()  # noqa: S608
    old = [snapshot for (snapshot,) in rows if len(kept_then) == keep and snapshot < kept_then[0]]
    if old:
        con.execute(f"call ducklake_expire_snapshots('{NAME}', versions => {old})")
    con.execute(f"call ducklake_cleanup_old_files('{NAME}', older_than => ?)", [until])
    return old


def remove_orphans(con: duckdb.DuckDBPyConnection, *, grace: timedelta) -> None:
    """Remove Parquet files of the data's folder that no version has, such as those of a killed publish.

    Args:
        con: A connection that has the lake attached for writing, in no transaction.
        grace: How old they are at least.
    """
    if PATTERN.search(stored_folder(con)):
        return  # DuckDB would look for them by a pattern, among the files of others
    con.execute(f"call ducklake_delete_orphaned_files('{NAME}', older_than => ?)", [datetime.now(UTC) - grace])
