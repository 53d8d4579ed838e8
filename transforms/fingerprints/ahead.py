"""Working ahead of a reader, in threads.

What belongs here: the number of items in progress and of those handed out together, and their order. What does not: the
work (`fingerprints/fingerprint.py`).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil

from transforms.storage.file_limits import ByteLimits


@dataclass(frozen=True)
class WorkPace:
    """The amount of work at once.

    Attributes:
        batch: Pictures per batch.
        workers: Threads, of which each holds a process that decodes.
        limits: Of what is read of a dump's tables, sidecars and pages.
    """

    batch: int
    workers: int
    limits: ByteLimits = ByteLimits()  # noqa: RUF009 -- frozen

    def by(self, files: int) -> "WorkPace":
        """Return the pace of items of several files each: as many files at once, and enough for every thread."""
        return self if files == 1 else replace(self, batch=max(ceil(self.batch / files), self.workers))


def work_ahead[T, R](work: Callable[[T], R], items: Iterable[T], pace: WorkPace) -> Iterator[R]:
    """Apply a function to items in threads, at most two batches ahead of the reader, and yield results in order.

    Decoding runs in other processes, and hashing and scaling in them too or without the interpreter lock
    (`fingerprints/feed.py`): all beside the encoder.

    Args:
        work: The function.
        items: The arguments of its calls.
        pace: The number of threads, and the size of a batch.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(pace.workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 2 * pace.batch:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def handfuls[T](items: Iterable[T], most: Callable[[T], int], workers: int, expected: int) -> Iterator[tuple[T, ...]]:
    """Yield items, some at a time, and ever fewer of the last, so that all workers end together.

    Args:
        items: The items. Each is read when its turn has come.
        most: Returns how many may be handed out together with an item and after it, from 1 on.
        workers: How many are at work at once.
        expected: The number of items. One by one are handed out what is more, or if that is not known: 0.
    """
    waiting, left = iter(items), expected
    for item in waiting:
        count = max(1, min(most(item), left // (2 * workers)))
        some = (item, *islice(waiting, count - 1))
        left -= len(some)
        yield some
