"""`raisonne show`: one generation's likely sources, on the terminal or as a page.

What belongs here: arguments and the exit code. What does not: reading a case (`reports/cases.py`), its text
(`reports/case_text.py`), its page (`reports/case_pages.py`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.published import (
    CONFIG,
    CommandError,
    ExitCode,
    load_settings,
    open_published,
    training_pictures,
)

if TYPE_CHECKING:
    from orchestration.reports.cases import Case
    from orchestration.reports.page_data import Publication
    from orchestration.settings import Settings


@click.command(
    short_help="Print the likely sources of a generation.", epilog="Example: raisonne show simulated/0007.jpg --open"
)
@click.argument("generation")
@click.option("--open", "opens", is_flag=True, help="Write the case page and open it in a browser.")
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="Write the case page to this file.")
@CONFIG
def show(generation: str, opens: bool, to: Path | None, config: str | None) -> None:
    """Print the likely sources of one GENERATION, their evidence, and how much was searched."""
    from orchestration.reports import case_text, cases
    from orchestration.reports.page_data import publication

    settings = load_settings(config)
    with open_published(settings) as con:
        try:
            case = cases.find(con, generation)
        except LookupError as error:
            raise CommandError(error.args[0], ExitCode.USAGE) from None
        version = publication(con)
    click.echo("\n".join(case_text.lines(case)))
    if opens or to:
        page = _page(settings, case, version, to)
        click.echo(f"page: {page}", err=True)
        if opens:
            click.launch(page.resolve().as_uri())


def _page(settings: "Settings", case: "Case", version: "Publication", to: Path | None) -> Path:
    from orchestration.reports import case_pages, exports
    from orchestration.runtime.full_disks import explained

    name = case_pages.file_name(case.generation["generation_id"])
    file = to or exports.default_folder(settings.home, version.number) / "cases" / name
    pages = case_pages.CasePages(version, settings.thresholds, settings.limits.bounds, training_pictures(settings))
    try:
        return case_pages.write(pages.page(case), file)
    except OSError as error:
        told = f"{error.filename or file}: {error.strerror or error}"
        raise CommandError(explained(str(error), {file.absolute().parent: "point --to"}) or told) from None
