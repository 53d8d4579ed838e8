"""The guard's log, a fact that no run computes.

What belongs here: its asset, so that the UI shows lineage and columns. What does not: writing it (`guard/log.py`),
the published table (`sql/provenance/guard_log.sql`).
"""

import dagster as dg

guard_checks = dg.AssetSpec(
    "guard_checks",
    description="Verdicts of the guard, as `raisonne check --log` and `raisonne serve --log` record them.",
    group_name="matches",
    kinds={"lancedb"},
    owners=["team:product"],
)
