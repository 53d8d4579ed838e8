"""Attaching a lake: its extensions, its credentials, and what an error of it says.

What belongs here: connections that have a lake attached. What does not: which of its versions is read
(`lake/reading.py`), writing one (`lake/writing.py`).

Passwords and keys are handed over as DuckDB's secrets, which it shows redacted. So they are in no path and no error.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

from orchestration.settings.targets import LakeAddress
from orchestration.warehouse.lake import duckdb_extensions
from orchestration.warehouse.publishing import NotPublished
from orchestration.warehouse.queries import quoted
from transforms.readable import first_line

NAME = "lake"
"""What an attached lake is called."""
_NOT_THERE = "does not exist - and creating a new DuckLake is explicitly disabled"
_OTHER_FOLDER = "does not match existing data path"
_NO_ANSWER_S = 10
_SECRET = "lake_catalog"  # noqa: S105 -- its name


class LakeUnavailable(NotPublished):
    """A lake cannot be opened; the message names it, without its password, and the reason."""


class NotInLake(NotPublished):
    """The lake is not there, or does not have the version."""


@contextmanager
def reaching(address: LakeAddress) -> Iterator[None]:
    """Raise LakeUnavailable for what DuckDB, the catalog or the store raises within the block."""
    try:
        yield
    except duckdb.Error as error:
        if _NOT_THERE in str(error):
            raise NotInLake(f"{address} is not there yet; `raisonne run` makes it") from None
        if _OTHER_FOLDER in str(error):
            raise LakeUnavailable(f"{address} has its data elsewhere; correct publishing.data_path: {error}") from None
        raise LakeUnavailable(f"{address} cannot be used: {first_line(error)}") from None


def connection(address: LakeAddress) -> duckdb.DuckDBPyConnection:
    """Return a connection that can attach a lake.

    Raises:
        NoLakeExtension: If an extension is missing.
        LakeUnavailable: If the store has no credentials.
    """
    con = duckdb.connect(config=duckdb_extensions.NOTHING_FETCHED)
    try:
        duckdb_extensions.load(con, address, address.data)
        if address.password is not None:
            _create_secret(con, address, f"{_SECRET} (type postgres, password {quoted(address.password)})")
        if address.data is not None:
            provide_store(con, address, address.data)
    except BaseException:
        con.close()
        raise
    return con


def attach(con: duckdb.DuckDBPyConnection, address: LakeAddress, *options: str, name: str = NAME) -> None:
    """Attach a lake.

    Args:
        con: From `connection`.
        address: The lake.
        options: Of DuckDB's statement.
        name: What it is called.

    Raises:
        duckdb.Error: If it cannot be opened.
    """
    secret = [f"meta_secret {quoted(_SECRET)}"] if address.password is not None else []
    patient = address.kind == "postgres" and "connect_timeout=" not in address.catalog
    target = f"{address} connect_timeout={_NO_ANSWER_S}" if patient else str(address)
    con.execute(f'attach {quoted(target)} as "{name}" ({", ".join([*options, *secret])})')


def stored_folder(con: duckdb.DuckDBPyConnection, name: str = NAME) -> str:
    """Return where the data of an attached lake lie, as its catalog says.

    Args:
        con: A connection that has it attached.
        name: What it is called.
    """
    [(folder,)] = con.execute(f"select value from \"{name}\".options() where option_name = 'data_path'").fetchall()  # noqa: S608
    return str(folder)


def provide_store(con: duckdb.DuckDBPyConnection, address: LakeAddress, data: str) -> None:
    """Give a connection what the store of the data asks for: extensions, endpoint and credentials.

    Those come from the environment, as for everything that is read from a store.

    Args:
        con: Any connection.
        address: The lake.
        data: Where its data lie; for a folder nothing is needed.

    Raises:
        NoLakeExtension: If an extension is missing.
        LakeUnavailable: If there are no credentials.
    """
    if not data.startswith("s3://"):
        return
    duckdb_extensions.load(con, address, data)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    anonymous = os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in {"1", "true", "yes"}
    words = ["type s3", f"scope {quoted(data)}", *([] if anonymous else ["provider credential_chain"])]
    if region:
        words.append(f"region {quoted(region)}")
    if endpoint:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        words += [f"endpoint {quoted(parts.netloc)}", "url_style 'path'", f"use_ssl {parts.scheme == 'https'}"]
    _create_secret(con, address, f"lake_data ({', '.join(words)})")


def trouble(address: LakeAddress) -> str | None:
    """Return why nothing can be published to a lake at present, or None. Changes nothing.

    Raises NoLakeExtension if an extension is not installed.
    """
    duckdb_extensions.require(address)
    try:
        with connection(address) as con, reaching(address):
            require_file(address)
            attach(con, address, "read_only")
    except NotInLake:
        return None if address.data_of_new else f"{address} is not there yet; set publishing.data_path to make it"
    except LakeUnavailable as error:
        return str(error)
    return None


def require_file(address: LakeAddress) -> None:
    """Raise NotInLake if the file of SQLite's catalog is not there: attaching it would leave an empty one."""
    if address.kind == "sqlite" and not Path(address.catalog).exists():
        raise NotInLake(f"{address} is not there yet; `raisonne run` makes it")


def _create_secret(con: duckdb.DuckDBPyConnection, address: LakeAddress, secret: str) -> None:
    try:
        con.execute(f"create or replace temporary secret {secret}")
    except duckdb.Error as error:
        told = "its password is refused" if secret.startswith(_SECRET) else f"no credentials: {first_line(error)}"
        fix = "give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
        raise LakeUnavailable(f"{address} cannot be used: {told}; {fix}") from None
