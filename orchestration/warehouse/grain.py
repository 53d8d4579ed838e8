"""What a model promises by `-- grain: shard`, and SELECTs that cannot keep it.

What belongs here: refusing such a SELECT by its text. What does not: holding the promise against rows
(`warehouse/incremental/replacement.py`).

Each row of such a model belongs to one shard, the one in its `sample_id`. It depends on the rows that its inputs have
of the same shard, and on inputs that belong to no shard, such as the settings; if one of these changes, the table is
built as a whole. So the model reads facts that say which shard a row belongs to (`TableDefinition.shard_of`), landing
metadata, and other models of this grain, and meets one with the other by `sample_id` or by shard. A view of this grain
has no rows to replace; its promises are checked for the rows of changed shards alone.
"""

from collections.abc import Sequence

from sqlglot import exp

from orchestration.facts.schemas.definition import SHARD_OF_SAMPLE
from orchestration.facts.schemas.tables import TABLES

DECLARED = "a table of the grain shard"
SHARD = SHARD_OF_SAMPLE
"""The shard of a row of such a model, in SQL."""
LANDING = "landing_metadata"
LANDED = "landing_shards"  # the fact table that says which landing file has the rows of which shard
_ACROSS = {
    exp.AggFunc: "counts or sums over rows",
    exp.Group: "groups rows",
    exp.Window: "has a window over rows",
    exp.Qualify: "has a window over rows",
    exp.Distinct: "drops equal rows",
    exp.Limit: "has a limit",
    exp.Offset: "has an offset",
    exp.Fetch: "has a limit",
    exp.TableSample: "takes a sample",
    exp.Order: "orders rows, which replaced ones do not keep",
    exp.Except: "compares rows",
    exp.Intersect: "compares rows",
}


def refusal(query: exp.Query, outputs: Sequence[str] | None) -> str | None:
    """Return why a SELECT cannot have the grain of a shard, or None.

    Args:
        query: The SELECT.
        outputs: Its columns, or None if the text does not name them.
    """
    if outputs is None or "sample_id" not in outputs:
        return "must name a column sample_id, which says what shard a row belongs to: add it"
    for kind, does in _ACROSS.items():
        if found := query.find(kind):
            return f"{does} ({found.sql(dialect='duckdb')[:80]}), which may be of several shards: take it out"
    for union in query.find_all(exp.Union):
        if union.args.get("distinct"):
            return "drops equal rows (UNION), which may be of several shards: write UNION ALL"
    for inner in query.find_all(exp.Subquery, exp.Exists, exp.In):
        if not isinstance(inner.parent, exp.From | exp.Join) and inner.find(exp.Select):
            return f"has a query within an expression ({inner.sql(dialect='duckdb')[:80]}): write a join"
    return None


def shard_of(name: str) -> str:
    """Return the shard of a row of a fact table that models read, in SQL. Empty for other inputs and tables."""
    definition = TABLES.get(name.removeprefix("lance_"))
    return definition.shard_of if definition else ""


def fact_of(name: str) -> str:
    """Return the fact table whose rows say of what shards an input has rows. Empty for one that belongs to no shard."""
    if name == LANDING:
        return LANDED
    return name.removeprefix("lance_") if shard_of(name) else ""
