"""The memorization laboratory: `python -m tests.lab STEP`. A step goes on where it was; what is made is not made again.

What belongs here: the steps and their order. What does not: doing them. Some import late, as torch takes seconds.

    dataset     cut the pictures, write the training set, the decoys and the truth
    rehearse    generations whose source is known, through the warehouse, against the truth
    train       the model of all rows, the removal list, the model of the rows that it leaves
    sample      both models, all captions
    warehouse   both models' samples against the training set
    page        results.json from the warehouses; docs/explanation/memorization.md and its plots with --publish
    all         all of it

    keep        some of the first model's samples, and what is found in them, into data/generated, kept with the code
    demo        these through a warehouse: `make demo`
    score       the verdicts of that warehouse against what is known, as JSON
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from tests.benchmarks.data import originals
from tests.lab import dataset, demo, rehearsal, warehouses
from tests.lab.recipe import MODELS, RECIPES, Places, Recipe, RecipeError, load
from tests.lab.warehouses import ROOT

DOCS = ROOT / "docs" / "explanation"
STEPS = ("dataset", "rehearse", "train", "sample", "warehouse", "page")
APART = ("keep", "demo", "score")
"""Steps that `all` leaves out."""


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def step(name: str, recipe: Recipe, places: Places, models: list[str], publish: Path | None) -> None:
    """Do a step, or what is left of it."""
    if name not in ("dataset", "demo", "score"):
        dataset.require(recipe.pictures, places)
    match name:
        case "dataset":
            made = dataset.build(originals, recipe.pictures, places)
            lines = dataset.truth(places)
            say(f"{len(lines):,} rows in {places.home}" + ("" if made else ", as they were"))
        case "rehearse":
            from tests.lab import scoring

            _rehearse(recipe, places)
            print(json.dumps(scoring.rehearsed(warehouses.run(recipe, places, rehearsal.MODEL), places), indent=1))
        case "train":
            from tests.lab import training

            for model in models:
                left_out = warehouses.removal_list(recipe, places) if model == "after" else set()
                rows = training.rows(places.training, recipe, left_out)
                say(f"{model}: {len(rows.pictures):,} rows")
                training.train(recipe, rows, places.model(model), say)
        case "sample":
            from tests.lab import sampling, training

            captions = dataset.captions(dataset.truth(places))
            for model in models:
                weights = places.model(model) / training.WEIGHTS
                training.about(weights, recipe, model)
                sampling.sample(recipe, weights, captions, places.generations(model), say)
        case "warehouse":
            from tests.lab import sampling, training

            for model in models:
                sampling.require(recipe, places.model(model) / training.WEIGHTS, places.generations(model))
                warehouses.run(recipe, places, model)
        case "keep":
            say(f"{demo.keep(recipe, places):,} samples in {demo.KEPT}")
        case "demo":
            recipe = demo.made_by()
            step("dataset", recipe, places, models, None)
            for line in demo.found(demo.run(recipe, places)):
                print(line)
        case "score":
            from tests.lab import scoring

            recipe = demo.made_by()
            step("dataset", recipe, places, models, None)
            demo.run(recipe, places)
            published = places.warehouse(demo.NAME) / "raisonne.duckdb"
            near = scoring.nearest(published, places, recipe.network.side)
            print(json.dumps(scoring.scored(scoring.judged(published, places), near), indent=1))
        case "page":
            from tests.lab import page, results

            results.write(recipe, places)
            page.publish(recipe, places, publish)


def _rehearse(recipe: Recipe, places: Places) -> None:
    from tests.lab import sampling

    folder, truth = places.generations(rehearsal.MODEL), places.home / "rehearsal.csv"
    made = folder / sampling.LIST
    if not made.exists() or len(made.read_text("utf-8").splitlines()) != recipe.rehearsed * len(rehearsal.KINDS):
        shutil.rmtree(folder, ignore_errors=True)
        parts = dataset.cast(originals(), recipe.pictures)
        trained = [planned.square for planned in parts.trained]
        rehearsal.rehearse(trained, parts.unseen, recipe.rehearsed, folder, truth, recipe.pictures.seed)


def main(arguments: list[str]) -> int:
    """Do the steps that are asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=(*STEPS, "all", *APART))
    parser.add_argument("--recipe", default="small", help="a name in tests/lab/recipes, or a file (default: small)")
    parser.add_argument("--home", type=Path, help="where all is written (default: data/lab/RECIPE)")
    parser.add_argument("--model", choices=MODELS, help="one of the two models (default: both)")
    parser.add_argument("--publish", action="store_true", help="write docs/explanation/memorization.md too")
    asked = parser.parse_args(arguments)
    path = Path(asked.recipe)
    path = path if path.suffix == ".toml" else RECIPES / f"{asked.recipe}.toml"
    home = ROOT / "data" / "lab" / ("demo" if asked.step in ("demo", "score") else path.stem)
    places = Places((asked.home or home).resolve())
    try:
        recipe = load(path)
        places.home.mkdir(parents=True, exist_ok=True)
        with FileLock(places.home / ".lock", timeout=0):
            for name in STEPS if asked.step == "all" else [asked.step]:
                say(f"{name}:")
                models = [asked.model] if asked.model else list(MODELS)
                step(name, recipe, places, models, DOCS if asked.publish else None)
    except Timeout:
        say(f"another laboratory is at work in {places.home}; wait for it, or choose another --home")
        return 1
    except (RecipeError, warehouses.RunFailed) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
