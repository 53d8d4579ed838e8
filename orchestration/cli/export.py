"""`raisonne export`: reports, removal lists, guards, disclosures or what a plug-in writes, of a published version.

What belongs here: arguments, file names on standard output, the exit code. What does not: the files
(`reports/exports.py`, `reports/removal_lists.py`, `reports/disclosures/`, `guard/export.py`), the options of a guard
(`cli/guard/export.py`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.guard import export as guard_bundles
from orchestration.cli.published import (
    CONFIG,
    CommandError,
    ExitCode,
    damage_told,
    load_settings,
    open_published,
    training_pictures,
)

if TYPE_CHECKING:
    import duckdb

    from orchestration.settings import Settings


class Exports(click.Group):
    """The exports. Without the name of one, it is a report."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the export first, wherever it is written.

        Args:
            ctx: click's.
            args: Words of the command line.
        """
        flags = {opt for each in self.commands.values() for p in each.params if _is_flag(p) for opt in p.opts}
        for at, word in enumerate(args):
            follows = at and args[at - 1].startswith("--") and "=" not in args[at - 1] and args[at - 1] not in flags
            if not word.startswith("-") and not follows:
                return super().parse_args(ctx, [word, *args[:at], *args[at + 1 :]])
        return super().parse_args(ctx, args if "--help" in args else ["report", *args])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the export.

        Args:
            ctx: click's.
            args: Words of the command line.

        Raises:
            UsageError: If there is no such export.
        """
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        from transforms import plug_ins

        others = plug_ins.names(plug_ins.EXPORTS)
        if args[0] not in others:
            known = ", ".join(map(repr, [*self.commands, *others]))
            raise click.UsageError(f"{args[0]!r} is not one of {known}", ctx)
        return args[0], _plug_in(args[0]), args[1:]


class ExportCommand(click.Command):
    """One export. An option of another one is refused with that one's name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments.

        Args:
            ctx: click's.
            args: Words of the command line.

        Raises:
            UsageError: If they are wrong; of another export's option, it names that export.
        """
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            others = [each.name for each in export.commands.values() if _takes(each, error.option_name)]
            if not others:
                raise
            takers = " and ".join(f"`raisonne export {name}`" for name in others)
            take = "takes" if len(others) == 1 else "take"
            raise click.UsageError(f"only {takers} {take} {error.option_name}", ctx) from None


def _is_flag(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and parameter.is_flag


def _takes(command: click.Command, option: str) -> bool:
    return any(option in parameter.opts for parameter in command.params)


_TO = click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="Folder. Default: the warehouse's own exports."
)
_VERSION = click.option("--version", type=click.IntRange(1), help="A kept version. Default: the current one.")


@click.group(
    cls=Exports,
    short_help="Write a report, a removal list, a guard or a disclosure.",
    epilog="Example: raisonne export removal-list --policy keep-1 --to removal",
)
def export() -> None:
    """Write a report (the default), a removal list, a guard or a disclosure of a published version.

    `raisonne export report --help`, `removal-list --help` and so on list the options of each. Installed plug-ins add
    exports of their own.
    """


@export.command(
    cls=ExportCommand,
    short_help="Two pages with their tables.",
    epilog="Example: raisonne export report --format html --to report",
)
@_TO
@click.option(
    "--format",
    "formats",
    type=click.Choice(["html", "csv", "xlsx", "parquet"]),
    multiple=True,
    help="Format. May be repeated. Default: all.",
)
@_VERSION
@CONFIG
def report(to: Path | None, formats: tuple[str, ...], version: int | None, config: str | None) -> None:
    """Write two pages with their tables: how often pictures repeat, and where generated images come from.

    Prints the files. The pages need no network; the tables are CSV, XLSX and Parquet.
    """
    with _exporting(config, version, to) as (con, settings, folder):
        _print(_reports(con, settings, to or folder, formats))


