"""Groups of nearly equal captions, and the note of how many pairs the join misses.

What belongs here: streaming distinct captions into the join, writing groups. What does not: how captions are compared
(`transforms/duplicates/caption_groups.py`), normalised or counted (`sql/duplicates/`).
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.catalog import samples_view
from orchestration.facts import Facts
from orchestration.facts.filters import equals
from orchestration.facts.recipes import recipe
from orchestration.progress import track
from orchestration.settings import Settings
from orchestration.warehouse import sql_folder
from orchestration.warehouse.functions import words
from orchestration.warehouse.models import load
from orchestration.warehouse.queries import query
from transforms.duplicates import caption_groups
from transforms.duplicates.caption_groups import CaptionGroups
from transforms.duplicates.caption_words import word_sets

CODE = 2  # raise when the same captions would give other groups
JOIN_ID = -1  # of captions, in the fact `joins`
_MODELS = (samples_view.SAMPLES, "duplicates.caption_keys")
# How many comparisons the exact join may take, at three to ten seconds for a thousand million; beyond, MinHash is used.
_COMPARISONS, _EACH = 50_000_000, 5_000  # in all (enough for all with all up to 10,000 captions), or for each caption
_BATCH = 8_192


def update(facts: Facts, settings: Settings) -> dict:
    """Group the captions again if they or the settings changed, and return the note of the join.

    Args:
        facts: The fact tables.
        settings: The column of the caption, and the least similarity.
    """
    table, joins = facts["caption_groups"], facts["joins"]
    made_by, noted = _recipe(facts, settings), equals("join_id", JOIN_ID)
    if table.recipe != made_by or not joins.dataset().count_rows(filter=noted):
        with (
            samples_view.open_view(facts, settings, _MODELS) as con,
            tempfile.TemporaryDirectory(prefix=".captions-", dir=settings.home) as folder,
        ):
            began = time.monotonic()
            groups, note = group(con, Path(folder), settings.thresholds.caption, settings.joins.recall_sample)
            table.replace(rows(con, groups), made_by)
            note |= {"join_id": JOIN_ID, "recipe": made_by, "seconds": time.monotonic() - began}
            joins.upsert(pa.Table.from_pylist([note], joins.schema))
    (join,) = joins.read(where=noted).to_pylist()
    return join


def _recipe(facts: Facts, settings: Settings) -> str:
    """Hash the captions' files, the caption column, its normalisation, and the settings of the join.

    New pictures change no caption.
    """
    rules = {model.name: words(model.select, sql_folder.SQL) for model in load(sql_folder.SQL) if model.name in _MODELS}
    chosen = settings.thresholds.caption, settings.joins.recall_sample
    landed = facts["landing_shards"].read(["shard_id", "readable_path", "metadata_size", "metadata_mtime_ns"])
    return recipe("captions", CODE, rules, chosen, landed.sort_by("shard_id").to_pylist())


def group(
    con: duckdb.DuckDBPyConnection, folder: Path, threshold: float, recall_sample: int
) -> tuple[CaptionGroups, dict]:
    """Group the captions of a database, and measure how many near captions the groups miss.

    Args:
        con: A database with `duplicates.caption_keys`; gets the table `distinct_captions`.
        folder: Folder for words and buckets during the work.
        threshold: Least Jaccard similarity of near captions.
        recall_sample: Count of captions compared with all others to measure the recall.

    Returns:
        The groups, by row of `distinct_captions`, and the columns of their note.
    """
    [(count,)] = con.execute(f"create table distinct_captions as {query('duplicates/distinct_captions')}").fetchall()
    sets = word_sets(track(_beginnings(con), "reading captions", count, len), folder)
    allowed = max(_COMPARISONS, _EACH * count)
    groups = caption_groups.group(sets, threshold, folder, allowed, lambda parts, task: track(parts, task, count, len))
    recall = caption_groups.recall(sets, groups, threshold, recall_sample)
    return groups, {
        "kind": "captions",
        "exact": groups.exact,
        "threshold": threshold,
        "new": count,
        "old": 0,
        "pairs": len(groups.tied),
        "recall": recall.share,
        "recall_low": recall.low,
        "recall_high": recall.high,
        "recall_pairs": recall.near,
    }


def _beginnings(con: duckdb.DuckDBPyConnection) -> Iterator[pa.Array]:
    """Stream the distinct captions, the most frequent first."""
    for batch in con.execute("select beginning from distinct_captions order by rowid").to_arrow_reader(_BATCH):
        yield batch.column(0)


def rows(con: duckdb.DuckDBPyConnection, groups: CaptionGroups) -> Iterator[pa.Table]:
    """Stream the rows of the fact: every caption of a group, including the one that names it.

    Args:
        con: The database passed to `group`.
        groups: What `group` returned.
    """
    members = groups.members
    columns = {"member": members, "head": groups.head[members], "similarity": groups.similarity[members]}
    con.register("grouped", pa.table(columns))
    for batch in con.execute(query("duplicates/caption_groups")).to_arrow_reader(_BATCH):
        yield pa.Table.from_batches([batch])
