"""`raisonne review`: decide about pictures, or bring decisions in from a file.

What belongs here: arguments, who decides, the exit code. What does not: the log of decisions and files of them
(`orchestration/review/`), taking them out again (`cli/export.py`).
"""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.published import CONFIG, CommandError, connect_published, load_settings

if TYPE_CHECKING:
    from orchestration.settings import Settings


@click.command(
    short_help="Decide about pictures, so that it counts.",
    epilog="Example: raisonne review --import labels.csv --by ana",
)
@click.option(
    "--import",
    "imported",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    multiple=True,
    help="Take decisions in from a CSV, Parquet or JSON lines file, and end. May be repeated.",
)
@click.option("--by", help="Who decides. Default: the name of your account on this machine.")
@CONFIG
def review(imported: tuple[Path, ...], by: str | None, config: str | None) -> None:
    """Decide about pictures: pairs and clusters, cases of generations, blocks of the guard.

    Decisions take effect in the version that the next `raisonne run` publishes. `raisonne export decisions` writes
    them to files.
    """
    settings = load_settings(config)
    name = by or getpass.getuser()
    for path in imported:
        _import(settings, path, name)


def _import(settings: "Settings", path: Path, by: str) -> None:
    from orchestration.facts.decision_log import DecisionLog, DecisionLogError
    from orchestration.review import exchange
    from orchestration.warehouse import publishing
    from transforms.catalog.record_files import RecordFileError
    from transforms.readable import count

    con = connect_published(settings) if publishing.current(settings.home) else None
    try:
        decisions = exchange.read(path, settings.limits.of_files, con, by)
        new = DecisionLog(settings.home).add(decisions)
    except (exchange.ImportRefused, RecordFileError, DecisionLogError) as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename or path}: {error.strerror or error}") from None
    finally:
        if con is not None:
            con.close()
    known = len(decisions) - new
    click.echo(f"{path}: {count(new, 'decision')} taken in" + (f", {known:,} known already" if known else ""))
    if new:
        click.echo("they take effect with the next `raisonne run`", err=True)