@export.command(
    "removal-list",
    cls=ExportCommand,
    short_help="The rows that a policy removes.",
    epilog="Example: raisonne export removal-list --policy keep-1 --to removal",
)
@_TO
@click.option(
    "--policy",
    default="keep-1",
    show_default=True,
    help="A policy of duplicates.policies: which rows of repeated pictures go.",
)
@click.option("--merge", is_flag=True, help="Gather what the rows that go say for those that stay: merged.parquet.")
@_VERSION
@CONFIG
def removal_list(to: Path | None, policy: str, merge: bool, version: int | None, config: str | None) -> None:
    """Write the rows that a policy removes, and those that opt-out lists name.

    There are CSV and XLSX for people, the latter with small pictures, and files for img2dataset, DataComp's resharder
    and datatrove; a README.md beside them says how each is used. `raisonne sql 'from duplicates.policies'` compares the
    policies.
    """
    with _exporting(config, version, to) as (con, settings, folder):
        _print(_removal_list(con, settings, to or folder / f"removal-{policy}", policy, merge=merge))


@export.command(
    cls=ExportCommand,
    short_help="What `raisonne check` searches.",
    epilog="Example: raisonne export guard --at-least 2 --to guard",
)
@guard_bundles.TO
@guard_bundles.export_options
@_VERSION
@CONFIG
def guard(to: Path | None, version: int | None, config: str | None, **options: object) -> None:
    """Write the bundle that `raisonne check` and `raisonne serve` search: digests, hashes and embeddings.

    It holds no pictures, but with --with-evidence small copies of those that most rows show.

    Prints the folder, and on standard error what is in it, the recall of its search, and its error rates.
    """
    given = {name: value for name, value in options.items() if value is not None}
    with _exporting(config, version, to) as (con, settings, _):
        _print(guard_bundles.export(con, settings, to, given))


@export.command(
    cls=ExportCommand,
    short_help="What people decided in `raisonne review`.",
    epilog="Example: raisonne export decisions --format csv --to decisions",
)
@_TO
@click.option(
    "--format",
    "formats",
    type=click.Choice(["csv", "parquet", "jsonl"]),
    multiple=True,
    help="Format. May be repeated. Default: all.",
)
@_VERSION
@CONFIG
def decisions(to: Path | None, formats: tuple[str, ...], version: int | None, config: str | None) -> None:
    """Write every decision that was given, those taken back too, and the entries of the guard's list that they make.

    Prints the files. `raisonne review --import` takes them in again; `guard_overrides.jsonl` is for `raisonne check
    --overrides`. They are the decisions of today; `reports.decisions` has those that a version was made with.
    """
    with _exporting(config, version, to) as (_, settings, folder):
        from orchestration.facts.decision_log import DecisionLog, DecisionLogError
        from orchestration.review import exchange

        try:
            kept = DecisionLog(settings.home).all()
        except DecisionLogError as error:
            raise CommandError(str(error)) from None
        _print(exchange.write(kept, to or folder / "decisions", formats or exchange.FORMATS))


@export.command(
    cls=ExportCommand,
    short_help="A map of what the pictures mean.",
    epilog="Example: raisonne export atlas --points 100000 --to atlas",
)
@_TO
@click.option(
    "--points",
    type=click.IntRange(1, 5_000_000),
    default=1_000_000,
    show_default=True,
    help="Training pictures on the map at most, and generations at most.",
)
@click.option(
    "--fitted",
    type=click.IntRange(16, 1_000_000),
    default=20_000,
    show_default=True,
    help="Points that UMAP lays out, minutes of work; the others are placed beside them.",
)
@click.option(
    "--pictures",
    type=click.IntRange(0),
    default=500,
    show_default=True,
    help="Training pictures of which the page keeps a small copy.",
)
@_VERSION
@CONFIG
def atlas(to: Path | None, points: int, fitted: int, pictures: int, version: int | None, config: str | None) -> None:
    """Write a map of training pictures and generations by what they show: a page, and the same points as Parquet.

    The page needs no server and no network. It takes `encoders.semantic`, and the extra `atlas`. Prints the files.
    """
    with _exporting(config, version, to) as (con, settings, folder):
        _print(_atlas(con, settings, to or folder / "atlas", (points, fitted, pictures)))


