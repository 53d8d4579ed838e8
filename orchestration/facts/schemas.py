"""What the fact tables look like: their columns and keys, and which of them note that others are done.

What belongs here: the tables of training rows, and what relates tables to each other. What does not: the tables of
generations (`facts/match_schemas.py`), reading and writing (`facts/table.py`).
"""

from collections.abc import Sequence

import pyarrow as pa

from orchestration.facts import match_schemas
from orchestration.facts.columns import DIGEST, FILE, MEMBER, PRINT, VECTOR, schema

# One line a table: its key, then its columns.
SCHEMAS: dict[str, pa.Schema] = {
    # a metadata parquet and the image tar of the same name, as found on the last look
    "landing_shards": schema(
        {"shard_id": pa.int64()},
        dataset=pa.string(),
        shard=pa.string(),
        status=pa.string(),
        failure=pa.string(),
        rows=pa.int64(),
        repaired_rows=pa.int64(),
        columns=pa.list_(pa.string()),
        readable_path=pa.string(),  # the landing file, or its repaired copy
        **{f"metadata_{name}": kind for name, kind in FILE.items()},
        **{f"images_{name}": kind for name, kind in FILE.items()},
    ),
    # a shard whose pictures have a fingerprint (hashes, copy or semantic), and which delivery of them
    "fingerprinted_shards": schema(
        {"shard_id": pa.int64(), "fingerprint": pa.string()},
        dataset=pa.string(),
        shard=pa.string(),
        encoder=pa.string(),
        maker=pa.string(),  # what makes the fingerprint from a picture; the recipe is the maker and the delivery
        recipe=pa.string(),
        pictures=pa.int64(),
        ok=pa.int64(),
        low_quality=pa.int64(),
        failed=pa.int64(),
        unlisted=pa.int64(),
        unlisted_examples=pa.list_(pa.string()),
        broken=pa.string(),
        seconds=pa.float64(),
    ),
    "image_fingerprints": schema({"sample_id": pa.uint64()}, **MEMBER, **PRINT),
    "redownload_fingerprints": schema({"sample_id": pa.uint64()}, **MEMBER, **PRINT),
    "copy_embeddings": schema({"sample_id": pa.uint64()}, shard_id=pa.int64(), vector=VECTOR),
    "semantic_embeddings": schema({"sample_id": pa.uint64()}, shard_id=pa.int64(), vector=VECTOR),
    # Joins of what is new with everything, noted once all their pairs are written. They are keyed by what was compared,
    # not by rows: that two hashes differ by so many bits stays true whichever rows come and go.
    "joins": schema(
        {"kind": pa.string(), "join_id": pa.int64()},
        recipe=pa.string(),
        exact=pa.bool_(),
        threshold=pa.float64(),
        new=pa.int64(),
        old=pa.int64(),
        pairs=pa.int64(),
        recall=pa.float64(),
        recall_low=pa.float64(),
        recall_high=pa.float64(),
        recall_pairs=pa.int64(),
        seconds=pa.float64(),
    ),
    "joined_hashes": schema({}, join_id=pa.int64(), pdq=DIGEST),
    "near_hashes": schema({}, join_id=pa.int64(), pdq_a=DIGEST, pdq_b=DIGEST, distance=pa.int32()),
    "joined_pictures": schema({}, join_id=pa.int64(), pixel_sha256=DIGEST),
    "near_pictures": schema({}, join_id=pa.int64(), pixel_a=DIGEST, pixel_b=DIGEST, copy_score=pa.float64()),
    # two pictures laid over each other, by the SHA-256 of their pixels; without a distance where no way was found
    "pixel_comparisons": schema(
        {"pixel_a": pa.string(), "pixel_b": pa.string()},
        recipe=pa.string(),
        same=pa.bool_(),
        failure=pa.string(),
        inliers=pa.int32(),
        aligned_distance=pa.float64(),
        overlap_a=pa.float64(),
        overlap_b=pa.float64(),
    ),
    "duplicate_pairs": schema(
        {"sample_id_a": pa.uint64(), "sample_id_b": pa.uint64()},
        method=pa.string(),
        distance=pa.float64(),
        threshold=pa.float64(),
        copy_score=pa.float64(),
        pdq_distance=pa.int32(),
        aligned_distance=pa.float64(),
        inliers=pa.int32(),
    ),
    "cluster_members": schema(
        {"sample_id": pa.uint64()},
        representative_id=pa.uint64(),
        method=pa.string(),
        distance_to_representative=pa.float64(),
        aligned_distance_to_representative=pa.float64(),
    ),
    # the least cosine between any two members; a bound where a cluster is too large to compare all with all
    "cluster_similarities": schema(
        {"representative_id": pa.uint64()},
        distinct_pictures=pa.int64(),
        min_similarity=pa.float64(),
        min_similarity_exact=pa.bool_(),
    ),
    # a training row that an opt-out list names, and the first entry that does
    "recalled_rows": schema({"sample_id": pa.uint64()}, list=pa.string(), kind=pa.string(), value=pa.string()),
    # a normalised caption that others nearly equal, by its MD5, and the caption that its group is named after
    "caption_groups": schema({"caption_key": pa.string()}, group_key=pa.string(), similarity=pa.float64()),
    **match_schemas.SCHEMAS,
}


