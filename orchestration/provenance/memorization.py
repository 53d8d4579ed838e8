"""Generations and their sources, measured as in the memorization literature, once for each pair.

What belongs here: which pairs and sources are due, reading pictures, counting the training rows near a source, and
committing both. What does not: the formulas (`transforms/provenance/memorization.py`), scoring how unusual a source is
(`provenance/outliers.py`), thresholds and verdicts (`sql/provenance/`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import batched

import numpy as np
import pyarrow as pa

from orchestration.compute import engines
from orchestration.compute.ray_tasks import Lost
from orchestration.facts import Facts, FactTable
from orchestration.facts.filters import equals, is_in
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import PixelRecipes, StoredPicture, TrainingPictures, UnreadPicture
from orchestration.fingerprints.picture_index import PictureIndex, read_index
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.progress import track
from orchestration.settings.memory import MemoryParts
from orchestration.settings.sections import Compute, Memorization
from transforms import pictures
from transforms.encoders import EncoderId
from transforms.fingerprints.distinct_pictures import Indices
from transforms.fingerprints.fingerprint import LOW_QUALITY
from transforms.fingerprints.views import VIEWS
from transforms.generations import addresses
from transforms.matches.search import best_over_views
from transforms.pictures import Bounds, Pixels
from transforms.provenance import memorization

CODE = 1  # raise when the same pictures would measure otherwise
STATE_CODE = 2  # raise when the same facts would give other rows
TRAINING = ("image_fingerprints", "copy_embeddings", "cluster_members")
"""The facts of training pictures that are measured."""
_READ = ("generation_fingerprints", "generation_embeddings", "match_evidence")
CONFIRMED = "confirmed or same_bytes or same_pixels"
_COLUMNS = ("generation_id", "sample_id", "x", "y", "width", "height")
_GENERATIONS = 256  # whose neighbours, 150 kB each at 32 × 32, are held at once
_BLOCK = 8_192  # training pictures searched at once
_CACHED = 16  # pictures at 512 × 512
_COMMIT = 200  # sources
_TASK = 16  # pictures, or pairs, that are read and measured in one task
_SOURCES = 64  # pictures of clusters, likewise
_DELETED = 200  # keys in a filter


@dataclass(frozen=True)
class MemorizationCounts:
    """Counts of a run: what was measured, what could not be, and what waits for an image dump."""

    measured: int = 0
    failed: int = 0
    waiting: int = 0


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


def update(
    facts: Facts,
    encoder: EncoderId | None,
    load: TrainingPictures,
    cut: Memorization,
    memory: MemoryParts,
    compute: Compute,
) -> MemorizationCounts:
    """Measure new and changed pairs and sources, and forget those that are confirmed no more.

    Args:
        facts: The fact tables; `memorized_pairs`, `eidetic_counts` and `small_pictures` are written.
        encoder: Of all vectors, if there is one.
        load: Locates the pictures of training rows.
        cut: `[memorization]`.
        memory: What the training pictures may take.
        compute: Where pictures are read and measured.
    """
    table, counts = facts["memorized_pairs"], facts["eidetic_counts"]
    versions = [facts[name].version for name in (*_READ, *TRAINING)]
    recipes = PixelRecipes.of(facts, recipe("memorized", STATE_CODE, CODE, versions, cut.model_dump()))
    if recipes.hold((table, counts)):
        return MemorizationCounts()
    rows = confirmed_pairs(facts)
    sources = sorted({row["sample_id"] for row in rows})
    stored = keep_only(table, ((row["generation_id"], row["sample_id"]) for row in rows))
    counted = keep_only(counts, ((source,) for source in sources))
    found = MemorizationCounts()
    if rows:
        index = read_index(facts, encoder, usable_pictures(facts, memory.pictures))
        measures = MemorizationMeasures(facts["small_pictures"], index, load, cut, compute)
        measured, failed = measure_pairs(facts, index, measures, cut, rows, stored)
        failed += count_eidetic(counts, measures, sources, counted)
        found = MemorizationCounts(measured, failed - measures.waiting, measures.waiting)
    for each in (table, counts):
        each.forget_recipe() if found.failed else each.note_recipe(recipes.after(found.failed, found.waiting))
    return found


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


class ScaledPictures:
    """Reads pictures at the sizes of the measures, each once while in use. Elsewhere it begins with an empty cache."""

    def __init__(self, bounds: Bounds) -> None:
        """Prepare an empty cache. `bounds`: what a picture may have and need."""
        self._bounds = bounds
        self.source = lru_cache(_CACHED)(lambda stored: memorization.resize(stored.pixels(bounds), memorization.SIDE))
        self.generation = lru_cache(_CACHED)(self._read_generation)

    def __reduce__(self) -> "tuple[type[ScaledPictures], tuple[Bounds]]":
        """Leave out the cache."""
        return ScaledPictures, (self._bounds,)

    def _read_generation(self, path: str) -> tuple[Pixels, Pixels]:
        pixels = pictures.decode(addresses.read(path), self._bounds)
        return memorization.resize(pixels, memorization.SIDE), memorization.resize(pixels, memorization.SMALL)


@dataclass(frozen=True)
class PairPictures:
    """What a pair is measured on.

    Attributes:
        pair: The pair.
        source: The picture of its training row.
        small: The same at 32 × 32.
        near: The pictures nearest to the generation at 32 × 32, uint8 of shape (n, 32, 32, 3).
    """

    pair: MemorizedPair
    source: StoredPicture
    small: Pixels
    near: Pixels


def pair_distances(asked: PairPictures, scaled: ScaledPictures, alpha: float) -> dict[str, object] | UnreadPicture:
    """Measure a pair, in whatever process.

    Args:
        asked: The pair.
        scaled: Reads pictures.
        alpha: Factor of the mean distance in the small-image ratio.
    """
    try:
        generation, small_generation = scaled.generation(asked.pair.generation["path"])
        source = scaled.source(asked.source)
        mask = memorization.box_mask(*asked.pair.box)
        ratio = memorization.small_image_ratio(small_generation, asked.small, asked.near, alpha)
        return {
            "l2": memorization.l2(generation, source),
            "tile_l2": memorization.tile_l2(generation, source),
            "template_mse": memorization.template_mse(source, generation, mask),
            "template_share": float(mask.mean()),
            "small_image_ratio": ratio,
            "neighbours": len(asked.near),
        }
    except (OSError, ValueError) as error:
        return UnreadPicture.of(error)


def small_picture(stored: StoredPicture, bounds: Bounds) -> Pixels | UnreadPicture:
    """Return a training picture at 32 × 32, in whatever process.

    Args:
        stored: The picture.
        bounds: What it may have and need.
    """
    try:
        return memorization.resize(stored.pixels(bounds), memorization.SMALL)
    except (OSError, ValueError) as error:
        return UnreadPicture.of(error)


@dataclass(frozen=True)
class SourceCluster:
    """A source and the other pictures of its cluster to compare it with.

    Attributes:
        sample_id: The training row of the source.
        source: Its picture.
        rows: Training rows that show it.
        others: The sample id, the picture and the count of rows of each other.
    """

    sample_id: int
    source: StoredPicture
    rows: int
    others: tuple[tuple[int, StoredPicture, int], ...]


@dataclass(frozen=True)
class NearRows:
    """Training rows within delta of a source.

    Attributes:
        rows: Their count.
        compared: Pictures that were compared, the source included.
        unread: Why others were not.
    """

    rows: int
    compared: int
    unread: Sequence[UnreadPicture] = ()


def near_rows(cluster: SourceCluster, scaled: ScaledPictures, delta: float) -> NearRows:
    """Count the rows of a cluster near its source, in whatever process.

    Args:
        cluster: The source, and the pictures to compare it with.
        scaled: Reads pictures.
        delta: The distance up to which a picture is near.
    """
    rows, compared, unread = cluster.rows, 1, list[UnreadPicture]()
    try:
        own = [memorization.tiles(scaled.source(cluster.source))] if cluster.others else []
    except (OSError, ValueError) as error:
        return NearRows(rows, compared, [UnreadPicture.of(error)])
    for sample_id, stored, count in cluster.others:
        try:
            apart = memorization.tile_distances([*own, memorization.tiles(scaled.source(stored))])[0, 1]
        except (OSError, ValueError) as error:
            unread.append(_of_row(sample_id, UnreadPicture.of(error)))
            continue
        compared += 1
        rows += count if apart <= delta else 0
    return NearRows(rows, compared, unread)


def _of_row(sample_id: int, why: UnreadPicture) -> UnreadPicture:
    return replace(why, message=f"training row {sample_id}: {why.message}")


class MemorizationMeasures:
    """Measures pairs and sources. If a picture cannot be read, the row states it, and the next run tries again.

    Each training picture is scaled to 32 × 32 once in the life of a warehouse.

    Attributes:
        waiting: Rows that lack a picture whose image dump is gone. They are measured once it is back.
    """

    def __init__(
        self, small: FactTable, index: PictureIndex, load: TrainingPictures, cut: Memorization, compute: Compute
    ) -> None:
        """Prepare to measure.

        Args:
            small: The table of training pictures at 32 × 32.
            index: The training pictures.
            load: Locates the pictures of training rows.
            cut: `[memorization]`.
            compute: Where pictures are read and measured.
        """
        self.waiting = 0
        self._small_pictures, self._index, self._load, self._cut = small, index, load, cut
        self._compute, self._scaled = engines.by_core(compute), ScaledPictures(load.bounds)

    def pairs(self, pairs: Sequence[MemorizedPair]) -> Iterator[dict]:
        """Yield the row of each pair."""
        small, failures = self._small(np.unique(np.concatenate([[pair.source, *pair.near] for pair in pairs])))
        readable = []
        for pair in pairs:
            unread = next((failures[i] for i in (pair.source, *pair.near.tolist()) if i in failures), None)
            if unread is None:
                readable.append(pair)
            else:
                yield self._pair_row(pair, unread)
        sources = self._located(pair.source for pair in readable)
        asked = (
            PairPictures(pair, sources[pair.source], small[pair.source], np.array([small[i] for i in pair.near]))
            for pair in readable
        )
        shared = self._scaled, self._cut.alpha
        tasks = batched(asked, _TASK)
        for each, found in engines.each(pair_distances, tasks, self._compute, shared, engines.CORES):
            yield self._pair_row(each.pair, found)

    def _pair_row(self, pair: MemorizedPair, found: dict[str, object] | UnreadPicture | Lost) -> dict:
        row = dict(zip(("generation_id", "sample_id"), pair.key, strict=True))
        if isinstance(found, dict):
            return row | found | {"recipe": pair.made_by}
        self.waiting += isinstance(found, UnreadPicture) and found.gone
        return row | {"recipe": "", "failure": str(found) if isinstance(found, Lost) else found.message}

    def _located(self, indices: Iterable[int]) -> dict[int, StoredPicture]:
        ids = {index: int(self._index.ids[index]) for index in indices}
        located = self._load.locate(ids.values())
        return {index: located[sample_id] for index, sample_id in ids.items()}

    def _small(self, indices: Indices) -> tuple[dict[int, Pixels], dict[int, UnreadPicture]]:
        """Return training pictures at 32 × 32, and why some cannot be read. Stores new ones."""
        table = self._small_pictures
        by_digest = {self._index.hex_digest(i): i for i in indices.tolist()}
        small: dict[int, Pixels] = {}
        for digests in batched(by_digest, 2_000):
            for row in table.read(where=is_in("pixel_sha256", digests)).to_pylist():
                shape = (memorization.SMALL, memorization.SMALL, 3)
                small[by_digest[row["pixel_sha256"]]] = np.frombuffer(row["pixels"], np.uint8).reshape(shape)
        located = self._located(index for index in by_digest.values() if index not in small)
        indices_of: dict[StoredPicture, list[int]] = {}
        for index, stored in located.items():
            indices_of.setdefault(stored, []).append(index)
        new, failures = [], dict[int, UnreadPicture]()
        bundles, shared = batched(indices_of, _TASK), (self._load.bounds,)
        for stored, found in engines.each(small_picture, bundles, self._compute, shared, engines.CORES):
            for index in indices_of[stored]:
                if isinstance(found, Lost | UnreadPicture):
                    why = UnreadPicture(str(found), away=True) if isinstance(found, Lost) else found
                    failures[index] = _of_row(int(self._index.ids[index]), why)
                else:
                    small[index] = found
                    new.append({"pixel_sha256": self._index.hex_digest(index), "pixels": found.tobytes()})
        table.upsert(pa.Table.from_pylist(new, table.schema))
        return small, failures

    def eidetic_counts(self, sample_ids: Iterable[int]) -> Iterator[dict]:
        """Yield the row of each source: the count of near rows of its cluster, the most repeated pictures first."""
        bundles = engines.bundles(self._clusters(sample_ids), lambda each: 1 + len(each.others), _SOURCES)
        shared = self._scaled, self._cut.delta
        for cluster, found in engines.each(near_rows, bundles, self._compute, shared, engines.CORES):
            yield self._eidetic_row(cluster, found)

    def _clusters(self, sample_ids: Iterable[int]) -> Iterator[SourceCluster]:
        for some in batched(sample_ids, _SOURCES):
            members = {}
            for sample_id in some:
                source = self._index.index(sample_id)
                cluster = self._index.cluster(source)
                members[sample_id] = source, cluster[cluster != source][: self._cut.eidetic_pictures].tolist()
            located = self._located(i for source, others in members.values() for i in (source, *others))
            for sample_id, (source, others) in members.items():
                counts = self._index.row_counts[others].tolist()
                ids = self._index.ids[others].tolist()
                near = tuple(zip(ids, (located[i] for i in others), counts, strict=True))
                yield SourceCluster(sample_id, located[source], int(self._index.row_counts[source]), near)

    def _eidetic_row(self, cluster: SourceCluster, found: NearRows | Lost) -> dict:
        if isinstance(found, Lost):
            found = NearRows(cluster.rows, 1, [UnreadPicture(str(found), away=True)])
        failure = found.unread[-1].message if found.unread else None
        self.waiting += bool(found.unread) and all(each.gone for each in found.unread)
        return {
            "sample_id": cluster.sample_id,
            "recipe": "" if failure else self.eidetic_recipe(cluster.sample_id),
            "rows": found.rows,
            "pictures": len(self._index.cluster(self._index.index(cluster.sample_id))),
            "compared": found.compared,
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
    for some in batched(measures.eidetic_counts(due), _COMMIT):
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
