"""The neighbour lists of all generations, kept as facts, so that each picture and generation is searched once.

What belongs here: the notes of searched training pictures, the lists of generations, and the order of commits. What
does not: searching (`matches/search.py`), the guarantees of a list (`transforms/matches/neighbour_lists.py`).

Every list covers all noted pictures, down to its floor. A removed picture is deleted from the notes before anything
else is written. A new picture is noted after every list covers it. So if a run is killed in between, the lists may
cover more pictures than the notes, never fewer. Those pictures are searched again, and a list holds a picture once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched

import numpy as np
import pyarrow as pa

from orchestration.facts import SCHEMAS, Facts
from orchestration.facts.filters import between, is_in
from transforms.fingerprints.distinct_pictures import Indices
from transforms.hashing import digest_arrays
from transforms.hashing.digest_arrays import Rows
from transforms.hashing.digest_tables import Lookup
from transforms.matches import neighbour_lists
from transforms.matches.neighbour_lists import Floor, NeighbourList

type Lists = tuple[NeighbourList, NeighbourList]
"""The lists of one generation: by embedding, and by PDQ."""
_DELETED = 500  # generations at once


@dataclass(frozen=True)
class ListTables:
    """The fact tables of one kind of list.

    Attributes:
        searched: Notes of the training pictures that all lists have seen.
        lists: The lists. Without columns of hashed pictures, all lists by PDQ are empty.
        vectors: The embeddings of generations, by view.
        key: The column by which the last two know a generation, or what else is searched with.
        asked: What is searched with, in words.
    """

    searched: str
    lists: str
    vectors: str
    key: str = "generation_id"
    asked: str = "generations"

    @property
    def hashed(self) -> bool:
        """Whether pictures are searched by PDQ too."""
        return "hashed" in SCHEMAS[self.lists].names


COPIES = ListTables("searched_pictures", "neighbour_lists", "generation_embeddings")
RELATED = ListTables("related_searches", "related_lists", "generation_meanings")
LISTED = ListTables("listed_searches", "listed_lists", "listed_embeddings", "listed_sha256", "listed pictures")


class KeptLists:
    """The lists of a warehouse."""

    def __init__(self, facts: Facts, present: Rows, tables: ListTables = COPIES) -> None:
        """Open the lists.

        Args:
            facts: The fact tables.
            present: uint8 (n, 32), ascending, the digests of the current training pictures.
            tables: The kind of list.
        """
        self._notes, self._lists = facts[tables.searched], facts[tables.lists]
        self._present, self._lookup, self._key = present, Lookup(present), tables.key

    def begin(self) -> Indices:
        """Delete removed pictures from the notes. Return the new ones, ascending."""
        known = np.zeros(len(self._present), np.bool_)
        gone = False
        for batch in self._notes.scan(["pixel_sha256"]):
            index, present = self._lookup.find(digest_arrays.rows(batch.column(0)))
            known[index[present]] = True
            gone |= not present.all()
        if gone:
            self._notes.replace((pa.Table.from_batches([batch]) for batch in self._noted(np.flatnonzero(known))), "")
        return np.flatnonzero(~known)

    def end(self, new: Indices) -> None:
        """Note that every list covers the new pictures."""
        self._notes.append(self._noted(new))

    def _noted(self, indices: Indices) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(indices), 1 << 20):
            column = digest_arrays.column(self._present[indices[start : start + (1 << 20)]])
            yield pa.RecordBatch.from_arrays([column], schema=self._notes.schema)

    def forget_others(self, generations: Sequence[str]) -> None:
        """Delete the lists of all but these generations."""
        present = set(generations)
        stored = (name for batch in self._lists.scan([self._key]) for name in batch.column(0).to_pylist())
        for names in batched([name for name in stored if name not in present], _DELETED):
            self._lists.delete(is_in(self._key, names))

    def read(self, recipes: Mapping[str, str]) -> dict[str, Lists]:
        """Return the lists with these recipes, by generation, without removed pictures.

        Args:
            recipes: Recipes by generation id, ascending.
        """
        lists: dict[str, Lists] = {}
        for batch in self._lists.scan(self._lists.schema.names, batch_filter(list(recipes), self._key)):
            for row in batch.to_pylist():
                if recipes.get(row[self._key]) == row["recipe"]:
                    by_embedding = self._list(row["pictures"], row["scores"], row["views"], _floor(row, "floor"))
                    hashed = row.get("hashed_scores", [])  # a kind of list that is not searched by hash has none
                    by_hash = self._list(row.get("hashed", b""), hashed, [0] * len(hashed), _floor(row, "hashed_floor"))
                    lists[row[self._key]] = by_embedding, by_hash
        return lists

    def _list(self, pictures: bytes, scores: list[float], views: list[int], floor: Floor | None) -> NeighbourList:
        digests = np.frombuffer(pictures, np.uint8).reshape(-1, digest_arrays.BYTES)
        index, kept = self._lookup.find(digests)
        return NeighbourList(index[kept], np.array(scores, np.float32)[kept], np.array(views, np.int64)[kept], floor)

    def write(self, lists: Mapping[str, Lists], recipes: Mapping[str, str]) -> None:
        """Write lists in one commit, replacing those of the same generations.

        Args:
            lists: Lists by generation id.
            recipes: Their recipes by generation id.
        """
        rows = []
        for name, (by_embedding, by_hash) in lists.items():
            rows.append(
                {
                    self._key: name,
                    "recipe": recipes[name],
                    "pictures": self._present[by_embedding.index].tobytes(),
                    "scores": by_embedding.score,
                    "views": by_embedding.view.astype(np.int32),
                    **_row("floor", by_embedding.floor),
                    "hashed": self._present[by_hash.index].tobytes(),
                    "hashed_scores": by_hash.score,
                    **_row("hashed_floor", by_hash.floor),
                }
            )
        self._lists.upsert(pa.Table.from_pylist(rows, self._lists.schema))


def batch_filter(names: Sequence[str], key: str = COPIES.key) -> str:
    """Return a filter for the generations from the first to the last of an ascending batch.

    Args:
        names: Their ids.
        key: The column that holds them.
    """
    return between(key, names[0], names[-1])


def _floor(row: Mapping, name: str) -> Floor | None:
    score, digest = row.get(f"{name}_score"), row.get(f"{name}_picture")
    return None if score is None or digest is None else Floor(score, digest)


def _row(name: str, floor: neighbour_lists.Floor | None) -> dict[str, object]:
    return {
        f"{name}_score": None if floor is None else floor.score,
        f"{name}_picture": None if floor is None else floor.digest,
    }
