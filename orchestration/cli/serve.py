"""The guard's service on the command line: `raisonne serve`.

What belongs here: arguments, the token, the socket. What does not: the service (`guard/service/app.py`), checking
without it (`cli/guard.py`). Imports are late.
"""

import ipaddress
import os
import socket
from pathlib import Path

import click

from orchestration.cli.guard_options import (
    CONFIG,
    ENCODER,
    LOG,
    OVERRIDES,
    SECONDS,
    GuardUnavailable,
    bundle_path,
    logging_to,
)

_HELD = 500_000_000  # bytes of images under way


@click.command(epilog="Example: raisonne serve --port 8080")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Or a link to one; else of the warehouse's newest version.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Other than this machine's own needs a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--workers", type=click.IntRange(1), help="Checks at once; one a core by default.")
@click.option("--queue", type=click.IntRange(0), default=64, show_default=True, help="Checks that may wait.")
@click.option("--timeout", type=SECONDS, default=10.0, show_default=True, help="Seconds from request to answer.")
@click.option(
    "--body-timeout", type=SECONDS, default=5.0, show_default=True, help="Seconds for a head, and for an image."
)
@click.option("--body-bytes", type=click.IntRange(1), help="Of an image; by default as many as the bundle allows.")
@click.option("--reload-every", type=SECONDS, default=5.0, show_default=True, help="Seconds; SIGHUP reloads at once.")
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Or RAISONNE_GUARD_TOKEN.")
@ENCODER
@OVERRIDES
@LOG
@CONFIG
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
    encoder: str | None,
    overrides: Path | None,
    log: bool,
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
        from orchestration.guard.service import admission, app, current_bundle, telemetry
    except ImportError as error:
        raise GuardUnavailable(f"{error.name} is not installed; run `pip install raisonne[serve]`") from None

    from transforms.guard import Guard

    app.log_to_stderr()
    metrics = telemetry.Metrics()
    try:
        current = current_bundle.CurrentGuard(
            lambda: bundle_path(bundle, config),
            lambda folder: Guard.load(folder, encoder, overrides),
            overrides,
            metrics.reloaded,
        )
        listening = socket.create_server((host, port), backlog=2048)
    except click.UsageError:
        raise
    except current_bundle.REFUSED as error:
        raise GuardUnavailable(str(error)) from None
    size = min(body_bytes or current.guard.rules.member_bytes, current.guard.rules.member_bytes)
    count = workers or len(os.sched_getaffinity(0))
    pace = admission.Pace(count, queue, timeout, body_timeout, size, held_bytes=max(4 * size, _HELD))
    with logging_to(log=log, config=config) as record:
        service = app.Service(current, pace, metrics, app.Choice(reload_every, token, record))
        app.serve(service, listening, timeout + body_timeout + 5)


def _own(host: str) -> bool:
    try:
        return all(ipaddress.ip_address(each[4][0]).is_loopback for each in socket.getaddrinfo(host, None))
    except OSError as error:
        raise click.UsageError(f"{host}: {error.strerror}") from None


def _token(file: Path | None) -> str | None:
    try:
        token = os.environ.get("RAISONNE_GUARD_TOKEN") if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file}: {error}") from None
    if token is not None and not token.strip():
        raise click.UsageError("the token is empty")
    return token and token.strip()
