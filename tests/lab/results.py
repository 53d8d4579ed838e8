"""The numbers of the page, read from the published warehouses and from the truth.

What belongs here: one query a number, and what was run to get it. What does not: words and plots (`page.py`), scoring
verdicts (`scoring.py`).

A rung counts the pictures that were planted so often, as the truth says. `provenance.duplication_effect` has the same
numbers by the copies that the warehouse counted, and in its band of 1 also the decoys; it stands beside.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import lance
import numpy as np
import pyarrow as pa

from orchestration.settings.sections import Memorization
from tests.lab import dataset, limits, rehearsal, scoring, warehouses
from tests.lab.recipe import MODELS, Places, Recipe, RecipeError
from transforms.hashing.hashes import file_sha256

type Numbers = dict[str, Any]

# What every row shows, and the cluster of every picture that was trained on: that of its row as it was first encoded.
_SHOWN = """
create temp table shown as
select samples.sample_id, truth.picture, truth.copies, truth.dataset = 'training' as trained
from truth join catalog.samples using (dataset, shard, row_number)"""
_PICTURES = """
create temp table pictures as
select truth.picture, truth.copies, truth.named_alone,
    coalesce(clusters.cluster_id, samples.sample_id) as cluster_id, coalesce(counts.duplicate_count, 1) as counted
from truth
join catalog.samples using (dataset, shard, row_number)
left join duplicates.clusters using (sample_id)
left join duplicates.counts using (cluster_id)
where truth.dataset = 'training' and truth.edit = 'original'"""
# By what a row shows and not by its cluster: a row that was cropped may have one of its own.
_CAME_BACK = """
with copied as (
    select picture, coalesce(bool_or(extracted), false) as extracted
    from provenance.memorization join shown using (sample_id)
    where trained group by picture
)
select picture, copies, named_alone, copied.picture is not null, coalesce(extracted, false), counted = copies
from pictures left join copied using (picture)
order by copies, named_alone, picture"""
_TOTALS = """
select count(distinct generation_id) filter (where extracted and trained),
    count(distinct picture) filter (where extracted and trained),
    count(distinct generation_id), count(distinct picture) filter (where trained)
from provenance.memorization join shown using (sample_id)"""
_DECOYS = "select sample_id from catalog.samples where dataset = 'decoys'"
_REPLICATION = "select sum(replicated)::bigint, sum(searched)::bigint from provenance.replication"
_PROMPTS = """
select exists (select 1 from truth where truth.caption = prompts.prompt and named_alone) as alone,
    count(*), count(*) filter (where flagged), max(largest_clique), min(clique_size),
    count(*) filter (where generations < clique_size)
