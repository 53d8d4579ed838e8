"""Runs of short tests, of which Dagster records that they begin and end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from dagster import DagsterEvent

OUTLINE = "TESTS_OUTLINE_RECORDS"
"""Set in the environment, a run that is forked records its outline."""


def outline_in_forks() -> None:
    """Let runs that are forked for this process record their outline, as those in this process do.

    `make test ALL=1` leaves records as users have them, and so do commands in processes of their own.
    """
    os.environ[OUTLINE] = "1"


_REVISIONS: dict[str | None, "ScriptDirectory"] = {}


@contextmanager
def outline() -> Iterator[None]:
    """Let Dagster record that runs begin and end, and not their steps: that is a third of the work of a small run.

    Nor does it look up which materializations inputs and checks are of, for hundreds of them one after another, read
    the revisions of its tables anew for each file, or trace the columns of tables.
    """
    from alembic.script import ScriptDirectory
    from dagster import AssetCheckResult
    from dagster._core.execution.context.data_version_cache import DataVersionCache
    from dagster._core.instance.runs.run_domain import RunDomain
    from dagster._core.log_manager import DagsterLogManager

    from orchestration.runtime import asset_metadata

    log, read = DagsterLogManager.log_dagster_event, ScriptDirectory.from_config

    def begins_or_ends(
        self: DagsterLogManager,
        level: str | int,
        msg: str,
        dagster_event: "DagsterEvent",
        batch_metadata: object = None,
    ) -> None:
        if dagster_event.is_job_event:
            log(self, level, msg, dagster_event)

    def revisions(config: "Config") -> "ScriptDirectory":
        folder = config.get_main_option("script_location")
        if folder not in _REVISIONS:
            _REVISIONS[folder] = read(config)
        return _REVISIONS[folder]

    with (
        patch.object(DagsterLogManager, "log_dagster_event", begins_or_ends),
        patch.object(RunDomain, "_log_asset_planned_events"),
        patch.object(DataVersionCache, "_fetch_asset_records", return_value={}),
        patch.object(AssetCheckResult, "_get_target_materialization_data", return_value=None),
        patch.object(ScriptDirectory, "from_config", revisions),
        patch.object(asset_metadata, "lineage", return_value={}),
    ):
        yield
