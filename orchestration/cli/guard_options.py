"""What the commands of the guard have in common: options, exit codes, and the bundle that is meant.

What belongs here: what both `check` and `serve` take. What does not: either of them (`cli/guard.py`, `cli/serve.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from transforms.guard import Verdict

OK, FAILED, USAGE, UNREACHABLE, BLOCKED = 0, 1, 2, 3, 10
SECONDS = click.FloatRange(0, min_open=True)
CONFIG = click.option("--config", type=click.Path(dir_okay=False), help="Settings; not read where --bundle is given.")
OVERRIDES = click.option(
    "--overrides", type=click.Path(dir_okay=False, path_type=Path), help="What curators decided otherwise: JSON lines."
)
ENCODER = click.option(
    "--encoder", help="As the settings name it, where its weights lie elsewhere than where the bundle was written."
)
LOG = click.option("--log", is_flag=True, help="Note checks in the configured warehouse: provenance.guard_log.")


class GuardFailed(click.ClickException):
    """What was asked for besides the checks was not done; the message says what, and why."""

    exit_code = FAILED

    def show(self, file: object = None) -> None:
        """Say it as the other commands do."""
        click.echo(f"raisonne: {self.format_message()}", err=True)


class GuardUnavailable(GuardFailed):
    """Nothing could be checked; the message says why. To be treated as a block."""

    exit_code = UNREACHABLE


def bundle_path(bundle: Path | None, config: str | None) -> Path:
    """Return the bundle that is meant, by default the newest of the configured warehouse. Raises GuardUnavailable."""
    if bundle is not None:
        return bundle
    from orchestration import settings
    from orchestration.guard import folders as guard_folders
    from transforms.guard import BundleError

    try:
        home = settings.load(config).home
        newest = guard_folders.newest(home)
    except settings.SettingsError as error:
        raise click.UsageError(str(error)) from None
    except BundleError as error:
        raise GuardUnavailable(str(error)) from None
    if newest is None:
        raise GuardUnavailable(f"{home} has no guard bundle; write one with `raisonne export guard`, or pass --bundle")
    return newest


@contextmanager
def logging_to(*, log: bool, config: str | None) -> Iterator[Callable[["Verdict"], object]]:
    """Yield what notes verdicts in the configured warehouse, or forgets them."""
    if not log:
        yield lambda _: None
        return
    from orchestration import settings
    from orchestration.guard import log as guard_log

    try:
        home = settings.load(config).home
    except settings.SettingsError as error:
        raise click.UsageError(f"--log writes into a warehouse: {error}") from None
    try:
        with guard_log.opened(home) as record:
            yield record
    except guard_log.NotLogged as error:
        raise GuardFailed(str(error)) from None
