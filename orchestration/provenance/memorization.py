"""Generations and their sources, measured as in the memorization literature, once for each pair.

What belongs here: confirmed pairs with the pictures nearest to each, reading pictures, and counting the training rows
near a source. What does not: the formulas (`transforms/provenance/memorization.py`), scoring how unusual a source is
(`provenance/outliers.py`), thresholds and verdicts (`sql/provenance/`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import batched

import numpy as np
import pyarrow as pa

from orchestration.facts import Facts, FactTable
from orchestration.facts.filters import equals, is_in
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import DumpGone, TrainingPictures
from orchestration.fingerprints.picture_index import PictureIndex
from orchestration.progress import track
from orchestration.settings.sections import Memorization
from transforms import pictures
from transforms.fingerprints.distinct_pictures import Indices
from transforms.fingerprints.fingerprint import LOW_QUALITY
from transforms.fingerprints.views import VIEWS
from transforms.generations import addresses
from transforms.matches.search import best_over_views
from transforms.pictures import Pixels
from transforms.provenance import memorization

CODE = 1  # raise when the same pictures would measure otherwise
CONFIRMED = "confirmed or same_bytes or same_pixels"
_COLUMNS = ("generation_id", "sample_id", "x", "y", "width", "height")
_GENERATIONS = 256  # whose neighbours, 150 kB each at 32 × 32, are held at once
_BLOCK = 8_192  # training pictures searched at once
_CACHED = 16  # pictures at 512 × 512
_COMMIT = 200  # sources
_DELETED = 200  # keys in a filter


@dataclass(frozen=True)
class MemorizedPair:
    """A generation and a source that pixels confirm.

    Attributes:
        generation: Row of `generation_fingerprints`.
        sample_id: The training row.
        source: Index of its picture.
        box: The part of the generation in which the two agree.
        near: Indices of the pictures nearest to the generation by embedding.
        made_by: The recipe of the pair's row.
    """

    generation: dict
    sample_id: int
    source: int
    box: tuple[float, float, float, float]
    near: Indices
    made_by: str

    @property
    def key(self) -> tuple[str, int]:
        """The generation and the training row."""
        return self.generation["generation_id"], self.sample_id


def confirmed_pairs(facts: Facts) -> list[dict]:
    """Read the confirmed pairs of a generation and a training row, and where they agree.

    Flat generations are left out: a black picture that equals a black picture says nothing of either.
    """
    pairs = facts["match_evidence"].read(_COLUMNS, CONFIRMED).to_pylist()
    flat = facts["generation_fingerprints"].read(["generation_id"], equals("status", LOW_QUALITY))
    left_out = set(flat["generation_id"].to_pylist())
    return [pair for pair in pairs if pair["generation_id"] not in left_out]


def _pairs(facts: Facts, index: PictureIndex, cut: Memorization, rows: Sequence[dict]) -> Iterator[list[MemorizedPair]]:
    """Yield the pairs of some generations at a time, with the pictures nearest to each."""
    by_generation: dict[str, list[dict]] = {}
    for row in rows:
        by_generation.setdefault(row["generation_id"], []).append(row)
    for names in batched(sorted(by_generation), _GENERATIONS):
        columns = ["generation_id", "path", "pixel_sha256"]
        generations = facts["generation_fingerprints"].read(columns, is_in("generation_id", names)).to_pylist()
        nearest = _nearest(facts, index, names, cut.neighbours)
        pairs = []
        for generation in generations:
            near = nearest[generation["generation_id"]]
            around = recipe("nearest pictures", index.digests[near].tobytes().hex(), cut.neighbours, cut.alpha)
            for row in by_generation[generation["generation_id"]]:
                source, box = index.index(row["sample_id"]), tuple(row[side] for side in ("x", "y", "width", "height"))
                made_by = recipe(
                    "memorized pair", CODE, generation["pixel_sha256"], index.hex_digest(source), box, around
                )
                pairs.append(MemorizedPair(generation, row["sample_id"], source, box, near, made_by))
        yield pairs


def _nearest(facts: Facts, index: PictureIndex, names: Sequence[str], k: int) -> dict[str, Indices]:
    """Return the k pictures nearest to each generation as a whole, in the order of their sample ids."""
    where = f"{equals('view', VIEWS[0].name)} and {is_in('generation_id', names)}"
    rows = facts["generation_embeddings"].read(["generation_id", "vector"], where)
    nearest = dict.fromkeys(names, np.empty(0, np.int64))
    if rows.num_rows:
        vectors = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False, writable=True)
        views = vectors.reshape(rows.num_rows, 1, -1)
        best = best_over_views(views, index.vectors, k, order=index.index_of_vector, block=_BLOCK)
        for name, found in zip(rows["generation_id"].to_pylist(), best, strict=True):
            near = index.index_of_vector[found.position]
            nearest[name] = near[np.argsort(index.ids[near])]
    return nearest


class MemorizationMeasures:
    """Measures pairs and sources. If a picture cannot be read, the row states it, and the next run tries again.

    Each training picture is scaled to 32 × 32 once in the life of a warehouse.

    Attributes:
        waiting: Rows that lack a picture whose image dump is gone. They are measured once it is back.
    """

    def __init__(self, small: FactTable, index: PictureIndex, load: TrainingPictures, cut: Memorization) -> None:
        """Prepare to measure.

        Args:
            small: The table of training pictures at 32 × 32.
            index: The training pictures.
            load: Reads the pixels of a training row.
            cut: `[memorization]`.
        """
        self.waiting = 0
        self._small_pictures, self._index, self._load, self._cut = small, index, load, cut
        self._training = lru_cache(_CACHED)(self._read_training)
        self._generation = lru_cache(1)(self._read_generation)

    def _read_training(self, index: int) -> Pixels:
        return memorization.resize(self._load(int(self._index.ids[index])), memorization.SIDE)

    def _read_generation(self, path: str) -> tuple[Pixels, Pixels]:
        pixels = pictures.decode(addresses.read(path), self._load.bounds)
        return memorization.resize(pixels, memorization.SIDE), memorization.resize(pixels, memorization.SMALL)

    def pairs(self, pairs: Sequence[MemorizedPair]) -> Iterator[dict]:
        """Yield the row of each pair."""
        small, failures = self._small(np.unique(np.concatenate([[pair.source, *pair.near] for pair in pairs])))
        for pair in pairs:
            row = dict(zip(("generation_id", "sample_id"), pair.key, strict=True))
            unread = next((failures[i] for i in (pair.source, *pair.near.tolist()) if i in failures), None)
            try:
                if unread:
                    raise unread
                yield row | self._distances(pair, small) | {"recipe": pair.made_by}
            except (OSError, ValueError) as error:
                self.waiting += isinstance(error, DumpGone)
                yield row | {"recipe": "", "failure": str(error)}

    def _distances(self, pair: MemorizedPair, small: dict[int, Pixels]) -> dict[str, object]:
        generation, small_generation = self._generation(pair.generation["path"])
        source = self._training(pair.source)
        mask = memorization.box_mask(*pair.box)
        near = np.array([small[i] for i in pair.near.tolist()])
        return {
            "l2": memorization.l2(generation, source),
            "tile_l2": memorization.tile_l2(generation, source),
            "template_mse": memorization.template_mse(source, generation, mask),
            "template_share": float(mask.mean()),
            "small_image_ratio": memorization.small_image_ratio(
                small_generation, small[pair.source], near, self._cut.alpha
            ),
            "neighbours": len(near),
        }

    def _small(self, indices: Indices) -> tuple[dict[int, Pixels], dict[int, OSError | ValueError]]:
        """Return training pictures at 32 × 32, and why some cannot be read. Stores new ones."""
        table = self._small_pictures
        by_digest = {self._index.hex_digest(i): i for i in indices.tolist()}
        small: dict[int, Pixels] = {}
        for digests in batched(by_digest, 2_000):
            for row in table.read(where=is_in("pixel_sha256", digests)).to_pylist():
                shape = (memorization.SMALL, memorization.SMALL, 3)
                small[by_digest[row["pixel_sha256"]]] = np.frombuffer(row["pixels"], np.uint8).reshape(shape)
        new, failures = [], dict[int, OSError | ValueError]()
        for digest, index in by_digest.items():
            if index in small:
                continue
            sample_id = int(self._index.ids[index])
            try:
                small[index] = memorization.resize(self._load(sample_id), memorization.SMALL)
            except (OSError, ValueError) as error:
                failures[index] = _of_row(sample_id, error)
                continue
            new.append({"pixel_sha256": digest, "pixels": small[index].tobytes()})
        table.upsert(pa.Table.from_pylist(new, table.schema))
        return small, failures

    def eidetic_count(self, sample_id: int) -> dict:
        """Return the row of a source: the count of near rows of its cluster, the most repeated pictures first."""
        source = self._index.index(sample_id)
        cluster = self._index.cluster(source)
        others = cluster[cluster != source][: self._cut.eidetic_pictures]
        rows, compared = int(self._index.row_counts[source]), 1
        errors: list[OSError | ValueError] = []
        try:
            own = [memorization.tiles(self._training(source))] if len(others) else []
        except (OSError, ValueError) as error:
            others = others[:0]
            errors.append(error)
        for other in others.tolist():
            try:
                apart = memorization.tile_distances([*own, memorization.tiles(self._training(other))])[0, 1]
            except (OSError, ValueError) as error:
                errors.append(_of_row(int(self._index.ids[other]), error))
                continue
            compared += 1
            rows += int(self._index.row_counts[other]) if apart <= self._cut.delta else 0
        failure = str(errors[-1]) if errors else None
        self.waiting += bool(errors) and all(isinstance(error, DumpGone) for error in errors)
        return {
            "sample_id": sample_id,
            "recipe": "" if failure else self.eidetic_recipe(sample_id),
            "rows": rows,
            "pictures": len(cluster),
            "compared": compared,
            "failure": failure,
        }

    def eidetic_recipe(self, sample_id: int) -> str:
        """Return the recipe of a source's row."""
        cut, source = self._cut, self._index.index(sample_id)
        cluster = self._index.cluster(source)
        digests = self._index.digests[np.append(cluster, source)].tobytes().hex()
        return recipe(
            "eidetic count", CODE, cut.delta, cut.eidetic_pictures, digests, self._index.row_counts[cluster].tolist()
        )


