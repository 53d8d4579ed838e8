"""`raisonne init`: look at folders and write the settings for them.

What belongs here: arguments, what is said, the exit code. What does not: looking and estimating (`survey/`).
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.published import CommandError, ExitCode

if TYPE_CHECKING:
    from orchestration.settings import Settings
    from orchestration.survey.findings import Found
    from orchestration.survey.joining import Finding

_LISTED = 12
_DEFAULT = "sscd"


@click.command(
    short_help="Look at folders and write the settings for them.",
    epilog="Example: raisonne init photos --generations outputs",
)
@click.argument("folders", nargs=-1, metavar="[FOLDER]...")
@click.option(
    "--generations", multiple=True, metavar="FOLDER", help="Folder of generated pictures. Repeat it for several."
)
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), default="raisonne.toml", show_default=True)
@click.option("--home", default="data/warehouse", show_default=True, help="Folder of the warehouse to be made.")
@click.option("--encoder", default=_DEFAULT, show_default=True, help="Encoder that finds copies.")
@click.option("--force", is_flag=True, help="Replace the file.")
def init(
    folders: tuple[str, ...], generations: tuple[str, ...], to: Path, home: str, encoder: str, force: bool
) -> None:
    """Look at what lies in FOLDERs (default: here), and write the settings for it, with what a first run will cost.

    Metadata (parquet, CSV, JSON lines), tars, parquets with pictures and folders of pictures are recognised by the
    readers that a run uses. A folder is taken for generations if --generations names it, if a word of its name is
    generations, generated, txt2img, img2img or synthetic, if it holds a table called generations, or if its pictures
    or columns say how they were made. Anything else is taken for training pictures; where nothing says so, you are
    asked, here and in the file. A few pictures are measured. At most 200,000 files are looked at, and counts beyond are
    estimates.

    Exit codes: 0 done; 1 nothing was found; 2 a folder is not there, or the file is; 4 done, but what the last lines
    name could not be looked into.
    """
    if os.path.lexists(to) and not force:
        raise CommandError(f"{to} is there; pass --force to replace it, or --to for another file", ExitCode.USAGE)
    for folder in (*folders, *generations):
        if "://" in folder:
            fix = "name its glob under [[datasets]] in the settings yourself"
            raise CommandError(f"{folder}: only folders on disk are looked at; {fix}", ExitCode.USAGE)
        if not Path(folder).is_dir():
            what = "is no folder; name the folder that holds it" if Path(folder).exists() else "is not there"
            raise CommandError(f"{folder} {what}", ExitCode.USAGE)
    from transforms.readable import harmless, printable
    from transforms.storage import stores

    for option, value in (("--home", home), ("--encoder", encoder)):
        if stores.plain(value) != value:
            fix = "TOML is UTF-8, so choose or make a name in UTF-8"
            raise CommandError(f"{option}: {printable(value)} is no name in UTF-8; {fix}", ExitCode.USAGE)
    generated = [*map(Path, generations)]
    found, unused = _survey([*map(Path, folders)] or ([] if generations else [Path()]), generated)
    if not found:
        for line in _left(unused):
            click.echo(harmless(line), err=True)
        looked = ", ".join((*folders, *generations)) or "this folder"
        wanted = "metadata with URL and caption, tars, parquets with pictures, or pictures"
        raise CommandError(f"nothing to use in {looked}: looked for {wanted}")
    cost = _write(found, to, home, encoder)
    for line in (*_told(found), *_left(unused), *cost, f"wrote {to}; next: {_next(to)}"):
        click.echo(harmless(line))
    unread = any(each.objection for each in found) or any(each.unread for each in unused)
    raise SystemExit(ExitCode.INCOMPLETE if unread else ExitCode.DONE)


def _survey(folders: Sequence[Path], generations: Sequence[Path]) -> tuple[list["Finding"], list["Found"]]:
    from orchestration.survey.findings import Survey
    from orchestration.survey.places import Budget, walk
    from transforms.storage.file_limits import ByteLimits

    survey, budget, found = Survey(generations, ByteLimits()), Budget(), list["Finding"]()
    roots = [*folders, *generations]
    real = [each.resolve() for each in roots]
    for folder in dict.fromkeys(roots):
        if any(folder.resolve().is_relative_to(each) and folder.resolve() != each for each in real):
            continue  # it is looked at as a part of that one
        try:
            found += survey.findings(walk(folder, budget))
        except OSError as error:
            raise CommandError(f"{folder} cannot be looked into: {error.strerror or error}") from None
    return found, survey.unused


def _write(found: Sequence["Finding"], to: Path, home: str, encoder: str) -> list[str]:
    """Write the settings, unless they cannot be used. Returns what a run with them will cost."""
    from orchestration import settings
    from orchestration.survey import settings_file
    from transforms.storage import staging

    base = to.absolute().parent
    for each in found:
        if _would_hold(each, base / home):
            fix = "pass --home with a folder outside of it, or move the pictures into a folder of their own"
            raise CommandError(
                f"the warehouse, {home}, would lie among the pictures of {each.place}; {fix}", ExitCode.USAGE
            )
    try:
        with staging.whole(to) as partial:
            partial.write_text(settings_file.render(found, home, encoder, to), encoding="utf-8")
            chosen = settings.load(partial)
            return _cost(found, chosen.model_copy(update={"home": base / home}))
    except settings.SettingsError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except OSError as error:
        raise CommandError(f"{to} cannot be written: {error.strerror or error}") from None


def _would_hold(finding: "Finding", home: Path) -> bool:
    """Return whether what a run reads of a finding would take in the warehouse, and with it its own exports."""
    folders = set[Path]()
    if finding.generated or finding.images in {"", "/*"} or (finding.images or "").startswith("/**"):
        folders.add(finding.images_at or finding.place)
    if (finding.metadata or "").startswith("/**"):
        folders.add(finding.place)
    spelled = (os.path.abspath, os.path.realpath)  # a link may lead in or out
    return any(Path(form(home)).is_relative_to(form(each)) for each in folders for form in spelled)


def _told(found: Sequence["Finding"]) -> list[str]:
    from transforms.readable import count, size

    lines = []
    for each in found:
        about = "about " if each.estimated else ""
        rows = f"{count(each.rows, 'row')} of metadata, " if each.metadata else ""
        kind = "generations" if each.generated else "training pictures"
        amount = f"{about}{rows}{count(each.pictures, 'picture')}, {size(each.bytes)}"
        why = f"because {each.reason}" if each.reason else "though nothing says so"
        lines.append(f"{each.place}: {amount}: {kind}, {why}")
        if each.reason is None:
            fix = f"run this again with --force --generations {each.place}"
            lines.append(f"  ? were these trained on? If a model made them, {fix}")
        if each.images is None and not each.generated:
            lines.append("  the pictures are not here: set `download`, and `raisonne download` fetches them")
        if each.objection:
            lines.append(f"  not used: {each.objection}")
    return lines


def _left(unused: Sequence["Found"]) -> list[str]:
    lines = [f"not used: {each.path}: {each.reason}" for each in unused[:_LISTED]]
    more = len(unused) - _LISTED
    return [*lines, f"not used: and {more:,} more"] if more > 0 else lines


def _cost(found: Sequence["Finding"], settings: "Settings") -> list[str]:
    """Return what a run will cost, or why that is not known. Raises CommandError if no run could load its encoder."""
    from transforms.encoders import EncoderUnavailable
    from transforms.plug_ins import PlugInError

    try:
        return _measured([each for each in found if not each.objection], settings)
    except EncoderUnavailable as error:
        if settings.encoders.copy_ != _DEFAULT:
            raise CommandError(f"--encoder: {error}", ExitCode.USAGE) from None
        return [f"time: not known: {error}"]
    except (OSError, PlugInError) as error:
        return [f"time: not known: {error}"]


def _measured(used: Sequence["Finding"], settings: "Settings") -> list[str]:
    from orchestration.cli.state.bill import cost_lines
    from orchestration.survey import costs

    rates = costs.measure(used, settings)
    if rates is None:
        return ["time: not known: there is no picture to measure"]
    if former := costs.former_rate(settings.home):
        rates = costs.with_former(rates, *former)
    return cost_lines(costs.estimate(costs.amounts(used), rates, settings), rates, settings, "a first run")


def _next(to: Path) -> str:
    return (
        "raisonne run"
        if to.name == "raisonne.toml" and to.parent == Path()
        else f"raisonne run --config {shlex.quote(str(to))}"
    )
