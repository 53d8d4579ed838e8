"""Dagster's web server behind the checks of `runtime/web_access.py`, with its code server and its daemon.

What belongs here: starting the three, and ending all when one ends. What does not: who may use the web server
(`runtime/web_access.py`), the command (`cli/ui.py`), the instance (`runtime/instance.py`).

`dagster dev` has no place for a layer before its web server. So this process is the web server, and the only one that
listens: the code server, and the process that it starts, answer at sockets in a folder that no other user may enter.
"""

import json
import signal
import socket
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from types import FrameType

import dagster as dg
import uvicorn
from dagster._cli.utils import get_instance_for_cli
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._grpc.client import DagsterGrpcClient
from dagster._serdes import serialize_value
from starlette.types import ASGIApp

from orchestration.runtime import companions, web_connections
from orchestration.runtime.companions import Companion
from orchestration.runtime.instance import LOCATION
from orchestration.runtime.web_access import WebAccess, protected

POSTED = frozenset({"/graphql"})
"""Where Dagster also executes what an address asks for, mutations included."""
_WEB_SERVER = "dagster_webserver.app"
_POLL_MS = 2000
_HEAD_S = 30.0


class EndSignal(BaseException):
    """SIGINT or SIGTERM arrived."""


class EndSignals:
    """Whether SIGINT or SIGTERM arrived.

    The signal raises EndSignal wherever the main thread is, and that may be where exceptions are lost: in a callback of
    the garbage collector, or in a library that is being imported. So whoever starts something asks again.
    """

    def __init__(self) -> None:
        self._arrived = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal.

        Args:
            number: The signal's.
            frame: Where the main thread is.

        Raises:
            EndSignal: Always.
        """
        self._arrived = True
        raise EndSignal

    def require_none(self) -> None:
        """Raise EndSignal if one arrived."""
        if self._arrived:
            raise EndSignal


def run(listening: socket.socket, access: WebAccess) -> None:
    """Serve Dagster's UI until SIGINT or SIGTERM, then end every process within ten seconds.

    Args:
        listening: A bound socket.
        access: Who may use the UI.

    Raises:
        CompanionEnded: If the code server or the daemon ended by itself.
    """
    ending = EndSignals()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ending.handle)  # also where SIGINT was ignored: in the background of a shell
    with suppress(EndSignal), ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="raisonne-ui-")))
        started: list[Companion] = []
        instance = held.enter_context(get_instance_for_cli())
        held.callback(_end_all, started)
        workspace = _start(started, folder, instance, ending)
        instance.optimize_for_webserver(statement_timeout=15_000, pool_recycle=3600, max_overflow=20)
        target = WorkspaceFileTarget([str(workspace)])
        context = held.enter_context(WorkspaceProcessContext(instance, target, version=dg.__version__))
        app = import_module(_WEB_SERVER).create_app_from_workspace_process_context(
            context, live_data_poll_rate=_POLL_MS
        )
        ending.require_none()
        _serve(protected(app, access), listening, access.body_bytes, started)


def _start(started: list[Companion], folder: Path, instance: dg.DagsterInstance, ending: EndSignals) -> Path:
    """Start the code server, and the daemon once it answers. Returns the file that tells where it does."""
    server, workspace = folder / "code-server", folder / "workspace.yaml"
    reference = ["--instance-ref", serialize_value(instance.get_ref())]
    code = ["code-server", "start", "--module-name", LOCATION, "--socket", str(server), "--log-level", "warning"]
    code += ["--location-name", LOCATION, "--inject-env-vars-from-instance", *reference]
    code += ["--working-directory", str(folder)]  # where Dagster looks for modules first
    started.append(Companion("Dagster's code server", "dagster", code, folder))
    import_module(_WEB_SERVER)  # takes a second, in which the code server gets ahead
    client = DagsterGrpcClient(socket=str(server))
    while not _answers(client):
        ending.require_none()
        started[0].require_running()
        time.sleep(0.2)
    place = {"location_name": LOCATION, "socket": str(server), "host": "localhost"}
    workspace.write_text(json.dumps({"load_from": [{"grpc_server": place}]}), encoding="utf-8")  # JSON is YAML
    daemon = ["run", "--workspace", str(workspace), "--log-level", "warning", *reference]
    started.append(Companion("Dagster's daemon", "dagster._daemon", daemon, folder))
    return workspace


def _answers(client: DagsterGrpcClient) -> bool:
    try:
        client.ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True


def _serve(app: ASGIApp, listening: socket.socket, body_bytes: int, started: list[Companion]) -> None:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # addresses may hold the token
        http=web_connections.timed(web_connections.BrowserConnection, _HEAD_S),
        ws_max_size=body_bytes,
        timeout_graceful_shutdown=1,
    )
    server, over = uvicorn.Server(config), threading.Event()

    def watch() -> None:
        while not over.wait(1):
            with suppress(companions.CompanionEnded):
                for each in started:
                    each.require_running()
                continue
            server.should_exit = True

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        server.run(sockets=[listening])
    finally:
        over.set()
    for each in started:
        each.require_running()


def _end_all(started: list[Companion]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    companions.end(started)
