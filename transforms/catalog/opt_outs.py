"""Opt-out lists: files that name training rows by id, URL, host or hash, exactly or within bits of one.

What belongs here: reading the entries of a list, which is untrusted. What does not: matching them with rows
(`orchestration/catalog/opt_outs.py`).

Lists come from opt-out forms on the open web. An entry is only text to compare. A file that cannot be read to its end
is refused, because a row whose entry was skipped would be published.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from transforms.catalog.byte_limits import TooLargeError, open_parquet
from transforms.catalog.columns import BLANKS, stated
from transforms.catalog.record_files import CappedText, RecordFileError
from transforms.storage.file_limits import ByteLimits

KINDS = ("sample_id", "url", "host", "sha256", "pdq")
ENDINGS = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".txt")
_BATCH = 16_384  # entries held at once
_SHARE = 8  # part of a batch of bytes that they may take
_HEAD = 4096
_SEPARATORS = (",", "\t", ";", "|")
_WHOLE = re.compile(r"(\d{1,16})\.0+")  # an id that went through doubles, which hold so many digits
_USABLE = {
    "sample_id": re.compile(r"\s*\d{1,20}\s*"),
    "sha256": re.compile(r"\s*[0-9a-fA-F]{64}\s*"),
    "pdq": re.compile(r"\s*[0-9a-fA-F]{64}\s*"),
}

WITHIN = "within"
"""The column that says in how many bits a hash may differ from the `pdq` of its row."""
MOST_BITS = 64
_BITS = re.compile(r"(\d{1,3})(\.0+)?")
_MENTIONS = [WITHIN.encode(encoding) for encoding in ("ascii", "utf-16-le", "utf-16-be")]
_CHUNK = 1 << 20


class OptOutEntry(NamedTuple):
    """An entry of a list.

    Attributes:
        kind: Of KINDS.
        value: As the list writes it.
        within: Bits in which a hash may differ from a `pdq`; None: the list does not say.
    """

    kind: str
    value: str
    within: int | None = None


class OptOutListError(ValueError):
    """An opt-out list cannot be used; the message names the file and the fix."""


def batches(path: Path, limits: ByteLimits) -> Iterator[list[OptOutEntry]]:
    """Read the entries of a list, a few thousand at a time: (kind, value) of every field that is not empty.

    Column names match in any case, and other columns are ignored. A value that only says that it is missing, such as
    `nan`, is empty. Text is UTF-8, or UTF-16 by its mark; bytes that are not become U+FFFD, as in metadata.

    Args:
        path: The file.
        limits: Of its size.

    Raises:
        OptOutListError: If it cannot be read to its end, breaks a limit, or has no column of KINDS.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise OptOutListError(f"{path}: an opt-out list ends in {', '.join(ENDINGS)}; rename or convert it")
    try:
        if (size := path.stat().st_size) > limits.file:
            raise OptOutListError(
                f"{path} has {size:,} bytes, more than limits.table_bytes = {limits.file:,}; split it"
            )
        yield from _batched(path, (_plain(entry) for entry in reader(path, limits) if stated(entry.value)), limits)
    except OptOutListError:
        raise
    except (RecordFileError, TooLargeError) as error:
        raise OptOutListError(str(error)) from error
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        raise OptOutListError(
            f"{path} cannot be read: {error}; deliver it again, or remove it from `recalls`"
        ) from error


def _batched(path: Path, entries: Iterable[OptOutEntry], limits: ByteLimits) -> Iterator[list[OptOutEntry]]:
    some: list[OptOutEntry] = []
    size = 0
    for entry in entries:
        if len(entry.value) > limits.text:
            raise OptOutListError(
                f"{path}: an entry of kind {entry.kind} has {len(entry.value):,} characters, more than "
                f"limits.text_bytes = {limits.text:,}; is it a list of lines?"
            )
        some.append(entry)
        size += len(entry.value)
        if len(some) == _BATCH or size > limits.batch // _SHARE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _plain(entry: OptOutEntry) -> OptOutEntry:
    whole = _WHOLE.fullmatch(entry.value.strip(BLANKS)) if entry.kind == "sample_id" else None
    return entry._replace(value=whole[1]) if whole and len(whole[1]) < 17 and int(whole[1]) < 1 << 53 else entry


def mentions_bits(path: Path) -> bool:
    """Return whether a list may have a column WITHIN. Raises OSError if it cannot be read."""
    before = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            text = (before + chunk).lower()
            if any(each in text for each in _MENTIONS):
                return True
            before = chunk[-len(_MENTIONS[-1]) :]
    return False


def usable(entry: OptOutEntry) -> bool:
    """Return whether the value of an entry can be of its kind: an id, a hash, or some text."""
    kind, value, _ = entry
    return _USABLE[kind].fullmatch(value) is not None if kind in _USABLE else bool(value.strip())


def _chosen(names: Sequence[str], path: Path) -> list[tuple[int, str]]:
    found = [(at, name.strip().lower()) for at, name in enumerate(names) if name.strip().lower() in KINDS]
    if not found:
        shown = ", ".join(repr(name)[:40] for name in names[:10]) or "none"
        raise OptOutListError(
            f"{path}: no column is called {', '.join(KINDS)} (found: {shown}); name one in the header"
        )
    return found


