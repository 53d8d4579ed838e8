"""Runs of short tests, of which Dagster records that they begin and end."""

import os
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from dagster import AssetKey, DagsterEvent, JobDefinition
    from dagster._core.definitions.scoped_resources_builder import Resources
    from sqlalchemy import Engine

OUTLINE = "TESTS_OUTLINE_RECORDS"
"""Set in the environment, a run that is forked records its outline."""
LEFT_OUT = """\
Some runs of this process or of those that it forked were outlined (tests/records.py). Of such a run
- Dagster records that it begins and ends: no steps, materializations, planned events, checks or columns' lineage;
- inputs are not looked up, and no place in a pool is claimed;
- jobs, resources and the empty log of events are those of the first run that was alike.
Where that may be the reason, run the test without `-m`, as `make test ALL=1` does, or without `records.outline()`."""
"""What a failing test shows."""
BEGUN = Event()
"""Set once a run was outlined."""


def outline_in_forks() -> None:
    """Let runs that are forked for this process record their outline, as those in this process do.

    `make test ALL=1` leaves records as users have them, and so do commands in processes of their own.
    """
    os.environ[OUTLINE] = "1"


_REVISIONS: dict[str | None, "ScriptDirectory"] = {}
_JOBS: dict[tuple[int, tuple["AssetKey", ...]], tuple["JobDefinition", "JobDefinition"]] = {}
_EMPTY_LOG: list[bytes] = []


@contextmanager
def outline() -> Iterator[None]:
    """Let Dagster record that runs begin and end, and not their steps: that is a third of the work of a small run.

    Nor does it take notice of the checks of tables, which keep a version from being published without it, look up which
    materializations inputs are of, claim pools of which no other run takes a place, or trace the columns of tables.
    A test that fails says so: keep `LEFT_OUT` true.
    """
    BEGUN.set()
    from dagster import AssetCheckResult
    from dagster._core.execution.context.system import StepExecutionContext
    from dagster._core.execution.plan import execute_step
    from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
    from dagster._core.instance.runs.run_domain import RunDomain
    from dagster._core.log_manager import DagsterLogManager

    from orchestration.runtime import asset_metadata

    log, noticed = DagsterLogManager.log_dagster_event, execute_step._process_user_event

    def begins_or_ends(
        self: DagsterLogManager,
        level: str | int,
        msg: str,
        dagster_event: "DagsterEvent",
        batch_metadata: object = None,
    ) -> None:
        if dagster_event.is_job_event:
            log(self, level, msg, dagster_event)

    def without_checks(context: StepExecutionContext, event: object) -> Iterator[object]:
        return iter(()) if isinstance(event, AssetCheckResult) else noticed(context, event)

    with (
        patch.object(DagsterLogManager, "log_dagster_event", begins_or_ends),
        patch.object(RunDomain, "_log_asset_planned_events"),
        patch.object(StepExecutionContext, "fetch_external_input_asset_version_info"),
        patch.object(InstanceConcurrencyContext, "claim", return_value=True),
        patch.object(execute_step, "_process_user_event", without_checks),
        patch.object(asset_metadata, "lineage", return_value={}),
        _made_once(),
        _prepared_once(),
    ):
        yield


@contextmanager
def _made_once() -> Iterator[None]:
    """Make once what Dagster makes anew for each run, step or output, and always the same.

    That is the job as it is executed in a process, the assets of a step, and the resources that an output sees.
    """
    from dagster import JobDefinition
    from dagster._core.definitions.scoped_resources_builder import ScopedResourcesBuilder
    from dagster._core.execution.context.system import StepExecutionContext

    made, scoped = JobDefinition.as_ephemeral_job, ScopedResourcesBuilder.build
    assets = StepExecutionContext.get_output_asset_keys
    seen: dict[tuple[int, frozenset[str]], tuple[ScopedResourcesBuilder, Resources]] = {}

    def job(self: JobDefinition, **options: Any) -> JobDefinition:  # noqa: ANN401 -- Dagster's own
        key = id(self), tuple(options.get("asset_selection") or ())
        if any(value for name, value in options.items() if name != "asset_selection"):
            return made(self, **options)
        if key not in _JOBS:
            _JOBS[key] = self, made(self, **options)  # with itself, whose number nothing else has then
        return _JOBS[key][1]

    def assets_of_step(self: StepExecutionContext) -> AbstractSet["AssetKey"]:
        if "tests_assets" not in vars(self):
            vars(self)["tests_assets"] = assets(self)
        return vars(self)["tests_assets"]

    def resources(self: ScopedResourcesBuilder, names: AbstractSet[str] | None) -> "Resources":
        key = id(self), frozenset(names or ())
        if key not in seen:
            seen[key] = self, scoped(self, names)
        return seen[key][1]

    with (
        patch.object(JobDefinition, "as_ephemeral_job", job),
        patch.object(StepExecutionContext, "get_output_asset_keys", assets_of_step),
        patch.object(ScopedResourcesBuilder, "build", resources),
    ):
        yield


@contextmanager
def _prepared_once() -> Iterator[None]:
    """Prepare the log of a run's events once, and read the revisions of its tables once."""
    from alembic.script import ScriptDirectory

    from orchestration.runtime.sqlite_storage import Events

    read, prepared = ScriptDirectory.from_config, Events._initdb

    def revisions(config: "Config") -> "ScriptDirectory":
        folder = config.get_main_option("script_location")
        if folder not in _REVISIONS:
            _REVISIONS[folder] = read(config)
        return _REVISIONS[folder]

    def initialized(self: Events, engine: "Engine", for_index_shard: bool = False) -> None:
        path = Path(engine.url.database or "")
        if for_index_shard or path.stem == "index" or path.exists():
            prepared(self, engine, for_index_shard)
        elif _EMPTY_LOG:
            path.write_bytes(_EMPTY_LOG[0])
        else:
            prepared(self, engine)
            _EMPTY_LOG.append(path.read_bytes())

    with patch.object(ScriptDirectory, "from_config", revisions), patch.object(Events, "_initdb", initialized):
        yield
