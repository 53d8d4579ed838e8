"""The confined processes of this process, and who holds which.

What belongs here: handing processes out, keeping those that did their work, leaving them to the parent after a fork.
What does not: what a process is asked (`confined/process.py`).
"""

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from transforms.pictures.confined.process import DecoderProcess


@dataclass
class DecoderPool:
    """The processes of this process that have nothing to do. The one used last is used next."""

    idle: list[DecoderProcess] = field(default_factory=list)
    all: list[DecoderProcess] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def process(self) -> Iterator[DecoderProcess]:
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

    def started(self) -> DecoderProcess:
        """Start a process, and return it."""
        process = DecoderProcess()
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
        """Leave the processes to the one that started them. A process that was forked from it calls this."""
        for process in self.all:
            process.running.release()
        self.idle, self.all, self.lock = [], [], threading.Lock()


POOL = DecoderPool()
atexit.register(POOL.close)
os.register_at_fork(after_in_child=POOL.forget)
