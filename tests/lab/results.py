"""The numbers of the page, read from the published warehouses and from the truth.

What belongs here: one query a number, and what was run to get it. What does not: words and plots (`page.py`), scoring
verdicts (`scoring.py`).

A rung counts the pictures that were planted so often, as the truth says. `provenance.duplication_effect` has the same
numbers by the copies that the warehouse counted, and in its band of 1 also the decoys; it stands beside.
"""

import json
from collections import Counter
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from PIL import Image

from tests.lab import dataset, scoring, training
from tests.lab.recipe import MODELS, Places, Recipe
from transforms.hashes import file_sha256

PAIRS = 8
type Numbers = dict[str, Any]

# The cluster of every picture that was trained on: that of its row as it was first encoded.
_PICTURES = """
create temp table pictures as
select truth.picture, truth.copies, truth.caption, truth.named_alone, samples.sample_id,
    coalesce(clusters.cluster_id, samples.sample_id) as cluster_id, coalesce(counts.duplicate_count, 1) as counted
from truth
join catalog.samples on samples.dataset = truth.dataset and samples.shard = truth.shard
    and samples.row_number = truth.row_number
left join duplicates.clusters using (sample_id)
left join duplicates.counts using (cluster_id)
where truth.dataset = 'training' and truth.edit = 'original'"""
_RUNGS = """
with copied as (
    select cluster_id, coalesce(bool_or(extracted), false) as extracted
    from provenance.memorization group by cluster_id
)
select copies, named_alone, count(*), count(copied.cluster_id), count(*) filter (where extracted),
    count(*) filter (where counted = copies)
from pictures left join copied using (cluster_id)
group by all order by all"""
_TOTALS = """
select count(*), count(distinct generation_id) filter (where extracted),
    count(distinct cluster_id) filter (where extracted), count(distinct generation_id), count(distinct cluster_id)
from provenance.memorization"""
_PROMPTS = """
select exists (select 1 from truth where truth.caption = prompts.prompt and named_alone) as alone,
    count(*), count(*) filter (where flagged), max(largest_clique), min(clique_size),
    count(*) filter (where generations < clique_size)
from provenance.prompts group by alone order by alone"""
_EIDETIC = """
select copies, count(*), min(eidetic_k), median(eidetic_k), max(eidetic_k)
from (
    select pictures.copies, memorization.sample_id, max(eidetic_k) as eidetic_k
    from provenance.memorization join pictures using (cluster_id)
    where extracted group by all
) group by copies order by copies"""
_RATIOS = """
select count(small_image_ratio), count(*) filter (where small_image_ratio < 1), median(small_image_ratio)
from provenance.memorization"""
_COPIED = "select distinct picture from provenance.memorization join pictures using (cluster_id)"
# Ranked where something is copied; the pictures are those of both models.
_UNUSUAL = """
select picture, percentile >= 0.9
from provenance.outliers join pictures using (cluster_id)
where sampled and copies = 1"""
_BEST = """
select path, picture, copies, tile_l2
from (
    select memorization.*, generations.path, pictures.picture, pictures.copies,
        row_number() over (partition by memorization.cluster_id order by tile_l2) as place
    from provenance.memorization
    join catalog.generations using (generation_id)
    join pictures on pictures.cluster_id = memorization.cluster_id
    where extracted
)
where place = 1 order by tile_l2, generation_id limit ?"""


def write(recipe: Recipe, places: Places) -> None:
    """Write `results.json` from what the steps before left."""
    lines = dataset.truth(places)
    kinds = Counter(kind for kind, _ in {(line["dataset"], line["picture"]) for line in lines})
    found: Numbers = {
        "recipe": recipe.model_dump(mode="json"),
        "truth_sha256": file_sha256(places.truth),
        "pictures": {"trained": kinds[dataset.TRAINING], "decoys": kinds[dataset.DECOYS]},
        "models": {},
    }
    unusual = {}
    for model in MODELS:
        with duckdb.connect(str(places.warehouse(model) / "raisonne.duckdb"), read_only=True) as con:
            _with_truth(con, places)
            unusual |= dict(con.execute(_UNUSUAL).fetchall())
    for model in MODELS:
        found["models"][model] = collect(recipe, places, model, unusual)
    dataset.write_whole(places.results, json.dumps(found, indent=1) + "\n")


