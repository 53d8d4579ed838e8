"""A program `raisonne` for shell scripts of tests, whose imports are done: it asks its test worker for a fork.

What belongs here: the program, and the server that it asks. What does not: forks (`tests/processes.py`).
"""

import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Self

from tests import processes

FRESH = "RAISONNE_TEST_FRESH"
"""Set in the environment, the program starts as users start it: a fork cannot be sent signals."""
_PROGRAM = """\
#!/bin/sh
if [ -n "${FRESH}" ]; then exec {python} -P -m orchestration.cli "$@"; fi
exec {python} -I -S -c '{asks}' {address} "$@"
"""
_ASKS = r"""
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect("\0" + sys.argv[1])
    request = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(asked, [len(request).to_bytes(8)], [0, 1, 2])
    asked.sendall(request)
    code = asked.makefile().read()
os._exit(int(code) if code else 70)
"""


class ForkedCommand:
    """The program and its server, which ends with the `with` block."""

    def __init__(self, program: Path) -> None:
        """Write the program into a file, and listen."""
        self._server = socket.socket(socket.AF_UNIX)
        address = f"raisonne-{os.getpid()}-{id(self)}"
        self._server.bind(f"\0{address}")  # a name without a file
        self._server.listen()
        text = _PROGRAM.replace("{python}", sys.executable).replace("{address}", address).replace("{asks}", _ASKS)
        program.write_text(text.replace("FRESH", FRESH))
        program.chmod(0o755)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _listen(self) -> None:
        while True:
            try:
                asking, _ = self._server.accept()
            except OSError:  # shut down
                return
            threading.Thread(target=_answer, args=(asking,), daemon=True).start()


def _answer(asking: socket.socket) -> None:
    with asking:
        size, streams, _, _ = socket.recv_fds(asking, 8, 3)
        with asking.makefile("rb") as request:
            arguments, folder, environment = json.loads(request.read(int.from_bytes(size)))
        process = processes.start(arguments, environment, streams, Path(folder))
        for each in streams:
            os.close(each)
        process.join()
        code = process.exitcode or 0
        asking.sendall(str(code if code >= 0 else 128 - code).encode())
