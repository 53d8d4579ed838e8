"""Taking steps out of an ONNX model: its first, from bytes to numbers about zero, and its last, from cells to a vector.

What belongs here: finding these steps in a model file, and cutting it there. What does not: running the parts
(`encoders/sscd.py`).

ONNX Runtime subtracts and divides by a pixel's three numbers at a hundredth of a processor's speed, since the axis that
they lie along is so short: it takes a quarter of the time of `sscd_distilled`. NumPy does the same to whole lines of
pixels, with the same result to the last bit. The `onnx` package is not needed: a model file is a message of Protocol
Buffers (https://protobuf.dev/programming-guides/encoding/), and the numbers of its fields are those of `onnx.proto`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_GRAPH, _NODE, _INITIALIZER, _INPUT, _OUTPUT = 7, 1, 5, 11, 12  # of a model; the rest of a graph
_TAKES, _GIVES, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5  # of a node
_DECLARED = 1  # the name of an input or an output
_NAME, _DATA = 8, 9  # of an initializer
_INPUT_TYPE, _TENSOR, _ELEMENT = 2, 1, 1
_STEPS = [b"Cast", b"Sub", b"Div", b"Transpose"]
_MEAN = b"ReduceMean"
_OVER_CELLS = (b"\x40\x02", b"\x40\x02\x40\x03", b"\x42\x01\x02", b"\x42\x02\x02\x03")
"""The axes of a mean over cells, 2 or 2 and 3, in either way to write a list of numbers."""
_UINT8, _FLOAT = 2, 1
_NONE = memoryview(b"")
_CHANNELS = 3


class _Unknown(ValueError):
    """A model does not begin with the steps that are known."""


class _Field(NamedTuple):
    """A field of a message. `raw`: with its key."""

    number: int
    value: memoryview | int
    raw: memoryview


@dataclass(frozen=True)
class Normalisation:
    """What is done to the bytes of a picture before a model sees them."""

    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]

    def __call__(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the numbers of pictures, uint8 (n, height, width, 3), in the same shape."""
        count, height, width, channels = pictures.shape
        lines = pictures.reshape(count, height, width * channels)
        numbers = np.subtract(lines, np.tile(self.mean, width), dtype=np.float32)
        np.divide(numbers, np.tile(self.deviation, width), out=numbers)
        return numbers.reshape(pictures.shape)


def without_normalisation(model: bytes) -> tuple[bytes, Normalisation] | None:
    """Return a model that takes numbers instead of bytes, and what makes them.

    Args:
        model: An ONNX file whose one input is pictures, uint8 (n, height, width, 3).

    Returns:
        None if its first steps are not a cast, a subtraction and a division of each channel, and a transposition.
    """
    try:
        fields = list(_fields(memoryview(model)))
        (graph,) = (field for field in fields if field.number == _GRAPH)
        cut, normalisation = _cut(_message(graph))
    except ValueError:  # the runtime takes it as it is, or says what is wrong with it
        return None
    return b"".join(_bytes(_GRAPH, cut) if field is graph else field.raw for field in fields), normalisation


@dataclass(frozen=True)
class Pooled:
    """A model whose last steps are a mean over cells, and a vector of that.

    Attributes:
        model: Gives what the mean is of, too: float32 (n, channels, cells), or with the cells in rows and columns.
        cells: The name of that output.
        last: The steps behind the mean, as a model of their own: float32 (n, channels) to vectors.
        mean: The name of its input.
    """

    model: bytes
    cells: str
    last: bytes
    mean: str


