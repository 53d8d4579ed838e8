"""The README is true: its queries answer, its commands parse, its tables, targets, files and numbers are there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import duckdb
import pytest
from conftest import ROOT, Landing

from orchestration.cli import summary
from orchestration.cli.main import main

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PAGES = {"README.md": README, "CONTRIBUTING.md": CONTRIBUTING}
_READ_ONLY = {"show", "sql"}


def blocks(page: str, *languages: str) -> list[str]:
    """Return the fenced code blocks in these languages."""
    return [text for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.M | re.S) if language in languages]


def shell_lines(page: str) -> Iterator[str]:
    """Yield what a reader types: every line of a sh block, and of a console block those after a prompt."""
    for block in blocks(page, "sh"):
        yield from block.splitlines()
    for block in blocks(page, "console"):
        yield from (line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))


def invocations(page: str) -> Iterator[list[str]]:
    """Yield the arguments of every `raisonne` that is typed, without assignments before it and pipes behind it."""
    for line in shell_lines(page):
        tokens = shlex.shlex(line, posix=True, punctuation_chars=True)
        tokens.whitespace_split = True
        words: list[str] = []
        for token in [*tokens, "|"]:
            if set(token) <= set("|&;<>"):
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words = words[1:]
                if words and words[0] == "raisonne":
                    yield words[1:]
                words = []
            else:
                words.append(token)


QUERIES = blocks(README, "sql")
COMMANDS = list(invocations(README))
TABLES = re.findall(r"^\| `(\w+\.\w+)` \|", README, re.M)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: " ".join(query.split())[:60])
def test_a_query_answers_on_the_sample(query: str, sample: Landing) -> None:
    assert sample.query(query)


def test_there_are_at_least_ten_queries() -> None:
    assert len(QUERIES) >= 10


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_is_one_that_raisonne_takes(arguments: list[str]) -> None:
    name, *rest = arguments
    try:
        main.commands[name].make_context(name, rest)
    except click.exceptions.Exit as stopped:  # --help and --version
        assert stopped.exit_code == 0


@pytest.mark.parametrize("arguments", [a for a in COMMANDS if a[0] in _READ_ONLY], ids=" ".join)
def test_a_read_only_command_prints_something(arguments: list[str], sample: Landing) -> None:
    assert sample.raisonne(*arguments).stdout.strip()


def test_every_command_is_in_the_list_and_the_list_names_no_other() -> None:
    listed = re.findall(r"^\| `raisonne (\w+)", README, re.M)
    assert sorted(set(listed)) == sorted(main.commands)  # an export has a line each


def test_the_list_of_jobs_is_that_of_the_command() -> None:
    [choices] = [p.type.choices for p in main.commands["run"].params if p.name == "job"]
    assert "raisonne run [" + r"\|".join(choices) + "]" in README


def test_the_listed_tables_are_published_in_data_order(sample: Landing) -> None:
    published = {name for (name,) in sample.query("select schema_name || '.' || table_name from duckdb_tables()")}
    assert set(TABLES) <= published
    stages = re.findall(r"^\| (\w+) \| .*\? \|", README, re.M)
    order = [[*stages, "warehouse"].index(table.partition(".")[0]) for table in TABLES]
    assert len(stages) == 6
    assert order == sorted(order)


def test_every_table_named_in_text_is_published(sample: Landing) -> None:
    schemas = {name for (name,) in sample.query("select distinct schema_name from duckdb_tables()")}
    named = {f"{s}.{t}" for s, t in re.findall(r"\b(\w+)\.(\w+)\b", "\n".join(QUERIES)) if s in schemas}
    kept = sample.query("select schema_name || '.' || table_name from duckdb_columns()")
    assert named <= {name for (name,) in kept}


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_is_in_the_makefile(page: str) -> None:
    code = "\n".join([*shell_lines(PAGES[page]), *re.findall(r"`([^`\n]+)`", PAGES[page])])
    named = set(re.findall(r"(?m)^make (\w+)", code))
    targets = set(re.findall(r"(?m)^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert named
    assert named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_linked_file_exists(page: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", PAGES[page])
    assert targets
    assert [t for t in targets if "://" not in t and not (ROOT / t).is_file()] == []


def test_the_pictures_are_small_enough_to_load() -> None:
    targets = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert targets
    assert [target for target in targets if (ROOT / target).stat().st_size >= 400_000] == []


def test_the_settings_shown_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestration import settings
    from orchestration.settings.sections import Policies

    monkeypatch.delenv("RAISONNE_CONFIG", raising=False)
    (tmp_path / "my.toml").write_text("\n".join(blocks(README, "toml")), encoding="utf-8")
    shown = settings.load(tmp_path / "my.toml")
    assert (len(shown.datasets), len(shown.recalls)) == (1, 1)
    assert shown.policies == Policies(), "the README shows other defaults"
    for assignment in re.findall(r"RAISONNE_[A-Z_]+=\S+", README):
        monkeypatch.setenv(*assignment.split("=", 1))
    changed = settings.load(tmp_path / "my.toml")
    assert (changed.thresholds.pdq, changed.home) == (24, Path("/tmp/strict"))  # noqa: S108 -- the README's example


def test_the_summary_shown_is_that_of_the_sample(sample: Landing, capsys: pytest.CaptureFixture[str]) -> None:
    varying = ("version:", "database:", "report:")
    with duckdb.connect(str(sample.home / "raisonne.duckdb"), read_only=True) as con:
        warnings = [f"warning: {failure}" for failure in summary.failures(con)]
        summary.show(con, sample.home / "raisonne.duckdb", None)
    printed = [*warnings, *capsys.readouterr().out.splitlines()]
    [shown] = [block.splitlines() for block in blocks(README, "console") if "make demo" in block]
    assert [line for line in printed if not line.startswith(varying)] == [
        line for line in shown[1 : shown.index("against the planted truth:")] if not line.startswith(varying)
    ]


def test_the_limits_shown_are_those_of_the_code(sample: Landing) -> None:
    from transforms.alignment.policy import PixelLimits

    [(pictures, null)] = sample.query(
        "select (select count(*) from duplicates.pictures), max(null_pictures) from matches.calibration"
    )
    assert f"{pictures} different pictures" in README
    assert f"1/{pictures + 1}" in README
    assert null == pictures, "the null distribution of the sample is drawn from all of them"
    limits = PixelLimits()
    assert limits.solid_share == 1 / 5
    assert f"under a fifth of both pictures ({limits.larger_share:.0%} where" in README


def test_every_promise_of_security_names_a_test() -> None:
    promises = re.findall(r"^\| (.*) \|$", SECURITY.partition("## What is promised")[2].partition("## ")[0], re.M)[2:]
    assert len(promises) > 15
    for promise in promises:
        named = re.findall(r"`(tests/[\w/]+\.py)`", promise)
        assert named and all((ROOT / name).is_file() for name in named), promise
