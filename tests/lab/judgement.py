"""What the page says of our verdicts: held against what is known, and how far that can be trusted.

What belongs here: words and tables. What does not: the scores (`scoring.py`), the other sections (`page.py`).
"""

from tests.lab.results import Numbers
from tests.lab.scoring import Share, share
from tests.lab.wording import beside, prose, shown


def render(numbers: Numbers, folder: str) -> list[str]:
    """Return the lines. folder: where the plots lie."""
    before, after = numbers["models"]["before"], numbers["models"]["after"]
    far = _far(before, after)
    return [
        *_scores(before, after),
        *_mistakes(before["scores"], before["samples"]["copying"], far),
        *_p_values(before, after, folder),
        *_trust(before, after, numbers, far),
        *_missed({"before": before, "after": after}, folder),
        *_rehearsal(numbers["rehearsal"]),
    ]


def _scores(before: Numbers, after: Numbers) -> list[str]:
    lines = beside(
        "Our verdicts against what is known",
        "Which picture a sample copies is known of none; what stands for it is the plain distance: a picture is",
        "reproduced where its distance to the sample, at the model's size, is below half the mean distance of the 50",
        "pictures next to it. How good a proxy that is, is said below. Known for certain are the decoys: in the index",
        "are pictures of other photographs, which neither model was trained on. Whoever is said to copy one of these",
        "is wronged.",
    )
    for name, words in {
        "reproduced": "samples that reproduce a picture",
        "names_the_nearest": "confirmed copies that name the picture nearest by plain distance",
        "precision": "confirmed copies that reproduce the picture named",
        "recall": "of the samples that reproduce a picture, those confirmed to copy it",
        "names_a_decoy": "samples confirmed as a copy of a picture never trained on",
        "false_at_q_0.05": "of the samples with a q-value up to 0.05, those that reproduce nothing",
    }.items():
        cells = [shown(each["scores"][name]) for each in (before, after)]
        lines.append(f"| {words} | {cells[0]} | {cells[1]} |")
    return [*lines, ""]


def _mistakes(scores: Numbers, copying: int, far: Share) -> list[str]:
    """Reckon from the decoys how many confirmed copies are mistakes, where there are any."""
    if not copying or not far["low"]:
        return []
    decoys, odds, widest = scores["names_a_decoy"], 1 / far["share"] - 1, 1 / far["low"] - 1
    found = min(copying, decoys["count"] * odds)
    most = min(copying, decoys["high"] * decoys["of"] * widest)
    return prose(
        f"Where a sample resembles nothing, a trained picture is nearest {odds:.1f} times as often as a decoy",
        f"(below). If mistakes fall like that, {found:,.0f} of the {copying:,} samples confirmed before name a",
        f"picture that they do not show, and at most {most:,.0f} ({most / copying:.3f}) by both intervals",
        "(target-decoy search; Elias and Gygi 2007). A resemblance to the right picture that is called a copy is",
        "not among them.",
    )


def _p_values(before: Numbers, after: Numbers, folder: str) -> list[str]:
    lines = [
        f"![p-values of samples that reproduce nothing]({folder}/p-values.svg)",
        "",
        "| samples that reproduce nothing, with a p-value up to | before | after |",
        "| --- | --- | --- |",
    ]
    for level in (0.01, 0.05, 0.1):
        cells = [shown(each["scores"]["p_values"][f"up_to_{level:g}"]) for each in (before, after)]
        lines.append(f"| {level:g} | {cells[0]} | {cells[1]} |")
    at = {model: each["scores"]["p_values"]["up_to_0.05"] for model, each in {"before": before, "after": after}.items()}
    said = [f"{model.capitalize()}, at 0.05, they are {_bold(one)}." for model, one in at.items()]
    left_out = "Samples nearest to a picture are left out here, and with them some of the smallest p-values."
    return [*lines, "", *prose(*said, left_out)]


def _bold(one: Share) -> str:
    """Say whether as many p-values are small as should be."""
    if not one["of"]:
        return "not known"
    if one["high"] < 0.05:
        return "fewer than their level says: cautious"
    return "more than their level says: too bold" if one["low"] > 0.05 else "within the interval of their level"


def _trust(before: Numbers, after: Numbers, numbers: Numbers, far: Share) -> list[str]:
    pictures, chance = numbers["pictures"], numbers["chance"]
    lines = [
        "### How far plain distance can be trusted",
        "",
        *prose(
            "Of photographs that copy nothing these pass for a reproduction: of the decoys, held against the trained",
            f"pictures, {shown(chance['decoys'])}; of the trained pictures, held against each other,",
            f"{shown(chance['trained'])}. {pictures['decoys']:,} of the {pictures['decoys'] + pictures['trained']:,}",
            f"pictures in the index are decoys, and a decoy is nearest by chance alone: to {shown(far)} of the",
            "samples of a ratio of 1.2 or more. Where decoys are rarer, and where the nearest picture has the",
            "caption that was asked for, samples lean on a picture of the training set, confirmed or not.",
        ),
    ]
    for model, found in {"before": before, "after": after}.items():
        lines += [
            f"| small-image ratio, {model} | nearest is a decoy | nearest is of the prompt | confirmed |",
            "| --- | --- | --- | --- |",
        ]
        for each in found["scores"]["by_ratio"]:
            band = f"{each['from']:g} to {each['to']:g}" if each["to"] else f"{each['from']:g} or more"
            cells = [shown(each[kind]) for kind in ("decoy_is_nearest", "of_the_prompt", "confirmed")]
            lines.append(f"| {band} | {' | '.join(cells)} |")
        lines.append("")
    return lines


def _missed(found: dict[str, Numbers], folder: str) -> list[str]:
    lines = ["The least ratios of all that is not confirmed, one a picture, as above; rows and ratio below.", ""]
    for model, numbers in found.items():
        if numbers["scores"]["missed"]:
            lines += [f"{model.capitalize()}:", "", f"![Not confirmed, {model}]({folder}/missed-{model}.png)", ""]
    return lines


def _rehearsal(kinds: Numbers) -> list[str]:
    if not kinds:
        return []
    lines = [
        "### Copies that are known",
        "",
        *prose(
            "Of these no model is needed: training pictures with what a model does to them, noise and blur (of 255,",
            "and in pixels) and a drift of colours, halves of two blended, and other photographs with noise, which",
            "are in no index. Blends are no copies, though they show both pictures.",
        ),
        "| made by | a picture shown is confirmed | another is confirmed | p-value up to 0.05 |",
        "| --- | --- | --- | --- |",
    ]
    for kind, found in kinds.items():
        lines.append(f"| {kind} | {' | '.join(shown(found[name]) for name in ('right', 'wrong', 'p_up_to_0.05'))} |")
    return [*lines, ""]


def _far(*models: Numbers) -> Share:
    bands = [each["scores"]["by_ratio"][-1]["decoy_is_nearest"] for each in models]
    return share(sum(band["count"] for band in bands), sum(band["of"] for band in bands))
