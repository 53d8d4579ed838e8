"""What `raisonne check` and `raisonne serve` share: options, the bundle, the log.

What belongs here: what both take. What does not: either of them (`cli/guard/check.py`, `cli/guard/serve.py`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestration.cli.published import CommandError, ExitCode

if TYPE_CHECKING:
    from transforms.guard import Verdict


class FiniteRange(click.FloatRange):
    """A range of numbers without `nan`, which Click takes to be in every range."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 -- as Click has it
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the number that was given.

        Args:
            value: As it was given.
            param: The option.
            ctx: Of the command.

        Raises:
            click.BadParameter: If it is not a number, or not in the range.
        """
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


SECONDS = FiniteRange(0.01, 31_536_000)  # up to a year
CONFIG = click.option(
    "--config",
    type=click.Path(dir_okay=False),
    help="Settings file. With --bundle, it is read for --log and guard.trusted_keys.",
)
FRAMES = click.option(
    "--frames",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Frames or pages of a file that are checked. A file of more is not allowed.",
)
ALSO = click.option(
    "--also",
    multiple=True,
    type=click.Choice(["negative", "rotated", "tiles", "none"]),
    default=("negative",),
    show_default=True,
    callback=lambda _context, _option, names: tuple(name for name in names if name != "none"),
    help="Further views to search by: of a negative (1), turned by 25 and 45 degrees (4), smaller tiles (16).",
)
DOUBT = click.option(
    "--doubt",
    type=FiniteRange(0, 1),
    help="Search by one view first, and by the others only if it has a cosine from this on. Quicker; misses parts.",
)
EVERY_VIEW = click.option(
    "--every-view",
    is_flag=True,
    help="Embed every view in full, not only those that a smaller one leaves in doubt. Slower; gives p-values.",
)
OVERRIDES = click.option(
    "--overrides", type=click.Path(dir_okay=False, path_type=Path), help="Curators' decisions: a file of JSON lines."
)
ENCODER = click.option(
    "--encoder", help="Encoder as in the settings. Needed where its weights have another path than at export."
)
TRUST = click.option(
    "--trust",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Public key, PEM or minisign: refuse a bundle that it did not sign. May be repeated. Default: "
    "guard.trusted_keys.",
)
LOG = click.option("--log", is_flag=True, help="Log checks in the configured warehouse: provenance.guard_log.")


class GuardUnavailable(CommandError):
    """Nothing could be checked; the message says why. Treat it as a block."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.UNAVAILABLE)


def bundle_path(bundle: Path | None, config: str | None) -> Path:
    """Return the bundle to search.

    Args:
        bundle: Its path, if one was given.
        config: Settings of the warehouse whose newest bundle is taken otherwise.

    Raises:
        GuardUnavailable: If the warehouse has no bundle that can be read.
        UsageError: If the settings cannot be read.
    """
    if bundle is not None:
        return bundle
    from orchestration import settings
    from orchestration.guard import folders
    from transforms.guard import BundleError

    try:
        home = settings.load(config).home
        newest = folders.newest(home)
    except settings.SettingsError as error:
        raise click.UsageError(str(error)) from None
    except BundleError as error:
        raise GuardUnavailable(str(error)) from None
    if newest is None:
        raise GuardUnavailable(f"{home} has no guard bundle; write one with `raisonne export guard`, or pass --bundle")
    return newest


def trusted_keys(trust: Sequence[Path], config: str | None) -> tuple[Path, ...]:
    """Return the public keys of which one must have signed the bundle; none if no signature is asked for.

    Args:
        trust: Those that were named.
        config: Settings that name them otherwise. Where nothing names a file and none is here, there are none.

    Raises:
        UsageError: If the settings cannot be read.
    """
    from orchestration import settings

    if trust:
        return tuple(trust)
    try:
        return tuple(map(Path, settings.in_force(config).guard.trusted_keys))
    except settings.SettingsError as error:
        raise click.UsageError(str(error)) from None


def own_encoder(bundle: Path | None, config: str | None) -> str | None:
    """Return the encoder of the settings where it is not built in, and the bundle is our own.

    A bundle that is not signed may not name one that can run code.

    Args:
        bundle: The bundle, if one was named: then it may be another's.
        config: The settings.
    """
    from orchestration import settings
    from transforms.encoders import built_in

    name = None if bundle is not None else settings.load(config).encoders.by_purpose.get("copy")
    return None if name is None or built_in(name) else name


@contextmanager
def verdict_log(*, log: bool, config: str | None) -> Iterator[Callable[["Verdict"], object]]:
    """Yield a function that records a verdict.

    Args:
        log: Whether to record at all.
        config: Settings of the warehouse that keeps the log.

    Raises:
        CommandError: If some verdicts could not be recorded.
        UsageError: If the settings cannot be read.
    """
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
        with guard_log.open_log(home) as record:
            yield record
    except guard_log.NotLogged as error:
        raise CommandError(str(error)) from None
