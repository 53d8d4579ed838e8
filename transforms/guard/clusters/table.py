"""The table of clusters in a bundle: reading it without trusting it.

What belongs here: its columns, and what must be true of their rows. What does not: the form of the file
(`clusters/arrow.py`), opening files (`guard/held_files.py`).

The file is read in place: it can claim no memory beyond its own size.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.guard.clusters import arrow
from transforms.guard.clusters.arrow import ArrowBatch, ArrowColumn

CLUSTERS = "clusters.arrow"
_TEXTS, _COUNTS = ("dataset", "url"), ("duplicate_count", "recalled_count")
_MAY_BE_ABSENT = "url"
_COLUMNS = (
    ArrowColumn("cluster_id", arrow.INT, 64),
    ArrowColumn("sample_id", arrow.INT, 64),
    ArrowColumn("dataset", arrow.TEXT),
    ArrowColumn("duplicate_count", arrow.INT, 64, signed=True),
    ArrowColumn("recalled_count", arrow.INT, 64, signed=True),
    ArrowColumn("url", arrow.TEXT),
    ArrowColumn("licenses", arrow.LIST),
)
_LICENCE = arrow.TEXT
_BUFFERS = 19  # two of a number, three of a text, two of a list
_BATCHES = 1_000_000  # 2,048 rows each would be more rows than a bundle may have
_TEXT = 1 << 24  # bytes of a URL, or of the licences of a cluster
_STRETCH = 1 << 20  # bytes of text that are looked at at once
_CONTINUES = 0xC0, 0x80  # the upper bits of a byte that goes on with a character of UTF-8


@dataclass(frozen=True)
class TextColumn:
    """Texts one after the other: `data` between two `offsets`. `present`: a bit a row, None if none is absent."""

    offsets: npt.NDArray[np.int32]
    data: npt.NDArray[np.uint8]
    present: npt.NDArray[np.uint8] | None

    def __getitem__(self, row: int) -> str | None:
        if self.present is not None and not self.present[row // 8] >> (row % 8) & 1:
            return None
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()


@dataclass(frozen=True)
class ClusterRows:
    """The rows of a batch. `lists`: where the licences of each begin among `licences`, and the end."""

    numbers: dict[str, npt.NDArray[Any]]
    texts: dict[str, TextColumn]
    lists: npt.NDArray[np.int32]
    licences: TextColumn


class ClusterTable:
    """The table of an open bundle. Any number of threads may read it."""

    def __init__(self, parts: Sequence[ClusterRows]) -> None:
        self._parts = parts
        self._starts = np.concatenate([[0], np.cumsum([len(part.numbers["cluster_id"]) for part in parts])]).astype(int)
        self._firsts = self._starts[:-1].tolist()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _place(self, row: int) -> tuple[ClusterRows, int]:
        part = bisect_right(self._firsts, row) - 1
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self._parts[part], row - self._firsts[part]

    def row(self, number: int) -> dict[str, Any]:
        """Return a row.

        Args:
            number: Of the cluster.
        """
        part, row = self._place(number)
        found: dict[str, Any] = {name: int(values[row]) for name, values in part.numbers.items()}
        found |= {name: texts[row] for name, texts in part.texts.items()}
        return found | {"licenses": [part.licences[each] for each in range(part.lists[row], part.lists[row + 1])]}

    def cluster_id(self, number: int) -> int:
        """Return the warehouse's id of a cluster.

        Args:
            number: Of the cluster.
        """
        part, row = self._place(number)
        return int(part.numbers["cluster_id"][row])

    def shown_by(self, number: int) -> int:
        """Return how many training rows show a cluster, recalled ones included.

        Args:
            number: Of the cluster.
        """
        part, row = self._place(number)
        return sum(int(part.numbers[name][row]) for name in _COUNTS)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return all numbers of a column.

        Args:
            name: One of those that hold numbers.
        """
        parts = [part.numbers[name] for part in self._parts]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)

    def parts(self) -> Iterator[ClusterRows]:
        """Yield the batches of the file, for what looks at each row."""
        yield from self._parts


def read(file: Any) -> ClusterTable:  # noqa: ANN401 -- anything with a buffer
    """Read the table from the bytes of its file, in place. Raises ValueError if they are none of ours."""
    try:
        parts = list(_parts(memoryview(file).cast("B")))
    except (ValueError, TypeError) as error:  # of Unicode too
        raise ValueError(f"{CLUSTERS}: {error}") from None
    return ClusterTable(parts)


def _parts(file: memoryview) -> Iterator[ClusterRows]:
    for number, (kind, metadata, body) in enumerate(arrow.messages(file)):
        if kind != (arrow.BATCH if number else arrow.SCHEMA) or number > _BATCHES:
            raise ValueError(f"part {number} is of type {kind}, or one too many")
        if not number:
            _require_columns(arrow.schema(metadata))
            continue
        try:
            rows = _rows(arrow.batch(metadata, body))
        except ValueError as error:
            raise ValueError(f"part {number} {error}") from None
        if rows is not None:
            yield rows


def _require_columns(columns: Sequence[ArrowColumn]) -> None:
    plain = tuple(ArrowColumn(each.name, each.kind, each.bits, each.signed) for each in columns)
    listed = columns[-1].children if columns else ()
    children = [child for column in columns[:-1] for child in column.children]
    if plain != _COLUMNS or children or [child.kind for child in listed] != [_LICENCE] or listed[0].children:
        raise ValueError(f"it has other columns than {', '.join(each.name for each in _COLUMNS)}")


