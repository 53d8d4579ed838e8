"""The fact tables of the stage `duplicates`.

Joins compare new fingerprints with all, and get a note once all their pairs are written. Tables are keyed by the
fingerprints, not by rows, because the distance of two hashes does not depend on the rows that have them.
"""

import pyarrow as pa

from orchestration.facts.schemas.definition import COMPARED, COMPARISON, DIGEST, TableDefinition

TABLES = (
    TableDefinition(
        "joins",
        row="a join of one kind that is finished",
        key={"kind": pa.string(), "join_id": pa.int64()},
        columns={
            "recipe": pa.string(),
            "exact": pa.bool_(),
            "threshold": pa.float64(),
            "new": pa.int64(),
            "old": pa.int64(),
            "pairs": pa.int64(),
            "recall": pa.float64(),
            "recall_low": pa.float64(),
            "recall_high": pa.float64(),
            "recall_pairs": pa.int64(),
            "seconds": pa.float64(),
        },
        written_by="near_pictures",
        also_written_by=("near_hashes",),
    ),
    TableDefinition(
        "joined_hashes",
        row="a PDQ hash that was compared with all others",
        columns={"join_id": pa.int64(), "pdq": DIGEST},
        written_by="near_hashes",
    ),
    TableDefinition(
        "near_hashes",
        row="two PDQ hashes that differ by few bits",
        columns={"join_id": pa.int64(), "pdq_a": DIGEST, "pdq_b": DIGEST, "distance": pa.int32()},
    ),
    TableDefinition(
        "joined_pictures",
        row="a picture, by the SHA-256 of its pixels, whose embedding was compared with all others",
        columns={"join_id": pa.int64(), "pixel_sha256": DIGEST},
        written_by="near_pictures",
    ),
    TableDefinition(
        "near_pictures",
        row="two pictures with similar embeddings",
        columns={"join_id": pa.int64(), "pixel_a": DIGEST, "pixel_b": DIGEST, "copy_score": pa.float64()},
    ),
    TableDefinition(
        "pixel_comparisons",
        row="two training pictures laid over each other",
        key=COMPARED,
        columns=COMPARISON,
        written_by="duplicate_pairs",
    ),
    TableDefinition(
        "duplicate_pairs",
        row="two training rows that show the same picture",
        key={"sample_id_a": pa.uint64(), "sample_id_b": pa.uint64()},
        columns={
            "method": pa.string(),
            "distance": pa.float64(),
            "threshold": pa.float64(),
            "copy_score": pa.float64(),
            "pdq_distance": pa.int32(),
            "aligned_distance": pa.float64(),
            "inliers": pa.int32(),
            "failure": pa.string(),  # why a picture could not be read
        },
    ),
    TableDefinition(
        "cluster_members",
        row="a training row in a cluster of the same picture",
        key={"sample_id": pa.uint64()},
        columns={
            "representative_id": pa.uint64(),
            "method": pa.string(),
            "distance_to_representative": pa.float64(),
            "aligned_distance_to_representative": pa.float64(),
            "automatic_representative_id": pa.uint64(),
            "decisions": pa.list_(pa.string()),
        },
        cluster_of="representative_id",
    ),
    TableDefinition(
        "cluster_similarities",
        row="a cluster, with the least cosine of any two members; a bound where it is too large to compare them all",
        key={"representative_id": pa.uint64()},
        columns={
            "distinct_pictures": pa.int64(),
            "min_similarity": pa.float64(),
            "min_similarity_exact": pa.bool_(),
        },
        written_by="cluster_members",
        cluster_of="representative_id",
    ),
    TableDefinition(
        "caption_groups",
        row="a normalised caption, by its MD5, that nearly equals others, with the caption that names their group",
        key={"caption_key": pa.string()},
        columns={"group_key": pa.string(), "similarity": pa.float64()},
    ),
    TableDefinition(
        "shard_captions",
        row="a normalised caption of a shard, with its words, for comparing new captions with it",
        columns={
            "shard_id": pa.int64(),
            "caption_key": pa.binary(16),
            "rows": pa.int32(),
            "words": pa.list_(pa.uint64()),
        },
        written_by="caption_groups",
    ),
    TableDefinition(
        "captioned_shards",
        row="a shard whose captions are in shard_captions and were grouped",
        key={"shard_id": pa.int64()},
        columns={"readable_path": pa.string(), "metadata_size": pa.int64(), "metadata_mtime_ns": pa.int64()},
        written_by="caption_groups",
    ),
)
MEANINGS = {
    "joins": {
        "kind": "what was joined, such as near_hashes, near_pictures or captions",
        "join_id": "number of the join",
        "exact": "whether it found every pair",
        "new": "fingerprints that were new to it",
        "old": "fingerprints that had been joined before",
        "recall": "measured share of the pairs that it found; null where it is exact",
        "recall_low": "lower end of the 95% interval of recall",
        "recall_high": "upper end of it",
        "recall_pairs": "pairs that recall was measured on",
    },
    "near_hashes": {"pdq_a": "the lower of the two hashes", "pdq_b": "the other", "distance": "differing bits of 256"},
    "near_pictures": {"pixel_a": "SHA-256 of the pixels of one picture", "pixel_b": "of the other"},
    "cluster_members": {
        "method": "what confirmed the member against its representative; decided where only a decision does",
        "distance_to_representative": "differing bits of 256, by perceptual hash",
        "aligned_distance_to_representative": "root mean square of aligned pixels, where these confirm",
        "automatic_representative_id": "the row that would stand for it without decisions; null where none is near",
        "decisions": "the decisions that changed its cluster; null where none did",
    },
    "cluster_similarities": {
        "distinct_pictures": "pictures of the cluster that differ in some pixel",
        "min_similarity": "least cosine of any two of them",
        "min_similarity_exact": "false where min_similarity is a lower bound",
    },
    "caption_groups": {
        "group_key": "MD5 of the normalised caption that the group is named after",
        "similarity": "Jaccard similarity of the words of the two captions",
    },
    "shard_captions": {
        "rows": "training rows of the shard that have it",
        "words": "its different words, as hashes in order",
    },
    "captioned_shards": {
        "readable_path": "the file that its captions were read from",
        "metadata_size": "the size of its metadata file in bytes",
        "metadata_mtime_ns": "when that was last changed, in nanoseconds",
    },
}
"""What columns mean that are in one table alone, or mean something else in others: by table and name."""
