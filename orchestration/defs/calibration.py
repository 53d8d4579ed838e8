"""How sure is a match? Assets of the stage `matches` that p-values are made of.

What belongs here: the null distribution, trials of known copies, and the background of each generation's scores. What
does not: which pictures these are (`orchestration/matches/calibration.py`), fitting
(`transforms/matches/null_distribution.py`), p-values of generations and error rates (`sql/matches/`).
"""

from collections.abc import Iterator, Sequence
from itertools import batched
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa

from orchestration.defs.duplicates import cluster_members
from orchestration.defs.matches import match_candidates
from orchestration.duplicates.members import clusters_digest
from orchestration.facts import SCHEMAS, FactTable, literal
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.matches import calibration, candidates
from orchestration.matches.calibration import NOT_TRAINED, Found, Heads
from orchestration.matches.search import view_vectors
from orchestration.progress import track
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import Warehouse
from transforms.encoders import Vectors
from transforms.matches import null_distribution, search

CODE = 2  # raise when the same fingerprints would give other scores
_TABLES = ("calibration_pictures", "null_fits", "null_scores")  # in the order in which they are written
_BATCH = 256  # generations searched at once


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch", "opencv"},
    owners=["team:safety-research"],
    deps=[cluster_members],
    pool="gpu",
)
def null_scores(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """What a picture that is not in the training set scores at its best: each training picture against all others.

    Searched with the same views as a generation, so that the two are comparable; held-out pictures too, where there
    are. The sample is stable: the `limits.null_sample` pictures of the smallest pixel digests. Beside them, edited
    copies of some are looked for, and all matches are compared by pixels: how often either is wrong.
    """
    tables = [warehouse.facts[name] for name in _TABLES]
    made_by = _recipe(warehouse)
    if {table.recipe for table in tables} != {made_by}:
        training = calibration.heads(warehouse)
        found = calibration.compared(warehouse, training, list(_found(warehouse, training)))
        for table, rows in zip(tables, _rows(warehouse, training, found), strict=True):
            table.replace([rows], made_by)
    fit = warehouse.facts["null_fits"].read().to_pylist()
    scores = np.sort(warehouse.facts["null_scores"].read(["score"])["score"].to_numpy())
    return dg.MaterializeResult(
        metadata={
            **asset_metadata.fact(warehouse.facts["null_scores"]),
            **{f"score at {q:.0%}": float(np.quantile(scores, q)) for q in (0.5, 0.95, 1.0) if len(scores)},
            **{name: value for row in fit for name, value in row.items() if value is not None},
        }
    )


def _recipe(warehouse: Warehouse) -> str:
    held_out = [(path, (stat := Path(path).stat()).st_size, stat.st_mtime_ns) for path in held_out_paths(warehouse)]
    chosen = warehouse.settings.calibration.model_dump(include={"trials", "tail"})
    rules = (warehouse.views, warehouse.settings.limits.null_sample, chosen, warehouse.pixel_limits, held_out)
    training = (fingerprint_versions(warehouse.facts, warehouse.encoder_id(COPY)), clusters_digest(warehouse.facts))
    return recipe("null", (CODE, calibration.CODE, candidates.CODE), training, rules)


held_out_paths = calibration.held_out_paths


def _found(warehouse: Warehouse, training: Heads) -> Iterator[Found]:
    """Yield the best match of each picture that is no copy, and of each edited copy how its source scores."""
    wanted = calibration.sampled(warehouse, training)
    background = _background(warehouse, training)
    for pictures, views in calibration.embedded(warehouse, training, wanted):
        if not pictures:
            continue
        near = search.best_over_views(views, training.rows, warehouse.settings.limits.neighbours + 1)
        around = _around(views, training, background)
        for place, picture in enumerate(pictures):
            if picture.edit is None or picture.position is None:
                best = null_distribution.strongest(near[place], around[place], picture.position)
                if best.position is not None:
                    yield Found(picture, best.position, best.score, best.background)
            else:
                source = training.rows.take(np.array([picture.position]))
                mean = null_distribution.background_mean(around[place], [picture.position])
                yield Found(picture, picture.position, float((views[place] @ source.T).max()), mean)


def _background(warehouse: Warehouse, training: Heads) -> np.ndarray:
    """Return the positions of the sampled training pictures, ascending."""
    return np.sort(null_distribution.smallest(training.digests, warehouse.settings.limits.null_sample))


def _around(views: Vectors, training: Heads, background: np.ndarray) -> list[search.Found]:
    """Return the best background scores of some pictures, by position among the searched."""
    best = search.best_over_views(views, training.rows.take(background), null_distribution.BACKGROUND + 2)
    return [search.Found(background[each.position], each.score, each.view) for each in best]


def _rows(warehouse: Warehouse, training: Heads, found: Sequence[Found]) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return the rows of `calibration_pictures`, `null_fits` and `null_scores`."""
    tail = warehouse.settings.calibration.tail
    null = sorted((each for each in found if each.picture.edit is None), key=lambda each: each.picture.digest)
    copies = [each for each in found if each.picture.edit is not None]
    scores = [each.score - each.background for each in null]
    fit = null_distribution.fit(scores, tail)
    unseen = null_distribution.cross_fitted(scores, tail)
    p_values = [*unseen, *fit.p_values([each.score - each.background for each in copies])]
    rows = [_row(training, each, float(p)) for each, p in zip([*null, *copies], p_values, strict=True)]
    uniform = null_distribution.uniformity(unseen) if len(unseen) else (None, None)
    numbers = vars(fit.tail) if fit.tail else {}
    fits = [
        {"measure": "normalised_score", "pictures": len(null), **numbers}
        | dict(zip(("ks_distance", "ks_p_value"), uniform, strict=True))
    ]
    samples = [row for row in rows if row["population"] == NOT_TRAINED and row["sample_id"] is not None]
    names = SCHEMAS["null_scores"].names
    return (
        pa.Table.from_pylist(rows, SCHEMAS["calibration_pictures"]),
        pa.Table.from_pylist(fits, SCHEMAS["null_fits"]),
        pa.Table.from_pylist([{name: row[name] for name in names} for row in samples], SCHEMAS["null_scores"]),
    )


def _row(training: Heads, found: Found, p_value: float) -> dict[str, object]:
    picture = found.picture
    digest, edit = picture.key
    return {
        "pixel_sha256": digest,
        "edit": edit,
        "population": picture.population,
        "sample_id": None if picture.position is None else int(training.ids[picture.position]),
        "path": picture.path,
        "nearest_id": int(training.ids[found.position]),
        "score": found.score,
        "background": found.background,
        "p_value": p_value,
        "confirmed": found.confirmed,
        "failure": found.failure,
    }


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=[match_candidates, null_scores],
    pool="gpu",
)
def generation_backgrounds(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """A generation's best scores against a sample of training pictures: what it has in common with many."""
    table, prints = warehouse.facts["generation_backgrounds"], warehouse.facts["generation_fingerprints"]
    readable = prints.read(["generation_id", "recipe"], "status <> 'failed'").to_pylist()
    sample = _sample_digest(warehouse, table) if readable else ""
    wanted = {row["generation_id"]: recipe("generation background", CODE, sample, row["recipe"]) for row in readable}
    known = {row["generation_id"]: row["recipe"] for row in table.read(["generation_id", "recipe"]).to_pylist()}
    due = sorted(name for name, made in wanted.items() if known.get(name) != made)
    training = calibration.heads(warehouse) if due else None
    for names in batched(track(due, "background of generations", len(due)), _BATCH):
        if training is not None:
            table.upsert(_background_rows(warehouse, training, names, wanted))
    for gone in batched(sorted(known.keys() - wanted.keys()), 500):
        table.delete(f"generation_id in ({', '.join(map(literal, gone))})")
    return dg.MaterializeResult(
        metadata={**asset_metadata.fact(warehouse.facts["generation_backgrounds"]), "scored now": len(due)}
    )


def _sample_digest(warehouse: Warehouse, table: FactTable) -> str:
    """Hash which pictures are the background. It is noted beside the training set's state, and read from there.

    A generation is scored anew only if the sample is another, which it rarely is in a large training set that grows.
    """
    training = (fingerprint_versions(warehouse.facts, warehouse.encoder_id(COPY)), clusters_digest(warehouse.facts))
    state = recipe("background state", training, warehouse.settings.limits.null_sample, warehouse.views)
    noted, _, sample = table.recipe.partition(" ")
    if noted != state:
        known = calibration.heads(warehouse)
        kept = null_distribution.smallest(known.digests, warehouse.settings.limits.null_sample)
        # the encoder too: the same picture has another vector by another
        digests, ids = known.digests[kept].tobytes().hex(), known.ids[kept].tolist()
        sample = recipe("background sample", digests, ids, warehouse.encoder_id(COPY), warehouse.views)
        table.note_recipe(f"{state} {sample}")
    return sample


def _background_rows(warehouse: Warehouse, training: Heads, names: Sequence[str], made_by: dict[str, str]) -> pa.Table:
    around = _around(view_vectors(warehouse, names), training, _background(warehouse, training))
    rows = [
        {
            "generation_id": name,
            "recipe": made_by[name],
            "background_ids": training.ids[found.position].tolist(),
            "background_scores": found.score.astype(np.float64).tolist(),
        }
        for name, found in zip(names, around, strict=True)
    ]
    return pa.Table.from_pylist(rows, SCHEMAS["generation_backgrounds"])
