"""The facts: what costs a GPU or a join, kept in LanceDB tables, keyed and versioned.

What belongs here: the tables, their columns and keys, and reading and writing them. What does not: computing facts
(`transforms/`), or anything derived from them (`sql/`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import lance
import lancedb
import pyarrow as pa

_KEY = {"lance-schema:unenforced-primary-key": "true"}  # without it two writers of one key duplicate its row
RECIPE = "raisonne:recipe"


def _schema(keys: Mapping[str, pa.DataType], **columns: pa.DataType) -> pa.Schema:
    return pa.schema(
        [pa.field(name, kind, nullable=False, metadata=_KEY) for name, kind in keys.items()]
        + [pa.field(name, kind) for name, kind in columns.items()]
    )


_VECTOR = pa.list_(pa.float32(), 512)
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
    "image_fingerprints": _schema(
        {"sample_id": pa.uint64()},
        shard_id=pa.int64(),
        key=pa.string(),
        member=pa.string(),
        member_offset=pa.int64(),
        member_size=pa.int64(),
        **_PRINT,
    ),
    "copy_embeddings": _schema({"sample_id": pa.uint64()}, shard_id=pa.int64(), vector=_VECTOR),
    "semantic_embeddings": _schema({"sample_id": pa.uint64()}, shard_id=pa.int64(), vector=_VECTOR),
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
    "null_scores": _schema({"sample_id": pa.uint64()}, nearest_id=pa.uint64(), score=pa.float64()),
}


# Tables that an asset of another name writes beside its own.
WRITTEN_BY = {
    "fingerprinted_shards": "image_fingerprints",
    "copy_embeddings": "image_fingerprints",
    "semantic_embeddings": "image_fingerprints",
    "generation_embeddings": "generation_fingerprints",
    "match_evidence": "match_candidates",
}


@dataclass(frozen=True)
class FactTable:
    """One Lance table below a warehouse's `facts` folder. Created empty when first touched."""

    folder: Path
    name: str

    @property
    def schema(self) -> pa.Schema:
        """Its columns; the key columns come first."""
        return SCHEMAS[self.name]

    @property
    def keys(self) -> list[str]:
        """The columns that name a row."""
        return [field.name for field in self.schema if field.metadata]

    def _open(self) -> Any:  # noqa: ANN401 -- lancedb ships no types
        return lancedb.connect(self.folder).create_table(self.name, schema=self.schema, exist_ok=True)

    def dataset(self, version: int | None = None) -> lance.LanceDataset:
        """Open the latest version, or the one given."""
        self._open()
        return lance.dataset(str(self.folder / f"{self.name}.lance"), version=version)

    @property
    def version(self) -> int:
        """The number of the latest version."""
        return int(self.dataset().version)

    def upsert(self, rows: pa.Table) -> int:
        """Insert rows, replacing those of the same key, in one commit. Returns how many rows were given."""
        if rows.num_rows:
            merge = self._open().merge_insert(self.keys)
            merge.when_matched_update_all().when_not_matched_insert_all().execute(rows.cast(self.schema))
        return rows.num_rows

    def replace(self, batches: Iterable[pa.Table], recipe: str) -> int:
        """Replace all rows, streamed, and remember the recipe they were made by. Returns how many rows there are.

        The recipe is forgotten first and committed last: a run killed in between makes the table again.
        """
        self.dataset().update_config({RECIPE: ""})
        stream = (batch for table in batches for batch in table.cast(self.schema).to_batches())
        reader = pa.RecordBatchReader.from_batches(self.schema, stream)
        dataset = lance.write_dataset(reader, self.dataset().uri, mode="overwrite", schema=self.schema)
        dataset.update_config({RECIPE: recipe})
        return int(dataset.count_rows())

    @property
    def recipe(self) -> str:
        """What the rows were made by: inputs, code and settings. Empty where they were never replaced as a whole."""
        return str(self.dataset().config().get(RECIPE, ""))

    def delete(self, where: str) -> None:
        """Delete the rows that satisfy a Lance filter; no new version where there are none."""
        if self.dataset().count_rows(filter=where):
            self._open().delete(where)

    def read(self, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """Read rows into memory: for tables that grow with shards or generations, not with training rows."""
        return self.dataset().to_table(columns=list(columns) if columns else None, filter=where)

    def scan(self, columns: Sequence[str], where: str | None = None) -> Iterator[pa.RecordBatch]:
        """Stream rows."""
        return iter(self.dataset().to_batches(columns=list(columns), filter=where))

    def forget_old_versions(self) -> None:
        """Drop versions older than a day that no published warehouse names: tags keep theirs. The latest stays."""
        self.dataset().cleanup_old_versions(older_than=timedelta(days=1), error_if_tagged_old_versions=False)


def literal(text: str) -> str:
    """Quote text for a Lance filter: names of generations come from the open web."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Facts:
    """All fact tables of a warehouse."""

    folder: Path

    def __getitem__(self, name: str) -> FactTable:
        if name not in SCHEMAS:
            raise KeyError(f"no fact table is called {name}; there are {', '.join(SCHEMAS)}")
        return FactTable(self.folder, name)

    def __iter__(self) -> Iterator[FactTable]:
        return (FactTable(self.folder, name) for name in SCHEMAS)

    def versions(self) -> dict[str, int]:
        """Return the latest version of every table."""
        return {table.name: table.version for table in self}

    def tag(self, number: int, versions: Mapping[str, int]) -> None:
        """Mark the Lance versions that published version `number` was derived from, so that cleanup keeps them."""
        for table in self:
            tags = table.dataset().tags
            name = f"warehouse-{number}"
            if name in tags.list():
                tags.update(name, versions[table.name])
            else:
                tags.create(name, versions[table.name])

    def keep_tags(self, kept: Collection[int]) -> None:
        """Let go of the Lance versions of warehouses that are pruned, or were never published."""
        names = {f"warehouse-{number}" for number in kept}
        for table in self:
            tags = table.dataset().tags
            for name in tags.list():
                if name.startswith("warehouse-") and name not in names:
                    tags.delete(name)
