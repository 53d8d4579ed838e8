"""Committing the fingerprints of shards.

What belongs here: the order of deleting old fingerprints, committing new ones, and writing the notes. What does not:
computing them (`transforms/fingerprints/shard.py`), the notes themselves (`fingerprints/notes.py`), which shards may
hold the same rows (`due_shards.with_shared`).

The cost of a commit does not grow with the tables: the rows of a shard are written to files of their own and appended,
and no stored row is looked at. Nothing but this keeps a key from coming twice, and it is kept so:

- A row's key begins with the number of its metadata. Where only one shard shows rows of some metadata, no other shard
  writes their keys; where several may, each merges its rows by key.
- A shard that was written before, wholly or in part, has a note, by which its rows are deleted first.
- A dump that shows a row twice within one reading was changed meanwhile, and is left for the next run.
- Two runs that fingerprint one shard at a time would each append it. A run holds the lock of the writer from its first
  step to its last, also a run of one Dagster partition beside those of others, and finds out under it what is due: the
  second finds the notes of the first.

`fingerprints.images` and `fingerprints.coverage` check it before a version is published.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
from lance.fragment import FragmentMetadata

from orchestration.facts import Facts, FactTable
from orchestration.facts.row_stream import RowStream
from orchestration.fingerprints.due_shards import DueShard
from orchestration.fingerprints.kinds import EMBEDDINGS, IMAGES, RIGHTS, TABLES
from orchestration.fingerprints.makers import Makers
from orchestration.fingerprints.notes import begin, forget_unnoted, note
from orchestration.progress import say
from transforms.fingerprints.shard import Account, Batch

_UPKEEP = 32  # commits; each leaves small fragments, and the next lists them all
_NOTES = ("fingerprinted_shards", "not_taken")
_HELD_S = 10.0  # that a shard waits for others at most, before the next result of any is its commit


class ShardWriter:
    """Takes the fingerprints of one shard, until `ShardGroup` commits them.

    Its rows go to files of the tables as they come, so that memory holds a batch and unfilled pages. Rows of a shard
    that shares metadata are held in memory, and merged by key once they are `commit_rows`.

    The fingerprints of the earlier delivery stay until the first commit, so a shard that cannot be read loses nothing.
    """

    def __init__(self, facts: Facts, due: DueShard, makers: Makers, commit_rows: int) -> None:
        self.due, self.rows, self.begun = due, 0, False
        self._facts, self._makers, self._commit_rows = facts, makers, commit_rows
        self._ids: set[int] = set()
        self._repeats = False
        self._streams: dict[str, RowStream] = {}
        self._fragments: dict[str, list[FragmentMetadata]] = {}
        self._held: dict[str, list[pa.Table]] = {}

    def add(self, batch: Batch) -> None:
        """Add a batch."""
        self.rows += len(batch.images)
        if not self.due.shared:
            self._ids.update(batch.images["sample_id"].to_pylist())
            self._repeats = len(self._ids) < self.rows
        for kind in () if self._repeats else self.due.recipes:
            if (rows := _rows(batch, kind)) is not None:
                self._add(kind, rows)
        if sum(map(len, next(iter(self._held.values()), ()))) >= self._commit_rows:
            commit(self._facts, [self], self._makers)

    def _add(self, kind: str, rows: pa.Table) -> None:
        rows = rows.append_column("shard_id", pa.array([self.due.shard.shard_id] * len(rows), pa.int64()))
        if self.due.shared:
            self._held.setdefault(kind, []).append(rows)
            return
        if kind not in self._streams:
            self._streams[kind] = _table(self._facts, kind, self._makers).stream()
        self._streams[kind].add(rows)

    def end(self, account: Account) -> Account:
        """Write the last rows to their files. Return the account: that of a dump that was changed meanwhile says so."""
        if self._repeats and not account.unreachable:
            changed = "its dump was changed while it was read, which showed rows twice"
            account = replace(account, broken=changed, unreachable=True)
        if account.unreachable and not self.begun:
            self.discard()
        while self._streams:
            kind, stream = self._streams.popitem()
            self._fragments[kind] = stream.close()
        self._ids.clear()
        return account

    def discard(self) -> None:
        """Drop the rows that are not committed."""
        while self._streams:
            self._streams.popitem()[1].discard()
        self._held.clear()

    def take_fragments(self, kind: str) -> Sequence[FragmentMetadata]:
        """Return the files of a fingerprint, whose rows have keys of their own, and hold their list no longer."""
        return self._fragments.pop(kind, ())

    def take_held(self, kind: str) -> Sequence[pa.Table]:
        """Return the rows of a fingerprint that are to be merged by key, and hold them no longer."""
        return self._held.pop(kind, ())


class ShardGroup:
    """Commits shards that end close together at once: noted as begun, replaced, noted as done.

    If the run is killed, the shards are noted as begun, and the next run computes them again, or deletes their rows if
    they are gone. Shards that are not noted yet are due as before: no version of a table has the rows in their files.
    """

    def __init__(self, facts: Facts, makers: Makers, commit_rows: int) -> None:
        self._facts, self._makers, self._commit_rows = facts, makers, commit_rows
        self._ended: list[tuple[ShardWriter, Account]] = []
        self._since = 0.0
        self._commits = 0

    def add(self, writer: ShardWriter, account: Account) -> None:
        """Add a shard that ended.

        Args:
            writer: What took its fingerprints.
            account: The account of its pictures.
        """
        if not self._ended:
            self._since = time.monotonic()
        self._ended.append((writer, writer.end(account)))

    @property
    def due(self) -> bool:
        """Whether to commit: `commit_rows` rows ended, or a shard did some seconds ago."""
        if not self._ended:
            return False
        waited = time.monotonic() - self._since
        return waited >= _HELD_S or sum(writer.rows for writer, _ in self._ended) >= self._commit_rows

    def commit(self) -> list[tuple[DueShard, Account]]:
        """Commit the shards and note that they are done. A shard that could not be reached stays as it is.

        Returns:
            All that ended since the last commit, with their accounts.
        """
        ended, self._ended = self._ended, []
        commit(self._facts, [writer for writer, told in ended if writer.begun or not told.unreachable], self._makers)
        note(self._facts, [(writer.due, told) for writer, told in ended if not told.unreachable], self._makers)
        for writer, told in ended:
            left = told.unreachable and not writer.begun
            done = "read for rights" if writer.due.rights_alone else "fingerprinted"
            what = f"left for the next run: {writer.due.partition}: {told.broken}"
            say(what if left else f"{done} {writer.due.partition}: {told.summary()}")
        self._commits += 1
        if self._commits % _UPKEEP == 0:
            maintain(self._facts, None)
        return [(writer.due, told) for writer, told in ended]


def prepare(facts: Facts, due: Sequence[DueShard]) -> None:
    """Make the tables ready for shards, once before the first.

    Args:
        facts: All fact tables.
        due: The shards, and the fingerprints that are to be written.
    """
    for kind in {kind for each in due for kind in each.recipes}:
        facts[TABLES[kind]].forget_old_versions()  # also the files of a killed run: those of several would fill a disk
    forget_unnoted(facts, due)


def commit(facts: Facts, writers: Sequence[ShardWriter], makers: Makers) -> None:
    """Note that shards are begun, delete their rows of earlier deliveries, and commit those that were written.

    Args:
        facts: All fact tables.
        writers: Of the shards.
        makers: The encoders.
    """
    if fresh := [writer for writer in writers if not writer.begun]:
        begin(facts, [writer.due for writer in fresh])
        for writer in fresh:
            writer.begun = True
    for kind in TABLES:
        if files := [each for writer in writers for each in writer.take_fragments(kind)]:
            _table(facts, kind, makers).commit(files)
        if held := [each for writer in writers for each in writer.take_held(kind)]:
            rows = pa.concat_tables(held, promote_options="permissive")
            table = _table(facts, kind, makers)
            table.upsert(rows.select(table.schema.names))


def _rows(batch: Batch, kind: str) -> pa.Table | None:
    """Return the rows of a batch for the table of a kind, or None if there are none."""
    if kind == RIGHTS:
        return batch.rights
    return batch.images if kind in IMAGES else batch.vectors.get(kind)


def _table(facts: Facts, kind: str, makers: Makers) -> FactTable:
    if kind not in EMBEDDINGS:
        return facts[TABLES[kind]]
    encoder = makers.encoder(kind).id
    return facts.embeddings(EMBEDDINGS[kind], str(encoder), encoder.dimension)


def maintain(facts: Facts, index_rows: int | None) -> dict[str, dict[str, int]]:
    """Compact and index the tables of shards, and compact those of their notes, where that pays.

    Args:
        facts: All fact tables.
        index_rows: Rows from which on a table has indices. None, during a run: no table is indexed, because an index of
            vectors keeps the cells that it was made with.

    Returns:
        The work done on each table.
    """
    done = {name: facts[name].maintain(index_rows) for name in TABLES.values()}
    return done | {name: facts[name].maintain(None) for name in _NOTES}
