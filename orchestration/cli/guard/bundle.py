"""`raisonne bundle`: what turns one guard bundle into the next, so that an update is a fraction of its size.

What belongs here: arguments, and what is printed. What does not: deltas (`transforms/guard/deltas/`).
"""

from pathlib import Path

import click

from orchestration.cli.published import CommandError

_BUNDLE = click.Path(file_okay=False, path_type=Path)


@click.group(
    short_help="Update a guard bundle by a delta.",
    epilog="Example: raisonne bundle patch bundles/old update.delta --to bundles/new",
)
def bundle() -> None:
    """Update guard bundles by deltas, which are a fraction of their size."""


@bundle.command(
    short_help="Write a delta.", epilog="Example: raisonne bundle diff bundles/old bundles/new --to update.delta"
)
@click.argument("old", type=_BUNDLE)
@click.argument("new", type=_BUNDLE)
@click.option("--to", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A new file.")
def diff(old: Path, new: Path, to: Path) -> None:
    """Write what turns the bundle OLD into the bundle NEW. Prints the file."""
    from transforms.guard import BundleError
    from transforms.guard.deltas import delta

    try:
        size = delta.write(old, new, to)
    except (BundleError, delta.DeltaError, OSError) as error:
        raise CommandError(str(error)) from None
    whole = sum(path.stat().st_size for path in new.iterdir())
    click.echo(f"{size / 1e6:,.2f} MB, {size / whole:.1%} of the bundle", err=True)
    click.echo(to)


@bundle.command(
    short_help="Make a new bundle of an old one and a delta.",
    epilog="Example: raisonne bundle patch bundles/old update.delta --to bundles/new",
)
@click.argument("old", type=_BUNDLE)
@click.argument("delta_file", metavar="DELTA", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--to", required=True, type=click.Path(file_okay=False, path_type=Path), help="A new folder.")
def patch(old: Path, delta_file: Path, to: Path) -> None:
    """Make a new bundle of the bundle OLD and a delta, byte for byte, its signature included. Prints the folder."""
    from transforms.guard import BundleError
    from transforms.guard.deltas import delta

    try:
        click.echo(delta.apply(old, delta_file, to))
    except (BundleError, delta.DeltaError, OSError) as error:
        raise CommandError(str(error)) from None
