"""The fact tables of what people decide: decisions, and what became of those about clusters.

Decisions name pictures by their digests, which a new shard, a second download or another encoder leaves as they are.
"""

import pyarrow as pa

from orchestration.facts.schemas.definition import TableDefinition

TABLES = (
    TableDefinition(
        "decisions",
        row="an answer that a person gave about pictures, or took back; rows are added and never changed",
        key={"decision_id": pa.string()},
        columns={
            "decided_at": pa.timestamp("us", "UTC"),
            "decided_by": pa.string(),
            "kind": pa.string(),
            "answer": pa.string(),
            "picture_a": pa.string(),
            "picture_b": pa.string(),
            "undoes": pa.string(),
            "reason": pa.string(),
            "version_seen": pa.int64(),
            "verdict_seen": pa.string(),
            "method_seen": pa.string(),
            "seconds": pa.float64(),
            "queue": pa.string(),
            "blind": pa.bool_(),
            "stratum": pa.string(),
            "stratum_size": pa.int64(),
            "probability": pa.float64(),
        },
    ),
    TableDefinition(
        "cluster_decisions",
        row="a decision about clusters that is in force, and whether the clusters follow it",
        key={"decision_id": pa.string()},
        columns={"state": pa.string(), "why": pa.string()},
        written_by="cluster_members",
    ),
)
MEANINGS = {
    "decisions": {
        "decision_id": "name of the decision, unique; of an imported one without a name a hash of what it says",
        "decided_at": "when, in UTC",
        "decided_by": "who decided",
        "kind": "of what: pair, cluster, case or guard_block",
        "answer": "same, different, keep, remove_all, fine, not_a_copy, copy, block, allow, unsure, or undo",
        "picture_a": "SHA-256 of pixels: one of a pair, a cluster's representative, the generation, the image blocked",
        "picture_b": "SHA-256 of pixels: the other of a pair, the picture to keep, the training picture; else null",
        "undoes": "of an undo, the decision that it takes back",
        "reason": "why, in the words of who decided",
        "version_seen": "the published version that was looked at",
        "verdict_seen": "the verdict that this version gave; null where there was none",
        "method_seen": "the method that had found it",
        "seconds": "what the decision took",
        "queue": "how the item was chosen: ranked, sampled, second (asked of a second person) or imported",
        "blind": "whether the verdict was hidden",
        "stratum": "of a sampled item, the group of items that it was drawn from",
        "stratum_size": "items of that group",
        "probability": "how likely it was to be drawn",
    },
    "cluster_decisions": {
        "decision_id": "of `decisions`",
        "state": "applied or waiting",
        "why": "why it waits; null where it is applied",
    },
}
"""What columns mean that are in one table alone, or mean something else in others: by table and name."""
