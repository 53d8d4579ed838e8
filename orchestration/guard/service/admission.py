"""Who is let in: a bounded queue before some threads, and a deadline for everyone in it.

What belongs here: places, bytes and time of checks under way. What does not: HTTP (`guard/service/app.py`), checking
(`transforms/guard/`).
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field


class Full(RuntimeError):
    """There is no room for another check. retry_s: whole seconds after which there may be."""

    def __init__(self, retry_s: int) -> None:
        super().__init__(f"too many checks are under way; try again in {retry_s} s")
        self.retry_s = retry_s


class TooLarge(RuntimeError):
    """A body has more bytes than one may have."""


class TooSlow(RuntimeError):
    """A body did not arrive in time."""


class TooLate(RuntimeError):
    """A check waited until its time was over."""


@dataclass(frozen=True)
class Pace:
    """What a service takes on.

    workers: checks at once. queue: checks that may wait besides. timeout_s: from the arrival of a request to its
    answer; body_s: to the end of its body. body_bytes: of an image. held_bytes: of all images under way.
    """

    workers: int
    queue: int
    timeout_s: float
    body_s: float
    body_bytes: int
    held_bytes: int


@dataclass
class Place:
    """One request's place, from its arrival to its answer."""

    pace: Pace
    arrived: float = field(default_factory=time.monotonic)
    held: int = 0

    @property
    def until(self) -> float:
        """When its answer is due, in the time of `time.monotonic`."""
        return self.arrived + self.pace.timeout_s


class Admission:
    """Lets checks in, runs them in threads, and knows when it is full. Used from one event loop."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._pool = ThreadPoolExecutor(pace.workers, thread_name_prefix="check")
        self._held = self.inside = 0
        self._seconds = 0.05  # of a check, on average

    def _full(self) -> Full:
        return Full(max(1, math.ceil(self.inside * self._seconds / self.pace.workers)))

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Hold a place. Raises Full: whoever is turned away costs next to nothing, as the body is not read."""
        if self.inside >= self.pace.workers + self.pace.queue:
            raise self._full()
        place = Place(self.pace)
        self.inside += 1
        try:
            yield place
        finally:
            self.inside -= 1
            self._held -= place.held

    async def read(self, place: Place, chunks: AsyncIterator[bytes]) -> bytes:
        """Return a body, which counts as held until the place is left. Raises TooLarge, TooSlow or Full."""
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self.pace.body_s):
                async for chunk in chunks:
                    place.held += len(chunk)
                    self._held += len(chunk)
                    if place.held > self.pace.body_bytes:
                        raise TooLarge(f"an image may have {self.pace.body_bytes:,} bytes")
                    if self._held > self.pace.held_bytes:
                        raise self._full()
                    parts.append(chunk)
        except TimeoutError:
            raise TooSlow(f"the body did not arrive within {self.pace.body_s:g} s") from None
        return b"".join(parts)

    async def run[T](self, place: Place, work: Callable[[float], T]) -> T:
        """Run a check in a thread. work: is told the seconds that it has. Raises TooLate where none are left.

        A thread cannot be ended: what takes too long goes on to the end of its step, and keeps its place until then.
        """

        def timed() -> T:
            start = time.monotonic()
            if start >= place.until:
                raise TooLate(f"the check did not begin within {self.pace.timeout_s:g} s")
            try:
                return work(place.until - start)
            finally:
                self._seconds += 0.1 * (time.monotonic() - start - self._seconds)

        return await asyncio.get_running_loop().run_in_executor(self._pool, timed)

    def close(self) -> None:
        """Wait for the threads."""
        self._pool.shutdown()
