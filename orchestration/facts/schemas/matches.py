"""The fact tables of the stage `matches`: searching, evidence, prompts and calibration.

Scores are cosines, except those of `hashed` pictures, which are shares of equal PDQ bits.
"""

import pyarrow as pa

from orchestration.facts.schemas.definition import BOX, COMPARED, COMPARISON, DIGEST, NEAREST, VECTOR, TableDefinition

ALTERATION = {
    "altered_by": pa.list_(pa.string()),
    "altered_agreement": pa.float64(),
    "altered_closely": pa.float64(),
    "in_place": pa.float64(),
    "in_place_closely": pa.float64(),
    "exact_share": pa.float64(),
    "exact_matches": pa.int32(),
    "displacement": pa.float64(),
    "roughness": pa.float64(),
    "kept": pa.float64(),
    "colour_change": pa.float64(),
    "light_change": pa.float64(),
}
"""The measurements of an altered copy, null where pixels confirmed a copy or nothing was found to measure."""

_LIST = {
    **NEAREST,
    "hashed": pa.binary(),
    "hashed_scores": pa.list_(pa.float32()),
    "hashed_floor_score": pa.float32(),
    "hashed_floor_picture": pa.binary(),
}

_SEARCHES = (
    TableDefinition(
        "searched_pictures",
        row="a picture, by the SHA-256 of its pixels, that all neighbour lists have seen",
        columns={"pixel_sha256": DIGEST},
        written_by="match_candidates",
    ),
    TableDefinition(
        "neighbour_lists",
        row="a generation, with its nearest pictures; complete down to the list's floor",
        key={"generation_id": pa.string()},
        columns=_LIST,
        written_by="match_candidates",
    ),
    TableDefinition(
        "match_comparisons",
        row="a generation and a training picture laid over it",
        key=COMPARED,
        columns=COMPARISON,
        written_by="match_candidates",
    ),
    TableDefinition(
        "match_candidates",
        row="a generation and a training row that may be its source, by one method",
        key={"generation_id": pa.string(), "sample_id": pa.uint64(), "method": pa.string()},
        columns={"score": pa.float64(), **BOX},
    ),
    TableDefinition(
        "match_evidence",
        row="a generation and a candidate, with all that was measured",
        key={"generation_id": pa.string(), "sample_id": pa.uint64()},
        columns={
            "copy_score": pa.float64(),
            "pdq_distance": pa.int32(),
            "same_bytes": pa.bool_(),
            "same_pixels": pa.bool_(),
            "confirmed": pa.bool_(),
            "whole": pa.bool_(),
            "altered": pa.bool_(),  # null from an older release
            **ALTERATION,
            "mirrored": pa.bool_(),
            "aligned_distance": pa.float64(),
            "inliers": pa.int32(),
            "geometry": pa.string(),  # of the map: equal, similarity, affine, homography, or placed edge on edge
            "cells": pa.int32(),
            "agreement": pa.float64(),
            "solid": pa.int32(),
            "moved": pa.float64(),
            "aligned_tile_l2": pa.float64(),
            "masked_mse": pa.float64(),
            "structural_similarity": pa.float64(),
            "overlap_generation": pa.float64(),
            "overlap_source": pa.float64(),
            "homography": pa.list_(pa.float64()),
            **{f"source_{side}": kind for side, kind in BOX.items()},
            "failure": pa.string(),
            **BOX,
        },
        written_by="match_candidates",
        noted_in=("match_candidates", "true"),
    ),
    TableDefinition(
        "generation_backgrounds",
        row="a generation, with its best scores against the sampled training pictures, one more than are averaged",
        key={"generation_id": pa.string()},
        columns={
            "recipe": pa.string(),
            "background_ids": pa.list_(pa.uint64()),
            "background_scores": pa.list_(pa.float64()),
        },
    ),
)

