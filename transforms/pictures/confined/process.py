"""A confined process at work: it is handed a file, and what it made is taken, or it is ended.

What belongs here: asking it, waiting within the bounds, and how it ended. What does not: starting it
(`confined/interpreter.py`), the form of an answer (`confined/answers.py`), who holds it (`confined/pool.py`).
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transforms.pictures.bounds import BeyondLimitsError, Bounds
from transforms.pictures.confined import interpreter, worker, works
from transforms.pictures.confined.answers import (
    LONGEST,
    DecoderAnswer,
    OutOfMemoryError,
    got_no_memory,
    seconds_used,
    told,
)
from transforms.pictures.confined.blocks import BLOCKS
from transforms.pictures.confined.interpreter import Interpreter
from transforms.pictures.confined.works import DecoderWork
from transforms.pictures.renderings import Pixels
from transforms.readable import legible

_STARTS_S = 120.0  # seconds of the clock in which a process must be there; only a machine that hangs takes so long
_WAITS = 10  # times `Bounds.seconds`, by the clock, after which a decoder that does nothing is ended
_SAID = 300  # characters of what a library says
_KEPT = 64_000_000  # bytes of shared memory that stay from picture to picture
_PIPE = 65_536
_TICKS = os.sysconf("SC_CLK_TCK")
_IMPATIENT = "decoding takes longer than this check may take"
_NO_ANSWER = "gave a malformed answer"
_CORRUPT = "():"  # in what the C library says of memory that was written over: `malloc(): corrupted top size`


class OutOfPatience(RuntimeError):
    """Decoding did not end in the seconds that its caller has."""


class DecoderDied(Exception):
    """A process ended before it answered, and not because of this side. The message says how."""


@dataclass(eq=False)
class DecoderProcess:
    """A process that decodes one picture at a time.

    Attributes:
        running: The interpreter.
        processor_s: Seconds of a processor that it had used when it last said so; 0 until it is there.
        sound: Whether it did its work, and may be asked again.
        began: When it was started, on the clock of `time.monotonic`.
        modules: Those whose works it has loaded.
        had_a_file: Whether it was handed a file, after which nothing vouches for it.
    """

    running: Interpreter = field(default_factory=lambda: interpreter.start())
    processor_s: float = 0.0
    sound: bool = False
    began: float = field(default_factory=time.monotonic)
    modules: set[str] = field(default_factory=lambda: {works.__name__})
    had_a_file: bool = False

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self.running.popen.pid

    def ask(
        self, work: DecoderWork, data: bytes, bounds: Bounds, until: float | None
    ) -> tuple[list[Pixels], dict[str, Any]]:
        """Return the arrays and the rest that were made of a file.

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
        if work.module not in self.modules:
            began = self._load(work.module)
        self.had_a_file = True
        worker.write(self.running.shared, data, 0)
        answer = self._answer(work, len(data), bounds, until)
        self.processor_s, said = answer.processor_s, self._said()
        pictures = self._pictures(answer.shapes)
        if max(len(data), sum(each.size for each in pictures)) > _KEPT:
            os.ftruncate(self.running.shared, 0)
        error = answer.error(said, bounds)
        self.sound = not isinstance(error, OutOfMemoryError)
        try:
            if self.processor_s - began > bounds.seconds:
                raise BeyondLimitsError(told(f"decoding took more than {bounds.time_limit}", said))
            if error is not None:
                raise error
        finally:
            del error  # a frame that holds what it raised keeps the frames of all callers until it is collected
        return pictures, {**answer.rest, "said": said and f"its decoder says: {said}"}

    def _ready(self, until: float | None) -> float:
        """Wait until the process is there, and return the seconds of a processor that it has used."""
        if not self.processor_s:
            latest = self.began + _STARTS_S
            if not self.running.connection.poll(max(0.0, min(latest, until or latest) - time.monotonic())):
                if time.monotonic() < latest:
                    self.sound = True  # it is only starting: the next caller finds it further on
                    raise OutOfPatience(_IMPATIENT)
                raise RuntimeError(f"the process that decodes pictures did not start within {_STARTS_S:g} s")
            self._begun("cannot be started")
        return self.processor_s

    def _load(self, module: str) -> float:
        """Have it load a module, and return the seconds of a processor that it has used."""
        try:
            self.running.connection.send_bytes(json.dumps({"module": module}).encode())
            if not self.running.connection.poll(_STARTS_S):
                self.running.end()
        except ConnectionError:
            pass  # it has ended, which is told below
        self._begun(f"cannot load {module}")
        self.modules.add(module)
        return self.processor_s

    def _begun(self, cannot: str) -> None:
        """Read that it is ready for requests. Of one that has had a file, that may have been the file's doing."""
        try:
            self.processor_s = seconds_used(self.running.connection.recv_bytes(LONGEST))
        except (EOFError, OSError):
            how = self._ended()
            if self.had_a_file or self.running.popen.returncode < 0:  # by somebody else; what is missing makes it exit
                raise DecoderDied(how) from None
            raise RuntimeError(f"the process that decodes pictures {cannot}: {how}") from None
        except (ValueError, LookupError, RecursionError):
            raise DecoderDied(_NO_ANSWER) from None
        self._said()  # of no picture

    def _answer(self, work: DecoderWork, size: int, bounds: Bounds, until: float | None) -> DecoderAnswer:
        """Send a request and wait for its answer."""
        asked: dict[str, Any] = {"module": work.module, "function": work.function, "details": work.details}
        asked |= {"bytes": size, "bounds": vars(bounds)}
        try:
            self.running.connection.send_bytes(json.dumps(asked).encode())
            self._wait(bounds, until)
            message = self.running.connection.recv_bytes(LONGEST)
        except (EOFError, ConnectionError):
            how = self._ended()
            if self.running.popen.returncode == -signal.SIGXCPU:
                raise BeyondLimitsError(f"decoding took more than {bounds.time_limit}") from None
            if self.running.popen.returncode == -signal.SIGABRT and _CORRUPT not in how and got_no_memory(how):
                raise OutOfMemoryError(
                    f"decoding needed more than {bounds.memory_limit} bytes: its decoder {how}"
                ) from None
            raise DecoderDied(how) from None
        except OSError:  # too long, or never whole
            raise DecoderDied(_NO_ANSWER) from None
        try:
            return DecoderAnswer.of(message, work, bounds)
        except (ValueError, LookupError, RecursionError):
            raise DecoderDied(_NO_ANSWER) from None

    def _wait(self, bounds: Bounds, until: float | None) -> None:
        """Wait for an answer or the end of the process, and give up on one that takes too long."""
        began = time.monotonic()
        latest = began + _WAITS * bounds.seconds
        pause = bounds.seconds
        while True:
            now = time.monotonic()
            if self.running.connection.poll(max(0.0, min(pause, latest - now, (until or latest) - now, _STARTS_S))):
                return
            now = time.monotonic()
            if until is not None and now >= until:
                raise OutOfPatience(_IMPATIENT)
            used = max(0.0, self._used() - self.processor_s)
            if used >= bounds.seconds or now >= latest:
                self.running.end()
                why = f"decoding took more than {bounds.time_limit}"
                if used < bounds.seconds:
                    why = f"the decoder did nothing for {now - began - used:.3g} s; it may take {bounds.time_limit}"
                raise BeyondLimitsError(told(why, self._said()))
            pause = max(0.05, bounds.seconds - used)

    def _used(self) -> float:
        """Return the seconds of a processor that the process has used."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return self.processor_s  # it has ended, which the connection says too
        return sum(map(int, stat.rpartition(")")[2].split()[11:13])) / _TICKS

    def _pictures(self, shapes: Sequence[tuple[int, ...]]) -> list[Pixels]:
        """Return what the process has written."""
        pictures, place = [], 0
        for shape in shapes:
            picture = BLOCKS.array(shape)
            try:
                place = worker.read(self.running.shared, picture, place)
            except EOFError:
                raise DecoderDied(_NO_ANSWER) from None
            pictures.append(picture)
        return pictures

    def _said(self) -> str:
        """Return what libraries wrote to standard error since they were last asked, in one line of bounded length."""
        parts = []
        with suppress(BlockingIOError):
            while part := os.read(self.running.said, _PIPE):
                parts.append(part)
        lines = (" ".join(line.split()) for line in b"".join(parts).decode(errors="replace").splitlines())
        return legible(" ".join(dict.fromkeys(line for line in lines if line)), _SAID)

    def _ended(self) -> str:
        """Return how the process ended, and what was said before."""
        try:
            self.running.popen.wait(_STARTS_S)
        except subprocess.TimeoutExpired:
            self.running.end()
        status = self.running.popen.returncode
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return told(how, self._said())

    def close(self) -> None:
        """End the process and release what it was reached by."""
        self.running.end()
        self.running.release()
