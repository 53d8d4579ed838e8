"""One table of facts, kept by Lance, keyed and versioned.

What belongs here: reading and writing a table, and bringing one of an older release up to date. What does not: its
columns (`facts/schemas/`), work that changes no row (`facts/upkeep.py`), all tables together (`facts/facts.py`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
from lance.fragment import FragmentMetadata, write_fragments

from orchestration.facts import upkeep
from orchestration.facts.open_tables import OPEN_TABLES
from orchestration.facts.row_stream import RowStream
from orchestration.facts.schemas import tables
from orchestration.facts.schemas.tables import EMBEDDINGS, SCHEMAS, TABLES, current_schema, encoder_of
from transforms.encoders import EncoderMismatch

RECIPE = "raisonne:recipe"
_BYTES = "arrow_cast(decode(`{}`, 'hex'), 'FixedSizeBinary(32)')"
"""A digest that an older table holds in hexadecimal, for Lance."""
_WRITTEN_AT_ANY_TIME = {"decisions", "guard_checks"}
"""Tables to which others than the holder of the writer's lock append."""
_UNFILLED = 32 << 20  # bytes of pages that a stream of rows holds, of all columns together


class OlderTable(RuntimeError):
    """A table of an older release cannot be written. The message names the table and the fix."""


class Change(StrEnum):
    """The change that a migration made to a table."""

    NONE = "left as it was"
    CREATED = "created"
    EVOLVED = "brought up to date"
    EMPTIED = "emptied"


