"""`raisonne check`: the guard's verdict on images, as lines of JSON.

What belongs here: which files are checked, and the exit code. What does not: checking (`transforms/guard/`), the
service (`cli/guard/serve.py`).
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.guard.options import (
    ALSO,
    CONFIG,
    DOUBT,
    ENCODER,
    EVERY_VIEW,
    FRAMES,
    LOG,
    OVERRIDES,
    SECONDS,
    TRUST,
    GuardUnavailable,
    bundle_path,
    own_encoder,
    trusted_keys,
    verdict_log,
)
from orchestration.cli.published import ExitCode

if TYPE_CHECKING:
    from transforms.guard import Guard, Looks, Verdict

# Formats that a browser shows, and formats that the guard cannot read: these are refused, not skipped.
_ENDINGS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".avif", ".avifs", ".heic", ".heif", ".jxl", ".jp2", ".ico", ".svg", ".psd"),
}
_STDIN = "-"


@click.command(
    short_help="Decide whether images may be shown.", epilog="Example: raisonne check out/*.png && publish out/*.png"
)
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--bundle", type=click.Path(path_type=Path), help="Guard bundle. Default: the warehouse's newest.")
@click.option("--timeout", type=SECONDS, default=30.0, show_default=True, help="Seconds an image may take.")
@ENCODER
@FRAMES
@ALSO
@DOUBT
@EVERY_VIEW
@OVERRIDES
@TRUST
@LOG
@CONFIG
def check(
    images: Sequence[Path],
    bundle: Path | None,
    encoder: str | None,
    frames: int,
    also: tuple[str, ...],
    doubt: float | None,
    every_view: bool,
    overrides: Path | None,
    trust: Sequence[Path],
    timeout: float,
    log: bool,
    config: str | None,
) -> None:
    """Decide for each of IMAGES whether it may be shown: files, folders, or `-` for standard input.

    Prints a line of JSON an image. Exit code 0: all may be shown. 10: at least one is blocked. 3: at least one could
    not be checked; treat it as a block.
    """
    from transforms.guard import Looks
    from transforms.guard.verdict import ALLOW, BLOCK
    from transforms.readable import printable

    folder = bundle_path(bundle, config)
    guard = _guard(
        folder,
        encoder or own_encoder(bundle, config),
        overrides,
        trusted_keys(trust, config),
        Looks(frames, also, doubt, every_view),
    )
    for sentence in guard.lets_through():
        click.echo(f"let through: {printable(sentence)}", err=True)
    decisions = set()
    with verdict_log(log=log, config=config) as record:
        for name, verdict in _verdicts(guard, images, timeout):
            record(verdict)
            click.echo(json.dumps({"image": name} | verdict.as_dict()))
            decisions.add(verdict.decision)
    if not decisions:
        raise GuardUnavailable(f"no image in {', '.join(map(str, images))}")
    if BLOCK in decisions:
        sys.exit(ExitCode.BLOCKED)
    sys.exit(ExitCode.DONE if decisions == {ALLOW} else ExitCode.UNAVAILABLE)


def _verdicts(guard: "Guard", images: Sequence[Path], timeout: float) -> Iterator[tuple[str, "Verdict"]]:
    for path in images:
        if str(path) == _STDIN:
            yield _STDIN, guard.check(sys.stdin.buffer.read(guard.rules.member_bytes + 1), timeout)
        elif path.is_dir():
            yield from _folder_verdicts(guard, path, timeout)
        else:
            yield str(path), guard.check(path, timeout)


def _folder_verdicts(guard: "Guard", folder: Path, timeout: float) -> Iterator[tuple[str, "Verdict"]]:
    """Check every file that is a picture or is named as one. Also check what cannot be read: the guard refuses it."""
    others: list[Path] = []
    for path in paths_below(folder):
        if is_other_file(path):
            others.append(path)
        else:
            yield str(path), guard.check(path, timeout)
    if others:
        from transforms.readable import count

        told = f"{count(len(others), 'file')} not checked, being no picture, such as {str(others[0])!r}"
        click.echo(f"{folder}: {told}", err=True)


def is_other_file(path: Path) -> bool:
    """Return whether a file is no picture, and is not named as one either."""
    from transforms.pictures import HEAD, begins_as_picture

    if path.is_fifo():  # reading would wait for a writer
        return True
    if path.suffix.lower() in _ENDINGS:
        return False
    try:
        with path.open("rb") as file:
            return not begins_as_picture(file.read(HEAD))
    except OSError:
        return False  # the check reports why it cannot be read


def paths_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in order, then the folders that are not entered: links and unreadable ones."""
    closed: list[str] = []
    for root, folders, files in os.walk(folder, onerror=lambda error: closed.append(str(error.filename))):
        folders.sort()
        links = [name for name in folders if Path(root, name).is_symlink()]
        yield from (Path(root, name) for name in sorted(files + links))
    yield from map(Path, closed)


def _guard(
    bundle: Path, encoder: str | None, overrides: Path | None, trusted: Sequence[Path], looks: "Looks"
) -> "Guard":
    from transforms.encoders import EncoderMismatch, EncoderUnavailable
    from transforms.guard import BundleError, Guard, KeyUnusable, OverrideError

    try:
        return Guard.load(bundle, encoder, overrides, trusted, looks)
    except (BundleError, KeyUnusable, OverrideError, EncoderMismatch, EncoderUnavailable, OSError) as error:
        raise GuardUnavailable(str(error)) from None
