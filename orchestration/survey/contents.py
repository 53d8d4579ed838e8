"""What a file is: metadata, a dump of training pictures, or generations, by the readers that a run uses.

What belongs here: looking into a few files of a folder, and the signs of how pictures were made. What does not: which
files are looked into (`survey/findings.py`), the readers (`transforms/`).
"""

import io
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from transforms.catalog.byte_limits import open_parquet
from transforms.catalog.columns import PICTURES_WANTED, column_of
from transforms.catalog.picture_columns import picture_columns
from transforms.catalog.record_files import PARQUET_ERRORS, RecordFileError, records
from transforms.dumps import first_bytes, names, tars
from transforms.dumps.members import ArchiveError
from transforms.dumps.samples import Part
from transforms.generations import dialects, embedded
from transforms.generations.statements import NAMES, lower_names
from transforms.generations.tables import is_table
from transforms.readable import first_line
from transforms.storage import stores
from transforms.storage.file_limits import ByteLimits

LOOKED_AT = 8
"""Pictures and sidecars of a place that are looked into."""
_SAID = 300  # characters of an error
_PARTS = 400  # of a tar
_SIDECAR = 1 << 20
_GZIP = b"\x1f\x8b"
_TEXT = 1 << 20  # of a CSV or JSON, by which its rows are estimated
_AMBIGUOUS = {"step", "st", "sa", "se", "np", "uc"}  # columns of many tables that no generator wrote
_MADE_BY = {*NAMES["seed"], *NAMES["steps"], *NAMES["sampler"], *NAMES["negative_prompt"], "prompt"} - _AMBIGUOUS


class Kind(StrEnum):
    """What a file is of."""

    METADATA = "metadata"
    PICTURES = "pictures"
    GENERATIONS = "generations"
    OTHER = "other"
    BROKEN = "broken"


@dataclass(frozen=True)
class Content:
    """What was seen of a file.

    Attributes:
        kind: What it is.
        reason: What shows it; of OTHER and BROKEN, why it is not used.
        rows: How many rows or pictures it has, if its kind has any.
        estimated: Whether `rows` was not counted to the end.
    """

    kind: Kind
    reason: str
    rows: int = 0
    estimated: bool = False


def of_parquet(path: Path, limits: ByteLimits) -> Content:
    """Look at the columns of a parquet.

    Args:
        path: The file.
        limits: Of what is read of it.
    """
    try:
        with stores.open_file(str(path)) as source:
            file = open_parquet(str(path), source, limits)
            columns, rows, pictures = file.schema.names, file.rows, picture_columns(file)
    except PARQUET_ERRORS as error:
        return Content(Kind.BROKEN, f"not a whole parquet file: {first_line(error)[:_SAID]}")
    if not pictures:
        return _of_columns(columns, rows)
    said = sorted(_MADE_BY & lower_names(dict.fromkeys(columns)).keys())
    if said and column_of(columns, "url") is None:
        return Content(Kind.GENERATIONS, f"its pictures come with the column {said[0]}", rows)
    return Content(Kind.PICTURES, f"it holds pictures in the column {pictures[0].name}", rows)


def of_text(path: Path, size: int, limits: ByteLimits) -> Content:
    """Look at the first records of a CSV or JSON lines.

    Args:
        path: The file.
        size: Its bytes.
        limits: Of what is read of it.
    """
    try:
        first = list(islice(records(str(path), limits), 64))
        text, taken = _beginning(path)
    except (RecordFileError, OSError, zlib.error) as error:
        return Content(Kind.BROKEN, first_line(error)[:_SAID])
    columns = list(dict.fromkeys(name for record in first for name in record.fields))
    rows = _counted(path, text, limits)
    if taken == size:
        return _of_columns(columns, rows)
    return _of_columns(columns, round(size * max(1, rows) / taken), estimated=True)


def _beginning(path: Path) -> tuple[bytes, int]:
    """Return the first bytes of a text, decompressed, and how many bytes of the file they take."""
    with path.open("rb") as file:
        packed = file.read(_TEXT)
    if not packed.startswith(_GZIP):
        return packed, len(packed)
    text, left = b"", packed
    while left.startswith(_GZIP) and len(text) < _TEXT:  # a file may have several members
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        text += member.decompress(left, _TEXT - len(text))
        left = member.unused_data if member.eof else member.unconsumed_tail
        if not member.eof:
            break
    return text, len(packed) - len(left)


