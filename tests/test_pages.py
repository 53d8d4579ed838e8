"""Every code block of every page of the documentation runs, and shows what the page says that it shows.

How blocks are found, where they run, and which are marked is in `tests/page_blocks.py`. Generated pages have none.
"""

import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from _pytest.mark import ParameterSet
from conftest import ROOT, Landing
from page_blocks import PAGES, STUDENT, Block, Clone, blocks

from orchestration import settings
from orchestration.cli.main import main

BLOCKS = [block for page in PAGES for block in blocks(page)]
SHELL = [block for block in BLOCKS if block.language in ("sh", "console") and not block.lacking]
_WHOLE_RUNS = {"docs/tutorial.md", "docs/how-to/your-data.md", "docs/how-to/opt-outs.md"}
"""Pages that run warehouses of their own, by commands that shorter pages have as well."""
_VARYING = ("version:", "database:", "report:", "time:", "disk:")
_VARYING_COLUMNS = {"version", "published_at", "settings_hash", "image_fingerprints"}


def test_pages_have_blocks_of_kinds_that_are_tested() -> None:
    assert len(BLOCKS) > 60
    assert {block.language for block in BLOCKS} <= {"sh", "console", "sql", "python", "toml", "json", "csv", "text", ""}
    assert all(block.about for block in BLOCKS if block.mark not in ("", "runs on")), (
        "say why, which module, or which file"
    )


def _pages() -> Iterator[ParameterSet]:
    """Yield pages, and those of which some blocks take long once more with these."""
    for page in PAGES:
        found = blocks(page)
        if page in _WHOLE_RUNS or any(block.mark == "long" for block in found):
            yield pytest.param(page, True, marks=pytest.mark.thorough, id=f"{page}, whole")
        if found and page not in _WHOLE_RUNS:
            yield pytest.param(page, False, id=page)


@pytest.mark.parametrize(("page", "whole"), _pages())
def test_the_blocks_of_a_page_run(
    page: str, sample: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, whole: bool
) -> None:
    for name in [name for name in os.environ if name.startswith(("RAISONNE_", "DAGSTER_HOME"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with Clone.make(tmp_path, sample, blocks(page)) as clone:
        for block in blocks(page):
            if block.mark == "long" and not whole:
                continue
            try:
                _run(block, clone, sample, names)
            except Exception as error:
                error.add_note(f"{block}\n{block.text}")
                raise


def _run(block: Block, clone: Clone, sample: Landing, names: dict[str, Any]) -> None:
    if block.mark == "not run" or block.lacking:
        return
    if block.mark == "runs on":
        clone.start(block.text)
        return
    if block.mark == "file":
        clone.write(block.about, block.text)
    match block.language:
        case "sh" | "console":
            for command, typed, said in block.commands:
                _prints(clone, command, typed, said)
        case "sql":
            _answers(sample, block)
        case "python":
            exec(compile(block.text, str(block), "exec"), names)  # noqa: S102 -- our own page
        case "toml" if "project" not in tomllib.loads(block.text):
            _loads(clone, block.text)
        case "json":
            assert all(isinstance(json.loads(line), dict) for line in block.text.splitlines())


def _prints(clone: Clone, command: str, typed: str, said: list[str]) -> None:
    """Run it, and hold what it prints against the lines that the page shows, but for times and paths."""
    done = clone.run(command, typed)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    printed = f"{done.stdout}\n{done.stderr}".replace(STUDENT, "sscd").splitlines()
    shown = [line.replace(STUDENT, "sscd") for line in said if not line.startswith(_VARYING)]
    assert [line for line in shown if line not in printed] == [], "\n".join(printed)


def _answers(sample: Landing, block: Block) -> None:
    """Ask the sample, and hold the answer against the rows that the page shows; it may show some rows and columns."""
    import duckdb

    with duckdb.connect(str(sample.home / "raisonne.duckdb"), read_only=True) as con:
        answer = con.execute(block.text)
        columns = [name for name, *_ in answer.description or ()]
        rows = answer.fetchall()
    assert bool(rows) is (block.mark != "no rows")
    if not block.shown:
        return
    head, *shown = block.shown
    compared = [name for name in head if name not in _VARYING_COLUMNS]
    assert set(head) <= set(columns)
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    for line in shown:
        cells = dict(zip(head, line, strict=True))
        assert any(all(_says(cells[name], row[name]) for name in compared) for row in found), (line, rows)


def _says(cell: str, value: object) -> bool:
    """Return whether a cell shows a value, a number to as many digits as it has."""
    if value is None or isinstance(value, bool | str):
        return cell == ("" if value is None else str(value).lower() if isinstance(value, bool) else value)
    if isinstance(value, int | float) or hasattr(value, "as_tuple"):
        digits = len(cell.partition(".")[2])
        return bool(cell) and abs(float(cell) - float(value)) <= 0.51 * 10**-digits  # type: ignore[arg-type]
    if isinstance(value, dict):
        return cell == ", ".join(f"{name} {number:g}" for name, number in value.items())
    return cell == (", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _loads(clone: Clone, text: str) -> None:
    """Load settings as a run would, with a home if they show none."""
    shown = clone.folder / "shown.toml"
    shown.write_text(text if "home" in tomllib.loads(text) else f'home = "warehouse"\n{text}', encoding="utf-8")
    settings.load(shown)


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_a_command_is_one_that_there_is(block: Block) -> None:
    """Also of blocks that are not run: the words are taken by the command line, and the targets are in the Makefile."""
    targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()}
    for program, *words in block.invocations():
        if program == "make":
            assert {word for word in words if "=" not in word} <= targets
        elif program == "raisonne":
            _is_taken(words)


def _is_taken(words: list[str]) -> None:
    try:
        command: click.Command = main
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            name, *words = words
            command = command.commands[name]
        command.make_context("raisonne", words)
    except click.exceptions.Exit as stopped:  # --help and --version
        assert stopped.exit_code == 0


def test_every_command_is_on_some_page() -> None:
    used = {words[1] for block in SHELL for words in block.invocations() if words[0] == "raisonne" and len(words) > 1}
    assert used >= set(main.commands)
