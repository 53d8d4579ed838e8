"""Training pictures in a list with their pictures, and the page of what a search found.

What belongs here: what the list and the page say. What does not: searching and writing files
(`orchestration/reports/meaning/`), the look and the rules that stop text from outside from acting (`reports/page.py`).
"""

from dataclasses import dataclass

from transforms.reports import page


@dataclass(frozen=True)
class ListedPicture:
    """A training picture as a list shows it.

    Attributes:
        sample_id: The training row.
        score: Cosine with what was asked for.
        rows: Training rows that show it and are not recalled.
        thumbnail: A `data:` URL, or None if the picture cannot be read.
        url: Of the row, as stated.
        caption: Of the row, as stated.
        license: Of the row, as stated.
        recalled: Whether the row was recalled.
        unsafe: Whether the dataset marks it as unsafe; the picture is then veiled.
        notes: Further statements: what, and the value.
    """

    sample_id: int
    score: float
    rows: int
    thumbnail: str | None
    url: str | None
    caption: str | None
    license: str | None
    recalled: bool
    unsafe: bool = False
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class FoundPage:
    """The content of the page.

    Attributes:
        asked: The words, or the file of the picture, that was asked for.
        by_picture: Whether it was a picture.
        where: The condition that rows had to meet, or None.
        encoder: Identity of the encoder.
        searched: Different training pictures that were compared.
        searchable: Training rows that have a picture or should have one.
        exact: Whether all of them were compared with it; otherwise an index chose the ones that were.
        found: The nearest ones, best first.
        version: The published version.
        published_at: When it was published.
    """

    asked: str
    by_picture: bool
    where: str | None
    encoder: str
    searched: int
    searchable: int
    exact: bool
    found: tuple[ListedPicture, ...]
    version: int
    published_at: str


def render(found: FoundPage) -> str:
    """Render what a search found as one HTML page that loads nothing and runs only its own script."""
    return page.render("found.html.j2", ("common.js",), found=found)
