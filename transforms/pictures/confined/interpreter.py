"""The interpreter that a confined process is: what it runs, what it knows, and what it is reached by.

What belongs here: starting and ending it. What does not: the limits that it puts on itself (`confined/worker.py`), what
it is asked (`confined/process.py`).
"""

import os
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection

PROGRAM = "import sys; from transforms.pictures.confined.worker import main; main(*map(int, sys.argv[1:]))"
_BREAKS_S = 60  # seconds within a message that was begun
_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
    "NUMBA_CACHE_DIR",
)
# One thread: a process is for one picture. Memory of a picture stays for the next, else half of the time goes into
# giving it back to the kernel and taking it again; of one larger than others it is given back.
_ALLOCATION = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}


@dataclass(frozen=True)
class Interpreter:
    """An interpreter that decodes.

    Attributes:
        popen: The process.
        connection: For requests and answers.
        said: A file descriptor, the reading end of what its libraries write.
        shared: A file descriptor, the file in memory that both sides have open.
    """

    popen: subprocess.Popen[bytes]
    connection: Connection
    said: int
    shared: int

    def end(self) -> None:
        """End the process, by its own id, and wait until it has ended."""
        self.popen.kill()
        self.popen.wait()

    def release(self) -> None:
        """Close what the process is reached by."""
        self.connection.close()
        os.close(self.said)
        os.close(self.shared)


def start() -> Interpreter:
    """Start an interpreter. It sends one message when it is ready, which the first request reads."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _BREAKS_S, 0))
    shared = os.memfd_create("picture")
    said, saying = os.pipe()
    os.set_blocking(said, False)
    os.set_blocking(saying, False)  # else a library that says much waits for a reader
    try:
        popen = subprocess.Popen(  # noqa: S603 -- this interpreter, and numbers
            [sys.executable, "-P", "-c", PROGRAM, str(theirs.fileno()), str(shared)],
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
    return Interpreter(popen, Connection(ours.detach()), said, shared)


def _environment() -> dict[str, str]:
    """Return what a process may know of this one: where its modules are, nothing else."""
    kept = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    modules = os.pathsep.join(place for place in sys.path if place)
    return kept | {"PYTHONPATH": modules} | _ALLOCATION
