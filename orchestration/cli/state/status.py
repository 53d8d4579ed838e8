"""`raisonne status`: what is published, kept, due, held back and on disk.

What belongs here: the option, and the lines. What does not: finding it out (`outlook/`, `warehouse/publishing/`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from orchestration.cli.published import CONFIG, load_settings

if TYPE_CHECKING:
    from orchestration.outlook.due import DueWork
    from orchestration.settings import Settings

_DUE_FIX = "`raisonne run` does it"
_STOPPED = "a run would stop, or hold its version back; mend what follows STOP"
_REASON = 8  # lines


@click.command(
    short_help="Show what is published, due and on disk.", epilog="Example: raisonne status --config raisonne.toml"
)
@click.option("--quick", is_flag=True, help="Leave out what is due: list no landing folder, load no encoder.")
@CONFIG
def status(quick: bool, config: str | None) -> None:
    """Show what is published, which versions are kept, what is due or held back, and what lies on disk.

    Nothing is changed, and no run is waited for. Works before the first run too.

    Exit codes: 0 done; 2 wrong settings.
    """
    settings = load_settings(config)
    from transforms.readable import harmless

    for line in _lines(settings, quick=quick):
        click.echo(harmless(line))


def due_lines(work: "DueWork") -> Iterator[str]:
    """Yield the lines of what is due, done, and in the way."""
    for line in work.lines:
        yield f"  due   {line}"
    for line in work.idle:
        yield f"  done  {line}"
    for line in work.stops:
        first, *rest = line.splitlines()
        yield f"  STOP  {first}"
        yield from (f"        {each}" for each in rest)


def _lines(settings: "Settings", *, quick: bool) -> Iterator[str]:
    yield f"warehouse: {settings.home}"
    yield from _published(settings)
    yield from _kept(settings)
    yield from _lake(settings)
    yield from _writer(settings)
    yield from _last_failure(settings)
    if not quick:
        from orchestration.outlook import due

        work = due.due_work(settings)
        yield f"due: {_STOPPED if work.stops else _DUE_FIX if work.lines else 'nothing'}"
        yield from due_lines(work)
    yield from _disk(settings)


def _published(settings: "Settings") -> Iterator[str]:
    import duckdb

    from orchestration.warehouse import lake, publishing
    from orchestration.warehouse.queries import query
    from transforms.readable import first_line

    try:
        with lake.open_published(settings.home, settings.publishing.lake) as con:
            con.execute("set timezone = 'UTC'")
            for name in ("version", "training rows", "pictures", "generations"):
                [(text,)] = con.execute(query(f"summary/{name.replace(' ', '_')}")).fetchall()
                yield f"published: {text}" if name == "version" else f"  {name}: {text}"
            made_of = "select encoders, settings_hash from warehouse.versions order by version desc limit 1"
            [(encoders, settings_hash)] = con.execute(made_of).fetchall()
    except publishing.NotPublished as error:
        yield f"published: {error}"
    except duckdb.Error as error:
        yield f"published: {publishing.explained(error) or first_line(error)}"
    else:
        since = "unchanged" if settings_hash == settings.settings_hash else "changed; the next run publishes anew"
        yield f"  encoders: {', '.join(encoders) or 'none'}"
        yield f"  settings: {settings_hash}, {since}"


def _kept(settings: "Settings") -> Iterator[str]:
    from orchestration.outlook.disk import bytes_of
    from orchestration.warehouse import publishing

    kept = publishing.history(settings.home)
    names = ", ".join(f"{each.number} ({_size(bytes_of(each.path))})" for each in kept)
    older = "; `raisonne sql` reads the newest, `raisonne export --version N` any" if len(kept) > 1 else ""
    yield f"kept versions: {names or 'none'}{older}"


def _lake(settings: "Settings") -> Iterator[str]:
    from orchestration.warehouse import lake, publishing

    if (address := settings.publishing.lake) is None:
        return
    try:
        numbers = lake.numbers(address)
    except publishing.NotPublished as error:
        yield f"lake: {error}"
        return
    published = publishing.history(settings.home)
    due = ""
    if published and published[-1].number > max(numbers, default=0):
        due = f"; `raisonne run` brings it up to version {published[-1].number}"
    yield f"lake: {address}, versions {', '.join(map(str, numbers)) or 'none'}{due}"


def _writer(settings: "Settings") -> Iterator[str]:
    from orchestration.warehouse import publishing

    holder = publishing.holder(settings.home)
    yield f"being written by: {holder}; wait for it, or end it" if holder else "being written by: nobody"


def _last_failure(settings: "Settings") -> Iterator[str]:
    import sqlite3

    from orchestration.runtime import homes
    from orchestration.runtime.history import ended_runs

    folder = homes.dagster_folder(settings.home)
    try:
        failed, done = ended_runs.ended_runs(folder)
    except (sqlite3.Error, OSError) as error:
        yield f"last failure: {folder} cannot be read ({error})"
        return
    if failed is None:
        yield "last failure: none"
    elif done is not None and done.at > failed.at:
        yield f"last failure: {failed.job}, {failed.at:%Y-%m-%d %H:%M} UTC; a later run succeeded"
    else:
        yield f"last failure: {failed.job}, {failed.at:%Y-%m-%d %H:%M} UTC, and no run has succeeded since"
        try:
            events = ended_runs.failure_events(folder, failed.run_id)
        except (sqlite3.Error, OSError) as error:
            yield f"  its log cannot be read ({error})"
            return
        yield from (f"  {line}" for line in _reason(events).splitlines()[:_REASON])


def _reason(events: list[str]) -> str:
    from dagster import DagsterEvent
    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import deserialize_value
    from dagster_shared.serdes.errors import DeserializationError

    from orchestration.cli import execution

    try:
        entries = [deserialize_value(event, EventLogEntry).dagster_event for event in events]
    except (DeserializationError, LookupError, TypeError, ValueError):
        return "its log is of another release of Dagster"
    found = [event for event in entries if isinstance(event, DagsterEvent)]
    if execution.interrupted(found):
        return "interrupted; the next run goes on from there"
    return execution.reason(found) if found else "its log is gone; `raisonne run` tells it again"


def _disk(settings: "Settings") -> Iterator[str]:
    from orchestration.outlook import disk
    from orchestration.runtime import homes

    found = disk.holdings(settings, homes.dagster_folder(settings.home))
    yield f"on disk: {_size(sum(each.bytes for each in found)) if found else 'nothing'}"
    for each in found:
        yield f"  {_size(each.bytes):>9}  {each.name}: {each.meaning}"


def _size(number: int) -> str:
    from transforms.readable import size

    return size(number)
