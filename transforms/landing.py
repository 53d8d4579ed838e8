"""Landing files: metadata parquet and image tars as they were delivered, found and validated but never changed.

What belongs here: which files make up a shard, whether a metadata file can be used, which names its columns may have.
What does not: normalising rows (`sql/catalog/samples.sql`), reading pictures (`archives.py`).
"""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# One training row may be called by any of these names, in any case (LAION-400M, LAION-2B, Re-LAION, img2dataset,
# DataComp, COYO-700M). sql/catalog/samples.sql takes the first that is present; a test keeps the two in step.
TEXT_COLUMNS = {
    "url": ("url",),
    "caption": ("caption", "text", "alt_text"),
    "key": ("key",),
    "license": ("license",),
    "nsfw": ("nsfw",),
    "language": ("language",),
}
NUMBER_COLUMNS = {
    "width": ("original_width", "width"),
    "height": ("original_height", "height"),
    "similarity": ("similarity", "clip_l14_similarity_score", "clip_similarity_vitl14"),
    "punsafe": ("punsafe", "nsfw_score_gantman"),
    "pwatermark": ("pwatermark", "watermark_score"),
}
# A row's number within its shard takes the low bits of its id (67 million rows; LAION-2B's largest file has 18).
ROW_BITS = 26


class LandingError(ValueError):
    """A landing file cannot be used; the message names the file and the fix."""


@dataclass(frozen=True)
class LandingFile:
    """A file and what tells one delivery of it from the next: size in bytes, change time in nanoseconds."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def at(cls, path: Path) -> "LandingFile":
        """Stat `path`. Raises OSError if it is gone."""
        stat = path.stat()
        return cls(str(path), stat.st_size, stat.st_mtime_ns)


@dataclass(frozen=True)
class Shard:
    """A metadata file and the image tar of the same name; one of them may be absent."""

    dataset: str
    name: str
    metadata: LandingFile | None
    images: LandingFile | None

    @property
    def partition(self) -> str:
        """Its name among all datasets, which is also its Dagster partition."""
        return f"{self.dataset}/{self.name}"


@dataclass(frozen=True)
class Inspection:
    """What one pass over a metadata file found: rows, column names, and rows whose text was not UTF-8."""

    rows: int
    columns: tuple[str, ...]
    repaired_rows: int


def shards(dataset: str, metadata: str, images: str | None) -> list[Shard]:
    """Find the shards of a dataset, in order of their names.

    metadata, images: globs (`**` crosses folders). A shard is named by its path below the glob's fixed part, without
    the ending, so that `part-1/00000.parquet` meets `part-1/00000.tar`.
    """
    rows, pictures = _by_name(metadata), _by_name(images) if images else {}
    names = sorted(rows.keys() | pictures.keys())
    return [Shard(dataset, name, rows.get(name), pictures.get(name)) for name in names]


def _by_name(pattern: str) -> dict[str, LandingFile]:
    parts = Path(pattern).parts
    fixed = Path(*parts[: next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)])
    found: dict[str, LandingFile] = {}
    for path in map(Path, glob.iglob(pattern, recursive=True)):  # noqa: PTH207 -- Path.glob takes no absolute pattern
        if path.is_file():
            name = path.relative_to(fixed).with_suffix("").as_posix()
            if name in found:
                raise LandingError(f"{path} and {found[name].path} would both be shard {name}; narrow the glob")
            found[name] = LandingFile.at(path)
    return found


def column_of(names: tuple[str, ...], wanted: str) -> str | None:
    """Return which of a file's column `names` holds `wanted` (a key of TEXT_COLUMNS or NUMBER_COLUMNS)."""
    lower = {name.lower(): name for name in names}
    return next((lower[a] for a in (TEXT_COLUMNS | NUMBER_COLUMNS)[wanted] if a in lower), None)


def inspect(path: str, repaired: Path) -> Inspection:
    """Read a metadata file once, batch by batch, and prove that every page and every text in it can be read.

    Where text is not UTF-8 (DuckDB refuses such a file), a copy with U+FFFD in place of each broken byte is written
    to `repaired`. Raises LandingError for a file that is no parquet, broken, or without a URL or caption column.
    """
    try:
        with pq.ParquetFile(path) as file:
            _require_columns(path, file.schema_arrow)
            broken = sum(_broken_rows(batch) for batch in file.iter_batches(batch_size=64_000))
            if broken or any(pa.types.is_binary(f.type) for f in _text_fields(file.schema_arrow)):
                _write_repaired(file, repaired)
            return Inspection(file.metadata.num_rows, tuple(file.schema_arrow.names), broken)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LandingError(f"{path} is not a whole parquet file ({reason}); download it again or remove it") from error


def _require_columns(path: str, schema: pa.Schema) -> None:
    names = tuple(schema.names)
    lower = [name.lower() for name in names]
    twice = sorted({name for name in lower if lower.count(name) > 1})
    if twice:
        raise LandingError(f"{path} has {', '.join(twice)} twice, in different cases; rename one")
    for wanted in ("url", "caption"):
        if column_of(names, wanted) is None:
            aliases = ", ".join(TEXT_COLUMNS[wanted])
            raise LandingError(
                f"{path} has no {wanted} column: looked for {aliases} in any case, found {', '.join(names) or 'none'}; "
                "rename the column or leave the file out of the glob"
            )
    for wanted in (*TEXT_COLUMNS, *NUMBER_COLUMNS):
        column = column_of(names, wanted)
        if column is not None and not _fits(schema.field(column).type, number=wanted in NUMBER_COLUMNS):
            raise LandingError(f"{path}: column {column} is {schema.field(column).type}; cast it to a plain type")


def _fits(kind: pa.DataType, *, number: bool) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    if number:
        return text or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return text or pa.types.is_binary(kind) or pa.types.is_dictionary(kind) or pa.types.is_integer(kind)


def _text_fields(schema: pa.Schema) -> list[pa.Field]:
    return [
        f
        for f in schema
        if pa.types.is_string(f.type) or pa.types.is_large_string(f.type) or pa.types.is_binary(f.type)
    ]


def _broken_rows(batch: pa.RecordBatch) -> int:
    broken: set[int] = set()
    for field in _text_fields(batch.schema):
        column = batch.column(field.name)
        if pa.types.is_binary(field.type):
            continue
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            broken.update(i for i, value in enumerate(_bytes_of(column)) if value is not None and not _is_utf8(value))
    return len(broken)


def _bytes_of(column: pa.Array) -> Iterator[bytes | None]:
    binary = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
    return iter((column if pa.types.is_binary(column.type) else column.view(binary)).to_pylist())


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _write_repaired(file: pq.ParquetFile, target: Path) -> None:
    text = {field.name for field in _text_fields(file.schema_arrow)}
    schema = pa.schema([pa.field(f.name, pa.string() if f.name in text else f.type) for f in file.schema_arrow])
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with pq.ParquetWriter(partial, schema) as writer:
        for batch in file.iter_batches(batch_size=64_000):
            columns = [_repaired(batch.column(f.name)) if f.name in text else batch.column(f.name) for f in schema]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    partial.replace(target)


def _repaired(column: pa.Array) -> pa.Array:
    values = [value if value is None else value.decode(errors="replace") for value in _bytes_of(column)]
    return pa.array(values, pa.string())
