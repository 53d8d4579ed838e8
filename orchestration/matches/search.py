"""Searching the training pictures with the generations, only what is new on either side, in bounded memory.

What belongs here: reading both sides, and updating the kept lists. What does not: storing lists
(`matches/neighbour_lists.py`), the search itself (`transforms/matches/search.py`), the candidates
(`matches/candidates.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.facts import Facts
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.picture_index import PictureIndex, read_index
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.matches.neighbour_lists import COPIES, KeptLists, Lists, ListTables, batch_filter
from orchestration.progress import track
from orchestration.settings import Settings
from transforms.encoders import EncoderId
from transforms.fingerprints.distinct_pictures import Indices
from transforms.fingerprints.fingerprint import OK
from transforms.fingerprints.picture_set import Pictures
from transforms.fingerprints.views import View
from transforms.hashing.hashes import from_hex
from transforms.matches import candidates, neighbour_lists
from transforms.matches.candidates import CandidateThresholds, Query
from transforms.matches.neighbour_lists import FIRST, MOST, Floor, NeighbourList, extend, last, next_size, size
from transforms.matches.search import best_over_views

CODE = 1  # raise when the same fingerprints would give other lists
_NUMBER = 4  # bytes of a number of a vector
_LIST = 24 * neighbour_lists.MOST  # bytes of a list at most


@dataclass(frozen=True)
class GenerationSearch:
    """The training pictures that generations are searched against, and the rules.

    Attributes:
        facts: The fact tables.
        pictures: The training pictures.
        encoder: Identity of the encoder of all vectors. None: hashes alone are searched.
        views: The parts of a generation that are searched with.
        cut: The limits of the search.
        pdq_quality: Quality from which a hash is compared.
        memory: Bytes that a join may hold.
        tables: The kind of list that is kept.
    """

    facts: Facts
    pictures: PictureIndex
    encoder: EncoderId | None
    views: Sequence[View]
    cut: CandidateThresholds
    pdq_quality: int
    memory: int
    tables: ListTables = field(default=COPIES, kw_only=True)

    @property
    def dimension(self) -> int:
        """The length of a vector; 0 if there are none."""
        return self.encoder.dimension if self.encoder else 0

    def recipes(self, generations: pa.Table) -> dict[str, str]:
        """Return the recipes of the lists of some generations."""
        rules = (CODE, str(self.encoder), self.cut.pdq, self.pdq_quality)
        made_by = zip(generations["generation_id"].to_pylist(), generations["recipe"].to_pylist(), strict=True)
        return {name: recipe("neighbour lists", *rules, made) for name, made in made_by}

    def view_vectors(self, names: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the views of generations, given in ascending order: float32 (generations, views, d)."""
        place = {name: i for i, name in enumerate(names)}
        order = {view.name: i for i, view in enumerate(self.views)}
        vectors = np.zeros((len(names), len(order), self.dimension), np.float32)
        if self.encoder is None:
            return vectors
        stored_vectors, key = self.facts[self.tables.vectors], self.tables.key
        for batch in stored_vectors.scan([key, "view", "vector"], batch_filter(names, key)):
            stored = batch.column("vector").flatten().to_numpy().reshape(len(batch), -1)
            ids, views = batch[key].to_pylist(), batch["view"].to_pylist()
            for name, view, vector in zip(ids, views, stored, strict=True):
                if name in place and view in order:
                    vectors[place[name], order[view]] = vector
        return vectors


def candidate_thresholds(settings: Settings) -> CandidateThresholds:
    """Return the limits of the search."""
    return CandidateThresholds(settings.thresholds.pdq, settings.thresholds.candidate, settings.limits.neighbours)


def read_search(
    facts: Facts, encoder: EncoderId | None, views: Sequence[View], settings: Settings, generations: int
) -> GenerationSearch:
    """Read the training pictures to search.

    Args:
        facts: The fact tables.
        encoder: Of all vectors. None: hashes alone are searched.
        views: The parts of a generation that are searched with.
        settings: All of them.
        generations: How many are to be searched. Without any, no picture is read.

    Raises:
        EncoderMismatch: If a shard was embedded by another encoder.
        dg.Failure: If a picture has no embedding.
    """
    memory = settings.memory
    held = memory.pictures
    rows = usable_pictures(facts, held) if generations else Pictures((), 0, facts.folder, held)
    return GenerationSearch(
        facts,
        read_index(facts, encoder, rows),
        encoder,
        views,
        candidate_thresholds(settings),
        settings.thresholds.pdq_quality,
        memory.joins,
    )


@dataclass(frozen=True)
class SearchCounts:
    """Counts of a run: generations searched against all pictures, and pictures against all generations."""

    generations: int = 0
    pictures: int = 0


def readable_generations(facts: Facts, encoder: EncoderId | None) -> pa.Table:
    """Read the generations that could be decoded, in the order of their ids.

    Args:
        facts: The fact tables.
        encoder: The encoder that their vectors must be of, if there is one.

    Raises:
        EncoderMismatch: If some vectors are of another encoder.
    """
    columns = ["generation_id", "sha256", "pixel_sha256", "status", "dihedral_pdq", "recipe", "encoder", "path"]
    table = facts["generation_fingerprints"].read(columns, "status <> 'failed'")
    if encoder:
        for other in table["encoder"].unique().to_pylist():
            encoder.require(other)
    return table.sort_by("generation_id")


