"""The bundle that a service answers from, and changing it without a break.

What belongs here: which bundle is current, and when another takes its place. What does not: HTTP
(`guard/service/app.py`), what is in a bundle (`transforms/guard/`).
"""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from transforms.encoders import EncoderMismatch, EncoderUnavailable
from transforms.guard import BundleError, Guard, OverrideError

_LOG = logging.getLogger("raisonne.guard")
REFUSED = (BundleError, OverrideError, EncoderMismatch, EncoderUnavailable, OSError, click.ClickException)


@dataclass(frozen=True)
class Wanted:
    """What should be answered from, as it lies there now. When it changes, it is read anew."""

    folder: Path
    identity: tuple[object, ...]

    @classmethod
    def of(cls, path: Path, overrides: Path | None) -> "Wanted":
        """Look where a path leads. A link that is turned to another bundle is another. Raises OSError."""
        folder = path.resolve(strict=True)
        stats = [each.stat() for each in (*sorted(folder.iterdir()), overrides) if each]
        return cls(folder, (folder, *((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)))


class CurrentGuard:
    """The guard in use. A request takes it once, and so never answers from two bundles.

    locate: returns the path of the bundle to use, as it is now. load: opens it. overrides: the list that it loads too.
    told: is given each outcome of a reload.
    """

    def __init__(
        self,
        locate: Callable[[], Path],
        load: Callable[[Path], Guard],
        overrides: Path | None,
        told: Callable[[bool], None],
    ) -> None:
        self._locate, self._load, self._overrides, self._told = locate, load, overrides, told
        self._wanted = Wanted.of(locate(), overrides)
        self.guard = load(self._wanted.folder)
        self._refused = ""
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have the bundle read again, whether or not it seems to have changed."""
        self._wanted = Wanted(Path(os.devnull), ())
        self._asked.set()

    async def watch(self, every_s: float) -> None:
        """Reload when asked, and when the path leads elsewhere; until cancelled.

        What cannot be loaded is logged by name, and the bundle in use stays.
        """
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), every_s)
            self._asked.clear()
            await self._reload()

    async def _reload(self) -> None:
        try:
            wanted = Wanted.of(self._locate(), self._overrides)
            if wanted == self._wanted:
                return
            self._wanted = wanted  # what is refused once is not tried again until it changes
            guard = await asyncio.to_thread(self._load, wanted.folder)
        except REFUSED as error:
            if str(error) == self._refused:  # a file that is still not there
                return
            self._refused = str(error)
            self._told(False)
            _LOG.error("bundle refused", extra={"bundle": self.guard.bundle.name, "reason": str(error)})
            return
        self.guard, self._refused = guard, ""
        self._told(True)
        said = {"bundle": guard.bundle.name, "folder": str(wanted.folder), "overrides": guard.searched.overrides}
        _LOG.info("bundle loaded", extra=said)
