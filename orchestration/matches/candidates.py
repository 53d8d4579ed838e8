"""From lists of neighbours to candidates and evidence: who is compared by pixels, each pair of pictures once.

What belongs here: gathering a generation's candidates from all facts, and remembering comparisons. What does not:
searching (`matches/search.py`), what is compared and how (`transforms/matches/candidates.py`, `alignment/align.py`),
the tables of matches (`defs/matches.py`).
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from itertools import batched
from typing import Any

import numpy as np
import pyarrow as pa

from orchestration.facts import literal
from orchestration.facts.recipes import recipe
from orchestration.matches.kept_lists import stretch
from orchestration.matches.search import Pool, Search, queries_of, view_vectors
from orchestration.progress import track
from orchestration.runtime.resources import Warehouse
from transforms import pictures
from transforms.alignment.comparer import Comparer
from transforms.alignment.policy import Alignment
from transforms.fingerprints.views import WHOLE
from transforms.hashing.digest_arrays import Lookup
from transforms.hashing.hashes import from_hex
from transforms.matches import candidates as matching
from transforms.matches import search
from transforms.matches.candidates import Candidate, Cut, Equals, Measured, Query
from transforms.pictures import Pixels
from transforms.regions import Box

CODE = 4  # raise when two pictures would be laid over each other, or confirmed, otherwise
_AT_ONCE = 512  # generations
_COMMIT = 200  # comparisons, some seconds of work

type _Pair = tuple[str, str]  # generation and training picture, by the SHA-256 of their pixels
type _Outcome = tuple[str | None, str | None]  # the alignment as JSON, the failure


class Matches:
    """The matches of all generations, batch by batch, from what is in the facts.

    made, failed: comparisons by pixels that were made now, and of these, those in which a picture could not be read.
    changed: whether any of them gave something that was not known.
    """

    def __init__(self, warehouse: Warehouse, pool: Pool, found: Search, cut: Cut) -> None:
        self._warehouse, self._pool, self._search, self._cut = warehouse, pool, found, cut
        self._table = warehouse.facts["match_comparisons"]
        limits = warehouse.pixel_limits
        self._recipe = recipe("match comparisons", CODE, limits, [field.name for field in fields(Alignment)])
        self._equals = _equals(warehouse, pool, found.readable)
        names, paths = (found.readable[name].to_pylist() for name in ("generation_id", "path"))
        self._paths = dict(zip(names, paths, strict=True))
        self._comparer = Comparer[str | int](self._load, limits)
        self.made = self.failed = 0
        self.changed = False

    def _load(self, name: str | int) -> Pixels:
        if isinstance(name, int):
            return self._warehouse.training_picture(int(self._pool.training.ids[name]))
        with open(self._paths[name], "rb") as file:  # noqa: PTH123 -- a plain read
            return pictures.decode(file.read(), self._warehouse.rules.max_pixels)

    def compare(self) -> None:
        """Lay pictures over each other that were not compared yet, or could not be read then."""
        self._table.delete(f"recipe <> '{self._recipe}'")
        tried: set[_Pair] = set()  # and failed
        new: dict[_Pair, _Outcome] = {}
        for query, numbers, known in track(self._asked(), "matching generations", len(self._search.readable)):
            for number in numbers:
                pair = self._pair(query, number)
                before = known.get(pair)
                if pair in tried or (before is not None and before[1] is None):
                    continue
                outcome = known[pair] = self._outcome(query, number)
                if outcome[1] is not None:
                    tried.add(pair)
                new |= {pair: outcome} if outcome != before else {}
            if len(new) >= _COMMIT:
                self._commit(new)
        self._commit(new)
        failed = self._table.read(self._table.keys, "failure is not null").to_pydict().values()
        for a, b in set(zip(*failed, strict=True)) - tried:  # nobody asks for it any more
            self._table.delete(f"generation_pixels = '{a}' and training_pixels = '{b}'")

    def _asked(self) -> Iterator[tuple[Query, list[int], dict[_Pair, _Outcome]]]:
        """Yield every generation with what it is compared with, and what is known, which the next ones know too."""
        for some in batched(self._gathered(), _AT_ONCE):
            known = self._known([query for query, _ in some])
            for query, found in some:
                yield query, matching.compared(found, self._pool.training, self._cut), known

    def _outcome(self, query: Query, number: int) -> _Outcome:
        self.made += 1
        try:
            found = self._comparer(query.generation_id, number)
        except (OSError, ValueError) as error:
            self.failed += 1
            return None, str(error)
        return json.dumps(None if found is None else asdict(found)), None

    def _commit(self, new: dict[_Pair, _Outcome]) -> None:
        rows = [
            {"generation_pixels": a, "training_pixels": b, "recipe": self._recipe, "alignment": found, "failure": why}
            for (a, b), (found, why) in new.items()
        ]
        self._table.upsert(pa.Table.from_pylist(rows, self._table.schema))
        self.changed |= bool(new)
        new.clear()

    def _known(self, queries: Sequence[Query]) -> dict[_Pair, _Outcome]:
        known = {}
        for some in batched(sorted({query.pixel_sha256 for query in queries}), _AT_ONCE):
            where = f"generation_pixels in ({', '.join(map(literal, some))})"
            for row in self._table.read(where=where).to_pylist():
                known[row["generation_pixels"], row["training_pixels"]] = row["alignment"], row["failure"]
        return known

    def _pair(self, query: Query, number: int) -> _Pair:
        return query.pixel_sha256, self._pool.training.digests[number].tobytes().hex()

    def candidates(self) -> Iterator[list[Candidate]]:
        """Yield the candidates of every generation."""
        return (found for _, found in self._gathered())

    def evidence(self) -> Iterator[tuple[str, list[Measured]]]:
        """Yield every generation with its evidence, from the comparisons that were made."""
        for some in batched(self._gathered(), _AT_ONCE):
            known = self._known([query for query, _ in some])

            def compare(query: Query, number: int, known: dict[_Pair, _Outcome] = known) -> Alignment | None:
                found, failure = known[self._pair(query, number)]
                if failure is not None:
                    raise ValueError(failure)
                return _alignment(found)

            for (query, _), scored in zip(some, self._scored(some), strict=True):
                equals = self._equals.get(query.generation_id, Equals())
                yield (
                    query.generation_id,
                    list(matching.measure(query, equals, scored, self._pool.training, compare)),
                )

    def _scored(self, some: Sequence[tuple[Query, list[Candidate]]]) -> list[list[tuple[int, float, Box]]]:
        """Return for each generation the pictures to compare, with the cosine and the box of its best view."""
        chosen = [matching.compared(found, self._pool.training, self._cut) for _, found in some]
        flat = np.array([number for numbers in chosen for number in numbers], np.int64)
        owner = np.repeat(np.arange(len(chosen)), [len(numbers) for numbers in chosen])
        places, back = np.unique(self._pool.places[flat], return_inverse=True)
        views = view_vectors(self._warehouse, [query.generation_id for query, _ in some])
        score, view = search.scores(views, self._pool.rows.take(places)[back.ravel()], owner)
        boxes = [each.box for each in self._warehouse.views]
        rows = iter(zip(flat.tolist(), score.tolist(), (boxes[v] for v in view), strict=True))
        return [[next(rows) for _ in numbers] for numbers in chosen]

    def _gathered(self) -> Iterator[tuple[Query, list[Candidate]]]:
        views = self._warehouse.views
        for start in range(0, len(self._search.readable), _AT_ONCE):
            batch = self._search.readable.slice(start, _AT_ONCE)
            lists, prompted = self._search.searched.read(self._search.recipes(batch)), self._prompted(batch)
            for query in queries_of(batch):
                near, alike = lists[query.generation_id]
                equals = self._equals.get(query.generation_id, Equals())
                found = matching.candidates(query, equals, near, alike, self._pool.training, self._cut, views)
                yield query, found + prompted[query.generation_id]

    def _prompted(self, batch: pa.Table) -> dict[str, list[Candidate]]:
        where = stretch(batch["generation_id"].to_pylist())
        table = self._warehouse.facts["prompt_candidates"].read(where=where)
        rows = table.sort_by([(key, "ascending") for key in ("generation_id", "method", "sample_id")]).to_pylist()
        found: dict[str, list[Candidate]] = defaultdict(list)
        for row, number in zip(rows, self._pool.numbers([row["sample_id"] for row in rows]), strict=True):
            name = row["generation_id"]
            found[name].append(Candidate(name, number, row["sample_id"], row["method"], row["score"], WHOLE))
        return found


def _equals(warehouse: Warehouse, pool: Pool, readable: pa.Table) -> dict[str, Equals]:
    """Return the generations that a training picture equals, by the pictures."""
    names = readable["generation_id"].to_pylist()
    files, pixels = (from_hex(readable[name].to_pylist()) for name in ("sha256", "pixel_sha256"))
    different, whose = np.unique(files, axis=0, return_inverse=True)
    asked = Lookup(different)
    by_bytes: dict[int, set[int]] = defaultdict(set)
    for batch in warehouse.facts["image_fingerprints"].scan(["sample_id", "sha256"], "status <> 'failed'"):
        place, there = asked.find(from_hex(batch.column("sha256").to_pylist()))
        rows = np.searchsorted(pool.known.ids, batch.column("sample_id").to_numpy()[there])
        for each, number in zip(place[there].tolist(), pool.number_of[rows].tolist(), strict=True):
            by_bytes[each].add(number)
    number, there = Lookup(pool.training.digests).find(pixels)
    found = {}
    for name, file, own, same in zip(names, whose.ravel().tolist(), number.tolist(), there.tolist(), strict=True):
        equals = Equals(frozenset(by_bytes.get(file, ())), frozenset([own] if same else []))
        if equals != Equals():
            found[name] = equals
    return found


def _alignment(found: str | None) -> Alignment | None:
    values: dict[str, Any] | None = None if found is None else json.loads(found)
    return None if values is None else Alignment(**{name: _value(value) for name, value in values.items()})


def _value(value: Any) -> Any:  # noqa: ANN401 -- whatever JSON holds
    if isinstance(value, dict):
        return Box(**value)
    return tuple(value) if isinstance(value, list) else value
