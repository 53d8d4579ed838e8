"""The samples that are kept with the code, and the demonstration on them: a model whose training set is known.

What belongs here: which samples are kept, and what is said of their warehouse. What does not: drawing them
(`sampling.py`), running the warehouse (`warehouses.py`).

Kept are the first samples of every caption, whatever they show, and the weights that they are drawn from. The training
set is not kept: the recipe makes it again from the photographs of `data/sample`.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.lab import dataset, results, warehouses
from tests.lab.dataset import write_whole
from tests.lab.recipe import Places, Recipe, RecipeError
from tests.lab.results import together
from tests.lab.scoring import Share
from transforms.hashing.hashes import file_sha256

KEPT = warehouses.ROOT / "data" / "generated"
MODEL, SHARED, UNIQUE, NAME = "before", 3, 1, "kept"
"""Whose samples are kept; how many of a caption that pictures share, and of one that names a single picture; the name
of their warehouse."""
ABOUT = "made_by.json"
# Minutes instead of a quarter of an hour: the encoder for CPUs, and no trials of how reliable p-values are.
_QUICK = '[encoders]\ncopy = "sscd_distilled"\n\n[calibration]\ntrials = 0\n'
_FALSE = """
select count(distinct generation_id) filter (where samples.dataset = 'decoys'), count(distinct generation_id)
from provenance.memorization join catalog.samples as samples using (sample_id)"""


def keep(recipe: Recipe, places: Places, folder: Path = KEPT) -> int:
    """Copy the samples that are kept, and say what made them and what is found in them. Returns how many."""
    from tests.lab import sampling, training  # and torch, which takes seconds

    chosen = recipe.sampling.model_copy(update={"shared": SHARED, "unique": UNIQUE})
    wanted = list(sampling.wanted(dataset.captions(dataset.truth(places)), chosen))
    drawn, made = places.generations(MODEL), places.model(MODEL) / training.WEIGHTS
    sampling.require(recipe, made, drawn)
    if recipe.sampling.shared < SHARED or recipe.sampling.unique < UNIQUE:
        raise RecipeError(f"{SHARED} and {UNIQUE} samples of a caption are kept, and the recipe draws fewer")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for each in wanted:
        shutil.copyfile(drawn / each.name, partial / each.name)
    weights = shutil.copyfile(made, partial / training.WEIGHTS)
    sampling.write_list(partial, [(each.name, each.caption, each.seed) for each in wanted], MODEL)
    about = {
        "recipe": recipe.model_dump(mode="json"),
        "weights_sha256": file_sha256(weights),
        "truth_sha256": file_sha256(places.truth),
        "samples": len(wanted),
        "samples_sha256": digest(partial),
        "found": list(found(run(recipe, places, partial))),
    }
    write_whole(partial / ABOUT, json.dumps(about, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return len(wanted)


def digest(folder: Path) -> str:
    """Return the SHA-256 of the names and bytes of a folder's samples, in order."""
    told = hashlib.sha256()
    for path in sorted(folder.glob("*.png")):
        told.update(f"{path.name} {file_sha256(path)}\n".encode())
    return told.hexdigest()


def made_by(folder: Path = KEPT) -> Recipe:
    """Return the recipe of the kept samples. Raises RecipeError where there are none."""
    if not (folder / ABOUT).exists():
        raise RecipeError(f"{folder} holds no samples; `make lab` and `make lab STEP=keep` make them")
    return Recipe(**json.loads((folder / ABOUT).read_text("utf-8"))["recipe"])


def run(recipe: Recipe, places: Places, folder: Path = KEPT) -> Places:
    """Hold the kept samples against the training set, which is there. Returns the places, where `found` reads."""
    warehouses.run(recipe.model_copy(update={"warehouse": _QUICK}), places, NAME, folder)
    return places


def found(places: Places) -> Iterator[str]:
    """Yield what the warehouse says of the samples, beside what is known, line by line."""
    with results.opened(places, NAME) as con:
        rungs = results.rungs(con, frozenset(), {})
        [(decoys, copies)] = con.execute(_FALSE).fetchall()
        [(samples,)] = con.execute("select count(*) from catalog.generations").fetchall()
    shares = together(rungs, "copied")
    pictures = sum(one["of"] for one in shares.values())
    rows = sum(copied * one["of"] for copied, one in shares.items())
    yield f"{samples:,} samples of a diffusion model trained on {rows:,} rows that show {pictures:,} pictures:"
    yield f"  confirmed as copies: {copies:,}; of pictures that it was never trained on: {decoys:,}"
    yield "  rows that show a picture: pictures that came back"
    for copied, one in shares.items():
        yield f"  {copied:>6}: {_words(one)}"


def _words(one: Share) -> str:
    return f"{one['count']} of {one['of']} ({one['low']:.3f} to {one['high']:.3f})" if one["of"] else "none"
