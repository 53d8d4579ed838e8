"""Candidates and evidence from lists of neighbours: collect, compare by pixels, measure.

What belongs here: when generations are matched again, collecting their candidates from all facts, comparing them, and
the rows of both tables of matches. What does not: searching (`matches/search.py`), storing comparisons
(`duplicates/pixel_comparisons.py`), the rules (`transforms/matches/candidates.py`).

Each of the three steps collects the candidates again, batch by batch, so memory holds no more than a batch.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import batched, chain
from operator import methodcaller
from typing import Any

import numpy as np
import pyarrow as pa

from orchestration.compute import engines
from orchestration.duplicates.members import clusters_digest
from orchestration.duplicates.pixel_comparisons import Pair, PicturePair, PixelComparisons, failures
from orchestration.facts import SCHEMAS, Facts, FactTable
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import PixelRecipes, StoredPicture, TrainingPictures
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.fingerprints.picture_index import PictureIndex
from orchestration.matches.neighbour_lists import COPIES, KeptLists, batch_filter
from orchestration.matches.search import CODE as SEARCH_CODE
from orchestration.matches.search import (
    GenerationSearch,
    SearchCounts,
    candidate_thresholds,
    queries,
    read_search,
    readable_generations,
    update_lists,
)
from orchestration.progress import track
from orchestration.settings import Settings
from orchestration.settings.sections import Compute
from transforms import pictures
from transforms.alignment.alteration_policy import Alteration, AlterationLimits
from transforms.alignment.comparer import Comparer
from transforms.alignment.policy import Alignment, PixelLimits
from transforms.encoders import EncoderId
from transforms.fingerprints.views import WHOLE, View
from transforms.generations import addresses
from transforms.hashing.digest_arrays import of_hex
from transforms.hashing.digest_arrays import rows as rows_of
from transforms.hashing.digest_tables import Lookup
from transforms.matches import candidates as rules
from transforms.matches.candidates import Candidate, Comparison, EqualPictures, PairEvidence, Query
from transforms.matches.search import scores
from transforms.pictures import Bounds, Pixels
from transforms.regions import Box

STATE_CODE = 6  # raise when the same fingerprints would give other matches, and whenever ALTERATION_CODE is raised
_READ = ("generation_fingerprints", "generation_embeddings", "prompt_candidates")
CODE = 4  # raise when two pictures would be laid over each other, or confirmed, otherwise
# Raise when an altered copy would be measured otherwise: pairs that pixels refuse are compared again.
ALTERATION_CODE = 2
_BEFORE_PLACING = 1  # the code of releases that laid fewer pictures edge on edge; what many matches placed is as it was
_LATER = {"moved"}  # measurements without which an outcome is current, except where `_is_current` asks for them
_AT_ONCE = 512  # generations
_MADE_BY = "made_by"  # in an outcome: the recipe of its alteration


@dataclass(frozen=True)
class GenerationCandidates:
    """A generation with its candidates.

    Attributes:
        query: The generation.
        path: Its file.
        equal: The training pictures that equal it.
        candidates: Candidates of all methods.
        to_compare: Indices of the pictures to compare by pixels.
    """

    query: Query
    path: str
    equal: EqualPictures
    candidates: Sequence[Candidate]
    to_compare: Sequence[int]


def update(
    facts: Facts, encoder: EncoderId | None, views: Sequence[View], settings: Settings, load: TrainingPictures
) -> tuple[SearchCounts, PixelComparisons]:
    """Search, compare and measure again if anything changed, or pairs could not be compared.

    Args:
        facts: The fact tables; `match_candidates`, `match_evidence`, `match_comparisons` and the lists are written.
        encoder: Of all vectors. None: hashes alone are searched.
        views: The parts of a generation that are searched with.
        settings: The limits, and where pictures are compared.
        load: Locates the training pictures.

    Returns:
        What was searched, and the comparisons, which count what was compared.
    """
    limits, looser = settings.thresholds.pixels, settings.thresholds.alterations
    table, evidence, compared = facts["match_candidates"], facts["match_evidence"], facts["match_comparisons"]
    versions = [facts[name].version for name in _READ]
    training = fingerprint_versions(facts, str(encoder) if encoder else None), clusters_digest(facts)
    chosen = candidate_thresholds(settings), limits, looser, views
    codes = STATE_CODE, SEARCH_CODE, CODE
    recipes = PixelRecipes.of(facts, recipe("matches", codes, *training, versions, chosen))
    outdated = not recipes.hold((table, evidence))
    comparisons = PixelComparisons(compared, comparison_recipe(limits), (table, evidence))
    if not outdated and not failures(compared):
        return SearchCounts(), comparisons
    generations = readable_generations(facts, encoder)
    search = read_search(facts, encoder, views, settings, len(generations))
    counts = update_lists(search, generations)
    inputs = search, generations, equal_pictures(facts, search.pictures, generations)
    comparer = GenerationComparer(search.pictures, load, limits, looser, settings.compute)
    comparer.compare(gather(*inputs), len(generations), comparisons)
    if outdated or comparisons.changed:
        noted = recipes.after(0, comparisons.waiting)
        table.replace(candidate_rows(gather(*inputs)), noted)
        measured = measure(gather(*inputs), comparisons, search)
        evidence.replace(evidence_rows(measured, search.pictures, limits, looser), noted)
    return counts, comparisons


def gather(
    search: GenerationSearch, generations: pa.Table, equal: Mapping[str, EqualPictures]
) -> Iterator[list[GenerationCandidates]]:
    """Yield the generations with their candidates, a batch at a time.

    Args:
        search: The search, whose lists are up to date.
        generations: All readable generations.
        equal: See `equal_pictures`.
    """
    lists = KeptLists(search.facts, search.pictures.digests, search.tables)
    for start in range(0, len(generations), _AT_ONCE):
        batch = generations.slice(start, _AT_ONCE)
        near = lists.read(search.recipes(batch))
        prompted = search.tables == COPIES  # nothing else that is searched with has a prompt
        by_prompt = _candidates_by_prompt(search.facts["prompt_candidates"], search.pictures, batch) if prompted else {}
        gathered = []
        for query, path in zip(queries(batch), batch["path"].to_pylist(), strict=True):
            same = equal.get(query.generation_id, EqualPictures())
            candidates = rules.candidates_by_looks(
                query, same, *near[query.generation_id], search.pictures, search.cut, search.views
            )
            candidates += by_prompt.get(query.generation_id, [])
            chosen = rules.choose(candidates, search.pictures, search.cut)
            gathered.append(GenerationCandidates(query, path, same, candidates, chosen))
        yield gathered


def _candidates_by_prompt(table: FactTable, index: PictureIndex, generations: pa.Table) -> dict[str, list[Candidate]]:
    rows = table.read(where=batch_filter(generations["generation_id"].to_pylist()))
    rows = rows.sort_by([(key, "ascending") for key in ("generation_id", "method", "sample_id")]).to_pylist()
    candidates: dict[str, list[Candidate]] = defaultdict(list)
    for row, picture in zip(rows, index.find([row["sample_id"] for row in rows]), strict=True):
        name = row["generation_id"]
        candidates[name].append(Candidate(name, picture, row["sample_id"], row["method"], row["score"], WHOLE))
    return candidates


def equal_pictures(facts: Facts, index: PictureIndex, generations: pa.Table) -> dict[str, EqualPictures]:
    """Return the training pictures that equal a generation, by generation.

    Args:
        facts: The fact tables.
        index: The training pictures.
        generations: All readable generations.
    """
    if not len(generations):
        return {}
    files, pixels = (of_hex(generations[name].combine_chunks()) for name in ("sha256", "pixel_sha256"))
    different, file_of = np.unique(files, axis=0, return_inverse=True)
    lookup = Lookup(different)
    by_bytes: dict[int, set[int]] = defaultdict(set)
    for batch in facts["image_fingerprints"].scan(["sample_id", "sha256"], "status <> 'failed'"):
        file, equal = lookup.find(rows_of(batch.column("sha256")))
        rows = np.searchsorted(index.rows.ids, batch.column("sample_id").to_numpy()[equal])
        for each, picture in zip(file[equal].tolist(), index.index_of_row[rows].tolist(), strict=True):
            by_bytes[each].add(picture)
    own, equal = Lookup(index.digests).find(pixels)
    columns = (generations["generation_id"].to_pylist(), file_of.ravel().tolist(), own.tolist(), equal.tolist())
    by_generation = {
        name: EqualPictures(frozenset(by_bytes.get(file, ())), frozenset([picture] if same else []))
        for name, file, picture, same in zip(*columns, strict=True)
    }
    return {name: equals for name, equals in by_generation.items() if equals != EqualPictures()}


def comparison_recipe(limits: PixelLimits) -> str:
    """Return the recipe of a stored comparison of a generation."""
    names = [field.name for field in fields(Alignment) if field.name not in _LATER]
    return recipe("match comparisons", CODE, limits, names)


@dataclass(frozen=True)
class GenerationFile:
    """A generation to read. `path`: its file, or an archive and its member."""

    path: str

    def pixels(self, bounds: Bounds) -> Pixels:
        """Return uint8 of shape (height, width, 3). Raises OSError or ValueError."""
        return pictures.decode(addresses.read(self.path), bounds)


def alteration_recipe(looser: AlterationLimits, code: int = ALTERATION_CODE) -> str:
    """Return the recipe of what is stored, beside a comparison that pixels refuse, about an altered copy.

    Args:
        looser: When structure confirms one.
        code: How it was measured.
    """
    return recipe("alterations", code, looser)


def align(comparer: Comparer[Any], generation: GenerationFile, source: StoredPicture) -> dict[str, object]:
    """Align a training picture with a generation. Raises OSError or ValueError if one of them cannot be read.

    Args:
        comparer: Reads and aligns pictures.
        generation: The generation.
        source: The training picture.

    Returns:
        The alignment where pixels confirm it. Else the alignment, the alteration, and the recipe of this.
    """
    alignment, alteration = comparer.twice(generation, source)
    if alignment and alignment.confirmed(comparer.limits):
        return asdict(alignment)
    made_by = alteration_recipe(comparer.looser)
    return {
        "alignment": alignment and asdict(alignment),
        "alteration": alteration and asdict(alteration),
        _MADE_BY: made_by,
    }


@dataclass(frozen=True)
class GenerationComparer:
    """Compares generations with training pictures.

    Attributes:
        index: The training pictures.
        load: Locates them.
        limits: When two pictures agree by pixels.
        looser: When structure confirms an altered copy.
        compute: Where they are compared.
        asked: What they are compared with, in words.
    """

    index: PictureIndex
    load: TrainingPictures
    limits: PixelLimits
    looser: AlterationLimits
    compute: Compute
    asked: str = COPIES.asked

    def compare(
        self, gathered: Iterable[Sequence[GenerationCandidates]], count: int, comparisons: PixelComparisons
    ) -> None:
        """Align the chosen pictures with generations, unless an earlier run did.

        Args:
            gathered: The generations with their candidates, in batches.
            count: The count of generations.
            comparisons: The stored comparisons of generations, updated here.
        """
        comparisons.forget_outdated()
        by_generation = track(self._due(gathered, comparisons), f"matching {self.asked}", count)
        comparer = Comparer[Any](methodcaller("pixels", self.load.bounds), self.limits, self.looser)
        pairs = chain.from_iterable(by_generation)
        comparisons.compare(pairs, partial(align, comparer), self.compute, threads=engines.CORES)
        comparisons.close()

    def _due(
        self, gathered: Iterable[Sequence[GenerationCandidates]], comparisons: PixelComparisons
    ) -> Iterator[list[PicturePair]]:
        """Yield the due pairs of each generation."""
        current = partial(_is_current, limits=self.limits, looser=self.looser)
        for batch in gathered:
            comparisons.load(_of_generations(batch), current=current)
            due = [
                {_pair(each.query, self.index, picture): int(self.index.ids[picture]) for picture in each.to_compare}
                for each in batch
            ]
            due = [{pair: row for pair, row in pairs.items() if comparisons.is_due(pair)} for pairs in due]
            located = self.load.locate(row for pairs in due for row in pairs.values())
            for each, pairs in zip(batch, due, strict=True):
                generation = GenerationFile(each.path)
                yield [PicturePair(pair, generation, located[row]) for pair, row in pairs.items()]


def _is_current(text: str | None, limits: PixelLimits, looser: AlterationLimits) -> bool:
    """Return whether an outcome needs no second look: pixels confirm it, all looked at, or it had one."""
    if text is None:
        return True  # a failure, which has a rule of its own
    values = json.loads(text)
    if values is not None and _MADE_BY in values:
        if values[_MADE_BY] == alteration_recipe(looser, _BEFORE_PLACING):
            measured = _measured(Alteration, values["alteration"])
            return measured is None or measured.matches >= looser.matches
        return bool(values[_MADE_BY] == alteration_recipe(looser))
    alignment = _measured(Alignment, values)
    if alignment is None or not alignment.confirmed(limits):
        return False
    return alignment.moved is not None or not alignment.doubted(limits)  # an older release did not look around a part


def _of_generations(batch: Sequence[GenerationCandidates]) -> str:
    return is_in("picture_a", sorted({each.query.pixel_sha256 for each in batch}))


def _pair(query: Query, index: PictureIndex, picture: int) -> Pair:
    return query.pixel_sha256, index.hex_digest(picture)


def measure(
    gathered: Iterable[Sequence[GenerationCandidates]], comparisons: PixelComparisons, search: GenerationSearch
) -> Iterator[list[PairEvidence]]:
    """Yield the evidence of each generation.

    Args:
        gathered: The generations, a batch at a time.
        comparisons: The comparisons of generations, up to date.
        search: The searched pictures, and the views.
    """
    for batch in gathered:
        comparisons.load(_of_generations(batch))
        for each, scored in zip(batch, scores_of(batch, search), strict=True):
            evidence = []
            for picture, score, box in scored:
                text, failure, _ = comparisons.known(_pair(each.query, search.pictures, picture))
                comparison = Comparison(picture, score, box, *looks_of(text), failure)
                evidence.append(rules.measure(each.query, each.equal, comparison, search.pictures))
            yield evidence


type Scored = tuple[int, float | None, Box]
"""A chosen picture, with the cosine and the box of the best view; None where nothing is embedded."""


def scores_of(batch: Sequence[GenerationCandidates], search: GenerationSearch) -> list[list[Scored]]:
    """Return the chosen pictures of each generation with their scores.

    Args:
        batch: The generations.
        search: The search by which they were chosen.
    """
    index = search.pictures
    if search.encoder is None:
        return [[(picture, None, WHOLE) for picture in each.to_compare] for each in batch]
    flat = np.array([picture for each in batch for picture in each.to_compare], np.int64)
    owner = np.repeat(np.arange(len(batch)), [len(each.to_compare) for each in batch])
    positions, back = np.unique(index.vector_positions[flat], return_inverse=True)
    views = search.view_vectors([each.query.generation_id for each in batch])
    score, view = scores(views, index.vectors.take(positions)[back.ravel()], owner)
    boxes = [each.box for each in search.views]
    rows = iter(zip(flat.tolist(), score.tolist(), (boxes[v] for v in view), strict=True))
    return [[next(rows) for _ in each.to_compare] for each in batch]


def looks_of(text: str | None) -> tuple[Alignment | None, Alteration | None]:
    """Return what both confirmations measured, from its JSON. An outcome of an older release has the first alone."""
    values: dict[str, Any] | None = None if text is None else json.loads(text)
    if values is None or _MADE_BY not in values:
        return _measured(Alignment, values), None
    return _measured(Alignment, values["alignment"]), _measured(Alteration, values["alteration"])


def _measured[Measurement: (Alignment, Alteration)](
    kind: type[Measurement], values: Mapping[str, Any] | None
) -> Measurement | None:
    return None if values is None else kind(**{name: _value(value) for name, value in values.items()})


def _value(value: Any) -> Any:  # noqa: ANN401 -- whatever JSON holds
    if isinstance(value, dict):
        return Box(**value)
    return tuple(value) if isinstance(value, list) else value


def candidate_rows(gathered: Iterable[Sequence[GenerationCandidates]]) -> Iterator[pa.Table]:
    """Yield the rows of `match_candidates`, in batches of generations."""
    for batch in gathered:
        rows = [
            {
                "generation_id": candidate.generation_id,
                "sample_id": candidate.sample_id,
                "method": candidate.method,
                "score": candidate.score,
                **asdict(candidate.box),
            }
            for each in batch
            for candidate in each.candidates
        ]
        yield pa.Table.from_pylist(rows, SCHEMAS["match_candidates"])


def evidence_rows(
    measured: Iterable[Sequence[PairEvidence]], index: PictureIndex, limits: PixelLimits, looser: AlterationLimits
) -> Iterator[pa.Table]:
    """Yield the rows of `match_evidence`, in batches of generations.

    Args:
        measured: The evidence of each generation.
        index: The training pictures.
        limits: When two pictures agree by pixels.
        looser: When structure confirms an altered copy.
    """
    for batch in batched(measured, _AT_ONCE):
        rows = [_evidence_row(each, index, limits, looser) for evidence in batch for each in evidence]
        yield pa.Table.from_pylist(rows, SCHEMAS["match_evidence"])


def _evidence_row(
    evidence: PairEvidence, index: PictureIndex, limits: PixelLimits, looser: AlterationLimits
) -> dict[str, object]:
    alignment, alteration = evidence.alignment, evidence.alteration
    altered = alteration is not None and alteration.confirmed(looser)
    return {
        "generation_id": evidence.generation_id,
        "sample_id": int(index.ids[evidence.index]),
        "copy_score": evidence.copy_score,
        "pdq_distance": evidence.pdq_distance,
        "same_bytes": evidence.same_bytes,
        "same_pixels": evidence.same_pixels,
        "confirmed": alignment is not None and alignment.confirmed(limits),
        "moved": alignment and alignment.moved,
        "whole": alignment is not None and alignment.whole(limits),
        "altered": altered,
        **(_alignment_columns(alignment) if alignment else {}),
        **(_alteration_columns(alteration, looser) if alteration else {}),
        "failure": evidence.failure,
        **asdict(evidence.box),
        **(_place_columns(alteration) if alteration and altered else {}),
    }


def _place_columns(alteration: Alteration) -> dict[str, object]:
    """Return where an altered copy lies, in the columns of an alignment: the map that confirms it is shown."""
    names = ("mirrored", "aligned_distance", "geometry", "homography")
    return {
        **{name: getattr(alteration, name) for name in names},
        "inliers": alteration.matches,
        "overlap_generation": alteration.overlap_a,
        "overlap_source": alteration.overlap_b,
        **{f"source_{side}": part for side, part in asdict(alteration.region_b).items()},
        **asdict(alteration.region_a),
    }


def _alteration_columns(alteration: Alteration, looser: AlterationLimits) -> dict[str, object]:
    names = ("in_place", "in_place_closely", "exact_share", "exact_matches", "displacement", "roughness", "kept")
    return {
        **{name: getattr(alteration, name) for name in (*names, "colour_change", "light_change")},
        "altered_by": list(alteration.changes(looser)) if alteration.confirmed(looser) else None,
        "altered_agreement": alteration.agreement,
        "altered_closely": alteration.agreement_closely,
    }


def _alignment_columns(alignment: Alignment) -> dict[str, object]:
    names = ("mirrored", "aligned_distance", "inliers", "geometry", "cells", "agreement", "solid")
    return {
        **{name: getattr(alignment, name) for name in (*names, "masked_mse", "structural_similarity", "homography")},
        "aligned_tile_l2": alignment.tile_l2,
        "overlap_generation": alignment.overlap_a,
        "overlap_source": alignment.overlap_b,
        **{f"source_{side}": part for side, part in asdict(alignment.region_b).items()},
    }
