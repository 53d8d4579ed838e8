"""A PostgreSQL server for tests, of the programs that a distribution's package brings (Debian: postgresql).

What belongs here: starting and ending it. What does not: what is done with it. It listens on 127.0.0.1 alone, asks for
a password, and keeps its files in a folder of its own that goes when it ends.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "quite secret/'it is\\"  # noqa: S105 -- of this server alone; every sign that needs quoting
_PATIENCE_S = 300
_USERS = ("postgres", "nobody")  # the server does not run as root


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    programs: Path

    @property
    def words(self) -> str:
        """How clients reach it, without the database and the password."""
        return f"host=127.0.0.1 port={self.port} user=raisonne"

    def create_database(self, name: str) -> None:
        self.query(f"create database {name}", "postgres")

    def query(self, text: str, database: str) -> str:
        words = [self.programs / "psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.port), "-U", "raisonne"]
        environment = os.environ | {"PGPASSWORD": PASSWORD}
        done = subprocess.run([*words, "-c", text, database], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def programs() -> Path | None:
    """Return the folder of the newest installed server's programs, or None."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name.partition(".")[0])
    )
    found = shutil.which("initdb")
    places = [*([Path(found).resolve().parent] if found else []), *reversed(versions)]
    return next((each for each in places if {"initdb", "postgres", "psql"} <= {p.name for p in each.iterdir()}), None)


@contextmanager
def server() -> Iterator[Server]:
    """Run a server for the length of a block."""
    folder = programs()
    assert folder is not None, "PostgreSQL's server is not installed"
    root = Path(tempfile.mkdtemp(prefix="postgresql-"))
    user = _user() if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(root, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    secret = root / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    try:
        made = subprocess.run(
            [folder / "initdb", "-D", root / "data", "-A", "scram-sha-256", "-U", "raisonne", "-N", "--pwfile", secret],
            user=user,
            cwd="/",
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stderr
        chosen = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={root}", "fsync=off"]
        options = [word for each in chosen for word in ("-c", each)]
        with (root / "log").open("w") as log:
            running = subprocess.Popen(
                [folder / "postgres", "-D", root / "data", *options], user=user, cwd="/", stdout=log, stderr=log
            )
        try:
            _await(folder, port, running, root / "log")
            yield Server(port, folder)
        finally:
            running.terminate()
            running.wait(_PATIENCE_S)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _user() -> str:
    import pwd

    known = {each.pw_name for each in pwd.getpwall()}
    return next(name for name in _USERS if name in known)


def _await(folder: Path, port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _PATIENCE_S
    while subprocess.run([folder / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode:
        assert running.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.05)
