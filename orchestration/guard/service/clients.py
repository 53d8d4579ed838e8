"""Who asks, and by which policy they are answered.

What belongs here: the file of clients. What does not: deciding (`transforms/guard/`), requests
(`guard/service/app.py`).

A file in TOML, a table a client:

    [website]
    token_file = "website.token"     # beside the file, or absolute
    copy_score = 0.6                 # fields of the bundle's policy that differ for it
    [internal]
    token_file = "internal.token"
    shadow = true                    # decide and log, and let everything through
    [ana]
    token_file = "ana.token"
    operator = true                  # may end a quarantine, and say whether a check was right
"""

import hmac
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from orchestration.runtime.web_access import checked_token

OPERATOR = "operator"
"""The name of the operator whose token is not in a file of clients."""
_Share = Annotated[float, Field(gt=0, le=1)]


class ClientsUnusable(ValueError):
    """A file of clients cannot be used; the message names it and the fix."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    token_file: Annotated[str, Field(min_length=1)]
    shadow: bool = False
    operator: bool = False
    pdq: Annotated[int, Field(ge=0, le=31)] | None = None
    copy_score: _Share | None = None
    p_value: _Share | None = None
    at_least: Annotated[int, Field(ge=1)] | None = None
    pixels_decide: bool | None = None
    look_from: _Share | None = None


_FILE = TypeAdapter(dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")], _Table])


@dataclass(frozen=True)
class Client:
    """Who asks.

    Attributes:
        name: For logs and metrics; empty for the only one of a service without a file of clients.
        token: What its requests bring; None if they need nothing.
        shadow: Whether it is answered with an allowance in any case, and what was decided is logged.
        changes: Fields of the bundle's policy that differ for it.
        operator: Whether it may end a quarantine, answer checks of every client, and see them.
    """

    name: str = ""
    token: str | None = None
    shadow: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)
    operator: bool = False


def read(path: Path) -> tuple[Client, ...]:
    """Read a file of clients. Raises ClientsUnusable."""
    try:
        tables = _FILE.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ClientsUnusable(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ClientsUnusable(f"{path}: {'.'.join(map(str, first['loc']))[:200]}: {first['msg']}") from None
    except ValueError as error:  # of TOML and of Unicode
        raise ClientsUnusable(f"{path}: {error}") from None
    if not tables:
        raise ClientsUnusable(f"{path} names no client; write a table for each")
    clients = tuple(_client(path, name, table) for name, table in tables.items())
    if len({client.token for client in clients}) < len(clients):
        raise ClientsUnusable(f"{path}: two clients have the same token; give each its own")
    return clients


def _client(path: Path, name: str, table: _Table) -> Client:
    file = path.parent / table.token_file
    try:
        token = checked_token(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ClientsUnusable(f"{path}: {name}: {file}: {error}") from None
    changes = table.model_dump(exclude={"token_file", "shadow", "operator"}, exclude_none=True)
    return Client(name, token, table.shadow, changes, table.operator)


def asking(clients: Sequence[Client], authorization: str) -> Client | None:
    """Return the client of a request, or None if it brings no client's token.

    Args:
        clients: All of the service.
        authorization: The header, empty if there is none.
    """
    scheme, _, given = authorization.partition(" ")
    found = None
    for client in clients:  # all of them, so that the time says nothing
        if client.token is None:
            found = found or client
        elif scheme.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode("latin-1", "replace"), client.token.encode()
        ):
            found = client
    return found
