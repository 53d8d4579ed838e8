"""Which training pictures were trained on under a generation's prompt? The asset `prompt_candidates`.

What belongs here: which matched rows become candidates, and writing them. What does not: matching captions
(`matches/prompt_captions.py`, `matches/caption_vectors.py`), comparing pixels (`defs/matches.py`).
"""

from collections.abc import Iterator

import dagster as dg
import duckdb
import lance
import pyarrow as pa

from orchestration.catalog import samples_view
from orchestration.defs.catalog import landing_shards
from orchestration.defs.duplicates import cluster_members
from orchestration.defs.fingerprints import generation_fingerprints
from orchestration.duplicates.members import clusters_digest
from orchestration.facts.recipes import recipe
from orchestration.matches import caption_vectors, prompt_captions
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import Warehouse

CODE = 1  # raise when the same captions would give other candidates
_BATCH = 65_536

# A picture counts once for a prompt, by the strongest method that brings it, and stands as the lowest row so captioned.
_CHOSEN = """
    with placed as (
        select
            matched.*,
            list_position(['prompt', 'prompt_normalised', 'prompt_semantic'], matched.method) as strength,
            coalesce(members.representative_id, matched.sample_id) as cluster_id
        from matched
        semi join usable using (sample_id)
        left join members using (sample_id)
    ),
    clusters as (
        select
            prompt_key, cluster_id, method, strength,
            max(score) as score, count(*) as times, min(sample_id) as sample_id
        from placed
        group by prompt_key, cluster_id, method, strength
        qualify row_number() over (partition by prompt_key, cluster_id order by strength) = 1
    ),
    best as (
        select *
        from clusters
        qualify row_number() over (
            partition by prompt_key, method order by score desc, times desc, sample_id
        ) <= getvariable('most')
    )
    select generations.generation_id, best.sample_id, best.method, best.score
    from generations
    join best on best.prompt_key = sha256(generations.prompt)
    order by generations.generation_id, best.strength, best.sample_id
"""


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "duckdb"},
    owners=["team:safety-research"],
    deps=[landing_shards, cluster_members, generation_fingerprints],
    pool="gpu",
)
def prompt_candidates(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Training pictures whose caption is a generation's prompt: as it is, normalised, or close in meaning.

    For each generation and method at most `limits.neighbours` pictures, those first that were trained on most often
    under that caption, of like captions the closest; of a cluster, one row. Only a row with a usable picture counts.
    """
    table = warehouse.facts["prompt_candidates"]
    shown = warehouse.facts["generation_fingerprints"].read(
        ["generation_id", "prompt"], "status <> 'failed' and prompt is not null"
    )
    prompts = prompt_captions.prompts(shown["prompt"].to_pylist())
    prompt_captions.update(warehouse, prompts)
    made_by = _recipe(warehouse, shown)
    if table.recipe != made_by:
        table.replace(_chosen(warehouse, shown, prompts), made_by)
    return dg.MaterializeResult(
        metadata={
            **asset_metadata.fact(table),
            "prompts": len(prompts),
            "rows of such a caption": warehouse.facts["prompt_captions"].dataset().count_rows(),
            **table.counts("method"),
        }
    )


def _recipe(warehouse: Warehouse, shown: pa.Table) -> str:
    """Hash what is chosen from."""
    versions = [warehouse.facts[name].version for name in ("image_fingerprints", "prompt_captions")]
    parts: list[object] = [versions, clusters_digest(warehouse.facts), warehouse.settings.limits.neighbours]
    if len(shown) and (encoder := caption_vectors.text_encoder(warehouse)):
        landed = prompt_captions.landed_recipe(warehouse)
        parts += [str(encoder.id), warehouse.settings.prompts.similar, landed]
    return recipe("prompt candidates", CODE, shown.sort_by("generation_id").to_pylist(), *parts)


def _chosen(warehouse: Warehouse, shown: pa.Table, prompts: pa.Table) -> Iterator[pa.Table]:
    """Stream the candidates, generation by generation."""
    if not len(prompts):
        return
    with samples_view.opened(warehouse.facts, warehouse.settings, prompt_captions.MODELS) as con:
        _provide(con, warehouse, prompts)
        con.register("generations", shown)
        con.execute("set variable most = ?", [warehouse.settings.limits.neighbours])
        for batch in con.execute(_CHOSEN).to_arrow_reader(_BATCH):
            yield pa.Table.from_batches([batch])


def _provide(con: duckdb.DuckDBPyConnection, warehouse: Warehouse, prompts: pa.Table) -> None:
    """Make the tables that candidates are chosen from: `matched`, `usable`, `members`."""
    facts = warehouse.facts
    _copied(con, "usable", facts["image_fingerprints"].dataset().scanner(["sample_id"], "status <> 'failed'"))
    _copied(con, "members", facts["cluster_members"].dataset().scanner(["sample_id", "representative_id"]))
    _copied(con, "matched", facts["prompt_captions"].dataset().scanner(["prompt_key", "sample_id", "method"]))
    con.execute("alter table matched add column score double default 1")
    if encoder := caption_vectors.text_encoder(warehouse):
        caption_vectors.match(warehouse, con, prompts, encoder)
        con.execute("insert into matched select prompt_key, sample_id, 'prompt_semantic', score from alike")


def _copied(con: duckdb.DuckDBPyConnection, name: str, rows: lance.LanceScanner) -> None:
    con.register("arriving", rows.to_reader())
    con.execute(f'create table "{name}" as select * from arriving')  # noqa: S608 -- our own name
    con.unregister("arriving")
