"""Sending OpenLineage's events when a step of a run ends, and when a run begins and ends.

What belongs here: whether anybody asked for them, what Dagster recorded of a step, and sending. What does not: the
events themselves (`open_lineage/events.py`).

A run in the process of a command or of Python tells of itself; of other runs, sensors do. An event that cannot be sent
stops nothing: the run goes on, and warns of it. A process that is killed sends no end of the step it was in; the end of
the run is told by whoever finds it dead.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration import settings as toml
from orchestration.facts.schemas.tables import SCHEMAS
from orchestration.settings import Settings
from orchestration.warehouse import publishing
from transforms.packages import installing

if TYPE_CHECKING:
    from orchestration.open_lineage.events import CheckOutcome, DatasetName, LandedInput, StepOutput

_CONFIGURATION = ("openlineage.yml", "~/.openlineage/openlineage.yml")
_OFF = {"OPENLINEAGE_DISABLED", "OPENLINEAGE_NAMESPACE", "OPENLINEAGE_CLIENT_LOGGING"}
"""Variables of OpenLineage's client that name no receiver."""
_NAMESPACE = "raisonne"
_LICENCES = 20
_STATES = {
    dg.DagsterRunStatus.STARTED: "START",
    dg.DagsterRunStatus.SUCCESS: "COMPLETE",
    dg.DagsterRunStatus.FAILURE: "FAIL",
    dg.DagsterRunStatus.CANCELED: "ABORT",
}
_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION
_HELD = dg.DagsterEventType.ASSET_CHECK_EVALUATION
_BEGAN = dg.DagsterEventType.STEP_START


