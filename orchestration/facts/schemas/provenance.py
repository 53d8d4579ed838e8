"""The fact tables of the stage `provenance`: memorization, the distance of a source to other pictures, and meaning."""

import pyarrow as pa

from orchestration.facts.schemas.definition import DIGEST, NEAREST, VECTOR, TableDefinition

_MEANING = (
    TableDefinition(
        "generation_meanings",
        row="a generated image, embedded by meaning",
        key={"generation_id": pa.string(), "view": pa.string()},
        columns={"recipe": pa.string(), "vector": VECTOR},
        written_by="related_pictures",
    ),
    TableDefinition(
        "related_searches",
        row="a picture, by the SHA-256 of its pixels, that all related lists have seen",
        columns={"pixel_sha256": DIGEST},
        written_by="related_pictures",
    ),
    TableDefinition(
        "related_lists",
        row="a generation, with the pictures nearest to it in meaning; complete down to the list's floor",
        key={"generation_id": pa.string()},
        columns=NEAREST,
        written_by="related_pictures",
    ),
    TableDefinition(
        "related_pictures",
        row="a generation and a training picture that is near it in meaning, the nearest one of its cluster",
        key={"generation_id": pa.string(), "sample_id": pa.uint64()},
        columns={"score": pa.float64()},
    ),
    TableDefinition(
        "concept_centres",
        row="a concept: a direction around which pictures of like meaning lie",
        key={"concept_id": pa.int32()},
        columns={"vector": VECTOR},
        written_by="concept_members",
        noted_in=("concept_members", "true"),
    ),
    TableDefinition(
        "concept_members",
        row="a training picture, by the first row that shows it, with the concept that it is nearest to",
        key={"sample_id": pa.uint64()},
        columns={"concept_id": pa.int32(), "similarity": pa.float64(), "redundancy": pa.float64()},
    ),
    TableDefinition(
        "generation_concepts",
        row="a generation, with the concept that it is nearest to",
        key={"generation_id": pa.string()},
        columns={"concept_id": pa.int32(), "similarity": pa.float64()},
        written_by="concept_members",
    ),
    TableDefinition(
        "prompt_embeddings",
        row="a prompt, by its SHA-256, embedded by meaning, where there is an encoder of texts",
        key={"prompt_key": pa.string()},
        columns={"vector": VECTOR},
        written_by="prompt_scores",
        noted_in=("prompt_scores", "true"),
    ),
    TableDefinition(
        "prompt_scores",
        row="a generation with a prompt, and how well the two fit",
        key={"generation_id": pa.string()},
        columns={"score": pa.float64()},
    ),
    TableDefinition(
        "source_prompt_scores",
        row="a generation with a prompt and a candidate, and how well the prompt fits the candidate",
        key={"generation_id": pa.string(), "sample_id": pa.uint64()},
        columns={"score": pa.float64()},
        written_by="prompt_scores",
    ),
)

TABLES = (
    *_MEANING,
    TableDefinition(
        "prompt_cliques",
        row="a prompt of a source and model, by a digest of the three, with the largest clique of its near generations",
        key={"prompt_id": pa.string()},
        columns={
            "recipe": pa.string(),  # empty where some generation could not be read: the next run tries again
            "source": pa.string(),
            "model": pa.string(),
            "prompt": pa.string(),
            "different": pa.int64(),
            "compared": pa.int64(),
            "pairs": pa.int64(),
            "members": pa.list_(pa.string()),
            "clique_at_most": pa.int64(),
            "failure": pa.string(),
        },
    ),
    TableDefinition(
        "memorized_pairs",
        row="a generation and a source that it copies, laid over each other as they are",
        key={"generation_id": pa.string(), "sample_id": pa.uint64()},
        columns={
            "recipe": pa.string(),  # empty where a picture could not be read: the next run tries again
            "l2": pa.float64(),
            "tile_l2": pa.float64(),
            "template_mse": pa.float64(),
            "template_share": pa.float64(),
            "small_image_ratio": pa.float64(),
            "neighbours": pa.int64(),
            "failure": pa.string(),
        },
    ),
    TableDefinition(
        "eidetic_counts",
        row="a source, with the count of training rows of its cluster within delta of it",
        key={"sample_id": pa.uint64()},
        columns={
            "recipe": pa.string(),
            "rows": pa.int64(),
            "pictures": pa.int64(),
            "compared": pa.int64(),
            "failure": pa.string(),
        },
        written_by="memorized_pairs",
    ),
    TableDefinition(
        "small_pictures",
        row="a training picture at 32 x 32, RGB, by the SHA-256 of its pixels",
        key={"pixel_sha256": pa.string()},
        columns={"pixels": pa.binary(3072)},
        written_by="memorized_pairs",
    ),
    TableDefinition(
        "outlier_scores",
        row="a cluster, with the distance of its picture to the nearest others",
        key={"cluster_id": pa.uint64()},
        columns={"score": pa.float64(), "neighbours": pa.int64(), "sampled": pa.bool_()},
    ),
)
MEANINGS = {
    "concept_centres": {"concept_id": "the concept", "vector": "its direction, of length 1"},
    "concept_members": {
        "concept_id": "the concept",
        "similarity": "cosine with its direction",
        "redundancy": "greatest cosine with a picture of the concept nearer its edge; null for the first one",
    },
    "generation_concepts": {"concept_id": "the concept", "similarity": "cosine with its direction"},
    "prompt_scores": {"score": "cosine of prompt and picture by the encoder of meaning"},
    "source_prompt_scores": {"score": "cosine of prompt and training picture by the encoder of meaning"},
    "related_lists": {
        "pictures": "the pictures nearest in meaning: SHA-256 of their pixels, 32 bytes each",
        "scores": "cosine with each of them",
        "views": "the view that came nearest to each of them",
        "floor_score": "score down to which the list is complete",
        "floor_picture": "the picture at that score",
    },
    "prompt_cliques": {
        "prompt_id": "digest of source, model and prompt",
        "recipe": "hash of all that the row was made by; empty where a generation could not be read",
        "different": "readable generations of the prompt that are not flat",
        "compared": "of these, those that were compared with each other",
        "pairs": "pairs of near generations",
        "clique_at_most": "no clique has more pictures",
    },
    "memorized_pairs": {
        "recipe": "hash of all that the row was made by; empty where a picture could not be read",
        "l2": "root mean square of pixels in [0, 1], both pictures squeezed into 512 x 512",
        "tile_l2": "the largest l2 of the 16 corresponding tiles of 128 x 128",
        "template_mse": "mean squared error inside the region that both share, in place",
        "template_share": "that region's share of the picture",
        "small_image_ratio": "l2 at 32 x 32 over alpha times the mean l2 to the neighbours; low is memorized",
    },
    "eidetic_counts": {
        "rows": "training rows of the cluster within delta of the source",
        "pictures": "different pictures of the cluster",
        "compared": "of these, those that were compared",
    },
    "outlier_scores": {
        "score": "mean distance of the picture to its nearest others",
        "sampled": "whether it is one of the sample that sources are ranked among",
    },
}
"""What columns mean that are in one table alone, or mean something else in others: by table and name."""
