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
    )
