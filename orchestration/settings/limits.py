"""The section `[limits]`: how much memory and time anything that is read may cost.

What belongs here: its keys, and the limits as pictures and files are held to them. What does not: holding them
(`transforms/pictures/bounds.py`, `transforms/catalog/byte_limits.py`).
"""

from typing import TYPE_CHECKING, Annotated

from pydantic import ByteSize, Field

from orchestration.settings.section import Section
from transforms.storage.file_limits import ByteLimits

if TYPE_CHECKING:
    from transforms.pictures import Bounds

_FILES = ByteLimits()


class Limits(Section):
    """Limits of time and memory. They do not change a result that fits within them."""

    memory: ByteSize | None = Field(
        None,
        ge=256_000_000,
        description="Bytes, or a size with its unit, that a run may hold of its data; what exceeds it lies in files "
        "below `home`. None: a third of the memory of the machine, or of its control group. A quarter of it is for the "
        "training pictures and a quarter for a join; or, later in the run, half for DuckDB. The code itself, an "
        "encoder and the processes that decode come on top.",
    )
    pixels: int = Field(50_000_000, ge=1, description="Pixels of the largest picture that is decoded.")
    side: int = Field(100_000, ge=1, description="Pixels of the longest side of a picture that is decoded.")
    aspect: int = Field(10_000, ge=1, description="Times that one side of a picture may be as long as the other.")
    picture_memory: ByteSize = Field(
        ByteSize(2_000_000_000),
        ge=1_000_000,
        description="Bytes, or a size with its unit, that decoding one picture may take. There is a process a core.",
    )
    picture_seconds: float = Field(
        60.0, ge=0, allow_inf_nan=False, description="Seconds of a processor that decoding one picture may take."
    )
    member_bytes: int = Field(100_000_000, ge=1, description="Bytes of the largest file of a dump that is read.")
    text_bytes: ByteSize = Field(
        ByteSize(_FILES.text),
        ge=1,
        description="Bytes of the longest text that is read: a caption, a URL, a prompt, an entry of a list. This and "
        "the next three are bytes, or a size with its unit; a file that breaks one is failed with the reason.",
    )
    record_bytes: ByteSize = Field(
        ByteSize(_FILES.record),
        ge=1,
        description="Size of the longest record of JSON or CSV, and of a parquet's footer.",
    )
    batch_bytes: ByteSize = Field(
        ByteSize(_FILES.batch),
        ge=1,
        description="Bytes of a parquet that are decompressed at once, such as a page of each column, and of the texts "
        "of a dump's pictures or of a table of generations, which are held together.",
    )
    table_bytes: ByteSize = Field(
        ByteSize(_FILES.file),
        ge=1,
        description="Bytes of the largest file of metadata, table or list, decompressed; of a parquet, of its texts.",
    )
    batch: int = Field(
        64, ge=1, description="Pictures that are decoded and embedded at once. A GPU is handed 512 if that is more."
    )
    neighbours: int = Field(10, ge=1, description="Training pictures that are kept for each generation.")
    null_sample: int = Field(
        256, ge=2, description="Training pictures from which the null distribution of scores is drawn."
    )
    commit_rows: int = Field(
        16_384,
        ge=1,
        description="Fingerprints that are committed together: shards that end within seconds share a commit. Of a "
        "shard that shares its metadata with others, as many are held in memory.",
    )
    index_rows: int = Field(1_000_000, ge=1, description="Rows from which a fact table gets an index.")
    duckdb_memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s?(MB|GB|TB|MiB|GiB|TiB)$")] | None = Field(
        None,
        description="Memory of DuckDB, with its unit, before it spills to disk. None: half of `limits.memory`.",
    )

    @property
    def bounds(self) -> "Bounds":
        """The bounds of a picture."""
        from transforms.pictures import Bounds  # with NumPy and Pillow, which reading settings does without

        return Bounds(self.pixels, self.side, self.aspect, int(self.picture_memory), self.picture_seconds)

    @property
    def of_files(self) -> ByteLimits:
        """Limits of files that are not pictures."""
        return ByteLimits(*map(int, (self.text_bytes, self.record_bytes, self.batch_bytes, self.table_bytes)))
