"""Captions close in meaning to a prompt: the fact `caption_embeddings`, and the captions nearest to each prompt.

What belongs here: embedding each different normalised caption of a usable picture once, by an open_clip text encoder,
and searching them with the prompts. What does not: equal captions (`matches/prompt_captions.py`), comparing vectors
(`transforms/matches/search.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import batched

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.facts import Facts, FactTable
from orchestration.facts.filters import is_in
from orchestration.fingerprints.kinds import SEMANTIC
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.progress import track
from orchestration.settings import Settings
from orchestration.warehouse.queries import query
from transforms.encoders import Encoder, OpenClip, Vectors
from transforms.encoders.clip import Tokens
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.matches.search import best_over_views

_EMBEDDED = 16_384  # captions a commit: what a killed run loses
_BLOCK = 16_384  # caption vectors read at once
_KEYS = 1_000  # in one filter


def text_encoder(settings: Settings, load: Callable[[str], Encoder]) -> OpenClip | None:
    """Return the text encoder. None if the settings name none, name one without texts, or disable it.

    Args:
        settings: All of them.
        load: Loads an encoder by its name.
    """
    name = settings.encoders.by_purpose.get(SEMANTIC)
    if name is None or not settings.prompts.semantic:
        return None
    encoder = load(name)
    return encoder if isinstance(encoder, OpenClip) else None


def match(
    con: duckdb.DuckDBPyConnection, prompts: pa.Table, facts: Facts, encoder: OpenClip, settings: Settings
) -> pa.Table:
    """Return the rows whose caption is near a prompt but not equal: `prompt_key`, `sample_id`, `score` (cosine).

    Only the `limits.neighbours` captions nearest to a prompt count, with a cosine of at least `prompts.similar`.

    Args:
        con: A database with `duplicates.caption_keys` and `usable`, the rows that could be candidates.
        prompts: As `prompt_captions.prompts` returns them.
        facts: The fact tables.
        encoder: Of texts.
        settings: All of them.
    """
    facts["caption_embeddings"].reset(str(encoder.id), encoder.id.dimension)
    table = facts.embeddings("caption_embeddings", str(encoder.id), encoder.id.dimension)
    con.execute(f"create table captioned as {query('matches/usable_captions')}")
    _embed(con, table, encoder)
    con.register("nearest", _nearest(prompts["normalised"].unique().to_pylist(), table, encoder, settings))
    con.register("prompts", prompts)
    return con.execute(query("matches/similar_captions")).to_arrow_table()


def _embed(con: duckdb.DuckDBPyConnection, table: FactTable, encoder: OpenClip) -> None:
    """Embed new captions, and delete those without a usable row."""
    con.register("stored", table.dataset().scanner(columns=["caption_key"]).to_reader())
    con.execute("create table embedded as select caption_key from stored")
    con.unregister("stored")
    unused = con.execute("select caption_key from embedded anti join captioned using (caption_key)").fetchall()
    for keys in batched(unused, _KEYS):
        table.delete(is_in("caption_key", (key for (key,) in keys)))
    con.execute(f"create table missing as {query('matches/captions_to_embed')}")
    count = int(con.execute("select count(*) from missing").fetchall()[0][0])
    reader = con.execute("select * from missing order by caption_key").to_arrow_reader(_EMBEDDED)
    one = WorkPace(1, 1)
    tokens = work_ahead(partial(_tokens, encoder), track(reader, "embedding captions", count, len), one)
    for batch, vectors in work_ahead(partial(_vectors, encoder), tokens, one):
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        table.append([pa.record_batch([batch.column("caption_key"), column], schema=table.schema)])


def _tokens(encoder: OpenClip, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Tokens]:
    """Return captions as the encoder reads them, while it embeds those before."""
    return batch, encoder.tokens(batch.column("normalised").to_pylist())


def _vectors(encoder: OpenClip, read: tuple[pa.RecordBatch, Tokens]) -> tuple[pa.RecordBatch, Vectors]:
    """Return captions with their vectors, while those before are committed."""
    return read[0], encoder.embed_tokens(read[1])


def _nearest(prompts: Sequence[str], table: FactTable, encoder: OpenClip, settings: Settings) -> pa.Table:
    """Return the captions nearest to each prompt: `normalised`, `caption_key`, `score`."""
    dataset = table.dataset()
    count = dataset.count_rows()
    vectors = StoredVectors(dataset.uri, dataset.version, np.arange(count), encoder.id.dimension)
    keys = dataset.to_table(columns=["caption_key"])["caption_key"].combine_chunks()
    blocks = list(_blocks(prompts, vectors, keys, encoder, settings)) if count else []
    names = pa.schema([("normalised", pa.string()), ("caption_key", pa.string()), ("score", pa.float64())])
    return pa.concat_tables([names.empty_table(), *blocks])


def _blocks(
    prompts: Sequence[str], vectors: StoredVectors, keys: pa.Array, encoder: OpenClip, settings: Settings
) -> Iterator[pa.Table]:
    k = settings.limits.neighbours + 1  # the caption that equals the prompt is among them
    order = pc.rank(keys).to_numpy().astype(np.int64)  # where captions are stored decides nothing
    size = max(1, settings.memory.joins // (8 * _BLOCK))  # a score is 4 bytes, and is sorted
    for some in batched(prompts, size):
        views = encoder.embed_captions(some)[:, None]
        floor = np.full(len(some), settings.prompts.similar, np.float32)
        near = best_over_views(views, vectors, k, order=order, floor=floor, block=_BLOCK)
        prompt = np.repeat(np.arange(len(some)), [len(each.position) for each in near])
        yield pa.table(
            {
                "normalised": pa.array(some, pa.string()).take(pa.array(prompt)),
                "caption_key": keys.take(pa.array(np.concatenate([each.position for each in near]))),
                "score": np.minimum(np.concatenate([each.score for each in near]), 1).astype(np.float64),
            }
        )
