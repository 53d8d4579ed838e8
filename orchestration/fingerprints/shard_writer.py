"""Committing the fingerprints of shards.

What belongs here: the order of deleting old fingerprints, writing new ones, and writing the note. What does not:
computing them (`transforms/fingerprints/shard.py`), the notes themselves (`fingerprints/notes.py`).
"""

from collections.abc import Sequence

import pyarrow as pa

from orchestration.facts import Facts, FactTable
from orchestration.fingerprints.due_shards import DueShard
from orchestration.fingerprints.kinds import EMBEDDINGS, HASHES, IMAGES, TABLES
from orchestration.fingerprints.makers import Makers
from orchestration.fingerprints.notes import forget, note, note_begun
from orchestration.progress import say
from transforms.fingerprints.shard import Account, Batch


class ShardWriter:
    """Writes one shard: unchanged until the first commit, then noted as begun, replaced batch by batch, noted as done.

    The fingerprints of the earlier delivery stay until the first commit, so a shard that cannot be read loses nothing.
    If the run is killed, the shard is noted as begun, and the next run computes it again, or deletes its rows if the
    shard is gone.
    """

    def __init__(self, facts: Facts, due: DueShard, makers: Makers, commit_rows: int) -> None:
        self._facts, self._due, self._makers, self._commit_rows = facts, due, makers, commit_rows
        self._held: list[Batch] = []
        self._replaced = False

    def add(self, batch: Batch) -> None:
        """Add a batch, and commit all held batches once they have `commit_rows` rows."""
        self._held.append(batch)
        if sum(len(each.images) for each in self._held) >= self._commit_rows:
            self._commit()

    def finish(self, account: Account) -> None:
        """Commit the rest, and note that the shard is done. Leaves a shard that could not be reached unchanged."""
        if account.unreachable and not self._replaced:
            say(f"left for the next run: {self._due.partition}: {account.broken}")
            return
        self._commit()
        if not account.unreachable:
            note(self._facts, self._due, self._makers, account)
        say(f"fingerprinted {self._due.partition}: {account.summary()}")

    def _commit(self) -> None:
        if not self._replaced:
            # with the hashes also embeddings that no setting asks for now: they are of the delivery before
            kinds = self._due.recipes
            forget(self._facts, self._due.shard.shard_id, (HASHES, *EMBEDDINGS) if HASHES in kinds else kinds)
            note_begun(self._facts, self._due)
            self._replaced = True
        for kind in self._due.recipes if self._held else ():
            if kind in IMAGES:
                self._upsert(self._facts[IMAGES[kind]], [batch.images for batch in self._held])
            elif vectors := [batch.vectors[kind] for batch in self._held if kind in batch.vectors]:
                encoder = self._makers.encoder(kind).id
                self._upsert(self._facts.embeddings(EMBEDDINGS[kind], str(encoder), encoder.dimension), vectors)
        self._held.clear()

    def _upsert(self, table: FactTable, parts: Sequence[pa.Table]) -> None:
        rows = pa.concat_tables(parts, promote_options="permissive")
        rows = rows.append_column("shard_id", pa.array([self._due.shard.shard_id] * len(rows), pa.int64()))
        table.upsert(rows.select(table.schema.names))


def maintain(facts: Facts, index_rows: int) -> dict[str, dict[str, int]]:
    """Compact and index the tables of shards, where that pays.

    Args:
        facts: All fact tables.
        index_rows: Rows from which on a table has indices.

    Returns:
        The work done on each table.
    """
    return {name: facts[name].maintain(index_rows) for name in TABLES.values()}
