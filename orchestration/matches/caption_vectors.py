"""Captions of like meaning as a prompt: the fact `caption_embeddings`, and the captions nearest to each prompt.

What belongs here: embedding every different normalised caption of a usable picture once, by an open_clip text encoder,
and streaming these past the prompts. What does not: equal captions (`matches/prompt_captions.py`), comparing vectors
(`transforms/joins/cosine/join.py`).
"""

from collections.abc import Iterator
from itertools import batched

import duckdb
import numpy as np
import pyarrow as pa

from orchestration.facts import FactTable, literal
from orchestration.fingerprints.kinds import SEMANTIC
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.progress import track
from orchestration.runtime.resources import Warehouse
from transforms.encoders import OpenClip
from transforms.joins.cosine import join

_EMBEDDED = 16_384  # captions a commit: what a killed run loses
_BLOCK = 16_384  # caption vectors read at once
_KEYS = 1_000  # named in one filter

_CAPTIONED = """
    create table captioned as
    select keys.sample_id, keys.caption_key, keys.normalised
    from duplicates.caption_keys as keys
    semi join usable using (sample_id)
"""
_MISSING = """
    create table missing as
    select caption_key, any_value(normalised) as normalised
    from captioned
    anti join embedded using (caption_key)
    group by caption_key
"""
_FOUND = """
    create table alike as
    select distinct prompts.prompt_key, captioned.sample_id, nearest.score
    from nearest
    join prompts using (normalised)
    join captioned using (caption_key)
    where captioned.normalised <> prompts.normalised
"""


def text_encoder(warehouse: Warehouse) -> OpenClip | None:
    """Return the encoder of texts, None where the settings name none, or one that reads no text, or switch this off."""
    if not warehouse.settings.prompts.semantic or SEMANTIC not in warehouse.encoder_names:
        return None
    encoder = warehouse.encoder(SEMANTIC)
    return encoder if isinstance(encoder, OpenClip) else None


def match(warehouse: Warehouse, con: duckdb.DuckDBPyConnection, prompts: pa.Table, encoder: OpenClip) -> None:
    """Make the table `alike` of rows whose caption is near a prompt, yet not equal to it.

    Its columns: `prompt_key`, `sample_id`, `score` (cosine).
    con: with `duplicates.caption_keys` and `usable`, a table of the rows that could be candidates. For each prompt the
    `limits.neighbours` nearest different captions count, from `prompts.similar` on.
    """
    con.execute(_CAPTIONED)
    table = warehouse.facts.embeddings("caption_embeddings", str(encoder.id), encoder.id.dimension)
    warehouse.facts["caption_embeddings"].reset(str(encoder.id), encoder.id.dimension)
    _embed(con, table, encoder)
    con.register("nearest", _nearest(warehouse, table, prompts, encoder))
    con.register("prompts", prompts)
    con.execute(_FOUND)


def _embed(con: duckdb.DuckDBPyConnection, table: FactTable, encoder: OpenClip) -> None:
    """Embed captions that are new, and drop those that no usable row has any more: what is stored is what is meant."""
    con.register("arriving", table.dataset().scanner(columns=["caption_key"]).to_reader())
    con.execute("create table embedded as select caption_key from arriving")
    con.unregister("arriving")
    unused = con.execute("select caption_key from embedded anti join captioned using (caption_key)").fetchall()
    for some in batched(unused, _KEYS):
        table.delete(f"caption_key in ({', '.join(literal(key) for (key,) in some)})")
    con.execute(_MISSING)
    count = int(con.execute("select count(*) from missing").fetchall()[0][0])
    reader = con.execute("select * from missing order by caption_key").to_arrow_reader(_EMBEDDED)
    for batch in track(reader, "embedding captions", count, len):
        vectors = encoder.embed_captions(batch.column("normalised").to_pylist())
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        table.append([pa.record_batch([batch.column("caption_key"), column], schema=table.schema)])


def _nearest(warehouse: Warehouse, table: FactTable, prompts: pa.Table, encoder: OpenClip) -> pa.Table:
    """Return for each different normalised prompt the captions nearest to it: `normalised`, `caption_key`, `score`."""
    wanted = prompts["normalised"].unique().to_pylist()
    dataset = table.dataset()
    count = dataset.count_rows()
    rows = StoredVectors(dataset.uri, dataset.version, np.arange(count), encoder.id.dimension)
    keys = dataset.to_table(columns=["caption_key"])["caption_key"].combine_chunks()
    found = list(_blocks(warehouse, wanted, rows, keys, encoder)) if count else []
    names = pa.schema([("normalised", pa.string()), ("caption_key", pa.string()), ("score", pa.float64())])
    return pa.concat_tables([names.empty_table(), *found])


def _blocks(
    warehouse: Warehouse, wanted: list[str], rows: StoredVectors, keys: pa.Array, encoder: OpenClip
) -> Iterator[pa.Table]:
    k = warehouse.settings.limits.neighbours + 1  # the caption that equals the prompt is among them
    size = max(1, int(warehouse.settings.joins.memory) // (8 * _BLOCK))  # a score is 4 bytes, and is sorted
    for some in batched(wanted, size):
        near = join.nearest(encoder.embed_captions(some), rows, k, _BLOCK)
        query, place = np.nonzero(near.score >= warehouse.settings.prompts.similar)
        yield pa.table(
            {
                "normalised": pa.array(some, pa.string()).take(pa.array(query)),
                "caption_key": keys.take(pa.array(near.position[query, place])),
                "score": np.minimum(near.score[query, place], 1).astype(np.float64),
            }
        )
