"""The fact tables of the stage `fingerprints`: training pictures, a second dump of them, and generations."""

import pyarrow as pa

from orchestration.facts.schemas.definition import BOX, DIGESTS, PRINT, SHARD_OF_SAMPLE, VECTOR, TableDefinition

_MEMBER = {
    "shard_id": pa.int64(),
    "key": pa.string(),
    "member": pa.string(),
    "member_offset": pa.int64(),
    "member_size": pa.int64(),
}

TABLES = (
    TableDefinition(
        "fingerprinted_shards",
        row="a shard whose pictures have a fingerprint (hashes, copy, semantic or redownload)",
        key={"shard_id": pa.int64(), "fingerprint": pa.string()},
        columns={
            "dataset": pa.string(),
            "shard": pa.string(),
            "encoder": pa.string(),
            "maker": pa.string(),  # what makes the fingerprint from a picture; the recipe is the maker and the delivery
            "recipe": pa.string(),
            "pictures": pa.int64(),
            "ok": pa.int64(),
            "low_quality": pa.int64(),
            "failed": pa.int64(),
            "unlisted": pa.int64(),
            "unlisted_examples": pa.list_(pa.string()),
            "contradictions": pa.int64(),
            "contradiction_examples": pa.list_(pa.string()),
            "broken": pa.string(),
            "seconds": pa.float64(),
        },
        written_by="image_fingerprints",
        also_written_by=("redownload_fingerprints",),
    ),
    TableDefinition(
        "image_fingerprints",
        row="a training row that has a picture",
        key={"sample_id": pa.uint64()},
        columns={**_MEMBER, **PRINT, **DIGESTS},
        shard_of=SHARD_OF_SAMPLE,
        noted_in=("fingerprinted_shards", "fingerprint = 'hashes'"),
    ),
    TableDefinition(
        "redownload_fingerprints",
        row="a training row that has a picture in the second dump",
        key={"sample_id": pa.uint64()},
        columns={**_MEMBER, **PRINT, **DIGESTS},
        noted_in=("fingerprinted_shards", "fingerprint = 'redownload'"),
    ),
    TableDefinition(
        "copy_embeddings",
        row="a training row's picture, embedded for copy detection",
        key={"sample_id": pa.uint64()},
        columns={"shard_id": pa.int64(), "vector": VECTOR},
        written_by="image_fingerprints",
        noted_in=("fingerprinted_shards", "fingerprint = 'copy'"),
    ),
    TableDefinition(
        "semantic_embeddings",
        row="a training row's picture, embedded by meaning",
        key={"sample_id": pa.uint64()},
        columns={"shard_id": pa.int64(), "vector": VECTOR},
        written_by="image_fingerprints",
        noted_in=("fingerprinted_shards", "fingerprint = 'semantic'"),
    ),
    TableDefinition(
        "generation_fingerprints",
        row="a generated image",
        key={"generation_id": pa.string()},
        columns={
            "source": pa.string(),
            "path": pa.string(),
            "model": pa.string(),
            "prompt": pa.string(),
            "negative_prompt": pa.string(),
            "seed_number": pa.decimal128(20),  # a name of its own: `seed` had 64 bits with a sign
            "sampler": pa.string(),
            "steps": pa.int32(),
            "described_by": pa.string(),
            "stated_otherwise": pa.list_(pa.string()),
            "description_recipe": pa.string(),
            "encoder": pa.string(),
            "recipe": pa.string(),
            "dihedral_pdq": pa.list_(pa.string()),
            "unsearched": pa.string(),  # what the file may show that its fingerprints are not of
            **PRINT,
        },
    ),
    TableDefinition(
        "generation_embeddings",
        row="a view of a generated image: all of it, or a part, mirrored or not",
        key={"generation_id": pa.string(), "view": pa.string()},
        columns={**BOX, "mirrored": pa.bool_(), "vector": VECTOR},
        written_by="generation_fingerprints",
        noted_in=("generation_fingerprints", "true"),
    ),
)
MEANINGS = {
    "fingerprinted_shards": {
        "fingerprint": "which fingerprint: hashes, copy, semantic or redownload",
        "recipe": "hash of the delivery and the maker; empty while the work is not done",
        "pictures": "pictures in the dump",
        "ok": "pictures with a fingerprint",
        "low_quality": "pictures too flat for this fingerprint",
        "failed": "pictures that could not be read",
        "unlisted": "pictures that no metadata row lists",
        "unlisted_examples": "names of some of them",
        "contradictions": "pictures that agree with a row in one thing and differ in another",
        "contradiction_examples": "some of them in words",
        "broken": "why the dump cannot be read, or where it breaks off",
    },
    "generation_fingerprints": {
        "path": "the file; of one in a tar or parquet, that and its name there after `::`",
        "negative_prompt": "text of what the image should not show",
        "seed_number": "seed that the image was generated from, up to 20 digits",
        "sampler": "sampler that the generator used",
        "steps": "sampling steps",
        "described_by": "what states prompt, model and seed, the first believed first",
        "stated_otherwise": "other values that these state",
        "description_recipe": "hash of what is said of the image",
        "unsearched": "what the file may show that its fingerprints are not of",
    },
}
"""What columns mean that are in one table alone, or mean something else in others: by table and name."""
