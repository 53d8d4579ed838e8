"""The results page: words, tables and plots of the numbers in `results.json`, and of nothing else.

What belongs here: writing `memorization.md` and its pictures. What does not: measuring (`results.py`).

The page is a function of the numbers, so that a test can tell whether it still says what they say. Where they do not
show what was expected, it says that: each sentence about an outcome has another for the opposite.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from tests.lab import plots, results
from tests.lab.recipe import MODELS, Places, Recipe
from tests.lab.results import Numbers, together
from tests.lab.scoring import Share, share

NAME, FOLDER = "memorization.md", "memorization"
PAPER = {"before": 819, "after": 1_063}
"""Samples an extraction, CIFAR-10 before and after deduplication: Carlini et al. 2023, section 5.1."""


_CHANGED = [
    "## What this changed",
    "",
    "Small pictures were enlarged to a long side of 320 before they were compared, and enlarged tenfold, noise and",
    "blur look like structure: of the samples that reproduce a picture by plain distance, most were not confirmed.",
    "Now they are enlarged threefold at most, and the larger of two pictures is laid over the smaller. What that",
    "gains and loses is in `tests/benchmarks/RESULTS.md`, small pictures; from 107 pixels on nothing changed, to",
    "the bit.",
    "",
]


def publish(recipe: Recipe, places: Places, docs: Path | None) -> Path:
    """Write the page, its plots and the numbers below `docs`, else below the laboratory's home. Returns the page."""
    target = docs or places.home / "page"
    folder = target / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    numbers = results.read(places.results)
    (folder / "results.json").write_bytes(places.results.read_bytes())
    plots.effect({model: together(numbers["models"][model]["rungs"], "extracted") for model in MODELS}, folder)
    plots.p_values({model: numbers["models"][model]["scores"]["p_values"] for model in MODELS}, folder)
    for model in MODELS:
        sheet = folder / f"{model}.png"
        sheet.unlink(missing_ok=True)
        if columns := results.best(recipe, places, model):
            plots.side_by_side(columns).save(sheet)
    (target / NAME).write_text(render(numbers), "utf-8")
    return target / NAME


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
            *_scores(before, after),
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
        f"| one in so many samples | {_one_in(before['samples'])} | {_one_in(after['samples'])} |"
        f" {PAPER['before']:,} and {PAPER['after']:,} |",
        f"| samples that extract a picture | {_of(before['samples'], 'extracted')} |"
        f" {_of(after['samples'], 'extracted')} | |",
        f"| samples confirmed as copies | {_of(before['samples'], 'copying')} | {_of(after['samples'], 'copying')} | |",
        "",
        "The paper sampled 2^20 pictures from models of CIFAR-10, where few pictures are repeated; these numbers stand",
        "beside, they are not comparable.",
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
            f" {_share(found[step])} | {_share(later[step])} | {_share(copied[step])} |"
        )
    few, many = _pooled(found, (1, 2)), _pooled(found, (64, 128))
    rising = all(_value(found[a]) <= _value(found[b]) for a, b in pairwise(steps))
    lines += ["", "Intervals are Wilson's, 95%. " + ("The share rises" if rising else "The share does not rise")]
    lines[-1] += " from every rung to the next."
    if few["of"] and many["of"]:
        apart = few["high"] < many["low"]
        lines.append(
            f"Extracted of the pictures with 1 or 2 rows: {_share(few)}; of those with 64 or 128: {_share(many)}. The"
            f" intervals {'do not overlap' if apart else 'overlap, so that these data do not tell them apart'}."
        )
    was, now = (_sampled(each["samples"], "extracted") for each in (before, after))
    lower = now["share"] < was["share"]
    lines.append(
        f"Samples that extract a picture: {_share(was)} before deduplication, {_share(now)} after: "
        + ("fewer." if lower else "not fewer. As many steps on fewer rows show each of them more often.")
    )
    lines += [
        "",
        "These are the pictures that were planted so often, as the truth says, not bands of what was counted:",
        "`provenance.duplication_effect` has in its band of 1 also the pictures that were held out.",
    ]
    lines += ["", "Captions that name a single picture, and captions that a dozen pictures share, before:", ""]
    lines += ["| rows | single caption | shared caption |", "| --- | --- | --- |"]
    for step in steps:
        by = {rung["alone"]: _share(rung["extracted"]) for rung in before["rungs"] if rung["copies"] == step}
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


