"""Decoding in confined processes: a file costs at most itself, whatever it does to its decoder.

What belongs here: starting the processes, handing them files and ending those that take too long. What does not: what
runs in them (`pictures/worker.py`).

Each thread that decodes holds a process meanwhile, so there are as many as pictures in work; they stay for the next. A
process is an interpreter of its own, holds no more than decoding needs, and ends with the one that started it. Files
and pixels pass through a file in memory that both have open. What libraries write to standard error goes into a pipe
that never blocks them, and becomes part of what is said of the picture.
"""

import atexit
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from transforms.pictures import decoder, worker
from transforms.pictures.answers import LONGEST, DecoderAnswer
from transforms.pictures.bounds import BeyondLimitsError, Bounds, DecodeError
from transforms.pictures.renderings import Look, Pixels, Renderings
from transforms.readable import legible

_STARTS_S = 120.0  # seconds of the clock in which a process must be there; only a machine that hangs takes so long
_BREAKS_S = 60  # seconds within a message that was begun
_WAITS = 10  # times `Bounds.seconds`, by the clock, after which a decoder that does nothing is ended
_SAID = 300  # characters of what a library says
_KEPT = 64_000_000  # bytes of shared memory that stay from picture to picture
_PIPE = 65_536
_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
)
_PROGRAM = "import sys; from transforms.pictures.worker import main; main(*map(int, sys.argv[1:]))"
# One thread: a process is for one picture. Memory of a picture stays for the next, else half of the time goes into
# giving it back to the kernel and taking it again; of one larger than others it is given back.
_ALLOCATION = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
_TICKS = os.sysconf("SC_CLK_TCK")
_ERRORS = {each.__name__: each for each in (DecodeError, BeyondLimitsError, decoder.NoPictureError)}
_IMPATIENT = "decoding takes longer than this check may take"
_OUT_OF_MEMORY = ("memory", "alloc")  # in the message of a library that got none
_NO_ANSWER = "gave an answer that is none"
_CORRUPT = "():"  # in what the C library says of memory that was written over: `malloc(): corrupted top size`


class OutOfPatience(RuntimeError):
    """Decoding did not end in the seconds that its caller has."""


class _NeedsMore(BeyondLimitsError):
    """A library got no memory."""


class _Died(Exception):
    """A process ended before it answered, and not because of this side. The message says how."""


def decode(data: bytes, within: Bounds | int) -> Pixels:
    """Decode a picture into uint8 of shape (height, width, 3), in a confined process.

    A picture with transparent pixels is laid on the ground that shows most of it, 16-bit samples are scaled, EXIF
    rotation is applied.

    Args:
        data: Its bytes.
        within: The bounds, or the most pixels; the others are then their defaults.

    Raises:
        DecodeError: If it is refused, cannot be decoded, or ends its process.
    """
    (picture,), _ = _ask("decode", data, Bounds.of(within))
    return picture


def look(data: bytes, within: Bounds | int) -> Look:
    """Decode what is fingerprinted of a file, in a confined process.

    Args:
        data: Its bytes.
        within: As of `decode`.

    Raises:
        DecodeError: As `decode`.
    """
    (picture,), rest = _ask("look", data, Bounds.of(within))
    notes = [each for each in (rest.pop("note"), rest.pop("said")) if each]
    return Look(picture, note="; ".join(notes) or None, **rest)


def renderings(data: bytes, within: Bounds | int, patience_s: float | None = None) -> Renderings:
    """Decode a picture in every way in which viewers may show it, in a confined process.

    If pixels are transparent, that is on the ground that shows most of it, on white, on black and without transparency.
    Frames or pages after the first are hidden.

    Args:
        data: Its bytes.
        within: As of `decode`.
        patience_s: Seconds of the clock that the caller has.

    Raises:
        DecodeError: As `decode`, and for samples of 32 bits, which have no defined white.
        OutOfPatience: If it takes longer than that.
    """
    pictures, rest = _ask("renderings", data, Bounds.of(within), patience_s)
    del rest["said"]
    return Renderings(tuple(pictures), **rest)


def _ask(
    work: str, data: bytes, bounds: Bounds, patience_s: float | None = None
) -> tuple[list[Pixels], dict[str, Any]]:
    """Have a process do a piece of work. A process that dies is replaced once: whoever ended it may not come again."""
    until = None if patience_s is None else time.monotonic() + patience_s
    for died_before in (False, True):
        with _POOL.process() as process:
            try:
                return process.ask(work, data, bounds, until)
            except _Died as death:
                if died_before:
                    raise DecodeError(f"its decoder {death}, twice") from None
    raise AssertionError("unreachable")


def start(count: int) -> None:
    """Start processes ahead, so that the first pictures do not wait for them.

    Args:
        count: Processes that there are to be at least.
    """
    for _ in range(count - len(_POOL.all)):
        _POOL.add()