@export.command(
    "contact-sheets",
    cls=ExportCommand,
    short_help="A PDF for each host or creator: their pictures that came out.",
    epilog="Example: raisonne export contact-sheets --by creator --to sheets",
)
@_TO
@click.option("--by", type=click.Choice(["host", "creator"]), default="host", show_default=True, help="Whose sheets.")
@click.option("--most", type=click.IntRange(1), default=50, show_default=True, help="Sheets at most.")
@_VERSION
@CONFIG
def contact_sheets(to: Path | None, by: str, most: int, version: int | None, config: str | None) -> None:
    """Write a PDF for each host, or for each creator that files name, of the pictures that some generation resembles.

    Those with most copied pictures come first. Each picture has its verdict, URL, licence, and how many rows show it.
    """
    with _exporting(config, version, to) as (con, settings, folder):
        from orchestration.reports.contact_sheets import files

        _print(files.write(con, to or folder / "contact-sheets", training_pictures(settings), by, most))


_STATED = """Every number names the query that gives it. What only you know comes from `[disclosure]` and `[[datasets]]`
in the settings; what they do not state is marked as to be completed, and listed on standard error."""
_DISCLOSURES = {
    "training-summary": (
        "The EU's public summary of training content.",
        "Write the public summary of training content that the EU's AI Act asks for: a page, Markdown and JSON, and "
        "the list of domains by bytes as CSV.",
    ),
    "croissant": (
        "The training set as a Croissant dataset.",
        "Write the training set as a Croissant 1.1 dataset: JSON-LD, the table of training rows that it describes, and "
        "as Markdown where each statement comes from.",
    ),
    "ab2013": (
        "California's documentation of training data.",
        "Write the documentation of training data that California's AB 2013 asks for: a page, Markdown and JSON.",
    ),
    "data-provenance": (
        "The provenance of each dataset, by a standard.",
        "Write the Data Provenance Standards of the Data & Trust Alliance, filled in for each dataset: a page, "
        "Markdown and JSON.",
    ),
}


def _disclosure(name: str) -> click.Command:
    short, long = _DISCLOSURES[name]

    @_TO
    @_VERSION
    @CONFIG
    def write(to: Path | None, version: int | None, config: str | None) -> None:
        with _exporting(config, version, to) as (con, settings, folder):
            _print(_write_disclosure(con, settings, to or folder / name, name))

    example = f"Example: raisonne export {name} --to {name}"
    return click.command(name, cls=ExportCommand, short_help=short, help=f"{long}\n\n{_STATED}", epilog=example)(write)


for _name in _DISCLOSURES:
    export.add_command(_disclosure(_name))


def _plug_in(name: str) -> click.Command:
    @click.command(name, cls=ExportCommand)
    @_TO
    @_VERSION
    @CONFIG
    def by_plug_in(to: Path | None, version: int | None, config: str | None) -> None:
        """Write what an installed plug-in makes of a published version. Prints the files."""
        with _exporting(config, version, to) as (con, settings, folder):
            _print(_by_plug_in(con, settings, to or folder / f"export-{name}", name))

    return by_plug_in


