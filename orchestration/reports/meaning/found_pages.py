"""What a search by meaning found, as a page with pictures.

What belongs here: reading the rows and pictures of the page, and writing it. What does not: searching
(`provenance/meaning/finder.py`), the look of the page (`transforms/reports/found_page.py`).
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.provenance.meaning.finder import FoundPictures
from orchestration.reports import cases
from orchestration.reports.page_data import publication
from orchestration.reports.pictures import PictureReader
from orchestration.warehouse.queries import fetch_rows, query
from transforms.reports import found_page
from transforms.reports.found_page import FoundPage, ListedPicture
from transforms.storage import staging


@dataclass(frozen=True)
class FoundQuestion:
    """What was searched for.

    Attributes:
        text: The words, or the name of the picture's file.
        by_picture: Whether it was a picture.
        where: The condition, or None.
        encoder: Identity of the encoder.
    """

    text: str
    by_picture: bool
    where: str | None
    encoder: str


def register(con: duckdb.DuckDBPyConnection, found: FoundPictures) -> None:
    """Make the hits of a search a table, as `sql/queries/find/found.sql` reads it.

    Args:
        con: A connection to the version.
        found: What was found.
    """
    con.register("hits", found.hits)


def page(
    con: duckdb.DuckDBPyConnection, asked: FoundQuestion, found: FoundPictures, pictures: PictureReader
) -> FoundPage:
    """Return the page of what was found. Pictures that cannot be read leave a gap, and the page says so.

    Args:
        con: A connection to the version, to which the hits were registered.
        asked: What was searched for.
        found: What was found.
        pictures: Reader of the training pictures.
    """
    version = publication(con)
    rows = fetch_rows(con.execute(query("find/found")))
    small = pictures.thumbnails_of([row["sample_id"] for row in rows])
    return FoundPage(
        asked=asked.text,
        by_picture=asked.by_picture,
        where=asked.where,
        encoder=asked.encoder,
        searched=found.searched,
        searchable=max((part.expected for part in cases.coverage(con)), default=found.searched),
        exact=found.exact,
        found=tuple(
            ListedPicture(
                row["sample_id"],
                row["cosine"],
                row["duplicate_count"],
                picture,
                row["url"],
                row["caption"],
                row["license"],
                row["recalled"],
                row["unsafe"],
            )
            for row, picture in zip(rows, small, strict=True)
        ),
        version=version.number,
        published_at=version.published_at,
    )


def write(content: FoundPage, file: Path) -> Path:
    """Write a page, completely or not at all.

    Args:
        content: What the page says.
        file: The file.

    Returns:
        The file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with staging.whole(file) as partial:
        partial.write_text(found_page.render(content), encoding="utf-8")
    return file


def file_name(asked: FoundQuestion) -> str:
    """Return the file name of a page. No two questions share one."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", asked.text).strip("-")[:60]
    digest = hashlib.sha256(f"{asked.by_picture} {asked.text}\n{asked.where}".encode("utf-8", "surrogatepass"))
    return f"{plain or 'found'}-{digest.hexdigest()[:8]}.html"
