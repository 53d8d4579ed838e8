"""Threads that share the work of a join, or of a scan.

What belongs here: cutting work among threads, and handing on what they find in order. What does not: the work
(`joins/hamming/join.py`, `joins/hamming/scan.py`), its loops (`joins/hamming/kernels.py`), which hold no lock and so
run side by side.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Workers:
    """Threads, `count` of them. What a piece of work raises is raised here."""

    pool: ThreadPoolExecutor
    count: int

    def share(self, work: Callable[[int, int], object], total: int) -> None:
        """Do `work(start, stop)` for ranges that cover 0 to total."""
        ends = np.linspace(0, total, self.count + 1).astype(int).tolist()
        for done in [self.pool.submit(work, *ends[k : k + 2]) for k in range(self.count)]:
            done.result()

    def in_order[Result](
        self, work: Sequence[Callable[[], tuple[Result, Callable | None]]], ahead: int
    ) -> Iterator[Result]:
        """Yield what each piece of work returns, in order, and what it goes on with; at most `ahead` are under way."""
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
