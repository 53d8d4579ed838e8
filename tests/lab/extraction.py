"""What the page says of extraction by duplicate count, before and after deduplication.

What belongs here: words and tables. What does not: the numbers (`results.py`), the other sections (`page.py`).
"""

from collections.abc import Mapping
from itertools import pairwise

from tests.lab.results import Numbers, together
from tests.lab.scoring import Share
from tests.lab.wording import expected, pooled, prose, sampled, shown, value


def render(numbers: Numbers, folder: str) -> list[str]:
    """Return the lines. folder: where the plots lie."""
    before, after = numbers["models"]["before"], numbers["models"]["after"]
    recipe, twice = numbers["recipe"], numbers["kept_twice"]
    return [
        *_effect(before, after, recipe, twice, folder),
        *_plainly(before, after),
        *_captions(before),
        *_sheets({"before": before, "after": after}, folder),
    ]


def _effect(before: Numbers, after: Numbers, recipe: Numbers, twice: int, folder: str) -> list[str]:
    seen = recipe["training"]["steps"] * recipe["training"]["batch"]
    found, later = together(before["rungs"], "extracted"), together(after["rungs"], "extracted")
    counted = together(before["rungs"], "counted_rightly")
    lines = [
        "## Extraction by duplicate count",
        "",
        f"![Extraction by duplicate count]({folder}/effect.svg)",
        "",
        *prose(
            "A picture is extracted where a sample is confirmed to copy it and lies within 0.15 of it: root mean",
            "square, unaligned, of the worst of 16 tiles, as the paper measures Stable Diffusion. Shown: how often",
            "trainings of that length show it. Counted: how many are counted as often as they were planted.",
        ),
        "| rows | shown before, after | counted | extracted before | extracted after |",
        "| --- | --- | --- | --- | --- |",
    ]
    for step in found:
        lines.append(
            f"| {step} | {seen * step / before['rows']:,.0f}, {seen / after['rows']:,.0f} |"
            f" {counted[step]['count']:,} of {counted[step]['of']:,} | {shown(found[step])} | {shown(later[step])} |"
        )
    was, now = (sampled(each["samples"], "extracted") for each in (before, after))
    lower = now["high"] < was["low"]
    return [
        *lines,
        "",
        *prose(
            f"The share {_rising(found)}.",
            *_apart(pooled(found, (1, 2)), pooled(found, (64, 128))),
            f"Samples that extract a picture: {shown(was)} before deduplication, {shown(now)} after:",
            "fewer." if lower else "not clearly fewer. As many steps on fewer rows show each of them more often.",
        ),
        *prose(
            "How much comes back depends on how long is trained. The length was chosen before there was a second",
            "model, so that of the first one's samples pictures of few rows were not confirmed; after deduplication",
            f"{'all' if not twice else f'all but {twice:,}'} are shown as often as pictures of",
            f"{before['rows'] / after['rows']:.0f} rows before. That few rows do not come back is thus by design;",
            "what is found is what more rows do, at the same length. A longer training shows all more often.",
        ),
        *prose(
            "These are the pictures that were planted so often, as the truth says, not bands of what was counted:",
            "`provenance.duplication_effect` has in its band of 1 also the pictures that were held out, and rows",
            "that were not counted with their picture.",
        ),
    ]


def _apart(few: Share, many: Share) -> list[str]:
    if not few["of"] or not many["of"]:
        return []
    apart = few["high"] < many["low"]
    return [
        f"Extracted of the pictures with 1 or 2 rows: {shown(few)}; of those with 64 or 128: {shown(many)}.",
        f"The intervals {'do not overlap' if apart else 'overlap, so that these data do not tell them apart'}.",
    ]


def _plainly(before: Numbers, after: Numbers) -> list[str]:
    """Say what comes back by plain distance, which needs no confirmation, and what mere repetition would give."""
    was, now = (together(each["rungs"], "reproduced") for each in (before, after))
    lines = [
        "### The same by plain distance",
        "",
        *prose(
            "Confirmation misses copies, and more of those that come back noisy. Reproduced are pictures to which a",
            "sample is nearer than half the mean distance of the 50 pictures next, without hashes, embeddings or",
            "alignment: a laxer measure, as is shown below. Repeated: the share that would come back if a model did",
            "nothing but return rows of the caption, each as often; under a shared caption a picture of many rows",
            "is drawn more surely.",
        ),
        "| rows | reproduced before | reproduced after | repeated before | repeated after |",
        "| --- | --- | --- | --- | --- |",
    ]
    for step in was:
        only = [expected(each["rungs"], step) for each in (before, after)]
        lines.append(f"| {step} | {shown(was[step])} | {shown(now[step])} | {only[0]:.3f} | {only[1]:.3f} |")
    return [*lines, "", *prose(f"Before, the share {_rising(was)}.", *_rarer(before, after))]


def _rarer(before: Numbers, after: Numbers) -> list[str]:
    """Say of samples and of pictures whether deduplication lowers what is reproduced."""
    was, now = (each["scores"]["reproduced"] for each in (before, after))
    pictures = [each["samples"]["reproduced_pictures"] for each in (before, after)]
    lines = [
        f"Samples that reproduce a picture: {shown(was)} before, {shown(now)} after:",
        "fewer." if now["high"] < was["low"] else "not clearly fewer.",
        f"Different pictures that are reproduced: {pictures[0]:,} before, {pictures[1]:,} after:",
    ]
    if pictures[1] <= pictures[0]:
        return [*lines, "not more."]
    return [
        *lines,
        "more. As many steps on fewer rows show a picture of one row",
        f"{before['rows'] / after['rows']:.0f} times as often as before: deduplication without a shorter training",
        "makes copies rarer here, and spreads what comes near over more pictures.",
    ]


def _captions(before: Numbers) -> list[str]:
    lines = [
        "Captions that name a single picture, and captions that a dozen pictures share, before:",
        "",
        "| rows | single caption: extracted | reproduced | shared caption: extracted | reproduced |",
        "| --- | --- | --- | --- | --- |",
    ]
    for step in together(before["rungs"], "extracted"):
        by = {rung["alone"]: rung for rung in before["rungs"] if rung["copies"] == step}
        cells = [shown(by[a][k]) if a in by else "–" for a in (True, False) for k in ("extracted", "reproduced")]
        lines.append(f"| {step} | {' | '.join(cells)} |")
    return [*lines, ""]


def _sheets(found: Mapping[str, Numbers], folder: str) -> list[str]:
    lines = prose(
        "The nearest extractions, one a picture: a sample, below it the picture that it extracts, and below that",
        "the picture next nearest to the sample of all in the index. Then rows and tiled distance.",
    )
    for model, numbers in found.items():
        if numbers["samples"]["unique_extractions"]:
            lines += [f"{model.capitalize()}:", "", f"![{model.capitalize()}]({folder}/{model}.png)", ""]
        else:
            lines += [f"{model.capitalize()}: none to show.", ""]
    return lines


def _rising(found: Mapping[int, Share]) -> str:
    """Say whether a share grows with the rows, and where it does not, whether that is more than chance."""
    falls = [(a, b) for a, b in pairwise(found) if value(found[a]) > value(found[b])]
    if not falls:
        return "never falls from a rung to the next"
    clear = any(found[b]["high"] < found[a]["low"] for a, b in falls if found[a]["of"] and found[b]["of"])
    steps = ", ".join(f"from {a} to {b} rows" for a, b in falls)
    return f"falls {steps}, {'by more than' if clear else 'within'} the intervals, and from no other rung to the next"
