"""The logs of runs: how many there are, and deleting those of old ones.

What belongs here: the bound of what Dagster keeps of runs. What does not: how runs ended (`history/ended_runs.py`).

Dagster has settings for how long the ticks of sensors stay, and none for runs. Its own way to delete a run forgets the
materializations of the run's tables and shards too, which would then look as if they were never made.
"""

import shutil
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from functools import partial
from pathlib import Path

from orchestration.runtime.history.ended_runs import reading

_EMPTY = 1 << 16  # bytes of a log without events, at most
_WORTH = 0.25  # free pages of the index from which on it is written anew
_OPEN = ("QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING")
# What the UI shows of tables and shards now: the newest of each kind of event stays, whichever run it is of.
_NEWEST_EVENTS = """
select max(id) from event_logs
where dagster_event_type in ('ASSET_MATERIALIZATION', 'ASSET_OBSERVATION')
group by dagster_event_type, asset_key, partition
union all
select evaluation_event_storage_id from asset_check_executions
where id in (select max(id) from asset_check_executions group by asset_key, check_name)
    and evaluation_event_storage_id is not null
"""
_FORGET = (
    f"create temp table gone as select id from event_logs where run_id in (select run_id from old_runs) "  # noqa: S608
    f"and id not in ({_NEWEST_EVENTS})",
    "delete from asset_event_tags where event_id in (select id from gone)",
    "delete from event_logs where id in (select id from gone)",
    "delete from asset_check_executions where run_id in (select run_id from old_runs) "
    "and id not in (select max(id) from asset_check_executions group by asset_key, check_name)",
)


def forget_old_logs(folder: Path, keep: int, warn: Callable[[str], None]) -> int:
    """Empty the logs of all but the newest runs. The list of runs stays, and the newest state of what they made.

    Belongs under the writer's lock. Does nothing where Dagster keeps its records elsewhere than in SQLite files.

    Args:
        folder: Dagster's home.
        keep: Runs whose logs stay. Those under way stay besides.
        warn: Takes a sentence if the files are in use, cannot be written, or are not as this release of Dagster writes
            them.

    Returns:
        How many runs lost their log.
    """
    logs = folder / "history" / "runs"
    index, runs = logs / "index.db", folder / "history" / "runs.db"
    try:
        if not index.exists() or not runs.exists():
            return 0
        kept, past = _runs(runs, keep)
        old = sorted({path.stem for path in _logs(folder)} - kept)
    except (sqlite3.Error, OSError) as error:
        warn(_stay(folder, error))
        return 0
    logs_of_old = (partial(_forget_run, folder, run_id) for run_id in old)
    done, failures = 0, list[Exception]()
    for step in (partial(_forget, index, past), *logs_of_old, partial(_shrink, index)) if old else ():
        try:  # what cannot be done now holds up nothing else: on a full disk, each log that goes makes room
            done += step()
        except (sqlite3.Error, OSError) as error:
            failures.append(error)
    if failures:
        warn(_stay(folder, failures[0]))
    return done


def _stay(folder: Path, error: Exception) -> str:
    return f"warning: logs of old runs stay in {folder} ({error}); the next run tries again"


def logged_runs(folder: Path) -> int:
    """Return of how many runs there are logs."""
    return len(_logs(folder))


def _logs(folder: Path) -> list[Path]:
    files = (folder / "history" / "runs").glob("*.db")
    return [path for path in files if path.stem != "index" and _size(path) > _EMPTY]


def _size(path: Path) -> int:
    """Return the size of a log, 0 of one that has vanished since it was listed, or that nobody may look at."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _forget_run(folder: Path, run_id: str) -> int:
    """Delete what a run kept. Its log goes last: by it, a killed run is found again. Returns how many lost theirs."""
    shutil.rmtree(folder / "storage" / run_id, ignore_errors=True)
    log = folder / "history" / "runs" / f"{run_id}.db"
    if not log.exists():  # Dagster's own pages can delete a run meanwhile
        return 0
    _empty(log)
    return 1


def _empty(log: Path) -> None:
    """Replace a log by one without events, which a server that has shown it can still open."""
    new = log.with_suffix(".emptied")
    new.unlink(missing_ok=True)
    with reading(log) as con, closing(sqlite3.connect(new, isolation_level=None)) as made:
        wanted = "select sql from sqlite_master where tbl_name in ('event_logs', 'alembic_version') and sql is not null"
        for (statement,) in con.execute(f"{wanted} order by type desc"):
            made.execute(statement)
        made.executemany("insert into alembic_version values (?)", con.execute("select * from alembic_version"))
    for path in (log.with_name(f"{log.name}-wal"), log.with_name(f"{log.name}-shm")):
        path.unlink(missing_ok=True)
    new.replace(log)


def _runs(runs: Path, keep: int) -> tuple[set[str], set[str]]:
    """Return the runs whose logs stay, and all others."""
    with reading(runs) as con:
        newest = con.execute("select run_id from runs order by id desc limit ?", [keep]).fetchall()
        marks = ", ".join("?" * len(_OPEN))
        under_way = con.execute(f"select run_id from runs where status in ({marks})", _OPEN).fetchall()  # noqa: S608
        every = con.execute("select run_id from runs").fetchall()
    kept = {run_id for (run_id,) in newest + under_way}
    return kept, {run_id for (run_id,) in every} - kept


def _forget(index: Path, past: Collection[str]) -> int:
    """Delete the indexed events of past runs, except the newest of each table and shard.

    Args:
        index: Dagster's index of events.
        past: All runs whose logs do not stay. A run that lost its log earlier may still have had a newest event then.

    Returns:
        0: no run loses its log here.
    """
    with closing(sqlite3.connect(index, timeout=10, isolation_level=None)) as con:
        con.execute("create temp table old_runs (run_id text primary key)")
        con.execute("begin immediate")
        con.executemany("insert into old_runs values (?)", [(run_id,) for run_id in past])
        for statement in _FORGET:
            con.execute(statement)
        con.execute("commit")
    return 0


def _shrink(index: Path) -> int:
    """Give free space back to the disk once it is a quarter of the index, as the whole file is rewritten. Returns 0."""
    with closing(sqlite3.connect(index, timeout=10, isolation_level=None)) as con:
        [(free,)], [(pages,)] = (con.execute(f"pragma {name}").fetchall() for name in ("freelist_count", "page_count"))
        if free > pages * _WORTH:
            con.execute("vacuum")
    return 0
