"""How long and how long-winded a request may be before it is one: nobody holds a connection by saying next to nothing.

What belongs here: the time and the bytes of a request's head. What does not: bodies and places
(`guard/service/admission.py`), answers (`guard/service/app.py`).

Uvicorn waits for a head as long as it takes, and keeps all of it.
"""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_BYTES = 65_536


class Connection(HttpToolsProtocol):
    """A connection that is closed where the head of a request does not arrive in time, or has too many bytes.

    A body that goes on after its answer counts as the head of the next request in time, but not in bytes.
    """

    head_s: ClassVar[float]
    _late: asyncio.TimerHandle | None = None
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._late = self.loop.call_later(self.head_s, transport.close)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        discarded = self.cycle is not None and self.cycle.more_body
        if self._waiting and not discarded and self._head > _HEAD_BYTES:
            self.transport.close()
            return
        self._head += len(data)
        super().data_received(data)
        if not self._waiting:
            self._cancel()
        elif self._late is None:
            self._late = self.loop.call_later(self.head_s, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._cancel()
        super().connection_lost(exc)

    @property
    def _waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _cancel(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late, self._head = None, 0


def connections(head_s: float) -> type[Connection]:
    """Return the protocol of connections whose heads have so many seconds to arrive."""
    return type("TimedConnection", (Connection,), {"head_s": head_s})
