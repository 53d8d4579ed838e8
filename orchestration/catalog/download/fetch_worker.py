"""What runs inside img2dataset's own processes. Only `catalog/download/download.py` starts it.

What belongs here: how one URL of a hostile list is requested, and what is told of its answer. What does not: its socket
(`catalog/download/connections.py`), which lists there are and where their pictures go (`catalog/download/download.py`),
and the downloading itself (img2dataset).

img2dataset sends requests through urllib, whose default opener also reads `file://` and `ftp://`, connects to any
address, and takes an answer of any size, of any kind, however slowly it comes. Its pool starts every process afresh
from this module, so all of them use the opener installed at the end. A refusal becomes the row's `error_message`, in
our own words: the number of a status is all that an answer can put there, and what it begins with is told, not quoted.
Bodies are never decompressed.
"""

import base64
import http.client
import importlib
import json
import os
import signal
import socket
import ssl
import string
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from orchestration.catalog.download.connections import (
    AnswerTime,
    NotDownloaded,
    connection,
    public_addresses,
    resolved,
)
from transforms.dumps import first_bytes

_BROKEN_OFF = "broke off: not all of its bytes came"
_UNREADABLE = "a URL that cannot be read"
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (socket.gaierror, "its host has no address"),
    (ssl.SSLCertVerificationError, "its certificate is not valid"),
    (ssl.SSLError, "no TLS connection could be made"),
    (http.client.RemoteDisconnected, "closed without an answer"),
    (http.client.IncompleteRead, _BROKEN_OFF),
    (http.client.InvalidURL, _UNREADABLE),
    (http.client.HTTPException, "no answer of HTTP"),
    (ValueError, _UNREADABLE),
)
_MOVED = frozenset({301, 302, 303, 307, 308})
_URL_LENGTH = 1 << 14


@dataclass(frozen=True)
class AnswerLimits:
    """What is taken from a server.

    Attributes:
        member_bytes: Size above which a body is refused.
        answer_s: Seconds after which an answer must be whole, its redirects included.
        redirects: Redirects that are followed.
        allow_networks: Networks that are asked although they are not public.
        proxy: Whether requests go through the proxies of the environment.
    """

    member_bytes: int
    answer_s: float
    redirects: int
    allow_networks: tuple[str, ...]
    proxy: bool


class _Answer:
    """An answer as img2dataset reads it: its headers, then a whole picture or NotDownloaded."""

    def __init__(self, raw: http.client.HTTPResponse, limit: int, time: AnswerTime) -> None:
        self.headers = raw.headers
        self._raw, self._limit, self._time = raw, limit, time

    def __enter__(self) -> "_Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def read(self) -> bytes:
        body = bytearray()
        try:
            while part := self._raw.read1(1 << 16):
                body += part
                if len(body) > self._limit:
                    raise NotDownloaded(f"too large: more than limits.member_bytes = {self._limit}")
        except Exception as error:  # whatever it is, img2dataset would quote it
            raise _told(error, self._time) from None
        if self._raw.length:
            raise NotDownloaded(_BROKEN_OFF)
        if not body:
            raise NotDownloaded("empty: zero bytes")
        head = bytes(body[: first_bytes.HEAD])
        if first_bytes.is_archive(head) or first_bytes.is_compressed(head):
            raise NotDownloaded("an archive or a compressed file, not a picture")
        if not first_bytes.is_picture(head):
            raise NotDownloaded(first_bytes.no_picture(head))
        return bytes(body)