def _beside(title: str, *text: str, first: str = "") -> list[str]:
    """Begin a section whose table has a column for each model."""
    return [f"## {title}", "", *text, "", f"| {first} | before | after |", "| --- | --- | --- |"]


def _tests(before: Numbers, after: Numbers) -> list[str]:
    lines = _beside(
        "The tests of the literature",
        "A prompt is flagged where ten of its samples are within 0.15 of each other, every two of them. Eidetic k:",
        "training rows within 0.15 of the source. The small-image ratio: the distance to the source over half the",
        "mean distance to the 50 pictures next. All three are those of Carlini et al. 2023. The most unusual",
        "pictures are those farthest from the others of the training set.",
        first="test",
    )
    for alone, kind in (True, "a single picture"), (False, "a dozen pictures"):
        cells = [_prompts(each["prompts"], alone=alone) for each in (before, after)]
        lines.append(f"| prompts of {kind}: flagged by the clique test | {cells[0]} | {cells[1]} |")
    cells = [f"{each['ratios']['below_1']:,} of {each['ratios']['pairs']:,}" for each in (before, after)]
    lines.append(f"| confirmed pairs with a small-image ratio below 1 | {cells[0]} | {cells[1]} |")
    cells = ["; ".join(f"{e['copies']}: {e['median']:g}" for e in each["eidetic"]) or "–" for each in (before, after)]
    lines.append(f"| median eidetic k of what is extracted, by rows | {cells[0]} | {cells[1]} |")
    for unusual, kind in (True, "the most unusual tenth"), (False, "the others"):
        cells = [
            next((_share(o) for o in each["outliers"] if o["unusual"] is unusual), "–") for each in (before, after)
        ]
        lines.append(f"| pictures of one row that are copied, of {kind} | {cells[0]} | {cells[1]} |")
    return [*lines, ""]


def _scores(before: Numbers, after: Numbers) -> list[str]:
    lines = _beside(
        "Our verdicts against what is known",
        "A picture counts as reproduced where its plain distance to the sample, at the model's size, is below half",
        "the mean distance of the 50 next: no hash, embedding or alignment takes part. In the index are also",
        "pictures of other photographs, which neither model was trained on: whoever is said to copy one of these",
        "is wronged.",
    )
    for name, words in {
        "reproduced": "samples that reproduce a picture",
        "precision": "confirmed copies that reproduce the picture named",
        "recall": "reproduced pictures that are confirmed",
        "names_a_decoy": "samples confirmed as a copy of a picture never trained on",
        "false_at_q_0.05": "of the samples with a q-value up to 0.05, those that reproduce nothing",
    }.items():
        cells = [_share(each["scores"][name]) for each in (before, after)]
        lines.append(f"| {words} | {cells[0]} | {cells[1]} |")
    lines += [
        "",
        f"![p-values of samples that reproduce nothing]({FOLDER}/p-values.svg)",
        "",
        "| samples that reproduce nothing, with a p-value up to | before | after |",
        "| --- | --- | --- |",
    ]
    for level in (0.01, 0.05, 0.1):
        cells = [_share(each["scores"]["p_values"][f"up_to_{level:g}"]) for each in (before, after)]
        lines.append(f"| {level:g} | {cells[0]} | {cells[1]} |")
    return [*lines, ""]


def _pooled(found: Mapping[int, Share], steps: tuple[int, ...]) -> Share:
    chosen = [found[step] for step in steps if step in found]
    return share(sum(c["count"] for c in chosen), sum(c["of"] for c in chosen))


def _sampled(samples: Numbers, kind: str) -> Share:
    return share(samples[kind], samples["generations"])


def _of(samples: Numbers, kind: str) -> str:
    return _share(_sampled(samples, kind))


def _value(one: Share) -> float:
    return one["share"] or 0.0


def _share(one: Share) -> str:
    if not one["of"]:
        return "–"
    return f"{one['count']:,} of {one['of']:,}: {one['share']:.3f} ({one['low']:.3f} to {one['high']:.3f})"


def _one_in(samples: Numbers) -> str:
    return f"{samples['generations'] / samples['unique_extractions']:.1f}" if samples["unique_extractions"] else "none"


def _prompts(found: list[Numbers], *, alone: bool) -> str:
    row = next((each for each in found if each["alone"] is alone), None)
    return f"{row['flagged']:,} of {row['prompts']:,}, largest {row['largest_clique']}" if row else "–"
