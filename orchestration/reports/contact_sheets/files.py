"""Contact sheets as files.

What belongs here: reading owners and pictures of a published version, and writing a PDF for each owner. What does not:
drawing one (`transforms/reports/contact_sheet.py`).
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from orchestration.reports.page_data import publication, rows
from orchestration.reports.pictures import PictureReader
from transforms.reports import contact_sheet
from transforms.reports.contact_sheet import ContactSheet, SheetPicture
from transforms.reports.drawings import thumbnails
from transforms.storage import staging

OWNERS = ("host", "creator")
"""By whom there are sheets."""
_PICTURES = 240  # of a sheet: 20 pages
_SIDE = 320  # pixels


def write(
    con: duckdb.DuckDBPyConnection, folder: Path, pictures: PictureReader, by: str = "host", most: int = 50
) -> list[Path]:
    """Write a sheet for each owner, those with most copied pictures first. Each file is whole or not there.

    Args:
        con: A connection to a published version.
        folder: The folder to write into.
        pictures: Reads the pictures; one that cannot be read leaves its place empty and says so.
        by: One of `OWNERS`.
        most: Sheets at most.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    version, files = publication(con), []
    for owner in rows(con, "contact_owners", by=by, most=most):
        name = owner["owner"]
        listed = rows(con, "contact_pictures", owner=name, by=by, most=_PICTURES)
        sheet = ContactSheet(
            owner=name,
            version=version.number,
            published_at=version.published_at,
            pictures=[_picture(row, made) for row, made in zip(listed, _made(listed, pictures), strict=True)],
            left_out=owner["pictures"] - len(listed),
        )
        files.append(folder / _file_name(name))
        with staging.whole(files[-1]) as partial:
            partial.write_bytes(contact_sheet.draw(sheet))
    return files


def _made(listed: Sequence[dict[str, Any]], pictures: PictureReader) -> Iterator[bytes | Exception | None]:
    small = partial(thumbnails.thumbnail, long_side=_SIDE)
    return pictures.each_unflagged([(row["sample_id"], row["unsafe"]) for row in listed], small)


def _picture(row: dict[str, Any], made: bytes | Exception | None) -> SheetPicture:
    shown, why = (None, "cannot be read now") if isinstance(made, Exception) else (made, "")
    if made is None:
        why = "flagged unsafe"
    return SheetPicture(
        shown, why, row["verdict"], row["url"], row["license"], row["rows"], row["generations"], row["generation"]
    )


def _file_name(owner: str) -> str:
    """Return the name of an owner's file. No two owners share one, whatever characters they hold."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", owner).strip(".-")[:80] or "owner"
    return f"{plain}-{hashlib.sha256(owner.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}.pdf"
