"""`raisonne run`: execute a job and print what it published.

What belongs here: arguments, warnings, the exit code. What does not: executing (`cli/execution.py`), the summary
(`cli/summary.py`), jobs (`automation.py`).
"""

import click

from orchestration.cli.published import CONFIG, CommandError, ExitCode, load_settings, open_published

_JOBS = ["everything", "fingerprint_shard", "derive", "generations_only"]


@click.command(epilog="Example: raisonne run --config raisonne.toml generations_only")
@click.argument("job", default="everything", type=click.Choice(_JOBS))
@CONFIG
def run(job: str, config: str | None) -> None:
    """Run JOB (default: everything) and publish the result. `fingerprint_shard` publishes nothing.

    Shards and generations that are done are not read again.
    """
    settings = load_settings(config)
    import sqlalchemy.exc

    from orchestration.cli import execution, summary
    from orchestration.reports import exports
    from orchestration.runtime.instance import DagsterHomeError
    from orchestration.warehouse import publishing

    try:
        result = execution.execute(job, settings.home)
    except DagsterHomeError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except (OSError, sqlalchemy.exc.DBAPIError) as error:  # of Dagster's own records; a step's errors are in the result
        cause = getattr(error, "orig", None) or error
        raise CommandError(f"the run stopped, the last version stands: {cause}") from None
    if not result.success:
        raise CommandError(execution.reason(result.all_events))
    if job == "fingerprint_shard":
        return
    with open_published(settings) as con:
        for failure in summary.failures(con):
            click.echo(f"warning: {failure}", err=True)
        [(version,)] = con.execute("select max(version) from warehouse.versions").fetchall()
        page = exports.default_folder(settings.home, version) / exports.PAGE
        summary.show(con, settings.home / publishing.LINK, page if page.exists() else None)
