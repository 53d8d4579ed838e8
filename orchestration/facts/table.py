"""One table of facts, kept by Lance, keyed and versioned.

What belongs here: reading and writing a table, and bringing one of an older release up to date. What does not: its
columns (`facts/schemas.py`), work that changes no row (`facts/upkeep.py`), all tables together (`facts/facts.py`).
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa

from orchestration.facts import schemas, upkeep
from orchestration.facts.schemas import EMBEDDINGS, SCHEMAS, current_schema, encoder_of
from transforms.encoders import EncoderMismatch

RECIPE = "raisonne:recipe"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class FactTable:
    """One Lance table below a warehouse's `facts` folder. Created empty when first touched.

    bound, dimension: the encoder that `Facts.embeddings` bound the table to. While it holds vectors of another,
    touching it raises EncoderMismatch, until `reset`.
    A table of an older release gets the columns it lacks, empty. Where its key or a column's type is another it starts
    anew, empty, with a warning: facts are computed again. Published versions keep what they were derived from.
    """

    folder: Path
    name: str
    bound: str = ""
    dimension: int = 0

    @property
    def uri(self) -> str:
        """Where it lies."""
        return str(self.folder / f"{self.name}.lance")

    @property
    def schema(self) -> pa.Schema:
        """Its columns; the key columns come first. Vectors have the dimension of those in the table."""
        if self.bound or self.name not in EMBEDDINGS:
            return self._blank
        return current_schema(self.name, self._open().schema)

    @property
    def keys(self) -> list[str]:
        """The columns that name a row."""
        return schemas.keys(SCHEMAS[self.name])

    @property
    def encoder(self) -> str:
        """The identity of the encoder whose vectors it holds. Empty where it holds none and was made for none."""
        dataset = FactTable(self.folder, self.name).dataset()
        return _named(dataset) if dataset.count_rows() else encoder_of(dataset.schema)

    @property
    def _blank(self) -> pa.Schema:
        if not self.bound:
            return SCHEMAS[self.name]
        return schemas.embedding_schema(self.name, self.dimension, self.bound)

    def _open(self) -> lance.LanceDataset:
        return upkeep.retried(self._opened)

    def _opened(self) -> lance.LanceDataset:
        dataset = upkeep.found(self.uri, self._blank)
        if not self.bound or self._holds_its_encoder(dataset):
            return self._renewed(dataset)
        if not dataset.count_rows():
            return self._emptied()
        raise EncoderMismatch(
            f"vectors of {_named(dataset)} in {self.uri} cannot be compared with vectors of {self.bound}; "
            "fingerprint again"
        )

    def _holds_its_encoder(self, dataset: lance.LanceDataset) -> bool:
        stored, wanted = current_schema(self.name, dataset.schema), self._blank
        return encoder_of(stored) == encoder_of(wanted) and stored.field("vector") == wanted.field("vector")

    def _renewed(self, dataset: lance.LanceDataset) -> lance.LanceDataset:
        """Bring a table of an older release up to date."""
        stored, wanted = dataset.schema, current_schema(self.name, dataset.schema)
        changed = schemas.incompatible(stored, wanted)
        if changed:
            _LOG.warning("%s is of an older release, with another %s: it starts anew, empty", self.uri, changed)
            return self._reset()
        upkeep.evolve(dataset, wanted)
        return dataset

    def dataset(self, version: int | None = None) -> lance.LanceDataset:
        """Open the latest version, or the one given. Raises EncoderMismatch."""
        dataset = self._open()
        return dataset if version is None else dataset.checkout_version(version)

    @property
    def version(self) -> int:
        """The number of the latest version."""
        return int(self.dataset().version)

    def upsert(self, rows: pa.Table) -> int:
        """Insert rows, replacing those of the same key, in one commit. Returns how many rows were given.

        Of rows with the same key the last one counts. Holds the rows in memory twice. Other processes may write at the
        same time: the later commit is merged again on top of the earlier one. Raises EncoderMismatch.
        """
        if rows.num_rows:
            distinct = schemas.last_of_each_key(rows.cast(self.schema), self.keys)
            upkeep.retried(lambda: self._merge(distinct))
        return rows.num_rows

    def _merge(self, rows: pa.Table) -> None:
        merge = self._open().merge_insert(self.keys).when_matched_update_all().when_not_matched_insert_all()
        # Never by an index on the key: pylance 14 then leaves the inserted keys out of the commit, and two writers of
        # one new key both insert it. It would cost 37 ms rather than 56 for 10,000 new rows in 1,000,000.
        merge.use_index(False).conflict_retries(20).retry_timeout(timedelta(minutes=10)).execute(rows)

    def replace(self, batches: Iterable[pa.Table], recipe: str) -> int:
        """Replace all rows, streamed, and remember the recipe they were made by. Returns how many rows there are.

        The recipe is forgotten first and committed last: a run killed in between makes the table again.
        """
        self.dataset().update_config({RECIPE: ""})
        schema = self.schema
        stream = (batch for table in batches for batch in table.cast(schema).to_batches())
        dataset = self._written(schema, stream, "overwrite")
        dataset.update_config({RECIPE: recipe})
        return int(dataset.count_rows())

    def append(self, batches: Iterable[pa.RecordBatch]) -> int:
        """Add rows, streamed, in one commit; their keys, if there are any, must be new. Returns how many there were."""
        found = iter(batches)
        first = next(found, None)
        if first is None:
            return 0
        before = self.dataset().count_rows()
        return int(self._written(self.schema, chain([first], found), "append").count_rows()) - before

    def _written(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], mode: str) -> lance.LanceDataset:
        """Commit a stream. What making the batches raises is raised as it is, not as Lance's account of it."""
        raised: list[BaseException] = []

        def told() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except GeneratorExit:
                raise
            except BaseException as error:
                raised.append(error)
                raise

        try:
            return lance.write_dataset(pa.RecordBatchReader.from_batches(schema, told()), self.uri, mode=mode)
        except OSError:
            if raised:
                raise raised[0] from None
            raise

    def clear(self) -> None:
        """Delete all rows, and the recipe that they were made by."""
        self.forget_recipe()
        self.delete("true")

    def reset(self, encoder: str, dimension: int) -> None:
        """Empty an embedding table for an encoder. Nothing where it is that encoder's already.

        Notes that its rows are computed go first: a run killed in between computes them again. Tagged versions stay
        readable.
        """
        table = FactTable(self.folder, self.name, encoder, dimension)
        if not table._holds_its_encoder(upkeep.found(table.uri, table._blank)):
            upkeep.retried(table._reset)

    def _reset(self) -> lance.LanceDataset:
        if self.name in schemas.NOTED_IN:
            table, which = schemas.NOTED_IN[self.name]
            notes = FactTable(self.folder, table)
            notes.forget_recipe()
            notes.delete(which)
        return self._emptied()

    def _emptied(self) -> lance.LanceDataset:
        self.forget_recipe()
        return lance.write_dataset(self._blank.empty_table(), self.uri, mode="overwrite")

    def forget_recipe(self) -> None:
        """Have the rows made again by the next run, whatever they were made by."""
        dataset = upkeep.found(self.uri, self._blank)
        if dataset.config().get(RECIPE):
            dataset.update_config({RECIPE: ""})

    @property
    def recipe(self) -> str:
        """What the rows were made by: inputs, code and settings. Empty where they were never replaced as a whole."""
        return str(self.dataset().config().get(RECIPE, ""))

    def note_recipe(self, recipe: str) -> None:
        """Remember what the rows were made by, where they were not replaced as a whole."""
        self.dataset().update_config({RECIPE: recipe})

    def delete(self, where: str) -> None:
        """Delete the rows that satisfy a Lance filter; no new version where there are none."""
        if self.dataset().count_rows(filter=where):
            upkeep.retried(lambda: self._open().delete(where))

    def read(self, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """Read rows into memory: for tables that grow with shards or generations, not with training rows."""
        return self.dataset().to_table(columns=list(columns) if columns else None, filter=where)

    def scan(self, columns: Sequence[str], where: str | None = None) -> Iterator[pa.RecordBatch]:
        """Stream rows."""
        return iter(self.dataset().to_batches(columns=list(columns), filter=where))

    def counts(self, column: str) -> dict[Any, int]:
        """Return how many rows have each value of a column of few values."""
        found: Counter[Any] = Counter()
        for batch in self.scan([column]):
            found.update({each["values"]: each["counts"] for each in batch.column(0).value_counts().to_pylist()})
        return dict(found.most_common())

    def maintain(self, index_rows: int) -> dict[str, int]:
        """Join small fragments, drop deleted rows and, from `index_rows` rows on, keep indices. Changes no row.

        Indexed are a key of one column and `shard_id` (BTREE), and vectors (IVF_SQ; search them by cosine). Returns
        how much was done; where it is nothing, there is no new version. Tagged versions stay as they are.
        """
        return upkeep.maintain(self._open, index_rows)

    def forget_old_versions(self, older_than: timedelta = timedelta(days=1)) -> None:
        """Drop old versions that no published warehouse names: tags keep theirs. The latest stays."""
        self.dataset().cleanup_old_versions(older_than=older_than, error_if_tagged_old_versions=False)


def _named(dataset: lance.LanceDataset) -> str:
    return encoder_of(dataset.schema) or "an encoder without a name"
