"""Admission of requests: a bounded queue before some threads, and a deadline for each request.

What belongs here: slots, bytes and time of checks in progress. What does not: HTTP (`guard/service/app.py`), checking
(`transforms/guard/`).
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from transforms import pictures

_COSTLY_WAIT = 2  # costly checks that may wait for each that runs


class QueueFull(RuntimeError):
    """The queue has no room for another check. `retry_s`: whole seconds after which it may have room."""

    def __init__(self, retry_s: int, what: str = "checks") -> None:
        super().__init__(f"too many {what} are in progress; try again in {retry_s} s")
        self.retry_s = retry_s


class TooLarge(RuntimeError):
    """A body has more bytes than the service accepts."""


class TooSlow(RuntimeError):
    """A body did not arrive in time."""


class TooLate(RuntimeError):
    """A check waited past its deadline."""


@dataclass(frozen=True)
class Capacity:
    """The capacity of a service.

    Attributes:
        workers: Checks at once.
        queue: Further checks that may wait.
        timeout_s: Seconds from the arrival of a request to its answer.
        body_s: Seconds from the arrival of a request to the end of its body.
        body_bytes: Most bytes of an image.
        held_bytes: Most bytes of all images in memory.
    """

    workers: int
    queue: int
    timeout_s: float
    body_s: float
    body_bytes: int
    held_bytes: int


@dataclass
class Slot:
    """Holds one request's place, from its arrival to its answer."""

    capacity: Capacity
    arrived: float = field(default_factory=time.monotonic)
    held: int = 0

    @property
    def until(self) -> float:
        """The time at which the answer is due, on the clock of `time.monotonic`."""
        return self.arrived + self.capacity.timeout_s


class Admission:
    """Admits checks, runs them in threads, and refuses more than fit. Used from one event loop."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        pictures.start(capacity.workers)
        self._pool = ThreadPoolExecutor(capacity.workers, thread_name_prefix="check")
        self._held = self.inside = self._costly = 0
        self._costly_at_once = max(1, capacity.workers // 2)
        self._lane = asyncio.Semaphore(self._costly_at_once)
        self._seconds, self._costly_seconds = 0.05, 1.0  # of a check, on average

    def _full(self) -> QueueFull:
        return QueueFull(max(1, math.ceil(self.inside * self._seconds / self.capacity.workers)))

    @property
    def _costly_retry_s(self) -> int:
        return max(1, math.ceil(self._costly * self._costly_seconds / self._costly_at_once))

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """Hold a slot. Raises QueueFull before the body is read, so a refusal costs next to nothing."""
        if self.inside >= self.capacity.workers + self.capacity.queue:
            raise self._full()
        slot = Slot(self.capacity)
        self.inside += 1
        try:
            yield slot
        finally:
            self.inside -= 1
            self._held -= slot.held

    async def read(self, slot: Slot, chunks: AsyncIterator[bytes]) -> bytes:
        """Return a body. It counts as held until the slot is released.

        Args:
            slot: That of the request.
            chunks: The body as it arrives.

        Raises:
            TooLarge: If the body has too many bytes.
            TooSlow: If it did not arrive in time.
            QueueFull: If all bodies together take too much memory.
        """
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self.capacity.body_s):
                async for chunk in chunks:
                    slot.held += len(chunk)
                    self._held += len(chunk)
                    if slot.held > self.capacity.body_bytes:
                        raise TooLarge(f"an image may have {self.capacity.body_bytes:,} bytes")
                    if self._held > self.capacity.held_bytes:
                        raise self._full()
                    parts.append(chunk)
        except TimeoutError:
            raise TooSlow(f"the body did not arrive within {self.capacity.body_s:g} s") from None
        return b"".join(parts)

    async def run[T](self, slot: Slot, work: Callable[[float], T], *, costly: bool = False) -> T:
        """Run a check in a thread. Dear ones take half of the threads at most, and few of them wait.

        A thread cannot be stopped: but for decoding, a slow check runs to the end of its step and keeps its slot until
        then.

        Args:
            slot: That of the request.
            work: The check; takes the seconds that are left.
            costly: Whether it may take many times as long as others.

        Raises:
            QueueFull: If it is costly, and as many as may wait do.
            TooLate: If no time is left when a thread is free.
        """

        def timed() -> T:
            start = time.monotonic()
            if start >= slot.until:
                raise TooLate(f"the check did not begin within {self.capacity.timeout_s:g} s")
            try:
                return work(slot.until - start)
            finally:
                taken = time.monotonic() - start
                if costly:
                    self._costly_seconds += 0.1 * (taken - self._costly_seconds)
                else:
                    self._seconds += 0.1 * (taken - self._seconds)

        if not costly:
            return await asyncio.get_running_loop().run_in_executor(self._pool, timed)
        if self._costly >= self._costly_at_once * (1 + _COSTLY_WAIT):
            raise QueueFull(self._costly_retry_s, "large pictures")
        self._costly += 1
        try:
            async with self._lane:
                return await asyncio.get_running_loop().run_in_executor(self._pool, timed)
        finally:
            self._costly -= 1

    def close(self) -> None:
        """Wait for the threads to end."""
        self._pool.shutdown()
