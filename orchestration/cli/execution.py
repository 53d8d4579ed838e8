"""A run in this process: executing a job, and why it failed.

What belongs here: from the name of a job to its result, and from its events to a reason. What does not: assets and jobs
(`defs/`, `automation.py`), arguments and exit codes (`cli/main.py`), Dagster's own home (`runtime/instance.py`).
"""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from dagster._utils.error import SerializableErrorInfo

from orchestration import progress
from orchestration.runtime import instance


def execute(job: str, home: Path) -> dg.ExecuteInProcessResult:
    """Run a job in this process, its progress on the terminal. A step that fails is in the result, not raised.

    job: one of `automation.JOBS`, by name. home: the warehouse. Raises OSError or SQLAlchemy's DBAPIError if Dagster's
    own records cannot be kept.
    """
    from orchestration.definitions import defs

    instance.prepare(home)
    with dg.DagsterInstance.get() as dagster_instance, progress.shown():
        instance.release_killed_runs(dagster_instance, home)
        return defs.resolve_job_def(job).execute_in_process(
            instance=dagster_instance,
            raise_on_error=False,
            tags={instance.IN_PROCESS: "true"},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )


def reason(events: Sequence[dg.DagsterEvent]) -> str:
    """Say why a run failed, in the words of what failed first."""
    for event in events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return data.user_failure_data.description
            if data.error:
                return f"{event.step_key}: {_root(data.error)}"
    for event in events:  # what a run needs before its first step, such as the writer's lock
        if event.is_job_failure and event.job_failure_data.error:
            return _root(event.job_failure_data.error)
    failed = [event.message for event in events if event.is_failure and event.message]
    return failed[-1] if failed else "the run failed; `raisonne ui` shows its log"


def _root(error: SerializableErrorInfo) -> str:
    while error.cause:
        error = error.cause
    return error.message.strip()