_LISTED = (
    TableDefinition(
        "listed_pictures",
        row="a picture of an opt-out list, by the SHA-256 of its file",
        key={"listed_sha256": pa.string()},
        columns={
            "recipe": pa.string(),
            "pixel_sha256": pa.string(),
            "status": pa.string(),
            "dihedral_pdq": pa.list_(pa.string()),
        },
        written_by="recalled_rows",
    ),
    TableDefinition(
        "listed_embeddings",
        row="a view of a picture of an opt-out list: all of it, or a part, mirrored or not",
        key={"listed_sha256": pa.string(), "view": pa.string()},
        columns={"vector": VECTOR},
        written_by="recalled_rows",
        noted_in=("listed_pictures", "true"),
    ),
    TableDefinition(
        "listed_searches",
        row="a picture, by the SHA-256 of its pixels, that all lists of listed pictures' neighbours have seen",
        columns={"pixel_sha256": DIGEST},
        written_by="recalled_rows",
    ),
    TableDefinition(
        "listed_lists",
        row="a picture of an opt-out list, with its nearest training pictures; complete down to the list's floor",
        key={"listed_sha256": pa.string()},
        columns=_LIST,
        written_by="recalled_rows",
    ),
    TableDefinition(
        "listed_comparisons",
        row="a picture of an opt-out list and a training picture laid over it",
        key=COMPARED,
        columns=COMPARISON,
        written_by="recalled_rows",
    ),
    TableDefinition(
        "listed_copies",
        row="a picture of an opt-out list and a training picture, by the SHA-256 of its pixels, confirmed to show it",
        key={"listed_sha256": pa.string(), "pixel_sha256": pa.string()},
        columns={
            "sample_id": pa.uint64(),
            "verdict": pa.string(),
            "copy_score": pa.float64(),
            "pdq_distance": pa.int32(),
            "aligned_distance": pa.float64(),
            "inliers": pa.int32(),
            "overlap_listed": pa.float64(),
            "overlap_training": pa.float64(),
        },
        written_by="recalled_rows",
    ),
)

_PROMPTS = (
    TableDefinition(
        "prompts",
        row="a prompt, by its SHA-256, that was compared with the captions of all `prompt_shards`",
        key={"prompt_key": pa.string()},
        columns={"prompt": pa.string(), "normalised": pa.string()},
        written_by="prompt_candidates",
    ),
    TableDefinition(
        "prompt_shards",
        row="a shard, and which delivery of it, whose captions were compared with all `prompts`",
        key={"shard_id": pa.int64()},
        columns={"recipe": pa.string()},
        written_by="prompt_candidates",
    ),
    TableDefinition(
        "prompt_captions",
        row="a training row whose caption equals a prompt: byte for byte (prompt), or once both are normalised",
        key={"prompt_key": pa.string(), "sample_id": pa.uint64()},
        columns={"shard_id": pa.int64(), "method": pa.string()},
        written_by="prompt_candidates",
        noted_in=("prompt_shards", "true"),
    ),
    TableDefinition(
        "caption_embeddings",
        row="a normalised caption of usable pictures, by its MD5, where there is an encoder of texts",
        key={"caption_key": pa.string()},
        columns={"vector": VECTOR},
        written_by="prompt_candidates",
        noted_in=("prompt_candidates", "true"),
    ),
    TableDefinition(
        "prompt_candidates",
        row="a generation and a training row whose caption is its prompt or near it, by one method",
        key={"generation_id": pa.string(), "sample_id": pa.uint64(), "method": pa.string()},
        columns={"score": pa.float64()},
    ),
)

# What p-values rest on: pictures that are no copies, searched as generations are, and edited copies of training
# pictures. They are named by the SHA-256 of their pixels and the edit, which is empty for the picture as it is.
_CALIBRATION = (
    TableDefinition(
        "null_scores",
        row="a sampled training picture, with its nearest other picture",
        key={"sample_id": pa.uint64()},
        columns={"nearest_id": pa.uint64(), "score": pa.float64()},
    ),
    TableDefinition(
        "calibration_pictures",
        row="a picture that calibrates, with its best match",
        key={"pixel_sha256": pa.string(), "edit": pa.string()},
        columns={
            "population": pa.string(),  # not_trained, whole, part
            "sample_id": pa.uint64(),  # none for a picture that was held out
            "path": pa.string(),
            "nearest_id": pa.uint64(),  # the best match; of an edited copy, its source
            "score": pa.float64(),
            "background": pa.float64(),
            "p_value": pa.float64(),  # by a fit that did not see the picture
            "confirmed": pa.bool_(),
            "altered": pa.bool_(),
            "failure": pa.string(),
        },
        written_by="null_scores",
        noted_in=("null_scores", "true"),
    ),
    TableDefinition(
        "calibration_embeddings",
        row="a view of a picture that calibrates",
        key={"pixel_sha256": pa.string(), "edit": pa.string(), "view": pa.string()},
        columns={"vector": VECTOR},
        written_by="null_scores",
        noted_in=("null_scores", "true"),
    ),
    TableDefinition(
        "calibration_comparisons",
        row="a picture that calibrates, by its pixels and its edit, and a training picture laid over it",
        key=COMPARED,
        columns=COMPARISON,
        written_by="null_scores",
    ),
    TableDefinition(
        "null_fits",
        row="a measure, with its null distribution: the tail, if any, and how uniform p-values are on unseen data",
        key={"measure": pa.string()},
        columns={
            "pictures": pa.int64(),
            "threshold": pa.float64(),
            "shape": pa.float64(),
            "scale": pa.float64(),
            "exceedances": pa.int64(),
            "ks_distance": pa.float64(),
            "ks_p_value": pa.float64(),
        },
        written_by="null_scores",
        noted_in=("null_scores", "true"),
    ),
)

