"""The published version that a desk asks about, and the one before it: taking up a new one while people decide.

What belongs here: noticing a version, opening it, which version an item is of. What does not: its queues
(`review/queues.py`), who gets which item (`review/desk.py`).

A version is taken up when somebody asks for the next item, never while an item is shown: that one stays answerable, by
its pictures, whatever is published meanwhile.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import duckdb

from orchestration.review.queues import Queue

_LOG = logging.getLogger("raisonne.review")
_KEPT = 2  # versions whose items may be on a page


@dataclass(frozen=True)
class Edition:
    """A published version with its queues, open for queries."""

    version: int
    con: duckdb.DuckDBPyConnection
    queues: Mapping[str, Queue]


class EditionUnusable(RuntimeError):
    """A version cannot be asked about. The message says why."""


class Editions:
    """The versions of a desk, the current one last. Safe for threads."""

    def __init__(
        self,
        first: Edition,
        published: Callable[[], int | None] = lambda: None,
        opened: Callable[[], Edition] | None = None,
    ) -> None:
        """Begin with a version.

        Args:
            first: The version.
            published: Returns the number of the version that is published now, at once. None: it cannot be told.
            opened: Opens it. Raises EditionUnusable. None: the first one stays.
        """
        self._kept = [first]
        self._published, self._opened = published, opened
        self._lock = threading.Lock()
        self._refused: dict[int, str] = {}

    @property
    def current(self) -> Edition:
        """The version that is asked about."""
        return self._kept[-1]

    def of(self, version: object) -> Edition | None:
        """Return a version whose items may still be on a page, or None.

        Args:
            version: Its number.
        """
        return next((each for each in self._kept if each.version == version), None)

    def newer(self) -> tuple[int, str] | None:
        """Return the number of a published version that is not taken up yet, and why it cannot be. None: none is."""
        number = self._published()
        if number is None or number <= self.current.version:
            return None
        return number, self._refused.get(number, "")

    def renew(self) -> Edition | None:
        """Take the published version up if it is newer, and return it. None: nothing changed.

        One that cannot be asked about is named by `newer`, and not tried again. Whoever asks while it is being opened
        goes on with the one before.
        """
        found = self.newer()
        if self._opened is None or found is None or found[1] or not self._lock.acquire(blocking=False):
            return None
        try:
            made = self._opened()
            if made.version <= self.current.version:
                made.con.close()
                return None
            self._kept.append(made)
            for gone in self._kept[:-_KEPT]:
                gone.con.close()
            del self._kept[:-_KEPT]
            return made
        except EditionUnusable as error:
            _LOG.warning("version %d is not taken up: %s", found[0], error)
            self._refused[found[0]] = str(error)
            return None
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close what is open."""
        for each in self._kept:
            each.con.close()
