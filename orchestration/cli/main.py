"""The `raisonne` command and the list of its subcommands.

What belongs here: which commands there are. What does not: a command (`cli/<command>.py`), what several share
(`cli/published.py`). Commands import late, so `raisonne --help` does not wait for torch.
"""

import gc
import io
import sys

import click

from orchestration.cli.claims import claims
from orchestration.cli.download import download
from orchestration.cli.export import export
from orchestration.cli.guard.bundle import bundle
from orchestration.cli.guard.check import check
from orchestration.cli.guard.serve import serve
from orchestration.cli.init import init
from orchestration.cli.meaning.find import find
from orchestration.cli.published import CommandError, ExitCode
from orchestration.cli.review.command import review
from orchestration.cli.run import run
from orchestration.cli.show import show
from orchestration.cli.sql.command import sql
from orchestration.cli.state.doctor import doctor
from orchestration.cli.state.status import status
from orchestration.cli.ui import ui


class Commands(click.Group):
    """The subcommands. Ctrl-C ends each with one sentence and an exit code of its own."""

    def invoke(self, ctx: click.Context) -> object:
        """Invoke the chosen command. Raises CommandError where it is interrupted."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            raise CommandError("interrupted", ExitCode.INTERRUPTED) from None


@click.group(cls=Commands, epilog="Example: raisonne run && raisonne sql 'from reports.duplicate_frequency'")
@click.version_option(package_name="raisonne", message="%(version)s")
def main() -> None:
    """Find which training pictures an image model reproduces, and how often it was trained on them."""
    gc.set_threshold(50_000)  # importing makes a million objects that stay: looking through them takes a sixth of it
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # captions hold characters that the locale may lack
            stream.reconfigure(errors="backslashreplace")


for command in (init, doctor, status, run, download, show, find, sql, export, review, claims, check, serve, bundle, ui):
    main.add_command(command)
