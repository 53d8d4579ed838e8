"""Metadata as CSV or JSON lines: converted once into a parquet that is read in its place.

What belongs here: the columns that have a meaning, as text. What does not: the forms of such
files (`catalog/record_files.py`), what a metadata file must have (`catalog/metadata.py`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.catalog.byte_limits import TextCheck
from transforms.catalog.columns import (
    DECIDING,
    HASH_COLUMNS,
    KNOWN,
    ON_RIGHTS,
    LandingError,
    forms_of,
    stated_caption,
)
from transforms.catalog.record_files import Record, RecordFileError, records
from transforms.catalog.values import rights_text
from transforms.storage import stores
from transforms.storage.file_limits import ByteLimits

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".ndjson.gz", ".json.gz")
"""Endings of metadata files that are converted."""
_ROWS = 16_384
_SHARE = 8  # part of a batch that texts may take before they are written
_LONGEST = 4_096  # characters of a text on rights; `catalog.rights` has fewer
_USED = KNOWN | set(HASH_COLUMNS) | ON_RIGHTS
_SCHEMA = pa.schema([(name, pa.string()) for name in sorted(_USED)])
_WHOLE = float(1 << 64)


@dataclass
class ConvertedMetadata:
    """The result of converting a file.

    Attributes:
        rows: Count of rows.
        columns: Names of its columns as far as they were seen.
        repaired_rows: Rows whose text was not Unicode.
        forms: How each column of the copy is read, as `columns.forms_of` returns it.
    """

    rows: int = 0
    columns: tuple[str, ...] = ()
    repaired_rows: int = 0
    forms: tuple[str, ...] = field(default_factory=lambda: forms_of(_SCHEMA))


def convert(path: str, target: Path, limits: ByteLimits) -> ConvertedMetadata:
    """Write the columns of a CSV or JSON file that have a meaning as a parquet of text. Holds a few thousand rows.

    Args:
        path: The file, local or remote.
        target: The parquet.
        limits: Of its size.

    Raises:
        LandingError: If a line cannot be read, breaks a limit, or a value is no plain one; the message names the line.
        OSError: If it cannot be opened.
    """
    found, names, check = ConvertedMetadata(), dict[str, str](), TextCheck(path, limits)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    try:
        with (
            stores.open_file(path) as source,
            pq.ParquetWriter(partial, _SCHEMA) as out,
        ):
            for some in _batches(records(path, limits, source=source), names, limits.batch // _SHARE):
                columns, repaired = _columns(path, some, names)
                nothing = pa.nulls(len(some), pa.string())
                arrays = [
                    pa.array(columns[name], pa.string()) if name in columns else nothing for name in _SCHEMA.names
                ]
                batch = pa.record_batch(arrays, schema=_SCHEMA)
                check.add(batch)
                out.write_batch(batch)
                found.rows += len(some)
                found.repaired_rows += repaired
    except RecordFileError as error:
        raise LandingError(str(error)) from error
    found.columns = tuple(names)
    partial.replace(target)
    return found


def _batches(found: Iterable[Record], names: dict[str, str], most: int) -> Iterator[list[Record]]:
    """Yield some thousand records at once, of fewer characters than `most`, with the columns that have a meaning."""
    some: list[Record] = []
    size = 0
    for record in found:
        fields = {}
        for name, value in record.fields.items():
            alias = names.get(name) or names.setdefault(name, name.lower())
            if alias in ON_RIGHTS:
                value = rights_text(alias, value, _LONGEST)
            if alias in _USED and value is not None:
                fields[name] = value
                size += len(value) if isinstance(value, str) else 0
        some.append(Record(record.number, fields, letters=record.letters))
        if len(some) == _ROWS or size > most:
            yield some
            some, size = [], 0
    if some:
        yield some


def _columns(path: str, some: Sequence[Record], names: dict[str, str]) -> tuple[dict[str, list[str | None]], int]:
    """Return the values of some records by column, and how many records had text that was not Unicode."""
    columns: dict[str, list[str | None]] = {}
    repaired = 0
    for at, record in enumerate(some):
        broken = False
        for name, value in record.fields.items():
            alias = names[name]
            text = value if type(value) is str and value.isascii() else _text(path, record, name, value)
            column = columns.get(alias) or columns.setdefault(alias, [None] * len(some))
            if text is not None and not column[at]:  # an empty field states nothing
                column[at] = text
                odd = not text.isascii() and (record.letters or "\ufffd" in text)
                broken = broken or (odd and alias not in ON_RIGHTS)
            elif text and column[at] != text and alias in DECIDING:
                spelled = ", ".join(each for each in names if names[each] == alias)
                raise LandingError(
                    f"{path}: line {record.number} has {alias} twice, in different cases and with different values: "
                    f"{spelled}; rename one"
                )
        repaired += broken
    return columns, repaired


def _text(path: str, record: Record, name: str, value: Any) -> str | None:  # noqa: ANN401 -- any value of JSON
    if isinstance(value, list):
        value = next((each for each in value if not isinstance(each, str) or stated_caption(each)), None)
    if isinstance(value, dict | list | bytes):
        raise LandingError(
            f"{path}: line {record.number}: {name} is {type(value).__name__}; write it as text or number"
        )
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _WHOLE else str(value)
    if isinstance(value, bool):
        return str(value).lower()
    return value if value is None else str(value).encode(errors="replace").decode()