def _counted(path: Path, text: bytes, limits: ByteLimits) -> int:
    """Return how many whole records the beginning of a file has."""
    number = 0
    try:
        for _ in records(str(path), limits, source=io.BytesIO(text)):
            number += 1
    except RecordFileError:
        pass  # the beginning ends within a record
    return number


def _of_columns(columns: Sequence[str], rows: int, *, estimated: bool = False) -> Content:
    missing = [wanted for wanted in ("url", "caption") if column_of(columns, wanted) is None]
    if not missing:
        told = f"it has the columns {column_of(columns, 'url')} and {column_of(columns, 'caption')}"
        return Content(Kind.METADATA, told, rows, estimated)
    found = ", ".join(name[:40] for name in columns[:6]) or "none"
    fix = "; an opt-out list belongs under [[recalls]]" if missing == ["caption"] else f", nor {PICTURES_WANTED}"
    return Content(Kind.OTHER, f"no {' and no '.join(missing)} column (found {found}){fix}")


def of_tar(path: Path, size: int) -> Content:
    """Look at the first members of a tar, their sidecars and their pictures.

    Args:
        path: The tar.
        size: Its bytes.
    """
    parts, cut = list[Part](), None
    try:
        for part in islice(tars.parts(str(path), complete=True), _PARTS):
            parts.append(part)
    except (ArchiveError, OSError) as error:
        cut = Content(Kind.BROKEN, f"not a readable tar: {first_line(error)[:_SAID]}")
    try:
        with path.open("rb") as file:
            found = _of_parts(parts, size, file)
    except (ArchiveError, OSError) as error:
        return Content(Kind.BROKEN, f"not a readable tar: {first_line(error)[:_SAID]}")
    return cut if cut and found.kind is Kind.OTHER else found  # a run takes what comes before the break


def shows_picture(part: Part, tar: BinaryIO) -> bool:
    """Return whether a run takes a member of a tar for a picture, by its name or else its first bytes.

    Args:
        part: The member.
        tar: The open tar.

    Raises:
        ArchiveError: If the tar has become shorter.
        OSError: If it cannot be read.
    """
    ending = names.ending(part.name)
    if ending in names.PICTURE_NAMES or ending in names.RECORDS | names.TEXTS or part.refusal or is_table(part.name):
        return ending in names.PICTURE_NAMES
    return first_bytes.is_picture(tars.read(tar, part.offset, min(part.size, first_bytes.HEAD)))


def _of_parts(parts: Sequence[Part], size: int, tar: BinaryIO) -> Content:
    def read(part: Part) -> bytes:
        return tars.read(tar, part.offset, min(part.size, _SIDECAR * 8))

    pictures = [part for part in parts if shows_picture(part, tar)]
    estimated = len(parts) == _PARTS
    seen = parts[-1].offset + parts[-1].size if parts else 0
    rows = round(len(pictures) * size / seen) if estimated and seen else len(pictures)
    if table := next((part.name for part in parts if is_table(part.name) and "metadata" not in part.name), None):
        return Content(Kind.GENERATIONS, f"it holds {table}", rows, estimated)
    if not pictures:
        return Content(Kind.OTHER, "no picture among its first members")
    beside = [part for part in parts if names.ending(part.name) in names.RECORDS and part.size < _SIDECAR]
    records_ = [record for part in beside[:LOOKED_AT] if (record := _json(read(part)))]
    if any({"url", "key"} & record.keys() for record in records_):
        return Content(Kind.PICTURES, "its tars hold img2dataset's sidecars", rows, estimated)
    said = made(read(part) for part in pictures[:LOOKED_AT])
    if said is None and any(_says_how(record) for record in records_):
        said = "the JSON beside its pictures says how they were made"
    return Content(Kind.GENERATIONS if said else Kind.PICTURES, said or "", rows, estimated)


def made(pictures: Iterable[bytes]) -> str | None:
    """Return what shows that most of some pictures were made by a program, or None.

    Args:
        pictures: The bytes of some.
    """
    looked, said = 0, list[str]()
    for data in pictures:
        looked += 1
        found = dialects.statements(embedded.texts(data))
        said += [found[0].said_by] if found and found[0].fields else []
    if not said or 2 * len(said) <= looked:
        return None
    return f"{len(said)} of {looked} pictures looked into say how they were made ({said[0]})"


def _says_how(record: dict) -> bool:
    statement = dialects.of_json(".json", record)
    return statement is not None and {"prompt", "seed"} <= statement.fields.keys()


def _json(data: bytes) -> dict | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
