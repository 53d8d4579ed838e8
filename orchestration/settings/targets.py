"""Where versions are published besides the file: addresses of a DuckLake.

What belongs here: reading an address, and keeping its password apart. What does not: opening a lake
(`warehouse/lake/`).
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

FILE = "file"
"""The target of a warehouse that is published as a file alone."""
PREFIX = "ducklake:"
_FORMS = "`ducklake:sqlite:FILE` or `ducklake:postgres:dbname=… host=… user=…`"
_KEYWORD = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)")
_ESCAPED = re.compile(r"\\(.)")
PATTERN = re.compile(r"[*?\[]")
"""What makes DuckDB take a path for a pattern, which other folders match too."""
_KEYWORDS = frozenset(
    # as of PostgreSQL 17
    [
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "passfile",
        "require_auth",
        "channel_binding",
        "connect_timeout",
        "client_encoding",
        "options",
        "application_name",
        "fallback_application_name",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "replication",
        "gssencmode",
        "sslmode",
        "requiressl",
        "sslnegotiation",
        "sslcompression",
        "sslcert",
        "sslkey",
        "sslpassword",
        "sslcertmode",
        "sslrootcert",
        "sslcrl",
        "sslcrldir",
        "sslsni",
        "requirepeer",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
        "krbsrvname",
        "gsslib",
        "gssdelegation",
        "service",
        "servicefile",
        "target_session_attrs",
        "load_balance_hosts",
    ]
)
"""Words of a connection string that PostgreSQL's client knows. Others may be a misspelt `password`, or part of one."""


class AddressError(ValueError):
    """An address cannot be read. The message never repeats it, as there may be a password in it."""


@dataclass(frozen=True)
class LakeAddress:
    """The catalog of a DuckLake, and the folder of its data.

    Attributes:
        kind: What keeps the catalog.
        catalog: The file of SQLite's; PostgreSQL's as `keyword=value` pairs, without a password.
        data: The folder of the data, or its address in a store. None: the catalog knows it, as of any lake that is
            there.
        password: PostgreSQL's. None: its client looks in the environment and in `~/.pgpass`.
    """

    kind: Literal["sqlite", "postgres"]
    catalog: str
    data: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, target: str, data: str | None = None, base: Path | None = None) -> Self:
        """Read an address as DuckDB writes them.

        Args:
            target: `ducklake:sqlite:FILE`, or `ducklake:postgres:` and a connection string or URI.
            data: The folder of the data, if it is stated.
            base: The folder that relative paths start from. None: the present one.

        Raises:
            AddressError: If it cannot be read.
        """
        kind, _, catalog = target.removeprefix(PREFIX).partition(":")
        if not target.startswith(PREFIX) or kind not in {"sqlite", "postgres"} or not catalog:
            raise AddressError(f"write it as {_FORMS}")
        base = Path.cwd() if base is None else base
        if data is not None and "://" in data and not data.startswith("s3://"):
            raise AddressError("its data lie in a folder or in s3://BUCKET/FOLDER")
        if data is not None and "://" not in data:
            data = os.path.normpath(base / data)
        if kind == "sqlite":
            return cls("sqlite", os.path.normpath(base / catalog), data)._without_pattern()
        words = _words_of_uri(catalog) if "://" in catalog else _words(catalog)
        if "sslpassword" in words:
            raise AddressError("name the key's password in a service file, where it stays: service=NAME")
        if not words.keys() <= _KEYWORDS:
            fix = "write spaces in a value within quotes, as in password='…'"
            raise AddressError(f"the address has a keyword that PostgreSQL's client does not know; {fix}")
        password = words.pop("password", None)
        catalog = " ".join(f"{word}={_quoted(value)}" for word, value in words.items())
        return cls("postgres", catalog, data, password)._without_pattern()

    def _without_pattern(self) -> Self:
        """Refuse data below a path that DuckDB takes for a pattern: it would find, and remove, files of others."""
        if PATTERN.search(self.data_of_new or ""):
            raise AddressError("its data cannot lie below a path with *, ? or [; set publishing.data_path to another")
        return self

    @property
    def data_of_new(self) -> str | None:
        """Where the data of a lake lie that is not there yet. None: it must be stated."""
        return self.data or (f"{self.catalog}.files" if self.kind == "sqlite" else None)

    def __str__(self) -> str:
        return f"{PREFIX}{self.kind}:{self.catalog}"


def _words(text: str) -> dict[str, str]:
    words, at = dict[str, str](), 0
    text = text.strip()
    while at < len(text):
        found = _KEYWORD.match(text, at)
        if found is None:
            raise AddressError(f"the connection string of PostgreSQL cannot be read; write it as {_FORMS}")
        value = found[2][1:-1] if found[2].startswith("'") else found[2]
        words[found[1]] = _ESCAPED.sub(r"\1", value)
        at = found.end()
    return words


def _words_of_uri(text: str) -> dict[str, str]:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise AddressError(f"the URI of PostgreSQL cannot be read; write it as {_FORMS}") from None
    if parts.scheme not in {"postgres", "postgresql"}:
        raise AddressError("a URI of PostgreSQL begins with postgresql://")
    if "@" in parts.path:
        raise AddressError("write / and @ in a user or a password of a URI as %2F and %40")
    named = {
        "host": parts.hostname and unquote(parts.hostname),
        "port": port and str(port),
        "user": parts.username and unquote(parts.username),
        "password": parts.password and unquote(parts.password),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    return {word: value for word, value in named.items() if value} | dict(parse_qsl(parts.query))


def _quoted(value: str) -> str:
    plain = re.fullmatch(r"[^\s'\\]+", value)
    return value if plain else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
