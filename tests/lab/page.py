"""The results page: words, tables and plots of the numbers in `results.json`, and of nothing else.

What belongs here: writing `memorization.md` and its pictures. What does not: measuring (`results.py`).

The page is a function of the numbers, so that a test can tell whether it still says what they say. Where they do not
show what was expected, it says that: each sentence about an outcome has another for the opposite.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from tests.lab import judgement, plots, results
from tests.lab.recipe import MODELS, Places, Recipe
from tests.lab.results import Numbers, together
from tests.lab.wording import beside, of_samples, one_in, pooled, prompts_of, sampled, shown, value

NAME, FOLDER = "memorization.md", "memorization"
PAPER = {"before": 819, "after": 1_063}
"""Samples an extraction, CIFAR-10 before and after deduplication: Carlini et al. 2023, section 5.1."""


_CHANGED = [
    "## What this changed",
    "",
    "Small pictures were enlarged to a long side of 320 before they were compared, and enlarged tenfold, noise and",
    "blur look like structure: of the samples that reproduce a picture by plain distance, most were not confirmed.",
    "Now they are enlarged threefold at most, and the larger of two pictures is laid over the smaller. From 107",
    "pixels on nothing changed, to the bit. What is still missed are smooth pictures of few corners, which the rule",
    "for few matches holds to a stricter agreement. Laxer limits would confirm more here and no decoy, but drawings",
    "of one outline call for the stricter ones; they stand. Figures of both: `tests/benchmarks/RESULTS.md`, small",
    "pictures and the laboratory.",
    "",
]


def publish(recipe: Recipe, places: Places, docs: Path | None) -> Path:
    """Write the page, its plots and the numbers below `docs`, else below the laboratory's home. Returns the page."""
    target = docs or places.home / "page"
    folder = target / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    numbers = results.read(places.results)
    (folder / "results.json").write_bytes(places.results.read_bytes())
    draw(numbers, folder)
    for model in MODELS:
        for name, chosen in (model, results.best), (f"missed-{model}", results.missed):
            sheet = folder / f"{name}.png"
            sheet.unlink(missing_ok=True)
            if columns := chosen(recipe, places, model):
                plots.side_by_side(columns).save(sheet)
    (target / NAME).write_text(render(numbers), "utf-8")
    return target / NAME


def draw(numbers: Numbers, folder: Path) -> None:
    """Draw the plots into a folder."""
    plots.effect({model: together(numbers["models"][model]["rungs"], "extracted") for model in MODELS}, folder)
    plots.p_values({model: numbers["models"][model]["scores"]["p_values"] for model in MODELS}, folder)


def render(numbers: Numbers) -> str:
    """Return the page."""
    before, after = (numbers["models"][model] for model in MODELS)
    return "\n".join(
        [
            "# Memorization, with the training set known",
            "",
            *_summary(before, after, numbers["recipe"]),
            *_effect(before, after, numbers["recipe"]),
            *_tests(before, after),
            *judgement.render(before, after, numbers["pictures"], FOLDER),
            *_CHANGED,
            "## How to make it again",
            "",
            "`make lab`; the recipe is `tests/lab/recipes/small.toml`, and every number of this page is in",
            f"[results.json]({FOLDER}/results.json), read from the published tables by `tests/lab/results.py`. Truth:",
            f"SHA-256 `{numbers['truth_sha256'][:16]}`. Weights:"
            f" `{before['weights_sha256'][:16]}` before, `{after['weights_sha256'][:16]}` after.",
            "",
        ]
    )


def _summary(before: Numbers, after: Numbers, recipe: Numbers) -> list[str]:
    rungs = recipe["pictures"]["ladder"]
    pictures, rows = sum(r["pictures"] for r in rungs), sum(r["pictures"] * r["copies"] for r in rungs)
    how = recipe["training"]
    return [
        f"A diffusion model was trained on {rows:,} rows that show {pictures:,} pictures,",
        f"{rungs[0]['copies']} to {rungs[-1]['copies']} rows each, and a second on the rows that",
        f"`raisonne export removal-list --policy keep-1` leaves. Both took {how['steps']:,} steps of {how['batch']}.",
        f"{before['samples']['generations']:,} samples of either went through the warehouse like any others.",
        "",
        "| | before deduplication | after | CIFAR-10, the paper's |",
        "| --- | --- | --- | --- |",
        f"| different pictures extracted | {before['samples']['unique_extractions']:,} |"
        f" {after['samples']['unique_extractions']:,} | 1,280 and 986 in 2^20 |",
        f"| one in so many samples | {one_in(before['samples'])} | {one_in(after['samples'])} |"
        f" {PAPER['before']:,} and {PAPER['after']:,} |",
        f"| samples that extract a picture | {of_samples(before['samples'], 'extracted')} |"
        f" {of_samples(after['samples'], 'extracted')} | |",
        f"| samples confirmed as copies | {of_samples(before['samples'], 'copying')} |"
        f" {of_samples(after['samples'], 'copying')} | |",
        "",
        "The paper sampled 2^20 pictures from models of CIFAR-10, where few pictures are repeated; these numbers stand",
        "beside, they are not comparable. Intervals are Wilson's, 95%. Those of samples take them as independent,",
        "which samples of one caption are not; those of pictures are the safer ones.",
        "",
    ]


