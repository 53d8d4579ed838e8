"""The guard on the command line: `raisonne check` and `raisonne export guard`.

What belongs here: arguments, lines of JSON, exit codes. What does not: checking (`transforms/guard/`), the service
(`cli/serve.py`), the other commands (`cli/main.py`).

Exit codes of `check`, the worst image deciding: 0 allow, 10 block, 3 unavailable (treat as block), 1 failed, 2 usage.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestration.cli.guard_options import (
    BLOCKED,
    CONFIG,
    ENCODER,
    LOG,
    OK,
    OVERRIDES,
    SECONDS,
    UNREACHABLE,
    GuardUnavailable,
    bundle_path,
    logging_to,
)

if TYPE_CHECKING:
    import duckdb

    from orchestration.settings import Settings
    from transforms.guard import Guard, Verdict

# Whatever a browser shows, and pictures that the guard cannot read: they are not allowed, rather than left out.
_ENDINGS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".avif", ".avifs", ".heic", ".heif", ".jxl", ".jp2", ".ico", ".svg", ".psd"),
}
_STDIN = "-"


def export_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `raisonne export guard`."""
    for option in (
        click.option("--at-least", type=click.IntRange(1), help="Of a guard: rows that show a picture; 1 by default."),
        click.option("--hashes-only", is_flag=True, default=None, help="Of a guard: leave the embeddings out."),
        click.option(
            "--copy-score", type=click.FloatRange(0, 1, min_open=True), help="Of a guard: blocked from there on."
        ),
        click.option(
            "--p-value", type=click.FloatRange(0, 1, min_open=True), help="Of a guard: blocked up to there too."
        ),
    ):
        command = option(command)
    return command


def chosen(what: str, options: Mapping[str, object]) -> dict[str, Any]:
    """Return the options of a guard that were given. Raises UsageError if `what` is no guard."""
    given = {name: value for name, value in options.items() if value is not None}
    if given and what != "guard":
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(given))
        raise click.UsageError(f"{names} can be given to `raisonne export guard` only")
    return given


def export(
    con: "duckdb.DuckDBPyConnection", settings: "Settings", to: Path | None, options: Mapping[str, Any]
) -> list[Path]:
    """Write a guard bundle and say what is in it. Raises as `guard_export.write`."""
    from orchestration import progress
    from orchestration.guard import export as guard_export

    with progress.shown():
        folder = guard_export.write(con, settings, guard_export.Choice(**options), to)
    for sentence in guard_export.sentences(folder):
        click.echo(sentence, err=True)
    return [folder]


@click.command(epilog="Example: raisonne check out/*.png && publish out/*.png")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--bundle", type=click.Path(path_type=Path), help="By default of the warehouse's newest version.")
@click.option("--timeout", type=SECONDS, default=30.0, show_default=True, help="Seconds an image.")
@ENCODER
@OVERRIDES
@LOG
@CONFIG
def check(
    images: Sequence[Path],
    bundle: Path | None,
    encoder: str | None,
    overrides: Path | None,
    timeout: float,
    log: bool,
    config: str | None,
) -> None:
    """Say for each of IMAGES whether it may be shown: files, folders, or `-` for one on standard input.

    A line of JSON an image. Exit code 0: all may be shown; 10: one is blocked; 3: one could not be checked, which is to
    be treated as a block.
    """
    from transforms.guard.verdict import ALLOW, BLOCK

    guard, decisions = _guard(bundle_path(bundle, config), encoder, overrides), set()
    with logging_to(log=log, config=config) as record:
        for name, verdict in _checked(guard, images, timeout):
            record(verdict)
            click.echo(json.dumps({"image": name} | verdict.as_dict()))
            decisions.add(verdict.decision)
    if not decisions:
        raise GuardUnavailable(f"no image in {', '.join(map(str, images))}")
    sys.exit(BLOCKED if BLOCK in decisions else OK if decisions == {ALLOW} else UNREACHABLE)


def _checked(guard: "Guard", images: Sequence[Path], timeout: float) -> Iterator[tuple[str, "Verdict"]]:
    for path in images:
        if str(path) == _STDIN:
            yield _STDIN, guard.check(sys.stdin.buffer.read(guard.rules.member_bytes + 1), timeout)
        elif path.is_dir():
            yield from _inside(guard, path, timeout)
        else:
            yield str(path), guard.check(path, timeout)


def _inside(guard: "Guard", folder: Path, timeout: float) -> Iterator[tuple[str, "Verdict"]]:
    """Check whatever is a picture or named as one, and all that cannot be looked into, which is not allowed."""
    others: list[Path] = []
    for path in _paths(folder):
        if _something_else(path):
            others.append(path)
        else:
            yield str(path), guard.check(path, timeout)
    if others:
        click.echo(f"{folder}: {len(others)} files are no pictures, such as {str(others[0])!r}", err=True)


def _something_else(path: Path) -> bool:
    from transforms.pictures import HEAD, begins_as_picture

    if path.is_fifo():  # to look into it would wait for whoever writes
        return True
    if path.suffix.lower() in _ENDINGS:
        return False
    try:
        with path.open("rb") as file:
            return not begins_as_picture(file.read(HEAD))
    except OSError:
        return False  # checking it says why it cannot be read


def _paths(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in order, and the folders that are not entered: links, and what is forbidden."""
    closed: list[str] = []
    for root, folders, files in os.walk(folder, onerror=lambda error: closed.append(str(error.filename))):
        folders.sort()
        links = [name for name in folders if Path(root, name).is_symlink()]
        yield from (Path(root, name) for name in sorted(files + links))
    yield from map(Path, closed)


def _guard(bundle: Path, encoder: str | None, overrides: Path | None) -> "Guard":
    from transforms.encoders import EncoderMismatch, EncoderUnavailable
    from transforms.guard import BundleError, Guard, OverrideError

    try:
        return Guard.load(bundle, encoder, overrides)
    except (BundleError, OverrideError, EncoderMismatch, EncoderUnavailable, OSError) as error:
        raise GuardUnavailable(str(error)) from None


def register(main: click.Group) -> None:
    """Add the commands of the guard."""
    from orchestration.cli.serve import serve

    main.add_command(check)
    main.add_command(serve)
