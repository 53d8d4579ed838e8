"""Dagster's home inside the warehouse's: its settings, and cleaning up after killed runs.

What belongs here: the Dagster instance. What does not: runs themselves (`cli/execution.py`, the UI), the faster storage
of its records (`runtime/sqlite_storage.py`).
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg

from orchestration.runtime import homes
from orchestration.warehouse import publishing
from transforms.storage.staging import only_writer, whole

IN_PROCESS = "raisonne/in_process"
"""Tag of the runs that `raisonne run` executes in its own process: the home that it writes."""
KILLED = "the process was killed"
"""Why a run failed that could not say so itself."""
LOCATION, REPOSITORY = "orchestration.definitions", "__repository__"
"""Dagster's names for the code location that `raisonne ui` loads, and for the repository in it."""
_GRACE_S = 300
_NUX = re.compile(r"(?m)^[#\s]*nux\s*:")
_IN_URL = re.compile("[?]|%[0-9a-fA-F]{2}")
"""What SQLAlchemy, through which Dagster names its SQLite files, does not take literally."""
_OURS = "# Written by raisonne"
_NO_DIALOG = """\
nux:  # the dialog that asks a first visitor for an address
  enabled: false
"""
CONFIG = f"""\
{_OURS} where it is missing; yours to change.
telemetry:
  enabled: false
{_NO_DIALOG}\
run_monitoring:
  enabled: true
  # without this a killed run keeps its pool slot, and the next one waits for ever
  free_slots_after_run_end_seconds: 30
concurrency:
  pools:
    default_limit: 1
# The logs of runs are bounded by publishing.run_logs in the settings; these keep the ticks of sensors and schedules.
retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 1
      failure: 30
      success: 30
"""
FAST_STORAGE = """\
storage:
  custom:
    module: orchestration.runtime.sqlite_storage
    class: Records
    config:
      base_dir:
        env: DAGSTER_HOME
"""
_OFFER = """\
# Small runs take about half the time with connections to Dagster's SQLite files that stay open. This relies on private
# classes of the Dagster version that is installed with raisonne, and a power failure may lose Dagster's last events.
"""


class DagsterHomeError(ValueError):
    """Dagster cannot keep its records in a folder; the message names the folder and the fix."""


def prepare(home: Path) -> Path:
    """Point DAGSTER_HOME into the warehouse unless the environment names another. Returns it.

    Raises DagsterHomeError for a folder whose name Dagster would read as another one, or that cannot be one.
    """
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")  # what a run plans, in one transaction
    folder = homes.dagster_folder(home)
    os.environ["DAGSTER_HOME"] = str(folder)
    if _IN_URL.search(str(folder)):
        raise DagsterHomeError(
            f"Dagster cannot keep its records in {folder}: it reads `?` and `%` with two digits as parts of a URL. "
            "Set DAGSTER_HOME to a folder without them, or move the warehouse (`home`)"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise DagsterHomeError(
            f"Dagster cannot keep its records in {folder} ({error.strerror}): correct that, or set DAGSTER_HOME to a "
            "folder that can be written"
        ) from error
    config = folder / "dagster.yaml"
    if not config.exists():
        offer = _OFFER + "".join(f"# {line}\n" for line in FAST_STORAGE.splitlines())
        _write(config, CONFIG + offer)
        return folder
    text = config.read_text(encoding="utf-8")
    if text.startswith(_OURS) and not _NUX.search(text):  # one that an earlier release wrote; others are not ours
        _write(config, f"{text}\n{_NO_DIALOG}")
    return folder


@contextmanager
def opened(home: Path) -> Iterator[dg.DagsterInstance]:
    """Open Dagster's instance of a warehouse, whose records are created where they are missing.

    One process after another: where two create the tables at once, Dagster fails in one of them. They wait at the
    folder of the records, which two warehouses may share.

    Args:
        home: The folder of the warehouse.

    Raises:
        DagsterHomeError: See `prepare`.
        OSError: The records cannot be written.
        sqlalchemy.exc.DBAPIError: likewise.
    """
    with only_writer(prepare(home)):
        instance = dg.DagsterInstance.get()
    with instance:
        yield instance


def choose_fast_storage(home: Path) -> None:
    """Choose `runtime/sqlite_storage.py` for a warehouse whose Dagster has no settings yet."""
    config = homes.dagster_folder(home) / "dagster.yaml"
    if not config.exists():
        config.parent.mkdir(parents=True, exist_ok=True)
        _write(config, CONFIG + FAST_STORAGE)


def _write(config: Path, text: str) -> None:
    with whole(config) as file:  # another process may be reading it
        file.write_text(text, encoding="utf-8")


def tags_in_process(home: Path) -> dict[str, str]:
    """Return the tags of a run in this process: that it is one, and its code location, as runs of the UI have it.

    Args:
        home: The warehouse that it writes.
    """
    return {IN_PROCESS: str(home.absolute()), ".dagster/repository": f"{REPOSITORY}@{LOCATION}"}


def show_in_timeline(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Record the code location of a run, as Dagster does for runs that it launches.

    Without it the first page of the UI leaves the run out, and the run's page cannot execute it again.

    Args:
        instance: Dagster's.
        run: A run that ended.
    """
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), REPOSITORY)
    instance.run_storage.replace_job_origin(run, RemoteJobOrigin(origin, run.job_name))


def release_killed_runs(instance: dg.DagsterInstance, home: Path) -> list[dg.DagsterRun]:
    """Mark dead runs as failed, and free their pool slots.

    Slots of finished runs are freed too: on a full disk a run cannot free its own, and the next run would wait forever.
    A living run holds the writer's lock from its first step to its last. If the lock is free, a run in the state
    STARTED was killed; one that Dagster launched gets five minutes to reach its first step. Where warehouses share
    their records, the run of a command is judged by the lock of its own, and left alone where that is out of reach.

    Args:
        instance: Dagster's.
        home: The warehouse.

    Returns:
        The runs that were marked.
    """
    _free_slots_of_ended_runs(instance)
    started = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    late = time.time() - _GRACE_S
    doubtful = [r.dagster_run for r in started if IN_PROCESS in r.dagster_run.tags or (r.start_time or late + 1) < late]
    writing = {run.run_id: _home_of(run, home) for run in doubtful}
    marked = []
    for place in set(writing.values()):
        if place != home and not place.is_dir():
            continue
        others = () if place == home else (OSError,)
        with suppress(publishing.Busy, *others), publishing.writer(place, run="tidying up", wait_s=0):
            for run in doubtful:
                if writing[run.run_id] == place:
                    _end_killed(instance, run)
                    marked.append(run)
    return marked


def _home_of(run: dg.DagsterRun, home: Path) -> Path:
    """Return the warehouse that a run writes: its own where it says so and the records can be of several warehouses."""
    told = Path(run.tags.get(IN_PROCESS, ""))
    several = told.is_absolute() and not homes.dagster_folder(home).is_relative_to(home)
    return told if several and told != home.absolute() else home


def _end_killed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_failed(run, KILLED)
    if IN_PROCESS in run.tags and (ended := instance.get_run_by_id(run.run_id)):
        show_in_timeline(instance, ended)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _free_slots_of_ended_runs(instance: dg.DagsterInstance) -> None:
    for run_id in instance.event_log_storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
