"""What the generations were searched against, and what was found, kept as facts: new meets old once.

What belongs here: which training pictures every list knows of, lists by generation, the order of commits. What does
not: searching (`matches/search.py`), what a list promises (`transforms/matches/neighbour_lists.py`).

Every list holds, up to its floor, all noted pictures. A picture that is gone is taken out of the notes before anything
else is written, a new one is noted when every list has met it. So a run that is killed in between leaves lists that
know more than the notes say, never less; what they met is met again, and is in a list once.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import batched

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.facts import Facts, literal
from transforms.hashing import digest_arrays
from transforms.hashing.digest_arrays import Lookup, Rows
from transforms.matches import neighbour_lists
from transforms.matches.neighbour_lists import Floor, Near

type Lists = tuple[Near, Near]
"""Of one generation: by embedding, and by PDQ."""
_FORGOTTEN = 500  # generations at once


class Searched:
    """The lists of a warehouse. present: uint8 (n, 32), ascending: the training pictures that are there, by number."""

    def __init__(self, facts: Facts, present: Rows) -> None:
        self._notes, self._lists = facts["searched_pictures"], facts["neighbour_lists"]
        self._present, self._lookup = present, Lookup(present)

    def begin(self) -> npt.NDArray[np.int64]:
        """Take pictures that are gone out of the notes. Returns the numbers of those that are new, ascending."""
        known = np.zeros(len(self._present), np.bool_)
        gone = False
        for batch in self._notes.scan(["pixel_sha256"]):
            number, there = self._lookup.find(digest_arrays.rows(batch.column(0)))
            known[number[there]] = True
            gone |= not there.all()
        if gone:
            self._notes.replace((pa.Table.from_batches([batch]) for batch in self._noted(np.flatnonzero(known))), "")
        return np.flatnonzero(~known)

    def end(self, new: npt.NDArray[np.int64]) -> None:
        """Note that every list has met the new pictures."""
        self._notes.append(self._noted(new))

    def _noted(self, numbers: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(numbers), 1 << 20):
            column = digest_arrays.column(self._present[numbers[start : start + (1 << 20)]])
            yield pa.RecordBatch.from_arrays([column], schema=self._notes.schema)

    def forget_others(self, generations: Sequence[str]) -> None:
        """Drop the lists of generations that are not there any more."""
        there = set(generations)
        kept = (name for batch in self._lists.scan(["generation_id"]) for name in batch.column(0).to_pylist())
        for names in batched([name for name in kept if name not in there], _FORGOTTEN):
            self._lists.delete(f"generation_id in ({', '.join(map(literal, names))})")

    def read(self, recipes: Mapping[str, str]) -> dict[str, Lists]:
        """Return the lists of these generations that were made by the recipe of each, without pictures that are gone.

        recipes: by generation id, in their order: a batch reads its own stretch.
        """
        found: dict[str, Lists] = {}
        for batch in self._lists.scan(self._lists.schema.names, stretch(list(recipes))):
            for row in batch.to_pylist():
                if recipes.get(row["generation_id"]) == row["recipe"]:
                    near = self._near(row["pictures"], row["scores"], row["views"], _floor(row, "floor"))
                    views = [0] * len(row["hashed_scores"])
                    alike = self._near(row["hashed"], row["hashed_scores"], views, _floor(row, "hashed_floor"))
                    found[row["generation_id"]] = near, alike
        return found

    def _near(self, pictures: bytes, scores: list[float], views: list[int], floor: Floor | None) -> Near:
        wanted = np.frombuffer(pictures, np.uint8).reshape(-1, digest_arrays.BYTES)
        number, there = self._lookup.find(wanted)
        return Near(number[there], np.array(scores, np.float32)[there], np.array(views, np.int64)[there], floor)

    def write(self, lists: Mapping[str, Lists], recipes: Mapping[str, str]) -> None:
        """Write lists, replacing those of the same generations, in one commit."""
        rows = []
        for name, (near, alike) in lists.items():
            rows.append(
                {
                    "generation_id": name,
                    "recipe": recipes[name],
                    "pictures": self._present[near.number].tobytes(),
                    "scores": near.score,
                    "views": near.view.astype(np.int32),
                    **_row("floor", near.floor),
                    "hashed": self._present[alike.number].tobytes(),
                    "hashed_scores": alike.score,
                    **_row("hashed_floor", alike.floor),
                }
            )
        self._lists.upsert(pa.Table.from_pylist(rows, self._lists.schema))


def stretch(names: Sequence[str]) -> str:
    """Return a Lance filter for the generations from the first to the last of an ascending batch."""
    return f"generation_id between {literal(names[0])} and {literal(names[-1])}"


def _floor(row: Mapping, name: str) -> Floor | None:
    score, digest = row[f"{name}_score"], row[f"{name}_picture"]
    return None if digest is None else Floor(score, digest)


def _row(name: str, floor: neighbour_lists.Floor | None) -> dict[str, object]:
    return {
        f"{name}_score": None if floor is None else floor.score,
        f"{name}_picture": None if floor is None else floor.digest,
    }
