"""Metadata for a dump that came without, or with less than one row per picture, taken from the dump itself.

What belongs here: writing it in the form of other metadata. What does not: reading dumps (`dumps/dump.py`).
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import batched
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.catalog.byte_limits import LISTED, ParquetTable, open_parquet
from transforms.catalog.columns import TEXT_COLUMNS, forms_of
from transforms.catalog.metadata import Inspection
from transforms.dumps import dump as dumps
from transforms.dumps.members import Member
from transforms.dumps.parquet import Parquet
from transforms.dumps.picture_cells import place_of
from transforms.storage import copies, stores
from transforms.storage.file_limits import ByteLimits
from transforms.storage.remote_stores import is_remote

_BATCH, _BYTES = 64_000, 64 << 20  # rows held at once
_COLUMNS = pa.schema(
    {
        "key": pa.string(),
        "url": pa.string(),
        "caption": pa.string(),
        "uid": pa.string(),
        "original_width": pa.int32(),
        "original_height": pa.int32(),
    }
)


def write(dump: str, target: Path, member_bytes: int, fetched: Path, limits: ByteLimits) -> Inspection:
    """Write the pictures of a dump as a metadata parquet, one row per picture.

    Args:
        dump: A tar or folder, local or remote.
        target: The parquet.
        member_bytes: Size above which a picture is refused.
        fetched: Folder for a remote tar while it is read.
        limits: Of its texts.

    Returns:
        The inspection of that parquet.

    Raises:
        ArchiveError: If the dump cannot be read.
        OSError: Likewise.
    """
    whole = is_remote(dump) and not stores.at(dump).folder
    if whole:
        with copies.local_copy(dump, fetched) as path:
            return write(path, target, member_bytes, fetched, limits)
    with dumps.open_dump(dump, limits) as opened:
        members = opened.listing(member_bytes).members
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with pq.ParquetWriter(partial, _COLUMNS) as writer:
        for rows in batched(_rows(members), _BATCH):
            writer.write_table(pa.Table.from_pylist(list(rows), _COLUMNS))
    partial.replace(target)
    return Inspection(len(members), tuple(_COLUMNS.names), 0, forms=forms_of(_COLUMNS))


def add_further_pictures(dump: str, copy: Path, seen: Inspection, fetched: Path, limits: ByteLimits) -> Inspection:
    """Add a row to a parquet's metadata for each further picture of its rows, after all rows, so that none moves.

    Such a row says what the row of the picture says, except what names one picture: URL, key, uid, hash.

    Args:
        dump: The parquet with the pictures, local or remote.
        copy: Its metadata without pictures, which is replaced where a row has several pictures.
        seen: The inspection of that metadata.
        fetched: Folder for a remote parquet while it is read.
        limits: Of its texts.

    Returns:
        The inspection of the new metadata.

    Raises:
        ArchiveError: If the parquet cannot be read.
        OSError: Likewise.
    """
    with copies.local_copy(dump, fetched) as path, dumps.open_dump(path, limits) as opened:
        if not (isinstance(opened, Parquet) and opened.several):
            return seen
        members = opened.listing(0).members
    rows = [row for m in members if m.own_row is not None and m.own_row >= seen.rows for row in [place_of(m.offset)[0]]]
    if not rows:
        return seen
    partial = copy.with_suffix(".partial")
    with copy.open("rb") as source:
        file = open_parquet(str(copy), source, LISTED)
        with pq.ParquetWriter(partial, file.schema) as writer:
            _write_again(file, rows, writer)
    partial.replace(copy)
    return replace(seen, rows=seen.rows + len(rows))


def _write_again(file: ParquetTable, rows: Sequence[int], writer: pq.ParquetWriter) -> None:
    """Write all rows, then some of them once more, as often as they are named."""
    for batch in file.batches(None, _BATCH, most=_BYTES):
        writer.write_batch(batch)
    first, at = 0, 0
    for batch in file.batches(None, _BATCH, most=_BYTES):
        end = bisect_left(rows, first + batch.num_rows, at)
        if end > at:
            writer.write_batch(_nameless(batch.take(pa.array([row - first for row in rows[at:end]], pa.int64()))))
        first, at = first + batch.num_rows, end


def _nameless(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows without what names one picture."""
    names = [*(alias for meaning in ("url", "key", "uid") for alias in TEXT_COLUMNS[meaning]), "sha256", "md5"]
    columns = [
        pa.nulls(batch.num_rows, each.type) if each.name.lower() in names else batch.column(at)
        for at, each in enumerate(batch.schema)
    ]
    return pa.record_batch(columns, schema=batch.schema)


def _rows(members: list[Member]) -> Iterator[dict[str, object]]:
    for member in members:
        yield {
            "key": member.key,
            "url": member.url,
            "caption": member.caption,
            "uid": member.uid,
            "original_width": member.width,
            "original_height": member.height,
        }
