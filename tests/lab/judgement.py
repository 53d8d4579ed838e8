"""What the page says of our verdicts: held against what is known, and how far that can be trusted.

What belongs here: words and tables. What does not: the scores (`scoring.py`), the other sections (`page.py`).
"""

from tests.lab.results import Numbers
from tests.lab.scoring import Share, share
from tests.lab.wording import beside, shown


def render(before: Numbers, after: Numbers, pictures: Numbers, folder: str) -> list[str]:
    """Return the lines. folder: where the plots lie."""
    return [*_scores(before, after, pictures, folder), *_trust(before, after, pictures, folder)]


def _scores(before: Numbers, after: Numbers, pictures: Numbers, folder: str) -> list[str]:
    lines = beside(
        "Our verdicts against what is known",
        "A picture counts as reproduced where its plain distance to the sample, at the model's size, is below half",
        "the mean distance of the 50 next: no hash, embedding or alignment takes part. In the index are also",
        "pictures of other photographs, which neither model was trained on: whoever is said to copy one of these",
        "is wronged.",
    )
    for name, words in {
        "reproduced": "samples that reproduce a picture",
        "names_the_nearest": "confirmed copies that name the picture nearest by plain distance",
        "precision": "confirmed copies that reproduce the picture named",
        "recall": "reproduced pictures that are confirmed",
        "names_a_decoy": "samples confirmed as a copy of a picture never trained on",
        "false_at_q_0.05": "of the samples with a q-value up to 0.05, those that reproduce nothing",
    }.items():
        cells = [shown(each["scores"][name]) for each in (before, after)]
        lines.append(f"| {words} | {cells[0]} | {cells[1]} |")
    lines += [
        "",
        *_mistakes(before["scores"], before["samples"]["copying"], pictures),
        f"![p-values of samples that reproduce nothing]({folder}/p-values.svg)",
        "",
        "| samples that reproduce nothing, with a p-value up to | before | after |",
        "| --- | --- | --- |",
    ]
    for level in (0.01, 0.05, 0.1):
        cells = [shown(each["scores"]["p_values"][f"up_to_{level:g}"]) for each in (before, after)]
        lines.append(f"| {level:g} | {cells[0]} | {cells[1]} |")
    at = [each["scores"]["p_values"]["up_to_0.05"] for each in (before, after)]
    if all(one["of"] and one["high"] < 0.05 for one in at):
        lines += [
            "",
            "They are fewer than their levels say: cautious. A p-value asks how often a picture that was never trained",
            "on matches as well, and whole photographs match better than most of what a model makes up.",
        ]
    elif any(one["of"] and one["low"] > 0.05 for one in at):
        lines += ["", "They are more than their levels say: too bold for samples of these models."]
    return [*lines, ""]


def _mistakes(scores: Numbers, copying: int, pictures: Numbers) -> list[str]:
    """Reckon from the decoys how many confirmed copies are mistakes, where there are any."""
    if not copying:
        return []
    a_decoy, decoys = pictures["trained"] / pictures["decoys"], scores["names_a_decoy"]
    found, most = decoys["count"] * a_decoy, decoys["high"] * decoys["of"] * a_decoy
    return [
        f"Decoys are {pictures['decoys']:,} pictures beside {pictures['trained']:,}. If mistakes name all alike,"
        f" {found:,.0f} of the {copying:,} samples",
        f"confirmed before are mistakes, and at most {most:,.0f} ({most / copying:.3f}) by the interval above",
        "(target-decoy search; Elias and Gygi 2007).",
        "",
    ]


def _trust(before: Numbers, after: Numbers, pictures: Numbers, folder: str) -> list[str]:
    of, chance = pictures["decoys"] + pictures["trained"], _far(before, after)
    lines = [
        "### How far plain distance can be trusted",
        "",
        f"{pictures['decoys']:,} of the {of:,} pictures in the index are decoys, and a decoy is nearest to a sample by",
        f"chance alone. It is nearest to {shown(chance)} of the samples",
        "of a small-image ratio of 1.2 or more. Bands of the ratio where decoys are rarer hold samples that lean on a",
        "picture of the training set, confirmed or not.",
        "",
        "| small-image ratio | before: nearest is a decoy | confirmed | after: nearest is a decoy | confirmed |",
        "| --- | --- | --- | --- | --- |",
    ]
    for was, now in zip(before["scores"]["by_ratio"], after["scores"]["by_ratio"], strict=True):
        band = f"{was['from']:g} to {was['to']:g}" if was["to"] else f"{was['from']:g} or more"
        cells = [shown(each[kind]) for each in (was, now) for kind in ("decoy_is_nearest", "confirmed")]
        lines.append(f"| {band} | " + " | ".join(cells) + " |")
    lines += ["", "The least ratios of all that is not confirmed, as above; rows and ratio below.", ""]
    for model, numbers in {"before": before, "after": after}.items():
        if numbers["scores"]["reproduced"]["count"] > numbers["scores"]["recall"]["count"]:
            lines += [f"{model.capitalize()}:", "", f"![Not confirmed, {model}]({folder}/missed-{model}.png)", ""]
    return lines


def _far(*models: Numbers) -> Share:
    bands = [each["scores"]["by_ratio"][-1]["decoy_is_nearest"] for each in models]
    return share(sum(band["count"] for band in bands), sum(band["of"] for band in bands))
