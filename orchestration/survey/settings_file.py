"""The settings file that `raisonne init` writes, with the reasons and questions as comments.

What belongs here: the text. What does not: what it names (`survey/findings.py`), reading settings (`settings/`).
"""

import json
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from orchestration.survey.joining import Finding
from transforms.readable import count, printable, size
from transforms.storage import stores

_HEAD = """\
# Settings of a warehouse, written by `raisonne init`.
# Run it with `raisonne run{config}`; with --dry-run, that says what is due and does nothing.
# Every key can be overridden from the environment: RAISONNE_HOME, RAISONNE_THRESHOLDS__PDQ, …
# Paths are relative to this file. All other settings keep their defaults.
"""


def render(findings: Sequence[Finding], home: str, encoder: str, file: Path) -> str:
    """Return the text of a settings file.

    Args:
        findings: What it names.
        home: The folder of the warehouse, as it is written.
        encoder: The copy encoder.
        file: Where the text will be written; paths are relative to its folder.
    """
    base, taken = file.absolute().parent, set[str]()
    config = "" if file.name == "raisonne.toml" else f" --config {printable(shlex.quote(file.name))}"
    lines = [_HEAD.format(config=config), f"home = {_text(home)}", ""]
    for finding in sorted(findings, key=lambda each: each.generated):
        lines += [*_section(finding, base, taken), ""]
    if not any(each.generated for each in findings):
        lines += ["# Generated pictures, once there are any:", "# [[generations]]", '# name = "generated"']
        lines += ['# path = "generated"', ""]
    lines += [
        "[encoders]",
        "# The encoder that finds copies: sscd, sscd_distilled (faster without a GPU), or sscd:PATH.",
        f"copy = {_text(encoder)}",
    ]
    return "\n".join(lines) + "\n"


def name_of(finding: Finding, taken: Collection[str]) -> str:
    """Return a name that the settings take, and no other section has.

    Args:
        finding: What is named.
        taken: Names that are taken.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", finding.place.resolve().name).strip("-._")[:80]
    plain = plain or ("generations" if finding.generated else "dataset")
    numbered = (plain, *(f"{plain}-{number}" for number in range(2, len(taken) + 3)))
    return next(each for each in numbered if each not in taken)


def _section(finding: Finding, base: Path, taken: set[str]) -> Iterator[str]:
    name = name_of(finding, taken)
    taken.add(name)
    kind = "generated pictures" if finding.generated else "training pictures"
    about = "about " if finding.estimated else ""
    yield f"# {about}{count(finding.pictures, 'picture')}, {size(finding.bytes)}: {kind}, " + (
        f"because {printable(finding.reason)}" if finding.reason else "though nothing says so: see the question"
    )
    mark = ""
    if finding.objection:
        mark = "# "
        yield f"# NOT USED: {printable(finding.objection)}."
    if finding.reason is None:
        yield "# QUESTION: were these trained on? Nothing says so. If a model made them, name them under"
        yield "# [[generations]] instead, with `path` in place of `images`."
    yield f"{mark}[[{'generations' if finding.generated else 'datasets'}]]"
    yield f"{mark}name = {_text(name)}"
    if finding.generated:
        yield f"{mark}path = {_path(finding.place, base)}"
        return
    if finding.metadata is not None:
        yield f"{mark}metadata = {_path(finding.place, base, finding.metadata)}"
    if finding.images is not None:
        yield f"{mark}images = {_path(finding.images_at or finding.place, base, finding.images)}"
    else:
        yield "# The pictures are not here. `raisonne download` fetches them into this folder:"
        yield f"# download = {_text(f'pictures/{name}')}"


def _path(place: Path, base: Path, pattern: str = "") -> str:
    """Return a path or glob, relative to the file where it lies below its folder."""
    found = place.absolute()
    written = found.relative_to(base) if found.is_relative_to(base) else found
    plain = stores.plain(str(written))
    if pattern and plain != ".":
        plain = plain.replace("*", "[*]")
    return _text(f"{plain}{pattern}" if plain != "." or not pattern else pattern.lstrip("/"))


def _text(value: str) -> str:
    """Return a text as TOML writes it."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
