"""Records of a file, one after another: JSON lines, a JSON array, a JSON object of records, CSV, Parquet.

What belongs here: telling the form of a file by its content, reading one record at a time, and errors that name the
file and the line. What does not: JSON itself (`catalog/json_records.py`), the meaning of fields (`catalog/columns.py`).

Bytes that are not text become U+FFFD. Half a surrogate pair, which JSON can spell and no table holds, is written as
`storage/stores.py` writes a byte of a file name that is not UTF-8, so that a name in a file equals the name on disk.
"""

import codecs
import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

import pyarrow as pa

from transforms.catalog.byte_limits import TooLargeError, open_parquet
from transforms.catalog.columns import is_text
from transforms.catalog.json_records import JsonTextError, objects
from transforms.readable import first_line
from transforms.storage import stores
from transforms.storage.file_limits import ByteLimits

_HEAD = 4096
_CHUNK = 8 << 20
_LETTERS = "cp1252"  # what programs write that know of one byte a letter only
_ALONE = 0.7  # bytes above ASCII that stand alone in text of Latin letters; in other alphabets they stand together
_ROWS = 1024  # rows of a parquet held at once
PARQUET_ERRORS = (OSError, ValueError, LookupError, pa.ArrowException)
"""What reading a broken parquet raises: names that are no UTF-8, for one, come as a ValueError."""
_PARQUET, _GZIP = b"PAR1", b"\x1f\x8b"
_ENDINGS = {".parquet": "Parquet", ".pq": "Parquet", ".json": "JSON", ".jsonl": "JSON", ".ndjson": "JSON"}
_AGAIN = "write it again as JSON lines, CSV or Parquet"


class RecordFileError(ValueError):
    """A file of records cannot be read; the message names the file, the line and the fix."""


@dataclass(frozen=True)
class Record:
    """A record of a file.

    Attributes:
        number: The line that it begins on, or its row in a parquet, counted from 1.
        fields: Its values by name. A value that the file does not have is None or absent.
        name: Its own name in a JSON object of records, else None.
        letters: Whether the file is in no encoding of Unicode and was read as one byte a letter, Windows-1252.
    """

    number: int
    fields: dict[str, Any]
    name: str | None = None
    letters: bool = False


def records(
    path: str, caps: ByteLimits, columns: Collection[str] | None = None, source: BinaryIO | None = None
) -> Iterator[Record]:
    """Read the records of a file one at a time, whatever its name ends in. An empty file has none.

    Args:
        path: The file, local or remote.
        caps: Its limits.
        columns: Names in lower case. Of a parquet, only columns of these names, in any case, are read.
        source: The open file if it is part of another, such as a member of a tar; `path` then only names it.

    Raises:
        RecordFileError: If it is of no known form, breaks off, or exceeds a limit, after the records before that place.
        OSError: If it cannot be opened.
    """
    with stores.open_file(path) if source is None else nullcontext(source) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if size > caps.file:
            raise RecordFileError(f"{path} has {size:,} bytes, more than limits.table_bytes = {caps.file:,}; split it")
        head = file.read(_HEAD)
        file.seek(0)
        if head.startswith(_PARQUET) or _ending(path) == "Parquet":
            yield from _parquet(path, file, columns, caps)
        elif head.startswith(_GZIP):
            with gzip.open(file, "rb") as plain:
                yield from _text(path, cast(BinaryIO, plain), caps)
        else:
            yield from _text(path, file, caps)


def _ending(path: str) -> str | None:
    name = PurePosixPath(path.lower())
    return _ENDINGS.get(name.suffix if name.suffix != ".gz" else PurePosixPath(name.stem).suffix)


def _text(path: str, file: BinaryIO, caps: ByteLimits) -> Iterator[Record]:
    try:
        head = file.read(_HEAD)
        file.seek(0)
        encoding: str = json.detect_encoding(head)  # by its mark or its zero bytes, which CSV shows as well
        if letters := encoding == "utf-8" and not _is_unicode(path, file, caps.file):
            encoding = _LETTERS
        file.seek(0)
        begins = head.decode(encoding, errors="replace").lstrip()
        is_json = begins[:1] in {"{", "["} or _ending(path) == "JSON"
        if "\0" in begins and not is_json:
            raise RecordFileError(f"{path} is neither text nor Parquet: it begins with {head[:8]!r}; {_AGAIN}")
        # CSV takes any line break, also within quotes; JSON only a line feed
        text = io.TextIOWrapper(file, encoding, errors="replace", newline="\n" if is_json else "")
        try:
            capped = CappedText(path, text, caps)
            for each in _json(path, capped, caps) if is_json else _csv(path, capped):
                yield replace(each, letters=True) if letters else each
        finally:
            text.detach()  # the file is closed by who opened it
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise RecordFileError(f"{path} breaks off ({error}); {_AGAIN}") from error