# Tables that an asset of another name writes beside its own.
WRITTEN_BY = {
    "fingerprinted_shards": "image_fingerprints",
    "copy_embeddings": "image_fingerprints",
    "semantic_embeddings": "image_fingerprints",
    "joined_hashes": "near_hashes",
    "joined_pictures": "near_pictures",
    "joins": "near_pictures",
    "pixel_comparisons": "duplicate_pairs",
    "cluster_similarities": "cluster_members",
    "generation_embeddings": "generation_fingerprints",
    "match_evidence": "match_candidates",
    "prompts": "prompt_candidates",
    "prompt_shards": "prompt_candidates",
    "prompt_captions": "prompt_candidates",
    "caption_embeddings": "prompt_candidates",
    "eidetic_counts": "memorized_pairs",
    "small_pictures": "memorized_pairs",
    "searched_pictures": "match_candidates",
    "neighbour_lists": "match_candidates",
    "match_comparisons": "match_candidates",
    "calibration_pictures": "null_scores",
    "calibration_embeddings": "null_scores",
    "calibration_comparisons": "null_scores",
    "null_fits": "null_scores",
}

# Where it is noted that the rows of a table are computed, and which notes those are: whoever empties the table deletes
# them first, so that the rows are computed again.
NOTED_IN = {
    "image_fingerprints": ("fingerprinted_shards", "fingerprint = 'hashes'"),
    "redownload_fingerprints": ("fingerprinted_shards", "fingerprint = 'redownload'"),
    "copy_embeddings": ("fingerprinted_shards", "fingerprint = 'copy'"),
    "semantic_embeddings": ("fingerprinted_shards", "fingerprint = 'semantic'"),
    "generation_embeddings": ("generation_fingerprints", "true"),
    "match_evidence": ("match_candidates", "true"),
    "prompt_captions": ("prompt_shards", "true"),
    "caption_embeddings": ("prompt_candidates", "true"),
    "calibration_pictures": ("null_scores", "true"),
    "calibration_embeddings": ("null_scores", "true"),
    "null_fits": ("null_scores", "true"),
}

EMBEDDINGS = tuple(name for name, schema in SCHEMAS.items() if "vector" in schema.names)
_ENCODER = b"raisonne:encoder"


def keys(schema: pa.Schema) -> list[str]:
    """Return the columns that name a row."""
    return [field.name for field in schema if field.metadata]


def encoder_of(schema: pa.Schema) -> str:
    """Return the identity that the vectors of a table carry; empty where they carry none."""
    return (schema.metadata or {}).get(_ENCODER, b"").decode()


def embedding_schema(name: str, dimension: int, encoder: str) -> pa.Schema:
    """Return the schema of an embedding table for vectors of one encoder, which it names.

    The name lies in the schema rather than in the table's configuration: it is written in the same commit as the
    table, and an old version keeps its own.
    """
    blank = SCHEMAS[name]
    place = blank.get_field_index("vector")
    made = blank.set(place, pa.field("vector", pa.list_(pa.float32(), dimension)))
    return made.with_metadata({_ENCODER: encoder} if encoder else None)


def current_schema(name: str, stored: pa.Schema) -> pa.Schema:
    """Return the schema that a stored table should have: for embeddings, of its own dimension and encoder."""
    if name not in EMBEDDINGS:
        return SCHEMAS[name]
    vector = stored.field("vector").type if "vector" in stored.names else VECTOR
    size = vector.list_size if pa.types.is_fixed_size_list(vector) else VECTOR.list_size
    return embedding_schema(name, size, encoder_of(stored))


def incompatible(stored: pa.Schema, wanted: pa.Schema) -> str:
    """Say what of a stored table cannot become the wanted one by adding and dropping columns; empty if nothing."""
    if keys(stored) != keys(wanted):
        return f"key ({', '.join(keys(stored))} rather than {', '.join(keys(wanted))})"
    changed = [f.name for f in wanted if f.name in stored.names and stored.field(f.name).type != f.type]
    return f"type of {', '.join(changed)}" if changed else ""


def last_of_each_key(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the rows without those that a later row of the same key replaces."""
    places = rows.select(names).append_column("place", pa.array(range(rows.num_rows), pa.int64()))
    last = places.group_by(names).aggregate([("place", "max")])["place_max"]
    return rows if len(last) == rows.num_rows else rows.take(last)
