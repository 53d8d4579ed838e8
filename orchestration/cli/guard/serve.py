"""`raisonne serve`: the guard over HTTP.

What belongs here: arguments, variables, the token, the socket. What does not: the service
(`orchestration/guard/service/`), checking without it (`cli/guard/check.py`).
"""

import difflib
import logging
import os
import re
import sqlite3
from collections.abc import Sequence
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
from orchestration.cli.published import ALLOW_HOST

if TYPE_CHECKING:
    from orchestration.guard.service.clients import Client
    from transforms.guard import Guard

_HELD = 500_000_000  # bytes of all images in memory
_PREFIX = "RAISONNE_GUARD_"
_NOT_OURS = re.compile(rf"{_PREFIX}(_|SERVICE_|(\w+_)?SERVICE_(HOST|PORT)|(\w+_)?PORT_\d)")
"""Variables of settings, and those that Kubernetes sets for a service of such a name, as `raisonne-guard-canary`."""
_LINK = re.compile(r"(tcp|udp|sctp)://")  # the value of those that it sets for the ports of one
_TOKEN, _OPERATOR_TOKEN = f"{_PREFIX}TOKEN", f"{_PREFIX}OPERATOR_TOKEN"
_MANY = 100_000  # pictures of a bundle, from which compiled loops are worth their installation


@click.command(
    short_help="Decide it over HTTP.",
    epilog="Example: raisonne serve --port 8080",
    context_settings={"auto_envvar_prefix": _PREFIX[:-1]},
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Guard bundle, or a link to one. Default: the warehouse's newest.",
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address. One that other machines can reach needs a token."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port. 0: any free one.")
@click.option("--workers", type=click.IntRange(1, 256), help="Checks at once. Default: one a core.")
@click.option("--queue", type=click.IntRange(0), default=64, show_default=True, help="Checks that may wait.")
@click.option("--timeout", type=SECONDS, default=10.0, show_default=True, help="Seconds from request to answer.")
@click.option(
    "--body-timeout",
    type=SECONDS,
    default=5.0,
    show_default=True,
    help="Seconds for a request's head, and for its image.",
)
@click.option("--body-bytes", type=click.IntRange(1), help="Most bytes of an image. Default: the bundle's limit.")
@click.option(
    "--reload-every",
    type=SECONDS,
    default=5.0,
    show_default=True,
    help="Seconds between looks for a new bundle. SIGHUP looks at once.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the bearer token. Default: RAISONNE_GUARD_TOKEN.",
)
@click.option(
    "--no-token",
    is_flag=True,
    help="Need no token at an address that other machines can reach: something in front of it checks who asks.",
)
@click.option(
    "--clients",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Who may ask, each with a token and a policy: a file in TOML. In place of --token-file.",
)
@click.option(
    "--operator-token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the bearer token of who may confirm checks and end a quarantine. Default: "
    "RAISONNE_GUARD_OPERATOR_TOKEN, or nobody but operators of --clients.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder in which checks, answers to them and quarantine are kept. Default: nothing is kept.",
)
@click.option("--retain", type=SECONDS, default=30.0, show_default=True, help="Days for which a check is kept.")
@click.option(
    "--quarantine", type=click.IntRange(1), help="Flag a picture by resemblance to which more are blocked an hour."
)
@click.option("--observe", is_flag=True, help="Do not block by resemblance to what is flagged.")
@ALLOW_HOST
@ENCODER
@FRAMES
@ALSO
@DOUBT
@EVERY_VIEW
@OVERRIDES
@TRUST
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
    no_token: bool,
    clients: Path | None,
    operator_token_file: Path | None,
    state: Path | None,
    retain: float,
    quarantine: int | None,
    observe: bool,
    allow_host: tuple[str, ...],
    encoder: str | None,
    frames: int,
    also: tuple[str, ...],
    doubt: float | None,
    every_view: bool,
    overrides: Path | None,
    trust: tuple[Path, ...],
    log: bool,
    config: str | None,
) -> None:
    """Check images over HTTP: POST them to /v1/check. /openapi.json describes the rest.

    A replaced bundle is loaded without a break. SIGTERM answers the accepted requests, then ends the service. Each
    option can be set by environment, as RAISONNE_GUARD_PORT for --port.
    """
    from orchestration.runtime import web_access

    _require_known(click.get_current_context().command.params)
    token = _token(token_file, _TOKEN)
    operator_token = _token(operator_token_file, _OPERATOR_TOKEN)
    if token and clients:
        raise click.UsageError("there is a token, and --clients names others; leave one of the two out")
    if observe and quarantine is None:
        raise click.UsageError("--observe needs --quarantine, which says from how many blocks on")
    if (token or clients) and no_token:
        raise click.UsageError("there is a token, so --no-token cannot be meant")
    loopback = _is_loopback(host)
    if token is None and clients is None and not loopback and not no_token:
        raise click.UsageError(
            f"other machines can reach {host}; pass --token-file or set RAISONNE_GUARD_TOKEN, "
            "or --no-token if something in front of it checks who asks"
        )
    try:
        hosts = web_access.names_of(host, allow_host) if loopback or allow_host else ("*",)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        from orchestration.guard.service import admission, app, current_bundle, telemetry
        from orchestration.guard.service.quarantine import FILE, Quarantine, QuarantineUnusable
        from orchestration.guard.service.records import CheckRecords
    except ImportError as error:
        from transforms.packages import installing

        raise GuardUnavailable(f"{error.name} is not installed; run `{installing('serve')}`") from None

    from transforms.guard import Guard, Looks

    looks = Looks(frames, also, doubt, every_view)
    trusted = trusted_keys(trust, config)
    app.log_to_stderr()
    metrics = telemetry.Metrics()
    asking = _clients(clients)
    if operator_token is not None and operator_token in {token, *(client.token for client in asking)}:
        raise click.UsageError("the operator's token is a client's too; give operators one of their own")
    try:
        current = current_bundle.CurrentGuard(
            lambda: bundle_path(bundle, config),
            lambda folder: _for_all(
                Guard.load(folder, encoder or own_encoder(bundle, config), overrides, trusted, looks), asking
            ),
            overrides,
            metrics.reloaded,
        )
        listening = web_access.listening(host, port)
    except click.UsageError:
        raise
    except current_bundle.LOAD_ERRORS as error:
        raise GuardUnavailable(str(error)) from None
    try:
        records = None if state is None else CheckRecords(state, retain)
    except (OSError, sqlite3.Error) as error:
        raise GuardUnavailable(f"{state}: {error}; name a folder that can be written to") from None
    size = min(body_bytes or current.guard.rules.member_bytes, current.guard.rules.member_bytes)
    count = workers or len(os.sched_getaffinity(0))
    capacity = admission.Capacity(count, queue, timeout, body_timeout, size, held_bytes=max(4 * size, _HELD))
    try:
        flags = Quarantine(quarantine, observe, state and state / FILE)
    except QuarantineUnusable as error:
        raise GuardUnavailable(str(error)) from None
    with verdict_log(log=log, config=config) as record:
        options = app.ServiceOptions(reload_every, token, record, hosts, asking, records, flags, operator_token)
        service = app.GuardService(current, capacity, metrics, options)
        app.serve(service, listening, timeout + body_timeout + 5)