def _csv(path: Path, limits: ByteLimits) -> Iterator[OptOutEntry]:
    with _open_text(path, newline="") as file, _long_fields(limits.record):
        separator = _separator(file.readline(limits.record))
        file.seek(0)
        text = CappedText(str(path), file, limits)
        rows = csv.reader(text, delimiter=separator, strict=True)
        try:
            header = next(rows, [])
            chosen, bits = _chosen(header, path), _column_of_bits(header)
            text.begin_record()
            for row in rows:
                text.begin_record()
                if len(row) > len(header):
                    raise OptOutListError(
                        f"{path}: line {rows.line_num} has {len(row)} fields, the header {len(header)}; quote a field "
                        "with a comma in it"
                    )
                within = row[bits] if bits is not None and bits < len(row) else None
                where = f"line {rows.line_num}"
                yield from (
                    _entry(kind, row[at], within, path, where) for at, kind in chosen if at < len(row) and row[at]
                )
        except csv.Error as error:
            raise OptOutListError(
                f"{path}: line {rows.line_num} is not valid CSV: {error}; double the quotes in it"
            ) from error


def _open_text(path: Path, newline: str | None = None) -> TextIOWrapper:
    with path.open("rb") as file:
        encoding = json.detect_encoding(file.read(_HEAD))  # by its mark or its zero bytes, which any text shows
    encoding = "utf-8-sig" if encoding == "utf-8" else encoding
    return path.open("r", encoding=encoding, errors="replace", newline=newline)


def _separator(header: str) -> str:
    """Return the separator by which most names of a header are kinds of entries."""

    def kinds(separator: str) -> int:
        names = (name.strip(f'"{BLANKS}').lower() for name in header.split(separator))
        return sum(name in KINDS for name in names)

    return max(_SEPARATORS, key=kinds)


@contextmanager
def _long_fields(longest: int) -> Iterator[None]:
    before = csv.field_size_limit(longest)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _lines(path: Path, limits: ByteLimits) -> Iterator[str]:
    with _open_text(path) as file:
        text = CappedText(str(path), file, limits)
        for line in text:
            yield line
            text.begin_record()


def _text(path: Path, limits: ByteLimits) -> Iterator[OptOutEntry]:
    yield from (OptOutEntry("url", line.rstrip("\n")) for line in _lines(path, limits) if line.strip())


class _Pairs(list[tuple[str, Any]]):
    """The names and values of a JSON object. A name may come twice, and both values count."""


def _jsonl(path: Path, limits: ByteLimits) -> Iterator[OptOutEntry]:
    for number, line in enumerate(_lines(path, limits), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError) as error:
            raise OptOutListError(
                f"{path}: line {number} is not valid JSON: {error}; write an object per line"
            ) from error
        if not isinstance(fields, _Pairs):
            raise OptOutListError(f"{path}: line {number} is not a JSON object; write one object per line")
        names = [name for name, _ in fields]
        bits = _column_of_bits(names)
        within = None if bits is None else fields[bits][1]
        for at, kind in _chosen(names, path):
            _, value = fields[at]
            if isinstance(value, str | int):
                # JSON can hold half a surrogate pair, which no text in a database can
                text = str(value).encode("utf-8", "replace").decode()
                yield _entry(kind, text, within, path, f"line {number}")
            elif value is not None:
                found = "an object" if isinstance(value, _Pairs) else type(value).__name__
                raise OptOutListError(f"{path}: line {number}: {kind} is {found}; write it as text")


def _parquet(path: Path, limits: ByteLimits) -> Iterator[OptOutEntry]:
    with path.open("rb") as source:
        file = open_parquet(str(path), source, limits)
        schema = file.schema
        chosen = _chosen(schema.names, path)
        for at, kind in chosen:
            _require(schema.field(at).type, kind, path)
        names, at_bits = [schema.names[at] for at, _ in chosen], _column_of_bits(schema.names)
        bits = [] if at_bits is None else [schema.names[at_bits]]
        for batch in file.texts([*names, *bits], _BATCH):
            within = batch.column(bits[0]).to_pylist() if bits else [None] * batch.num_rows
            for name, (_, kind) in zip(names, chosen, strict=True):
                values = zip(_values(batch.column(name), kind), within, strict=True)
                yield from (_entry(kind, value, most, path, "a row") for value, most in values if value)


def _require(found: pa.DataType, kind: str, path: Path) -> None:
    held = found.value_type if pa.types.is_dictionary(found) else found
    text = pa.types.is_string(held) or pa.types.is_large_string(held) or pa.types.is_string_view(held)
    binary = pa.types.is_binary(held) or pa.types.is_large_binary(held) or pa.types.is_fixed_size_binary(held)
    if not (text or binary or pa.types.is_null(held) or (kind == "sample_id" and pa.types.is_integer(held))):
        raise OptOutListError(f"{path}: column {kind} is {found}, which loses digits or is not text; write it as text")


def _values(column: pa.Array, kind: str) -> Iterable[str]:
    for value in column.to_pylist():
        if isinstance(value, bytes):  # hashes are 32 bytes, or their digits
            yield value.hex() if kind in ("sha256", "pdq") and len(value) == 32 else value.decode("utf-8", "replace")
        else:
            yield "" if value is None else str(value)


def _column_of_bits(names: Sequence[str]) -> int | None:
    return next((at for at, name in enumerate(names) if name.strip().lower() == WITHIN), None)


def _entry(kind: str, value: str, within: object, path: Path, where: str) -> OptOutEntry:
    """Return an entry, of a PDQ hash with its bits. Raises OptOutListError for bits that are none."""
    text = str(within).strip(BLANKS) if kind == "pdq" and within is not None else ""
    if not stated(text):
        return OptOutEntry(kind, value)
    bits = _BITS.fullmatch(text)
    if bits is None or int(bits[1]) > MOST_BITS:
        raise OptOutListError(
            f"{path}: {where}: {WITHIN} is {text[:40]!r}; write the bits in which a hash may differ, 0 to {MOST_BITS}"
        )
    return OptOutEntry(kind, value, int(bits[1]))


_READERS = {
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".txt": _text,
}