from provenance.prompts group by alone order by alone"""
_EIDETIC = """
select copies, count(*), min(eidetic_k), median(eidetic_k), max(eidetic_k)
from (
    select copies, picture, max(eidetic_k) as eidetic_k
    from provenance.memorization join shown using (sample_id)
    where extracted and trained group by all
) group by copies order by copies"""
_RATIOS = """
select count(small_image_ratio), count(*) filter (where small_image_ratio < 1)
from provenance.memorization"""
_COPIED = "select distinct picture from provenance.memorization join shown using (sample_id) where trained"
# Ranked where something is copied; the pictures are those of both models.
_UNUSUAL = """
select picture, percentile >= 0.9
from provenance.outliers join pictures using (cluster_id)
where sampled and copies = 1"""


def write(recipe: Recipe, places: Places) -> None:
    """Write `results.json` from what the steps before left. Raises RecipeError where that is not of this recipe."""
    for database in (places.warehouse(model) / "raisonne.duckdb" for model in MODELS):
        if not database.exists():
            raise RecipeError(f"{database} is not there; run `warehouse` first")
    lines = dataset.truth(places)
    kinds = Counter(kind for kind, _ in {(line["dataset"], line["picture"]) for line in lines})
    left_out = {"before": set[dataset.Key](), "after": warehouses.removal_list(recipe, places)}
    rehearsed = places.warehouse(rehearsal.MODEL) / "raisonne.duckdb"
    found: Numbers = {
        "recipe": recipe.model_dump(mode="json"),
        "truth_sha256": file_sha256(places.truth),
        "removal_sha256": file_sha256(places.removal / warehouses.REMOVED),
        "pictures": {"trained": kinds[dataset.TRAINING], "decoys": kinds[dataset.DECOYS]},
        "chance": scoring.chance(places, recipe.network.side),
        "replicated_decoys": alike_decoys(places),
        "rehearsal": scoring.rehearsed(rehearsed, places) if rehearsed.exists() else {},
        "kept_twice": dataset.kept_twice(places, left_out["after"]),
        "models": {},
    }
    unusual = {}
    for model in MODELS:
        with opened(places, model) as con:
            unusual |= dict(con.execute(_UNUSUAL).fetchall())
    for model in MODELS:
        found["models"][model] = collect(recipe, places, model, unusual, left_out[model])
    dataset.write_whole(places.results, json.dumps(found, indent=1) + "\n")


def collect(
    recipe: Recipe,
    places: Places,
    model: str,
    unusual: Mapping[scoring.Picture, bool],
    left_out: Collection[dataset.Key],
) -> Numbers:
    """Read the numbers of a model from its published warehouse.

    unusual: of pictures of one row, whether they are. left_out: rows that it was not trained on.
    """
    from tests.lab import sampling, training  # and torch, which takes seconds

    weights = places.model(model) / training.WEIGHTS
    sampling.require(recipe, weights, places.generations(model))
    _require_searched(places, model)
    rows = int(training.about(weights, recipe, model)["rows"])
    found: Numbers = {"weights_sha256": file_sha256(weights), "rows": rows}
    database = places.warehouse(model) / "raisonne.duckdb"
    verdicts, near = scoring.judged(database, places), scoring.nearest(database, places, recipe.network.side)
    reproduced = {by.picture for by in near.values() if by.reproduced and by.trained}
    with opened(places, model) as con:
        found["rungs"] = rungs(con, reproduced, dataset.repeated(places, recipe.sampling, left_out))
        [(extracted, unique, copying, copied)] = con.execute(_TOTALS).fetchall()
        found["samples"] = {"generations": len(verdicts), "extracted": extracted, "unique_extractions": unique}
        found["samples"] |= {"copying": copying, "copied_pictures": copied, "reproduced_pictures": len(reproduced)}
        names = ("alone", "prompts", "flagged", "largest_clique", "clique_size", "too_few")
        found["prompts"] = _dicts(con, _PROMPTS, names)
        found["eidetic"] = _dicts(con, _EIDETIC, ("copies", "pictures", "least", "median", "most"))
        [found["ratios"]] = _dicts(con, _RATIOS, ("pairs", "below_1"))
        named = {picture for (picture,) in con.execute(_COPIED).fetchall()}
        found["published_bands"] = con.execute("from provenance.duplication_effect").to_arrow_table().to_pylist()
        [(replicated, searched)] = con.execute(_REPLICATION).fetchall()
        found["replication"] = scoring.share(replicated, searched)
    found["scores"] = scoring.scored(verdicts, near)
    found["limits"] = limits.replayed(database, places, near)
    found["outliers"] = outliers(unusual, named, reproduced)
    return found


def _require_searched(places: Places, model: str) -> None:
    """Raise RecipeError where the warehouse searched other samples than those that are there."""
    folder, facts = places.generations(model), places.warehouse(model) / "facts" / "generation_fingerprints.lance"
    searched = lance.dataset(str(facts)).to_table(columns=["sha256"])["sha256"].to_pylist()
    if Counter(searched) != Counter(file_sha256(path) for path in folder.glob("*.png")):
        raise RecipeError(f"the warehouse has not searched what is in {folder}; run `warehouse` again")


def alike_decoys(places: Places) -> scoring.Share:
    """Return how many decoys have a copy score with a picture that was trained on above which a sample replicates."""
    facts, threshold = places.warehouse("before") / "facts" / "copy_embeddings.lance", Memorization().replication
    vectors = lance.dataset(str(facts)).to_table(columns=["sample_id", "vector"])
    with opened(places, "before") as con:
        decoys = {i for (i,) in con.execute(_DECOYS).fetchall()}
    held = np.array([i in decoys for i in vectors["sample_id"].to_pylist()])
    found = vectors["vector"].combine_chunks().flatten().to_numpy().reshape(len(held), -1)
    best = (found[held] @ found[~held].T).max(axis=1)
    return scoring.share(int((best > threshold).sum()), len(best))


def outliers(
    unusual: Mapping[scoring.Picture, bool], copied: Set[scoring.Picture], reproduced: Set[scoring.Picture]
) -> list[Numbers]:
    """Return how many of the most unusual pictures of one row came back, and of the others: confirmed, and by plain
    distance.
    """
    groups: dict[bool, set[scoring.Picture]] = {}
    for picture, is_unusual in unusual.items():
        groups.setdefault(is_unusual, set()).add(picture)
    return [
        {
            "unusual": which,
            "copied": scoring.share(len(group & copied), len(group)),
            "reproduced": scoring.share(len(group & reproduced), len(group)),
        }
        for which, group in sorted(groups.items())
    ]


def rungs(
    con: duckdb.DuckDBPyConnection, reproduced: Set[scoring.Picture], expected: Mapping[scoring.Picture, float]
) -> list[Numbers]:
    """Return what became of the pictures of each rung, those of shared and of single captions apart.

    con: opened by `opened`. reproduced: by plain distance. expected: `dataset.repeated`.
    """
    groups: dict[tuple[int, bool], list] = {}
    for picture, copies, alone, *came in con.execute(_CAME_BACK).fetchall():
        chance = expected.get(picture, 0.0)
        groups.setdefault((copies, alone), []).append((*came, picture in reproduced, chance))
    return [_rung(*group, list(zip(*pictures, strict=True))) for group, pictures in groups.items()]


def _rung(copies: int, alone: bool, columns: list[tuple]) -> Numbers:
    names = ("copied", "extracted", "counted_rightly", "reproduced")
    found = {name: scoring.share(sum(column), len(column)) for name, column in zip(names, columns, strict=False)}
    return {"copies": copies, "alone": alone, **found, "expected": float(np.mean(columns[-1]))}


@contextmanager
def opened(places: Places, model: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a published warehouse, with the truth and the cluster of every picture beside it."""
    with duckdb.connect(str(places.warehouse(model) / "raisonne.duckdb"), read_only=True) as con:
        _with_truth(con, places)
        yield con