@dataclass(eq=False)
class _Process:
    """A process that decodes one picture at a time."""

    popen: subprocess.Popen[bytes]
    connection: Connection
    said: int
    shared: int
    processor_s: float = 0.0
    sound: bool = False
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls) -> "_Process":
        """Start a process, which says that it is there when it is first asked for something."""
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _BREAKS_S, 0))
        shared = os.memfd_create("picture")
        said, saying = os.pipe()
        os.set_blocking(said, False)
        os.set_blocking(saying, False)  # else a library that says much waits for a reader
        try:
            popen = subprocess.Popen(  # noqa: S603 -- this interpreter, and numbers
                [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno()), str(shared)],
                stdin=subprocess.DEVNULL,
                stdout=saying,
                stderr=saying,
                pass_fds=(theirs.fileno(), shared),
                env=_environment(),
                process_group=0,  # Ctrl-C at a terminal is for this process, which ends the others
            )
        except BaseException:
            ours.close()
            os.close(shared)
            os.close(said)
            raise
        finally:
            theirs.close()
            os.close(saying)
        return cls(popen, Connection(ours.detach()), said, shared)

    def ask(self, work: str, data: bytes, bounds: Bounds, until: float | None) -> tuple[list[Pixels], dict[str, Any]]:
        """Return the pictures and the rest that were made of a file.

        Args:
            work: What to make.
            data: The file.
            bounds: The bounds.
            until: The time, on the clock of `time.monotonic`, until which the caller waits.

        Raises:
            DecodeError: If nothing was made.
            OutOfPatience: If it took too long.
        """
        self.sound = False
        began = self._ready(until)
        worker.write(self.shared, data, 0)
        answer = self._answer(work, len(data), bounds, until)
        self.processor_s, said = answer.processor_s, self._said()
        pictures = self._pictures(answer.shapes)
        if max(len(data), sum(each.size for each in pictures)) > _KEPT:
            os.ftruncate(self.shared, 0)
        error = _failure(answer, said, bounds)
        self.sound = not isinstance(error, _NeedsMore)
        if self.processor_s - began > bounds.seconds:
            raise BeyondLimitsError(_told(f"decoding took more than {bounds.time_limit}", said))
        if error is not None:
            raise error
        return pictures, {**answer.rest, "said": said and f"its decoder says: {said}"}

    def _ready(self, until: float | None) -> float:
        """Wait until the process is there, and return the seconds of a processor that it has used."""
        if not self.processor_s:
            latest = self.began + _STARTS_S
            if not self.connection.poll(max(0.0, min(latest, until or latest) - time.monotonic())):
                if time.monotonic() < latest:
                    self.sound = True  # it is only starting: the next caller finds it further on
                    raise OutOfPatience(_IMPATIENT)
                raise RuntimeError(f"the process that decodes pictures did not start within {_STARTS_S:g} s")
            try:
                self.processor_s = json.loads(self.connection.recv_bytes())["processor_s"]
            except (EOFError, OSError):
                how = self._ended()
                if self.popen.returncode < 0:  # by somebody else; what is missing here makes it exit
                    raise _Died(how) from None
                raise RuntimeError(f"the process that decodes pictures cannot be started: {how}") from None
            self._said()  # of no picture
        return self.processor_s

    def _answer(self, work: str, size: int, bounds: Bounds, until: float | None) -> DecoderAnswer:
        """Send a request and wait for its answer."""
        asked = {"work": work, "bytes": size, "bounds": asdict(bounds)}
        try:
            self.connection.send_bytes(json.dumps(asked).encode())
            self._wait(bounds, until)
            message = self.connection.recv_bytes(LONGEST)
        except (EOFError, ConnectionError):
            how = self._ended()
            if self.popen.returncode == -signal.SIGXCPU:
                raise BeyondLimitsError(f"decoding took more than {bounds.time_limit}") from None
            if self.popen.returncode == -signal.SIGABRT and _CORRUPT not in how and _got_no_memory(how):
                raise _NeedsMore(f"decoding needed more than {bounds.memory_limit} bytes: its decoder {how}") from None
            raise _Died(how) from None
        except OSError:  # too long, or never whole
            raise _Died(_NO_ANSWER) from None
        try:
            return DecoderAnswer.of(message, work, bounds)
        except (ValueError, LookupError, RecursionError):
            raise _Died(_NO_ANSWER) from None

    def _wait(self, bounds: Bounds, until: float | None) -> None:
        """Wait for an answer or the end of the process, and give up on one that takes too long."""
        began = time.monotonic()
        latest = began + _WAITS * bounds.seconds
        pause = bounds.seconds
        while True:
            now = time.monotonic()
            if self.connection.poll(max(0.0, min(pause, latest - now, (until or latest) - now, _STARTS_S))):
                return
            now = time.monotonic()
            if until is not None and now >= until:
                raise OutOfPatience(_IMPATIENT)
            used = max(0.0, self._used() - self.processor_s)
            if used >= bounds.seconds or now >= latest:
                self.end()
                why = f"decoding took more than {bounds.time_limit}"
                if used < bounds.seconds:
                    why = f"the decoder did nothing for {now - began - used:.3g} s; it may take {bounds.time_limit}"
                raise BeyondLimitsError(_told(why, self._said()))
            pause = max(0.05, bounds.seconds - used)

    def _used(self) -> float:
        """Return the seconds of a processor that the process has used."""
        try:
            stat = Path(f"/proc/{self.popen.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return self.processor_s  # it has ended, which the connection says too
        return sum(map(int, stat.rpartition(")")[2].split()[11:13])) / _TICKS

    def _pictures(self, shapes: Sequence[tuple[int, int, int]]) -> list[Pixels]:
        """Return the pixels that the process has written."""
        pictures, place = [], 0
        for shape in shapes:
            picture = np.empty(shape, np.uint8)
            try:
                place = worker.read(self.shared, picture, place)
            except EOFError:
                raise _Died(_NO_ANSWER) from None
            pictures.append(picture)
        return pictures

    def _said(self) -> str:
        """Return what libraries wrote to standard error since they were last asked, in one line of bounded length."""
        parts = []
        with suppress(BlockingIOError):
            while part := os.read(self.said, _PIPE):
                parts.append(part)
        lines = (" ".join(line.split()) for line in b"".join(parts).decode(errors="replace").splitlines())
        return legible(" ".join(dict.fromkeys(line for line in lines if line)), _SAID)

    def _ended(self) -> str:
        """Return how the process ended, and what was said before."""
        try:
            self.popen.wait(_STARTS_S)
        except subprocess.TimeoutExpired:
            self.end()
        status = self.popen.returncode
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return _told(how, self._said())

    def end(self) -> None:
        """End the process, by its own id, and wait until it has ended."""
        self.popen.kill()
        self.popen.wait()

    def close(self) -> None:
        """End the process and release what it was reached by."""
        self.end()
        self.release()

    def release(self) -> None:
        """Close what the process is reached by."""
        self.connection.close()
        os.close(self.said)
        os.close(self.shared)


@dataclass
class _Pool:
    """The processes of this process that have nothing to do. The one used last is used next."""

    idle: list[_Process] = field(default_factory=list)
    all: list[_Process] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def process(self) -> Iterator[_Process]:
        """Hold a process, a new one if all others are held. One that did not do its work is not used again."""
        with self.lock:
            process = self.idle.pop() if self.idle else None
        if process is None:
            process = self.started()
        try:
            yield process
        finally:
            with self.lock:
                if process.sound:
                    self.idle.append(process)
                else:
                    self.all.remove(process)
            if not process.sound:
                process.close()

    def started(self) -> _Process:
        """Start a process, and return it."""
        process = _Process.start()
        with self.lock:
            self.all.append(process)
        return process

    def add(self) -> None:
        """Start a process that has nothing to do."""
        process = self.started()
        with self.lock:
            self.idle.append(process)

    def close(self) -> None:
        """End the processes that have nothing to do."""
        with self.lock:
            idle, self.idle = self.idle, []
            self.all = [each for each in self.all if each not in idle]
        for process in idle:
            process.close()

    def forget(self) -> None:
        """In a process that was forked: leave the processes to the one that started them."""
        for process in self.all:
            process.release()
        self.idle, self.all, self.lock = [], [], threading.Lock()


def _environment() -> dict[str, str]:
    """Return what a process may know of this one: where its modules are, nothing else."""
    kept = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    modules = os.pathsep.join(place for place in sys.path if place)
    return kept | {"PYTHONPATH": modules} | _ALLOCATION


def _told(reason: str, said: str) -> str:
    return f"{reason} (its decoder says: {said})" if said else reason


def _failure(answer: DecoderAnswer, said: str, bounds: Bounds) -> DecodeError | None:
    """Return the failure that an answer states, or None."""
    if answer.failure is None:
        return None
    failure, kind = answer.failure, answer.kind
    if kind == MemoryError.__name__ or (kind == DecodeError.__name__ and _got_no_memory(failure + said)):
        return _NeedsMore(_told(f"decoding needed more than {bounds.memory_limit} bytes", failure or said))
    return _ERRORS.get(kind, DecodeError)(_told(failure, said))


def _got_no_memory(said: str) -> bool:
    return any(word in said.lower() for word in _OUT_OF_MEMORY)


_POOL = _Pool()
atexit.register(_POOL.close)
os.register_at_fork(after_in_child=_POOL.forget)
