"""The shards whose rows differ between two versions of a fact table.

What belongs here: comparing the rows of two Lance versions. What does not: what is made again for it
(`warehouse/incremental/shard_changes.py`).

Lance never changes a file. A fragment that both versions have holds the same rows in both, so only the others are read:
the cost is in proportion to what was written since, and a compaction, which writes rows to other files, is seen to
change none. Rows are compared by their content, so nothing depends on a writer that notes what it changed.
"""

import json

import duckdb
import lance

from orchestration.warehouse import build, grain


def changed_shards(table: str, older: lance.LanceDataset, newer: lance.LanceDataset, memory: str) -> set[int] | None:
    """Return the shards of which a row was added, changed or removed. None if the columns differ.

    Args:
        table: The name of a fact table whose rows belong to shards.
        older: One version of it.
        newer: Another.
        memory: The most that DuckDB may hold.
    """
    if older.schema != newer.schema:
        return None
    was, is_now = _fragments(older), _fragments(newer)
    gone = [fragment for name, fragment in was.items() if name not in is_now]
    come = [fragment for name, fragment in is_now.items() if name not in was]
    columns, shard = build.columns_read(table), grain.shard_of(table)
    with duckdb.connect(config={"memory_limit": memory}) as con:
        for name, dataset, fragments in (("gone", older, gone), ("come", newer, come)):
            rows = dataset.scanner(columns, fragments=fragments) if fragments else dataset.scanner(columns, limit=0)
            con.register("arriving", rows.to_reader())
            con.execute(
                f"create temp table {name} as select {shard}::bigint as shard_id, count(*) as rows, "  # noqa: S608
                "sum(hash(arriving)) as content from arriving group by all"
            )
            con.unregister("arriving")
        differ = "from gone full join come using (shard_id, rows, content) where gone.rows is null or come.rows is null"
        return {number for (number,) in con.execute(f"select shard_id {differ}").fetchall()}


def _fragments(dataset: lance.LanceDataset) -> dict[str, lance.LanceFragment]:
    """Return the fragments by all that says what rows they hold: their files, and which of their rows are deleted."""
    return {json.dumps(each.metadata.to_json(), sort_keys=True): each for each in dataset.get_fragments()}
