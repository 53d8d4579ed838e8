"""The page of a claim: a rightsholder's pictures, whether a model was trained on each, and what was searched.

What belongs here: what the page says. What does not: finding the pictures (`orchestration/matches/claims.py`), the
files (`orchestration/reports/claims/`), the look and the rules that stop text from outside from acting
(`reports/page.py`).

The page shows the rightsholder's own pictures, small, and no training picture: it is made to be sent.
"""

from dataclasses import dataclass, field
from typing import Literal

from transforms.reports import page

Answer = Literal["yes", "not confirmed", "not found", "not found, and not all could be compared", "not searched"]
MEANINGS = {
    "yes": "Training rows show it, whole or in part: the same bytes or pixels, or confirmed by aligned pixels or, of "
    "an altered copy, by structure.",
    "not confirmed": "Training rows come near it, and no pixels confirm that they show it.",
    "not found": "Nothing was found among the training rows that were searched.",
    "not found, and not all could be compared": "Nothing was found, but some candidates could not be read to compare.",
    "not searched": "The file cannot be read as a picture, so nothing was searched for it.",
}


@dataclass(frozen=True)
class ClaimedRow:
    """A training row that shows a claimed picture."""

    url: str | None
    caption: str | None
    licence: str | None
    dataset: str
    withdrawn: bool


@dataclass(frozen=True)
class ClaimCase:
    """A claimed picture on the page.

    Attributes:
        name: Its file, below the folder.
        trained_on: Whether training rows show it.
        verdict: The word for its strongest match.
        thumbnail: A `data:` URL, or None.
        rows: Training rows that show it; None where a bundle does not say.
        facts: Further statements: what, and the value.
        listed: The first of the rows.
        listed_in: Where all of them are.
    """

    name: str
    trained_on: Answer
    verdict: str
    thumbnail: str | None = None
    rows: int | None = None
    facts: tuple[tuple[str, str], ...] = ()
    listed: tuple[ClaimedRow, ...] = ()
    listed_in: str = ""


@dataclass(frozen=True)
class ClaimPage:
    """The content of the page.

    Attributes:
        title: What was claimed.
        of: What was searched, in a few words.
        published_at: When that was published.
        searched: Training rows that were searched.
        searchable: Training rows there are.
        methods: By what was compared, a sentence each.
        counts: Pictures by answer.
        cases: The pictures that are shown.
        left_out: Pictures that are not.
        warnings: What a reader has to know first.
        files: The files beside the page, and what each is.
    """

    title: str
    of: str
    published_at: str
    searched: int
    searchable: int
    methods: tuple[str, ...]
    counts: dict[str, int]
    cases: tuple[ClaimCase, ...]
    left_out: int = 0
    warnings: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    @property
    def pictures(self) -> int:
        """How many pictures were claimed."""
        return sum(self.counts.values())


def render(claim: ClaimPage) -> str:
    """Return the page as HTML that loads nothing and runs nothing."""
    answers = [
        (answer, meaning, claim.counts[answer]) for answer, meaning in MEANINGS.items() if answer in claim.counts
    ]
    trained, near = claim.counts.get("yes", 0), claim.counts.get("not confirmed", 0)
    return page.render("claim.html.j2", (), claim=claim, answers=answers, trained=trained, near=near)
