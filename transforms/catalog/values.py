"""Values of metadata as text, whatever type a file gives them.

What belongs here: converting a column, so that whole numbers stay whole. What does not: which columns are read
(`catalog/columns.py`), reading files (`catalog/metadata.py`).
"""

import json
from collections.abc import Sequence
from math import isfinite

import pyarrow as pa
import pyarrow.compute as pc

from transforms.catalog.columns import EXIF_TAGS, NUMBER_COLUMNS, form_of, stated_caption

_FRACTION = r"^([+-]?[0-9]+)\.0+$"  # of a whole number
_WHOLE = float(1 << 64)  # whole doubles below it are written with all their digits


def is_scalar(kind: pa.DataType) -> bool:
    """Return whether `texts` can write the values of a type as text."""
    if pa.types.is_dictionary(kind):
        return is_scalar(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return is_scalar(kind.storage_type)
    return not pa.types.is_nested(kind) or is_list_of_text(kind)


def is_usable(kind: pa.DataType, alias: str) -> bool:
    """Return whether `texts` can write the values of a column that has a meaning.

    Args:
        kind: Its type.
        alias: Its name in lower case.
    """
    if not any(alias in names for names in NUMBER_COLUMNS.values()):
        return is_scalar(kind)
    number = pa.types.is_decimal(kind) or pa.types.is_float16(kind) or pa.types.is_null(kind)
    return form_of(kind) is not None or number or is_bytes_like(kind)


def is_text_like(kind: pa.DataType) -> bool:
    """Return whether a type is text in any layout of Arrow."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_bytes_like(kind: pa.DataType) -> bool:
    """Return whether a type is bytes in any layout of Arrow."""
    variable = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    return variable or pa.types.is_fixed_size_binary(kind)


def is_list_of_text(kind: pa.DataType) -> bool:
    """Return whether a type is a list of texts, such as several captions of a picture."""
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return lists and (is_text_like(kind.value_type) or is_bytes_like(kind.value_type))


def texts(column: pa.Array) -> pa.Array:
    """Return a column of a type for which `is_scalar` holds as text.

    Whole numbers have no fraction: 7.0 is `7`. Not-a-number is null. Bytes that are not UTF-8 become U+FFFD, or
    hexadecimal digits where all values have one length. Of several texts, the first that is not blank counts.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if isinstance(kind, pa.BaseExtensionType):
        uuids = isinstance(kind, pa.UuidType)
        return pa.array([v and str(v) for v in column.to_pylist()], pa.string()) if uuids else texts(column.storage)
    if is_list_of_text(kind):
        return pa.array([_first(each) for each in column.to_pylist()], pa.string())
    if is_bytes_like(kind):
        written = _digits if pa.types.is_fixed_size_binary(kind) else _decoded
        return pa.array([written(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_floating(kind):  # of a half float, the number itself
        return pa.array([_number(value) for value in column.to_pylist()], pa.string())
    text = column.cast(pa.string())
    return pc.replace_substring_regex(text, _FRACTION, r"\1") if pa.types.is_decimal(kind) else text


def utf8(column: pa.Array) -> tuple[pa.Array, list[int]]:
    """Return a column with U+FFFD for each byte of a text, or of lists of texts, that is not UTF-8.

    Returns:
        The column, and the places of the values that had such bytes.
    """
    if pa.types.is_dictionary(column.type) and is_text_like(column.type.value_type):
        column = column.dictionary_decode()
    kind = column.type
    of_lists = is_list_of_text(kind) and is_text_like(kind.value_type)
    if not (of_lists or is_text_like(kind)):
        return column, []
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        pass
    else:
        return column, []
    binary = pa.list_(pa.large_binary()) if of_lists else pa.large_binary()
    values = column.cast(binary).to_pylist()
    decoded = [_texts(value) if of_lists else _decoded(value) for value in values]
    broken = [at for at, value in enumerate(values) if not all(map(_is_utf8, (value or ()) if of_lists else (value,)))]
    return pa.array(decoded, pa.list_(pa.string()) if of_lists else pa.string()), broken


def _texts(values: Sequence[bytes | None] | None) -> list[str | None] | None:
    return None if values is None else [_decoded(value) for value in values]


def _first(values: Sequence[str | bytes | None] | None) -> str | None:
    found = (_decoded(value) if isinstance(value, bytes) else value for value in values or ())
    return next((text for text in found if stated_caption(text)), None)


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _digits(value: bytes | None) -> str | None:
    return value.hex() if value is not None and not _is_utf8(value) else _decoded(value)


def _is_utf8(value: bytes | None) -> bool:
    try:
        return value is None or value.decode() is not None
    except UnicodeDecodeError:
        return False


def _number(value: float | None) -> str | None:
    if value is None or not isfinite(value):
        return None
    return str(int(value)) if value.is_integer() and abs(value) < _WHOLE else str(value)


def exif_tags(exif: object) -> dict[str, str]:
    """Return what EXIF says of a picture's maker, by EXIF_TAGS. Empty if it says nothing of this, or cannot be read.

    Args:
        exif: JSON, as img2dataset writes it into a text, or the object of it.
    """
    if isinstance(exif, str) and any(f'"{tag}"' in exif for tag in EXIF_TAGS):
        try:
            exif = json.loads(exif)
        except (ValueError, RecursionError):
            return {}
    if not isinstance(exif, dict):
        return {}
    return {tag: exif[tag] for tag in EXIF_TAGS if isinstance(exif.get(tag), str)}


def rights_text(alias: str, value: object, longest: int) -> str | None:
    """Return what a field on rights says, as text of bounded length. None where it is no plain value.

    Args:
        alias: The name of the column, in lower case.
        value: Any value of JSON or CSV; of several texts all count.
        longest: Characters of a text that are kept.
    """
    if alias == "exif":
        said = {tag: text[:longest] for tag, text in exif_tags(value).items()}
        return json.dumps(said, ensure_ascii=False) if said else None
    if isinstance(value, list):
        value = ", ".join(str(each) for each in value if isinstance(each, str | int))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value)[:longest] or None