def _require_known(options: Sequence[click.Parameter]) -> None:
    """Raise UsageError for a variable of the environment that would set nothing: what it was to switch on stays off."""
    known = {f"{_PREFIX}{option.name}".upper() for option in options} | {_TOKEN, _OPERATOR_TOKEN}
    for name in sorted(os.environ):
        foreign = _NOT_OURS.match(name) or _LINK.match(os.environ[name])
        if name.startswith(_PREFIX) and name not in known and not foreign:
            like = difflib.get_close_matches(name, sorted(known), 1)
            meant = f"; did you mean {like[0]}?" if like else ""
            raise click.UsageError(f"{name} is set in the environment, but no option has that name: unset it{meant}")


def _clients(file: Path | None) -> "tuple[Client, ...]":
    from orchestration.guard.service.clients import ClientsUnusable, read

    try:
        return () if file is None else read(file)
    except ClientsUnusable as error:
        raise click.UsageError(str(error)) from None


def _for_all(guard: "Guard", clients: "Sequence[Client]") -> "Guard":
    """Return a guard that can decide by the policy of each client. Raises BundleError if it cannot."""
    from transforms.guard import BundleError
    from transforms.packages import COMPILED

    for client in clients:
        try:
            guard.varied(client.changes)
        except ValueError as error:
            raise BundleError(f"{guard.bundle.folder} cannot serve the client {client.name}: {error}") from None
    log = logging.getLogger("raisonne.guard")
    for sentence in guard.lets_through():
        log.info("let through", extra={"entry": sentence})
    if not COMPILED and guard.bundle.searched.pictures > _MANY:
        log.warning("slower than need be", extra={"reason": "Numba is not installed; run `pip install numba`"})
    return guard


def _is_loopback(host: str) -> bool:
    from orchestration.runtime import web_access

    try:
        return web_access.is_loopback(host)
    except OSError as error:
        raise click.UsageError(f"{host}: {error.strerror}") from None


def _token(file: Path | None, variable: str) -> str | None:
    from orchestration.runtime import web_access

    try:
        token = os.environ.get(variable) if file is None else file.read_text(encoding="utf-8")
        return token if token is None else web_access.checked_token(token)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file or variable}: {error}") from None
