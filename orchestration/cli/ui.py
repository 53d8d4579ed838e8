"""`raisonne ui`: Dagster's UI for this warehouse.

What belongs here: the address, the token, starting it. What does not: its processes (`runtime/dagster_ui.py`), who may
use it (`runtime/web_access.py`), the instance (`runtime/instance.py`), what it shows (`defs/`).
"""

import os
import signal
import sys
from typing import NoReturn

import click

from orchestration.cli.published import ALLOW_HOST, CONFIG, CommandError, ExitCode, load_settings

TOKEN = "RAISONNE_UI_TOKEN"  # noqa: S105 -- the name of the variable


@click.command(short_help="Start Dagster's UI for this warehouse.", epilog="Example: raisonne ui --port 3001")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address. One of all interfaces, such as 0.0.0.0, needs --allow-host.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=3000, show_default=True, help="Port. 0: any free one.")
@ALLOW_HOST
@CONFIG
def ui(host: str, port: int, allow_host: tuple[str, ...], config: str | None) -> NoReturn:
    """Start Dagster's UI and daemon for this warehouse, and print the address that opens it.

    The address holds a token, which is another one at every start. RAISONNE_UI_TOKEN sets one that stays, and is not
    printed. Only this machine can reach the UI unless --host names another address.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in what they start in the background
    from orchestration.runtime import web_access

    try:
        names = web_access.names_of(host, allow_host)
        token = web_access.checked_token(os.environ[TOKEN]) if TOKEN in os.environ else None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    settings = load_settings(config)
    import sqlalchemy.exc

    from orchestration.runtime import companions, dagster_ui, full_disks, homes, instance

    try:
        homes.require_usable(settings.home)
        with instance.opened(settings.home):
            pass  # the three processes of the UI find the records, none creates them beside another
    except (instance.DagsterHomeError, homes.HomeError) as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except (OSError, sqlalchemy.exc.DBAPIError) as error:
        full = full_disks.explained(str(error), full_disks.places_of_run(settings.home))
        raise CommandError(full or str(getattr(error, "orig", None) or error)) from None
    try:
        listening = web_access.listening(host, port)
    except OSError as error:
        raise CommandError(f"cannot listen at {host}, port {port}: {error.strerror}; pass another --port") from None
    port = listening.getsockname()[1]
    access = web_access.WebAccess(names, token or web_access.new_token(), f"raisonne_ui_{port}", dagster_ui.POSTED)
    opened = web_access.address(next(name for name in names if "*" not in name), port, None if token else access.token)
    whose = f" with `?token=` and the value of {TOKEN}" if token else ""
    click.echo(f"{opened}{whose} once it has started; Ctrl-C ends it", err=True)
    try:
        dagster_ui.run(listening, access)
    except companions.CompanionEnded as error:
        raise CommandError(str(error)) from None
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ExitCode.DONE)  # all is closed; Python would take seconds to forget what the UI consists of
