"""Rows that are written to the files of a table as they come, before any version of the table has them.

What belongs here: writing a stream of batches that is pushed, not pulled. What does not: the commit (`facts/table.py`).
"""

from collections.abc import Callable, Iterator
from queue import Queue
from threading import Thread

import pyarrow as pa
from lance.fragment import FragmentMetadata

_ROWS = 1_024  # that are handed over at once; 64 at a time take Lance four times as long
_WAITING = 2  # such batches, for the thread


class _Discarded(Exception):
    """The rows are not wanted any more."""


class RowStream:
    """A stream of rows into new files of a table. `FactTable.commit` makes them rows of the table.

    A thread of its own writes: Lance asks for batches, and those of several tables arrive together. The files of a run
    that is killed stay on the disk, and `FactTable.forget_old_versions` removes them.
    """

    def __init__(self, schema: pa.Schema, write: Callable[[pa.RecordBatchReader], list[FragmentMetadata]]) -> None:
        """Begin to write.

        Args:
            schema: The columns of the table.
            write: Writes all batches of a reader into files of the table.
        """
        self._schema, self._write = schema, write
        self._batches: Queue[pa.Table | None] = Queue(_WAITING)
        self._gathered: list[pa.Table] = []
        self._fragments: list[FragmentMetadata] = []
        self._error: BaseException | None = None
        self._ended = self._discarded = False
        self._thread = Thread(target=self._run, daemon=True)  # a run that ends does not wait for rows it will not write
        self._thread.start()

    def add(self, rows: pa.Table) -> None:
        """Add rows, whose columns may be in any order. Waits while the disk is slower than they come.

        Raises the error of an earlier write.
        """
        if self._error is not None:
            raise self._error
        self._gathered.append(rows.select(self._schema.names).cast(self._schema))
        if sum(map(len, self._gathered)) >= _ROWS:
            self._hand_over()

    def close(self) -> list[FragmentMetadata]:
        """Write the last rows, and return the files of all. Raises OSError if a file could not be written."""
        self._hand_over()
        self._end()
        if self._error is not None:
            raise self._error
        return self._fragments

    def discard(self) -> None:
        """Write no more. Lance removes the file that it is writing."""
        self._discarded = True
        self._end()

    def _hand_over(self) -> None:
        if self._gathered and self._thread.is_alive():  # it ends when it is told to, also after an error
            self._batches.put(pa.concat_tables(self._gathered).combine_chunks())
        self._gathered.clear()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._batches.put(None)
            self._thread.join()

    def _run(self) -> None:
        rows = self._received()
        try:
            self._fragments = self._write(pa.RecordBatchReader.from_batches(self._schema, rows))
        except BaseException as error:  # also a panic of Lance: whoever adds rows has to hear of it
            self._error = error
            while not self._ended:  # so that `add` does not wait for ever
                self._ended = self._batches.get() is None

    def _received(self) -> Iterator[pa.RecordBatch]:
        while (rows := self._batches.get()) is not None:
            yield from rows.to_batches()
        self._ended = True
        if self._discarded:
            raise _Discarded
