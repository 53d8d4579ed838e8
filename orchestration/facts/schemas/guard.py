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
MEANINGS = {
    "guard_checks": {
        "check_id": "name of the check, unique",
        "checked_at": "when, in UTC",
        "bundle": "version of the warehouse that the bundle is of, and the bundle's digest",
        "overrides": "digest of the curators' list in force; empty without one",
        "decision": "allow, block, or unavailable where the guard could not search",
        "verdict": "exact, copy, partial_copy, altered_copy, similar, no_match_found or not_searched",
        "reason": "the decision in words",
        "method": "what decided; null where nothing spoke for a block",
        "value": "what was measured, in the unit of the threshold",
        "threshold": "the limit that the value was held against",
        "sha256": "SHA-256 of the file's bytes; null where there was no file",
        "cluster_ids": "all likely sources, as the bundle had them",
        "override": "the curator's entry that decided",
        "latency_ms": "milliseconds that the check took",
    },
}
"""What columns mean that are in one table alone, or mean something else in others: by table and name."""
