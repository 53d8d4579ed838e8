"""Rows of the page queries, and the small files from which pages load their data.

What belongs here: reading rows out of DuckDB, writing data files. What does not: the content of the files
(`reports/gallery.py`, `reports/clusters.py`, `reports/provenance.py`), their encoding (`transforms/reports/page.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration.warehouse import lake
from orchestration.warehouse.queries import query
from transforms.readable import legible
from transforms.reports import page

CAPTION, LONG = 400, 300  # characters of a caption; of a URL, a host, a licence
_BATCH = 2_048  # rows


@dataclass(frozen=True)
class Publication:
    """The exported version: its number, and the time of its publication as text."""

    number: int
    published_at: str


def publication(con: duckdb.DuckDBPyConnection) -> Publication:
    """Return the version that a connection reads."""
    return Publication(**rows(con, "publication")[0])


@dataclass(frozen=True)
class DataFolder:
    """The folder of data files, `KIND/NUMBER.js`."""

    path: Path

    def write(self, kind: str, number: int | str, value: object) -> None:
        """Write one file.

        Args:
            kind: Folder of the file.
            number: Name of the file within it.
            value: a JSON value; its keys are never text from outside.
        """
        name = f"{kind}/{number}"
        file = self.path / f"{name}.js"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page.data_file(name, value), encoding="ascii")


def rows(con: duckdb.DuckDBPyConnection, name: str, **values: object) -> list[dict[str, Any]]:
    """Return all rows of a query.

    Args:
        con: a connection to a published version.
        name: The query's name in `sql/queries/reports/`.
        values: Its parameters.
    """
    cursor = con.execute(query(f"reports/{name}"), values)
    columns = [column[0] for column in cursor.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def stream(con: duckdb.DuckDBPyConnection, name: str, **values: object) -> Iterator[dict[str, Any]]:
    """Yield the rows of a query from a separate cursor, so that other queries can run at the same time.

    Args:
        con: a connection to a published version.
        name: The query's name in `sql/queries/reports/`.
        values: Its parameters.
    """
    with lake.cursor(con) as cursor:
        for batch in cursor.execute(query(f"reports/{name}"), values).to_arrow_reader(_BATCH):
            yield from batch.to_pylist()


def text(value: str | None, limit: int = LONG) -> str | None:
    """Return a text from outside as pages print it.

    Args:
        value: The text.
        limit: The number of characters after which it is cut.
    """
    return None if value is None else legible(value, limit)


def plain(number: float | None) -> float | None:
    """Shorten a whole float to an int; pages hold thousands of them."""
    return int(number) if number is not None and number == int(number) else number
