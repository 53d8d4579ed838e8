"""`raisonne review`: decide about pictures in a browser, or bring decisions in from a file.

What belongs here: arguments, who decides, the address, the exit code. What does not: keeping decisions
(`facts/decision_log.py`), the desk and files of decisions (`orchestration/review/`), taking them out (`cli/export.py`).
"""

import getpass
import os
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.published import (
    ALLOW_HOST,
    CONFIG,
    CommandError,
    connect_published,
    load_settings,
    open_published,
    training_pictures,
)

if TYPE_CHECKING:
    import socket

    import duckdb

    from orchestration.review.editions import Edition
    from orchestration.review.people import People
    from orchestration.settings import Settings

TOKEN = "RAISONNE_REVIEW_TOKEN"  # noqa: S105 -- the name of the variable


@click.command(
    short_help="Decide about pictures, so that it counts.",
    epilog="Example: raisonne review --import labels.csv --by ana",
)
@click.option(
    "--import",
    "imported",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Take decisions in from a CSV, Parquet or JSON lines file, or the guard's answers, and end. May be repeated.",
)
@click.option("--by", help="Who decides. Default: the name of your account on this machine.")
@click.option(
    "--names",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of who may decide: a line each, a token, a blank, the name.",
)
@click.option(
    "--name-header",
    metavar="HEADER",
    help="Header in which a proxy names who decides; it must set or remove it itself.",
)
@click.option("--blind", is_flag=True, help="Show no verdict, no number and nobody else's answer.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=3030, show_default=True, help="Port. 0: any free one.")
@ALLOW_HOST
@CONFIG
def review(
    imported: tuple[Path, ...],
    by: str | None,
    names: Path | None,
    name_header: str | None,
    blind: bool,
    host: str,
    port: int,
    allow_host: tuple[str, ...],
    config: str | None,
) -> None:
    """Decide about pictures: pairs and clusters, cases of generations, blocks of the guard.

    Starts a page in a browser and prints the address that opens it. Decisions take effect in the version that the next
    `raisonne run` publishes; `raisonne export decisions` writes them to files. The address holds a token, which is
    another one at every start; RAISONNE_REVIEW_TOKEN sets one that stays. Only this machine can reach the page unless
    --host names another address.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in what they start in the background
    settings = load_settings(config)
    name = by or getpass.getuser()
    for path in imported:
        _import(settings, path, name)
    if imported:
        return
    from orchestration.review import people
    from orchestration.runtime import web_access

    if names and (by or name_header):
        raise click.UsageError("--names says who decides, so --by and --name-header cannot be meant")
    try:
        hosts = web_access.names_of(host, allow_host)
        given = {name: web_access.checked_token(os.environ[TOKEN])} if TOKEN in os.environ else None
        tokens = people.read(names) if names else given or {name: web_access.new_token()}
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None
    try:
        listening = web_access.listening(host, port)
    except OSError as error:
        raise CommandError(f"cannot listen at {host}, port {port}: {error.strerror}; pass another --port") from None
    with listening:
        port = listening.getsockname()[1]
        accesses = {
            who: web_access.WebAccess(hosts, token, f"raisonne_review_{port}_{number}")
            for number, (who, token) in enumerate(tokens.items())
        }
        printed = None if names or given else tokens[name]
        address = web_access.address(next(each for each in hosts if "*" not in each), port, printed)
        _open(settings, people.People(accesses, name_header or ""), hosts, blind, address, listening)


def _open(
    settings: "Settings", who: "People", hosts: tuple[str, ...], blind: bool, address: str, listening: "socket.socket"
) -> None:
    import duckdb

    from orchestration.facts.decision_log import DecisionLog, DecisionLogError
    from orchestration.review import app, desk, pixels
    from orchestration.review.editions import Edition, Editions, EditionUnusable
    from orchestration.warehouse import publishing

    def published() -> int | None:
        try:
            found = publishing.current(settings.home)
        except OSError:  # something else is in the place of the link, which `raisonne doctor` says
            return None
        return None if found is None else found.number

    def opened() -> Edition:
        try:
            return _edition(connect_published(settings), settings)
        except (CommandError, duckdb.Error) as error:
            raise EditionUnusable(str(error)) from None

    with open_published(settings) as con:
        try:
            editions = Editions(_edition(con, settings), published, opened)
            kept = desk.Desk(DecisionLog(settings.home), editions.current.queues, settings.review.lease_s)
        except (DecisionLogError, EditionUnusable, OSError) as error:
            raise CommandError(str(error)) from None
        shown = pixels.DeskPictures(training_pictures(settings), settings.limits.bounds)
        service = app.DeskService(editions, kept, shown, who, app.DeskOptions(blind, hosts))
        more = "" if "token=" in address else " with `?token=` and the token"
        click.echo(f"{address}{more}; Ctrl-C ends it", err=True)
        try:
            app.serve(service, listening)
        finally:
            kept.close()
            editions.close()
    click.echo("the decisions take effect with the next `raisonne run`", err=True)


def _edition(con: "duckdb.DuckDBPyConnection", settings: "Settings") -> "Edition":
    import duckdb

    from orchestration.reports.page_data import publication
    from orchestration.review import queues
    from orchestration.review.editions import Edition, EditionUnusable

    version = publication(con).number
    try:
        return Edition(version, con, queues.load(con, settings.review))
    except (duckdb.CatalogException, duckdb.BinderException):
        raise EditionUnusable(
            f"version {version} was published by an earlier release; `raisonne run` publishes one to decide about"
        ) from None


def _import(settings: "Settings", path: Path, by: str) -> None:
    from orchestration.facts.decision_log import DecisionLog, DecisionLogError
    from orchestration.review import exchange
    from orchestration.warehouse import publishing
    from transforms.catalog.record_files import RecordFileError
    from transforms.readable import count
    from transforms.review.decisions import DecisionError

    con = connect_published(settings) if publishing.current(settings.home) else None
    left_out: Counter[str] = Counter()
    try:
        decisions = exchange.read(path, settings.limits.of_files, con, by, lambda why: left_out.update([why]))
        new = DecisionLog(settings.home).add(decisions)
    except (exchange.ImportRefused, RecordFileError, DecisionLogError) as error:
        raise CommandError(str(error)) from None
    except DecisionError as error:
        raise CommandError(f"{path}: {error}; nothing was imported") from None
    except OSError as error:
        raise CommandError(f"{error.filename or path}: {error.strerror or error}") from None
    finally:
        if con is not None:
            con.close()
    for why, number in left_out.items():
        click.echo(f"warning: {count(number, 'answer')} about no image left out: {why}", err=True)
    known = len(decisions) - new
    click.echo(f"{path}: {count(new, 'decision')} taken in" + (f", {known:,} known already" if known else ""))
    if new:
        click.echo("they take effect with the next `raisonne run`", err=True)
