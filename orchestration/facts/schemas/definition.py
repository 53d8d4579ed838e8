"""The definition of a fact table, and the columns that several tables share.

What belongs here: the class and pieces of schemas. What does not: the tables (the other modules of this package).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from transforms.catalog.landing import ROW_BITS

_KEY = {"lance-schema:unenforced-primary-key": "true"}  # without it two writers of one key duplicate its row

VECTOR = pa.list_(pa.float32(), 512)  # SSCD's; a table takes the dimension of its encoder
DIGEST = pa.binary(32)
SHARD_OF_SAMPLE = f"(sample_id >> {ROW_BITS})"
"""The shard of a training row, in DuckDB's SQL."""
BOX = {"x": pa.float64(), "y": pa.float64(), "width": pa.float64(), "height": pa.float64()}
PRINT = {
    "status": pa.string(),
    "failure": pa.string(),
    "note": pa.string(),  # what is odd about a file whose pixels are whole
    "sha256": pa.string(),
    "pixel_sha256": pa.string(),
    "pdq": pa.string(),
    "pdq_quality": pa.int32(),
    "width": pa.int32(),
    "height": pa.int32(),
}
DIGESTS = {"sha256": DIGEST, "pixel_sha256": DIGEST, "pdq": DIGEST}
"""Those columns of `PRINT` that tables of training rows hold as bytes."""
NEAREST = {
    "recipe": pa.string(),
    "pictures": pa.binary(),  # SHA-256 of their pixels, 32 bytes each
    "scores": pa.list_(pa.float32()),
    "views": pa.list_(pa.int32()),
    "floor_score": pa.float32(),
    "floor_picture": pa.binary(),
}
"""Of a list of nearest pictures, complete down to its floor."""
COMPARED = {"picture_a": pa.string(), "picture_b": pa.string()}  # by the SHA-256 of their pixels
COMPARISON = {
    "recipe": pa.string(),
    "outcome": pa.string(),  # JSON
    "failure": pa.string(),  # why a picture could not be read; the next run tries again
    "waiting": pa.bool_(),  # whether it waits for an image dump instead; null from an older release
}


@dataclass(frozen=True)
class TableDefinition:
    """A fact table.

    Attributes:
        name: Its name, which is also that of its folder.
        row: What a row is.
        key: The columns that identify a row. They are never null. Empty for a table without a key.
        columns: The other columns.
        written_by: The asset that writes it. Empty: the asset of the same name.
        also_written_by: Other assets that write rows of their own into it.
        shard_of: The shard of a row, in DuckDB's SQL. Empty: its rows belong to no shard.
        cluster_of: The column that names the cluster of a row. Empty: its rows belong to no cluster.
        noted_in: The table of the notes that its rows are computed, and a filter for these notes. Code that empties the
            table deletes the notes first, so that the rows are computed again.
    """

    name: str
    row: str
    key: Mapping[str, pa.DataType] = field(default_factory=dict)
    columns: Mapping[str, pa.DataType] = field(default_factory=dict)
    written_by: str = ""
    also_written_by: tuple[str, ...] = ()
    shard_of: str = ""
    cluster_of: str = ""
    noted_in: tuple[str, str] | None = None

    @property
    def schema(self) -> pa.Schema:
        """All columns, the key first."""
        return pa.schema(
            [pa.field(name, kind, nullable=False, metadata=_KEY) for name, kind in self.key.items()]
            + [pa.field(name, kind) for name, kind in self.columns.items()]
        )
