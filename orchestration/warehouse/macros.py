"""Table macros of the published database: common questions as functions, in any DuckDB that opens the file.

What belongs here: reading `sql/macros/<name>.sql`, and the statements that make them. What does not: tables
(`warehouse/models.py`), `nearest`, which needs an extension (`cli/nearest_macro.py`).

A file is a header of `--` lines and one SELECT of tables in their schemas. A line `-- parameter <name>: meaning`
declares a parameter, in order; the other lines say what a row is and how to ask.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.warehouse.headers import ModelError

FOLDER = "macros"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PARAMETER = re.compile(r"-- parameter ([a-z][a-z0-9_]*): (.+)")


@dataclass(frozen=True)
class Macro:
    """One file under `sql/macros`. parameters: name → meaning, in the order in which they are given."""

    name: str
    description: str
    parameters: dict[str, str]
    select: str
    path: Path

    @property
    def call(self) -> str:
        """The macro as a query writes it, with the names of its parameters."""
        return f"{self.name}({', '.join(self.parameters)})"

    @property
    def statements(self) -> tuple[str, str]:
        """What makes the macro, and says in the database what it is."""
        said = "\n".join([self.description, *(f"{name}: {meaning}" for name, meaning in self.parameters.items())])
        comment = said.replace("'", "''")
        return (
            f"create or replace macro main.{self.call} as table\n{self.select}",
            f"comment on macro table main.{self.name} is '{comment}'",
        )


def load(folder: Path) -> tuple[Macro, ...]:
    """Read the macros under `folder`, which also holds the models. Raises ModelError for one that says too little."""
    return tuple(_read(path) for path in sorted((folder / FOLDER).glob("*.sql")))


def create(con: duckdb.DuckDBPyConnection, macros: tuple[Macro, ...]) -> None:
    """Make the macros in a database that has all tables. Raises RuntimeError that names the file of one that fails."""
    for macro in macros:
        try:
            for statement in macro.statements:
                con.execute(statement)
        except duckdb.Error as error:
            raise RuntimeError(f"{macro.path}: {error}") from error


def _read(path: Path) -> Macro:
    if not _NAME.fullmatch(path.stem):
        raise ModelError(f"{path}: name it in lower-case letters, digits and underscores, as it is called")
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((at for at, line in enumerate(lines) if not line.startswith("--")), len(lines))
    parameters = {match[1]: match[2] for line in lines[:end] if (match := _PARAMETER.fullmatch(line))}
    prose = [line.removeprefix("--").strip() for line in lines[:end] if not _PARAMETER.fullmatch(line)]
    if not parameters or not prose:
        raise ModelError(f"{path}: begin with what one row is, then `-- parameter <name>: meaning`")
    return Macro(path.stem, "\n".join(prose), parameters, "\n".join(lines[end:]).strip(), path)
