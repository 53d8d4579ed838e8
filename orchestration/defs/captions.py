"""Which captions nearly say the same? The asset `caption_groups` of the stage `duplicates`.

What belongs here: streaming distinct captions into the join, writing groups, noting how many it misses. What does not:
how captions are compared (`transforms/duplicates/caption_groups.py`, `duplicates/caption_words.py`), normalised or
counted (`sql/duplicates/`).
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow as pa

from orchestration.catalog import samples_view
from orchestration.defs.catalog import landing_shards
from orchestration.facts.recipes import recipe, sql_words
from orchestration.progress import track
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import Warehouse
from orchestration.warehouse import build
from orchestration.warehouse.models import load
from transforms.duplicates import caption_groups as captions
from transforms.duplicates.caption_words import word_sets

CODE = 1  # raise when the same captions would give other groups
JOIN_ID = -1  # of captions, in the fact `joins`
_MODELS = (samples_view.SAMPLES, "duplicates.caption_keys")
# How much the exact comparison may take, at a minute for a thousand million; what takes more is left to MinHash.
_COMPARISONS, _EACH = 50_000_000, 500  # in all (up to 10,000 captions that is all with all), or for each caption
_BATCH = 8_192

# Captions that say much are compared by their beginning. The most frequent come first, and lead their groups.
_DISTINCT = """
    create table distinct_captions as
    select caption_key, any_value(left(normalised, 2000)) as beginning
    from duplicates.caption_keys
    group by caption_key
    order by count(*) desc, caption_key
"""
_GROUPED = """
    select member.caption_key, leader.caption_key as group_key, tied.similarity
    from tied
    join distinct_captions as member on member.rowid = tied.position
    join distinct_captions as leader on leader.rowid = tied.head
    order by member.caption_key
"""


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "numba"},
    owners=["team:safety-research"],
    deps=[landing_shards],
    pool="cpu",
)
def caption_groups(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Captions that nearly equal a more frequent one, in groups named after that one. Recalled rows are among them."""
    table, joins = warehouse.facts["caption_groups"], warehouse.facts["joins"]
    made_by = _recipe(warehouse)
    if table.recipe != made_by or not joins.dataset().count_rows(filter=f"join_id = {JOIN_ID}"):
        with (
            samples_view.opened(warehouse.facts, warehouse.settings, _MODELS) as con,
            tempfile.TemporaryDirectory(prefix=".captions-", dir=warehouse.home) as folder,
        ):
            began = time.monotonic()
            groups, note = _grouped(con, warehouse, Path(folder))
            table.replace(_rows(con, groups), made_by)
            note |= {"join_id": JOIN_ID, "recipe": made_by, "seconds": time.monotonic() - began}
            joins.upsert(pa.Table.from_pylist([note], joins.schema))
    (join,) = joins.read(where=f"join_id = {JOIN_ID}").to_pylist()
    keys = table.read(["group_key"])["group_key"]
    return dg.MaterializeResult(
        metadata={
            **asset_metadata.fact(table),
            "groups": len(keys.unique()),
            "distinct captions": join["new"],
            "exact": join["exact"],
            "recall": join["recall"]
            if join["recall"] is not None
            else "not measured: no sampled caption is near another",
        }
    )


def _recipe(warehouse: Warehouse) -> str:
    """Hash the captions' files, which column is a caption, how it is normalised, and the settings of the join.

    Pictures that arrive change no caption.
    """
    rules = {model.name: sql_words(model.select) for model in load(build.SQL) if model.name in _MODELS}
    chosen = warehouse.settings.thresholds.caption, warehouse.settings.joins.recall_sample
    landed = warehouse.facts["landing_shards"].read(["shard_id", "readable_path", "metadata_size", "metadata_mtime_ns"])
    files = landed.sort_by("shard_id").to_pylist()
    return recipe("captions", CODE, rules, chosen, files)


def _grouped(con: duckdb.DuckDBPyConnection, warehouse: Warehouse, folder: Path) -> tuple[captions.CaptionGroups, dict]:
    threshold = warehouse.settings.thresholds.caption
    con.execute(_DISTINCT)
    count = int(con.execute("select count(*) from distinct_captions").fetchall()[0][0])
    sets = word_sets(track(_beginnings(con), "reading captions", count, len), folder)
    allowed = max(_COMPARISONS, _EACH * count)
    groups = captions.group(sets, threshold, folder, allowed, lambda parts, task: track(parts, task, count, len))
    found = captions.recall(sets, groups, threshold, warehouse.settings.joins.recall_sample)
    return groups, {
        "kind": "captions",
        "exact": groups.exact,
        "threshold": threshold,
        "new": count,
        "old": 0,
        "pairs": len(groups.tied),
        "recall": found.share,
        "recall_low": found.low,
        "recall_high": found.high,
        "recall_pairs": found.near,
    }


def _beginnings(con: duckdb.DuckDBPyConnection) -> Iterator[pa.Array]:
    """Stream the distinct captions, the most frequent first."""
    for batch in con.execute("select beginning from distinct_captions order by rowid").to_arrow_reader(_BATCH):
        yield batch.column(0)


def _rows(con: duckdb.DuckDBPyConnection, groups: captions.CaptionGroups) -> Iterator[pa.Table]:
    """Stream the rows of the fact: every caption of a group, the one it is named after among them."""
    members = groups.members
    con.register(
        "tied",
        pa.table({"position": members, "head": groups.head[members], "similarity": groups.similarity[members]}),
    )
    for batch in con.execute(_GROUPED).to_arrow_reader(_BATCH):
        yield pa.Table.from_batches([batch])
