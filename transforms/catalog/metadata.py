"""Metadata parquet: each delivery is read once to prove that it is usable, and copied if it is not readable in place.

What belongs here: validating a metadata file, and its copy. What does not: finding files (`catalog/landing.py`), column
names (`catalog/columns.py`). A landing file is never changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.catalog.columns import (
    ALIASES,
    PICTURES_WANTED,
    TEXT_COLUMNS,
    LandingError,
    column_of,
    fits,
    is_bytes,
    is_text,
)
from transforms.catalog.picture_columns import PictureColumn, picture_columns
from transforms.storage import stores
from transforms.storage.remote_stores import StoreError, explain_errors, is_remote

_ROWS = 64_000
_KNOWN = {alias for aliases in ALIASES.values() for alias in aliases}


@dataclass(frozen=True)
class Inspection:
    """The result of one pass over a metadata file.

    Attributes:
        rows: Count of rows.
        columns: Their names.
        repaired_rows: Rows whose text was not UTF-8.
        pictures: The column that holds the bytes of pictures, if there is one.
    """

    rows: int
    columns: tuple[str, ...]
    repaired_rows: int
    pictures: PictureColumn | None = None


def inspect(path: str, copy: Path) -> Inspection:
    """Read a metadata file once, batch by batch, and prove that every page and every text in it can be read.

    It is copied if it is not readable in place: if it is remote, if its name or its text is not UTF-8 (each broken byte
    becomes U+FFFD), or if it holds pictures (the copy holds none). The bytes of pictures are not read.

    Args:
        path: The file, local or remote.
        copy: Where to write the copy.

    Raises:
        LandingError: If it is not a whole parquet, or has neither a URL and a caption nor pictures.
        StoreError: If a store does not answer.
    """
    try:
        with stores.open_file(path) as source, explain_errors(path, outages_only=True), pq.ParquetFile(source) as file:
            return _inspect(path, file, copy)
    except StoreError:
        raise
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LandingError(f"{path} is not a whole parquet file ({reason}); download it again or remove it") from error


def _inspect(path: str, file: pq.ParquetFile, copy: Path) -> Inspection:
    schema, pictures = file.schema_arrow, next(iter(picture_columns(file)), None)
    _refuse_twice(path, schema)
    if pictures:
        kept = [f.name for f in schema if _copied(f)]
    else:
        _require_columns(path, schema)
        kept = schema.names
    broken = sum(_broken_rows(batch) for batch in _batches(file, kept))
    elsewhere = is_remote(path) or not Path(path).exists()  # under the name that it was found by
    if broken or pictures or elsewhere or any(is_bytes(schema.field(name).type) for name in kept):
        _write_copy(file, kept, copy)
    return Inspection(file.metadata.num_rows, tuple(schema.names), broken, pictures)


def _batches(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    if columns:
        return file.iter_batches(batch_size=_ROWS, columns=columns)
    empty = pa.schema([])  # pictures and nothing else
    counts = (file.metadata.row_group(i).num_rows for i in range(file.num_row_groups))
    return (pa.RecordBatch.from_struct_array(pa.array([{}] * n, pa.struct(empty))) for n in counts)


def _refuse_twice(path: str, schema: pa.Schema) -> None:
    lower = [name.lower() for name in schema.names]
    twice = sorted({name for name in lower if lower.count(name) > 1})
    if twice:
        raise LandingError(f"{path} has {', '.join(twice)} twice, in different cases; rename one")


def _require_columns(path: str, schema: pa.Schema) -> None:
    names = tuple(schema.names)
    for wanted in ("url", "caption"):
        if column_of(names, wanted) is None:
            aliases = ", ".join(TEXT_COLUMNS[wanted])
            raise LandingError(
                f"{path} has no {wanted} column: looked for {aliases} in any case, found {', '.join(names) or 'none'}; "
                "rename the column or leave the file out of the glob. Nor does it hold pictures, which would do: "
                f"looked for {PICTURES_WANTED}"
            )
    for field in schema:
        if field.name.lower() in _KNOWN and not fits(field.type, field.name.lower()):
            raise LandingError(f"{path}: column {field.name} is {field.type}; cast it to a plain type")


def _copied(field: pa.Field) -> bool:
    """Return whether the copy of a file with pictures keeps this column, because the catalog uses it."""
    alias = field.name.lower()
    return alias in _KNOWN and (fits(field.type, alias) or _is_list_of_text(field.type))


def _is_list_of_text(kind: pa.DataType) -> bool:
    return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and is_text(kind.value_type)


def _broken_rows(batch: pa.RecordBatch) -> int:
    broken: set[int] = set()
    for field in batch.schema:
        if not (is_text(field.type) or _is_list_of_text(field.type)):
            continue
        column = batch.column(field.name)
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            broken.update(i for i, value in enumerate(_bytes_of(column)) if value is not None and not _is_utf8(value))
    return len(broken)


def _bytes_of(column: pa.Array) -> Iterator[bytes | None]:
    """Yield each value's bytes; of several texts, the first."""
    if _is_list_of_text(column.type):
        kind = pa.large_binary() if pa.types.is_large_string(column.type.value_type) else pa.binary()
        values, starts = list(_bytes_of(column.values.view(kind))), column.offsets.to_pylist()
        ends = zip(starts, starts[1:], column.is_valid().to_pylist(), strict=False)
        return (values[start] if valid and end > start else None for start, end, valid in ends)
    if is_bytes(column.type):
        return iter(column.to_pylist())
    return iter(column.view(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()).to_pylist())


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _write_copy(file: pq.ParquetFile, names: list[str], target: Path) -> None:
    fields = [file.schema_arrow.field(name) for name in names]
    text = {f.name for f in fields if is_text(f.type) or is_bytes(f.type) or _is_list_of_text(f.type)}
    schema = pa.schema([pa.field(f.name, pa.string() if f.name in text else f.type) for f in fields])
    if not names:  # a parquet file has no rows without a column
        schema = pa.schema([pa.field("url", pa.string())])
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with pq.ParquetWriter(partial, schema) as writer:
        for batch in _batches(file, names):
            columns = [_repaired(batch.column(f.name)) if f.name in text else batch.column(f.name) for f in fields]
            writer.write_batch(pa.record_batch(columns or [pa.nulls(batch.num_rows, pa.string())], schema=schema))
    partial.replace(target)


def _repaired(column: pa.Array) -> pa.Array:
    values = [value if value is None else value.decode(errors="replace") for value in _bytes_of(column)]
    return pa.array(values, pa.string())