@dataclass(frozen=True)
class FactTable:
    """One Lance table below a warehouse's `facts` folder.

    Reading writes nothing. A table that does not exist reads as empty, and so does one whose key or types are those of
    an older release; a column that an older table lacks reads as null. `migrate` brings the table up to date, once at
    the start of a run. The first write creates a table that does not exist.

    Attributes:
        folder: The folder of all tables.
        name: The table.
        bound: The encoder that `Facts.embeddings` bound it to. While the table holds vectors of another encoder,
            reading and writing raise EncoderMismatch, until `reset`.
        dimension: The length of that encoder's vectors.
    """

    folder: Path
    name: str
    bound: str = ""
    dimension: int = 0

    @property
    def uri(self) -> str:
        """The folder of this table."""
        return str(self.folder / f"{self.name}.lance")

    @property
    def schema(self) -> pa.Schema:
        """Its columns in this release; the key columns come first. Vectors have the dimension of the stored ones."""
        if self.bound or self.name not in EMBEDDINGS:
            return self._blank
        return current_schema(self.name, self.dataset().schema)

    @property
    def keys(self) -> list[str]:
        """The columns that name a row."""
        return tables.keys(SCHEMAS[self.name])

    @property
    def encoder(self) -> str:
        """The identity of the encoder of its vectors. Empty if it has no vectors and belongs to no encoder."""
        dataset = FactTable(self.folder, self.name).dataset()
        return _encoder_named(dataset) if dataset.count_rows() else encoder_of(dataset.schema)

    @property
    def version(self) -> int:
        """The number of the latest version. 1 if the table does not exist, as for a new one."""
        return int(self.dataset().version)

    @property
    def recipe(self) -> str:
        """The recipe of the rows: inputs, code and settings. Empty if they were never replaced as a whole."""
        return str(self.dataset().config().get(RECIPE, ""))

    def dataset(self, version: int | None = None) -> lance.LanceDataset:
        """Open the latest version, or a given one, for reading.

        Raises:
            EncoderMismatch: If the table holds vectors of another encoder than the one it is bound to.
        """
        stored = OPEN_TABLES.latest(self.uri, upkeep.load)
        if stored is not None and version is not None:
            return stored.checkout_version(version)
        if stored is None or tables.incompatible(stored.schema, current_schema(self.name, stored.schema)):
            return upkeep.empty(self._blank)
        if self.bound and not self._holds_its_encoder(stored):
            self._require_no_rows(stored)
            return upkeep.empty(self._blank)
        return stored

    def read(self, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """Read rows into memory. Use it for tables that grow with shards or generations, not with training rows.

        Args:
            columns: All by default.
            where: A Lance filter.
        """
        dataset = self.dataset()
        names = list(columns or SCHEMAS[self.name].names)
        return self._completed(dataset.to_table(columns=self._stored(dataset, names), filter=where), names)

    def scan(self, columns: Sequence[str], where: str | None = None) -> Iterator[pa.RecordBatch]:
        """Stream rows.

        Args:
            columns: Those to read.
            where: A Lance filter.
        """
        dataset, names = self.dataset(), list(columns)
        batches = dataset.to_batches(columns=self._stored(dataset, names), filter=where)
        return (self._completed(batch, names) for batch in batches)

    def reader(self, version: int, columns: Sequence[str], where: str | None = None) -> pa.RecordBatchReader:
        """Stream rows of a version, which may be of an older release.

        Args:
            version: Its number.
            columns: Those to read.
            where: A Lance filter.
        """
        dataset = self.dataset(version)
        stored = self._stored(dataset, columns)
        scanner = dataset.scanner(columns=stored, filter=where)
        if stored == [*columns]:
            return scanner.to_reader()
        schema = pa.schema([SCHEMAS[self.name].field(name) for name in columns])
        batches = (self._completed(batch, columns).cast(schema) for batch in scanner.to_batches())
        return pa.RecordBatchReader.from_batches(schema, batches)

    def counts(self, column: str) -> dict[Any, int]:
        """Return how many rows have each value of a column of few values."""
        counter: Counter[Any] = Counter()
        for batch in self.scan([column]):
            counter.update({each["values"]: each["counts"] for each in batch.column(0).value_counts().to_pylist()})
        return dict(counter.most_common())

    def upsert(self, rows: pa.Table) -> int:
        """Insert rows, replacing those of the same key, in one commit. Return the count of given rows.

        The last of several rows with one key wins. Holds the rows in memory twice. Other processes may write at the
        same time: the later commit is repeated on top of the earlier one.

        Raises:
            EncoderMismatch: If the table holds vectors of another encoder.
            OlderTable: If the table is of an older release.
        """
        if rows.num_rows:
            distinct = tables.last_of_each_key(rows.cast(self.schema), self.keys)
            upkeep.retry(lambda: self._merge(distinct))
        return rows.num_rows

    def replace(self, batches: Iterable[pa.Table], recipe: str) -> int:
        """Replace all rows, streamed, and note their recipe.

        The recipe is deleted first and written last, so a run that is killed in between leaves the table stale.

        Args:
            batches: The rows.
            recipe: The recipe of the rows; empty if it is noted later.

        Returns:
            The count of rows.
        """
        self._writable().update_config({RECIPE: ""})
        schema = self.schema
        stream = (batch for table in batches for batch in table.cast(schema).to_batches())
        dataset = self._write(schema, stream, "overwrite")
        dataset.update_config({RECIPE: recipe})
        return int(dataset.count_rows())

    def append(self, batches: Iterable[pa.RecordBatch]) -> int:
        """Add rows, streamed, in one commit, and return their count. Their keys must be new."""
        stream = iter(batches)
        first = next(stream, None)
        if first is None:
            return 0
        dataset = self._writable()
        self._require_current(dataset)
        return int(self._write(self.schema, chain([first], stream), "append").count_rows()) - dataset.count_rows()

    def stream(self) -> RowStream:
        """Begin to write rows that no version of the table has until `commit`.

        Raises:
            EncoderMismatch: If the table holds vectors of another encoder.
            OlderTable: If the table is of an older release.
        """
        dataset = self._writable()
        self._require_current(dataset)
        return RowStream(
            self.schema, lambda rows: write_fragments(rows, dataset, mode="append", data_cache_bytes=_UNFILLED)
        )

    def commit(self, fragments: Sequence[FragmentMetadata]) -> None:
        """Make the rows of streams rows of the table, in one commit. Their keys must be new.

        Neither reads nor looks for a stored row, so that it takes no longer in a larger table.

        Args:
            fragments: What `RowStream.close` returned, of any number of streams.
        """
        if fragments:
            added = lance.LanceOperation.Append(fragments)
            upkeep.retry(lambda: lance.LanceDataset.commit(self.uri, added, read_version=self._writable().version))

    def delete(self, where: str) -> None:
        """Delete the rows that satisfy a Lance filter. Creates no new version if no row does."""
        if self.dataset().count_rows(filter=where):
            upkeep.retry(lambda: self._writable().delete(where))

    def clear(self) -> None:
        """Delete all rows and their recipe."""
        self.forget_recipe()
        self.delete("true")

    def note_recipe(self, recipe: str) -> None:
        """Note the recipe of rows that were not replaced as a whole."""
        self._writable().update_config({RECIPE: recipe})

    def forget_recipe(self) -> None:
        """Mark the table stale, so that the next run computes it again."""
        stored = upkeep.load(self.uri)
        if stored is not None and stored.config().get(RECIPE):
            stored.update_config({RECIPE: ""})

    def reset(self, encoder: str, dimension: int) -> None:
        """Empty an embedding table for a new encoder. Does nothing if it already belongs to that encoder.

        Deletes the notes of its rows first, so that a run that is killed in between computes the rows again. Tagged
        versions stay readable.

        Args:
            encoder: The encoder's identity as text.
            dimension: The length of its vectors.
        """
        table = FactTable(self.folder, self.name, encoder, dimension)
        if not table._holds_its_encoder(upkeep.ensure(table.uri, table._blank)):
            upkeep.retry(table._reset)

    @property
    def due_change(self) -> Change:
        """What `migrate` would do to the table."""
        stored = OPEN_TABLES.latest(self.uri, upkeep.load)
        if stored is None:
            return Change.CREATED
        current = current_schema(self.name, stored.schema)
        if tables.incompatible(stored.schema, current):
            return Change.EMPTIED
        return Change.NONE if _is_current(stored, current) else Change.EVOLVED

    def migrate(self) -> Change:
        """Create the table, or bring one of an older release up to date. Does nothing to a current one.

        Adds missing columns with nulls, and drops columns of older releases. A table whose digests are text is written
        anew, in one commit. If the key or the type of another column changed, empties the table, after the notes of its
        rows. Published versions keep the Lance versions that they were derived from.
        """
        return upkeep.retry(self._migrate)

    def _migrate(self) -> Change:
        stored = upkeep.load(self.uri)
        if stored is None:
            upkeep.ensure(self.uri, self._blank)
            return Change.CREATED
        current = current_schema(self.name, stored.schema)
        if tables.incompatible(stored.schema, current):
            self._reset()
            return Change.EMPTIED
        if tables.text_digests(stored.schema, current):
            self._write(current, (rows.cast(current) for rows in self.scan(current.names)), "overwrite")
            return Change.EVOLVED
        return Change.EVOLVED if upkeep.evolve(stored, current) else Change.NONE

    def maintain(self, index_rows: int | None) -> dict[str, int]:
        """Merge small fragments, purge deleted rows and update indices. Changes no row.

        Indexes a single-column key and `shard_id` (BTREE), and vectors (IVF_SQ, for cosine). Tagged versions do not
        change.

        Args:
            index_rows: Rows from which on a table is indexed. None: small fragments are merged, no more.

        Returns:
            Counts of the work done. Without any there is no new version.
        """
        return upkeep.maintain(self._writable, index_rows)

    def forget_old_versions(self, older_than: timedelta = timedelta(days=1)) -> None:
        """Delete old versions without a tag of a published version, and files that no version has. The latest stays.

        A run that is killed leaves such files. Lance keeps them for a week, because another process may be about to
        commit them. Here none is: whoever calls this holds the lock of the writer, and has no stream of rows open. But
        for tables that others write at any time: of these such files stay for a week.

        Args:
            older_than: Versions that are younger stay.
        """
        self.dataset().cleanup_old_versions(
            older_than=older_than,
            delete_unverified=self.name not in _WRITTEN_AT_ANY_TIME,
            error_if_tagged_old_versions=False,
        )

    @property
    def _blank(self) -> pa.Schema:
        if not self.bound:
            return SCHEMAS[self.name]
        return tables.embedding_schema(self.name, self.dimension, self.bound)

    def _holds_its_encoder(self, dataset: lance.LanceDataset) -> bool:
        stored, blank = current_schema(self.name, dataset.schema), self._blank
        return encoder_of(stored) == encoder_of(blank) and stored.field("vector") == blank.field("vector")

    def _require_no_rows(self, dataset: lance.LanceDataset) -> None:
        if dataset.count_rows():
            raise EncoderMismatch(
                f"vectors of {_encoder_named(dataset)} in {self.uri} cannot be compared with vectors of {self.bound}; "
                "fingerprint again"
            )

    def _require_current(self, dataset: lance.LanceDataset) -> None:
        current = current_schema(self.name, dataset.schema)
        if not _is_current(dataset, current) or tables.incompatible(dataset.schema, current):
            raise OlderTable(f"{self.uri} is of an older release; `raisonne run` brings it up to date")

    def _stored(self, dataset: lance.LanceDataset, names: Sequence[str]) -> list[str] | dict[str, str]:
        """Return the columns to read, without those that the stored table lacks; of an older table, as expressions."""
        missing = set(SCHEMAS[self.name].names).difference(dataset.schema.names)
        there = [name for name in names if name not in missing]
        texts = tables.text_digests(dataset.schema, SCHEMAS[self.name])
        return {name: _BYTES.format(name) if name in texts else f"`{name}`" for name in there} if texts else there

    def _completed[Rows: (pa.Table, pa.RecordBatch)](self, rows: Rows, names: Sequence[str]) -> Rows:
        """Add the columns that the stored table lacks."""
        for name in names:
            if name not in rows.schema.names:
                rows = rows.append_column(name, pa.nulls(rows.num_rows, SCHEMAS[self.name].field(name).type))
        return rows.select(names)

    def _writable(self) -> lance.LanceDataset:
        """Open to write. An embedding table without rows becomes one of the encoder that this one is bound to."""
        return upkeep.retry(self._open_to_write)

    def _open_to_write(self) -> lance.LanceDataset:
        dataset = upkeep.ensure(self.uri, self._blank)
        if not self.bound or self._holds_its_encoder(dataset):
            return dataset
        self._require_no_rows(dataset)
        return self._emptied()

    def _merge(self, rows: pa.Table) -> None:
        dataset = self._writable()
        self._require_current(dataset)
        merge = dataset.merge_insert(self.keys).when_matched_update_all().when_not_matched_insert_all()
        # Never by an index on the key: pylance 14 then leaves the inserted keys out of the commit, and two writers of
        # one new key both insert it. It would cost 37 ms rather than 56 for 10,000 new rows in 1,000,000.
        merge.use_index(False).conflict_retries(20).retry_timeout(timedelta(minutes=10)).execute(rows)

    def _write(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], mode: str) -> lance.LanceDataset:
        """Commit a stream of batches. Re-raises the producer's own exception rather than Lance's wrapper."""
        raised: list[BaseException] = []

        def watched() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except GeneratorExit:
                raise
            except BaseException as error:
                raised.append(error)
                raise

        try:
            return lance.write_dataset(pa.RecordBatchReader.from_batches(schema, watched()), self.uri, mode=mode)
        except OSError:
            if raised:
                raise raised[0] from None
            raise

    def _reset(self) -> lance.LanceDataset:
        if noted_in := TABLES[self.name].noted_in:
            name, which = noted_in
            notes = FactTable(self.folder, name)
            notes.forget_recipe()
            notes.delete(which)
        return self._emptied()

    def _emptied(self) -> lance.LanceDataset:
        self.forget_recipe()
        return lance.write_dataset(self._blank.empty_table(), self.uri, mode="overwrite")


def _is_current(dataset: lance.LanceDataset, schema: pa.Schema) -> bool:
    """Return whether a table has the columns of a schema, and no digests as text."""
    return set(dataset.schema.names) == set(schema.names) and not tables.text_digests(dataset.schema, schema)


def _encoder_named(dataset: lance.LanceDataset) -> str:
    return encoder_of(dataset.schema) or "an encoder without a name"


def current(tables: Iterable[FactTable], recipe: str) -> bool:
    """Return whether every table was made by a recipe.

    Args:
        tables: Tables that are written together.
        recipe: What a run of today makes them by.
    """
    return all(table.recipe == recipe for table in tables)
