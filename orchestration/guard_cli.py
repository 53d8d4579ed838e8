"""The guard on the command line: `raisonne check`, `raisonne serve`, and `raisonne export guard`.

What belongs here: arguments, lines of JSON, exit codes. What does not: checking (`transforms/guard/`), the other
commands (`cli.py`).

Exit codes of `check`, the worst image deciding: 0 allow, 10 block, 3 unavailable (treat as block), 1 failed, 2 usage.
"""

import ipaddress
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import duckdb

    from orchestration.settings import Settings
    from transforms.guard import Guard, Verdict

OK, FAILED, USAGE, UNREACHABLE, BLOCKED = 0, 1, 2, 3, 10
_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
_STDIN = "-"
_HELD = 500_000_000  # bytes of images under way
_SECONDS = click.FloatRange(0, min_open=True)
_CONFIG = click.option("--config", type=click.Path(dir_okay=False), help="Settings; not read where --bundle is given.")


class GuardUnavailable(click.ClickException):
    """Nothing could be checked; the message says why. To be treated as a block."""

    exit_code = UNREACHABLE

    def show(self, file: object = None) -> None:
        """Say it as the other commands do."""
        click.echo(f"raisonne: {self.format_message()}", err=True)


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
    from orchestration import guard_export, progress

    with progress.shown():
        folder = guard_export.write(con, settings, guard_export.Choice(**options), to)
    for sentence in guard_export.sentences(folder):
        click.echo(sentence, err=True)
    return [folder]


@click.command(epilog="Example: raisonne check out/*.png && publish out/*.png")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--bundle", type=click.Path(path_type=Path), help="By default the warehouse's newest.")
@click.option("--timeout", type=_SECONDS, default=30.0, show_default=True, help="Seconds an image.")
@_CONFIG
def check(images: Sequence[Path], bundle: Path | None, timeout: float, config: str | None) -> None:
    """Say for each of IMAGES whether it may be shown: files, folders, or `-` for one on standard input.

    A line of JSON an image. Exit code 0: all may be shown; 10: one is blocked; 3: one could not be checked, which is to
    be treated as a block.
    """
    from transforms.guard.verdict import ALLOW, BLOCK

    guard = _guard(bundle, config)
    decisions = set()
    for name, verdict in _checked(guard, images, timeout):
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
            for file in sorted(path.rglob("*")):
                if file.suffix.lower() in _ENDINGS and file.is_file():
                    yield str(file), guard.check(file, timeout)
        else:
            yield str(path), guard.check(path, timeout)


def bundle_path(bundle: Path | None, config: str | None) -> Path:
    """Return the bundle that is meant, by default the newest of the configured warehouse. Raises GuardUnavailable."""
    if bundle is not None:
        return bundle
    from orchestration import guard_export, settings

    try:
        home = settings.load(config).home
    except settings.SettingsError as error:
        raise click.UsageError(str(error)) from None
    newest = guard_export.newest(home)
    if newest is None:
        raise GuardUnavailable(f"{home} has no guard bundle; write one with `raisonne export guard`, or pass --bundle")
    return newest


def _guard(bundle: Path | None, config: str | None) -> "Guard":
    from transforms.encoders import EncoderMismatch, EncoderUnavailable
    from transforms.guard import BundleError, Guard

    try:
        return Guard.load(bundle_path(bundle, config))
    except (BundleError, EncoderMismatch, EncoderUnavailable) as error:
        raise GuardUnavailable(str(error)) from None


@click.command(epilog="Example: raisonne serve --port 8080")
@click.option(
    "--bundle", type=click.Path(path_type=Path), help="A bundle or a link to one; else the warehouse's newest."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Other than this machine's own needs a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--workers", type=click.IntRange(1), help="Checks at once; one a core by default.")
@click.option("--queue", type=click.IntRange(0), default=64, show_default=True, help="Checks that may wait.")
@click.option("--timeout", type=_SECONDS, default=10.0, show_default=True, help="Seconds from request to answer.")
@click.option("--body-timeout", type=_SECONDS, default=5.0, show_default=True, help="Seconds for an image to arrive.")
@click.option("--body-bytes", type=click.IntRange(1), help="Of an image; by default as many as the bundle allows.")
@click.option("--reload-every", type=_SECONDS, default=5.0, show_default=True, help="Seconds; SIGHUP reloads at once.")
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Or RAISONNE_GUARD_TOKEN.")
@_CONFIG
def serve(
    bundle: Path | None,
    host: str,
    port: int,
    workers: int | None,
    queue: int,
    timeout: float,
    body_timeout: float,
    body_bytes: int | None,
    reload_every: float,
    token_file: Path | None,
    config: str | None,
) -> None:
    """Check images over HTTP: POST them to /v1/check; /openapi.json says the rest.

    A bundle that takes the place of another is loaded without a break. SIGTERM ends the service once all that was
    accepted is answered.
    """
    token = _token(token_file)
    if token is None and not _own(host):
        raise click.UsageError(f"{host} can be reached from elsewhere; give a --token-file or RAISONNE_GUARD_TOKEN")
    try:
        from orchestration import serving, serving_admission, serving_bundle, serving_words
    except ImportError as error:
        raise GuardUnavailable(f"{error.name} is not installed; run `pip install raisonne[serve]`") from None
    from transforms.guard import Guard

    serving.log_to_stderr()
    metrics = serving_words.Metrics()
    try:
        current = serving_bundle.CurrentGuard(lambda: bundle_path(bundle, config), Guard.load, metrics.reloaded)
        listening = socket.create_server((host, port), backlog=2048)
    except serving_bundle.REFUSED as error:
        raise GuardUnavailable(str(error)) from None
    size = min(body_bytes or current.guard.rules.member_bytes, current.guard.rules.member_bytes)
    count = workers or len(os.sched_getaffinity(0))
    pace = serving_admission.Pace(count, queue, timeout, body_timeout, size, held_bytes=max(4 * size, _HELD))
    serving.serve(serving.Service(current, pace, metrics, reload_every, token), listening, timeout + body_timeout + 5)


def _own(host: str) -> bool:
    try:
        return all(ipaddress.ip_address(each[4][0]).is_loopback for each in socket.getaddrinfo(host, None))
    except OSError as error:
        raise click.UsageError(f"{host}: {error.strerror}") from None


def _token(file: Path | None) -> str | None:
    try:
        token = os.environ.get("RAISONNE_GUARD_TOKEN") if file is None else file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file}: {error}") from None
    if token == "":
        raise click.UsageError("the token is empty")
    return token


def register(main: click.Group) -> None:
    """Add the commands of the guard."""
    main.add_command(check)
    main.add_command(serve)