class Opener(urllib.request.OpenerDirector):
    """urllib's opener for http and https alone, which takes answers within limits, from public addresses."""

    def __init__(self, limits: AnswerLimits) -> None:
        super().__init__()
        self._limits = limits
        self._context = ssl.create_default_context()
        self._proxies = urllib.request.getproxies() if limits.proxy else {}

    def open(self, fullurl: Any, data: Any = None, timeout: Any = None) -> Any:  # noqa: ANN401 -- urllib's signature
        """Send a request and return its response, after redirects.

        Args:
            fullurl: The Request.
            data: Not used.
            timeout: Seconds without data after which the request fails.

        Raises:
            NotDownloaded: If the picture cannot be downloaded.
        """
        time = AnswerTime(self._limits.answer_s, timeout)
        url, headers = fullurl.full_url, dict(fullurl.header_items()) | {"Connection": "close"}
        try:
            for _ in range(self._limits.redirects + 1):
                answer = self._asked(url, headers, time)
                location = answer.headers["Location"] if answer.status in _MOVED else None
                if location is None:
                    return self._taken(answer, time)
                answer.close()  # its body is not read, whatever its size
                url = urllib.parse.urljoin(url, location)
        except Exception as error:  # whatever it is, img2dataset would quote it
            raise _told(error, time) from None
        raise NotDownloaded(f"redirects without end: more than download.redirects = {self._limits.redirects}")

    def _taken(self, answer: http.client.HTTPResponse, time: AnswerTime) -> _Answer:
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return _Answer(answer, self._limits.member_bytes, time)
        answer.close()
        known = {each.value: each.phrase for each in HTTPStatus}
        raise NotDownloaded(f"HTTP Error {answer.status}: {known.get(answer.status, 'no status of HTTP')}")

    def _asked(self, url: str, headers: Mapping[str, str], time: AnswerTime) -> http.client.HTTPResponse:
        if len(url) > _URL_LENGTH:
            raise NotDownloaded(f"a URL of more than {_URL_LENGTH} characters")
        parts = urllib.parse.urlsplit(urllib.parse.quote(url, safe=string.punctuation))  # as browsers do
        if parts.scheme not in {"http", "https"}:
            raise NotDownloaded("only http and https are fetched")
        if not parts.hostname:
            raise NotDownloaded(_UNREADABLE)
        made, target, further = self._way(parts, time)
        try:
            made.connect()
            made.sock.settimeout(time.left())
            made.request("GET", target, headers={**headers, **further})
            answer = made.getresponse()
        except BaseException:
            made.close()
            raise
        if made.sock:
            made.sock.close()  # it stays open for the answer
        return answer

    def _way(
        self, url: urllib.parse.SplitResult, time: AnswerTime
    ) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        # a connection, and what to request there with which further headers
        host = urllib.parse.unquote(url.hostname or "").encode("idna").decode()
        port = url.port or (443 if url.scheme == "https" else 80)
        context = self._context if url.scheme == "https" else None
        path = urllib.parse.urlunsplit(("", "", url.path or "/", url.query, ""))
        public = partial(public_addresses, allowed=self._limits.allow_networks)
        proxy = None if urllib.request.proxy_bypass(host) else self._proxies.get(url.scheme)
        if proxy is None:
            return connection(host, port, context, time, public), path, {}
        with suppress(socket.gaierror):  # a name, which the proxy resolves
            public(host, port, time, flags=socket.AI_NUMERICHOST)
        through = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        permit = {}
        if through.username:
            pair = f"{urllib.parse.unquote(through.username)}:{urllib.parse.unquote(through.password or '')}"
            permit = {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        made = connection(through.hostname or "", through.port or 80, context, time, resolved)
        if context is None:
            return made, f"http://{url.netloc.rpartition('@')[2]}{path}", permit
        made.set_tunnel(host, port, permit)
        return made, path, {}


def _told(error: Exception, time: AnswerTime) -> NotDownloaded:
    # libraries quote what they could not read: of an error only its kind and its number are told
    if isinstance(error, NotDownloaded):
        return error
    if isinstance(error, TimeoutError):
        return time.refusal()
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return NotDownloaded(words)
    if isinstance(error, OSError) and error.errno:
        return NotDownloaded(f"[Errno {error.errno}] {os.strerror(error.errno)}")
    return NotDownloaded(f"failed: {type(error).__name__}")


def _end_with_parent() -> None:
    # standard input is a pipe that only `raisonne download` holds: its end is that process's end, even by SIGKILL
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def main(options: dict[str, Any]) -> None:
    """Run img2dataset with these options in this process, which must lead a process group of its own."""
    if os.getpgrp() != os.getpid():
        sys.exit("orchestration.catalog.download.fetch_worker is started by `raisonne download`")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    importlib.import_module("img2dataset").download(**options)


if __name__ in {"__main__", "__mp_main__"}:  # the latter in img2dataset's workers, which get the same arguments
    # It does without these, and each of its processes would spend three quarters of its start on importing them.
    for _absent in ("ray", "torch"):
        sys.modules[_absent] = None  # type: ignore[assignment]
    _job = json.loads(sys.argv[1])
    urllib.request.install_opener(Opener(AnswerLimits(**_job["limits"])))
    if __name__ == "__main__":
        main(_job["options"])