def queries(generations: pa.Table) -> list[Query]:
    """Return generations as queries."""
    return [
        Query(
            row["generation_id"],
            row["sha256"],
            row["pixel_sha256"],
            row["status"] == OK,
            from_hex(row["dihedral_pdq"]),
        )
        for row in generations.to_pylist()
    ]


def update_lists(search: GenerationSearch, generations: pa.Table) -> SearchCounts:
    """Update the lists of all generations with the training pictures.

    Args:
        search: The pictures to search.
        generations: All readable generations.
    """
    lists = KeptLists(search.facts, search.pictures.digests, search.tables)
    lists.forget_others(generations["generation_id"].to_pylist())
    new = lists.begin()
    count = 0
    task = f"searching {search.tables.asked}"
    for batch in track(_batches(search, generations), task, len(generations), len):
        count += _update(search, lists, batch, new)
    lists.end(new)
    return SearchCounts(count, len(new))


def _batches(search: GenerationSearch, generations: pa.Table) -> Iterator[pa.Table]:
    """Yield generations in batches whose views and lists fit into a quarter of the memory."""
    held = len(search.views) * search.dimension * _NUMBER + _LIST
    size = max(1, search.memory // 4 // held)
    for start in range(0, len(generations), size):
        yield generations.slice(start, size)


def _update(search: GenerationSearch, kept: KeptLists, batch: pa.Table, new: Indices) -> int:
    """Update the lists of a batch, and return the count of searches of all pictures.

    A generation with a sufficient list is searched against the new pictures only. Any other is searched against all
    pictures, for a longer list each time.
    """
    recipes, by_name = search.recipes(batch), {query.generation_id: query for query in queries(batch)}
    lists = kept.read(recipes)
    changed = _extend_lists(search, lists, by_name, new) if lists and len(new) else {}
    lists |= changed
    anew, count = search_all(search, by_name, lists)
    kept.write(changed | anew, recipes)
    return count


def search_all(
    search: GenerationSearch, by_name: Mapping[str, Query], known: Mapping[str, Lists]
) -> tuple[dict[str, Lists], int]:
    """Search all training pictures, for longer lists each time until they suffice.

    Args:
        search: The pictures to search.
        by_name: What to search with.
        known: The lists so far.

    Returns:
        The lists that changed, and the count of searches.
    """
    lists, anew, count = dict(known), dict[str, Lists](), 0
    while due := [name for name in by_name if name not in lists or not _suffices(search, *lists[name])]:
        most = max(next_size(lists[name][0]) if name in lists else FIRST for name in due)
        found = _neighbours(search, [by_name[name] for name in due], np.arange(len(search.pictures)), most)
        lists |= found
        anew |= found
        count += len(due)
    return anew, count


def _suffices(search: GenerationSearch, by_embedding: NeighbourList, by_hash: NeighbourList) -> bool:
    enough = neighbour_lists.suffices(by_embedding, search.pictures.head, search.cut.demand)
    return enough and (by_hash.floor is None or len(by_hash) >= MOST)


def _extend_lists(
    search: GenerationSearch, lists: Mapping[str, Lists], by_name: Mapping[str, Query], new: Indices
) -> dict[str, Lists]:
    """Search the new pictures with the generations that have lists. Return the lists that this changes."""
    asked = [query for name, query in by_name.items() if name in lists]
    floors = [lists[query.generation_id][0].floor for query in asked]
    sizes = {name: size(by_embedding) for name, (by_embedding, _) in lists.items()}
    digests, changed = search.pictures.digests, {}
    for name, more in _neighbours(search, asked, new, max(sizes.values()), floors).items():
        before = lists[name]
        after = (
            extend(before[0], more[0], digests, sizes[name]),
            extend(before[1], more[1], digests, MOST),
        )
        if any(old.index.tolist() != now.index.tolist() for old, now in zip(before, after, strict=True)):
            changed[name] = after
    return changed


def _neighbours(
    search: GenerationSearch,
    asked: Sequence[Query],
    indices: Indices,
    most: int,
    floors: Sequence[Floor | None] | None = None,
) -> dict[str, Lists]:
    """Search some pictures, ascending, and keep at most `most` of them by embedding."""
    pictures, names = search.pictures, [query.generation_id for query in asked]
    by_hash = [neighbour_lists.NONE] * len(asked)
    if search.tables.hashed:
        by_hash = candidates.hash_neighbours(asked, indices, pictures, search.cut.pdq, search.memory)
    if search.encoder is None:
        return {name: (neighbour_lists.NONE, near) for name, near in zip(names, by_hash, strict=True)}
    vectors, owner = pictures.in_stored_order(indices)
    least = np.array([-np.inf if floor is None else floor.score for floor in floors or [None] * len(names)])
    block = max(1, search.memory // 8 // (_NUMBER * vectors.dimension))
    hits = best_over_views(
        search.view_vectors(names), vectors, most, order=owner, floor=least.astype(np.float32), block=block
    )
    by_embedding = [NeighbourList(owner[each.position], each.score, each.view) for each in hits]
    if len(indices) > most:  # a full list ends before the last picture
        by_embedding = [
            replace(each, floor=last(each, pictures.digests)) if len(each) == most else each for each in by_embedding
        ]
    return dict(zip(names, zip(by_embedding, by_hash, strict=True), strict=True))
