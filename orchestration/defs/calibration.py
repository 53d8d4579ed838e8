"""How sure is a match? Assets of the stage `matches` from which p-values are computed.

What belongs here: reading the inputs, and writing the null distribution and the background of each generation. What
does not: which pictures calibrate (`matches/calibration.py`), their best matches (`matches/null_scores.py`), p-values
of generations and error rates (`sql/matches/`).
"""

import dagster as dg
import numpy as np

from orchestration.duplicates.members import clusters_digest
from orchestration.duplicates.pixel_comparisons import PixelComparisons, failures
from orchestration.facts import Facts
from orchestration.facts.training_pictures import PixelRecipes
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.fingerprints.picture_index import read_index
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.matches import calibration
from orchestration.matches import generation_backgrounds as backgrounds
from orchestration.matches import null_scores as scores
from orchestration.matches.calibration import CalibrationReader, LeftOut, held_out_paths
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.readable import count


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch", "opencv"},
    owners=["team:safety-research"],
    deps=["cluster_members", "generation_fingerprints"],
    pool="gpu",
)
@explained
def null_scores(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Best scores of pictures outside the training set: each training picture is searched among all others.

    The views are those of a generation, so the scores are comparable. Held-out pictures are searched too. The sample is
    stable: the `limits.null_sample` pictures with the smallest pixel digests. Edited copies of some are searched, and
    all matches are compared by pixels, to measure how often scores and pixels are wrong. Empty until there are
    generations, unless `calibration.without_generations` is set.
    """
    facts, chosen = warehouse.facts, warehouse.settings.calibration
    limits, held_out = (warehouse.pixel_limits, warehouse.alteration_limits), held_out_paths(chosen.held_out)
    if warehouse.copy_encoder is None or not scores.is_needed(facts, chosen):
        scores.clear_outdated(facts, embedded=warehouse.copy_encoder is not None)
        return _report(facts, context)
    size, neighbours = warehouse.settings.limits.null_sample, warehouse.settings.limits.neighbours
    tables, compared = [facts[name] for name in scores.TABLES], facts["calibration_comparisons"]
    training = (fingerprint_versions(facts, warehouse.encoder_id(COPY)), clusters_digest(facts))
    rules = warehouse.views, size, chosen, *limits, held_out
    recipes = PixelRecipes.of(facts, scores.null_recipe(training, *rules))
    outdated = not recipes.hold(tables)
    comparisons = PixelComparisons(compared, scores.comparison_recipe(warehouse.pixel_limits), tables)
    if outdated or failures(compared):
        compute, pictures = warehouse.settings.compute, usable_pictures(facts, warehouse.memory.pictures)
        index = read_index(facts, warehouse.copy_encoder, pictures)
        reader = CalibrationReader(index, warehouse.training_picture, warehouse.rules, compute)
        sampled = calibration.sample(reader, held_out, size, chosen.trials)
        how = warehouse.named_encoder(), warehouse.views, warehouse.pace.batch, (left_out := LeftOut())
        embedded = calibration.embed(sampled, reader, facts, *how)
        matches = list(scores.match(embedded, index, scores.Background(index, size), neighbours, compute))
        matches = scores.compare(matches, comparisons, reader, *limits)
        if outdated or comparisons.changed:
            for table, rows in zip(tables, scores.null_rows(matches, index, chosen.tail), strict=True):
                table.replace([rows], recipes.after(left_out.failed, left_out.waiting + comparisons.waiting))
    return _report(facts, context, comparisons.failed)


def _report(facts: Facts, context: dg.AssetExecutionContext, failed: int = 0) -> dg.MaterializeResult:
    if failed:
        context.log.warning("%s not compared; the next run tries again", count(failed, "picture"))
    fit = facts["null_fits"].read().to_pylist()
    best = np.sort(facts["null_scores"].read(["score"])["score"].to_numpy())
    quantiles = {f"score at {q:.0%}": float(np.quantile(best, q)) for q in (0.5, 0.95, 1.0) if len(best)}
    measured = {name: value for row in fit for name, value in row.items() if value is not None}
    return asset_metadata.fact_result(facts, "null_scores", quantiles | measured)


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=["match_candidates", "null_scores"],
    pool="gpu",
)
@explained
def generation_backgrounds(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Best scores of each generation against a sample of training pictures: what it has in common with many."""
    facts = warehouse.facts
    scored = backgrounds.update(facts, warehouse.copy_encoder, warehouse.views, warehouse.settings)
    return asset_metadata.fact_result(facts, "generation_backgrounds", {"scored now": scored})
