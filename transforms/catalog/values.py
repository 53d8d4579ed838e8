"""Values of metadata as text, whatever type a file gives them.

What belongs here: converting a column, so that whole numbers stay whole. What does not: which columns are read
(`catalog/columns.py`), reading files (`catalog/metadata.py`).
"""

from collections.abc import Sequence
from itertools import accumulate
from math import isfinite

import pyarrow as pa
import pyarrow.compute as pc

from transforms.catalog.columns import stated_caption

_FRACTION = r"^([+-]?[0-9]+)\.0+$"  # of a whole number
_WHOLE = float(1 << 64)  # whole doubles below it are written with all their digits


def is_scalar(kind: pa.DataType) -> bool:
    """Return whether `texts` can write the values of a type as text."""
    if pa.types.is_dictionary(kind):
        return is_scalar(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return is_scalar(kind.storage_type)
    return not pa.types.is_nested(kind) or is_list_of_text(kind)


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
    if pa.types.is_floating(kind):
        return pa.array([_number(value) for value in column.to_pylist()], pa.string())
    text = column.cast(pa.string())
    return pc.replace_substring_regex(text, _FRACTION, r"\1") if pa.types.is_decimal(kind) else text


def utf8(column: pa.Array) -> tuple[pa.Array, int]:
    """Return a column of text, or of lists of text, with U+FFFD for each byte that is not UTF-8.

    Returns:
        The column, and how many values had such bytes.
    """
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        pass
    else:
        return column, 0
    if is_list_of_text(column.type):
        values, broken = utf8(column.flatten())
        return pa.ListArray.from_arrays(_offsets(column), values.cast(pa.string()), mask=column.is_null()), broken
    values = column.cast(pa.large_string()).view(pa.large_binary()).to_pylist()
    return pa.array([_decoded(value) for value in values], pa.string()), sum(not _is_utf8(value) for value in values)


def _offsets(lists: pa.Array) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    return pa.array(list(accumulate(lengths.to_pylist(), initial=0)), pa.int32())


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
