"""Which samples the page shows, beside the pictures that they are nearest to.

What belongs here: choosing them and finding their neighbours. What does not: laying them out (`plots.py`).
"""

from PIL import Image

from tests.lab import dataset, scoring
from tests.lab.recipe import Places, Recipe
from tests.lab.results import opened

PAIRS = 8
_BEST = """
select path, picture, copies, tile_l2
from (
    select generation_id, tile_l2, generations.path, picture, copies,
        row_number() over (partition by picture order by tile_l2, generation_id) as place
    from provenance.memorization
    join catalog.generations using (generation_id)
    join shown using (sample_id)
    where extracted and trained
)
where place = 1 order by tile_l2, generation_id limit ?"""

type Column = tuple[list[Image.Image], str]
"""A sample, the picture it is nearest to, the one next nearest, and words for below."""


def best(recipe: Recipe, places: Places, model: str, count: int = PAIRS) -> list[Column]:
    """Return the nearest extractions, one a picture."""
    with opened(places, model) as con:
        rows = con.execute(_BEST, [count]).fetchall()
    return _columns(recipe, places, [(path, picture, f"{n} rows, {far:.3f}") for path, picture, n, far in rows])


def missed(recipe: Recipe, places: Places, model: str, count: int = PAIRS) -> list[Column]:
    """Return the samples that reproduce a picture most clearly of those that are not confirmed, one a picture."""
    database = places.warehouse(model) / "raisonne.duckdb"
    near = scoring.nearest(database, places, recipe.network.side)
    loose = [each.generation_id for each in scoring.judged(database, places) if not each.copied]
    with opened(places, model) as con:
        paths = dict(con.execute("select generation_id, path from catalog.generations").fetchall())
    copies = {line["picture"]: line["copies"] for line in dataset.truth(places)}
    chosen: dict[str, tuple[str, str, str]] = {}
    for generation in sorted((g for g in loose if g in near), key=lambda g: (near[g].ratio, g)):
        by = near[generation]
        if by.reproduced and len(chosen) < count:
            words = f"{copies[by.picture]} rows, {by.ratio:.2f}" if by.trained else f"a decoy, {by.ratio:.2f}"
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