def _effect(before: Numbers, after: Numbers, recipe: Numbers) -> list[str]:
    seen = recipe["training"]["steps"] * recipe["training"]["batch"]
    pictures = sum(rung["pictures"] for rung in recipe["pictures"]["ladder"])
    rows = sum(rung["pictures"] * rung["copies"] for rung in recipe["pictures"]["ladder"])
    found, later = together(before["rungs"], "extracted"), together(after["rungs"], "extracted")
    copied, steps = together(before["rungs"], "copied"), list(found)
    lines = [
        "## Extraction by duplicate count",
        "",
        f"![Extraction by duplicate count]({FOLDER}/effect.svg)",
        "",
        "A picture is extracted where a sample is confirmed to copy it and lies within 0.15 of it, as the papers",
        "measure: root mean square, unaligned, of the worst of 16 tiles. Shown: how often a training of that",
        "length shows it.",
        "",
        "| rows | shown before, after | pictures | extracted before | extracted after | confirmed before |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for step in steps:
        lines.append(
            f"| {step} | {seen * step / rows:,.0f}, {seen / pictures:,.0f} | {found[step]['of']:,} |"
            f" {shown(found[step])} | {shown(later[step])} | {shown(copied[step])} |"
        )
    few, many = pooled(found, (1, 2)), pooled(found, (64, 128))
    rising = all(value(found[a]) <= value(found[b]) for a, b in pairwise(steps))
    lines += ["", "The share never falls" if rising else "The share falls"]
    lines[-1] += " from a rung to the next."
    if few["of"] and many["of"]:
        apart = few["high"] < many["low"]
        lines.append(
            f"Extracted of the pictures with 1 or 2 rows: {shown(few)}; of those with 64 or 128: {shown(many)}. The"
            f" intervals {'do not overlap' if apart else 'overlap, so that these data do not tell them apart'}."
        )
    was, now = (sampled(each["samples"], "extracted") for each in (before, after))
    lower = now["share"] < was["share"]
    lines.append(
        f"Samples that extract a picture: {shown(was)} before deduplication, {shown(now)} after: "
        + ("fewer." if lower else "not fewer. As many steps on fewer rows show each of them more often.")
    )
    near = after["scores"]["reproduced"]["count"] - after["scores"]["recall"]["count"]
    if lower and near:
        lines.append(
            f"That is not nothing: {near:,} of the later samples come nearer to one picture than the papers' ratio"
            " allows and are not confirmed; the nearest are shown below."
        )
    lines += [
        "",
        "How much comes back depends on how long is trained. The length was chosen before there was a second model, so",
        "that of the first one's samples pictures of few rows did not come back; after deduplication all are shown as",
        f"often as pictures of {rows / pictures:.0f} rows before. A longer training shows all more often.",
        "",
        "These are the pictures that were planted so often, as the truth says, not bands of what was counted:",
        "`provenance.duplication_effect` has in its band of 1 also the pictures that were held out.",
    ]
    lines += ["", "Captions that name a single picture, and captions that a dozen pictures share, before:", ""]
    lines += ["| rows | single caption | shared caption |", "| --- | --- | --- |"]
    for step in steps:
        by = {rung["alone"]: shown(rung["extracted"]) for rung in before["rungs"] if rung["copies"] == step}
        lines.append(f"| {step} | {by.get(True, '–')} | {by.get(False, '–')} |")
    return [*lines, "", *_sheets({"before": before, "after": after})]


def _sheets(found: Mapping[str, Numbers]) -> list[str]:
    lines = [
        "The nearest extractions, one a picture: a sample, below it the picture that it extracts, and below that the",
        "picture next nearest to the sample of all in the index. Then rows and tiled distance.",
        "",
    ]
    for model, numbers in found.items():
        if numbers["samples"]["unique_extractions"]:
            lines += [f"{model.capitalize()}:", "", f"![{model.capitalize()}]({FOLDER}/{model}.png)", ""]
        else:
            lines += [f"{model.capitalize()}: none to show.", ""]
    return lines


def _tests(before: Numbers, after: Numbers) -> list[str]:
    lines = beside(
        "The tests of the literature",
        "A prompt is flagged where ten of its samples are within 0.15 of each other, every two of them. Eidetic k:",
        "training rows within 0.15 of the source. The small-image ratio: the distance to the source over half the",
        "mean distance to the 50 pictures next. All three are those of Carlini et al. 2023. The most unusual",
        "pictures are those farthest from the others, by copy embedding; plain distance is explained below.",
        first="test",
    )
    for alone, kind in (True, "a single picture"), (False, "a dozen pictures"):
        cells = [prompts_of(each["prompts"], alone=alone) for each in (before, after)]
        lines.append(f"| prompts of {kind}: flagged by the clique test | {cells[0]} | {cells[1]} |")
    cells = [f"{each['ratios']['below_1']:,} of {each['ratios']['pairs']:,}" for each in (before, after)]
    lines.append(f"| confirmed pairs with a small-image ratio below 1 | {cells[0]} | {cells[1]} |")
    cells = ["; ".join(f"{e['copies']}: {e['median']:g}" for e in each["eidetic"]) or "–" for each in (before, after)]
    lines.append(f"| median eidetic k of what is extracted, by rows | {cells[0]} | {cells[1]} |")
    for unusual, kind in (True, "the most unusual tenth"), (False, "the others"):
        rows = [next((o for o in each["outliers"] if o["unusual"] is unusual), None) for each in (before, after)]
        for came, words in ("copied", "confirmed as copied"), ("reproduced", "reproduced by plain distance"):
            cells = [shown(row[came]) if row else "–" for row in rows]
            lines.append(f"| pictures of one row {words}, of {kind} | {cells[0]} | {cells[1]} |")
    return [*lines, ""]
