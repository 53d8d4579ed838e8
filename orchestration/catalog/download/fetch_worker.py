"""What runs inside img2dataset's own processes. Only `catalog/download/download.py` starts it.

What belongs here: how one URL of a hostile list is requested. What does not: which lists there are and where their
pictures go (`catalog/download/download.py`), and the downloading itself (img2dataset).

img2dataset sends requests through urllib, whose default opener also reads `file://` and `ftp://`, and takes an answer
of any size, of any kind, however slowly it comes. Its pool starts every process afresh from this module, so all of them
use the opener installed at the end. A refusal becomes the row's `error_message`.
"""

import http.client
import importlib
import io
import json
import os
import signal
import string
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from typing import IO, Any, Protocol

from PIL import Image

from transforms.pictures import FORMATS

# The timeout bounds one silence. An answer that trickles may take this many of them in all.
_TIMEOUTS_IN_ALL = 10


class Unfetched(OSError):
    """A picture was not downloaded; the message says why in plain words."""


class _Raw(Protocol):
    headers: Message
    length: int | None

    def read1(self, n: int) -> bytes: ...
    def close(self) -> None: ...


class _Answer:
    """An answer as img2dataset reads it: its headers, then a whole picture or Unfetched."""

    def __init__(self, raw: _Raw, limit: int, deadline: float) -> None:
        self.headers = raw.headers
        self._raw, self._limit, self._deadline = raw, limit, deadline

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
                    raise Unfetched(f"too large: more than limits.member_bytes = {self._limit}")
                if time.monotonic() > self._deadline:
                    raise Unfetched(f"too slow: not whole after {_TIMEOUTS_IN_ALL} timeouts")
        except (OSError, http.client.HTTPException) as error:
            raise Unfetched(_plain(error)) from None
        if self._raw.length:
            raise Unfetched(f"broke off: {self._raw.length} of {len(body) + self._raw.length} bytes did not come")
        if not body:
            raise Unfetched("empty: zero bytes")
        try:
            with Image.open(io.BytesIO(body), formats=FORMATS):
                return bytes(body)
        except Image.UnidentifiedImageError:
            kind = self.headers.get_content_type()
            raise Unfetched(f"not a picture: the answer is {kind} and begins with {bytes(body[:16])!r}") from None


class Opener(urllib.request.OpenerDirector):
    """urllib's opener for http and https alone, which refuses answers of more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        proxies = {kind: url for kind, url in urllib.request.getproxies().items() if kind in {"http", "https"}}
        for handler in (
            urllib.request.ProxyHandler(proxies),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            _Redirects(),
            _Others(),
        ):
            self.add_handler(handler)

    def open(self, fullurl: Any, data: Any = None, timeout: Any = None) -> Any:  # noqa: ANN401 -- urllib's signature
        """Send a request and return its response, after redirects.

        Args:
            fullurl: The Request.
            data: As urllib takes it.
            timeout: Seconds without data after which the request fails.

        Raises:
            Unfetched: If the picture cannot be downloaded.
        """
        fullurl.full_url = urllib.parse.quote(fullurl.full_url, safe=string.punctuation)  # as browsers do
        began = time.monotonic()
        try:
            answer = super().open(fullurl, data, timeout)
        except (OSError, http.client.HTTPException) as error:
            raise Unfetched(_plain(error)) from None
        if isinstance(answer, _Answer):  # a redirect came through here already
            return answer
        return _Answer(answer, self._limit, began + _TIMEOUTS_IN_ALL * timeout)


class _Redirects(urllib.request.HTTPRedirectHandler):
    inf_msg = "redirects without end: "

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        fp.close()  # else its body is read to the end, whatever its size
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Others(urllib.request.UnknownHandler):
    def unknown_open(self, req: urllib.request.Request) -> Any:  # noqa: ANN401 -- urllib's signature
        raise Unfetched("only http and https are fetched")


def _plain(error: OSError | http.client.HTTPException) -> str:
    # the server wrote some of it: one printable line, of bounded length
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    elif isinstance(error, urllib.error.URLError):
        error = error.reason if isinstance(error.reason, OSError) else OSError(error.reason)
    text = str(error) or type(error).__name__
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


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
    _job = json.loads(sys.argv[1])
    Image.MAX_IMAGE_PIXELS = None  # only headers are read here; the fingerprints' limit decides
    urllib.request.install_opener(Opener(_job["member_bytes"]))
    if __name__ == "__main__":
        main(_job["options"])
