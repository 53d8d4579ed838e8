"""Writes the reference of commands, `docs/reference/commands.md`, from the command line's own help.

`make docs` writes it. What belongs here: the page. What does not: what a command does, which it says itself
(`orchestration/cli/`).
"""

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from orchestration.cli.main import main

PAGE = Path(__file__).parents[1] / "reference" / "commands.md"
_HEAD = """\
# Commands

Written by `docs/generate/commands.py` from the help of each command: `raisonne COMMAND --help` says the same.

The settings file is the one that `--config` names, else `RAISONNE_CONFIG`, else `./raisonne.toml`. From a clone, the
command is `.venv/bin/raisonne`, or `raisonne` once the environment is active (`source .venv/bin/activate`).

| exit code | means |
| --- | --- |
| 0 | done; `check`: all may be shown |
| 1 | failed; the message names the fix |
| 2 | wrong arguments or settings |
| 3 | `check`: an image could not be checked; treat it as a block; `claims`: the bundle cannot be used |
| 4 | `run`, `init`, `claims`: done, but files that the warnings or the page name could not be used, or not as a whole |
| 10 | `check`: at least one image is blocked; `claims`: at least one picture is in the training set |
| 130 | interrupted |"""


def render() -> str:
    """Return the page as Markdown."""
    lines = [_HEAD, "", "| command | does |", "| --- | --- |"]
    found = list(_commands(main, "raisonne"))
    lines += [f"| [`{name}`](#{_anchor(name)}) | {_cell(_text(command)[0])} |" for name, command in found]
    for name, command in found:
        lines += ["", *_section(name, command)]
    return "\n".join(lines).rstrip() + "\n"


def _commands(group: click.Group, before: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its full name; a group before its commands."""
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        yield f"{before} {name}", command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{before} {name}")


def _section(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    yield f"## {name}"
    yield ""
    for paragraph in _text(command):
        yield paragraph
        yield ""
    yield "```text"
    yield " ".join([name, *command.collect_usage_pieces(context)])
    yield "```"
    options = [each for each in command.get_params(context) if isinstance(each, click.Option) and not each.hidden]
    yield ""
    yield "| option | meaning |"
    yield "| --- | --- |"
    for record in filter(None, (option.get_help_record(context) for option in options)):
        yield f"| `{_cell(record[0])}` | {_cell(record[1])} |"
    if command.epilog:
        yield ""
        yield f"Example: `{_cell(command.epilog.removeprefix('Example: '))}`"


def _text(command: click.Command) -> list[str]:
    """Return the paragraphs of a command's help, as Markdown."""
    text = inspect.cleandoc(command.help or "").replace("\b\n", "").replace("*", "\\*")
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
