"""Limits on the head of a request, so that a slow or endless head does not hold a connection.

What belongs here: the time and the bytes of a request's head. What does not: bodies and slots
(`guard/service/admission.py`), answers (`guard/service/app.py`).

Uvicorn itself waits for a head without limit, and keeps all of it in memory.
"""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_BYTES = 65_536


class Connection(HttpToolsProtocol):
    """Closes the connection if the head of a request is late or too long.

    The rest of a body after its answer counts as the head of the next request in time, but not in bytes.
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
    """Return the protocol for connections whose heads must arrive within `head_s` seconds."""
    return type("TimedConnection", (Connection,), {"head_s": head_s})
