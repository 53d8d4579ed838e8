"""Limits on the head of a request, so that a slow or endless head does not hold a connection.

What belongs here: the time and the bytes of a request's head, for the UI and for the guard's service. What does not:
who may ask (`runtime/web_access.py`), bodies and slots (`guard/service/admission.py`).

Uvicorn itself waits for a head without limit, and its faster protocol keeps all of it in memory.
"""

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

_HEAD_BYTES = 65_536
if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Protocol  # one of the two it is mixed with
else:
    Protocol = object


class TimedHeads(Protocol):
    """Closes the connection if the head of a request is late or too long.

    The rest of a body after its answer counts as the head of the next request in time, but not in bytes. A connection
    that became a WebSocket stays.
    """

    head_s: ClassVar[float]
    _upgraded = False
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
        if self._upgraded or not self._waiting:
            self._cancel()
        elif self._late is None:
            self._late = self.loop.call_later(self.head_s, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, *given: Any) -> None:  # noqa: ANN401 -- what either protocol is given
        """See uvicorn's protocols."""
        self._upgraded = True
        super().handle_websocket_upgrade(*given)

    @property
    def _waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _cancel(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late, self._head = None, 0


class BrowserConnection(TimedHeads, H11Protocol):  # type: ignore[misc]  # see `Protocol`
    """A connection of what people open in a browser. It bounds a head by itself, and takes WebSockets."""


def timed[T: TimedHeads](kind: type[T], head_s: float) -> type[T]:
    """Return a kind of connection whose heads must arrive within some seconds.

    Args:
        kind: The kind.
        head_s: The seconds.
    """
    return type(kind.__name__, (kind,), {"head_s": head_s})
