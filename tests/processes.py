"""The command `raisonne` in processes of its own that start with its imports done.

Importing Dagster, Lance and torch takes longer than most runs of a test. A server imports them once for each test
worker; each command is a fork of it, with an environment, standard streams and an exit code of its own.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import takewhile
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import BinaryIO

from tests import records

ROOT = Path(__file__).resolve().parents[1]
PRELOADED = (
    "tests.preloaded",
    "alembic.command",
    "alembic.script",
    "onnxruntime",
    "orchestration.definitions",
    "orchestration.cli.execution",
    "orchestration.cli.main",
    "orchestration.cli.summary",
    "orchestration.reports.exports",
    "sqlalchemy",
    "torch",
    "transforms.encoders.sscd",
    "transforms.hashing.hashes",
    "transforms.joins.cosine.join",
    "transforms.joins.hamming.join",
    "xlsxwriter",
)
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(list(PRELOADED))


def run(config: Path, arguments: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Args:
        config: Its settings.
        arguments: What follows `raisonne`.
        timeout: Seconds.

    Raises:
        subprocess.TimeoutExpired: If it takes longer; it is killed.
    """
    return call(arguments, environment(RAISONNE_CONFIG=str(config)), ROOT, timeout)


def call(
    arguments: Sequence[str], chosen: Mapping[str, str], folder: Path, timeout: float, data: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Args:
        arguments: What follows `raisonne`.
        chosen: Its environment.
        folder: Where it works.
        timeout: Seconds.
        data: Its standard input.

    Raises:
        subprocess.TimeoutExpired: If it takes longer; it is killed.
    """
    with tempfile.TemporaryFile() as typed, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        typed.write(data)
        typed.seek(0)
        process = start(arguments, chosen, [each.fileno() for each in (typed, output, errors)], folder)
        process.join(timeout)
        late = process.exitcode is None
        process.kill()
        process.join()
        said, complained = (_content(stream) for stream in (output, errors))
    if late:
        raise subprocess.TimeoutExpired([*arguments], timeout, said, complained)
    return subprocess.CompletedProcess([*arguments], process.exitcode or 0, said, complained)


def environment(**more: str) -> dict[str, str]:
    """Return the environment of this process without what chooses a warehouse.

    Args:
        more: Variables that are added.
    """
    return {k: v for k, v in os.environ.items() if not k.startswith(("RAISONNE_", "DAGSTER_HOME"))} | more


def kill_at(config: Path, arguments: Sequence[str], line: str, timeout: float) -> None:
    """Start a command, and send it SIGKILL as soon as a line of its standard error begins so.

    Args:
        config: Its settings.
        arguments: What follows `raisonne`.
        line: What the line begins with.
        timeout: Seconds after which it is killed all the same.

    Raises:
        AssertionError: If it ends before.
    """
    code, said = signal_at(config, arguments, line, signal.SIGKILL, timeout)
    assert code == -signal.SIGKILL, f"it never said {line!r}:\n{said}"


def signal_at(
    config: Path, arguments: Sequence[str], line: str, number: signal.Signals, timeout: float
) -> tuple[int | None, str]:
    """Start a command, send it a signal as soon as a line of its standard error begins so, and wait for its end.

    Args:
        config: Its settings.
        arguments: What follows `raisonne`.
        line: What the line begins with.
        number: The signal.
        timeout: Seconds after which it is killed.

    Returns:
        Its exit code, and its standard error.
    """
    reading, writing = os.pipe()
    with os.fdopen(reading, errors="replace") as errors, Path(os.devnull).open("r+") as nothing:
        chosen = environment(RAISONNE_CONFIG=str(config))
        process = start(arguments, chosen, (nothing.fileno(), nothing.fileno(), writing), ROOT)
        os.close(writing)
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        try:
            said = [*takewhile(lambda each: not each.startswith(line), errors)]
            if process.is_alive():
                os.kill(process.pid or 0, number)
            said += errors
            process.join()
        finally:
            timer.cancel()
            process.kill()
            process.join()
    return process.exitcode, "".join(said)


def start(
    arguments: Sequence[str], chosen: Mapping[str, str], streams: Sequence[int], folder: Path
) -> ForkServerProcess:
    """Start a command.

    Args:
        arguments: What follows `raisonne`.
        chosen: Its environment.
        streams: Descriptors of its standard input, output and error. They stay open here.
        folder: Where it works.
    """
    passed = [Connection(os.dup(each)) for each in streams]
    if _outlined(arguments, chosen):
        records.BEGUN.set()
    process: ForkServerProcess = FORKS.Process(target=_main, args=(list(arguments), dict(chosen), passed, str(folder)))
    process.start()
    for each in passed:
        each.close()
    return process


def _content(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode(errors="surrogateescape")


def run_afresh(config: Path, *arguments: str) -> None:
    """Run a command as users start it: with its imports, and with all that Python does at the end of a process.

    Args:
        config: Its settings.
        arguments: What follows `raisonne`.
    """
    command = [sys.executable, "-m", "orchestration.cli", *arguments, "--config", str(config)]
    subprocess.run(command, env=environment(), cwd=ROOT, stdin=subprocess.DEVNULL, check=True)


def _outlined(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    return records.OUTLINE in environment and list(arguments[:1]) == ["run"]


def _main(arguments: list[str], environment: dict[str, str], streams: list[Connection], folder: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    encoding = environment.get("PYTHONIOENCODING") or "utf-8"  # what Python reads once, at its start
    sys.stdin = os.fdopen(0, encoding=encoding, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding=encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding=encoding, errors="backslashreplace", closefd=False)
    sys.argv = ["raisonne", *arguments]
    from orchestration.cli.main import main

    with records.outline() if _outlined(arguments, environment) else nullcontext():
        main()
