"""Who may use a web server of this project: host names, origins, methods, bodies, a token.

What belongs here: the ASGI layer before an application, for pages in a browser and for machines. What does not: the
application behind it (`runtime/dagster_ui.py`, `guard/service/app.py`), options of commands (`cli/`).

Any website can make a reader's browser send requests to a server on the reader's own machine, and can point a name of
its own at that machine. So a request must use a name of this server, must not come from a page of another one, and
where people use a browser it must bring what only the printed address gave them.
"""

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""The names of this machine for itself."""
_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", re.IGNORECASE)
_TOKEN_LENGTH = 16
_LOCKED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Raisonné</title>
<p>Open the address that the command printed when it started: it holds what opens this page.
If you just did, <a href="/">go on</a>.</p></html>"""
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class WebAccess:
    """Who may use a server that people open in a browser.

    Attributes:
        hosts: The names it is called by, without a port; `*.example.org` for all names below one.
        token: What the printed address, or the header `Authorization: Bearer`, must hold.
        cookie: Name of the cookie that stands for the token; another one for each server on this machine.
        posted: Paths that execute what they are asked, and therefore take it as the body of a POST alone.
        body_bytes: Most bytes of a body.
        session: The value of the cookie. It is drawn at every start and has nothing of the token, which may stay and be
            in use elsewhere: browsers send a cookie to every port of a machine, and so to servers of others.
    """

    hosts: tuple[str, ...]
    token: str
    cookie: str
    posted: frozenset[str] = frozenset()
    body_bytes: int = 16_000_000
    session: str = field(default_factory=secrets.token_urlsafe)

    def admits(self, connection: HTTPConnection) -> bool:
        """Return whether a request brings the cookie or the token."""
        return _equal(connection.cookies.get(self.cookie, ""), self.session) or bears(connection, self.token)

    def is_opened_by(self, token: str) -> bool:
        """Return whether this is the token."""
        return _equal(token, self.token)


def bears(connection: HTTPConnection, token: str) -> bool:
    """Return whether a request brings a token as `Authorization: Bearer`.

    Args:
        connection: The request.
        token: The token that it needs.
    """
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and _equal(given.strip().encode("latin-1"), token)


def protected(app: ASGIApp, access: WebAccess) -> ASGIApp:
    """Wrap an application so that it answers only those who may use it.

    Args:
        app: Any ASGI application, which needs no protection of its own.
        access: Who may use it.
    """
    limited = RequestBodyLimitMiddleware(app, access.body_bytes)
    return called_by_name(OwnOrigin(TokenHolders(limited, access)), access.hosts)


def called_by_name(app: ASGIApp, hosts: Sequence[str]) -> ASGIApp:
    """Return an application that refuses requests by other names.

    Args:
        app: Any ASGI application.
        hosts: What the header `Host` may hold, apart from a port; `*` for anything.
    """
    return TrustedHostMiddleware(app, allowed_hosts=hosts, www_redirect=False)


