"""Reading the rows of a metadata file that may concern the pictures of a dump.

What belongs here: columns and their values, a batch at a time. What does not: comparing statements
(`fingerprints/identifiers.py`), which picture meets which row (`fingerprints/row_matching.py`).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.catalog.byte_limits import LISTED, open_parquet
from transforms.catalog.columns import BLANKS, HASH_COLUMNS, MISSING, TEXT_COLUMNS
from transforms.catalog.values import is_bytes_like, is_scalar, texts
from transforms.fingerprints.identifiers import KEY_PATTERNS, PATH_PATTERNS, UID_PATTERNS, Identifiers

_BATCH, _BYTES = 64_000, 64 << 20  # rows held at once, and about as many bytes
_NAMES = {name: TEXT_COLUMNS[name] for name in ("url", "uid", "key", "caption")} | {n: (n,) for n in HASH_COLUMNS}
_LOOSE_PATTERNS = {"key": KEY_PATTERNS, "path": PATH_PATTERNS, "caption": ((r"[\s\p{Z}]+", " "),)}
_READ_FROM = {"path": ("key",), "digest": HASH_COLUMNS}
_DIGEST_BYTES = 32  # longer values are a digest's digits

type Columns = Mapping[str, list[pa.Array]]


@dataclass(frozen=True)
class MetadataRow:
    """A row of a metadata file.

    Attributes:
        sample_id: Its id.
        said: What it states.
    """

    sample_id: int
    said: Identifiers


@dataclass(frozen=True)
class StatedValues:
    """Values that pictures state: a row that states one of them may concern a picture.

    Attributes:
        values: By identifier, or `path`.
        without_url: Likewise, of pictures that state a URL; they count in rows that state none.
        loose: Whether values are compared as `Identifiers.loosely` returns them.
    """

    values: Mapping[str, Collection[str]]
    without_url: Mapping[str, Collection[str]] = field(default_factory=dict)
    loose: bool = False


def read_rows(path: str, first_id: int, wanted: StatedValues) -> Iterator[MetadataRow]:
    """Yield the rows of a metadata parquet that state a wanted value. Holds one batch of rows.

    Args:
        path: The file.
        first_id: The id of its first row.
        wanted: The values.
    """
    first = 0
    with Path(path).open("rb") as source:
        file = open_parquet(path, source, LISTED)
        names = _columns(file.schema)
        read = sorted({name for found in names.values() for name in found})
        if not read:
            return
        for batch in file.batches(read, _BATCH, most=_BYTES):
            columns = {each: [_text(batch.column(n), each) for n in found] for each, found in names.items()}
            chosen = pc.indices_nonzero(_mask(columns, wanted, batch.num_rows))
            values = {each: [column.take(chosen).to_pylist() for column in found] for each, found in columns.items()}
            for at, number in enumerate(chosen.to_pylist()):
                said = {each: [column[at] for column in found] for each, found in values.items()}
                yield MetadataRow(first_id + first + number, Identifiers.of_row(first + number, said))
            first += batch.num_rows


def states_hashes(path: str) -> bool:
    """Return whether the rows of a metadata parquet state hashes of their pictures."""
    return any(_columns(pq.read_schema(path))[name] for name in HASH_COLUMNS)


def _columns(schema: pa.Schema) -> dict[str, list[str]]:
    lower = {each.name.lower(): each.name for each in schema if is_scalar(each.type)}
    return {identifier: [lower[name] for name in names if name in lower] for identifier, names in _NAMES.items()}


def _text(column: pa.Array, identifier: str) -> pa.Array:
    if identifier in HASH_COLUMNS and is_bytes_like(column.type):
        digits = (v.hex() if len(v) <= _DIGEST_BYTES else v.decode(errors="replace") for v in column.to_pylist() if v)
        return pa.array([next(digits) if value else None for value in column.to_pylist()], pa.string())
    found = texts(column)
    if identifier == "uid":
        return _replaced(pc.utf8_trim(found, BLANKS), UID_PATTERNS)
    return pc.utf8_lower(found) if identifier in HASH_COLUMNS else found


def _mask(columns: Columns, wanted: StatedValues, rows: int) -> pa.Array:
    mask = pa.repeat(pa.scalar(False), rows)
    for identifier, values in wanted.values.items():
        mask = pc.or_(mask, _states(columns, identifier, values, wanted))
    if wanted.without_url:
        bare = pa.repeat(pa.scalar(True), rows)
        for column in columns["url"]:
            bare = pc.and_(bare, _is_missing(column))
        for identifier, values in wanted.without_url.items():
            mask = pc.or_(mask, pc.and_(bare, _states(columns, identifier, values, wanted)))
    return mask


def _states(columns: Columns, identifier: str, values: Collection[str], wanted: StatedValues) -> pa.Array | pa.Scalar:
    looked_for, mask = pa.array(list(values), pa.string()), pa.scalar(False)
    for column in (column for name in _READ_FROM.get(identifier, (identifier,)) for column in columns[name]):
        found = _loose(column, identifier) if wanted.loose else column
        mask = pc.or_(mask, pc.is_in(found, looked_for))
    return mask


def _loose(column: pa.Array, identifier: str) -> pa.Array:
    if identifier not in _LOOSE_PATTERNS and identifier != "url":
        return column
    # white space becomes one space before what is left of it at the ends goes
    patterns = _LOOSE_PATTERNS.get(identifier, ())
    return pc.utf8_trim(_replaced(pc.utf8_trim(column, BLANKS), patterns), BLANKS)


def _replaced(column: pa.Array, patterns: Collection[tuple[str, str]]) -> pa.Array:
    for pattern, replacement in patterns:
        column = pc.replace_substring_regex(column, pattern, replacement)
    return column


def _is_missing(column: pa.Array) -> pa.Array:
    said = pc.utf8_trim(column, BLANKS)
    spelled = pc.or_(pc.is_in(pc.utf8_lower(said), pa.array(["", *MISSING])), pc.equal(said, "NA"))
    return pc.fill_null(spelled, True)
