"""Functions that several tables and queries share, such as how a URL is normalised.

What belongs here: the order in which `sql/functions/<name>.sql` can be created, and finding the functions that a
statement calls. What does not: how such a file is read (`warehouse/macros.py`), tables (`warehouse/models.py`).

The published file keeps the functions, because its views call them.
"""

import re
from collections.abc import Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from orchestration.facts.recipes import sql_words
from orchestration.warehouse import macros
from orchestration.warehouse.macros import Macro


def load(folder: Path) -> tuple[Macro, ...]:
    """Read the functions under `folder`, the folder of the models. Functions that others call come first.

    Raises ModelError for an incomplete file.
    """
    found = [macros.read(path, scalar=True) for path in sorted((folder / "functions").glob("*.sql"))]
    functions = {function.name: function for function in found}
    calls = {name: sorted((_called(function.body) & functions.keys()) - {name}) for name, function in functions.items()}
    return tuple(functions[name] for name in TopologicalSorter(calls).static_order())


def words(sql: str, known: Sequence[Macro]) -> tuple[str, ...]:
    """Return the words of a statement and of the functions it calls, so that a recipe changes with either.

    Args:
        sql: One statement, such as the SELECT of a model.
        known: All functions, as `load` returns them.
    """
    functions = {function.name: function for function in known}
    called, more = frozenset[str](), _called(sql) & functions.keys()
    while more - called:
        called |= more
        more = frozenset[str]().union(*(_called(functions[name].body) & functions.keys() for name in called))
    return sum((sql_words(functions[name].statements[0]) for name in sorted(called)), sql_words(sql))


@cache  # the recipes of all tables ask for the same functions
def _called(sql: str) -> frozenset[str]:
    return frozenset(re.findall(r"\b([a-z][a-z0-9_]*)\(", sql))
