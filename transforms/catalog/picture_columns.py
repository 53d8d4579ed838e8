"""Columns of a parquet that hold pictures: bytes, structs of bytes and path, lists of either.

What belongs here: finding them by type, name and first bytes. What does not: reading pictures (`dumps/parquet.py`),
names of other columns (`catalog/columns.py`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from transforms.catalog.byte_limits import ParquetTable
from transforms.catalog.columns import PICTURE_COLUMNS, is_bytes
from transforms.pictures import HEAD, begins_as_picture

_PEEKED = 16  # rows in which bytes are looked at
_OTHER_MEDIA = frozenset({"audio", "video", "sound", "speech", "clip", "pdf"})
_HASH = 64  # bytes
_THUMBNAIL = re.compile(r"(^|_)thumb(nail)?s?($|_)")


@dataclass(frozen=True)
class PictureColumn:
    """A column that holds pictures.

    Attributes:
        name: Of the column.
        struct: Whether a picture is a struct of bytes and path.
        several: Whether a row has a list of pictures.
    """

    name: str
    struct: bool = False
    several: bool = False


def picture_columns(file: ParquetTable) -> list[PictureColumn]:
    """Return the columns that hold pictures. The first is the one that rows are about.

    A struct of bytes is a picture whatever it is called, except sound and films. Bytes are pictures if they are called
    by an encoding, as img2dataset does, or begin as pictures. A column of thumbnails shows the pictures of another one.
    """
    named = [each for field in file.schema if (each := _by_type(field)) is not None]
    structs = [each for each in named if each.struct and each.name.lower() not in _OTHER_MEDIA]
    plain = [each for each in named if not each.struct and each.name.lower() in PICTURE_COLUMNS]
    others = [each for each in named if not each.struct and each not in plain and _begin_as_pictures(file, each)]
    found = [*_by_name(structs), *_by_name(plain), *others]
    return [each for each in found if not _THUMBNAIL.search(each.name.lower())] or found


def thumbnails(schema: pa.Schema) -> list[str]:
    """Return the columns that are called thumbnails."""
    return [field.name for field in schema if _THUMBNAIL.search(field.name.lower()) and _by_type(field) is not None]


def unread(schema: pa.Schema) -> list[str]:
    """Return the columns that hold bytes in a type in which pictures are not looked for."""
    return [field.name for field in schema if _by_type(field) is None and _holds_bytes(field.type)]


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _holds_bytes(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_holds_bytes(each.type) for each in kind)
    long = pa.types.is_fixed_size_binary(kind) and kind.byte_width > _HASH  # shorter ones are hashes
    return is_bytes(kind) or pa.types.is_binary_view(kind) or long


def _by_type(field: pa.Field) -> PictureColumn | None:
    kind, several = field.type, False
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind, several = kind.value_type, True
    if is_bytes(kind):
        return PictureColumn(field.name, struct=False, several=several)
    if pa.types.is_struct(kind) and any(each.name == "bytes" and is_bytes(each.type) for each in kind):
        return PictureColumn(field.name, struct=True, several=several)
    return None


def _by_name(columns: Iterable[PictureColumn]) -> list[PictureColumn]:
    place = {name: number for number, name in enumerate(PICTURE_COLUMNS)}
    return sorted(columns, key=lambda each: place.get(each.name.lower(), len(place)))


def _begin_as_pictures(file: ParquetTable, column: PictureColumn) -> bool:
    try:
        batches = file.batches([column.name], 1)
        for batch, _ in zip(batches, range(_PEEKED), strict=False):
            value = batch.column(0)[0].as_py()
            value = next((each for each in value if each), None) if isinstance(value, list) else value
            if value:
                return not value.startswith(b"BM") and begins_as_picture(value[:HEAD])
    except (OSError, UnicodeError, pa.ArrowException):
        return False  # who reads its rows says where it breaks off
    return False
