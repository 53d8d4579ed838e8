"""Groups of nearly equal captions, and the note of how many pairs the join misses.

What belongs here: streaming distinct captions into the join, writing groups. What does not: how captions are compared
(`transforms/duplicates/caption_groups.py`), what new ones change (`transforms/duplicates/caption_changes.py`), keeping
their words (`duplicates/kept_captions.py`), normalising or counting them (`sql/duplicates/`).
"""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.catalog import samples_view
from orchestration.duplicates import kept_captions
from orchestration.duplicates.kept_captions import KeptCaptions
from orchestration.facts import Facts
from orchestration.facts.filters import equals, is_in
from orchestration.facts.recipes import recipe
from orchestration.progress import track
from orchestration.settings import Settings
from orchestration.warehouse.queries import query
from transforms.duplicates import caption_changes, caption_groups
from transforms.duplicates.caption_changes import Tie
from transforms.duplicates.caption_groups import CaptionGroups
from transforms.duplicates.caption_words import word_sets

CODE = 2  # raise when the same captions would give other groups
JOIN_ID = -1  # of captions, in the fact `joins`
_MODELS = (samples_view.SAMPLES, "duplicates.caption_keys")
# How many comparisons the exact join may take, at three to ten seconds for a thousand million; beyond, MinHash is used.
_COMPARISONS, _EACH = 50_000_000, 5_000  # in all (enough for all with all up to 10,000 captions), or for each caption
_BATCH = 8_192
_MOST_CHANGED, _MOST = 0.25, 500_000  # of the captions, and in all: beyond, all are grouped anew
_TIES = pa.schema({"caption_key": pa.string(), "group_key": pa.string(), "similarity": pa.float64()})


def update(facts: Facts, settings: Settings) -> dict:
    """Group the captions if they or the settings changed, and return the note of the join.

    Where the groups are exact, only those are made again that new captions may change, with the same result.

    Args:
        facts: The fact tables.
        settings: The column of the caption, and the least similarity.
    """
    table, joins = facts["caption_groups"], facts["joins"]
    landed, noted = samples_view.deliveries(facts), equals("join_id", JOIN_ID)
    made_by = _recipe(settings, landed)
    if table.recipe != made_by or not joins.dataset().count_rows(filter=noted):
        began = time.monotonic()
        note = _extend(facts, settings, landed) or _group_all(facts, settings, landed)
        note |= {"join_id": JOIN_ID, "recipe": made_by, "seconds": time.monotonic() - began}
        joins.upsert(pa.Table.from_pylist([note], joins.schema))
        table.note_recipe(made_by)  # last: what a run leaves that is killed before is made again as a whole
    (join,) = joins.read(where=noted).to_pylist()
    return join


def _recipe(settings: Settings, landed: pa.Table) -> str:
    """Hash the captions' files, the caption column, its normalisation, and the settings of the join.

    New pictures change no caption.
    """
    rules = samples_view.rules(_MODELS)
    chosen = settings.thresholds.caption, settings.joins.recall_sample
    return recipe("captions", CODE, rules, chosen, landed.to_pylist())


def _group_all(facts: Facts, settings: Settings, landed: pa.Table) -> dict:
    with (
        samples_view.open_view(facts, settings, _MODELS) as con,
        tempfile.TemporaryDirectory(prefix=".captions-", dir=settings.home) as folder,
    ):
        groups, note = group(con, Path(folder), settings.thresholds.caption, settings.joins.recall_sample)
        facts["caption_groups"].replace(rows(con, groups), "")
        facts["shard_captions"].clear()
        if groups.exact:  # others cannot be extended exactly, and need no words later
            kept_captions.write(facts, (), kept_captions.with_words(con, _BATCH), landed)
        else:
            facts["captioned_shards"].clear()
    return note


