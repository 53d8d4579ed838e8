"""`raisonne ui`: Dagster's UI for this warehouse.

What belongs here: starting it. What does not: the instance (`runtime/instance.py`), what it shows (`defs/`).
"""

import os
import sys
from typing import NoReturn

import click

from orchestration.cli.published import CONFIG, CommandError, ExitCode, load_settings


@click.command(epilog="Example: raisonne ui --port 3001")
@click.option("--port", default=3000, show_default=True, help="Port on 127.0.0.1.")
@CONFIG
def ui(port: int, config: str | None) -> NoReturn:
    """Start Dagster's UI and daemon for this warehouse. Only this machine can reach them."""
    settings = load_settings(config)
    from orchestration.runtime import full_disks, homes, instance

    try:
        homes.require_usable(settings.home)
        instance.prepare(settings.home)
    except (instance.DagsterHomeError, homes.HomeError) as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except OSError as error:
        full = full_disks.explained(str(error), full_disks.places_of_run(settings.home))
        raise CommandError(full or str(error)) from None
    click.echo(f"http://127.0.0.1:{port} once it has started; Ctrl-C ends it", err=True)
    command = [sys.executable, "-m", "dagster", "dev", "-m", "orchestration.definitions"]
    os.execv(sys.executable, [*command, "--host", "127.0.0.1", "--port", str(port)])  # noqa: S606
