"""Metadata as CSV or JSON lines: converted once into a parquet that is read in its place.

What belongs here: the columns that have a meaning, as text, and the encoding of CSV. What does not: the forms of such
files (`catalog/record_files.py`), what a metadata file must have (`catalog/metadata.py`).
"""

import codecs
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import batched, pairwise
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.catalog.columns import DECIDING, HASH_COLUMNS, KNOWN, LandingError, forms_of, stated_caption
from transforms.catalog.record_files import Record, RecordFileError, records
from transforms.storage import stores

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".ndjson.gz", ".json.gz")
"""Endings of metadata files that are converted."""
_ROWS = 16_384
_CHUNK = 8 << 20
_HEAD = 4096
_USED = KNOWN | set(HASH_COLUMNS)
_SCHEMA = pa.schema([(name, pa.string()) for name in sorted(_USED)])
_LETTERS = "cp1252"  # what programs write that know of one byte a letter only
_ALONE = 0.7  # bytes above ASCII that stand alone in text of Latin letters; in other alphabets they stand together
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


def convert(path: str, target: Path) -> ConvertedMetadata:
    """Write the columns of a CSV or JSON file that have a meaning as a parquet of text. Holds a few thousand rows.

    Args:
        path: The file, local or remote.
        target: The parquet.

    Raises:
        LandingError: If a line cannot be read, or a value is no plain one; the message names the line.
        OSError: If it cannot be opened.
    """
    found, names = ConvertedMetadata(), dict[str, str]()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    try:
        with (
            _readable(path, target.with_suffix(".text")) as (source, letters),
            pq.ParquetWriter(partial, _SCHEMA) as out,
        ):
            for some in batched(records(path, source=source), _ROWS):
                columns, repaired = _columns(path, some, names, letters=letters)
                nothing = pa.nulls(len(some), pa.string())
                arrays = [
                    pa.array(columns[name], pa.string()) if name in columns else nothing for name in _SCHEMA.names
                ]
                out.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
                found.rows += len(some)
                found.repaired_rows += repaired
    except RecordFileError as error:
        raise LandingError(str(error)) from error
    found.columns = tuple(names)
    partial.replace(target)
    return found


def _columns(
    path: str, some: Sequence[Record], names: dict[str, str], *, letters: bool
) -> tuple[dict[str, list[str | None]], int]:
    """Return the values of some records by column, and how many records had text that was not Unicode."""
    columns: dict[str, list[str | None]] = {}
    repaired = 0
    for at, record in enumerate(some):
        broken = False
        for name, value in record.fields.items():
            alias = names.get(name) or names.setdefault(name, name.lower())
            if alias not in _USED or value is None:
                continue
            text = value if type(value) is str and value.isascii() else _text(path, record, name, value)
            column = columns.get(alias) or columns.setdefault(alias, [None] * len(some))
            if text is not None and not column[at]:  # an empty field states nothing
                column[at] = text
                broken = broken or (not text.isascii() and (letters or "\ufffd" in text))
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


@contextmanager
def _readable(path: str, copy: Path) -> Iterator[tuple[BinaryIO, bool]]:
    """Open a file; if it is text of one byte a letter, a copy of it in UTF-8, and say so.

    Raises LandingError for text in another encoding.
    """
    with stores.open_file(path) as source:
        encoding = _encoding(path, source)
        source.seek(0)
        if encoding is None:
            yield source, False
            return
        try:
            with copy.open("wb") as target:
                text = codecs.getreader(encoding)(source, "replace")
                while chunk := text.read(_CHUNK):
                    target.write(chunk.encode())
            with copy.open("rb") as file:
                yield cast(BinaryIO, file), True
        finally:
            copy.unlink(missing_ok=True)


def _encoding(path: str, source: BinaryIO) -> str | None:
    """Return the encoding of a text that is in no encoding of Unicode, or None."""
    head = source.read(_HEAD)
    if head.startswith(b"\x1f\x8b") or json.detect_encoding(head) not in {"utf-8", "utf-8-sig"}:
        return None
    source.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    broken = letters = alone = above = 0
    while chunk := source.read(_CHUNK):
        if chunk.isascii():
            continue
        text = decoder.decode(chunk)
        broken += text.count("\ufffd")
        letters += sum(1 for character in text if character > "\x7f" and character != "\ufffd")
        if letters:
            return None  # UTF-8, of which some bytes may be broken
        places = [at for at, byte in enumerate(chunk) if byte > 0x7F]
        above += len(places)
        alone += len(places) - sum(after - before == 1 for before, after in pairwise(places))
    if not broken:
        return None
    if alone < _ALONE * above:
        raise LandingError(
            f"{path} is text in no encoding of Unicode, and not in Latin letters; convert it: "
            f"iconv -f ENCODING -t UTF-8"
        )
    return _LETTERS