def _with_truth(con: duckdb.DuckDBPyConnection, places: Places) -> None:
    lines = dataset.truth(places)
    columns: dict[str, list] = {name: [line[name] for line in lines] for name in dataset.COLUMNS}
    columns["named_alone"] = [line == "1" for line in columns.pop("unique")]
    for name in ("row_number", "copies"):
        columns[name] = np.array(columns[name], np.int64)
    con.register("truth", pa.table(columns))
    con.execute(_SHOWN)
    con.execute(_PICTURES)


def _dicts(con: duckdb.DuckDBPyConnection, query: str, names: tuple[str, ...]) -> list[Numbers]:
    return [dict(zip(names, row, strict=True)) for row in con.execute(query).fetchall()]


def together(rungs: list[Numbers], kind: str) -> dict[int, scoring.Share]:
    """Return the shares of the rungs, pictures of shared and of single captions together. kind: copied or extracted."""
    counts: dict[int, tuple[int, int]] = {}
    for rung in rungs:
        count, of = counts.get(rung["copies"], (0, 0))
        counts[rung["copies"]] = count + rung[kind]["count"], of + rung[kind]["of"]
    return {copies: scoring.share(*pair) for copies, pair in sorted(counts.items())}


def read(path: Path) -> Numbers:
    """Read `results.json`."""
    return json.loads(path.read_text("utf-8"))
