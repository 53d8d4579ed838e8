"""The code location: all assets, jobs, sensors and the one resource. `[tool.dagster]` in pyproject.toml points here."""

import warnings
from typing import Any

import dagster as dg

warnings.filterwarnings("ignore", category=dg.BetaWarning)  # backfill_policy; dagster is pinned

from orchestration import automation, pictured  # noqa: E402
from orchestration.defs import (  # noqa: E402
    calibration,
    catalog,
    duplicates,
    fingerprints,
    guard,
    matches,
    memorization,
    prompts,
    recalls,
    reports,
    texts,
    warehouse,
)
from orchestration.resources import Warehouse  # noqa: E402

_ASSETS: Any = dg.load_assets_from_modules(
    [
        catalog,
        fingerprints,
        recalls,
        duplicates,
        texts,
        prompts,
        matches,
        calibration,
        memorization,
        guard,
        warehouse,
        reports,
    ],
    include_specs=True,
)
defs = dg.Definitions(
    assets=dg.map_asset_specs(pictured.labelled, _ASSETS),
    jobs=automation.JOBS,
    sensors=automation.SENSORS,
    schedules=automation.SCHEDULES,
    resources={"warehouse": Warehouse()},
    executor=dg.in_process_executor,
)
