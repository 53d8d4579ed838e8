"""What could this generation come from? The asset `match_candidates`.

What belongs here: reading the inputs, and writing matches. What does not: searching (`matches/search.py`), collecting,
comparing and measuring candidates (`matches/candidates.py`), p-values and verdicts (`sql/matches/evidence.sql`).
"""

import dagster as dg

from orchestration.duplicates.members import clusters_digest
from orchestration.duplicates.pixel_comparisons import PixelComparisons, failures
from orchestration.facts import Facts
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import PixelRecipes
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.matches import candidates, search
from orchestration.matches.candidates import GenerationComparer, candidate_rows, evidence_rows, gather
from orchestration.matches.search import SearchCounts, candidate_thresholds, read_search, readable_generations
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.readable import count

CODE = 6  # raise when the same fingerprints would give other matches
_READ = ("generation_fingerprints", "generation_embeddings", "prompt_candidates")


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch", "opencv"},
    owners=["team:safety-research"],
    deps=["cluster_members", "generation_fingerprints", "prompt_candidates"],
    pool="gpu",
)
@explained
def match_candidates(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """The likely sources of every generation by bytes, perceptual hash, embedding and prompt, compared by pixels.

    New generations are searched against all training pictures, new training pictures against all generations.
    """
    facts, limits, looser = warehouse.facts, warehouse.pixel_limits, warehouse.alteration_limits
    table, evidence, compared = facts["match_candidates"], facts["match_evidence"], facts["match_comparisons"]
    versions = [facts[name].version for name in _READ]
    training = fingerprint_versions(facts, warehouse.encoder_id(COPY)), clusters_digest(facts)
    rules = versions, (candidate_thresholds(warehouse.settings), limits, looser, warehouse.views)
    codes = CODE, search.CODE, candidates.CODE
    recipes = PixelRecipes.of(facts, recipe("matches", codes, *training, *rules))
    outdated = not recipes.hold((table, evidence))
    comparisons = PixelComparisons(compared, candidates.comparison_recipe(limits), (table, evidence))
    counts = SearchCounts()
    if outdated or failures(compared):
        encoder, views = warehouse.copy_encoder, warehouse.views
        generations = readable_generations(facts, encoder)
        searched = read_search(facts, encoder, views, warehouse.settings, len(generations))
        counts = search.update_lists(searched, generations)
        equal = candidates.equal_pictures(facts, searched.pictures, generations)
        inputs = searched, generations, equal
        how = warehouse.training_picture, limits, looser, warehouse.settings.compute
        GenerationComparer(searched.pictures, *how).compare(gather(*inputs), len(generations), comparisons)
        if outdated or comparisons.changed:
            noted = recipes.after(0, comparisons.waiting)
            table.replace(candidate_rows(gather(*inputs)), noted)
            measured = candidates.measure(gather(*inputs), comparisons, searched)
            evidence.replace(evidence_rows(measured, searched.pictures, limits, looser), noted)
    return _report(context, facts, counts, comparisons)


def _report(
    context: dg.AssetExecutionContext, facts: Facts, counts: SearchCounts, comparisons: PixelComparisons
) -> dg.MaterializeResult:
    if comparisons.failed:
        context.log.warning("%s not compared by pixels; the next run tries again", count(comparisons.failed, "pair"))
    told = {
        "confirmed by pixels": facts["match_evidence"].dataset().count_rows(filter="confirmed"),
        "altered copies, confirmed by structure": facts["match_evidence"].dataset().count_rows(filter="altered"),
        "generations searched now": counts.generations,
        "training pictures searched now": counts.pictures,
        "compared by pixels now": comparisons.compared,
        "could not be compared": comparisons.failed,
        "waiting for image dumps": comparisons.waiting,
    }
    return asset_metadata.fact_result(facts, "match_candidates", told)