def _extend(facts: Facts, settings: Settings, landed: pa.Table) -> dict | None:
    """Change the groups that new, changed and removed captions change. Return the note; None if that is not possible.

    It is if the groups are those of the kept captions, by the same rules and settings, and few captions changed.
    """
    grouped = facts["captioned_shards"].read(samples_view.DELIVERY).sort_by("shard_id")
    notes = facts["joins"].read(where=equals("join_id", JOIN_ID)).to_pylist()
    if not notes or not notes[0]["exact"] or facts["caption_groups"].recipe != _recipe(settings, grouped):
        return None
    was, is_now = ({row["shard_id"]: row for row in table.to_pylist()} for table in (grouped, landed))
    stale = sorted(shard for shard in was if is_now.get(shard) != was[shard])
    files = {row["readable_path"] for shard, row in is_now.items() if was.get(shard) != row} - {None}
    kept = facts["shard_captions"]
    old = kept.read(["caption_key", "rows"], is_in("shard_id", stale))
    most = min(_MOST, _MOST_CHANGED * kept.dataset().count_rows())
    if len(old) > most:
        return None
    with samples_view.open_view(facts, settings, _MODELS, files) as con:
        con.execute(f"create or replace table shard_captions as {query('duplicates/shard_captions')}")
        [(count,)] = con.execute("select count(*) from shard_captions").fetchall()
        if count > most:
            return None
        arriving = pa.Table.from_batches(kept_captions.with_words(con, _BATCH), kept.schema)
        con.register("groups", facts["caption_groups"].dataset().scanner().to_reader())
        con.execute("create table ties as from groups where caption_key <> group_key")
        allowed = max(_COMPARISONS, _EACH * notes[0]["new"])
        store = KeptCaptions(facts, con, settings.thresholds.caption, stale, arriving, allowed)
        changes = _changes(store, old)
        ties = caption_changes.regroup(store, changes)
        if ties is None:
            return None
        appeared = _write_ties(con, store, changes, ties)
        groups = con.execute(query("duplicates/tied_captions")).to_arrow_reader(_BATCH)
        facts["caption_groups"].replace((pa.Table.from_batches([batch]) for batch in groups), "")
        kept_captions.write(facts, stale, arriving.to_batches(), landed)
        [(tied,)] = con.execute("select count(*) from ties").fetchall()
    note = notes[0] | {"new": notes[0]["new"] + appeared, "pairs": tied, "recall_pairs": tied}
    return note | {"recall": 1.0, "recall_low": 1.0, "recall_high": 1.0}


def _changes(store: KeptCaptions, old: pa.Table) -> dict[bytes, int]:
    """Return the captions whose frequency changed, with how often each was there before."""
    more: Counter[bytes] = Counter()
    for table, sign in ((store.arriving, 1), (old, -1)):
        for key, count in zip(table["caption_key"].to_pylist(), table["rows"].to_pylist(), strict=True):
            more[key] += sign * count
    now = store.counts([key for key, count in more.items() if count])
    return {key: count - more[key] for key, count in now.items()}


def _write_ties(
    con: duckdb.DuckDBPyConnection, store: KeptCaptions, changes: Mapping[bytes, int], ties: Mapping[bytes, Tie]
) -> int:
    """Change the table `ties`, and return by how many there are more different captions."""
    decided = pa.table(
        {"caption_key": [key.hex() for key in {*changes, *ties}]}, pa.schema({"caption_key": pa.string()})
    )
    tied = [(key.hex(), head.hex(), similarity) for key, (head, similarity) in ties.items() if head != key]
    columns = zip(*tied, strict=True) if tied else ([], [], [])
    new = pa.table(dict(zip(("caption_key", "group_key", "similarity"), map(list, columns), strict=True)), _TIES)
    con.register("decided", decided)
    con.register("decided_ties", new)
    con.execute("delete from ties where caption_key in (select caption_key from decided)")
    con.execute("insert into ties select * from decided_ties")
    now = store.counts(changes)
    return sum(bool(now[key]) - bool(before) for key, before in changes.items())


def group(
    con: duckdb.DuckDBPyConnection, folder: Path, threshold: float, recall_sample: int
) -> tuple[CaptionGroups, dict]:
    """Group the captions of a database, and measure how many near captions the groups miss.

    Args:
        con: A database with `duplicates.caption_keys`; gets the tables `shard_captions` and `distinct_captions`.
        folder: Folder for words and buckets during the work.
        threshold: Least Jaccard similarity of near captions.
        recall_sample: Count of captions compared with all others to measure the recall.

    Returns:
        The groups, by row of `distinct_captions`, and the columns of their note.
    """
    con.execute(f"create or replace table shard_captions as {query('duplicates/shard_captions')}")
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
