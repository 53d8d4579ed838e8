"""What the fact tables of generations look like: fingerprints, searching, matches, calibration, memorization.

What belongs here: their columns and keys. What does not: the tables of training rows, and what relates tables to each
other (`facts/schemas.py`).
"""

import pyarrow as pa

from orchestration.facts.columns import BOX, DIGEST, PRINT, VECTOR, schema

SCHEMAS: dict[str, pa.Schema] = {
    "generation_fingerprints": schema(
        {"generation_id": pa.string()},
        source=pa.string(),
        path=pa.string(),
        model=pa.string(),
        prompt=pa.string(),
        seed=pa.int64(),
        encoder=pa.string(),
        recipe=pa.string(),
        dihedral_pdq=pa.list_(pa.string()),
        **PRINT,
    ),
    "generation_embeddings": schema(
        {"generation_id": pa.string(), "view": pa.string()},
        **BOX,
        mirrored=pa.bool_(),
        vector=VECTOR,
    ),
    # Searching, kept: the different pictures that every list of neighbours knows of, and a list a generation. Scores
    # are cosines (pictures) and shares of equal PDQ bits (hashed); up to its floor a list has all that there are.
    "searched_pictures": schema({}, pixel_sha256=DIGEST),
    "neighbour_lists": schema(
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
    "match_comparisons": schema(
        {"generation_pixels": pa.string(), "training_pixels": pa.string()},
        recipe=pa.string(),
        alignment=pa.string(),
        failure=pa.string(),  # why a picture could not be read; the next run tries again
    ),
    "match_candidates": schema(
        {"generation_id": pa.string(), "sample_id": pa.uint64(), "method": pa.string()}, score=pa.float64(), **BOX
    ),
    "match_evidence": schema(
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
        geometry=pa.string(),  # of the map: equal, similarity, affine, homography, or placed edge on edge
        cells=pa.int32(),
        agreement=pa.float64(),
        solid=pa.int32(),
        aligned_tile_l2=pa.float64(),
        masked_mse=pa.float64(),
        structural_similarity=pa.float64(),
        overlap_generation=pa.float64(),
        overlap_source=pa.float64(),
        homography=pa.list_(pa.float64()),
        **{f"source_{side}": kind for side, kind in BOX.items()},
        failure=pa.string(),
        **BOX,
    ),
    # a prompt of some generation, by its SHA-256, that has met the captions of all `prompt_shards`
    "prompts": schema({"prompt_key": pa.string()}, prompt=pa.string(), normalised=pa.string()),
    # a shard whose captions have met all `prompts`, and which delivery of it
    "prompt_shards": schema({"shard_id": pa.int64()}, recipe=pa.string()),
    # a training row whose caption is a prompt: byte for byte (prompt), or once both are normalised
    "prompt_captions": schema(
        {"prompt_key": pa.string(), "sample_id": pa.uint64()}, shard_id=pa.int64(), method=pa.string()
    ),
    # a normalised caption of usable pictures, by its MD5, where there is an encoder of texts
    "caption_embeddings": schema({"caption_key": pa.string()}, vector=VECTOR),
    "prompt_candidates": schema(
        {"generation_id": pa.string(), "sample_id": pa.uint64(), "method": pa.string()}, score=pa.float64()
    ),
    # a prompt of a source and model, by a digest of the three, and the largest clique of its near generations
    "prompt_cliques": schema(
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
    "memorized_pairs": schema(
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
    "eidetic_counts": schema(
        {"sample_id": pa.uint64()},
        recipe=pa.string(),
        rows=pa.int64(),
        pictures=pa.int64(),
        compared=pa.int64(),
        failure=pa.string(),
    ),
    # training pictures at 32 x 32, RGB, by the SHA-256 of their pixels
    "small_pictures": schema({"pixel_sha256": pa.string()}, pixels=pa.binary(3072)),
    # how far a picture's cluster lies from its nearest others, by their representatives
    "outlier_scores": schema(
        {"cluster_id": pa.uint64()}, score=pa.float64(), neighbours=pa.int64(), sampled=pa.bool_()
    ),
    "null_scores": schema({"sample_id": pa.uint64()}, nearest_id=pa.uint64(), score=pa.float64()),
    # What p-values rest on: pictures that are no copies, searched as generations are, and edited copies of training
    # pictures. By the SHA-256 of a picture's pixels, and the edit, which is empty for the picture as it is.
    "calibration_pictures": schema(
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
    "calibration_embeddings": schema(
        {"pixel_sha256": pa.string(), "edit": pa.string(), "view": pa.string()}, vector=VECTOR
    ),
    # laid over each other by pixels: a picture of `calibration_pictures` and a training picture
    "calibration_comparisons": schema(
        {"pixel_sha256": pa.string(), "edit": pa.string(), "source_sha256": pa.string()},
        recipe=pa.string(),
        confirmed=pa.bool_(),
        failure=pa.string(),
    ),
    # the null distribution in numbers: its tail, if it has one, and how uniform p-values are on data not fitted to
    "null_fits": schema(
        {"measure": pa.string()},
        pictures=pa.int64(),
        threshold=pa.float64(),
        shape=pa.float64(),
        scale=pa.float64(),
        exceedances=pa.int64(),
        ks_distance=pa.float64(),
        ks_p_value=pa.float64(),
    ),
    # a check of a generated image by the guard, outside of any run
    "guard_checks": schema(
        {"check_id": pa.string()},
        checked_at=pa.timestamp("us", "UTC"),
        bundle=pa.string(),
        overrides=pa.string(),
        decision=pa.string(),
        verdict=pa.string(),
        reason=pa.string(),
        method=pa.string(),
        value=pa.float64(),
        threshold=pa.float64(),
        p_value=pa.float64(),
        sha256=pa.string(),
        pixel_sha256=pa.string(),
        cluster_ids=pa.list_(pa.uint64()),
        override=pa.string(),
        latency_ms=pa.float64(),
    ),
    # a generation's best scores against the sampled training pictures, one more than are averaged
    "generation_backgrounds": schema(
        {"generation_id": pa.string()},
        recipe=pa.string(),
        background_ids=pa.list_(pa.uint64()),
        background_scores=pa.list_(pa.float64()),
    ),
}