@contextmanager
def _exporting(
    config: str | None, version: int | None, to: Path | None
) -> Iterator[tuple["duckdb.DuckDBPyConnection", "Settings", Path]]:
    """Open a version, and end the command with a sentence where it cannot be exported.

    Yields the version, the settings, and the warehouse's own folder for its exports.
    """
    settings = load_settings(config)
    import duckdb

    from orchestration.guard.export_embeddings import GuardExportError
    from orchestration.reports import exports, removal_lists
    from orchestration.reports.disclosures.earlier import EarlierUnreadable
    from orchestration.runtime.full_disks import explained
    from transforms.plug_ins import PlugInError

    with open_published(settings, version) as con:
        [(number,)] = con.execute("select max(version) from warehouse.versions").fetchall()
        folder = exports.default_folder(settings.home, number)

        def full(error: Exception) -> str | None:
            return explained(str(error), {to or folder: "point --to"})

        try:
            yield con, settings, folder
        except OSError as error:
            message = f"{error.filename or to or folder}: {error.strerror}" if error.strerror else str(error)
            raise CommandError(full(error) or message) from None
        except duckdb.Error as error:
            raise CommandError(full(error) or damage_told(error) or str(error)) from None
        except (
            exports.NotInVersion,
            removal_lists.RemovalError,
            GuardExportError,
            EarlierUnreadable,
            PlugInError,
        ) as error:
            raise CommandError(full(error) or str(error)) from None


def _print(files: Sequence[Path]) -> None:
    for path in files:
        click.echo(path)


def _reports(
    con: "duckdb.DuckDBPyConnection", settings: "Settings", folder: Path, formats: tuple[str, ...]
) -> list[Path]:
    from orchestration.reports import exports
    from transforms.readable import printable

    pictures = training_pictures(settings)
    files = exports.write(con, folder, formats or exports.FORMATS, pictures, settings)
    if warning := pictures.warning():
        click.echo(f"warning: {printable(warning)}", err=True)
    return files


def _removal_list(
    con: "duckdb.DuckDBPyConnection", settings: "Settings", folder: Path, policy: str, *, merge: bool
) -> list[Path]:
    from orchestration.reports import removal_lists
    from orchestration.reports.spreadsheets.removal import RemovalOptions

    known = removal_lists.policies(con)
    if policy not in known:
        names = ", ".join(known) or "none: see `policies` in the settings"
        raise CommandError(f"unknown policy {policy!r}; available: {names}", ExitCode.USAGE)
    options = RemovalOptions(training_pictures(settings), settings.reports.workbook, merge)
    return removal_lists.write(con, folder, policy, settings.memory.duckdb, options)


def _atlas(
    con: "duckdb.DuckDBPyConnection", settings: "Settings", folder: Path, extent: tuple[int, int, int]
) -> list[Path]:
    from orchestration.provenance.meaning.finder import NotSearchable
    from orchestration.reports.meaning import atlas
    from transforms.provenance.layout import LayoutUnavailable
    from transforms.readable import printable

    pictures = training_pictures(settings)
    try:
        files = atlas.write(con, settings.home, folder, atlas.AtlasExtent(*extent), pictures)
    except (NotSearchable, LayoutUnavailable) as error:
        raise CommandError(str(error)) from None
    if warning := pictures.warning():
        click.echo(f"warning: {printable(warning)}", err=True)
    return files


def _write_disclosure(con: "duckdb.DuckDBPyConnection", settings: "Settings", folder: Path, name: str) -> list[Path]:
    from orchestration.reports.disclosures import files
    from transforms.readable import count, printable

    written, form = files.write(con, settings, name, folder)
    for warning in (*form.warnings, *form.advice):
        click.echo(f"warning: {printable(warning)}", err=True)
    if form.open:
        told = "; ".join(map(printable, form.open))
        click.echo(f"to be completed by {count(len(form.open), 'setting')}: {told}", err=True)
    return written


def _by_plug_in(con: "duckdb.DuckDBPyConnection", settings: "Settings", folder: Path, name: str) -> list[Path]:
    from orchestration.reports import exports
    from transforms import plug_ins

    plug_in = plug_ins.find(plug_ins.EXPORTS, name)
    if plug_in is None:
        raise CommandError(f"no plug-in offers the export {name!r} any more", ExitCode.USAGE)
    return exports.write_by_plug_in(con, plug_in, folder, settings.memory.duckdb)
