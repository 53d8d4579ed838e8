"""Metadata files: each delivery is read once to prove that it is usable, and copied if it is not readable in place.

What belongs here: validating a metadata parquet, and its copy. What does not: CSV and JSON lines
(`catalog/text_metadata.py`), finding files (`catalog/landing.py`), column names (`catalog/columns.py`), values of a
column (`catalog/values.py`). A landing file is never changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.catalog import text_metadata
from transforms.catalog.byte_limits import ParquetTable, open_parquet
from transforms.catalog.columns import (
    DECIDING,
    HASH_COLUMNS,
    KNOWN,
    ON_RIGHTS,
    PICTURES_WANTED,
    TEXT_COLUMNS,
    LandingError,
    column_of,
    form_of,
    forms_of,
)
from transforms.catalog.picture_columns import PictureColumn, picture_columns
from transforms.catalog.record_files import PARQUET_ERRORS
from transforms.catalog.values import is_scalar, is_text_like, is_usable, texts, utf8
from transforms.readable import first_line
from transforms.storage import stores
from transforms.storage.file_limits import ByteLimits
from transforms.storage.full_disks import is_full
from transforms.storage.remote_stores import StoreError, explain_errors, is_remote

_ROWS = 64_000
_PARQUET = (".parquet", ".pq")
_USED = KNOWN | set(HASH_COLUMNS)
_RESERVED = frozenset({"landing_path", "file_row_number", "file_index", "filename", "rowid"})  # names that DuckDB adds


@dataclass(frozen=True)
class Inspection:
    """The result of one pass over a metadata file.

    Attributes:
        rows: Count of rows.
        columns: Their names.
        repaired_rows: Rows whose text was not UTF-8.
        pictures: The column that holds the bytes of pictures, if there is one.
        forms: How each column that has a meaning is read, as `columns.forms_of` returns it; None if not looked at.
    """

    rows: int
    columns: tuple[str, ...]
    repaired_rows: int
    pictures: PictureColumn | None = None
    forms: tuple[str, ...] | None = None


def inspect(path: str, copy: Path, limits: ByteLimits) -> Inspection:
    """Read a metadata file once, batch by batch, and prove that every page and every text in it can be read.

    It is copied if it is not readable in place: if it is CSV or JSON lines, if it is remote, if its name or its text is
    not UTF-8 (each broken byte becomes U+FFFD), if a column has an odd type or a name that another column has in
    another case, or if it holds pictures (the copy holds none). The bytes of pictures are not read.

    Args:
        path: The file, local or remote.
        copy: Where to write the copy.
        limits: Of its size in memory.

    Raises:
        LandingError: If it cannot be read whole or within the limits, or has neither URL and caption nor pictures.
        StoreError: If a store does not answer.
        OSError: If the disk of the copy is full.
    """
    try:
        with stores.open_file(path) as source, explain_errors(path, outages_only=True):
            if not path.lower().endswith(_PARQUET) and source.read(4) != b"PAR1":
                found = text_metadata.convert(path, copy, limits)
                if not found.rows:
                    raise LandingError(f"{path} has no rows; deliver it again, or leave it out of the glob")
                _require_columns(path, found.columns)
                return Inspection(found.rows, found.columns, found.repaired_rows, None, found.forms)
            return _inspect(path, open_parquet(path, source, limits), copy)
    except StoreError:
        raise
    except LandingError:
        for unfinished in (copy, copy.with_suffix(".partial")):
            unfinished.unlink(missing_ok=True)
        raise
    except MemoryError as error:
        raise LandingError(
            f"{path} takes more memory than there is; lower limits.batch_bytes, or let this process have more"
        ) from error
    except PARQUET_ERRORS as error:
        if is_full(error):
            raise
        reason = first_line(error)
        raise LandingError(f"{path} is not a whole parquet file ({reason}); download it again or remove it") from error


def _inspect(path: str, file: ParquetTable, copy: Path) -> Inspection:
    schema, pictures = file.schema, next(iter(picture_columns(file)), None)
    if not pictures:
        _require_columns(path, schema.names)
        _require_types(path, schema)
    kept = [each.name for each in schema if _is_copied(each, file)] if pictures else None
    used = [name for name in schema.names if name.lower() in _USED]
    if not pictures and (large := {name for name in schema.names if name not in used and file.is_large(name)}):
        kept = [name for name in schema.names if name not in large]  # such as embeddings, which no table shows
    broken = sum(_broken_rows(batch) for batch in _batches(file, kept, used))
    elsewhere = is_remote(path) or not Path(path).exists()  # under the name that it was found by
    forms = forms_of(schema)
    if broken or pictures or elsewhere or _is_odd(schema):
        forms = _write_copy(path, file, kept, copy)
    return Inspection(file.rows, tuple(schema.names), broken, pictures, forms)


def _batches(file: ParquetTable, columns: Sequence[str] | None, used: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    if columns is None or columns:
        return file.texts(columns, _ROWS, used)
    empty = pa.struct([])  # pictures and nothing else
    counts = (min(_ROWS, file.rows - first) for first in range(0, file.rows, _ROWS))
    return (pa.RecordBatch.from_struct_array(pa.array([{}] * count, empty)) for count in counts)


def _require_columns(path: str, names: Sequence[str]) -> None:
    for wanted in ("url", "caption"):
        if column_of(names, wanted) is None:
            aliases = ", ".join(TEXT_COLUMNS[wanted])
            raise LandingError(
                f"{path} has no {wanted} column: looked for {aliases} in any case, found "
                f"{', '.join(name[:60] for name in names[:40]) or 'none'}; rename the column or leave the file out of "
                f"the glob. Nor does it hold pictures, which would do: looked for {PICTURES_WANTED}"
            )


def _require_types(path: str, schema: pa.Schema) -> None:
    for each in schema:
        if each.name.lower() in KNOWN and not is_usable(each.type, each.name.lower()):
            raise LandingError(f"{path}: column {each.name} is {each.type}; cast it to a plain type")


def _is_copied(column: pa.Field, file: ParquetTable) -> bool:
    """Return whether the copy of a file with pictures keeps this column, because the catalog uses it."""
    alias = column.name.lower()
    if alias in ON_RIGHTS:
        return form_of(column.type) is not None and not file.is_large(column.name)
    return alias in _USED and is_usable(column.type, alias)


def _is_odd(schema: pa.Schema) -> bool:
    """Return whether a file cannot be read in place: names or types that DuckDB or another column would change."""
    lower = [name.lower() for name in schema.names]
    used = [each for each in schema if each.name.lower() in KNOWN]
    return (
        len(set(lower)) < len(lower)
        or not _RESERVED.isdisjoint(lower)
        or any(form_of(each.type) is None and not pa.types.is_null(each.type) for each in used)
    )


def _broken_rows(batch: pa.RecordBatch) -> int:
    broken: set[int] = set()
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_binary(column.type) and name.lower() in KNOWN:
            column = column.view(pa.string())
        elif pa.types.is_large_binary(column.type) and name.lower() in KNOWN:
            column = column.view(pa.large_string())
        broken.update(utf8(column)[1])
    return len(broken)


def _write_copy(path: str, file: ParquetTable, names: Sequence[str] | None, target: Path) -> tuple[str, ...]:
    """Write a file, or some columns, in types that are read in place; return how each column is read."""
    columns = _columns_by_name(file.schema, names)
    kinds = {name: _kind(fields) for name, fields in columns.items()}
    schema = pa.schema(kinds or {"url": pa.string()})  # a parquet file has no rows without a column
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with pq.ParquetWriter(partial, schema) as writer:
        for batch in _batches(file, names):
            arrays = [_merged(path, batch, name, kind) for name, kind in kinds.items()]
            writer.write_batch(pa.record_batch(arrays or [pa.nulls(batch.num_rows, pa.string())], schema=schema))
    partial.replace(target)
    return forms_of(schema)


def _columns_by_name(schema: pa.Schema, names: Sequence[str] | None) -> Mapping[str, list[pa.Field]]:
    """Return the columns of each name in any case, under the first of these names."""
    found: dict[str, list[pa.Field]] = {}
    firsts: dict[str, str] = {}
    for each in schema:
        lower = each.name.lower()
        if (names is None or each.name in names) and lower not in _RESERVED:
            found.setdefault(firsts.setdefault(lower, each.name), []).append(each)
    return found


def _kind(fields: Sequence[pa.Field]) -> pa.DataType:
    """Return the type of a column of the copy: text, unless it is read in place or has no meaning."""
    first, alias = fields[0].type, fields[0].name.lower()
    if is_text_like(first) or (alias in _USED and (len(fields) > 1 or form_of(first) not in {"whole", "float"})):
        return pa.null() if pa.types.is_null(first) and len(fields) == 1 else pa.string()
    return first


def _merged(path: str, batch: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    """Return a column of the copy: of several of its name in any case, the first that states a value."""
    places = [at for at, each in enumerate(batch.schema.names) if each.lower() == name.lower()]
    if kind != pa.string():
        return batch.column(places[0])
    columns = [texts(utf8(batch.column(at))[0]) for at in places if is_scalar(batch.schema.field(at).type)]
    if name.lower() in DECIDING and any(pc.any(pc.not_equal(columns[0], other)).as_py() for other in columns[1:]):
        spelled = ", ".join(batch.schema.names[at] for at in places)
        raise LandingError(
            f"{path} has {name.lower()} twice, in different cases and with different values: {spelled}; rename one"
        )
    return reduce(pc.coalesce, columns)
