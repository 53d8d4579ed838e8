"""`raisonne run`: execute a job and print what it published.

What belongs here: arguments, warnings, the exit code. What does not: executing (`cli/execution.py`), the summary
(`cli/summary.py`), jobs (`automation.py`).
"""

import sys
from typing import TYPE_CHECKING

import click

from orchestration.cli.published import CONFIG, CommandError, ExitCode, load_settings, open_published

if TYPE_CHECKING:
    from orchestration.outlook.due import DueWork
    from orchestration.settings import Settings

_LINK = "raisonne.duckdb"  # of `warehouse/publishing/`, which takes too long to import after an interruption
_JOBS = ["everything", "fingerprint_shard", "derive", "generations_only"]


@click.command(
    short_help="Run what is due, and publish the result.",
    epilog="Example: raisonne run --config raisonne.toml generations_only",
)
@click.argument("job", default="everything", type=click.Choice(_JOBS))
@click.option("--forget", multiple=True, metavar="DATASET", help="Remove a dataset that left the settings, for good.")
@click.option("--accept-drop", is_flag=True, help="Publish although much less can be searched than before.")
@click.option("--dry-run", is_flag=True, help="Say what is due and what it costs, and do nothing.")
@CONFIG
def run(job: str, forget: tuple[str, ...], accept_drop: bool, dry_run: bool, config: str | None) -> None:
    """Run JOB (default: everything) and publish the result. `fingerprint_shard` publishes nothing.

    Shards and generations that are done are not read again. A run stops, and the last version stands, if nothing is
    found of what the settings name, or if a dataset left them without --forget; image dumps alone may be deleted once
    they are fingerprinted. A version of which much less can be searched than of the last one
    (publishing.coverage_drop) is held back without --accept-drop.

    With --dry-run, nothing is written: it says which shards, generations, opt-out lists and joins are due, whether a
    version would be published, what would stop a run of everything, and about how much time, memory and disk it takes,
    by some of the pictures that are due and small joins, which are measured on this machine.

    Exit codes: 0 done; 1 failed or held back; 2 wrong arguments or settings; 4 done, but shards or archives of
    generations that the warnings name could not be used, or not as a whole; 130 interrupted.
    """
    settings = load_settings(config)
    if dry_run:
        _say_what_is_due(settings)
        return
    try:
        _run(settings, job, forget, accept_drop)
    except KeyboardInterrupt:  # before Dagster watches for it, or after
        stands = "the last version stands" if (settings.home / _LINK).exists() else "nothing is published yet"
        told = f"the run stopped, {stands}: interrupted; the next run goes on from here"
        raise CommandError(told, ExitCode.INTERRUPTED) from None


def _say_what_is_due(settings: "Settings") -> None:
    from orchestration.cli.state.status import due_lines
    from orchestration.outlook import due
    from transforms.readable import harmless

    work = due.due_work(settings)
    for line in due_lines(work):
        click.echo(harmless(line.strip()))
    if not work.lines and not work.stops:
        click.echo("nothing is due")
    if work.lines:
        for line in _priced(work, settings):
            click.echo(harmless(line))


def _priced(work: "DueWork", settings: "Settings") -> list[str]:
    from orchestration.cli.state.bill import cost_lines
    from orchestration.outlook.bill import bill
    from transforms.encoders import EncoderUnavailable
    from transforms.plug_ins import PlugInError
    from transforms.readable import count

    try:
        due = bill(work.inputs, settings)
    except (EncoderUnavailable, PlugInError, OSError) as error:
        return [f"time: not known: {error}"]
    read = due.amounts
    parts = (
        (read.rows, count(read.rows, "row") + " of metadata"),
        (read.pictures, count(read.pictures, "training picture")),
        (read.generations, count(read.generations, "generation")),
    )
    told = ", ".join(what for number, what in parts if number) or "nothing new"
    if due.cost is None or due.rates is None:
        return [f"to be read: about {told}", "time: not known: none of these pictures can be measured from here"]
    return [f"to be read: about {told}", *cost_lines(due.cost, due.rates, settings, "this run")]


def _run(settings: "Settings", job: str, forget: tuple[str, ...], accept_drop: bool) -> None:
    from orchestration.cli import execution, summary
    from orchestration.facts import Facts
    from orchestration.fingerprints import notes
    from orchestration.reports import exports
    from orchestration.warehouse import publishing

    codes = {execution.Stop.REFUSED: ExitCode.USAGE, execution.Stop.INTERRUPTED: ExitCode.INTERRUPTED}
    try:
        execution.run(job, settings, forget, accept_drop=accept_drop)
    except execution.RunStopped as stopped:
        raise CommandError(str(stopped), codes.get(stopped.stop, ExitCode.FAILED)) from None
    unusable = notes.unusable_shards(Facts(settings.home / "facts"))
    if job == "fingerprint_shard":
        for sentence in summary.bounded([f"{name}: {why}" for name, why in unusable.items()]):
            click.echo(f"warning: {sentence}", err=True)
        sys.exit(ExitCode.INCOMPLETE if unusable else ExitCode.DONE)
    with open_published(settings) as con:
        for failure in summary.failures(con, unusable):
            click.echo(f"warning: {failure}", err=True)
        [(version,)] = con.execute("select max(version) from warehouse.versions").fetchall()
        page = exports.default_folder(settings.home, version) / exports.PAGE
        summary.show(con, settings.home / publishing.LINK, page if page.exists() else None)
        complete = summary.all_usable(con) and not unusable
    sys.exit(ExitCode.DONE if complete else ExitCode.INCOMPLETE)
