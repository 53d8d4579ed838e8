"""Which training rows have a generation's prompt as their caption? The facts `prompts` and `prompt_captions`.

What belongs here: comparing prompts and captions as texts, by shard, so that each new shard and prompt is compared
once. What does not: texts close in meaning (`matches/caption_vectors.py`), choosing candidates
(`matches/prompt_candidates.py`), normalising them (`sql/functions/normalised_caption.sql`).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import batched

import duckdb
import pyarrow as pa

from orchestration.catalog import samples_view
from orchestration.facts import Facts, FactTable
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import recipe
from orchestration.progress import track
from orchestration.settings import Settings
from orchestration.warehouse import functions, macros, sql_folder
from orchestration.warehouse.queries import query

CODE = 1  # raise when the same captions would match other prompts
MODELS = (samples_view.SAMPLES, "duplicates.caption_keys")
_SHARDS = 256  # read, committed and noted at once: what a killed run loses
_KEYS = 1_000  # in one filter
_BATCH = 65_536


def prompts(texts: Sequence[str]) -> pa.Table:
    """Return the different prompts in the form of captions: `prompt_key` (SHA-256), `prompt`, `normalised`.

    White space alone does not count as a prompt or a caption.
    """
    with duckdb.connect() as con:
        macros.create(con, functions.load(sql_folder.SQL))
        con.register("given", pa.table({"prompt": pa.array(sorted(set(texts)), pa.string())}))
        return con.execute(query("matches/normalised_prompts")).to_arrow_table()


def update(facts: Facts, settings: Settings, current: pa.Table) -> None:
    """Update `prompt_captions` with the current prompts and the captions of landed shards.

    Does nothing if neither changed. Compares the captions of a new shard with all prompts, and new prompts with all
    captions. Writes rows before their note. Rows without a note, which a killed run left, are deleted first.

    Args:
        facts: The fact tables.
        settings: All of them.
        current: The prompts, as `prompts` returns them.
    """
    known, notes, rows = facts["prompts"], facts["prompt_shards"], facts["prompt_captions"]
    landed = _landed(facts)
    noted = {row["shard_id"]: row["recipe"] for row in notes.read().to_pylist()}
    outdated = [shard_id for shard_id, made_by in noted.items() if landed.get(shard_id, ("", ""))[1] != made_by]
    _delete(notes, "shard_id", outdated)
    _delete(rows, "shard_id", outdated)
    keys = set(known.read(["prompt_key"])["prompt_key"].to_pylist())
    gone = sorted(keys - set(current["prompt_key"].to_pylist()))
    _delete(known, "prompt_key", gone)
    _delete(rows, "prompt_key", gone)
    new = current.filter(pa.array([key not in keys for key in current["prompt_key"].to_pylist()], pa.bool_()))
    read = {shard_id: landed[shard_id] for shard_id in sorted(noted.keys() - set(outdated))}
    unread = {shard_id: file for shard_id, file in landed.items() if shard_id not in read}
    if len(new):
        _delete(rows, "prompt_key", new["prompt_key"].to_pylist())
        for shards in _groups(read, "captions with new prompts"):
            rows.append(_matches(facts, settings, new, [read[shard_id][0] for shard_id in shards]))
        known.upsert(new)
    for shards in _groups(unread, "new captions with prompts"):
        _delete(rows, "shard_id", shards)
        rows.append(_matches(facts, settings, current, [unread[shard_id][0] for shard_id in shards]))
        done = [{"shard_id": shard_id, "recipe": unread[shard_id][1]} for shard_id in shards]
        notes.upsert(pa.Table.from_pylist(done, notes.schema))


def _groups(shards: Iterable[int], task: str) -> Iterator[tuple[int, ...]]:
    groups = list(batched(shards, _SHARDS))
    return track(groups, task, sum(map(len, groups)), len)


def landed_recipe(facts: Facts) -> str:
    """Return a value that changes with the captions."""
    return recipe("landed captions", [made_by for _, made_by in _landed(facts).values()])


def _landed(facts: Facts) -> dict[int, tuple[str, str]]:
    """Return for each shard the file of its captions, and a hash of the file and of how captions are read."""
    rules = samples_view.rules(MODELS)
    files = samples_view.deliveries(facts, "readable_path is not null")
    return {
        file["shard_id"]: (file["readable_path"], recipe("prompts", CODE, rules, file)) for file in files.to_pylist()
    }


def _matches(facts: Facts, settings: Settings, prompts: pa.Table, paths: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Stream the rows of these files whose caption is one of the prompts."""
    if not len(prompts):
        return  # no file is opened for nothing
    with samples_view.open_view(facts, settings, MODELS, paths) as con:
        con.register("prompts", prompts)
        yield from con.execute(query("matches/prompt_captions")).to_arrow_reader(_BATCH)


def _delete[Key: (int, str)](table: FactTable, column: str, values: Sequence[Key]) -> None:
    for some in batched(values, _KEYS):
        table.delete(is_in(column, some))
