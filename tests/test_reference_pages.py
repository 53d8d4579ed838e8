"""The generated references of commands and facts say what the command line and the schemas say."""

import importlib.util
import inspect
import re
from types import ModuleType

import pytest
from conftest import ROOT

from orchestration.cli.main import main
from orchestration.facts.schemas.tables import TABLES


def generator(name: str) -> ModuleType:
    """Return a script of `docs/generate`, which is in no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "generate" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["commands", "facts"])
def test_a_page_is_in_step_with_what_it_is_made_from(name: str) -> None:
    made = generator(name)
    assert made.PAGE.read_text(encoding="utf-8") == made.render(), "run `make docs`"


def test_every_command_and_option_is_on_the_page() -> None:
    page = generator("commands").render()
    for name, command in main.commands.items():
        section = page.partition(f"\n## raisonne {name}\n")[2].partition("\n## ")[0]
        assert section, name
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert f"`{parameter.opts[0]}" in section, (name, parameter.name)


def test_the_table_of_exit_codes_names_the_commands_that_can_end_incomplete() -> None:
    [row] = [line for line in generator("commands").render().splitlines() if line.startswith("| 4 |")]
    helps = {name: inspect.getdoc(command.callback) or "" for name, command in main.commands.items()}
    said = {name for name, text in helps.items() if re.search(r"\b4\b", text.partition("Exit codes:")[2])}
    assert set(re.findall(r"`(\w+)`", row)) == said == {"run", "init", "claims"}


def test_every_fact_table_is_on_the_page_with_its_columns() -> None:
    page = generator("facts").render()
    for name, table in TABLES.items():
        section = page.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert all(f"| `{column}` |" in section for column in table.schema.names), name
