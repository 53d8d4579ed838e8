"""Who is at the desk: one person, those of a list of tokens, or whoever a proxy names.

What belongs here: the name of a request. What does not: whether a request may come at all (`runtime/web_access.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestration.runtime.web_access import OwnOrigin, TokenHolders, WebAccess, called_by_name, checked_token
from transforms.readable import legible

NAME = "raisonne.reviewer"
"""The key of the name in the scope of a request."""
_LONGEST = 200


class PeopleError(ValueError):
    """A list of people cannot be used; the message names the file and the line."""


def read(path: Path) -> dict[str, str]:
    """Return the token of each person of a file: a line each, the token, a blank, the name.

    Args:
        path: The file.

    Raises:
        PeopleError: If a line is something else, or two lines have one token or one name.
        OSError: If it cannot be read.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        token, _, name = line.strip().partition(" ")
        try:
            token, name = checked_token(token), name.strip()
        except ValueError as error:
            raise PeopleError(f"{path}, line {number}: {error}") from None
        if not name or len(name) > _LONGEST:
            raise PeopleError(f"{path}, line {number}: write the token, a blank and the person's name")
        if name in found or token in found.values():
            raise PeopleError(f"{path}, line {number}: the name or the token is there twice")
        found[name] = token
    if not found:
        raise PeopleError(f"{path} names nobody; write a line for each person: the token, a blank, the name")
    return found


@dataclass(frozen=True)
class People:
    """How requests are told apart.

    Attributes:
        accesses: What lets each person in, by name.
        header: A header in which a proxy names the person; then the one access is the proxy's own. Empty: none.
    """

    accesses: Mapping[str, WebAccess]
    header: str = ""

    def protected(self, app: ASGIApp, hosts: Sequence[str]) -> ASGIApp:
        """Wrap an application so that it answers these people alone, and knows who asks.

        Args:
            app: The application, which finds the name in the scope under `NAME`.
            hosts: The names by which requests may call the server.
        """
        doors = {name: TokenHolders(self._named(app, name), access) for name, access in self.accesses.items()}
        return called_by_name(OwnOrigin(_Doors(doors, self.accesses)), hosts)

    def _named(self, app: ASGIApp, name: str) -> ASGIApp:
        async def named(scope: Scope, receive: Receive, send: Send) -> None:
            who = name
            if self.header and scope["type"] == "http":
                given = Headers(scope=scope).getlist(self.header)
                if len(given) != 1 or not given[0].strip() or len(given[0]) > _LONGEST:
                    told = f"the header {self.header} must name one person: what is in front of this server sets it"
                    await PlainTextResponse(told, 401)(scope, receive, send)
                    return
                who = legible(given[0].encode("latin-1", "replace").decode("utf-8", "replace").strip())
            await app({**scope, NAME: who}, receive, send)

        return named


class _Doors:
    """Leads each request to the door of whose cookie or token it brings; one with none to the first, which refuses."""

    def __init__(self, doors: Mapping[str, ASGIApp], accesses: Mapping[str, WebAccess]) -> None:
        self._doors, self._accesses = doors, accesses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = list(self._doors)
        chosen = names[0]
        if scope["type"] == "http":
            connection = HTTPConnection(scope)
            given = connection.query_params.get("token", "")
            # by the token first: it may be meant to change who a browser stands for
            by_token = (name for name, access in self._accesses.items() if given and access.is_opened_by(given))
            by_cookie = (name for name, access in self._accesses.items() if access.admits(connection))
            chosen = next(by_token, None) or next(by_cookie, None) or chosen
        await self._doors[chosen](scope, receive, send)
