"""What several commands share: exit codes, failing, the settings, the published file.

What belongs here: code that two or more commands call. What does not: a command (`cli/<command>.py`), what `check` and
`serve` share (`cli/guard/options.py`). Imports are late, so `raisonne --help` does not wait for DuckDB or torch.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import duckdb

    from orchestration.reports.pictures import PictureReader
    from orchestration.settings import Settings

CONFIG = click.option(
    "--config", type=click.Path(dir_okay=False), help="Settings file. Default: RAISONNE_CONFIG, then ./raisonne.toml."
)
ALLOW_HOST = click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Host name that requests may use, without a port; `*.example.org` for all below it. Repeat it for several.",
)


class ExitCode(IntEnum):
    """How every command ends.

    Attributes:
        DONE: Success; of `check`, all images may be shown.
        FAILED: An error that the message explains.
        USAGE: Wrong arguments or settings.
        UNAVAILABLE: `check` or `serve` could not search; treat it as a block.
        INCOMPLETE: `run`, `init` or `claims` is done, but what it names could not be used, or not as a whole.
        BLOCKED: `check` blocks an image, or `claims` finds one that was trained on.
        INTERRUPTED: Ctrl-C, as shells have it.
    """

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3
    INCOMPLETE = 4
    BLOCKED = 10
    INTERRUPTED = 130


class CommandError(click.ClickException):
    """Ends a command with a sentence on standard error and an exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # click reads it from the instance

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence as `raisonne: ...`. The names in it may come from anywhere."""
        from transforms.readable import harmless

        click.echo(f"raisonne: {harmless(self.format_message())}", file, err=True)


def load_settings(config: str | None) -> "Settings":
    """Return the settings of `--config`, or of the default file. Raises CommandError."""
    from orchestration import settings

    if config:
        os.environ["RAISONNE_CONFIG"] = str(Path(config).resolve())  # what Dagster's processes read
    try:
        return settings.load()
    except settings.SettingsError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None


def connect_published(settings: "Settings", version: int | None = None) -> "duckdb.DuckDBPyConnection":
    """Connect to the published file, or to the lake of the settings, read-only, with times in UTC.

    Args:
        settings: Name the warehouse.
        version: An earlier version that is still kept; the current one if None.

    Raises:
        CommandError: If nothing is published, or not that version, or it cannot be read.
    """
    import duckdb

    from orchestration.warehouse import lake, publishing

    try:
        con = lake.open_published(settings.home, settings.publishing.lake, version)
    except (publishing.NotPublished, duckdb.Error) as error:
        raise CommandError(str(error)) from None
    con.execute("set timezone = 'UTC'")
    return con


@contextmanager
def open_published(settings: "Settings", version: int | None = None) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open the published file for the length of a block, within which damage to it ends the command with a sentence.

    Args:
        settings: As for `connect_published`, which also says what is raised.
        version: likewise.
    """
    import duckdb

    with connect_published(settings, version) as con:
        try:
            yield con
        except duckdb.Error as error:
            if told := damage_told(error):
                raise CommandError(told) from None
            raise


def damage_told(error: "duckdb.Error") -> str | None:
    """Return a sentence with the fix if an error says that the published file is damaged, or may be, else None."""
    from orchestration.warehouse import publishing

    return publishing.explained(error)


def training_pictures(settings: "Settings") -> "PictureReader":
    """Return a reader of the warehouse's training pictures for pages and workbooks."""
    from orchestration.facts import Facts
    from orchestration.facts.training_pictures import TrainingPictures
    from orchestration.reports.pictures import PictureReader

    return PictureReader(TrainingPictures(Facts(settings.home / "facts"), settings.limits.bounds))
