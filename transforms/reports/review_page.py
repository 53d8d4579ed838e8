"""The page of the curators' desk, in the design of the reports.

What belongs here: rendering it. What does not: what it shows of an item (`orchestration/review/items.py`), serving it
(`orchestration/review/app.py`).
"""

from transforms.reports import page

KEYS = (
    ("1 to 5", "answer"),
    ("j, k", "next item, back"),
    ("u", "undo your last answer"),
    ("left, right", "choose a picture of a cluster"),
    ("r", "write a reason"),
    ("o", "slide between the two pictures"),
    ("d", "show the difference"),
    ("/", "search"),
    ("?", "these keys"),
    ("Escape", "back to the item"),
)
GLOSSARY = (
    ("pair", "two different pictures that a test brought together"),
    ("cluster", "training rows that show copies of one picture; one of them stands for it"),
    ("case", "a generated image and a training picture that it likely comes from"),
    ("perceptual hash", "256 bits that say what a picture looks like; re-encoded, it differs in a few"),
    ("embedding, cosine", "numbers that say what a picture shows; a cosine of 1 is the same, 0 unrelated"),
    ("aligned pixels", "the pictures laid over each other and compared point by point"),
    ("p-value", "how often a picture that was never trained on would look this close by chance"),
    ("sampled", "drawn at random, so that the answers say how often the warehouse is right"),
    ("recalled", "withdrawn by an opt-out list, or by what the picture's file says"),
)


def render(*, version: int, blind: bool) -> str:
    """Render the page.

    Args:
        version: The published version that is looked at.
        blind: Whether verdicts are hidden.
    """
    return page.render(
        "review.html.j2",
        ("common.js", "review.js"),
        served=True,
        version=version,
        blind=blind,
        keys=KEYS,
        glossary=GLOSSARY,
    )
