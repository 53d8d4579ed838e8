"""Quarantine: training pictures that block so much that somebody should look, and that may be observed meanwhile.

What belongs here: counting blocks by cluster, flagging, and keeping what is flagged. What does not: deciding
(`transforms/guard/`).

A picture that suddenly blocks hundreds of images an hour is more often a template, a placeholder or a mistake of the
bundle than hundreds of copies. Only resemblance is quarantined: equal files and pixels are blocked in any case.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from transforms.guard import Verdict
from transforms.storage import staging

FILE = "quarantine.json"
_HOUR = 3_600.0


class QuarantineUnusable(ValueError):
    """The file of flagged clusters cannot be used; the message names it and the fix."""


def _kept(file: Path | None) -> frozenset[int]:
    """Read what was flagged. Raises QuarantineUnusable."""
    if file is None:
        return frozenset()
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(said, list):
            raise ValueError("it is not a list")
        return frozenset(int(each) for each in said)
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise QuarantineUnusable(
            f"{file} cannot be read: {error}; write a list of ids of clusters into it, or remove it: then no cluster "
            "is flagged"
        ) from None


class Quarantine:
    """The clusters that blocked more than a number of images within an hour. Any number of threads may use it.

    Args:
        most: Blocks within an hour, above which a cluster is flagged; None: none ever is.
        observe: Whether what is flagged no longer blocks.
        file: Where it is kept; None: in memory alone.
        clock: Seconds.

    Raises:
        QuarantineUnusable: If the file cannot be used.
    """

    def __init__(
        self, most: int | None, observe: bool, file: Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._observe, self._file, self._clock = most, observe, file, clock
        self._counts: Counter[int] = Counter()
        self._since, self._lock = clock(), threading.Lock()
        self.flagged = _kept(file)

    @property
    def observed(self) -> frozenset[int]:
        """Ids of the clusters that block nothing but exact copies."""
        return self.flagged if self._observe else frozenset()

    def count(self, verdict: Verdict) -> int | None:
        """Count a block, and return the id of the cluster that is flagged by it, or None. Raises OSError.

        Args:
            verdict: Any.
        """
        if self._most is None or verdict.verdict == "exact" or not verdict.sources:
            return None
        if "block" not in (verdict.decision, verdict.would):
            return None
        cluster = verdict.sources[0].cluster_id
        with self._lock:
            if self._clock() - self._since >= _HOUR:
                self._counts.clear()
                self._since = self._clock()
            self._counts[cluster] += 1
            if self._counts[cluster] <= self._most or cluster in self.flagged:
                return None
            self._keep(self.flagged | {cluster})
            return cluster

    def release(self, cluster: int) -> bool:
        """Let a cluster block again, and return whether it was flagged. Raises OSError.

        Args:
            cluster: Its id.
        """
        with self._lock:
            if cluster not in self.flagged:
                return False
            del self._counts[cluster]
            self._keep(self.flagged - {cluster})
            return True

    def _keep(self, flagged: frozenset[int]) -> None:
        if self._file is not None:
            with staging.whole(self._file) as partial:
                partial.write_text(json.dumps(sorted(map(str, flagged))))
        self.flagged = flagged
