"""The fact table of the guard, which is written outside of any run."""

import pyarrow as pa

from orchestration.facts.schemas.definition import TableDefinition

TABLES = (
    TableDefinition(
        "guard_checks",
        row="a check of a generated image by the guard",
        key={"check_id": pa.string()},
        columns={
            "checked_at": pa.timestamp("us", "UTC"),
            "bundle": pa.string(),
            "overrides": pa.string(),
            "decision": pa.string(),
            "verdict": pa.string(),
            "reason": pa.string(),
            "method": pa.string(),
            "value": pa.float64(),
            "threshold": pa.float64(),
            "p_value": pa.float64(),
            "sha256": pa.string(),
            "pixel_sha256": pa.string(),
            "cluster_ids": pa.list_(pa.uint64()),
            "override": pa.string(),
            "latency_ms": pa.float64(),
        },
    ),
)
