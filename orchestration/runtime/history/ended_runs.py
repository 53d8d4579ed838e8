"""How runs ended, by Dagster's own records.

What belongs here: reading its SQLite files without writing. What does not: deleting from them (`history/run_logs.py`),
what a failure means (`cli/execution.py`).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_FAILED, _DONE = ("FAILURE", "CANCELED"), ("SUCCESS",)


@dataclass(frozen=True)
class EndedRun:
    """How a run ended.

    Attributes:
        run_id: Dagster's.
        job: The job.
        at: When it ended.
    """

    run_id: str
    job: str
    at: datetime


def ended_runs(folder: Path) -> tuple[EndedRun | None, EndedRun | None]:
    """Return the last run that failed or was interrupted, and the last that was done. Writes nothing.

    Args:
        folder: Dagster's home.

    Raises:
        sqlite3.Error: If its files are in use or damaged.
        OSError: If they may not be looked at.
    """
    runs = folder / "history" / "runs.db"
    if not runs.exists():
        return None, None
    with reading(runs) as con:
        return _last(con, _FAILED), _last(con, _DONE)


def failure_events(folder: Path, run_id: str) -> list[str]:
    """Return the events by which a run failed or was interrupted, oldest first, as Dagster serializes them.

    Args:
        folder: Dagster's home.
        run_id: The run.

    Raises:
        sqlite3.Error: If its log is in use or damaged.
        OSError: If it may not be looked at.
    """
    log = folder / "history" / "runs" / f"{run_id}.db"
    if not log.exists():
        return []
    with reading(log) as con:
        kinds = "'STEP_FAILURE', 'PIPELINE_FAILURE', 'PIPELINE_CANCELED'"
        wanted = f"select event from event_logs where dagster_event_type in ({kinds}) order by id"  # noqa: S608
        return [event for (event,) in con.execute(wanted)]


def _last(con: sqlite3.Connection, statuses: tuple[str, ...]) -> EndedRun | None:
    marks = ", ".join("?" * len(statuses))
    wanted = f"select run_id, pipeline_name, coalesce(end_time, start_time) from runs where status in ({marks})"  # noqa: S608
    rows = con.execute(f"{wanted} order by id desc limit 1", statuses).fetchall()
    if not rows:
        return None
    [(run_id, job, at)] = rows
    return EndedRun(run_id, job, datetime.fromtimestamp(at or 0, UTC))


@contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection]:
    """Open one of Dagster's files without writing, also in a folder in which no file beside it may be made."""
    wal = file.with_name(f"{file.name}-wal")
    mode = "mode=ro" if wal.exists() else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?{mode}", uri=True, timeout=10)) as con:
        yield con
