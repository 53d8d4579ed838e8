"""`raisonne run`: execute a job and print what it published.

What belongs here: arguments, warnings, the exit code. What does not: executing (`cli/execution.py`), the summary
(`cli/summary.py`), jobs (`automation.py`).
"""

import sys
from pathlib import Path

import click

from orchestration.cli.published import CONFIG, CommandError, ExitCode, load_settings, open_published

_JOBS = ["everything", "fingerprint_shard", "derive", "generations_only"]


@click.command(epilog="Example: raisonne run --config raisonne.toml generations_only")
@click.argument("job", default="everything", type=click.Choice(_JOBS))
@click.option("--forget", multiple=True, metavar="DATASET", help="Remove a dataset that left the settings, for good.")
@click.option("--accept-drop", is_flag=True, help="Publish although much less can be searched than before.")
@CONFIG
def run(job: str, forget: tuple[str, ...], accept_drop: bool, config: str | None) -> None:
    """Run JOB (default: everything) and publish the result. `fingerprint_shard` publishes nothing.

    Shards and generations that are done are not read again. A run stops, and the last version stands, if nothing is
    found of what the settings name, or if a dataset left them without --forget. A version of which much less can be
    searched than of the last one (publishing.coverage_drop) is held back without --accept-drop.

    Exit codes: 0 done; 1 failed or held back; 2 wrong arguments or settings; 4 done, but shards or archives of
    generations that the warnings name could not be used, or not as a whole; 130 interrupted.
    """
    settings = load_settings(config)
    if forget and job == "generations_only":
        raise CommandError("generations_only does not read datasets; pass --forget with another job", ExitCode.USAGE)
    import sqlalchemy.exc

    from orchestration.catalog import absences
    from orchestration.cli import execution, summary
    from orchestration.facts import Facts
    from orchestration.fingerprints import notes
    from orchestration.reports import exports
    from orchestration.runtime.homes import HomeError
    from orchestration.runtime.instance import DagsterHomeError
    from orchestration.warehouse import publishing

    facts = Facts(settings.home / "facts")
    if forget and (unknown := absences.unknown_names(facts, {each.name for each in settings.datasets}, forget)):
        raise CommandError(unknown, ExitCode.USAGE)
    try:
        consent: dict[str, dict[str, object]] = {
            "landing_shards": {"forget": list(forget), "accept_drop": accept_drop},
            "warehouse": {"accept_drop": accept_drop},
        }
        result = execution.execute(job, settings.home, consent)
    except (DagsterHomeError, HomeError) as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except (OSError, sqlalchemy.exc.DBAPIError) as error:  # of Dagster's own records; a step's errors are in the result
        raise _stopped(str(getattr(error, "orig", None) or error), settings.home) from None
    if not result.success and execution.interrupted(result.all_events):
        raise _stopped("interrupted; the next run goes on from here", settings.home, ExitCode.INTERRUPTED)
    if not result.success:
        raise _stopped(execution.reason(result.all_events), settings.home)
    unusable = notes.unusable_shards(facts)
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


def _stopped(reason: str, home: Path, code: ExitCode = ExitCode.FAILED) -> CommandError:
    from orchestration.runtime import full_disks
    from orchestration.warehouse import publishing

    try:
        version = publishing.current(home)
    except FileExistsError:  # the reason says so
        version = None
    stands = "the last version stands" if version and version.path.exists() else "nothing is published yet"
    return CommandError(
        f"the run stopped, {stands}: {full_disks.explained(reason, full_disks.places_of_run(home)) or reason}", code
    )