def _is_unicode(path: str, file: BinaryIO, most: int) -> bool:
    """Return whether a text is UTF-8, of which some bytes may be broken. Raises RecordFileError for other alphabets."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    broken = alone = above = 0
    while (chunk := file.read(_CHUNK)) and most > 0:
        most -= len(chunk)  # a compressed text may have no end
        if chunk.isascii():
            continue
        text = decoder.decode(chunk)
        broken += text.count("\ufffd")
        if any(character > "\x7f" and character != "\ufffd" for character in text):
            return True
        places = [at for at, byte in enumerate(chunk) if byte > 0x7F]
        above += len(places)
        alone += len(places) - sum(after - before == 1 for before, after in pairwise(places))
    if broken and alone < _ALONE * above:
        raise RecordFileError(
            f"{path} is text in no encoding of Unicode, and not in Latin letters; convert it: "
            "iconv -f ENCODING -t UTF-8"
        )
    return not broken


def decoded(data: bytes) -> tuple[str, bool]:
    """Return a text, and whether it is in no encoding of Unicode and was read as Windows-1252."""
    try:
        if json.detect_encoding(data) == "utf-8" and not _is_unicode("", io.BytesIO(data), len(data)):
            return data.decode(_LETTERS, errors="replace"), True
    except RecordFileError:
        pass  # of another alphabet: what can be read of it is read
    return data.decode(_encoding_by_mark(data), errors="replace"), False


def _encoding_by_mark(data: bytes) -> str:
    marks = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
    return next((encoding for mark, encoding in marks if data.startswith(mark)), "utf-8")


class CappedText(Iterator[str]):
    """A text of limited length, read by size or by lines of limited length."""

    def __init__(self, path: str, text: io.TextIOWrapper, caps: ByteLimits) -> None:
        self._path, self._text, self._caps = path, text, caps
        self._left, self._line, self._record = caps.file, 0, 0

    def read(self, size: int) -> str:
        """Return the next characters; fewer only at the end."""
        return self._counted(self._text.read(size))

    def __next__(self) -> str:
        line = self._counted(self._text.readline(self._caps.record + 1))
        if not line:
            raise StopIteration
        self._line += 1
        self._record += len(line)
        if self._record > self._caps.record:
            raise RecordFileError(
                f"{self._path}: the record on line {self._line} is longer than {self._caps.record:,} characters "
                f"(limits.record_bytes); close its quotes, or {_AGAIN}"
            )
        return line

    def begin_record(self) -> None:
        """Count the characters of the next record."""
        self._record = 0

    def _counted(self, text: str) -> str:
        self._left -= len(text)
        if self._left < 0:
            raise RecordFileError(
                f"{self._path} has more text than is allowed by limits.table_bytes = {self._caps.file:,}; split it"
            )
        return text


def _json(path: str, text: CappedText, caps: ByteLimits) -> Iterator[Record]:
    try:
        yield from (Record(number, fields, name) for number, name, fields in objects(text.read, caps.record))
    except JsonTextError as error:
        raise RecordFileError(f"{path}: line {error.line}: {error}") from error


def _csv(path: str, text: CappedText) -> Iterator[Record]:
    csv.field_size_limit(sys.maxsize)  # of the process; the text limits its records itself
    first = next(text, "")
    mark = "\t" if "\t" in first else ";" if ";" in first and "," not in first else ","
    rows = csv.reader(chain([first], text), delimiter=mark, strict=True)
    before = 0
    try:
        names = [name.strip() for name in next(rows, [])]
        named = [name for name in names if name]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise RecordFileError(f"{path}: line 1 names the column {', '.join(twice)} twice; rename one")
        before = rows.line_num
        text.begin_record()
        for row in rows:
            if len(row) > len(names):
                raise RecordFileError(
                    f"{path}: line {before + 1} has {len(row)} fields, the header {len(names)}; quote a field with a "
                    "comma in it"
                )
            if row:
                yield Record(before + 1, {name: value for name, value in zip(names, row, strict=False) if name})
            before = rows.line_num
            text.begin_record()
    except csv.Error as error:
        where = f"the record that begins on line {before + 1}"
        raise RecordFileError(f"{path}: {where} is not valid CSV: {error}; double the quotes in it") from error


def _parquet(path: str, source: BinaryIO, columns: Collection[str] | None, caps: ByteLimits) -> Iterator[Record]:
    number = 0
    try:
        file = open_parquet(path, source, caps)
        names = [name for name in file.schema.names if columns is None or name.lower() in columns]
        if not names:
            yield from (Record(row + 1, {}) for row in range(file.rows))
            return
        for batch in file.texts(names, _ROWS):
            values = [_values(column) for column in batch.columns]
            for row in zip(*values, strict=True):
                number += 1
                yield Record(number, dict(zip(batch.schema.names, row, strict=True)))
    except TooLargeError as error:
        raise RecordFileError(str(error)) from error
    except PARQUET_ERRORS as error:
        reason = first_line(error)[:200]
        where = f" after row {number}" if number else ""
        raise RecordFileError(f"{path} is not a whole parquet file{where} ({reason}); {_AGAIN}") from error


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_text(column.type):  # a parquet may hold text that is not UTF-8
        column = column.view(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary())
        return [value if value is None else value.decode(errors="replace") for value in column.to_pylist()]
    return cast(list[Any], column.to_pylist())
