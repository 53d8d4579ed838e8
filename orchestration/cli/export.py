"""`raisonne export`: reports, a removal list, a guard bundle or what a plug-in writes, from a published version.

What belongs here: arguments, file names on standard output, the exit code. What does not: the files
(`reports/exports.py`, `reports/removal_lists.py`, `guard/export.py`), the options of a guard (`cli/guard/export.py`).
"""

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


class _Export(click.Choice[str]):
    """The exports that are ours. Plug-ins are looked for only where another one is named, since that takes time."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click."""
        if value in self.choices:
            return value
        from transforms import plug_ins

        return click.Choice([*self.choices, *plug_ins.names(plug_ins.EXPORTS)]).convert(value, param, ctx)


@click.command(epilog="Example: raisonne export removal-list --policy keep-1 --to removal")
@click.argument("what", default="report", type=_Export(["report", "removal-list", "guard"]))
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="Folder. Default: the warehouse's own exports."
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["html", "csv", "xlsx", "parquet"]),
    multiple=True,
    help="Formats of a report. Default: all.",
)
@click.option("--version", type=click.IntRange(1), help="A kept version. Default: the current one.")
@click.option("--policy", help="Policy of a removal list, from duplicates.policies. Default: keep-1.")
@guard_bundles.export_options
@CONFIG
def export(
    what: str,
    to: Path | None,
    formats: tuple[str, ...],
    version: int | None,
    policy: str | None,
    config: str | None,
    **guard: object,
) -> None:
    """Write a report (default), a removal-list or a guard.

    A report is two pages with their tables: how often pictures repeat, and where generated images come from. A removal
    list names the rows that a policy removes, for img2dataset, DataComp's resharder and datatrove. A guard is the
    bundle that `raisonne check` and `raisonne serve` search. Installed plug-ins add exports of their own.
    """
    if policy is not None and what != "removal-list":
        raise CommandError(
            f"a {what} has no --policy; write `raisonne export removal-list --policy ...`", ExitCode.USAGE
        )
    if formats and what != "report":
        raise CommandError(
            f"a {what.replace('-', ' ')} has no --format; leave it out, all its files are written", ExitCode.USAGE
        )
    options = guard_bundles.given_options(what, guard)
    settings = load_settings(config)
    import duckdb

    from orchestration.guard.export_embeddings import GuardExportError
    from orchestration.reports import exports, removal_lists
    from orchestration.runtime.full_disks import explained
    from transforms.plug_ins import PlugInError

    with open_published(settings, version) as con:
        [(number,)] = con.execute("select max(version) from warehouse.versions").fetchall()
        folder = exports.default_folder(settings.home, number)

        def full(error: Exception) -> str | None:
            return explained(str(error), {to or folder: "point --to"})

        try:
            if what == "guard":
                files = guard_bundles.export(con, settings, to, options)
            elif what == "report":
                files = _reports(con, settings, to or folder, formats)
            elif what != "removal-list":
                files = _by_plug_in(con, settings, to or folder / f"export-{what}", what)
            else:
                files = _removal_list(con, settings, to, folder, policy or "keep-1")
        except OSError as error:
            message = f"{error.filename or to or folder}: {error.strerror}" if error.strerror else str(error)
            raise CommandError(full(error) or message) from None
        except duckdb.Error as error:
            raise CommandError(full(error) or damage_told(error) or str(error)) from None
        except (exports.NotInVersion, removal_lists.RemovalError, GuardExportError, PlugInError) as error:
            raise CommandError(full(error) or str(error)) from None
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
    con: "duckdb.DuckDBPyConnection", settings: "Settings", to: Path | None, exports_folder: Path, policy: str
) -> list[Path]:
    from orchestration.reports import removal_lists

    known = removal_lists.policies(con)
    if policy not in known:
        names = ", ".join(known) or "none: see `policies` in the settings"
        raise CommandError(f"unknown policy {policy!r}; available: {names}", ExitCode.USAGE)
    folder = to or exports_folder / f"removal-{policy}"
    return removal_lists.write(con, folder, policy, settings.limits.duckdb_memory)


def _by_plug_in(con: "duckdb.DuckDBPyConnection", settings: "Settings", folder: Path, name: str) -> list[Path]:
    from orchestration.reports import exports
    from transforms import plug_ins

    plug_in = plug_ins.find(plug_ins.EXPORTS, name)
    if plug_in is None:
        raise CommandError(f"no plug-in offers the export {name!r} any more", ExitCode.USAGE)
    return exports.write_by_plug_in(con, plug_in, folder, settings.limits.duckdb_memory)
