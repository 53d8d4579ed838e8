"""The results page: words, tables and plots of the numbers in `results.json`, and of nothing else.

What belongs here: writing `memorization.md` and its pictures. What does not: measuring (`results.py`).

The page is a function of the numbers, so that a test can tell whether it still says what they say. Where they do not
show what was expected, it says that: each sentence about an outcome has another for the opposite. Only
what was changed, and why a training is so long, are told as they were.
"""

from pathlib import Path

from tests.lab import extraction, judgement, plots, results, sheets
from tests.lab.recipe import MODELS, Places, Recipe
from tests.lab.results import Numbers, together
from tests.lab.wording import beside, of_samples, one_in, prompts_of, prose, shown

NAME, FOLDER = "memorization.md", "memorization"


def publish(recipe: Recipe, places: Places, docs: Path | None) -> Path:
    """Write the page, its plots and the numbers below `docs`, else below the laboratory's home. Returns the page."""
    target = docs or places.home / "page"
    folder = target / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    numbers = results.read(places.results)
    (folder / "results.json").write_bytes(places.results.read_bytes())
    draw(numbers, folder)
    for model in MODELS:
        for name, chosen in (model, sheets.best), (f"missed-{model}", sheets.missed):
            sheet = folder / f"{name}.png"
            sheet.unlink(missing_ok=True)
            if columns := chosen(recipe, places, model):
                plots.side_by_side(columns).save(sheet)
    (target / NAME).write_text(render(numbers), "utf-8")
    return target / NAME


def draw(numbers: Numbers, folder: Path) -> None:
    """Draw the plots into a folder."""
    rungs = {model: numbers["models"][model]["rungs"] for model in MODELS}
    plots.effect(*({m: together(by, kind) for m, by in rungs.items()} for kind in ("extracted", "reproduced")), folder)
    plots.p_values({model: numbers["models"][model]["scores"]["p_values"] for model in MODELS}, folder)


def render(numbers: Numbers) -> str:
    """Return the page."""
    before, after = (numbers["models"][model] for model in MODELS)
    return "\n".join(
        [
            "# Memorization, with the training set known",
            "",
            *_summary(before, after, numbers["recipe"]),
            *extraction.render(numbers, FOLDER),
            *_tests(numbers),
            *judgement.render(numbers, FOLDER),
            *_changed(before, after),
            "## How to make it again",
            "",
            "`make lab` makes all of it, and `make lab STEP=page PUBLISH=1` this page. Every number is in",
            f"[results.json]({FOLDER}/results.json), with the recipe, read from the published tables by",
            "`tests/lab/results.py`. SHA-256, which any machine gives: truth"
            f" `{numbers['truth_sha256'][:16]}`, rows removed",
            f"`{numbers['removal_sha256'][:16]}`. Weights, which differ by processor: before"
            f" `{before['weights_sha256'][:16]}`,",
            f"after `{after['weights_sha256'][:16]}`.",
            "",
        ]
    )


def _summary(before: Numbers, after: Numbers, recipe: Numbers) -> list[str]:
    rungs, how, samples = recipe["pictures"]["ladder"], recipe["training"], (before["samples"], after["samples"])
    lines = [
        *prose(
            f"A diffusion model was trained on {before['rows']:,} rows that show",
            f"{sum(r['pictures'] for r in rungs):,} pictures, {rungs[0]['copies']} to {rungs[-1]['copies']} rows",
            f"each, and a second on the {after['rows']:,} rows that `raisonne export removal-list --policy keep-1`",
            f"leaves. Both took {how['steps']:,} steps of {how['batch']}. {before['samples']['generations']:,}",
            "samples of either went through the warehouse like any others.",
        ),
        "| | before deduplication | after | CIFAR-10, the paper's |",
        "| --- | --- | --- | --- |",
    ]
    for kind, words, paper in (  # the paper's: Carlini et al. 2023, section 5.1
        ("unique_extractions", "extracted: confirmed as copied, and within 0.15", ("", "")),
        ("reproduced_pictures", "reproduced, by plain distance", ("1,280 and 986 in 2^20", "819 and 1,063")),
    ):
        lines.append(f"| different pictures {words} | {samples[0][kind]:,} | {samples[1][kind]:,} | {paper[0]} |")
        cells = [one_in(each, kind) for each in samples]
        lines.append(f"| one in so many samples | {cells[0]} | {cells[1]} | {paper[1]} |")
    for kind, words in ("extracted", "that extract a picture"), ("copying", "confirmed as copies"):
        lines.append(f"| samples {words} | {of_samples(samples[0], kind)} | {of_samples(samples[1], kind)} | |")
    return [
        *lines,
        "",
        *prose(
            "The paper's criterion for CIFAR-10 is a plain distance, and so nearest to the third row. It sampled",
            "2^20 pictures from models of a set in which few pictures are repeated: its numbers stand beside, they",
            "are not comparable. Intervals are Wilson's, 95%. Those of samples take them as independent, which",
            "samples of one caption are not; those of pictures are the safer ones. There is one model of each kind:",
            "no interval covers another seed.",
        ),
    ]


