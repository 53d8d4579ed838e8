"""Macros of the published database: common questions as functions, available in any DuckDB that opens the file.

What belongs here: reading `sql/macros/<name>.sql` and `sql/functions/<name>.sql`, and the statements that create them.
What does not: tables (`warehouse/models.py`), which function calls which (`warehouse/functions.py`), `nearest`, which
reads Lance (`cli/sql/nearest_macro.py`).

A file is a header of `--` lines and one SELECT of tables in their schemas, or for a function one expression. A line `--
parameter <name>: meaning` declares a parameter, in order; the other lines say what a row is and show an example.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

from orchestration.warehouse.headers import ModelError
from orchestration.warehouse.queries import quoted

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PARAMETER = re.compile(r"-- parameter ([a-z][a-z0-9_]*): (.+)")


@dataclass(frozen=True)
class Macro:
    """One file under `sql/macros` or `sql/functions`.

    Attributes:
        parameters: Name → meaning, in the order in which they are passed.
        body: A SELECT, or the expression of a function.
        scalar: Whether it is a function that returns one value.
    """

    name: str
    description: str
    parameters: dict[str, str]
    body: str
    path: Path
    scalar: bool = False

    @property
    def call(self) -> str:
        """The macro as a query writes it, with the names of its parameters."""
        return f"{self.name}({', '.join(self.parameters)})"

    @property
    def statements(self) -> tuple[str, str]:
        """The statements that create the macro and store its description in the database."""
        said = "\n".join([self.description, *(f"{name}: {meaning}" for name, meaning in self.parameters.items())])
        table = "" if self.scalar else " table"
        return (
            f"create or replace macro main.{self.call} as{table}\n{self.body}",
            f"comment on macro{table} main.{self.name} is {quoted(said)}",
        )


def load(folder: Path) -> tuple[Macro, ...]:
    """Read the macros under `folder`, the folder of the models. Raises ModelError for an incomplete file."""
    return tuple(read(path) for path in sorted((folder / "macros").glob("*.sql")))


def create(con: duckdb.DuckDBPyConnection, macros: Sequence[Macro]) -> None:
    """Create macros in a database.

    Args:
        con: Open for writing; it has the tables that the macros read.
        macros: A function comes after those it calls.

    Raises:
        RuntimeError: If a macro cannot be created; the message names its file.
    """
    for macro in macros:
        try:
            for statement in macro.statements:
                con.execute(statement)
        except duckdb.Error as error:
            raise RuntimeError(f"{macro.path}: {error}") from error


def read(path: Path, *, scalar: bool = False) -> Macro:
    """Read one file.

    Args:
        path: The file, named after the macro.
        scalar: Whether it is a function that returns one value.

    Raises:
        ModelError: If the name cannot be called or the header is incomplete.
    """
    if not _NAME.fullmatch(path.stem):
        raise ModelError(f"{path}: name it in lower-case letters, digits and underscores, as it is called")
    return _parse(path, path.read_text(encoding="utf-8"), scalar)


@cache  # the recipe of each table asks for every function
def _parse(path: Path, text: str, scalar: bool) -> Macro:
    lines = text.splitlines()
    end = next((at for at, line in enumerate(lines) if not line.startswith("--")), len(lines))
    parameters = {match[1]: match[2] for line in lines[:end] if (match := _PARAMETER.fullmatch(line))}
    prose = [line.removeprefix("--").strip() for line in lines[:end] if not _PARAMETER.fullmatch(line)]
    if not parameters or not prose:
        raise ModelError(
            f"{path}: begin with what {'it returns' if scalar else 'one row is'}, then `-- parameter <name>: meaning`"
        )
    return Macro(path.stem, "\n".join(prose), parameters, "\n".join(lines[end:]).strip(), path, scalar)
