"""`raisonne sql`: a query, a piped script, or a prompt at a terminal.

What belongs here: arguments and the exit code. What does not: running statements (`cli/sql/statements.py`), the prompt
(`cli/sql/repl.py`).
"""

import io
import sys
from pathlib import Path

import click

from orchestration.cli.published import (
    CONFIG,
    CommandError,
    ExitCode,
    connect_published,
    damage_told,
    load_settings,
)
from transforms.readable import harmless


@click.command(
    short_help="Query the published version.",
    epilog="Example: raisonne sql --format csv 'select * from duplicates.counts' > counts.csv",
)
@click.argument("query", required=False)
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json", "parquet"]), default="table", show_default=True
)
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file. Parquet needs it.")
@click.option("--unsafe", is_flag=True, help="Let queries use any file, extensions and the network.")
@CONFIG
def sql(query: str | None, form: str, to: Path | None, unsafe: bool, config: str | None) -> None:
    """Run QUERY on the published version, read-only. Without QUERY, read statements from the terminal or a pipe.

    Queries read the published version and nothing else. With --unsafe they can read, write and replace any file that
    you may, the warehouse's own included.
    """
    at_terminal = query is None and sys.stdin.isatty()
    if form == "parquet" and (to is None or at_terminal):
        raise CommandError("parquet needs a file; pass a query and --to FILE.parquet", ExitCode.USAGE)
    if to and (form == "table" or at_terminal):
        raise CommandError(
            "--to writes the rows of one query; pass QUERY and --format csv, json or parquet", ExitCode.USAGE
        )
    settings = load_settings(config)
    import duckdb

    from orchestration.cli.sql import lance_extension, nearest_macro, statements
    from orchestration.cli.sql.session import Refused, Session
    from orchestration.runtime.full_disks import explained
    from orchestration.warehouse import lake

    if form != "table" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # programs read this, in any locale

    con, address = connect_published(settings), settings.publishing.lake
    data = None if address is None else lake.data_folder(con, address)
    session = Session(con, settings.home, unsafe=unsafe, data=data, settings=settings)
    try:
        if at_terminal:
            from orchestration.cli.sql import repl

            repl.interact(session, form)
            return
        text = query if query is not None else _piped()
        try:
            text.encode()
            if to:
                statements.save(session.con, text, form, to, lambda partial: session.prepare(text, partial))
            else:
                session.prepare(text)
                statements.run(session.con, text, form)
        except UnicodeEncodeError:
            raise CommandError("the query is not UTF-8; save it as such", ExitCode.USAGE) from None
        except duckdb.Error as error:
            full = explained(str(error), {to.absolute().parent: "point --to"}) if to else None
            raise CommandError(full or harmless(damage_told(error) or str(error))) from None
        except (
            Refused,
            lance_extension.NoExtension,
            nearest_macro.NoEmbeddings,
            statements.NotOneQuery,
        ) as error:
            raise CommandError(harmless(str(error))) from None
        except OSError as error:
            if to is None:
                raise  # a closed pipe, which click ends quietly
            full = explained(str(error), {to.absolute().parent: "point --to"})
            raise CommandError(full or f"{to}: {error.strerror or error}") from None
    finally:
        session.con.close()


def _piped() -> str:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    return sys.stdin.read()