def pooled(model: bytes) -> Pooled | None:
    """Return a model that shows its cells, and the steps behind their mean.

    Args:
        model: An ONNX file of one output.

    Returns:
        None if it does not have one mean over cells, behind which nothing but that is needed.
    """
    try:
        whole = list(_fields(memoryview(model)))
        (graph,) = (field for field in whole if field.number == _GRAPH)
        fields = list(_fields(_message(graph)))
        nodes = {index: list(_fields(_message(field))) for index, field in enumerate(fields) if field.number == _NODE}
        (mean,) = (node for node in nodes.values() if _of_node(node, _OPERATOR) == [_MEAN])
        if not _is_over_cells(mean):
            return None
        (result,) = (field for field in fields if field.number == _OUTPUT)
        (image,) = (field for field in fields if field.number == _INPUT)
        (cells,), (given,), (vector,) = _of_node(mean, _TAKES), _of_node(mean, _GIVES), _declared(result)
        needed, last = {bytes(vector)}, set[int]()
        for index, node in reversed(nodes.items()):
            gives = set(map(bytes, _of_node(node, _GIVES)))
            if gives & needed and bytes(given) not in gives:
                last.add(index)
                needed.update(map(bytes, _of_node(node, _TAKES)))
        if bytes(given) not in needed or needed & set(map(bytes, _declared(image))):
            return None
    except ValueError:
        return None
    behind = [
        field.raw
        for index, field in enumerate(fields)
        if (index in last or field.number not in (_NODE, _INPUT))
        and (field.number != _INITIALIZER or bytes(_constant(field)[0]) in needed)
    ]
    number = _bytes(_INPUT_TYPE, _bytes(_TENSOR, bytes([_ELEMENT << 3 | _VARINT, _FLOAT])))
    made: tuple[list[bytes | memoryview], list[bytes | memoryview]] = (
        [*(field.raw for field in fields), _bytes(_OUTPUT, _bytes(_DECLARED, cells) + number)],
        [*behind, _bytes(_INPUT, _bytes(_DECLARED, given) + number)],
    )
    shows, ends = (
        b"".join(_bytes(_GRAPH, b"".join(parts)) if field is graph else field.raw for field in whole) for parts in made
    )
    return Pooled(shows, bytes(cells).decode(), ends, bytes(given).decode())


def _is_over_cells(mean: list[_Field]) -> bool:
    """Return whether a mean is over what lies behind the channels, and leaves (n, channels)."""
    said = [list(_fields(attribute)) for attribute in _of_node(mean, _ATTRIBUTE)]
    rest = {bytes(_message(first)): b"".join(each.raw for each in further) for first, *further in said}
    over = any(rest.get(b"axes", b"").startswith(axes + b"\xa0\x01") for axes in _OVER_CELLS)  # its kind comes behind
    return over and rest.get(b"keepdims", b"").startswith(b"\x18\x00")


def _declared(field: _Field) -> list[memoryview]:
    """Return the name of an input or an output."""
    return [_message(part) for part in _fields(_message(field)) if part.number == _DECLARED]


def _cut(graph: memoryview) -> tuple[bytes, Normalisation]:
    """Return a graph without its first steps. Raises _Unknown."""
    fields = list(_fields(graph))
    nodes = [list(_fields(_message(field))) for field in fields if field.number == _NODE]
    first = nodes[: len(_STEPS)]
    inputs = [_of_node(node, _TAKES) for node in first]
    outputs = [_of_node(node, _GIVES) for node in first]
    if [_of_node(node, _OPERATOR) for node in first] != [[step] for step in _STEPS]:
        raise _Unknown
    if [len(taken) for taken in inputs] != [1, 2, 2, 1] or any(len(given) != 1 for given in outputs):
        raise _Unknown
    image, (mean, deviation) = inputs[0][0], (inputs[1][1], inputs[2][1])
    gone = [image, mean, deviation, *(given[0] for given in outputs[:-1])]
    chained = [taken[0] for taken in inputs[1:]] == [given[0] for given in outputs[:-1]]
    further = [name for node in nodes[len(_STEPS) :] for name in _of_node(node, _TAKES)]
    further += [name for field in fields if field.number == _OUTPUT for name in _declared(field)]
    if not chained or any(name in gone for name in further):
        raise _Unknown
    constants, kept, index = {}, list[bytes | memoryview](), 0
    for field in fields:
        index += field.number == _NODE
        if field.number == _INITIALIZER and (constant := _constant(field))[0] in (mean, deviation):
            constants[constant[0]] = constant[1]
        elif field.number == _INPUT:
            kept.append(_bytes(_INPUT, _of_numbers(_message(field))))
        elif field.number != _NODE or index > len(_STEPS):
            kept.append(field.raw)
        elif index == len(_STEPS):
            kept.append(_bytes(_NODE, _taking(image, first[-1])))
    return b"".join(kept), Normalisation(*(_numbers(constants.get(name)) for name in (mean, deviation)))


