"""`raisonne claims`: a rightsholder's pictures against the training set.

What belongs here: arguments, file names on standard output, the exit code. What does not: searching
(`matches/claims.py`), the files (`reports/claims/`).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.guard.check import is_other_file, paths_below
from orchestration.cli.guard.options import ENCODER, TRUST, trusted_keys
from orchestration.cli.published import CONFIG, CommandError, ExitCode, load_settings, open_published

if TYPE_CHECKING:
    from orchestration.matches.claims import ClaimFile, ClaimSearcher
    from orchestration.settings import Settings
    from transforms.guard import Guard

type Written = tuple[list[Path], dict[str, int]]


@click.command(
    short_help="Find a rightsholder's pictures in the training set.",
    epilog="Example: raisonne claims portfolio --to claim",
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder. Default: FOLDER's name in a folder `claims` here.",
)
@click.option(
    "--bundle",
    type=click.Path(file_okay=False, path_type=Path),
    help="Ask this guard bundle instead of the warehouse: offline, and without hosts, captions and generations.",
)
@ENCODER
@TRUST
@CONFIG
def claims(
    folder: Path,
    to: Path | None,
    bundle: Path | None,
    encoder: str | None,
    trust: "Sequence[Path]",
    config: str | None,
) -> None:
    """Find out which pictures of FOLDER a model was trained on, and write a page, tables and an opt-out list.

    Every picture below FOLDER is searched for in the training set by bytes, pixels, perceptual hash and embedding, and
    compared by pixels, as generations are. The page and the tables say whether it was trained on, in how many rows,
    under which hosts, captions and licences, with what evidence, which generations copy it, and what was searched.

    Exit codes: 0 nothing found; 10 at least one was trained on, or with --bundle is near enough to block; 4 nothing
    found, but files that the page names could not be searched or compared; 3 the bundle cannot be used; 1 failed;
    2 wrong arguments.
    """
    from orchestration.runtime.full_disks import explained

    files = _files(folder)
    target = to or Path("claims") / (folder.resolve().name or "all")
    try:
        if bundle:
            guard = _guard(bundle, encoder, trust, config)
            written, counts = _asked_bundle(guard, target, folder, files)
        else:
            written, counts = _asked_warehouse(target, folder, files, config)
    except OSError as error:
        told = f"{error.filename or target}: {error.strerror or error}"
        raise CommandError(explained(str(error), {target: "point --to"}) or told) from None
    for path in written:
        click.echo(path)
    told = "; ".join(f"{answer}: {count:,}" for answer, count in counts.items())
    click.echo(told, err=True)
    sys.exit(_exit_code(counts, near=bundle is not None))


def _exit_code(counts: dict[str, int], *, near: bool) -> ExitCode:
    if counts.get("yes") or (near and counts.get("not confirmed")):
        return ExitCode.BLOCKED
    doubtful = counts.get("not searched", 0) + counts.get("not found, and not all could be compared", 0)
    return ExitCode.INCOMPLETE if doubtful else ExitCode.DONE


def _files(folder: Path) -> "list[ClaimFile]":
    from orchestration.matches.claims import ClaimFile
    from transforms.readable import count
    from transforms.storage.stores import plain

    if not folder.is_dir():
        raise CommandError(f"{folder} is no folder; name the folder of the pictures", ExitCode.USAGE)
    found: list[Path] = []
    others: list[Path] = []
    for path in paths_below(folder):
        (others if is_other_file(path) else found).append(path)
    if others:
        told = f"{count(len(others), 'file')} not searched for, being no picture, such as {str(others[0])!r}"
        click.echo(f"{folder}: {told}", err=True)
    if not found:
        raise CommandError(f"{folder} holds no picture; name the folder of the pictures", ExitCode.USAGE)
    return [ClaimFile(plain(path.relative_to(folder).as_posix()), path) for path in found]


def _asked_warehouse(target: Path, folder: Path, files: "Sequence[ClaimFile]", config: str | None) -> Written:
    from orchestration import progress
    from orchestration.reports.claims import files as written

    settings = load_settings(config)
    with open_published(settings) as con, progress.display():
        searcher, methods = _searcher(settings)
        return written.write(con, settings, target, folder, searcher.find(files), methods)


def _searcher(settings: "Settings") -> "tuple[ClaimSearcher, list[str]]":
    """Read the training pictures, and return what searches them, and by what they are searched, in words."""
    import dagster as dg

    from orchestration.compute.named_encoders import load
    from orchestration.facts import Facts
    from orchestration.facts.training_pictures import TrainingPictures
    from orchestration.matches.claims import ClaimSearcher
    from orchestration.matches.search import read_search
    from orchestration.runtime.resources import rules_of
    from transforms.encoders import EncoderMismatch, EncoderUnavailable
    from transforms.fingerprints.views import search_views

    facts, name = Facts(settings.home / "facts"), settings.encoders.by_purpose.get("copy")
    try:
        encoder = load(name, settings.encoders.device) if name else None
        views = search_views(settings.search.scales, settings.search.flips)
        search = read_search(facts, encoder.id if encoder else None, views, settings, 1)
    except (EncoderUnavailable, EncoderMismatch) as error:
        raise CommandError(str(error)) from None
    except dg.Failure as error:
        raise CommandError(str(error.description)) from None
    load_training = TrainingPictures(facts, settings.limits.bounds)
    cut = settings.thresholds
    methods = [
        "Equal bytes, and equal pixels",
        f"Perceptual hashes (PDQ) up to {cut.pdq} of 256 bits apart, turned too",
    ]
    if encoder:
        told = (
            f"Embeddings by {encoder.id.name} of {len(views)} parts of each picture, candidates from {cut.candidate:g}"
        )
        methods.append(told)
    methods.append("Every candidate laid over the picture and compared by pixels: only that confirms one")
    return ClaimSearcher(search, encoder, rules_of(settings), load_training, settings), methods


def _guard(bundle: Path, encoder: str | None, trust: "Sequence[Path]", config: str | None) -> "Guard":
    from transforms.encoders import EncoderMismatch, EncoderUnavailable
    from transforms.guard import BundleError, Guard, KeyUnusable

    try:
        return Guard.load(bundle, encoder, trusted=trusted_keys(trust, config))
    except (BundleError, KeyUnusable, EncoderMismatch, EncoderUnavailable) as error:
        raise CommandError(str(error), ExitCode.UNAVAILABLE) from None


def _asked_bundle(guard: "Guard", target: Path, folder: Path, files: "Sequence[ClaimFile]") -> Written:
    from orchestration import progress
    from orchestration.reports.claims import bundles

    with progress.display():
        return bundles.write(guard, target, folder, files)
