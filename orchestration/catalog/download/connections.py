"""Connections to checked addresses, whose answer is whole by a deadline.

What belongs here: names, sockets, and the time and size of what they bring. What does not: which addresses are refused
(`catalog/download/addresses.py`), redirects and pictures (`catalog/download/fetch_worker.py`).

A timeout of a socket bounds one silence, and a server that sends a byte now and then is never silent. So every wait,
for the name, the connection, TLS, each byte of the head and of the body, is cut to what is left of the answer's time. A
name is resolved once, and the connection made to the addresses that were checked: what it resolves to a second time
does not matter.
"""

import http.client
import io
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import Any

from orchestration.catalog.download.addresses import is_refused

HEAD_BYTES = 1 << 16
"""Bytes of the largest head of an answer that is read."""


class NotDownloaded(OSError):
    """A picture was not downloaded; the message says why in our own words, and holds nothing that a server sent."""


class AnswerTime:
    """The time that an answer has, all its redirects together."""

    def __init__(self, whole_s: float, silence_s: float) -> None:
        """Begin to count.

        Args:
            whole_s: Seconds until the answer must be whole.
            silence_s: Seconds that it may be silent.
        """
        self._end, self._whole_s, self._silence_s = monotonic() + whole_s, whole_s, silence_s
        self._ending = False

    def left(self) -> float:
        """Return the seconds that the next wait may take. Raises TimeoutError if none are left."""
        left = self._end - monotonic()
        self._ending = left <= self._silence_s
        if left <= 0:
            raise TimeoutError
        return min(left, self._silence_s)

    def refusal(self) -> NotDownloaded:
        """Return why an answer whose last wait took too long is not taken."""
        if self._ending:
            return NotDownloaded(f"too slow: not whole after download.answer_s = {self._whole_s:g}")
        return NotDownloaded(f"timed out: silent for {self._silence_s:g} seconds")


class BoundedResponse(http.client.HTTPResponse):
    """An answer that is read within its time, and whose head has a limit."""

    def __init__(self, sock: socket.socket, *arguments: Any, time: AnswerTime, **options: Any) -> None:  # noqa: ANN401
        """Read from a socket.

        Args:
            sock: Connected.
            arguments: As http.client gives them.
            time: What is left of it bounds every wait.
            options: As http.client gives them.
        """
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self._bytes = _TimedBytes(sock, time)
        self.fp = io.BufferedReader(self._bytes)

    def begin(self) -> None:
        """Read the head. Raises NotDownloaded if it is too large."""
        super().begin()
        self._bytes.head_left = None


class _TimedBytes(io.RawIOBase):
    def __init__(self, sock: socket.socket, time: AnswerTime) -> None:
        self._sock, self._time = sock, time
        self._file = sock.makefile("rb", buffering=0)
        self.head_left: int | None = HEAD_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 -- the signature of io
        self._sock.settimeout(self._time.left())
        count = self._file.readinto(buffer) or 0
        if self.head_left is not None:
            self.head_left -= count
            if self.head_left < 0:
                raise NotDownloaded(f"the head of the answer has more than {HEAD_BYTES} bytes")
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def connection(
    host: str, port: int, context: ssl.SSLContext | None, time: AnswerTime, find: Callable[..., list[Any]]
) -> http.client.HTTPConnection:
    """Return a connection, not yet made.

    Args:
        host: The name or address to connect to.
        port: The port.
        context: Of TLS; None for a plain connection.
        time: What is left of it bounds every wait.
        find: Returns the addresses of a host and port: `public_addresses` or `resolved`.
    """
    plain, secure = http.client.HTTPConnection, http.client.HTTPSConnection
    made = secure(host, port, context=context) if context else plain(host, port)
    made.response_class = partial(BoundedResponse, time=time)  # type: ignore[assignment]  # it is only ever called
    made._create_connection = lambda place, *_: _connected(find(*place, time), time)  # type: ignore[attr-defined]
    return made


def public_addresses(host: str, port: int, time: AnswerTime, allowed: Sequence[str], flags: int = 0) -> list[Any]:
    """Return the addresses of a host as `socket.getaddrinfo` does.

    Args:
        host: A name, or an address in any spelling.
        port: The port.
        time: What is left of it bounds the wait.
        allowed: Networks that may be reached although they are not public.
        flags: As getaddrinfo takes them.

    Raises:
        NotDownloaded: If one of them must not be asked.
    """
    found = resolved(host, port, time, flags)
    if any(is_refused(place[0], allowed) for *_, place in found):
        raise NotDownloaded("refused: an address inside the network; download.allow_networks can allow it")
    return found


def resolved(host: str, port: int, time: AnswerTime, flags: int = 0) -> list[Any]:
    """Return what `socket.getaddrinfo` does, which itself knows no deadline.

    Args:
        host: A name, or an address in any spelling.
        port: The port.
        time: What is left of it bounds the wait.
        flags: As getaddrinfo takes them.
    """
    future: Future[list[Any]] = Future()

    def look_up() -> None:
        try:
            future.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
        except Exception as error:  # raised where the result is waited for
            future.set_exception(error)

    threading.Thread(target=look_up, daemon=True).start()  # whatever holds it does not hold the process
    return future.result(time.left())


def _connected(addresses: Sequence[Any], time: AnswerTime) -> socket.socket:
    last: OSError = OSError("no address")
    for family, kind, protocol, _, place in addresses:
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(time.left())
            made.connect(place)
            made.settimeout(time.left())  # for TLS, which takes it as a deadline of its whole handshake
        except OSError as error:
            made.close()
            last = error
        else:
            return made
    raise last