def _of_row(sample_id: int, error: OSError | ValueError) -> OSError | ValueError:
    told = f"training row {sample_id}: {error}"
    return DumpGone(told) if isinstance(error, DumpGone) else ValueError(told)


def measure_pairs(
    facts: Facts,
    index: PictureIndex,
    measures: MemorizationMeasures,
    cut: Memorization,
    rows: Sequence[dict],
    stored: Mapping[tuple, str],
) -> tuple[int, int]:
    """Measure new and changed pairs. Return the count of pairs, and of those that could not be measured.

    Args:
        facts: The fact tables.
        index: The training pictures.
        measures: Measures pairs.
        cut: `[memorization]`.
        rows: The confirmed pairs.
        stored: The recipes of measured pairs.
    """
    table = facts["memorized_pairs"]
    measured = failed = 0
    for pairs in track(_pairs(facts, index, cut, rows), "measuring memorization", len(rows), len):
        due = [pair for pair in pairs if stored.get(pair.key) != pair.made_by]
        if due:
            done = list(measures.pairs(due))
            table.upsert(pa.Table.from_pylist(done, table.schema))
            measured, failed = measured + len(due), failed + sum("failure" in row for row in done)
    return measured, failed


def count_eidetic(
    table: FactTable, measures: MemorizationMeasures, sources: Sequence[int], stored: Mapping[tuple, str]
) -> int:
    """Count the rows near each new or changed source. Return the count of sources with pictures that cannot be read.

    Args:
        table: The table of counts.
        measures: Measures sources.
        sources: Sample ids.
        stored: The recipes of counted sources.
    """
    due = [source for source in sources if stored.get((source,)) != measures.eidetic_recipe(source)]
    failed = 0
    for some in batched(map(measures.eidetic_count, due), _COMMIT):
        table.upsert(pa.Table.from_pylist(list(some), table.schema))
        failed += sum(row["failure"] is not None for row in some)
    return failed


def keep_only(table: FactTable, keys: Iterable[tuple]) -> dict[tuple, str]:
    """Delete the rows with other keys, and return the recipes of the remaining rows by key.

    Args:
        table: A table with a column `recipe`.
        keys: The keys to keep.
    """
    kept = set(keys)
    rows = table.read([*table.keys, "recipe"]).to_pylist()
    stored = {tuple(row[name] for name in table.keys): row["recipe"] for row in rows}
    for gone in batched(sorted(stored.keys() - kept), _DELETED):
        table.delete(" or ".join(f"({_is(table, key)})" for key in gone))
    return {key: made_by for key, made_by in stored.items() if key in kept}


def _is(table: FactTable, key: tuple) -> str:
    return " and ".join(equals(name, value) for name, value in zip(table.keys, key, strict=True))
