"""What the fact tables look like: their columns and keys, and which of them note that others are done.

What belongs here: schemas and what relates tables to each other. What does not: reading and writing (`fact_table.py`).
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa

_KEY = {"lance-schema:unenforced-primary-key": "true"}  # without it two writers of one key duplicate its row


def _schema(keys: Mapping[str, pa.DataType], **columns: pa.DataType) -> pa.Schema:
    return pa.schema(
        [pa.field(name, kind, nullable=False, metadata=_KEY) for name, kind in keys.items()]
        + [pa.field(name, kind) for name, kind in columns.items()]
    )


_VECTOR = pa.list_(pa.float32(), 512)  # SSCD's; a table takes the dimension of its encoder
_DIGEST = pa.binary(32)
_BOX = {"x": pa.float64(), "y": pa.float64(), "width": pa.float64(), "height": pa.float64()}
_PRINT = {
    "status": pa.string(),
    "failure": pa.string(),
    "sha256": pa.string(),
    "pixel_sha256": pa.string(),
    "pdq": pa.string(),
    "pdq_quality": pa.int32(),
    "width": pa.int32(),
    "height": pa.int32(),
}
_MEMBER = {
    "shard_id": pa.int64(),
    "key": pa.string(),
    "member": pa.string(),
    "member_offset": pa.int64(),
    "member_size": pa.int64(),
}
_FILE = {"path": pa.string(), "size": pa.int64(), "mtime_ns": pa.int64()}

# One line a table: its key, then its columns.
SCHEMAS: dict[str, pa.Schema] = {
    # a metadata parquet and the image tar of the same name, as found on the last look
    "landing_shards": _schema(
        {"shard_id": pa.int64()},
        dataset=pa.string(),
        shard=pa.string(),
        status=pa.string(),
        failure=pa.string(),
        rows=pa.int64(),
        repaired_rows=pa.int64(),
        columns=pa.list_(pa.string()),
        readable_path=pa.string(),  # the landing file, or its repaired copy
        **{f"metadata_{name}": kind for name, kind in _FILE.items()},
        **{f"images_{name}": kind for name, kind in _FILE.items()},
    ),
    # a shard whose pictures have a fingerprint (hashes, copy or semantic), and which delivery of them
    "fingerprinted_shards": _schema(
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
    "image_fingerprints": _schema({"sample_id": pa.uint64()}, **_MEMBER, **_PRINT),
    "redownload_fingerprints": _schema({"sample_id": pa.uint64()}, **_MEMBER, **_PRINT),
    "copy_embeddings": _schema({"sample_id": pa.uint64()}, shard_id=pa.int64(), vector=_VECTOR),
    "semantic_embeddings": _schema({"sample_id": pa.uint64()}, shard_id=pa.int64(), vector=_VECTOR),
    # Joins of what is new with everything, noted once all their pairs are written. They are keyed by what was compared,
    # not by rows: that two hashes differ by so many bits stays true whichever rows come and go.
    "joins": _schema(
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
    "joined_hashes": _schema({}, join_id=pa.int64(), pdq=_DIGEST),
    "near_hashes": _schema({}, join_id=pa.int64(), pdq_a=_DIGEST, pdq_b=_DIGEST, distance=pa.int32()),
    "joined_pictures": _schema({}, join_id=pa.int64(), pixel_sha256=_DIGEST),
    "near_pictures": _schema({}, join_id=pa.int64(), pixel_a=_DIGEST, pixel_b=_DIGEST, copy_score=pa.float64()),
    # two pictures laid over each other, by the SHA-256 of their pixels; without a distance where no way was found
    "pixel_comparisons": _schema(
        {"pixel_a": pa.string(), "pixel_b": pa.string()},
        recipe=pa.string(),
        same=pa.bool_(),
        failure=pa.string(),
        inliers=pa.int32(),
        aligned_distance=pa.float64(),
        overlap_a=pa.float64(),
        overlap_b=pa.float64(),
    ),
    "duplicate_pairs": _schema(
        {"sample_id_a": pa.uint64(), "sample_id_b": pa.uint64()},
        method=pa.string(),
        distance=pa.float64(),
        threshold=pa.float64(),
        copy_score=pa.float64(),
        pdq_distance=pa.int32(),
        aligned_distance=pa.float64(),
        inliers=pa.int32(),
    ),
    "cluster_members": _schema(
        {"sample_id": pa.uint64()},
        representative_id=pa.uint64(),
        method=pa.string(),
        distance_to_representative=pa.float64(),
        aligned_distance_to_representative=pa.float64(),
    ),
    # the least cosine between any two members; a bound where a cluster is too large to compare all with all
    "cluster_similarities": _schema(
        {"representative_id": pa.uint64()},
        distinct_pictures=pa.int64(),
        min_similarity=pa.float64(),
        min_similarity_exact=pa.bool_(),
    ),
    # a training row that an opt-out list names, and the first entry that does
    "recalled_rows": _schema({"sample_id": pa.uint64()}, list=pa.string(), kind=pa.string(), value=pa.string()),
    # a normalised caption that others nearly equal, by its MD5, and the caption that its group is named after
    "caption_groups": _schema({"caption_key": pa.string()}, group_key=pa.string(), similarity=pa.float64()),
    "generation_fingerprints": _schema(
        {"generation_id": pa.string()},
        source=pa.string(),
        path=pa.string(),
        model=pa.string(),
        prompt=pa.string(),
        seed=pa.int64(),
        encoder=pa.string(),
        recipe=pa.string(),
        dihedral_pdq=pa.list_(pa.string()),
        **_PRINT,
    ),
    "generation_embeddings": _schema(
        {"generation_id": pa.string(), "view": pa.string()},
        **_BOX,
        mirrored=pa.bool_(),
        vector=_VECTOR,
    ),
    # Searching, kept: the different pictures that every list of neighbours knows of, and a list a generation. Scores
    # are cosines (pictures) and shares of equal PDQ bits (hashed); up to its floor a list has all that there are.
    "searched_pictures": _schema({}, pixel_sha256=_DIGEST),
    "neighbour_lists": _schema(
        {"generation_id": pa.string()},
        recipe=pa.string(),
        pictures=pa.binary(),  # SHA-256 of their pixels, 32 bytes each
        scores=pa.list_(pa.float32()),
        views=pa.list_(pa.int32()),
        floor_score=pa.float32(),
        floor_picture=pa.binary(),
        hashed=pa.binary(),
        hashed_scores=pa.list_(pa.float32()),
        hashed_floor_score=pa.float32(),
        hashed_floor_picture=pa.binary(),
    ),
    # a training picture laid over a generation, by the SHA-256 of their pixels; alignment: JSON, null where none is
    "match_comparisons": _schema(
        {"generation_pixels": pa.string(), "training_pixels": pa.string()},
        recipe=pa.string(),
        alignment=pa.string(),
        failure=pa.string(),  # why a picture could not be read; the next run tries again
    ),
    "match_candidates": _schema(
        {"generation_id": pa.string(), "sample_id": pa.uint64(), "method": pa.string()}, score=pa.float64(), **_BOX
    ),
    "match_evidence": _schema(
        {"generation_id": pa.string(), "sample_id": pa.uint64()},
        copy_score=pa.float64(),
        pdq_distance=pa.int32(),
        same_bytes=pa.bool_(),
        same_pixels=pa.bool_(),
        confirmed=pa.bool_(),
        whole=pa.bool_(),
        mirrored=pa.bool_(),
        aligned_distance=pa.float64(),
        inliers=pa.int32(),
        overlap_generation=pa.float64(),
        overlap_source=pa.float64(),
        failure=pa.string(),
        **_BOX,
    ),
    # a prompt of some generation, by its SHA-256, that has met the captions of all `prompt_shards`
    "prompts": _schema({"prompt_key": pa.string()}, prompt=pa.string(), normalised=pa.string()),
    # a shard whose captions have met all `prompts`, and which delivery of it
    "prompt_shards": _schema({"shard_id": pa.int64()}, recipe=pa.string()),
    # a training row whose caption is a prompt: byte for byte (prompt), or once both are normalised
    "prompt_captions": _schema(
        {"prompt_key": pa.string(), "sample_id": pa.uint64()}, shard_id=pa.int64(), method=pa.string()
    ),
    # a normalised caption of usable pictures, by its MD5, where there is an encoder of texts
    "caption_embeddings": _schema({"caption_key": pa.string()}, vector=_VECTOR),
    "prompt_candidates": _schema(
        {"generation_id": pa.string(), "sample_id": pa.uint64(), "method": pa.string()}, score=pa.float64()
    ),
    # a prompt of a source and model, by a digest of the three, and the largest clique of its near generations
    "prompt_cliques": _schema(
        {"prompt_id": pa.string()},
        recipe=pa.string(),  # empty where some generation could not be read: it is tried again
        source=pa.string(),
        model=pa.string(),
        prompt=pa.string(),
        different=pa.int64(),
        compared=pa.int64(),
        pairs=pa.int64(),
        members=pa.list_(pa.string()),
        clique_at_most=pa.int64(),
        failure=pa.string(),
    ),
    # a generation beside a source that it copies, laid over each other as they are
    "memorized_pairs": _schema(
        {"generation_id": pa.string(), "sample_id": pa.uint64()},
        recipe=pa.string(),  # empty where a picture could not be read: it is tried again
        l2=pa.float64(),
        tile_l2=pa.float64(),
        template_mse=pa.float64(),
        template_share=pa.float64(),
        small_image_ratio=pa.float64(),
        neighbours=pa.int64(),
        failure=pa.string(),
    ),
    # training rows within delta of a source, of those of its cluster
    "eidetic_counts": _schema(
        {"sample_id": pa.uint64()},
        recipe=pa.string(),
        rows=pa.int64(),
        pictures=pa.int64(),
        compared=pa.int64(),
        failure=pa.string(),
    ),
    # training pictures at 32 x 32, RGB, by the SHA-256 of their pixels
    "small_pictures": _schema({"pixel_sha256": pa.string()}, pixels=pa.binary(3072)),
    # how far a picture's cluster lies from its nearest others, by their representatives
    "outlier_scores": _schema(
        {"cluster_id": pa.uint64()}, score=pa.float64(), neighbours=pa.int64(), sampled=pa.bool_()
    ),
    "null_scores": _schema({"sample_id": pa.uint64()}, nearest_id=pa.uint64(), score=pa.float64()),
    # What p-values rest on: pictures that are no copies, searched as generations are, and edited copies of training
    # pictures. By the SHA-256 of a picture's pixels, and the edit, which is empty for the picture as it is.
    "calibration_pictures": _schema(
        {"pixel_sha256": pa.string(), "edit": pa.string()},
        population=pa.string(),  # not_trained, whole, part
        sample_id=pa.uint64(),  # none for a picture that was held out
        path=pa.string(),
        nearest_id=pa.uint64(),  # the best match; of an edited copy, its source
        score=pa.float64(),
        background=pa.float64(),
        p_value=pa.float64(),  # by a fit that did not see the picture
        confirmed=pa.bool_(),
        failure=pa.string(),
    ),
    "calibration_embeddings": _schema(
        {"pixel_sha256": pa.string(), "edit": pa.string(), "view": pa.string()}, vector=_VECTOR
    ),
    # laid over each other by pixels: a picture of `calibration_pictures` and a training picture
    "calibration_comparisons": _schema(
        {"pixel_sha256": pa.string(), "edit": pa.string(), "source_sha256": pa.string()},
        recipe=pa.string(),
        confirmed=pa.bool_(),
        failure=pa.string(),
    ),
    # the null distribution in numbers: its tail, if it has one, and how uniform p-values are on data not fitted to
    "null_fits": _schema(
        {"measure": pa.string()},
        pictures=pa.int64(),
        threshold=pa.float64(),
        shape=pa.float64(),
        scale=pa.float64(),
        exceedances=pa.int64(),
        ks_distance=pa.float64(),
        ks_p_value=pa.float64(),
    ),
    # a generation's best scores against the sampled training pictures, one more than are averaged
    "generation_backgrounds": _schema(
        {"generation_id": pa.string()},
        recipe=pa.string(),
        background_ids=pa.list_(pa.uint64()),
        background_scores=pa.list_(pa.float64()),
    ),
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
    schema = SCHEMAS[name]
    place = schema.get_field_index("vector")
    schema = schema.set(place, pa.field("vector", pa.list_(pa.float32(), dimension)))
    return schema.with_metadata({_ENCODER: encoder} if encoder else None)


def current_schema(name: str, stored: pa.Schema) -> pa.Schema:
    """Return the schema that a stored table should have: for embeddings, of its own dimension and encoder."""
    if name not in EMBEDDINGS:
        return SCHEMAS[name]
    vector = stored.field("vector").type if "vector" in stored.names else _VECTOR
    size = vector.list_size if pa.types.is_fixed_size_list(vector) else _VECTOR.list_size
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
