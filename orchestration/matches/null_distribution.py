"""The best matches of pictures for calibration, their comparison by pixels, and the null distribution of their scores.

What belongs here: when `calibration_pictures`, `null_fits` and `null_scores` are computed again, and their rows. What
does not: choosing the pictures (`matches/calibration.py`), fitting (`transforms/matches/null_distribution.py`),
p-values of generations and error rates (`sql/matches/`).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestration.compute import engines
from orchestration.compute.named_encoders import NamedEncoder
from orchestration.compute.ray_cluster import RayUnavailable
from orchestration.compute.ray_tasks import Lost
from orchestration.duplicates.members import clusters_digest
from orchestration.duplicates.pixel_comparisons import PicturePair, PixelComparisons, failures
from orchestration.facts import SCHEMAS, Facts
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import PixelRecipes, StoredPicture, TrainingPictures
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.fingerprints.picture_index import PictureIndex, read_index
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.matches import calibration, candidates
from orchestration.matches.calibration import (
    NOT_TRAINED,
    CalibrationPicture,
    CalibrationReader,
    LeftOut,
    ReadablePicture,
    held_out_paths,
)
from orchestration.matches.candidates import alteration_recipe
from orchestration.progress import say, track
from orchestration.settings import Settings
from orchestration.settings.sections import Calibration, Compute
from transforms.alignment.alteration_policy import AlterationLimits
from transforms.alignment.comparer import Comparer
from transforms.alignment.policy import PixelLimits
from transforms.encoders import EncoderId, Vectors
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.views import View
from transforms.matches import null_distribution
from transforms.matches.search import SearchHits, best_over_views

CODE = 2  # raise when the same fingerprints would give other scores
PIXELS_CODE = 1  # raise when the same scores would be confirmed otherwise
TABLES = ("calibration_pictures", "null_fits", "null_scores")
"""In the order in which they are written."""


@dataclass(frozen=True)
class CalibrationMatch:
    """A picture for calibration and its best match. For an edited copy the match is its source.

    Attributes:
        picture: The picture.
        index: Index of the match.
        score: Cosine of the best view.
        background: See `null_distribution.background_mean`.
        confirmed: Whether pixels confirm the match; None if they were not compared.
        altered: Whether structure does where pixels do not; None likewise.
        failure: Why they could not be compared.
    """

    picture: CalibrationPicture
    index: int
    score: float
    background: float
    confirmed: bool | None = None
    altered: bool | None = None
    failure: str | None = None


def update(
    facts: Facts,
    encoder: EncoderId | None,
    views: Sequence[View],
    settings: Settings,
    load: TrainingPictures,
    rules: Rules,
) -> int:
    """Search, compare and fit again if anything changed, or pairs could not be compared.

    Args:
        facts: The fact tables; those of the null distribution, its embeddings and comparisons are written.
        encoder: Of all vectors. None: there are no scores.
        views: The parts of a generation that are searched with.
        settings: All of them.
        load: Locates the training pictures.
        rules: For held-out pictures.

    Returns:
        How many pictures could not be compared.
    """
    chosen, cut, size = settings.calibration, settings.thresholds, settings.limits.null_sample
    held_out = held_out_paths(chosen.held_out)
    if encoder is None or not is_needed(facts, chosen):
        clear_outdated(facts, embedded=encoder is not None)
        return 0
    tables, compared = [facts[name] for name in TABLES], facts["calibration_comparisons"]
    training = (fingerprint_versions(facts, str(encoder)), clusters_digest(facts))
    made_by = null_recipe(training, views, size, chosen, cut.pixels, cut.alterations, held_out)
    recipes = PixelRecipes.of(facts, made_by)
    outdated = not recipes.hold(tables)
    comparisons = PixelComparisons(compared, comparison_recipe(cut.pixels), tables)
    if not outdated and not failures(compared):
        return 0
    index = read_index(facts, encoder, usable_pictures(facts, settings.memory.pictures))
    reader = CalibrationReader(index, load, rules, settings.compute)
    sampled = calibration.sample(reader, held_out, size, chosen.trials)
    named = NamedEncoder.of(settings.encoders.by_purpose[COPY], settings.encoders.device)
    left_out = LeftOut()
    embedded = calibration.embed(sampled, reader, facts, named, views, settings.limits.batch, left_out)
    neighbours, background = settings.limits.neighbours, Background(index, size)
    matches = list(match(embedded, index, background, neighbours, settings.compute))
    matches = compare(matches, comparisons, reader, cut.pixels, cut.alterations)
    if outdated or comparisons.changed:
        noted = recipes.after(left_out.failed, left_out.waiting + comparisons.waiting)
        for table, rows in zip(tables, null_rows(matches, index, chosen.tail), strict=True):
            table.replace([rows], noted)
    return comparisons.failed


def is_needed(facts: Facts, settings: Calibration) -> bool:
    """Return whether anybody asks for p-values: there are generations, or the settings say so.

    Args:
        facts: The fact tables; `generation_fingerprints` is read.
        settings: `[calibration]`.
    """
    searched = facts["generation_fingerprints"].dataset().count_rows(filter="status <> 'failed'")
    return bool(searched) or settings.without_generations


def clear_outdated(facts: Facts, *, embedded: bool) -> None:
    """Delete the null distribution, which nobody asks for. The embeddings of its pictures stay for later.

    Args:
        facts: The fact tables; those of the null distribution are emptied.
        embedded: Whether there is a copy encoder, without which there can be no scores.
    """
    for name in TABLES:
        facts[name].clear()
    say(
        "no generations yet, so no null distribution is drawn; calibration.without_generations = true draws it for a "
        "guard"
        if embedded
        else "encoders.copy is none: there are no scores by embedding, so no p-values and no error rates"
    )


def null_recipe(
    training: object,
    views: Sequence[View],
    count: int,
    settings: Calibration,
    limits: PixelLimits,
    looser: AlterationLimits,
    held_out: Sequence[str],
) -> str:
    """Return the recipe of the three tables.

    Args:
        training: Values that change with the training pictures.
        views: The views of generations.
        count: Count of sampled training pictures.
        settings: `[calibration]`.
        limits: When two pictures agree by pixels.
        looser: When structure confirms an altered copy.
        held_out: Paths of held-out pictures.
    """
    files = [(path, (stat := Path(path).stat()).st_size, stat.st_mtime_ns) for path in held_out]
    rules = (views, count, settings.model_dump(include={"trials", "tail"}), limits, alteration_recipe(looser), files)
    return recipe("null", (CODE, calibration.CODE, candidates.CODE, PIXELS_CODE), training, rules)


class Background:
    """The sampled training pictures, against which every picture is scored."""

    def __init__(self, index: PictureIndex, count: int) -> None:
        """Read their vectors: `count` pictures of the index."""
        vectors, self._owner = index.in_stored_order(index.sample(count))
        self._vectors = vectors.read(0, len(vectors))

    def scores(self, views: Vectors) -> list[SearchHits]:
        """Return the best background scores of pictures, by index; views: float32 (n, views, d)."""
        best = best_over_views(views, self._vectors, null_distribution.BACKGROUND + 2)
        return [replace(each, position=self._owner[each.position]) for each in best]


def match(
    embedded: Iterable[tuple[Sequence[CalibrationPicture], Vectors]],
    index: PictureIndex,
    background: Background,
    neighbours: int,
    compute: Compute,
) -> Iterator[CalibrationMatch]:
    """Yield the best match of each unedited picture, and the score of the source of each edited copy.

    Args:
        embedded: Pictures with the vectors of their views.
        index: The training pictures; one of each cluster is searched.
        background: The sampled training pictures.
        neighbours: Matches among which the best is chosen.
        compute: Where they are searched.
    """
    vectors, owner = index.in_stored_order(index.heads)
    batches = ([batch] for batch in embedded if batch[0])
    for (sampled, views), hits in engines.each(nearest, batches, compute, (vectors, neighbours + 1)):
        if isinstance(hits, Lost):
            raise RayUnavailable(f"Ray cannot go on: {hits.reason}")
        for picture, near, around, view in zip(sampled, hits, background.scores(views), views, strict=True):
            if picture.edit is None or picture.index is None:
                near = replace(near, position=owner[near.position])
                best = null_distribution.strongest(near, around, picture.index)
                if best.position is not None:
                    yield CalibrationMatch(picture, best.position, best.score, best.background)
            else:
                source = index.vectors.take(index.vector_positions[[picture.index]])
                mean = null_distribution.background_mean(around, [picture.index])
                yield CalibrationMatch(picture, picture.index, float((view @ source.T).max()), mean)


def nearest(
    batch: tuple[Sequence[CalibrationPicture], Vectors], vectors: StoredVectors, count: int
) -> list[SearchHits]:
    """Search with the views of pictures, in whatever process.

    Args:
        batch: The pictures, and their views.
        vectors: What is searched.
        count: The hits to return of each picture.
    """
    return best_over_views(batch[1], vectors, count)


def comparison_recipe(limits: PixelLimits) -> str:
    """Return the recipe of a stored comparison of a picture for calibration."""
    return recipe("calibration comparisons", calibration.CODE, candidates.CODE, limits)


def compare(
    matches: Sequence[CalibrationMatch],
    comparisons: PixelComparisons,
    reader: CalibrationReader,
    limits: PixelLimits,
    looser: AlterationLimits,
) -> list[CalibrationMatch]:
    """Align each picture with its match, unless an earlier run did. Return the matches with the results.

    Args:
        matches: Matches without results of pixels.
        comparisons: The stored comparisons, updated here.
        reader: Reader of the pictures.
        limits: When two pictures agree by pixels.
        looser: When structure confirms an altered copy.
    """
    comparisons.forget_outdated()
    comparisons.load(current=partial(_is_current, made_by=alteration_recipe(looser)))
    keys = [(" ".join(filter(None, each.picture.key)), reader.index.hex_digest(each.index)) for each in matches]
    due = {pair: each for pair, each in zip(keys, matches, strict=True) if comparisons.is_due(pair)}
    readable = reader.readable([each.picture for each in due.values()])
    sources = reader.training({each.index for each in due.values()})
    pairs = [
        PicturePair(pair, picture, sources[each.index])
        for (pair, each), picture in zip(due.items(), readable, strict=True)
    ]
    comparer = Comparer[Any](methodcaller("pixels", reader.rules.bounds), limits, looser)
    tracked = track(pairs, "comparing pictures of the null distribution", len(pairs))
    comparisons.compare(tracked, partial(confirm, comparer), reader.compute, threads=engines.CORES)
    found = [comparisons.known(pair) for pair in keys]
    comparisons.close()
    return [
        replace(each, confirmed=(said := _verdicts(text))[0], altered=said[1], failure=failure)
        for each, (text, failure, _) in zip(matches, found, strict=True)
    ]


def _is_current(text: str | None, made_by: str) -> bool:
    """Return whether an outcome needs no second look: pixels confirm it, all looked at, or it had one."""
    found = {} if text is None else json.loads(text)
    if not isinstance(found, dict):  # from an older release, which did not look around a part
        return False
    return bool(found.get("made_by", made_by) == made_by)


def _verdicts(text: str | None) -> tuple[bool | None, bool | None]:
    """Return what both confirmations say, None where a picture could not be read."""
    if text is None:
        return None, None
    found = json.loads(text)
    return bool(found.get("confirmed")), bool(found.get("altered"))


def confirm(comparer: Comparer[Any], picture: ReadablePicture, source: StoredPicture) -> dict[str, object]:
    """Return whether pixels confirm a match, or else whether structure does, and the recipe of this.

    Raises OSError or ValueError if a picture cannot be read.

    Args:
        comparer: Reads and aligns pictures.
        picture: A picture for calibration.
        source: Its match.
    """
    alignment, alteration = comparer.twice(picture, source)
    if alignment and alignment.confirmed(comparer.limits):
        return {"confirmed": True}
    altered = alteration is not None and alteration.confirmed(comparer.looser)
    return {"altered": altered, "made_by": alteration_recipe(comparer.looser)}


def null_rows(
    matches: Sequence[CalibrationMatch], index: PictureIndex, tail: float
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return the rows of the three tables, in the order of `TABLES`.

    Args:
        matches: Matches with results of pixels.
        index: The training pictures.
        tail: The quantile of scores at which the tail begins.
    """
    null = sorted((each for each in matches if each.picture.edit is None), key=lambda each: each.picture.digest)
    copies = sorted((each for each in matches if each.picture.edit), key=lambda each: each.picture.key)
    scores = [each.score - each.background for each in null]
    fit = null_distribution.fit(scores, tail)
    unseen = null_distribution.cross_fit(scores, tail)
    p_values = [*unseen, *fit.p_values([each.score - each.background for each in copies])]
    rows = [_row(index, each, float(p)) for each, p in zip([*null, *copies], p_values, strict=True)]
    distance, p_value = null_distribution.uniformity(unseen) if len(unseen) else (None, None)
    fits = [
        {"measure": "normalised_score", "pictures": len(null), "ks_distance": distance, "ks_p_value": p_value}
        | (vars(fit.tail) if fit.tail else {})
    ]
    sampled = [row for row in rows if row["population"] == NOT_TRAINED and row["sample_id"] is not None]
    names = SCHEMAS["null_scores"].names
    return (
        pa.Table.from_pylist(rows, SCHEMAS["calibration_pictures"]),
        pa.Table.from_pylist(fits, SCHEMAS["null_fits"]),
        pa.Table.from_pylist([{name: row[name] for name in names} for row in sampled], SCHEMAS["null_scores"]),
    )


def _row(index: PictureIndex, match: CalibrationMatch, p_value: float) -> dict[str, object]:
    picture = match.picture
    return {
        "pixel_sha256": picture.digest,
        "edit": picture.edit.name if picture.edit else "",
        "population": picture.population,
        "sample_id": None if picture.index is None else int(index.ids[picture.index]),
        "path": picture.path,
        "nearest_id": int(index.ids[match.index]),
        "score": match.score,
        "background": match.background,
        "p_value": p_value,
        "confirmed": match.confirmed,
        "altered": match.altered,
        "failure": match.failure,
    }
