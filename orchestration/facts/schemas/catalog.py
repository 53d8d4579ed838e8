"""The fact tables of the stage `catalog`."""

import pyarrow as pa

from orchestration.facts.schemas.definition import SHARD_OF_SAMPLE, TableDefinition

_FILE = {"path": pa.string(), "size": pa.int64(), "mtime_ns": pa.int64()}

TABLES = (
    TableDefinition(
        "landing_shards",
        row="a metadata file and the image dump of the same name, as the last run found them",
        key={"shard_id": pa.int64()},
        columns={
            "dataset": pa.string(),
            "shard": pa.string(),
            "status": pa.string(),
            "failure": pa.string(),
            "rows": pa.int64(),
            "repaired_rows": pa.int64(),
            "columns": pa.list_(pa.string()),
            "readable_path": pa.string(),  # the landing file, or its repaired copy
            "forms": pa.list_(pa.string()),  # how each column of that file is read; null from an older release
            **{f"metadata_{name}": kind for name, kind in _FILE.items()},
            **{f"images_{name}": kind for name, kind in _FILE.items()},
            "images_gone": pa.bool_(),  # null from an older release
        },
        shard_of="shard_id",
    ),
    TableDefinition(
        "not_taken",
        row="a reason why files of a place did not become rows, as one owner counted them",
        key={"owner": pa.string(), "place": pa.string(), "reason": pa.string()},
        columns={
            "dataset": pa.string(),  # null for generations
            "source": pa.string(),  # null for datasets
            "files": pa.int64(),
            "examples": pa.list_(pa.string()),
        },
        written_by="image_fingerprints",
        also_written_by=("landing_shards", "redownload_fingerprints", "generation_fingerprints"),
    ),
    TableDefinition(
        "recalled_rows",
        row="a training row that an opt-out list names, with the first entry that names it",
        key={"sample_id": pa.uint64()},
        columns={"list": pa.string(), "kind": pa.string(), "value": pa.string()},
        shard_of=SHARD_OF_SAMPLE,
    ),
    TableDefinition(
        "opt_out_hits",
        row="a training row and an entry of an opt-out list that names its picture by likeness",
        key={"sample_id": pa.uint64(), "list": pa.string(), "kind": pa.string(), "value": pa.string()},
        columns={
            "method": pa.string(),
            "distance": pa.int32(),
            "laid_over": pa.uint64(),  # this and the rest: null from an older release
            "copy_score": pa.float64(),
            "aligned_distance": pa.float64(),
            "inliers": pa.int32(),
            "overlap_listed": pa.float64(),
            "overlap_training": pa.float64(),
        },
        written_by="recalled_rows",
    ),
)
MEANINGS = {
    "landing_shards": {
        "status": "ok, images_only (a dump without metadata) or failed",
        "failure": "why the metadata file could not be used, and what to do",
        "rows": "training rows that the metadata file lists",
        "repaired_rows": "rows whose text was not UTF-8",
        "columns": "columns of the metadata file",
        "readable_path": "the metadata file, or its repaired copy",
        "forms": "how each column is read; null from an older release",
        "metadata_path": "the metadata file; null where there is none",
        "metadata_size": "its size in bytes",
        "metadata_mtime_ns": "when it was last changed, in nanoseconds",
        "images_path": "the image dump; null where there is none",
        "images_size": "its size in bytes, with that of img2dataset's report beside it",
        "images_mtime_ns": "when it was last changed, in nanoseconds; of a folder, or with a report beside it, a hash",
        "images_gone": "whether its files are gone since they were fingerprinted; the fingerprints stay",
    },
    "not_taken": {
        "owner": "who counted: the folders of a dataset, a dump, or a source of generations",
        "place": "the folder or file where they were found",
        "reason": "why they became no rows, in plain words",
        "dataset": "the dataset; null for generations",
        "source": "the source of generations; null for datasets",
        "files": "how many",
        "examples": "some of their names",
    },
    "recalled_rows": {
        "list": "name of the opt-out list in the settings; `policies.honour` where no list names the row",
        "kind": "what the entry names: an id, a URL, a host, a hash or a picture; or which statement is honoured",
        "value": "the entry, as the list writes it; a picture by its file; of a statement the reason",
    },
    "opt_out_hits": {
        "list": "name of the opt-out list in the settings",
        "kind": "what the entry names: `pdq` or `picture`",
        "value": "the hash as the list writes it, or the file of the picture below its folder",
        "method": "sha256, pixels, copy, partial_copy, altered_copy, duplicate or pdq",
        "distance": "differing bits of 256; 0 of equal bytes or pixels; null where hashes say nothing",
        "laid_over": "the training row whose picture was laid over the listed one; null where none was",
        "overlap_listed": "share of the listed picture that the shared part covers",
        "overlap_training": "share of the training picture that it covers",
    },
}
"""What columns mean that are in one table alone, or mean something else in others: by table and name."""
