"""The rows that become candidates because of their caption: the fact `prompt_candidates`.

What belongs here: when they are chosen again, and the input of the choice. What does not: comparing captions
(`matches/prompt_captions.py`, `matches/caption_vectors.py`), the choice (`sql/queries/matches/prompt_candidates.sql`).
"""

from collections.abc import Callable, Iterator

import duckdb
import lance
import pyarrow as pa

from orchestration.catalog import samples_view
from orchestration.duplicates.members import clusters_digest
from orchestration.facts import Facts
from orchestration.facts.recipes import recipe
from orchestration.matches import caption_vectors, prompt_captions
from orchestration.settings import Settings
from orchestration.warehouse.queries import query
from transforms.encoders import Encoder, OpenClip

CODE = 2  # raise when the same captions would give other candidates
_BATCH = 65_536


def update(facts: Facts, settings: Settings, load: Callable[[str], Encoder]) -> int:
    """Find the captions of all prompts, and choose the candidates again if anything changed.

    Args:
        facts: The fact tables; `prompt_captions` and `prompt_candidates` are written.
        settings: All of them.
        load: Loads an encoder by its name.

    Returns:
        How many different prompts there are.
    """
    readable = "status <> 'failed' and prompt is not null"
    generations = facts["generation_fingerprints"].read(["generation_id", "prompt"], readable)
    encoder = caption_vectors.text_encoder(settings, load) if len(generations) else None
    prompts = prompt_captions.prompts(generations["prompt"].to_pylist())
    prompt_captions.update(facts, settings, prompts)
    table, made_by = facts["prompt_candidates"], prompt_recipe(facts, settings, generations, encoder)
    if table.recipe != made_by:
        table.replace(choose(facts, settings, generations, prompts, encoder), made_by)
    return len(prompts)


def prompt_recipe(facts: Facts, settings: Settings, generations: pa.Table, encoder: OpenClip | None) -> str:
    """Return the recipe of the candidates.

    Args:
        facts: The fact tables.
        settings: All of them.
        generations: `generation_id` and `prompt`.
        encoder: The text encoder, if any.
    """
    versions = [facts[name].version for name in ("image_fingerprints", "prompt_captions")]
    parts: list[object] = [versions, clusters_digest(facts), settings.limits.neighbours]
    if len(generations) and encoder:
        parts += [str(encoder.id), settings.prompts.similar, prompt_captions.landed_recipe(facts)]
    return recipe("prompt candidates", CODE, generations.sort_by("generation_id").to_pylist(), *parts)


def choose(
    facts: Facts, settings: Settings, generations: pa.Table, prompts: pa.Table, encoder: OpenClip | None
) -> Iterator[pa.Table]:
    """Stream the candidates, generation by generation.

    Args:
        facts: The fact tables; `prompt_captions` is up to date.
        settings: All of them.
        generations: `generation_id` and `prompt`.
        prompts: As `prompt_captions.prompts` returns them.
        encoder: Of texts, if there is one.
    """
    if not len(prompts):
        return
    with samples_view.open_view(facts, settings, prompt_captions.MODELS) as con:
        _copy(con, "usable", facts["image_fingerprints"].dataset().scanner(["sample_id"], "status <> 'failed'"))
        _copy(con, "members", facts["cluster_members"].dataset().scanner(["sample_id", "representative_id"]))
        _copy(con, "matched", facts["prompt_captions"].dataset().scanner(["prompt_key", "sample_id", "method"]))
        con.execute("alter table matched add column score double default 1")
        if encoder:
            con.register("alike", caption_vectors.match(con, prompts, facts, encoder, settings))
            con.execute("insert into matched select prompt_key, sample_id, 'prompt_semantic', score from alike")
        con.register("generations", generations)
        con.execute("set variable most = ?", [settings.limits.neighbours])
        for batch in con.execute(query("matches/prompt_candidates")).to_arrow_reader(_BATCH):
            yield pa.Table.from_batches([batch])


def _copy(con: duckdb.DuckDBPyConnection, name: str, rows: lance.LanceScanner) -> None:
    con.register("arriving", rows.to_reader())
    con.execute(f'create table "{name}" as select * from arriving')  # noqa: S608 -- our own name
    con.unregister("arriving")
