"""The header of a SQL model: the declarations in its `--` lines.

What belongs here: reading and refusing header lines. What does not: the SELECT below them (`warehouse/models.py`).

A file is a header of `--` lines and one SELECT. A header line `-- key: value` declares `as`, `grain`, `unique`,
`not_null`, `assert`, `warn` or `column <name>`, and may continue on lines indented by three spaces or more; the other
lines describe the table. To detect typos in keys, a line of prose may begin with a word and a colon only in
mid-sentence.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

_KEYS = ("as", "grain", "unique", "not_null", "assert", "warn")
COLUMN = re.compile(r"[a-z_][a-z0-9_]*")
_ENTRY = re.compile(r"([A-Za-z_]+)(?: +([^:]+?))?\s*:(?![/:])\s*(.*)")


class ModelError(ValueError):
    """A SQL model cannot be built. The message names the file and the fix."""


@dataclass(frozen=True)
class Header:
    """The declarations of a header. `models.Model` has the same fields and explains them."""

    description: str
    view: bool
    grain: str
    unique: tuple[tuple[str, ...], ...]
    not_null: tuple[str, ...]
    asserts: tuple[str, ...]
    warns: tuple[str, ...]
    columns: dict[str, str]


def read_header(lines: list[str], path: Path) -> tuple[Header, int]:
    """Read the header of a model.

    Args:
        lines: All lines of the file.
        path: The file, for messages.

    Returns:
        The header, and the count of lines before the SELECT.

    Raises:
        ModelError: If a line looks like a declaration but is not valid, or is below the header.
    """
    start = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith("--")), len(lines))
    for number, line in enumerate(lines[end:], end + 1):
        if line.lstrip().startswith("--") and (entry := _ENTRY.match(line.strip(" -"))) and _declares(entry):
            raise ModelError(f"{path}:{number}: move '{line.strip()}' up into the header, the first lines of the file")
    return _header(lines[start:end], path), end


def _header(lines: list[str], path: Path) -> Header:
    said: dict[str, list[str]] = {key: [] for key in _KEYS}
    columns: dict[str, str] = {}
    prose = []
    unfinished = False  # whether the line before leaves a sentence open, so that this one may begin with any word
    for line in _unfolded(lines):
        entry = _ENTRY.match(line)
        meant = entry and _meant(entry, unfinished)
        if entry is None or meant is None:
            prose.append(line)
            unfinished = line != "" and line[-1] not in ".!?:"
            continue
        unfinished = False
        key, name, value = entry.groups()
        if not _declares(entry):
            raise ModelError(
                f"{path}: unknown header key in '{line}'{nearest(meant, (*_KEYS, 'column'))}; the keys are "
                f"{', '.join(_KEYS)} and column <name>, and prose begins a line with a word and a colon only in "
                "mid-sentence"
            )
        if not value:
            raise ModelError(f"{path}: '{line}' has no value; complete it or remove it")
        if value in said.get(key, ()) or (key == "column" and name in columns):
            raise ModelError(f"{path}: '{line}' repeats an earlier line; remove one")
        if key == "column":
            columns[_columns_in(name, line, path)[0]] = value
        else:
            said[key].append(value)
    if said["as"] not in ([], ["table"], ["view"]):
        raise ModelError(f"{path}: 'as: {' and '.join(said['as'])}' must be 'as: table' or 'as: view'")
    if said["grain"] not in ([], ["shard"], ["cluster"]):
        raise ModelError(
            f"{path}: 'grain: {' and '.join(said['grain'])}' must be 'grain: shard' or 'grain: cluster', or be left out"
        )
    return Header(
        description="\n".join(prose).strip(),
        view=said["as"] == ["view"],
        grain="".join(said["grain"]),
        unique=tuple(_columns_in(text, f"unique: {text}", path) for text in said["unique"]),
        not_null=tuple(name for text in said["not_null"] for name in _columns_in(text, f"not_null: {text}", path)),
        asserts=tuple(said["assert"]),
        warns=tuple(said["warn"]),
        columns=columns,
    )


def _unfolded(lines: list[str]) -> list[str]:
    """Join an indented line to the declaration it continues; indented prose stays as it is."""
    unfolded: list[str] = []
    for line in lines:
        text = line.removeprefix("--").rstrip()
        if unfolded and text.startswith("   ") and (entry := _ENTRY.match(unfolded[-1])) and _declares(entry):
            unfolded[-1] += f" {text.strip()}"
        else:
            unfolded.append(text.removeprefix(" "))
    return unfolded


def _declares(entry: re.Match[str]) -> bool:
    key, name, _ = entry.groups()
    return key in _KEYS if name is None else key == "column"


def _meant(entry: re.Match[str], unfinished: bool) -> str | None:
    """Return the key that a line declares or likely misspells, or None for prose."""
    key, name, _ = entry.groups()
    if _declares(entry) or (name is None and not unfinished):
        return key
    if name is None:
        return key if get_close_matches(key, _KEYS) else None
    if f"{key}_{name}" in _KEYS:
        return f"{key}_{name}"
    return key if " " not in name and get_close_matches(key, ["column"], cutoff=0.8) else None


def _columns_in(text: str, line: str, path: Path) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not COLUMN.fullmatch(name):
            raise ModelError(
                f"{path}: '{name}' in '{line}' is not a column name; write names in lower case, with commas"
            )
    return names


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of an error message: a suggestion of a similar name, or nothing.

    Args:
        name: The unknown name.
        names: The known names.
    """
    matches = get_close_matches(name, list(names), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""