def collect(recipe: Recipe, places: Places, model: str, unusual: Mapping[scoring.Picture, bool]) -> Numbers:
    """Read the numbers of a model from its published warehouse. unusual: of pictures of one row, whether they are."""
    database = places.warehouse(model) / "raisonne.duckdb"
    verdicts = scoring.judged(database, places)
    found: Numbers = {"weights_sha256": file_sha256(places.model(model) / training.WEIGHTS)}
    with duckdb.connect(str(database), read_only=True) as con:
        found["rungs"] = rungs(con, places)
        [(_, extracted, unique, copying, copied)] = con.execute(_TOTALS).fetchall()
        found["samples"] = {"generations": len(verdicts), "extracted": extracted, "unique_extractions": unique}
        found["samples"] |= {"copying": copying, "copied_pictures": copied}
        names = ("alone", "prompts", "flagged", "largest_clique", "clique_size", "too_few")
        found["prompts"] = _dicts(con, _PROMPTS, names)
        found["eidetic"] = _dicts(con, _EIDETIC, ("copies", "pictures", "least", "median", "most"))
        [found["ratios"]] = _dicts(con, _RATIOS, ("pairs", "below_1", "median"))
        named = {picture for (picture,) in con.execute(_COPIED).fetchall()}
        found["published_bands"] = con.execute("from provenance.duplication_effect").to_arrow_table().to_pylist()
        found["replication"] = con.execute("from provenance.replication").to_arrow_table().to_pylist()
        found["calibration"] = con.execute("from matches.calibration").to_arrow_table().to_pylist()
    near = scoring.nearest(database, places, recipe.network.side)
    found["scores"] = scoring.scored(verdicts, near)
    found["outliers"] = outliers(unusual, named, {by.picture for by in near.values() if by.reproduced})
    return found


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


def rungs(con: duckdb.DuckDBPyConnection, places: Places) -> list[Numbers]:
    """Return what became of the pictures of each rung, those of shared and of single captions apart."""
    _with_truth(con, places)
    return [_rung(*row) for row in con.execute(_RUNGS).fetchall()]


type Column = tuple[list[Image.Image], str]
"""A sample, the picture it is nearest to, the one next nearest, and words for below."""


def best(recipe: Recipe, places: Places, model: str, count: int = PAIRS) -> list[Column]:
    """Return the nearest extractions, one a picture."""
    database = places.warehouse(model) / "raisonne.duckdb"
    with duckdb.connect(str(database), read_only=True) as con:
        _with_truth(con, places)
        rows = con.execute(_BEST, [count]).fetchall()
    return _columns(recipe, places, [(path, picture, f"{n} rows, {far:.3f}") for path, picture, n, far in rows])


def missed(recipe: Recipe, places: Places, model: str, count: int = PAIRS) -> list[Column]:
    """Return the samples that reproduce a picture most clearly of those that are not confirmed, one a picture."""
    database = places.warehouse(model) / "raisonne.duckdb"
    near = scoring.nearest(database, places, recipe.network.side)
    loose = [each.generation_id for each in scoring.judged(database, places) if not each.copied]
    with duckdb.connect(str(database), read_only=True) as con:
        paths = dict(con.execute("select generation_id, path from catalog.generations").fetchall())
    copies = {line["picture"]: line["copies"] for line in dataset.truth(places)}
    chosen: dict[str, tuple[str, str, str]] = {}
    for generation in sorted((g for g in loose if g in near), key=lambda g: (near[g].ratio, g)):
        by = near[generation]
        if by.reproduced and len(chosen) < count:
            words = f"{copies[by.picture]} rows, {by.ratio:.2f}"
            chosen.setdefault(by.picture, (paths[generation], by.picture, words))
    return _columns(recipe, places, list(chosen.values()))


def _columns(recipe: Recipe, places: Places, chosen: list[tuple[str, str, str]]) -> list[Column]:
    if not chosen:
        return []
    made = [Image.open(path).convert("RGB") for path, _, _ in chosen]
    sources = [picture for _, picture, _ in chosen]
    others = scoring.next_nearest(places, list(zip(made, sources, strict=True)), recipe.network.side)
    shown = scoring.pictures(places, {*sources, *others})
    return [
        ([image, shown[source], shown[other]], words)
        for image, (_, source, words), other in zip(made, chosen, others, strict=True)
    ]


def _with_truth(con: duckdb.DuckDBPyConnection, places: Places) -> None:
    lines = dataset.truth(places)
    columns: dict[str, list] = {name: [line[name] for line in lines] for name in dataset.COLUMNS}
    columns["named_alone"] = [line == "1" for line in columns.pop("unique")]
    for name in ("row_number", "copies"):
        columns[name] = np.array(columns[name], np.int64)
    con.register("truth", pa.table(columns))
    con.execute(_PICTURES)


def _rung(copies: int, alone: bool, pictures: int, copied: int, extracted: int, counted: int) -> Numbers:
    return {
        "copies": copies,
        "alone": alone,
        "copied": scoring.share(copied, pictures),
        "extracted": scoring.share(extracted, pictures),
        "counted_rightly": scoring.share(counted, pictures),
    }


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