def wanted() -> bool:
    """Return whether a receiver of events is named, in the way of OpenLineage's own client."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").lower() == "true":
        return False
    named = any(name.startswith("OPENLINEAGE") and name not in _OFF for name in os.environ)
    return named or any(Path(place).expanduser().is_file() for place in _CONFIGURATION)


def attached(assets: Iterable[Any]) -> list[Any]:
    """Return assets whose steps send events when they end; as they are if nobody asked for any.

    Args:
        assets: Definitions of assets, and specs of those that nothing here makes.

    Raises:
        ImportError: If a receiver is named and the client is not installed.
    """
    if not wanted():
        return list(assets)
    if find_spec("openlineage") is None or find_spec("openlineage.client") is None:
        raise ImportError(
            f"OPENLINEAGE_… or openlineage.yml asks for events of runs: {installing('lineage')}, or remove it"
        )
    return [
        each.with_hooks({_hook(each, failed=False), _hook(each, failed=True)})
        if isinstance(each, dg.AssetsDefinition) and each.is_executable
        else each
        for each in assets
    ]


def _hook(assets: dg.AssetsDefinition, *, failed: bool) -> dg.HookDefinition:
    def tell(context: dg.HookContext) -> None:
        try:
            _send(context, assets)
        except Exception as error:
            context.log.warning(f"the lineage of {context.step_key} was not sent to OpenLineage: {error}")

    decorate = dg.failure_hook if failed else dg.success_hook
    return decorate(name=f"tell_open_lineage_{'failure' if failed else 'success'}")(tell)


def sensors(here: str) -> list[dg.SensorDefinition]:
    """Return sensors that tell of runs when they begin and end; none if nobody asked for events.

    Args:
        here: The tag of runs that tell of themselves.
    """
    return [_sensor(status, state, here) for status, state in _STATES.items()] if wanted() else []


def _sensor(status: dg.DagsterRunStatus, state: str, here: str) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name=f"tell_open_lineage_{status.value.lower()}",
        run_status=status,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Sends OpenLineage's event {state} of a run.",
    )
    def tell(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
        run = context.dagster_run
        if here in run.tags:
            return dg.SkipReason("the run tells of itself")
        why = context.dagster_event.message or "" if state == "FAIL" else ""
        told = tell_run(run.run_id, run.job_name, state, why)
        return dg.SkipReason(told) if told else None

    return tell


def tell_run(number: str, job: str, state: str, why: str | None = None) -> str:
    """Send an event of a run itself, if anybody asked for it. Return why it could not be sent; empty if it could.

    Args:
        number: The ID of the run.
        job: The name of its job.
        state: START, COMPLETE, FAIL or ABORT.
        why: Why it failed.
    """
    if not wanted():
        return ""
    try:
        from openlineage.client import OpenLineageClient

        from orchestration.open_lineage import events

        namespace, now = os.environ.get("OPENLINEAGE_NAMESPACE") or _NAMESPACE, time.time()
        client = OpenLineageClient()
        try:
            client.emit(events.of_run(events.ParentRun(number, job, namespace, now, now), state, why or ""))
        finally:
            client.close()
    except Exception as error:
        return f"the lineage of the run {number} was not sent to OpenLineage: {error}"
    return ""


def tell_killed(runs: Iterable[dg.DagsterRun], here: str, why: str) -> Iterator[str]:
    """Send the end of runs that tell of themselves and could not. Yield why one could not be sent.

    Args:
        runs: Runs whose processes were killed.
        here: The tag of runs that tell of themselves.
        why: Why they failed.
    """
    for run in runs:
        if here in run.tags and (told := tell_run(run.run_id, run.job_name, "FAIL", why)):
            yield told


@dataclass
class _Recorded:
    """What Dagster recorded of a step."""

    began: float
    ended: float
    made: dict[dg.AssetKey, dg.AssetMaterialization] = field(default_factory=dict)
    held: defaultdict[dg.AssetKey, list[Any]] = field(default_factory=lambda: defaultdict(list))


def _send(context: dg.HookContext, assets: dg.AssetsDefinition) -> None:
    from openlineage.client import OpenLineageClient

    from orchestration.open_lineage import events

    recorded = _recorded(context)
    namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or _NAMESPACE
    run = events.ParentRun(context.run_id, context.job_name, namespace, recorded.began, recorded.ended)
    error = context.op_exception
    made = list(_made(assets, recorded, namespace, toml.load()))
    if error is not None:
        made.append(
            events.StepOutput(context.op.name, events.DatasetName(namespace, context.op.name), error=str(error))
        )
    client = OpenLineageClient()
    try:
        for event in events.of_step(run, made):
            client.emit(event)
    finally:
        client.close()


def _recorded(context: dg.HookContext) -> _Recorded:
    logs = context.instance.all_logs(context.run_id, {_MADE, _HELD, _BEGAN})
    own = [each for each in logs if each.step_key == context.step_key]
    began = [each.timestamp for each in own if each.get_dagster_event().event_type is _BEGAN]
    times = [each.timestamp for each in own]
    recorded = _Recorded(max(began, default=max(times, default=0.0)), max(times, default=0.0))
    for each in own:
        event = each.get_dagster_event()
        if event.event_type is _MADE and each.timestamp >= recorded.began:  # not of an attempt before
            recorded.made[event.step_materialization_data.materialization.asset_key] = (
                event.step_materialization_data.materialization
            )
        elif event.event_type is _HELD and each.timestamp >= recorded.began:
            recorded.held[event.asset_check_evaluation_data.asset_key].append(event.asset_check_evaluation_data)
    return recorded


def _made(
    assets: dg.AssetsDefinition, recorded: _Recorded, namespace: str, settings: Settings
) -> Iterator["StepOutput"]:
    from orchestration.open_lineage.events import StepOutput

    specs = {spec.key: spec for spec in assets.specs}
    for key in sorted(recorded.made.keys() | recorded.held.keys(), key=str):
        told: Mapping[str, Any] = recorded.made[key].metadata if key in recorded.made else {}
        schema, lineage = _value(told, "dagster/column_schema"), _value(told, "dagster/column_lineage")
        landed = _landing(key, settings)
        parents = [_name(each.asset_key, namespace, settings) for each in specs[key].deps]
        sql = str(_value(specs[key].metadata, "sql") or "")
        yield StepOutput(
            key.to_user_string().replace("/", "."),
            _name(key, namespace, settings),
            [*landed, *parents],
            str(_value(told, "version") or (recorded.made[key].tags or {}).get("dagster/data_version", ""))
            if key in recorded.made
            else "",
            _value(told, "dagster/row_count"),
            [(each.name, each.type, each.description) for each in schema.columns] if schema else [],
            {
                column: [(_name(each.asset_key, namespace, settings), each.column_name) for each in origins]
                for column, origins in (lineage.deps_by_column if lineage else {}).items()
            },
            sql.removeprefix("```sql\n").removesuffix("\n```"),
            _licences(settings) if key.path == ["catalog", "samples"] and key in recorded.made else {},
            [_promise(each) for each in recorded.held[key]],
            None if key in recorded.made else "the version was not published",
        )


def _value(told: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 -- what Dagster keeps under a name
    found = told.get(name)
    return getattr(found, "value", found)


def _promise(held: Any) -> "CheckOutcome":  # noqa: ANN401 -- Dagster's evaluation of a check, whose class is private
    from orchestration.open_lineage.events import CheckOutcome

    return CheckOutcome(
        held.check_name, held.description or "", held.passed, held.severity == dg.AssetCheckSeverity.ERROR
    )


def _name(key: dg.AssetKey, namespace: str, settings: Settings) -> "DatasetName":
    from orchestration.open_lineage import events

    if len(key.path) > 1:
        return events.table(settings.home, ".".join(key.path))
    name = key.path[0]
    if name in SCHEMAS:
        return events.files(str(settings.home / "facts" / f"{name}.lance"))
    return events.DatasetName(namespace, name)


def _landing(key: dg.AssetKey, settings: Settings) -> list["LandedInput"]:
    """Return the landed files that an asset reads."""
    from orchestration.open_lineage.events import LandedInput, files

    read: dict[str, Iterator[LandedInput]] = {
        "landing_shards": (
            LandedInput(files(place), each)
            for each in settings.datasets
            for place in (each.metadata, each.dump)
            if place
        ),
        "image_fingerprints": (LandedInput(files(each.dump), each) for each in settings.datasets if each.dump),
        "generation_fingerprints": (LandedInput(files(each.path)) for each in settings.generations),
        "recalled_rows": (
            LandedInput(files(place)) for each in settings.recalls for place in (each.path, each.pictures) if place
        ),
    }
    return list(read.get("/".join(key.path), ()))


def _licences(settings: Settings) -> dict[str, int]:
    """Return the commonest licences of training rows, as the published version states them."""
    version = publishing.current(settings.home)
    if version is None:
        return {}
    with publishing.open_version(version) as con:
        rows = con.execute(
            "select coalesce(license, 'unknown'), count(*) from catalog.samples group by all order by all desc limit ?",
            [_LICENCES],
        )
        return dict(rows.fetchall())
