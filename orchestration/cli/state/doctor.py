"""`raisonne doctor`: what is wrong with the installation, and what mends it.

What belongs here: the option, what is printed, the exit code. What does not: the checks (`runtime/installation.py`),
the repair (`warehouse/soundness/repair.py`).
"""

import os
import sys
from typing import TYPE_CHECKING

import click

from orchestration.cli.published import CONFIG, CommandError, ExitCode, load_settings

if TYPE_CHECKING:
    from orchestration.runtime.installation import Diagnosis


@click.command(short_help="Check the installation, and name fixes.", epilog="Example: raisonne doctor --repair")
@click.option("--repair", is_flag=True, help="Make the newest sound version the published one. Deletes nothing.")
@CONFIG
def doctor(repair: bool, config: str | None) -> None:
    """Check packages, the home, what the settings name, versions, disk space, memory, encoders and extensions.

    Each fault comes with its fix. `note` is what something may need, `FAULT` what keeps a run or a query from working.

    Exit codes: 0 nothing is broken, or it is repaired; 1 something is, or no version is published after the repair; 2
    wrong settings.
    """
    settings = load_settings(config)
    os.environ["HF_HUB_OFFLINE"] = "1"  # before its client is imported: a check downloads nothing
    import duckdb

    from orchestration.runtime import installation
    from orchestration.warehouse import publishing
    from orchestration.warehouse.soundness import repair as repairs
    from transforms.readable import printable

    if repair:
        try:
            for sentence in repairs.repair(settings.home, settings.memory.duckdb):
                click.echo(printable(sentence))
        except (OSError, publishing.Busy, publishing.NotPublished, duckdb.Error) as error:
            raise CommandError(str(error)) from None
        sys.exit(ExitCode.DONE if publishing.current(settings.home) else ExitCode.FAILED)
    broken = False
    for found in [*installation.diagnose(settings), _lance()]:
        broken |= found.health is installation.Health.BROKEN
        fix = f": {found.fix}" if found.fix else ""
        click.echo(f"{found.health:<5}  {found.part}: {printable(found.finding + fix)}")
    sys.exit(ExitCode.FAILED if broken else ExitCode.DONE)


def _lance() -> "Diagnosis":
    from orchestration.cli.sql import lance_extension
    from orchestration.runtime.installation import Diagnosis, Health

    part = "DuckDB's lance extension"
    try:
        return Diagnosis(part, Health.FINE, str(lance_extension.require_extension()))
    except lance_extension.NoExtension as error:
        finding, _, fix = str(error).partition(": ")
        return Diagnosis(part, Health.LACKING, finding, fix)
