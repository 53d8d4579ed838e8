"""The data that pages load: small files, written one after the other.

What belongs here: writing them, streaming rows out of DuckDB, pictures as thumbnails. What does not: what they hold
(`reports/gallery.py`, `reports/clusters.py`, `reports/provenance.py`), how they are encoded
(`transforms/reports/page.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from transforms.pictures import Pixels
from transforms.readable import legible
from transforms.reports import page, thumbnails

CAPTION, LONG = 400, 300  # characters of a caption; of a URL, a host, a licence
_BATCH = 2_048  # rows


@dataclass(frozen=True)
class DataFolder:
    """The folder of data files, `KIND/NUMBER.js`."""

    path: Path

    def write(self, kind: str, number: int | str, value: object) -> None:
        """Write one file. value: of JSON; no key of it is a stranger's word."""
        name = f"{kind}/{number}"
        file = self.path / f"{name}.js"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page.data_file(name, value), encoding="ascii")


def rows(con: duckdb.DuckDBPyConnection, query: str, values: dict[str, object]) -> Iterator[dict[str, Any]]:
    """Stream the rows of a query, on a cursor of its own so that others can be read meanwhile."""
    with con.cursor() as cursor:
        for batch in cursor.execute(query, values).to_arrow_reader(_BATCH):
            yield from batch.to_pylist()


def thumbnail(picture: Callable[[int], Pixels], sample_id: int, long_side: int = thumbnails.LONG_SIDE) -> str | None:
    """Return a training picture as a `data:` URL, None where it cannot be read now, which pages say."""
    try:
        return thumbnails.source(picture(sample_id), long_side)
    except (OSError, ValueError):
        return None


def text(value: str | None, limit: int = LONG) -> str | None:
    """Return a stranger's text as pages print it."""
    return None if value is None else legible(value, limit)


def plain(number: float | None) -> float | None:
    """Return 12.0 as 12: there are many such numbers."""
    return int(number) if number is not None and number == int(number) else number
