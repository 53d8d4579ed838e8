"""Executing a job in this process, and reporting why it failed.

What belongs here: from the name of a job to its result, and from its events to a reason. What does not: assets and jobs
(`defs/`, `automation.py`), arguments and exit codes (`cli/run.py`), Dagster's own home (`runtime/instance.py`), the
same for Python (`raisonne/runs.py`).
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from uuid import uuid4

import dagster as dg
import sqlalchemy.exc

from orchestration import progress
from orchestration.catalog import absences, opt_outs
from orchestration.facts import Facts
from orchestration.matches import calibration
from orchestration.open_lineage import hooks
from orchestration.runtime import full_disks, homes, instance
from orchestration.runtime.failures import told
from orchestration.runtime.resources import require_encoders, rights_of
from orchestration.settings import Settings, SettingsError
from orchestration.warehouse import publishing
from transforms.catalog.opt_outs import OptOutListError
from transforms.encoders import EncoderUnavailable

_INTERRUPTED = "interrupted; the next run goes on from here"
_INTERRUPTS = frozenset({"DagsterExecutionInterruptedError", "KeyboardInterrupt"})


class Stop(Enum):
    """How a run ended that did not do its job: refused before its work, failed, or interrupted."""

    REFUSED = "refused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunStopped(RuntimeError):
    """A run did not do its job. The message says why, whether a version stands, and the fix; `stop` says how."""

    def __init__(self, message: str, stop: Stop) -> None:
        super().__init__(message)
        self.stop = stop


def run(job: str, settings: Settings, forget: Sequence[str], *, accept_drop: bool) -> None:
    """Run a job in this process, with what its user consents to.

    Args:
        job: Name of one of `automation.JOBS`.
        settings: Of the warehouse; Dagster's processes read them by `RAISONNE_CONFIG`.
        forget: Datasets that left the settings, to be removed for good.
        accept_drop: Whether to publish although much less can be searched than before.

    Raises:
        RunStopped: If it did not do its job.
    """
    home = settings.home
    if forget and job == "generations_only":
        raise RunStopped("generations_only does not read datasets; pass --forget with another job", Stop.REFUSED)
    names = {each.name for each in settings.datasets}
    if forget and (unknown := absences.unknown_names(Facts(home / "facts"), names, forget)):
        raise RunStopped(unknown, Stop.REFUSED)
    consent: dict[str, dict[str, object]] = {
        "landing_shards": {"forget": list(forget), "accept_drop": accept_drop},
        "warehouse": {"accept_drop": accept_drop},
    }
    try:
        homes.require_usable(home)
        _require_inputs(job, settings)
        result = execute(job, home, consent)
    except (instance.DagsterHomeError, homes.HomeError, EncoderUnavailable, SettingsError, NotADirectoryError) as error:
        raise RunStopped(_explained(error), Stop.REFUSED) from None
    except OptOutListError as error:
        raise RunStopped(_stopped(f"nothing was published: {error}", home), Stop.FAILED) from None
    except KeyboardInterrupt:  # while Dagster was not executing a step
        raise RunStopped(_stopped(_INTERRUPTED, home), Stop.INTERRUPTED) from None
    except (OSError, sqlalchemy.exc.DBAPIError) as error:  # of Dagster's own records; a step's errors are in the result
        raise RunStopped(_stopped(str(getattr(error, "orig", None) or error), home), Stop.FAILED) from None
    if not result.success and interrupted(result.all_events):
        raise RunStopped(_stopped(_INTERRUPTED, home), Stop.INTERRUPTED)
    if not result.success:
        raise RunStopped(_stopped(reason(result.all_events), home), Stop.FAILED)


def execute(
    job: str, home: Path, consent: Mapping[str, Mapping[str, object]] | None = None
) -> dg.ExecuteInProcessResult:
    """Run a job in this process and show its progress. The result holds the errors of steps; they are not raised.

    Args:
        job: Name of one of `automation.JOBS`.
        home: Folder of the warehouse.
        consent: Configuration of steps, by step. Steps that are not in the job are left out.

    Raises:
        DagsterHomeError: Dagster cannot keep its records in the home.
        HomeError: The home cannot keep a warehouse.
        OSError: Dagster's own records cannot be written.
        sqlalchemy.exc.DBAPIError: likewise.
    """
    from orchestration.definitions import defs

    homes.require_usable(home)
    with instance.opened(home) as dagster_instance, progress.display():
        killed = instance.release_killed_runs(dagster_instance, home)
        for sentence in hooks.tell_killed(killed, instance.IN_PROCESS, instance.KILLED):
            _warn(sentence)
        chosen = defs.resolve_job_def(job)
        steps = {
            step: {"config": dict(values)} for step, values in (consent or {}).items() if step in chosen.graph.node_dict
        }
        with _lineage(job) as (number, ended):
            result = chosen.execute_in_process(
                instance=dagster_instance,
                raise_on_error=False,
                tags=instance.tags_in_process(home),
                run_config={"ops": steps, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                run_id=number,
            )
            ended.append(result)
        try:
            if run_ended := dagster_instance.get_run_by_id(result.run_id):
                instance.show_in_timeline(dagster_instance, run_ended)
        except sqlalchemy.exc.DBAPIError as error:  # a full disk, for example: what the run did is done
            print(f"warning: the first page of the UI leaves this run out: {error.orig}", file=sys.stderr)
        return result


@contextmanager
def _lineage(job: str) -> Iterator[tuple[str, list[dg.ExecuteInProcessResult]]]:
    """Tell OpenLineage of a run in this process: its beginning, and its end by the result that is put into a list."""
    number, ended = str(uuid4()), list[dg.ExecuteInProcessResult]()
    state, why = "ABORT", ""
    _warn(hooks.tell_run(number, job, "START"))
    try:
        yield number, ended
        if ended[0].success:
            state = "COMPLETE"
        elif not interrupted(ended[0].all_events):
            state, why = "FAIL", reason(ended[0].all_events)
    except Exception as error:
        state, why = "FAIL", str(error)
        raise
    finally:
        _warn(hooks.tell_run(number, job, state, why))


def _warn(sentence: str) -> None:
    if sentence:
        print(f"warning: {sentence}", file=sys.stderr)


def _require_inputs(job: str, settings: Settings) -> None:
    """Refuse what a run would find out only after hours: encoders, opt-out lists, a folder of held-out pictures."""
    require_encoders(settings)
    rights_of(settings)
    calibration.held_out_paths(settings.calibration.held_out)
    if job in ("everything", "derive"):
        opt_outs.require_lists(settings.recalls)


def _explained(error: Exception) -> str:
    return f"`encoders`: {error}" if isinstance(error, EncoderUnavailable) else str(error)


def _stopped(why: str, home: Path) -> str:
    try:
        version = publishing.current(home)
    except FileExistsError:  # the reason says so
        version = None
    stands = "the last version stands" if version and version.path.exists() else "nothing is published yet"
    return f"the run stopped, {stands}: {full_disks.explained(why, full_disks.places_of_run(home)) or why}"


def reason(events: Sequence[dg.DagsterEvent]) -> str:
    """Return the message of the first failure among the events of a run."""
    for event in events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return data.user_failure_data.description
            if data.error:
                return f"{event.step_key}: {told(data.error)}"
    for event in events:  # of Dagster itself, before the first step
        if event.is_job_failure and event.job_failure_data.error:
            return told(event.job_failure_data.error)
    failed = [event.message for event in events if event.is_failure and event.message]
    return failed[-1] if failed else "the run failed; `raisonne ui` shows its log"


def interrupted(events: Sequence[dg.DagsterEvent]) -> bool:
    """Return whether a run ended because somebody interrupted it."""
    errors = [event.step_failure_data.error for event in events if event.is_step_failure]
    errors += [event.job_failure_data.error for event in events if event.is_job_failure]
    canceled = any(event.event_type is dg.DagsterEventType.RUN_CANCELED for event in events)
    return canceled or any(error is not None and error.cls_name in _INTERRUPTS for error in errors)
