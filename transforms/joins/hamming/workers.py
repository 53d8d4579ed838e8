"""Threads that share the work of a join, or of a scan.

What belongs here: cutting work among threads, and yielding results in order. What does not: the work
(`joins/hamming/join.py`, `joins/hamming/scan.py`) and its loops (`joins/hamming/kernels.py`), which release the GIL.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Workers:
    """`count` threads of a pool. What a piece of work raises is raised here."""

    pool: ThreadPoolExecutor
    count: int

    def share(self, work: Callable[[int, int], object], total: int) -> None:
        """Do a piece of work in ranges that cover 0 to `total`, one a thread.

        Args:
            work: Takes the start and the stop of a range.
            total: The end of the last range.
        """
        ends = np.linspace(0, total, self.count + 1).astype(int).tolist()
        for done in [self.pool.submit(work, *ends[k : k + 2]) for k in range(self.count)]:
            done.result()

    def in_order[Result](
        self, work: Sequence[Callable[[], tuple[Result, Callable | None]]], ahead: int
    ) -> Iterator[Result]:
        """Yield the results of pieces of work in order.

        Args:
            work: Pieces; each returns a result and the piece that goes on with it, or None.
            ahead: Most pieces under way.
        """
        waiting, running = iter(work), deque[Future]()
        try:
            while True:
                while len(running) < ahead and (piece := next(waiting, None)) is not None:
                    running.append(self.pool.submit(piece))
                if not running:
                    return
                result, rest = running.popleft().result()
                if rest is not None:
                    running.appendleft(self.pool.submit(rest))
                yield result
        finally:
            for future in running:
                future.cancel()
