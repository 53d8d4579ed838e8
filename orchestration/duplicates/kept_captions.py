"""Captions with their words, kept shard by shard, so that new ones are compared without reading old files again.

What belongs here: the facts `shard_captions` and `captioned_shards`, and what a change of groups asks of them. What
does not: which groups change (`transforms/duplicates/caption_changes.py`), when captions are grouped
(`duplicates/caption_groups.py`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.compute.engines import CORES
from orchestration.facts import Facts
from orchestration.facts.filters import is_in
from orchestration.progress import track
from transforms.duplicates.caption_changes import Tie
from transforms.duplicates.caption_neighbours import Neighbours, Probes, count_words
from transforms.duplicates.caption_words import WordSets, sets_of
from transforms.fingerprints.ahead import WorkPace, work_ahead

_KEY = pa.binary(16)
_NO_INDEX = 1 << 62  # rows from which on it gets one: it is read as a whole
_MOST_NEAR = 1_000_000  # pairs of near captions held at once, some 430 bytes each
_SAMPLED = 1_000_000  # captions whose words are counted, to guess which words are rare


def with_words(con: duckdb.DuckDBPyConnection, batch: int) -> Iterator[pa.RecordBatch]:
    """Stream the captions of the table `shard_captions` with their words, as the fact of this name has them.

    Args:
        con: A database with that table.
        batch: Captions that are read at once.
    """
    rows = con.execute("select shard_id, unhex(caption_key), rows, beginning from shard_captions order by rowid")
    for shard_id, key, count, beginning in (each.columns for each in rows.to_arrow_reader(batch)):
        sets = sets_of(beginning)
        words = pa.ListArray.from_arrays(pa.array(sets.offsets, pa.int32()), pa.array(sets.words))
        columns = {"shard_id": shard_id, "caption_key": key.cast(_KEY), "rows": count, "words": words}
        yield from pa.table(columns).to_batches()


@dataclass
class KeptCaptions:
    """The captions as they are now, and the groups as they were (a `CaptionStore`).

    Attributes:
        facts: The fact tables.
        con: A database with the table `ties`, of the groups as they were.
        threshold: Least similarity of near captions.
        stale: Shards whose kept captions do not count any more.
        arriving: The captions of the shards that take their place.
        comparisons: The most comparisons that finding near captions may take.
    """

    facts: Facts
    con: duckdb.DuckDBPyConnection
    threshold: float
    stale: Collection[int]
    arriving: pa.Table
    comparisons: int
    _counted: dict[bytes, int] = field(default_factory=dict)
    _compared: int = 0

    def near(self, keys: Collection[bytes]) -> Mapping[bytes, Mapping[bytes, float]] | None:
        """Return the captions near each of some. None: that would take too long, or too much memory."""
        names, sets = self._words(keys)
        probes = Probes.of(sets, self.threshold, self._uses)
        if probes is None:
            return None
        found: dict[bytes, dict[bytes, float]] = {name: {} for name in names}
        rows: defaultdict[tuple[bytes, bytes], int] = defaultdict(int)

        def compared(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Neighbours]:
            return batch, probes.near(_sets(batch.column("words")))

        batches = self._batches(["caption_key", "rows", "words"], "comparing new captions")
        for batch, near in work_ahead(compared, batches, WorkPace(CORES, CORES)):
            if self._compared + probes.comparisons > self.comparisons or len(rows) + len(near.row) > _MOST_NEAR:
                return None
            if not len(near.row):
                continue
            others, counts = (
                batch.column(name).take(pa.array(near.row)).to_pylist() for name in ("caption_key", "rows")
            )
            for p, other, count, similarity in zip(
                near.probe.tolist(), others, counts, near.similarity.tolist(), strict=True
            ):
                found[names[p]][other] = similarity
                rows[names[p], other] += count
        self._compared += probes.comparisons
        self._counted.update({other: count for (_, other), count in rows.items()})
        return found

    def counts(self, keys: Collection[bytes]) -> Mapping[bytes, int]:
        """Return how often captions are there now; 0 for those that are gone."""
        if unknown := set(keys) - self._counted.keys():
            counted = dict.fromkeys(unknown, 0)
            for key, rows in _chosen(self._batches(["caption_key", "rows"], "counting captions"), unknown):
                counted[key] += rows
            self._counted.update(counted)
        return {key: self._counted[key] for key in keys}

    def ties(self, keys: Collection[bytes]) -> Mapping[bytes, Tie]:
        """Return what captions were tied to, of those that were tied to another one."""
        found = self._tied("caption_key", keys)
        return {bytes.fromhex(key): (bytes.fromhex(head), similarity) for key, head, similarity in found}

    def members(self, heads: Collection[bytes]) -> Mapping[bytes, Collection[bytes]]:
        """Return the captions that were tied to each head."""
        found: dict[bytes, list[bytes]] = {}
        for key, head, _ in self._tied("group_key", heads):
            found.setdefault(bytes.fromhex(head), []).append(bytes.fromhex(key))
        return found

    def _tied(self, column: str, keys: Collection[bytes]) -> list[tuple[str, str, float]]:
        self.con.register("asked", pa.table({column: [key.hex() for key in keys]}, pa.schema({column: pa.string()})))
        tied = f"select caption_key, group_key, similarity from ties semi join asked using ({column})"  # noqa: S608
        return self.con.execute(tied).fetchall()

    def _words(self, keys: Collection[bytes]) -> tuple[list[bytes], WordSets]:
        columns = ["caption_key", "words"]
        words = dict(_chosen(self.arriving.select(columns).to_batches(), keys))
        if missing := set(keys) - words.keys():
            words |= _chosen(self._batches(columns, "reading captions"), missing)
        names = list(words)
        sizes = [len(words[name]) for name in names]
        flat = [word for name in names for word in words[name]]
        return names, WordSets(np.array(flat, np.uint64), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))

    @cached_property
    def _uses(self) -> npt.NDArray[np.uint32]:
        def sampled() -> Iterator[WordSets]:
            rows = 0
            for batch in self._batches(["words"], "counting words"):
                yield _sets(batch.column("words"))
                rows += batch.num_rows
                if rows >= _SAMPLED:
                    return

        return count_words(sampled())

    def _batches(self, columns: list[str], task: str) -> Iterator[pa.RecordBatch]:
        """Yield the captions as they are now, the arriving ones first."""
        kept = self.facts["shard_captions"].scan(columns, f"not ({is_in('shard_id', self.stale)})")

        def batches() -> Iterator[pa.RecordBatch]:
            yield from self.arriving.select(columns).to_batches()
            yield from kept

        return iter(track(batches(), task, None, len))


def write(facts: Facts, stale: Collection[int], captions: Iterable[pa.RecordBatch], shards: pa.Table) -> None:
    """Keep captions in the place of those of some shards.

    Args:
        facts: The fact tables; `shard_captions` and `captioned_shards` are written.
        stale: The shards whose captions are dropped.
        captions: Those that take their place.
        shards: All shards that are kept then, with the columns of `samples_view.DELIVERY`.
    """
    table = facts["shard_captions"]
    if stale:
        table.delete(is_in("shard_id", stale))
    table.append(captions)
    table.maintain(_NO_INDEX)
    facts["captioned_shards"].replace([shards], "")


def _chosen(batches: Iterable[pa.RecordBatch], keys: Collection[bytes]) -> Iterator[tuple]:
    """Yield the rows of some captions."""
    wanted = pa.array(list(keys), _KEY)
    for batch in batches:
        chosen = batch.filter(pc.is_in(batch.column("caption_key"), wanted))
        if chosen.num_rows:
            yield from zip(*(column.to_pylist() for column in chosen.columns), strict=True)


def _sets(words: pa.Array) -> WordSets:
    offsets = words.offsets.to_numpy().astype(np.int64)
    flat = words.values.to_numpy()[offsets[0] : offsets[-1]] if len(words) else np.empty(0, np.uint64)
    return WordSets(flat, offsets - offsets[0])