class OwnOrigin:
    """Refuses requests and WebSockets that pages of another origin send. Machines send no Origin, and pass.

    The origin must be the address that the request is sent to, its port included: what a page on another port of the
    same machine sends brings the cookies of this one.
    """

    def __init__(self, app: ASGIApp, refuse: Callable[[str, int], Response] = PlainTextResponse) -> None:
        self._app, self._refuse = app, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, as ASGI has it."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            host = headers.get("host", "").lower()
            if not all(_authority(origin) == host for origin in headers.getlist("origin")):
                await self._refuse("the Origin is not this server", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class TokenHolders:
    """Admits requests with the token, and gives browsers a cookie for it. Requests read, or post JSON."""

    def __init__(self, app: ASGIApp, access: WebAccess) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif refused := self._answer(HTTPConnection(scope)):
            await refused(scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send))

    def _answer(self, connection: HTTPConnection) -> Response | None:
        """Return what a connection is answered before it reaches the application; None if it may go on."""
        scope = connection.scope
        opens = scope["type"] == "http" and (scope["method"], scope["path"]) == ("GET", "/")
        if opens and self._access.is_opened_by(connection.query_params.get("token", "")):
            return self._enter(connection)
        if not self._access.admits(connection):
            return HTMLResponse(_LOCKED, 401, {"Cache-Control": "no-store", "WWW-Authenticate": "Bearer"})
        return self._misuse(connection) if scope["type"] == "http" else None

    def _enter(self, connection: HTTPConnection) -> Response:
        """Return the way to the page without the token in its address, and the cookie that stands for it."""
        answer = RedirectResponse("/", 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
        secure = connection.url.is_secure
        answer.set_cookie(self._access.cookie, self._access.session, httponly=True, samesite="strict", secure=secure)
        return answer

    def _misuse(self, connection: HTTPConnection) -> Response | None:
        method, path = connection.scope["method"], connection.scope["path"]
        if not path.isprintable():  # routes match a path with a line break at its end too
            return PlainTextResponse("no path holds control characters", 400)
        if method in ("GET", "HEAD"):
            if path in self._access.posted and connection.scope["query_string"]:
                return PlainTextResponse("post it as application/json", 405, {"Allow": "POST"})
            return None
        if method != "POST":
            return PlainTextResponse("only GET, HEAD and POST are answered", 405, {"Allow": "GET, HEAD, POST"})
        kinds = [kind.partition(";")[0].strip().lower() for kind in connection.headers.getlist("content-type")]
        return None if kinds == ["application/json"] else PlainTextResponse("post it as application/json", 415)


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(32)


def checked_token(text: str) -> str:
    """Return a token that a person chose, without space around it. Raises ValueError for one that can be guessed."""
    token = text.strip()
    if len(token) < _TOKEN_LENGTH:
        raise ValueError(f"a token needs {_TOKEN_LENGTH} characters or more, this one has {len(token)}")
    return token


def names_of(host: str, allowed: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names by which a server may be called, the one to print first.

    Args:
        host: The address that it listens at.
        allowed: Further names, without a port; `*.example.org` for all below one.

    Raises:
        ValueError: If one of them is no name, the address is none, or it means all of a machine's and has no name.
    """
    for name in allowed:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no host name; write it without a scheme and a port: raisonne.example.org")
    try:
        every = host == "" or any(each.is_unspecified for each in _addresses(host))
    except OSError as error:
        raise ValueError(f"{host}: {error.strerror}") from None
    if every and not allowed:
        raise ValueError(f"{host or 'no address'} means all of this machine's; say what it is called by: --allow-host")
    named = () if every else (f"[{host}]" if ":" in host else host,)
    return tuple(dict.fromkeys((*named, *allowed, *LOOPBACK)))


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address. Raises OSError for a name without one."""
    return all(each.is_loopback for each in _addresses(host))


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address, by IPv4 where a name has both. Raises OSError.

    Args:
        host: The address, or a name of this machine.
        port: Its port; 0 for any free one.
    """
    families = {each[0] for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
    return socket.create_server((host, port), family=family, backlog=2048)


def address(name: str, port: int, token: str | None = None) -> str:
    """Return what to open in a browser.

    Args:
        name: Of the server.
        port: Its port.
        token: What lets the reader in; None to leave that out.
    """
    return f"http://{name}:{port}/" + ("" if token is None else f"?token={quote(token, safe='')}")


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return what a server at `host` listens at: `0` and `0x0` are 0.0.0.0. Raises OSError for a name without any."""
    found = (ipaddress.ip_address(each[4][0]) for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    return [(each.version == 6 and each.ipv4_mapped) or each for each in found]


def _authority(origin: str) -> str | None:
    """Return the host and port of a web page's origin; None for what names none, such as `null`."""
    try:
        parts = urlsplit(origin)
        return parts.netloc.lower() or None if parts.scheme in ("http", "https") else None
    except ValueError:
        return None


def _equal(given: str | bytes, wanted: str) -> bool:
    """Compare in a time that does not tell where they differ."""
    told = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
    return hmac.compare_digest(told, wanted.encode())


def _with_headers(send: Send) -> Send:
    """Return `send` that adds headers which keep an answer to its own pages, where the application sets none."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _SAFE.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
