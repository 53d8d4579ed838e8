"""Requests for the guard's service at a rate of their own, from a process of their own.

What belongs here: sending, and what came back, as a line of JSON on standard output. What does not: what it means
(`guard_service.py`). Requests are bytes made before, and of an answer only its status and its length are read: some
100 µs a request, so that several times the capacity can be offered from the cores that answer.

    python -m tests.benchmarks.guard_load PORT SECONDS RATE CONNECTIONS < bodies

Bodies are each preceded by their length, 8 bytes; the first is sent 99 times of 100, the others take turns.
A rate of 0 keeps every connection busy; otherwise requests are sent when they are due, whether or not others are
answered, and those for which no connection is free count as `unsent`.
"""

import asyncio
import json
import re
import sys
import time
from collections import Counter, deque

_TICK, _HOSTILE = 0.002, 100
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Load:
    """What was sent and answered. taken: milliseconds of the answers 200. statuses: 0 where the connection broke."""

    def __init__(self, bodies: list[bytes]) -> None:
        self._requests = [self._request(body) for body in bodies]
        self._sent = 0
        self.statuses: Counter[int] = Counter()
        self.taken: list[float] = []
        self.free: deque[Connection] = deque()
        self.open = 0

    @staticmethod
    def _request(body: bytes) -> bytes:
        head = "POST /v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def next(self) -> bytes:
        """Return the request to send now."""
        self._sent += 1
        others = len(self._requests) - 1
        return self._requests[1 + self._sent // _HOSTILE % others if others and self._sent % _HOSTILE == 0 else 0]


class Connection(asyncio.Protocol):
    """A connection that carries one request after the other."""

    def __init__(self, load: Load) -> None:
        self._load, self._answer, self._sent = load, b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._load.free.append(self)

    def send(self) -> None:
        """Send the request."""
        self._sent = time.perf_counter()
        self._transport.write(self._load.next())

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._answer += data
        head, ended, body = self._answer.partition(b"\r\n\r\n")
        if not ended or not (length := _LENGTH.search(head)) or len(body) < int(length[1]):
            return
        status = int(head[9:12])
        self._load.statuses[status] += 1
        if status == 200:
            self._load.taken.append(1000 * (time.perf_counter() - self._sent))
        self._answer, self._sent = b"", 0.0
        self._load.free.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._load.open -= 1
        if self._sent:
            self._load.statuses[0] += 1
        elif self in self._load.free:
            self._load.free.remove(self)


async def offer(load: Load, port: int, seconds: float, rate: float, connections: int) -> tuple[int, int]:
    """Send for some seconds, then wait for what is under way; return how many were sent, and due without connection."""
    loop, sent, unsent = asyncio.get_running_loop(), 0, 0
    start = time.perf_counter()
    while (now := time.perf_counter() - start) < seconds:
        while load.open < connections:
            load.open += 1
            await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
        due = int(rate * now) - sent - unsent if rate else len(load.free)
        for _ in range(due):
            if load.free:
                load.free.popleft().send()
                sent += 1
            else:
                unsent += 1
        await asyncio.sleep(_TICK)
    until = time.perf_counter() + 30
    while load.statuses.total() < sent and time.perf_counter() < until:
        await asyncio.sleep(_TICK)
    return sent, unsent


def main() -> None:
    """Offer what the arguments say, and print what came of it."""
    port, seconds, rate, connections = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    given, bodies = sys.stdin.buffer.read(), list[bytes]()
    while given:
        size = int.from_bytes(given[:8])
        bodies.append(given[8 : 8 + size])
        given = given[8 + size :]
    load = Load(bodies)
    sent, unsent = asyncio.run(offer(load, port, seconds, rate, connections))
    print(json.dumps({"statuses": load.statuses, "taken": load.taken, "sent": sent, "unsent": unsent}))


if __name__ == "__main__":
    main()
