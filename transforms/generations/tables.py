"""Tables of generations: which files are tables, and what their rows state of which picture.

What belongs here: `generations.*`, the `metadata.*` of Hugging Face's imagefolder, DiffusionDB's `part-*.json`; meeting
rows with pictures, and counting those that do not meet. What does not: the forms of files (`catalog/record_files.py`),
how names are compared (`generations/names.py`).
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import BinaryIO

from transforms.catalog.not_taken import NotTakenCounts
from transforms.catalog.record_files import Record, RecordFileError, records
from transforms.dumps.members import ArchiveError
from transforms.generations.generation import GenerationsError
from transforms.generations.names import AmbiguousName, PictureNames
from transforms.generations.statements import COLUMNS, FILE_NAMES, PictureStatement, lower_names, of_record, word
from transforms.storage.file_limits import ByteLimits

_FORMS = r"(jsonl|jsonlines|ndjson|json|parquet|pq|csv|tsv)(\.gz)?"
# In the order in which they are believed
_TABLES = (
    re.compile(rf"generations\.{_FORMS}", re.IGNORECASE),
    re.compile(rf"metadata(-large)?\.{_FORMS}", re.IGNORECASE),
    re.compile(r"part-\d+\.json", re.IGNORECASE),
)

NO_PICTURE = "a row that names no picture"
NO_ROW = "a picture that no row of a table names (it is a generation without what the table would state)"
SEVERAL = "a row whose name fits several pictures; write its path below the table's folder"
AGAIN = "a row for a picture that a later row of the table names again"
SHARED = "rows whose names fit one picture; write its path below the table's folder"
BROKEN = "a table that cannot be read, of which nothing is taken"
LETTERS = "a row in no encoding of Unicode, which is read as Windows-1252 (it is taken)"
REPAIRED = "a row with bytes that are no text, which became U+FFFD (it is taken)"
NO_NAMES = f"a table without a column that names pictures, such as {FILE_NAMES[0]}"
_SHOWN = 20  # columns that a message names


@dataclass(frozen=True)
class TableFile:
    """A table of generations.

    Attributes:
        name: Its path below the source's folder.
        path: Its path in messages, and where it is unless `opened` is given.
        opened: Opens it, for a table within an archive.
    """

    name: str
    path: str
    opened: Callable[[], AbstractContextManager[BinaryIO]] | None = None

    @property
    def folder(self) -> str:
        """The folder that the names in it are below."""
        return posixpath.dirname(self.name)

    @property
    def rank(self) -> tuple[int, int, str]:
        """The order in which tables are believed: the nearest to a picture first."""
        kind = next(n for n, pattern in enumerate(_TABLES) if pattern.fullmatch(posixpath.basename(self.name)))
        return -self.name.count("/"), kind, self.name

    @property
    def is_named(self) -> bool:
        """Whether it is called `generations`, so that it must be one."""
        return posixpath.basename(self.name).lower().startswith("generations.")

    def records(self, limits: ByteLimits) -> Iterator[Record]:
        """Yield its rows.

        Args:
            limits: Of its size.

        Raises:
            RecordFileError: If it cannot be read; the message names file, line and fix. OSError likewise.
        """
        with self.opened() if self.opened else nullcontext() as source:
            yield from records(self.path, limits, COLUMNS, source)


@dataclass
class HeldTexts:
    """Counts what is held of a table."""

    path: str
    limits: ByteLimits
    _size: int = 0

    def add(self, statement: PictureStatement, *names: str) -> PictureStatement:
        """Count a statement, and return it.

        Args:
            statement: What a row states.
            names: Of the pictures that it names.

        Raises:
            RecordFileError: If the texts of all rows take more than a batch, or one is too long.
        """
        texts = [len(value) for value in (*names, *statement.fields.values()) if isinstance(value, str)]
        self._size += sum(texts)
        for size, most, name in (
            (max(texts, default=0), self.limits.text, "text"),
            (self._size, self.limits.batch, "batch"),
        ):
            if size > most:
                what = "a text of its rows takes" if name == "text" else "all texts of its rows take"
                raise RecordFileError(
                    f"{self.path}: {what} {size:,} characters, more than limits.{name}_bytes = "
                    f"{most:,}; shorten them, or raise the limit"
                )
        return statement


def is_table(name: str) -> bool:
    """Return whether a file is a table of generations, by its name."""
    base = posixpath.basename(name)
    return any(pattern.fullmatch(base) for pattern in _TABLES)


def read_tables(
    tables: Sequence[TableFile], names: Sequence[str], root: str, counts: NotTakenCounts, limits: ByteLimits
) -> dict[str, list[PictureStatement]]:
    """Return what tables state of the pictures of a source, by picture, the table that is believed first.

    Args:
        tables: The tables.
        names: The pictures' paths below the source's folder.
        root: The folder, as an absolute path.
        counts: Receives the rows and pictures that do not meet, and tables that cannot be read.
        limits: Of a table.

    Raises:
        GenerationsError: If a table that is called `generations` cannot be read.
    """
    stated: dict[str, list[PictureStatement]] = {}
    known = PictureNames(names if tables else (), root)
    places: dict[str, str] = {}
    for table in sorted(tables, key=lambda each: each.rank):
        own = NotTakenCounts()
        try:
            found = _meet(table, known, own, limits)
        except (OSError, ArchiveError, RecordFileError) as error:
            if table.is_named:
                raise GenerationsError(f"the table of generations cannot be read: {error}") from error
            counts.add(table.path, BROKEN, str(error))  # a `metadata.json` may be of something else
            continue
        counts.include(own.counts())
        if found is None:
            continue
        places.setdefault(table.folder, table.path)
        for name, statement in found.items():
            stated.setdefault(name, []).append(statement)
    for name in names if places else ():
        folder = _nearest(name, places)
        if name not in stated and folder is not None:
            counts.add(places[folder], NO_ROW, name)
    return stated


def _nearest(name: str, folders: Mapping[str, str]) -> str | None:
    while name:
        name = posixpath.dirname(name)
        if name in folders:
            return name
    return None


def _meet(
    table: TableFile, known: PictureNames, counts: NotTakenCounts, limits: ByteLimits
) -> dict[str, PictureStatement] | None:
    """Return what a table states by picture; None if it has no column that names pictures.

    Rows that state a path come first. Only a picture that none of them names can be meant by a row that states another
    path that ends alike.
    """
    found: dict[str, PictureStatement] = {}
    rest: list[tuple[str, PictureStatement]] = []
    unnamed: list[str] = []
    columns: dict[str, None] = {}
    held = HeldTexts(table.path, limits)
    for record in table.records(limits):
        if len(columns) < _SHOWN:
            columns |= dict.fromkeys(record.fields)
        written, statement = _written(record), of_record(table.name, record.fields)
        held.add(statement, *written)
        if record.letters:
            statement = replace(statement, said_by=f"{table.name} (read as Windows-1252)")
            counts.add(table.path, LETTERS, f"row {record.number}")
        elif any(isinstance(value, str) and "\ufffd" in value for value in record.fields.values()):
            counts.add(table.path, REPAIRED, f"row {record.number}")
        unnamed += () if written else [f"row {record.number}"]
        for each in written:
            name = _found(known.by_path, each, table, counts)
            if name == "":
                rest.append((each, statement))
            elif name is not None:
                if name in found:
                    counts.add(table.path, AGAIN, each)
                found[name] = statement
    if unnamed and not found and not rest:
        _refuse(table, unnamed, list(columns), counts)
        return None
    unnamed += _fit(rest, found, table, known, counts)
    if unnamed:
        counts.add(table.path, NO_PICTURE, *unnamed)
    return found


def _fit(
    rest: Sequence[tuple[str, PictureStatement]],
    found: dict[str, PictureStatement],
    table: TableFile,
    known: PictureNames,
    counts: NotTakenCounts,
) -> list[str]:
    """Add what rows state whose paths only end as those of pictures, and return the names that fit none."""
    fitting: dict[str, dict[str, PictureStatement]] = {}
    missing = []
    for each, statement in rest:
        name = _found(known.by_end, each, table, counts)
        if name == "" or name in found:
            missing.append(each)
        elif name is not None:
            fitting.setdefault(name, {})[each] = statement
    for name, rows in fitting.items():
        if len(rows) > 1:
            counts.add(table.path, SHARED, *rows)
        else:
            found[name] = next(iter(rows.values()))
    return missing


def _found(
    find: Callable[[str, str], str | None], written: str, table: TableFile, counts: NotTakenCounts
) -> str | None:
    """Return the picture that a name means: empty if there is none, None if it fits several, which is counted."""
    try:
        return find(written, table.folder) or ""
    except AmbiguousName as error:
        counts.add(table.path, SEVERAL, f"{written} ({error})")
        return None


def _written(record: Record) -> list[str]:
    """Return the names of pictures that a row states."""
    if record.name is not None:
        return [record.name]
    fields = lower_names(record.fields)
    for name in FILE_NAMES:
        value = fields.get(name)
        value = value.get("path") if isinstance(value, dict) else value
        found = [stated for each in (value if isinstance(value, list) else [value]) if (stated := word(each))]
        if found:
            return found
    return []


def _refuse(table: TableFile, rows: Sequence[str], columns: Sequence[str], counts: NotTakenCounts) -> None:
    """Count a table that names no picture. One that is called `generations` is meant to."""
    if table.is_named:
        names = ", ".join(columns) or "none"
        raise GenerationsError(f"{table.path}: the table of generations has no {FILE_NAMES[0]} column; found {names}")
    counts.add(table.path, NO_NAMES, *rows)
