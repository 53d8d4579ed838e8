"""The heads of requests are bounded in time, in both of uvicorn's protocols; WebSockets are not."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from conftest import PATIENCE_S
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.sync.client import connect

from orchestration.guard.service.app import FastConnection
from orchestration.runtime import web_connections
from orchestration.runtime.web_connections import BrowserConnection, TimedHeads

type Port = Callable[[type[TimedHeads], float], int]


async def _echo(talk: WebSocket) -> None:
    await talk.accept()
    while True:
        await talk.send_text(await talk.receive_text())


@pytest.fixture
def served() -> Iterator[Port]:
    """Return a function that serves with a protocol and the seconds of a head, and returns the port."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(kind: type[TimedHeads], head_s: float) -> int:
        app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("page")), WebSocketRoute("/talk", _echo)])
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", http=web_connections.timed(kind, head_s), lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        running.append((server, thread))
        return int(listening.getsockname()[1])

    yield start
    for server, thread in running:
        server.should_exit = server.force_exit = True
        thread.join()


@contextmanager
def asked(port: int, head: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        client.sendall(head)
        yield client


@pytest.mark.parametrize("kind", [BrowserConnection, FastConnection])
@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\nHo"])
def test_a_head_that_does_not_end_is_not_waited_for(kind: type[TimedHeads], head: bytes, served: Port) -> None:
    port = served(kind, 0.2)
    with asked(port, head) as client:
        assert client.recv(1) == b"", "the server closes it"
    with asked(port, b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n") as client:
        assert client.makefile("rb").read().endswith(b"page")


@pytest.mark.parametrize("kind", [BrowserConnection, FastConnection])
def test_a_websocket_stays_open_for_longer_than_a_head_may_take(kind: type[TimedHeads], served: Port) -> None:
    port = served(kind, 0.2)
    with connect(f"ws://127.0.0.1:{port}/talk") as talk:
        for words in ("before", "after"):
            talk.send(words)
            assert talk.recv() == words
            with asked(port, b"") as client:
                assert client.recv(1) == b"", "another one began later, and is over"