TABLES = (*_SEARCHES, *_LISTED, *_PROMPTS, *_CALIBRATION)
_MEANINGS_OF_LISTS = {
    "pictures": "its nearest pictures: SHA-256 of their pixels, 32 bytes each",
    "scores": "cosine with each of them, the best over all views",
    "views": "the view that came nearest to each of them",
    "floor_score": "score down to which the list is complete",
    "floor_picture": "the picture at that score",
    "hashed": "its nearest pictures by perceptual hash, 32 bytes each",
    "hashed_scores": "share of equal bits with each of them",
    "hashed_floor_score": "score down to which that list is complete",
    "hashed_floor_picture": "the picture at that score",
}
MEANINGS = {
    "listed_lists": _MEANINGS_OF_LISTS,
    "listed_copies": {
        "sample_id": "the first training row that shows the training picture",
        "verdict": "exact, copy, partial_copy or altered_copy, as of a generation",
        "copy_score": "best cosine of the copy embeddings over the searched parts of the listed picture",
        "pdq_distance": "differing bits of 256, the least over 8 rotations and reflections",
        "overlap_listed": "share of the listed picture that the shared part covers",
        "overlap_training": "share of the training picture that it covers",
    },
    "neighbour_lists": _MEANINGS_OF_LISTS,
    "match_evidence": {
        "copy_score": "best cosine of the copy embeddings over the searched parts of the generation",
        "pdq_distance": "differing bits of 256, the least over 8 rotations and reflections",
        "same_bytes": "whether the two files are equal",
        "same_pixels": "whether the two pictures are equal, pixel by pixel",
        "whole": "whether the whole picture agrees, not only a part",
        "altered": "whether structure confirms an altered copy, where pixels confirm none",
        "altered_by": "what was changed: displaced, recoloured, relit, covered, redrawn",
        "altered_agreement": "share of the cells whose structure agrees after a smooth displacement",
        "altered_closely": "share of the cells that then agree closely",
        "in_place": "share of the cells whose structure agrees without displacement",
        "in_place_closely": "share of the cells that agree closely without it",
        "exact_share": "share of the clearest matched features that lie in place to half a pixel",
        "exact_matches": "how many these are",
        "displacement": "root mean square of the displacement, as a share of the long side",
        "roughness": "root mean square of its derivative: where it jumps, things moved against each other",
        "kept": "share of the shared part whose colours and structure are in place",
        "colour_change": "root mean square by which the channels' shares of the brightness differ",
        "light_change": "how far the ratio of brightness varies smoothly, as its natural logarithm",
        "mirrored": "whether the training picture was laid on mirrored",
        "geometry": "how it lies there: equal, similarity, affine, homography, or placed edge on edge",
        "cells": "cells with structure in the shared part",
        "agreement": "share of them that agree",
        "solid": "agreeing cells of the largest piece that agrees nearly everywhere",
        "moved": "share of what disagrees outside the region that lies elsewhere in the other picture; null unless a "
        "part agrees, and from an older release",
        "aligned_tile_l2": "largest root mean square of 4 x 4 tiles of the shared part, aligned",
        "masked_mse": "mean squared difference over the cells that agree",
        "structural_similarity": "mean SSIM over the shared part",
        "overlap_generation": "share of the generation that the shared part covers",
        "overlap_source": "share of the training picture that it covers",
        "homography": "9 numbers, row by row, that map fractions of the training picture to those of the generation",
    },
    "generation_backgrounds": {
        "background_ids": "the sampled training rows that are nearest",
        "background_scores": "cosine with each of them",
    },
    "prompts": {"prompt": "the prompt, as written", "normalised": "the prompt as captions are normalised"},
    "prompt_captions": {"method": "prompt (byte for byte) or prompt_normalised"},
    "calibration_pictures": {
        "population": "not_trained (held out), whole or part (edited copies)",
        "sample_id": "the training row; null for a picture that was held out",
        "path": "the file of a picture that was held out",
        "nearest_id": "the best match; of an edited copy, its source",
        "background": "mean of its best scores against sampled training pictures",
        "p_value": "by a fit that did not see the picture",
        "altered": "whether structure confirms an altered copy, where pixels confirm none",
    },
    "null_fits": {
        "measure": "the score that is calibrated",
        "pictures": "pictures that it was fitted to",
        "threshold": "score from which the tail is fitted",
        "shape": "shape of the fitted tail",
        "scale": "scale of the fitted tail",
        "exceedances": "scores above the threshold",
        "ks_distance": "greatest distance of the p-values of unseen pictures from uniform",
        "ks_p_value": "how often uniform p-values lie that far away",
    },
}
"""What columns mean that are in one table alone, or mean something else in others: by table and name."""
