"""The code location: all assets, jobs, sensors and the one resource. `[tool.dagster]` in pyproject.toml points here."""

import logging
import warnings
from typing import Any

import dagster as dg

warnings.filterwarnings("ignore", category=dg.BetaWarning)  # backfill_policy; dagster is pinned
# A run that has nothing to publish checks nothing, and publishes nothing that a check would have to block.
logging.getLogger("dagster._core.execution.plan.active").addFilter(lambda record: "emitted no result" not in record.msg)

from orchestration import automation  # noqa: E402
from orchestration import defs as stages  # noqa: E402
from orchestration.open_lineage import hooks  # noqa: E402
from orchestration.runtime import asset_metadata, instance  # noqa: E402
from orchestration.runtime.resources import WarehouseResource  # noqa: E402

# What a run launched in the UI prints: its page has all of its events.
_CONSOLE = dg.LoggerDefinition(
    dg.colored_console_logger.logger_fn,
    {
        "log_level": dg.Field(str, default_value="WARNING", description="The least level that is printed."),
        "name": dg.Field(str, default_value="dagster", description="The name of the logger."),
    },
    "Prints a run's warnings and errors.",
)
_ASSETS: Any = dg.load_assets_from_package_module(stages, include_specs=True)
defs = dg.Definitions(
    assets=hooks.attached(dg.map_asset_specs(asset_metadata.describe, _ASSETS)),
    jobs=automation.JOBS,
    sensors=[*automation.SENSORS, *hooks.sensors(instance.IN_PROCESS)],
    schedules=automation.SCHEDULES,
    resources={"warehouse": WarehouseResource()},
    executor=dg.in_process_executor,
    loggers={"console": _CONSOLE},
)
