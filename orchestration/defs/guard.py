"""What the guard was asked: a fact that no run makes.

What belongs here: its asset, so that lineage and columns are shown. What does not: writing it (`guard/log.py`), reading
it beside the warehouse (`sql/provenance/guard_log.sql`).
"""

import dagster as dg

guard_checks = dg.AssetSpec(
    "guard_checks",
    description="Checks of images by the guard, as `raisonne check --log` and `raisonne serve --log` note them.",
    group_name="matches",
    kinds={"lancedb"},
    owners=["team:product"],
)
