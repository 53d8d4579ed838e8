"""The `raisonne` command.

What belongs here: arguments, exit codes, and turning errors into a sentence that names the fix. What does not: doing
the work. Imports are late: `raisonne --help` must not wait for torch.

Exit codes: 0 done, 1 failed, 2 usage.
"""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from orchestration.cli import guard as guard_cli
from transforms import readable

if TYPE_CHECKING:
    import duckdb

    from orchestration.reports.cases import Case
    from orchestration.reports.page_data import Publication
    from orchestration.reports.pictures import PictureReader
    from orchestration.settings import Settings

FAILED, USAGE = 1, 2
_CONFIG = click.option(
    "--config", type=click.Path(dir_okay=False), help="Settings; else RAISONNE_CONFIG, else ./raisonne.toml."
)
_JOBS = ["everything", "fingerprint_shard", "derive", "generations_only"]


@click.group(epilog="Example: raisonne run && raisonne sql 'from reports.duplicate_frequency'")
@click.version_option(package_name="raisonne", message="%(version)s")
def main() -> None:
    """Look up which training pictures an image model reproduces, and how often it saw them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # captions hold what the locale may not have
            stream.reconfigure(errors="backslashreplace")


@main.command(epilog="Example: raisonne run --config raisonne.toml generations_only")
@click.argument("job", default="everything", type=click.Choice(_JOBS))
@_CONFIG
def run(job: str, config: str | None) -> None:
    """Materialize JOB (everything by default) and publish what it built; `fingerprint_shard` publishes nothing.

    Shards and generations that were done before are not read again.
    """
    settings = _settings(config)
    import sqlalchemy.exc

    from orchestration.cli import execution, summary
    from orchestration.reports import exports
    from orchestration.warehouse import publishing

    try:
        result = execution.execute(job, settings.home)
    except (OSError, sqlalchemy.exc.DBAPIError) as error:  # of Dagster's own records: a step's errors are in the result
        _fail(f"the run stopped, the last version stands: {getattr(error, 'orig', None) or error}")
    if not result.success:
        _fail(execution.reason(result.all_events))
    if job == "fingerprint_shard":
        return
    with publishing.connect(settings.home) as con:
        for failure in summary.failures(con):
            click.echo(f"warning: {failure}", err=True)
        version = con.execute("select max(version) from warehouse.versions").fetchall()[0][0]
        page = exports.default_folder(settings.home, version) / exports.PAGE
        summary.show(con, settings.home / publishing.LINK, page if page.exists() else None)


@main.command(epilog="Example: raisonne download laion-2b --threads 128")
@click.argument("datasets", nargs=-1)
@click.option("--timeout", type=click.IntRange(1), default=10, show_default=True, help="Seconds of silence.")
@click.option("--retries", type=click.IntRange(0), default=1, show_default=True, help="Further tries of a failed row.")
@click.option("--processes", type=click.IntRange(1), help="One a core by default.")
@click.option("--threads", type=click.IntRange(1), default=64, show_default=True, help="Of each process.")
@click.option("--shard-rows", type=click.IntRange(1), default=10_000, show_default=True, help="Rows of a tar.")
@_CONFIG
def download(
    datasets: tuple[str, ...],
    timeout: int,
    retries: int,
    processes: int | None,
    threads: int,
    shard_rows: int,
    config: str | None,
) -> None:
    """Fetch the pictures of DATASETS (all that have `download` in the settings) with img2dataset.

    What was fetched before is not asked for again. Rows that fail are counted by reason.
    """
    settings = _settings(config)
    from orchestration import progress
    from orchestration.catalog.download import download as downloads
    from transforms.catalog.columns import LandingError

    cores = len(os.sched_getaffinity(0))
    pace = downloads.FetchPace(timeout, retries, processes or cores, threads, shard_rows, settings.limits.member_bytes)
    try:
        for dataset in downloads.downloadable(settings, datasets):
            with progress.shown():
                outcome = downloads.fetch(dataset, pace)
            click.echo("\n".join(downloads.sentences(dataset, outcome)))
    except LookupError as error:
        _fail(error.args[0], USAGE)
    except (downloads.DownloadError, LandingError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'download'}: {error.strerror or error}")


@main.command(epilog="Example: raisonne show simulated/0007.jpg --open")
@click.argument("generation")
@click.option("--open", "opens", is_flag=True, help="Write the case page and open it in a browser.")
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="Write the case page to this file.")
@_CONFIG
def show(generation: str, opens: bool, to: Path | None, config: str | None) -> None:
    """Show the likely sources of one GENERATION with their evidence, and what was searched."""
    from orchestration.cli import case_text
    from orchestration.reports import cases
    from orchestration.reports.page_data import publication

    with _published(config) as con:
        try:
            case = cases.find(con, generation)
        except LookupError as error:
            _fail(error.args[0], USAGE)
        version = publication(con)
    case_text.show(case)
    if opens or to:
        page = _case_page(_settings(config), case, version, to)
        click.echo(f"page: {page}", err=True)
        if opens:
            click.launch(page.resolve().as_uri())


def _case_page(settings: "Settings", case: "Case", version: "Publication", to: Path | None) -> Path:
    from orchestration.reports import case_pages, exports

    name = case_pages.file_name(case.generation["generation_id"])
    file = to or exports.default_folder(settings.home, version.number) / "cases" / name
    pages = case_pages.CasePages(version, settings.thresholds, settings.limits.pixels, _pictures(settings))
    try:
        return case_pages.write(pages.page(case), file)
    except OSError as error:
        _fail(f"{error.filename or file}: {error.strerror or error}")


@main.command(epilog="Example: raisonne sql --format csv 'select * from duplicates.counts' > counts.csv")
@click.argument("query", required=False)
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json", "parquet"]), default="table", show_default=True
)
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file; parquet needs it.")
@_CONFIG
def sql(query: str | None, form: str, to: Path | None, config: str | None) -> None:
    """Run a QUERY on the published version, read-only; without one, read queries from the terminal or a pipe."""
    at_terminal = query is None and sys.stdin.isatty()
    if form == "parquet" and (to is None or at_terminal):
        _fail("parquet goes to a file: give a query and --to FILE.parquet", USAGE)
    if to and (form == "table" or at_terminal):
        _fail("--to writes the rows of one query: give it, with --format csv, json or parquet", USAGE)
    import duckdb

    from orchestration.cli import nearest_macro, statements

    if form != "table" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # programs read this, whatever the locale

    with _published(config) as con:
        if at_terminal:
            from orchestration.cli import repl

            repl.interact(con, form, _settings(config).home / "facts")
            return
        text = query if query is not None else _piped()
        try:
            text.encode()
            nearest_macro.provide(con, _settings(config).home / "facts", text)
            statements.save(con, text, form, to) if to else statements.run(con, text, form)
        except UnicodeEncodeError:
            _fail("the query is not UTF-8; save it as such", USAGE)
        except (duckdb.Error, nearest_macro.NoExtension, statements.NotOneQuery) as error:
            _fail(statements.harmless(str(error)))
        except OSError as error:
            if to is None:
                raise  # a closed pipe, which click ends quietly
            _fail(f"{to}: {error.strerror or error}")


def _piped() -> str:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    return sys.stdin.read()


@main.command(epilog="Example: raisonne export removal-list --policy keep-1 --to removal")
@click.argument("what", default="report", type=click.Choice(["report", "removal-list", "guard"]))
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="Folder; by default the warehouse's exports."
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["html", "csv", "xlsx", "parquet"]),
    multiple=True,
    help="Of the report; all by default.",
)
@click.option("--version", type=click.IntRange(1), help="An earlier version that is still kept; else the current one.")
@click.option("--policy", help="Of the removal list, as duplicates.policies names it; keep-1 by default.")
@guard_cli.export_options
@_CONFIG
def export(
    what: str,
    to: Path | None,
    formats: tuple[str, ...],
    version: int | None,
    policy: str | None,
    config: str | None,
    **guard: object,
) -> None:
    """Write WHAT: the two reports and their tables, the rows that a policy removes, or a guard's bundle.

    The reports say how often pictures repeat, and where generated images come from. The removal list comes in the
    formats of img2dataset, DataComp's resharder and datatrove; its README says more.
    """
    if policy is not None and what != "removal-list":
        _fail(f"a {what} has no --policy; write `raisonne export removal-list --policy ...`", USAGE)
    if formats and what != "report":
        _fail(f"a {what.replace('-', ' ')} has no --format; it comes in all of its own", USAGE)
    choice = guard_cli.chosen(what, guard)
    settings = _settings(config)
    import duckdb

    from orchestration.guard import export as guard_export
    from orchestration.reports import exports, removal_lists

    with _published(config, version) as con:
        [(number,)] = con.execute("select max(version) from warehouse.versions").fetchall()
        folder = exports.default_folder(settings.home, number)
        try:
            if what == "guard":
                files = guard_cli.export(con, settings, to, choice)
            elif what == "report":
                chosen = formats or exports.FORMATS
                pictures = _pictures(settings)
                files = exports.write(con, to or folder, chosen, pictures, settings)
                if warning := pictures.warning():
                    click.echo(f"warning: {readable.printable(warning)}", err=True)
            else:
                name = _policy(con, policy or "keep-1")
                files = removal_lists.write(con, to or folder / f"removal-{name}", name, settings.limits.duckdb_memory)
        except OSError as error:
            _fail(f"{error.filename or to or folder}: {error.strerror}" if error.strerror else str(error))
        except (
            exports.NotInVersion,
            removal_lists.RemovalError,
            guard_export.GuardExportError,
            duckdb.Error,
        ) as error:
            _fail(str(error))
    for path in files:
        click.echo(path)


def _pictures(settings: "Settings") -> "PictureReader":
    from orchestration.facts import Facts
    from orchestration.facts.training_pictures import TrainingPictures
    from orchestration.reports.pictures import PictureReader

    return PictureReader(TrainingPictures(Facts(settings.home / "facts"), settings.limits.pixels))


def _policy(con: "duckdb.DuckDBPyConnection", name: str) -> str:
    from orchestration.reports import removal_lists

    known = removal_lists.policies(con)
    if name not in known:
        _fail(
            f"no policy is called {name!r}; there is {', '.join(known) or 'none: see `policies` in the settings'}",
            USAGE,
        )
    return name


@main.command(epilog="Example: raisonne ui --port 3001")
@click.option("--port", default=3000, show_default=True)
@_CONFIG
def ui(port: int, config: str | None) -> NoReturn:
    """Open Dagster's UI and its daemon for this warehouse, on this machine only."""
    settings = _settings(config)
    from orchestration.runtime import instance

    instance.prepare(settings.home)
    click.echo(f"http://127.0.0.1:{port} once it has started; end it with Ctrl-C", err=True)
    command = [sys.executable, "-m", "dagster", "dev", "-m", "orchestration.definitions"]
    os.execv(sys.executable, [*command, "--host", "127.0.0.1", "--port", str(port)])  # noqa: S606


guard_cli.register(main)


def _settings(config: str | None) -> "Settings":
    from orchestration import settings

    if config:
        os.environ["RAISONNE_CONFIG"] = str(Path(config).resolve())  # what Dagster's processes read
    try:
        return settings.load()
    except settings.SettingsError as error:
        _fail(str(error), USAGE)


def _published(config: str | None, version: int | None = None) -> "duckdb.DuckDBPyConnection":
    from orchestration.warehouse import publishing

    try:
        con = publishing.connect(_settings(config).home, version)
    except publishing.NotPublished as error:
        _fail(str(error))
    con.execute("set timezone = 'UTC'")
    return con


def _fail(message: str, code: int = FAILED) -> NoReturn:
    click.echo(f"raisonne: {message}", err=True)
    sys.exit(code)
