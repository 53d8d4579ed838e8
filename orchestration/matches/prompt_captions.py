"""Which training rows carry a generation's prompt as their caption? The facts `prompts` and `prompt_captions`.

What belongs here: prompts and captions compared as texts, kept by shard, so that a new shard and a new prompt are each
read against the others once. What does not: texts of like meaning (`matches/caption_vectors.py`), which of the rows
become candidates (`defs/prompts.py`), how a caption is normalised (`sql/duplicates/caption_keys.sql`).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import batched

import duckdb
import pyarrow as pa

from orchestration.catalog import samples_view
from orchestration.facts import FactTable, literal
from orchestration.facts.recipes import recipe
from orchestration.progress import track
from orchestration.runtime.resources import Warehouse
from orchestration.warehouse import build
from orchestration.warehouse.functions import words
from orchestration.warehouse.models import load

CODE = 1  # raise when the same captions would meet other prompts
MODELS = (samples_view.SAMPLES, "duplicates.caption_keys")
_SHARDS = 256  # read, committed and noted at once: what a killed run loses
_KEYS = 1_000  # named in one filter
_BATCH = 65_536
_FILE = ["shard_id", "readable_path", "metadata_size", "metadata_mtime_ns"]

# Texts are compared themselves, never by a digest that somebody could make two captions share.
_MATCHED = """
    with equal as (
        select prompts.prompt_key, keys.sample_id
        from duplicates.caption_keys as keys
        join prompts using (normalised)
    ),
    same as (
        select prompts.prompt_key, samples.sample_id
        from catalog.samples as samples
        join prompts on prompts.prompt = samples.caption
    )
    select
        equal.prompt_key,
        equal.sample_id,
        (equal.sample_id // 67108864)::bigint as shard_id,
        if(same.sample_id is null, 'prompt_normalised', 'prompt') as method
    from equal
    left join same using (prompt_key, sample_id)
"""
_NORMALISED = """
    select sha256(samples.caption) as prompt_key, samples.caption as prompt, keys.normalised
    from ({select}) as keys
    join catalog.samples as samples using (sample_id)
    order by prompt_key
"""


def prompts(texts: Sequence[str]) -> pa.Table:
    """Return different prompts as captions are compared: `prompt_key` (SHA-256), `prompt`, `normalised`.

    By the very model that normalises captions. A prompt of white space alone is none, as such a caption is none.
    """
    (rules,) = (model.select for model in load(build.SQL) if model.name == MODELS[-1])
    with duckdb.connect() as con:
        con.register("given", pa.table({"caption": pa.array(sorted(set(texts)), pa.string())}))
        con.execute("create schema catalog")
        con.execute(
            "create table catalog.samples as "
            "select row_number() over () as sample_id, caption, false as recalled from given"
        )
        return con.execute(_NORMALISED.format(select=rules)).to_arrow_table()


def update(warehouse: Warehouse, wanted: pa.Table) -> None:
    """Bring `prompt_captions` up to date with the prompts that are wanted and the captions that have landed.

    wanted: as `prompts` returns them. Nothing is read or written where neither has changed. Of a new shard, its own
    captions are read against all prompts; for new prompts, all captions once. Rows are written before the note that
    they are, and what a killed run left without a note is deleted first.
    """
    facts = warehouse.facts
    known, notes, found = facts["prompts"], facts["prompt_shards"], facts["prompt_captions"]
    landed = _landed(warehouse)
    noted = {row["shard_id"]: row["recipe"] for row in notes.read().to_pylist()}
    outdated = [shard_id for shard_id, made_by in noted.items() if landed.get(shard_id, ("", ""))[1] != made_by]
    _delete(notes, "shard_id", outdated)
    _delete(found, "shard_id", outdated)
    keys = set(known.read(["prompt_key"])["prompt_key"].to_pylist())
    gone = sorted(keys - set(wanted["prompt_key"].to_pylist()))
    _delete(known, "prompt_key", gone)
    _delete(found, "prompt_key", gone)
    fresh = wanted.filter(pa.array([key not in keys for key in wanted["prompt_key"].to_pylist()], pa.bool_()))
    read = {shard_id: landed[shard_id] for shard_id in sorted(noted.keys() - set(outdated))}
    unread = {shard_id: file for shard_id, file in landed.items() if shard_id not in read}
    if len(fresh):
        _delete(found, "prompt_key", fresh["prompt_key"].to_pylist())
        for shards in _groups(read, "captions with new prompts"):
            found.append(_matched(warehouse, fresh, [read[shard_id][0] for shard_id in shards]))
        known.upsert(fresh)
    for shards in _groups(unread, "new captions with prompts"):
        _delete(found, "shard_id", shards)
        found.append(_matched(warehouse, wanted, [unread[shard_id][0] for shard_id in shards]))
        rows = [{"shard_id": shard_id, "recipe": unread[shard_id][1]} for shard_id in shards]
        notes.upsert(pa.Table.from_pylist(rows, notes.schema))


def _groups(shards: Iterable[int], task: str) -> Iterator[tuple[int, ...]]:
    groups = list(batched(shards, _SHARDS))
    return track(groups, task, sum(map(len, groups)), len)


def landed_recipe(warehouse: Warehouse) -> str:
    """Return what tells one state of all captions from the next."""
    return recipe("landed captions", [made_by for _, made_by in _landed(warehouse).values()])


def _landed(warehouse: Warehouse) -> dict[int, tuple[str, str]]:
    """Return by shard the file its captions are in, and a hash of that file and of how captions are read from it."""
    rules = {model.name: words(model.select, build.SQL) for model in load(build.SQL) if model.name in MODELS}
    files = warehouse.facts["landing_shards"].read(_FILE, "readable_path is not null").sort_by("shard_id")
    return {
        file["shard_id"]: (file["readable_path"], recipe("prompts", CODE, rules, file)) for file in files.to_pylist()
    }


def _matched(warehouse: Warehouse, wanted: pa.Table, paths: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Stream the rows of these files whose caption is one of the prompts."""
    if not len(wanted):
        return  # no file is opened for nothing
    with samples_view.opened(warehouse.facts, warehouse.settings, MODELS) as con:
        con.execute("set variable landing_paths = ?", [sorted(paths)])  # of all that the view could read
        con.register("prompts", wanted)
        yield from con.execute(_MATCHED).to_arrow_reader(_BATCH)


def _delete(table: FactTable, column: str, values: Sequence[int] | Sequence[str]) -> None:
    for some in batched(values, _KEYS):
        named = ", ".join(literal(value) if isinstance(value, str) else str(value) for value in some)
        table.delete(f"{column} in ({named})")