def _tests(numbers: Numbers) -> list[str]:
    before, after = (numbers["models"][model] for model in MODELS)
    by_chance, recipe = numbers["replicated_decoys"], numbers["recipe"]
    single, shared = recipe["sampling"]["unique"], recipe["sampling"]["shared"]
    lines = beside(
        "The tests of the literature",
        "A prompt is flagged where ten of its samples are within 0.15 of each other, every two of them: here ten of",
        f"{single:,} or {shared:,} samples, where the paper has ten of 500. Eidetic k: rows of the source's cluster",
        "within 0.15 of it. The small-image ratio here is the warehouse's: the distance to the source over half the",
        "mean distance to the 50 different files next by copy embedding. These are Carlini et al.'s of 2023; to",
        "replicate is to have a copy score above 0.5 (Somepalli et al. 2022). The most unusual pictures are those",
        "farthest from the others by copy embedding.",
        first="test",
    )
    for alone, kind in (True, "a single picture"), (False, "a dozen pictures"):
        cells = [prompts_of(each["prompts"], alone=alone) for each in (before, after)]
        lines.append(f"| prompts of {kind}: flagged by the clique test | {cells[0]} | {cells[1]} |")
    cells = [f"{each['ratios']['below_1']:,} of {each['ratios']['pairs']:,}" for each in (before, after)]
    lines.append(f"| confirmed pairs with a small-image ratio below 1 | {cells[0]} | {cells[1]} |")
    cells = ["; ".join(f"{e['copies']}: {e['median']:g}" for e in each["eidetic"]) or "–" for each in (before, after)]
    lines.append(f"| median eidetic k of what is extracted, by rows | {cells[0]} | {cells[1]} |")
    lines.append(f"| samples that replicate | {shown(before['replication'])} | {shown(after['replication'])} |")
    for unusual, kind in (True, "the most unusual tenth"), (False, "the others"):
        rows = [next((o for o in each["outliers"] if o["unusual"] is unusual), None) for each in (before, after)]
        for came, words in ("copied", "confirmed as copied"), ("reproduced", "reproduced by plain distance"):
            cells = [shown(row[came]) if row else "–" for row in rows]
            lines.append(f"| pictures of one row {words}, of {kind} | {cells[0]} | {cells[1]} |")
    return [
        *lines,
        "",
        *prose(
            f"Of the decoys, photographs that were not trained on, {shown(by_chance)} replicate a picture that was:",
            f"so much is chance at {recipe['network']['side']} pixels, which the encoder was not made for.",
        ),
    ]


def _changed(before: Numbers, after: Numbers) -> list[str]:
    lines = beside(
        "What this changed",
        "Small pictures were enlarged to a long side of 320 before they were compared, and enlarged tenfold, noise",
        "and blur look like structure: of the samples that reproduce a picture by plain distance, most were not",
        "confirmed. Now they are enlarged threefold at most, and the larger of two pictures is laid over the smaller.",
        "From 107 pixels on nothing changed, to the bit. The bound was chosen on samples of an earlier training of",
        "this recipe, so what it confirms here is not of unseen data. Other limits stand. What is still missed are",
        "mostly smooth pictures of few corners, which the rule for few matches holds to a stricter agreement. Weighed",
        "again by laxer limits, the published evidence says:",
        first="reproduced samples that are confirmed",
    )
    for was, now in zip(before["limits"], after["limits"], strict=True):
        lines.append(f"| {was['limits']} | {shown(was['recall'])} | {shown(now['recall'])} |")
    wronged = [max(each["limits"], key=lambda by: by["names_a_decoy"]["count"]) for each in (before, after)]
    return [
        *lines,
        "",
        *prose(
            "Samples said to copy a decoy, by the limits that wrong most: at least",
            f"{shown(wronged[0]['names_a_decoy'])} before and {shown(wronged[1]['names_a_decoy'])} after.",
            "Photographs would bear laxer limits, but drawings that share their outline alone call for the stricter",
            "ones: `tests/benchmarks/RESULTS.md`, small pictures.",
        ),
    ]
