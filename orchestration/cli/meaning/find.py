"""`raisonne find`: training pictures by words or by a picture.

What belongs here: arguments and the exit code. What does not: searching (`provenance/meaning/finder.py`), the page
(`reports/meaning/found_pages.py`), printing rows (`cli/sql/statements.py`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.published import (
    CONFIG,
    CommandError,
    ExitCode,
    connect_published,
    damage_told,
    load_settings,
    training_pictures,
)

if TYPE_CHECKING:
    import duckdb

    from orchestration.provenance.meaning.finder import Finder, FoundPictures, Vector
    from orchestration.reports.meaning.found_pages import FoundQuestion
    from orchestration.settings import Settings


@click.command(
    short_help="Find training pictures by words or by a picture.",
    epilog="Example: raisonne find 'a church at dusk' --where \"license = 'CC0'\" --format page --to church.html",
)
@click.argument("asked", metavar="TEXT|PICTURE")
@click.option("--words", is_flag=True, help="Take it as words even where a file has that name.")
@click.option("--most", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many to find.")
@click.option(
    "--where",
    metavar="SQL",
    help="A condition on the columns of catalog.samples, cluster_id and duplicate_count.",
)
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json", "page"]), default="table", show_default=True
)
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option("--open", "opens", is_flag=True, help="Write the page and open it in a browser.")
@click.option("--exact", is_flag=True, help="Compare every picture, also where there is an index of them.")
@CONFIG
def find(  # noqa: PLR0913 -- options of the command
    asked: str,
    words: bool,
    most: int,
    where: str | None,
    form: str,
    to: Path | None,
    opens: bool,
    exact: bool,
    config: str | None,
) -> None:
    """Find the training pictures nearest in meaning to TEXT, or to the file PICTURE, one of each cluster of copies.

    They show the like, by the encoder of meaning of the settings. That says nothing of what a model copies.
    """
    if to and form == "table" and not opens:
        raise CommandError("--to writes a file; pass --format csv, json or page", ExitCode.USAGE)
    settings = load_settings(config)
    import duckdb

    from orchestration.cli.sql.session import Refused
    from orchestration.compute import named_encoders
    from orchestration.provenance.meaning.finder import Finder, NotSearchable
    from transforms.encoders import EncoderMismatch, EncoderUnavailable
    from transforms.readable import harmless

    con = connect_published(settings)
    try:
        finder = Finder(con, settings, named_encoders.loader(settings.encoders.device), hold=False)
        vector, by_picture = _vector(finder, settings, asked, words)
        _confine(con, settings, where, to)
        found = finder.nearest(vector, most, where, exact=exact)
        question = _asked(asked, by_picture, where, finder)
        _tell(con, settings, question, found, "page" if opens else form, to, opens)
    except (NotSearchable, EncoderUnavailable, EncoderMismatch, Refused) as error:
        raise CommandError(harmless(str(error))) from None
    except duckdb.Error as error:
        told = damage_told(error)
        raise CommandError(harmless(told or str(error)), ExitCode.FAILED if told else ExitCode.USAGE) from None
    finally:
        con.close()


def _vector(finder: "Finder", settings: "Settings", asked: str, words: bool) -> tuple["Vector", bool]:
    """Return the vector of what is asked for, and whether that is a picture."""
    from transforms import pictures
    from transforms.pictures import PICTURE_ENDINGS
    from transforms.readable import printable

    file = Path(asked)
    if words or not _is_file(file):
        if not words and file.suffix.lower() in PICTURE_ENDINGS and " " not in asked:
            raise CommandError(
                f"there is no file {printable(asked)}; to search for these words, pass --words", ExitCode.USAGE
            )
        if not asked.strip():
            raise CommandError("there are no words to search for", ExitCode.USAGE)
        return finder.of_words(asked), False
    try:
        return finder.of_picture(pictures.decode(file.read_bytes(), settings.limits.bounds)), True
    except (OSError, ValueError) as error:
        raise CommandError(f"{printable(asked)} cannot be read as a picture: {error}") from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # words may be longer than a name, or hold what none does
        return False


def _asked(asked: str, by_picture: bool, where: str | None, finder: "Finder") -> "FoundQuestion":
    from orchestration.reports.meaning.found_pages import FoundQuestion

    return FoundQuestion(Path(asked).name if by_picture else asked, by_picture, where, str(finder.encoder.id))


def _confine(con: "duckdb.DuckDBPyConnection", settings: "Settings", where: str | None, to: Path | None) -> None:
    """Let a condition read the published version and nothing else, as a query of `raisonne sql`."""
    if where is None:
        return
    from orchestration.cli.sql.session import Session
    from orchestration.warehouse import lake

    address = settings.publishing.lake
    data = None if address is None else lake.data_folder(con, address)
    Session(con, settings.home, data=data).prepare(f"select 1 where (\n{where}\n)", to)


def _tell(
    con: "duckdb.DuckDBPyConnection",
    settings: "Settings",
    asked: "FoundQuestion",
    found: "FoundPictures",
    form: str,
    to: Path | None,
    opens: bool,
) -> None:
    from orchestration.cli.sql import statements
    from orchestration.reports.meaning import found_pages
    from orchestration.runtime.full_disks import explained
    from orchestration.warehouse.queries import query

    found_pages.register(con, found)
    try:
        if form != "page":
            rows = query("find/found")
            statements.save(con, rows, form, to) if to else statements.run(con, rows, form)
            return
        pictures = training_pictures(settings)
        content = found_pages.page(con, asked, found, pictures)
        file = found_pages.write(content, to or settings.home / "exports" / "found" / found_pages.file_name(asked))
    except OSError as error:
        if to is None and form != "page":
            raise  # a closed pipe, which click ends quietly
        where = (to or settings.home).absolute()
        full = explained(str(error), {where.parent: "point --to"})
        raise CommandError(full or f"{error.filename or where}: {error.strerror or error}") from None
    if warning := pictures.warning():
        click.echo(f"warning: {warning}", err=True)
    click.echo(file)
    if opens:
        click.launch(file.resolve().as_uri())