def _rows(batch: ArrowBatch) -> ClusterRows | None:
    if len(batch.nodes) != len(_COLUMNS) + 1 or len(batch.buffers) != _BUFFERS:
        raise ValueError(f"has {len(batch.nodes)} columns in {len(batch.buffers)} buffers")
    if any(length != batch.rows for length, _ in batch.nodes[:-1]):
        raise ValueError("has columns of other lengths")
    if not batch.rows:
        return None
    buffers = iter(batch.buffers)
    numbers, texts = dict[str, npt.NDArray[Any]](), dict[str, TextColumn]()
    for column, (_, absent) in zip(_COLUMNS[:-1], batch.nodes, strict=False):
        if absent and column.name != _MAY_BE_ABSENT:
            raise ValueError(f"{column.name} has rows without a value")
        present = next(buffers)
        if column.kind == arrow.TEXT:
            texts[column.name] = _texts(column.name, batch.rows, present if absent else None, buffers)
        else:
            dtype = np.int64 if column.signed else np.uint64
            numbers[column.name] = _array(column.name, next(buffers), dtype, batch.rows)
    if batch.nodes[-2][1]:
        raise ValueError("licenses has rows without a value")
    next(buffers)
    (licences, absent), lists = batch.nodes[-1], _offsets("licenses", next(buffers), batch.rows)
    if absent:
        raise ValueError("licenses holds one without a value")
    next(buffers)
    if lists[-1] > licences:
        raise ValueError("licenses has more rows than values")
    return ClusterRows(numbers, texts, lists, _texts("licenses", licences, None, buffers))


def _array(name: str, buffer: memoryview, dtype: npt.DTypeLike, count: int) -> npt.NDArray[Any]:
    if len(buffer) < count * np.dtype(dtype).itemsize:
        raise ValueError(f"{name} is cut off")
    return np.frombuffer(buffer, dtype, count)


def _offsets(name: str, buffer: memoryview, rows: int) -> npt.NDArray[np.int32]:
    if not rows and not len(buffer):
        return np.zeros(1, np.int32)
    offsets = _array(name, buffer, np.int32, rows + 1)
    if offsets[0] < 0 or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(f"{name}: its values do not follow each other")
    return offsets


def _texts(name: str, rows: int, present: memoryview | None, buffers: Iterator[memoryview]) -> TextColumn:
    """Return a column of texts, each of which is UTF-8."""
    offsets, data = _offsets(name, next(buffers), rows), np.frombuffer(next(buffers), np.uint8)
    if offsets[-1] > len(data):
        raise ValueError(f"{name}: its values lie beyond its end")
    data = data[: offsets[-1]]
    bits = None if present is None else _array(name, present, np.uint8, -(-rows // 8))
    start = int(offsets[0])
    while start < len(data):
        stop = min(len(data), start + _STRETCH)
        while stop < len(data) and data[stop] & _CONTINUES[0] == _CONTINUES[1] and stop > start + _STRETCH - 4:
            stop -= 1
        try:
            data[start:stop].tobytes().decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{name} is not UTF-8: {error.reason}") from None
        start = stop
    for first in range(0, len(offsets), _STRETCH):
        inner = offsets[first : first + _STRETCH]
        inner = inner[(inner > offsets[0]) & (inner < len(data))]
        if (data[inner] & _CONTINUES[0] == _CONTINUES[1]).any():
            raise ValueError(f"{name} is not UTF-8: a character is cut")
    return TextColumn(offsets, data, bits)


def require(table: ClusterTable, clusters: int, rows: int, at_least: int) -> None:
    """Raise ValueError naming a column whose values cannot be.

    Args:
        table: As `read` returns it.
        clusters: How many rows the manifest promises.
        rows: How many training rows.
        at_least: Least training rows of a cluster.
    """
    if len(table) != clusters:
        raise ValueError(f"{CLUSTERS} has {len(table):,} rows, and counts.clusters is {clusters:,}")
    before, whole = -1, 0.0
    for part in table.parts():
        for name in _TEXTS:
            if np.diff(part.texts[name].offsets).max() > _TEXT:
                raise ValueError(f"{CLUSTERS}: {name} holds a text of more than {_TEXT:,} bytes")
        if _longest(part) > _TEXT:
            raise ValueError(f"{CLUSTERS}: licenses holds a list of more than {_TEXT:,} bytes")
        whole += _shown(part, rows, at_least)
        ids = part.numbers["cluster_id"]
        if int(ids[0]) <= before or not (ids[1:] > ids[:-1]).all():
            raise ValueError(f"{CLUSTERS}: cluster_id does not rise from row to row")
        before = int(ids[-1])
    if whole != rows:
        raise ValueError(f"{CLUSTERS}: the clusters do not have counts.rows, {rows:,}, rows together")


def _shown(part: ClusterRows, rows: int, at_least: int) -> float:
    """Return how many training rows show the clusters of a batch. Raises ValueError for a number that cannot be."""
    counts: npt.NDArray[np.int64] = np.zeros(len(part.numbers["cluster_id"]), np.int64)
    for name in _COUNTS:
        values = part.numbers[name]
        if values.min() < 0 or values.max() > rows:
            raise ValueError(f"{CLUSTERS}: {name} is not within 0 and counts.rows, {rows:,}")
        counts += values
    if counts.min() < at_least:
        raise ValueError(f"{CLUSTERS}: a cluster has fewer rows than policy.at_least, {at_least:,}")
    return float(counts.sum(dtype=np.float64))  # exact: each is a whole number, and so many bits have doubles


def _longest(part: ClusterRows) -> int:
    """Return the most bytes of a list of texts, and a byte for each text."""
    before = part.licences.offsets[part.lists].astype(np.int64)
    return int((np.diff(before) + np.diff(part.lists.astype(np.int64))).max())
