"""Rows of the page queries, and the small files from which pages load their data.

What belongs here: reading rows out of DuckDB, writing data files. What does not: the content of the files
(`reports/gallery.py`, `reports/clusters.py`, `reports/provenance.py`), their encoding (`transforms/reports/page.py`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration.warehouse import lake
from orchestration.warehouse.queries import fetch_rows, query
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
        self._put(kind, number, page.data_file(f"{kind}/{number}", value))

    def write_lines(self, kind: str, number: int | str, items: Iterable[str]) -> None:
        """Write one file of a list, with a line for each of its values, so that `lines` returns them.

        Args:
            kind: Folder of the file.
            number: Name of the file within it.
            items: The values, each as `page.item` returns it.
        """
        self._put(kind, number, page.list_file(f"{kind}/{number}", items))

    def lines(self, kind: str, number: int | str) -> list[str]:
        """Return the values of a file that `write_lines` wrote; none of another file, or where none can be read.

        Args:
            kind: Folder of the file.
            number: Name of the file within it.
        """
        try:
            first, *lines, last = self._file(kind, number).read_text(encoding="ascii").splitlines()
        except (OSError, ValueError):
            return []
        return [line.removesuffix(",") for line in lines] if first.endswith("[") and last == "]);" else []

    def _put(self, kind: str, number: int | str, script: str) -> None:
        file = self._file(kind, number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(script, encoding="ascii")

    def _file(self, kind: str, number: int | str) -> Path:
        return self.path / kind / f"{number}.js"


def rows(con: duckdb.DuckDBPyConnection, name: str, **values: object) -> list[dict[str, Any]]:
    """Return all rows of a query.

    Args:
        con: a connection to a published version.
        name: The query's name in `sql/queries/reports/`.
        values: Its parameters.
    """
    return fetch_rows(con.execute(query(f"reports/{name}"), values))


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