def _taking(name: memoryview, node: list[_Field]) -> bytes:
    """Return a node of one input that takes another one instead."""
    return _bytes(_TAKES, name) + b"".join(field.raw for field in node if field.number != _TAKES)


def _of_numbers(declared: memoryview) -> bytes:
    """Return the declaration of an input of bytes as one of numbers. Raises _Unknown if it is another one."""
    found: list[bytes | memoryview] = []
    for field in _fields(declared):
        if field.number == _INPUT_TYPE:
            tensor = next((each for each in _fields(_message(field)) if each.number == _TENSOR), None)
            kinds = [] if tensor is None else list(_fields(_message(tensor)))
            if [each.value for each in kinds if each.number == _ELEMENT] != [_UINT8]:
                raise _Unknown
            of_numbers = bytes([_ELEMENT << 3 | _VARINT, _FLOAT])
            rest = b"".join(each.raw for each in kinds if each.number != _ELEMENT)
            found.append(_bytes(_INPUT_TYPE, _bytes(_TENSOR, of_numbers + rest)))
        else:
            found.append(field.raw)
    return b"".join(found)


def _constant(field: _Field) -> tuple[memoryview, memoryview]:
    """Return the name and the data of an initializer."""
    parts = {part.number: _message(part) for part in _fields(_message(field)) if part.number in (_NAME, _DATA)}
    return parts.get(_NAME, _NONE), parts.get(_DATA, _NONE)


def _numbers(data: memoryview | None) -> npt.NDArray[np.float32]:
    if data is None or len(data) != _CHANNELS * np.dtype(np.float32).itemsize:
        raise _Unknown
    return np.frombuffer(data, "<f4").astype(np.float32)


def _of_node(node: list[_Field], number: int) -> list[memoryview]:
    return [_message(field) for field in node if field.number == number]


def _message(field: _Field) -> memoryview:
    if isinstance(field.value, int):
        raise _Unknown
    return field.value


def _fields(message: memoryview) -> Iterator[_Field]:
    """Yield the fields of a message. Raises _Unknown if it is none."""
    place = 0
    while place < len(message):
        start = place
        key, place = _varint(message, place)
        value: memoryview | int
        if (kind := key & 7) == _VARINT:
            value, place = _varint(message, place)
        else:
            length = {_FIXED_32: 4, _FIXED_64: 8}.get(kind, 0)
            if kind == _BYTES:
                length, place = _varint(message, place)
            elif not length:
                raise _Unknown
            value, place = message[place : place + length], place + length
            if place > len(message):
                raise _Unknown
        yield _Field(key >> 3, value, message[start:place])


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the least first, and the place behind it."""
    value = shift = 0
    while place < len(message):
        value |= (message[place] & 127) << shift
        place, shift = place + 1, shift + 7
        if message[place - 1] < 128:
            return value, place
    raise _Unknown


def _bytes(number: int, value: bytes | memoryview) -> bytes:
    """Return a field of bytes with its key."""
    length, left = bytearray(), len(value)
    while left > 127:
        length.append(left & 127 | 128)
        left >>= 7
    length.append(left)
    return bytes([number << 3 | _BYTES]) + bytes(length) + value
