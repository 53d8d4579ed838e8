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

_FAILED, _DONE = "FAILURE", "SUCCESS"


@dataclass(frozen=True)
class EndedRun:
    """How a run ended.

    Attributes:
        run_id: Dagster's.
        job: The job.
        at: When it ended.
        failed: Whether it failed or was interrupted.
    """

    run_id: str
    job: str
    at: datetime
    failed: bool


def ended_runs(folder: Path) -> tuple[EndedRun | None, EndedRun | None]:
    """Return the last run that failed, and the last that did not. Writes nothing. Raises sqlite3.Error.

    Args:
        folder: Dagster's home.
    """
    runs = folder / "history" / "runs.db"
    if not runs.exists():
        return None, None
    with reading(runs) as con:
        return _last(con, _FAILED), _last(con, _DONE)


def failure_events(folder: Path, run_id: str) -> list[str]:
    """Return the events by which a run failed, oldest first, as Dagster serializes them. Raises sqlite3.Error.

    Args:
        folder: Dagster's home.
        run_id: The run.
    """
    log = folder / "history" / "runs" / f"{run_id}.db"
    if not log.exists():
        return []
    with reading(log) as con:
        wanted = "select event from event_logs where dagster_event_type in ('STEP_FAILURE', 'PIPELINE_FAILURE')"
        return [event for (event,) in con.execute(f"{wanted} order by id")]


def _last(con: sqlite3.Connection, status: str) -> EndedRun | None:
    wanted = "select run_id, pipeline_name, coalesce(end_time, start_time) from runs where status = ?"
    rows = con.execute(f"{wanted} order by id desc limit 1", [status]).fetchall()
    if not rows:
        return None
    [(run_id, job, at)] = rows
    return EndedRun(run_id, job, datetime.fromtimestamp(at or 0, UTC), status == _FAILED)


@contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection]:
    """Open one of Dagster's files without writing, also in a folder in which no file beside it may be made."""
    wal = file.with_name(f"{file.name}-wal")
    mode = "mode=ro" if wal.exists() else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?{mode}", uri=True, timeout=10)) as con:
        yield con
