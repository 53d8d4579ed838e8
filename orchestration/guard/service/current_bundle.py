"""The bundle that a service uses, and replacing it without a break.

What belongs here: choosing the current bundle, and replacing it. What does not: HTTP (`guard/service/app.py`), the
content of a bundle (`transforms/guard/`).
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from transforms.encoders import EncoderMismatch, EncoderUnavailable
from transforms.guard import BundleError, Guard, KeyUnusable, OverrideError

_LOG = logging.getLogger("raisonne.guard")
_AGAIN_S = 60.0  # after which a bundle that was refused is tried again, as it is: files or memory may have been short
LOAD_ERRORS = (
    BundleError,
    KeyUnusable,
    OverrideError,
    EncoderMismatch,
    EncoderUnavailable,
    OSError,
    click.ClickException,
)


@dataclass(frozen=True)
class BundleState:
    """The state on disk of the files of a bundle and of the overrides. If it changes, they are loaded again."""

    folder: Path
    identity: tuple[object, ...]

    @classmethod
    def of(cls, path: Path, overrides: Path | None) -> "BundleState":
        """Return the current state. Links are followed, so a link to another bundle is another state.

        Args:
            path: The bundle, or a link to it.
            overrides: The curators' list, if any.

        Raises:
            OSError: a file cannot be found.
        """
        folder = path.resolve(strict=True)
        stats = [each.stat() for each in (*sorted(folder.iterdir()), overrides) if each]
        return cls(folder, (folder, *((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)))


class CurrentGuard:
    """The guard in use. A request reads `guard` once, so its answer comes from one bundle.

    Args:
        locate: Returns the path of the bundle to use now.
        load: Opens a bundle.
        overrides: The curators' list that `load` reads too.
        report: Takes the outcome of each reload.
    """

    def __init__(
        self,
        locate: Callable[[], Path],
        load: Callable[[Path], Guard],
        overrides: Path | None,
        report: Callable[[bool], None],
    ) -> None:
        self._locate, self._load, self._overrides, self._report = locate, load, overrides, report
        self._state = BundleState.of(locate(), overrides)
        self.guard = load(self._state.folder)
        self._refused, self._tried = "", 0.0
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Request a reload, whether or not the files changed."""
        self._state = BundleState(Path(os.devnull), ())
        self._asked.set()

    async def watch(self, every_s: float) -> None:
        """Reload when asked and when the files change, until cancelled.

        A bundle that cannot be loaded is logged, and the one in use stays. It is tried again when it changes, and
        once a minute.
        """
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), every_s)
            self._asked.clear()
            await self._reload()

    async def _reload(self) -> None:
        try:
            state = BundleState.of(self._locate(), self._overrides)
            if state == self._state and not (self._refused and time.monotonic() - self._tried >= _AGAIN_S):
                return
            self._state, self._tried = state, time.monotonic()  # a refused one is not tried again at once
            guard = await asyncio.to_thread(self._load, state.folder)
        except LOAD_ERRORS as error:
            if str(error) == self._refused:  # a file that is still missing
                return
            self._refused = str(error)
            self._report(False)
            _LOG.error("bundle refused", extra={"bundle": self.guard.bundle.name, "reason": str(error)})
            return
        self.guard, self._refused = guard, ""
        self._report(True)
        fields = {"bundle": guard.bundle.name, "folder": str(state.folder), "overrides": guard.searched.overrides}
        _LOG.info("bundle loaded", extra=fields)
