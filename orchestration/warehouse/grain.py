"""What a model promises by `-- grain: shard` or `-- grain: cluster`, and SELECTs that cannot keep it.

What belongs here: refusing such a SELECT by its text. What does not: holding the promise against rows
(`warehouse/incremental/replacement.py`, `warehouse/incremental/cluster_rows.py`).

Each row of a model of the grain shard belongs to one shard, the one in its `sample_id`. It depends on the rows that its
inputs have of the same shard, and on inputs that belong to no shard, such as the settings; if one of these changes, the
table is built as a whole. So the model reads facts that say which shard a row belongs to (`TableDefinition.shard_of`),
landing metadata, and other models of this grain, and meets one with the other by `sample_id` or by shard. A view of
this grain has no rows to replace; its promises are checked for the rows of changed shards alone.

Each row of a model of the grain cluster belongs to one cluster, the one in its `cluster_id`. It depends on what its
inputs say of this cluster, of its members and of its representative: facts that name a cluster
(`TableDefinition.cluster_of`), facts and models of rows that belong to shards, and other models of this grain. If an
input of no shard and no cluster changes, the table is built as a whole.
"""

from collections.abc import Collection, Sequence

from sqlglot import exp

from orchestration.facts.schemas.definition import SHARD_OF_SAMPLE
from orchestration.facts.schemas.tables import TABLES

DECLARED = "a table of the grain {}"
SHARD = SHARD_OF_SAMPLE
"""The shard of a row of such a model, in SQL."""
CLUSTER = "cluster_id"
"""The column of a model of the grain cluster that says the cluster of a row."""
MEMBERS = "cluster_members"
"""The fact table that says which rows are of which cluster."""
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


def refusal(
    grain: str, query: exp.Query, outputs: Sequence[str] | None, inputs: Collection[str], view: bool
) -> str | None:
    """Return why a SELECT cannot have a grain, or None.

    Args:
        grain: `shard` or `cluster`.
        query: The SELECT.
        outputs: Its columns, or None if the text does not name them.
        inputs: The facts and other inputs that it reads.
        view: Whether it stays a view.
    """
    return _of_shards(query, outputs) if grain == "shard" else _of_clusters(query, outputs, inputs, view)


def _of_shards(query: exp.Query, outputs: Sequence[str] | None) -> str | None:
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


def _of_clusters(query: exp.Query, outputs: Sequence[str] | None, inputs: Collection[str], view: bool) -> str | None:
    if view:
        return "cannot be a view: remove `as: view`"
    if outputs is not None and CLUSTER not in outputs:
        return f"must name a column {CLUSTER}, which says what cluster a row belongs to: add it"
    for name in sorted(inputs):
        if fact_of(name) and not names_rows(name):
            return f"reads {name}, whose rows name a shard but no training row: read a model whose rows name one"
    for kind in (exp.Limit, exp.Offset, exp.Fetch, exp.TableSample):
        if found := query.find(kind):
            return f"{_ACROSS[kind]} ({found.sql(dialect='duckdb')[:80]}), which is of all clusters: take it out"
    for window in query.find_all(exp.Window):
        if not window.args.get("partition_by"):
            return f"has a window over all rows ({window.sql(dialect='duckdb')[:80]}): partition it by cluster"
    for select in query.find_all(exp.Select):
        if not select.args.get("group") and any(_aggregates(each) for each in select.selects):
            return f"counts or sums over all rows ({select.sql(dialect='duckdb')[:80]}): group them by cluster"
    last = query.args.get("order")
    if last and not all(_is_output(each.this, query, outputs) for each in last.expressions):
        return f"is ordered by what is no column of it ({last.sql(dialect='duckdb').strip()[:80]}): order by columns"
    return None


def _is_output(ordered: exp.Expression, query: exp.Query, outputs: Sequence[str] | None) -> bool:
    """Return whether rows are ordered by an output column, which has that name among the rows of the table too.

    A column of a table that is read, named with that table, is one if it is put out under its own name.
    """
    if not isinstance(ordered, exp.Column):
        return False
    name = ordered.name.lower()
    named = [each.unalias() for each in query.selects if each.alias_or_name.lower() == name]
    if ordered.table and any(not isinstance(each, exp.Column) or each.name.lower() != name for each in named):
        return False
    return bool(named) or outputs is None  # a star may have it


def _aggregates(output: exp.Expression) -> bool:
    """Return whether an output column is an aggregate over rows, and none over a window or of a query of its own."""
    return any(
        not isinstance(found.parent, exp.Window) and found.find_ancestor(exp.Select) is output.find_ancestor(exp.Select)
        for found in output.find_all(exp.AggFunc)
    )


def order(query: exp.Query) -> str:
    """Return the order of the rows of a model of the grain cluster, by its columns. Empty if it says none."""
    last = query.args.get("order")
    if last is None:
        return ""
    named = last.copy()
    for column in named.find_all(exp.Column):
        column.set("table", None)
    return ", ".join(each.sql(dialect="duckdb") for each in named.expressions)


def shard_of(name: str) -> str:
    """Return the shard of a row of a fact table that models read, in SQL. Empty for other inputs and tables."""
    definition = TABLES.get(name.removeprefix("lance_"))
    return definition.shard_of if definition else ""


def cluster_of(name: str) -> str:
    """Return the column that names the cluster of a row of a fact table that models read. Empty for all others."""
    definition = TABLES.get(name.removeprefix("lance_"))
    return definition.cluster_of if definition else ""


def names_rows(name: str) -> bool:
    """Return whether the rows of an input are each of one training row, by `sample_id`."""
    definition = TABLES.get(name.removeprefix("lance_"))
    return definition is not None and "sample_id" in definition.schema.names


def fact_of(name: str) -> str:
    """Return the fact table whose rows say of what shards an input has rows. Empty for one that belongs to no shard."""
    if name == LANDING:
        return LANDED
    return name.removeprefix("lance_") if shard_of(name) else ""
