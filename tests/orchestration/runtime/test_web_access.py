"""Attacks of websites and neighbours on a web server of this machine, and who gets past them."""

import socket
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from orchestration.runtime import web_access
from orchestration.runtime.web_access import WebAccess

TOKEN = "a tökén/of the test"  # noqa: S105 -- of the server that is tested
ACCESS = WebAccess(web_access.names_of("127.0.0.1"), TOKEN, "reader_3000", frozenset({"/graphql"}), body_bytes=1000)
HOME = "http://127.0.0.1:3000"
BEARER = {"Authorization": f"Bearer {TOKEN}".encode()}
JSON = {"Content-Type": "application/json"}
LAUNCH = '{"query": "mutation { launchRun }"}'


class Launches:
    """An application that does whatever it is asked, in every way that Dagster's does."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        routes = [
            Route("/", self._page),
            Route("/graphql", self._do, methods=["GET", "POST"]),
            WebSocketRoute("/graphql", self._talk),
        ]
        self.app = Starlette(routes=routes)

    async def _page(self, _: Request) -> Response:
        return Response("the page", headers={"X-Frame-Options": "DENY"})

    async def _do(self, request: Request) -> Response:
        self.asked.append(request.query_params.get("query") or (await request.body()).decode())
        return JSONResponse({"done": True})

    async def _talk(self, socket: WebSocket) -> None:
        await socket.accept()
        self.asked.append(await socket.receive_text())
        await socket.send_text("done")
        await socket.close()


@pytest.fixture
def launches() -> Launches:
    return Launches()


@pytest.fixture
def client(launches: Launches) -> Iterator[TestClient]:
    """Return a client without a token that keeps cookies as a browser does."""
    with TestClient(web_access.protected(launches.app, ACCESS), HOME, follow_redirects=False) as started:
        yield started


def opened(client: TestClient) -> TestClient:
    assert client.get("/", params={"token": TOKEN}).status_code == 303
    return client


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/graphql?query=mutation{launchRun}", {"Origin": "https://evil.example"}, None, 403),
        ("GET", "/graphql?query=mutation{launchRun}", {}, None, 405),
        ("GET", "/%67raphql?query=mutation{launchRun}", {}, None, 405),
        ("GET", "/graphql%0a?query=mutation{launchRun}", {}, None, 400),
        ("HEAD", "/graphql%0A?query=mutation{launchRun}", {}, None, 400),
        ("GET", "/graphql?query=mutation{launchRun}", {"Accept": "text/html"}, None, 405),
        ("POST", "/graphql", JSON | {"Origin": "file://127.0.0.1:3000"}, LAUNCH, 403),
        ("POST", "/graphql", JSON | {"Origin": "//127.0.0.1:3000"}, LAUNCH, 403),
        ("POST", "/graphql", JSON | {"Origin": "https://evil.example"}, LAUNCH, 403),
        ("POST", "/graphql", JSON | {"Origin": "null"}, LAUNCH, 403),
        ("POST", "/graphql", JSON | {"Origin": "http://[127.0.0.1"}, LAUNCH, 403),
        ("POST", "/graphql", JSON | {"Origin": "http://127.0.0.1:8888"}, LAUNCH, 403),
        ("POST", "/graphql", JSON | {"Origin": "http://127.0.0.1"}, LAUNCH, 403),
        ("POST", "/graphql", JSON | {"Origin": "http://localhost:3000"}, LAUNCH, 403),
        ("POST", "/graphql", {"Content-Type": "text/plain"}, LAUNCH, 415),
        ("POST", "/graphql", {"Content-Type": "text/plain; application/json"}, LAUNCH, 415),
        ("POST", "/graphql", {"Content-Type": "application/graphql"}, "mutation { launchRun }", 415),
        ("POST", "/graphql?query=mutation{launchRun}", {"Content-Type": "multipart/form-data; boundary=x"}, "", 415),
        ("POST", "/graphql?query=mutation{launchRun}", {}, None, 415),
        ("PUT", "/graphql", JSON, LAUNCH, 405),
        ("OPTIONS", "/graphql", {}, None, 405),
        ("POST", "/graphql", JSON | {"Host": "evil.example:3000"}, LAUNCH, 400),
        ("POST", "/graphql", JSON | {"Host": "evil.example", "Origin": "http://evil.example"}, LAUNCH, 400),
        ("POST", "/graphql", JSON | {"Host": "127.0.0.1.evil.example"}, LAUNCH, 400),
        ("POST", "/graphql", JSON, LAUNCH + 1000 * " ", 413),
    ],
)
def test_an_attack_reaches_nothing_even_with_the_cookie(
    client: TestClient,
    launches: Launches,
    method: str,
    path: str,
    headers: dict[str, str],
    body: str | None,
    status: int,
) -> None:
    answer = opened(client).request(method, path, headers=headers, content=body)
    assert (answer.status_code, launches.asked) == (status, [])


def test_a_body_is_bounded_also_where_it_does_not_say_its_size(client: TestClient, launches: Launches) -> None:
    answer = opened(client).post("/graphql", headers=JSON, content=(100 * b" " for _ in range(11)))
    assert (answer.status_code, launches.asked) == (413, [])


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer another token of 20"},
        {"Authorization": f"Basic {TOKEN}".encode()},
        {"Cookie": "reader_3000="},
        {"Cookie": f"reader_3001={ACCESS.session}"},
        {"Cookie": "reader_3000=\xff".encode("latin-1")},
        {"Cookie": f"reader_3000={TOKEN}".encode()},
    ],
)
def test_who_has_no_token_gets_nothing(
    client: TestClient, launches: Launches, method: str, headers: dict[str, str | bytes]
) -> None:
    for path in ("/", "/graphql", f"/graphql?token={TOKEN}"):
        answer = client.request(method, path, headers=headers | JSON)
        assert (answer.status_code, launches.asked) == (401, [])
        assert "the page" not in answer.text
    assert not client.cookies


def test_a_wrong_token_in_the_address_opens_nothing(client: TestClient) -> None:
    for wrong in ("", "x", TOKEN[:-1], ACCESS.session):
        answer = client.get("/", params={"token": wrong})
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert client.get("/").status_code == 401


def test_the_printed_address_opens_the_page_and_leaves_the_token_behind(client: TestClient, launches: Launches) -> None:
    answer = client.get(web_access.address("127.0.0.1", 3000, TOKEN))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "t%C3%B6k" not in cookie
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    page = client.get("/")
    assert (page.text, page.headers["x-frame-options"]) == ("the page", "DENY"), "headers of the application stay"
    assert page.headers["x-content-type-options"] == "nosniff"
    own = {"Origin": HOME}
    assert client.post("/graphql", headers=JSON | own, content=LAUNCH).status_code == 200
    assert client.get("/graphql").status_code == 200, "without a question in the address it may be read"
    assert launches.asked == [LAUNCH, ""]


def test_machines_bring_the_token_as_a_header(client: TestClient, launches: Launches) -> None:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    assert client.post("/graphql", headers=BEARER | kind, content=LAUNCH).status_code == 200
    assert launches.asked == [LAUNCH]


def talked(client: TestClient, headers: dict[str, str]) -> int:
    """Return the status that a WebSocket is refused with; 101 if it answers."""
    try:
        with client.websocket_connect("ws://127.0.0.1:3000/graphql", headers=headers) as socket:
            socket.send_text("subscription")
            assert socket.receive_text() == "done"
            return 101
    except WebSocketDenialResponse as refusal:
        return refusal.status_code


def test_a_websocket_is_checked_as_a_request_is(client: TestClient, launches: Launches) -> None:
    own, evil = {"Origin": HOME}, "https://evil.example"
    assert talked(client, own) == 401
    opened(client)
    assert talked(client, own | {"Origin": evil}) == 403
    assert talked(client, own | {"Origin": "http://127.0.0.1:8888"}) == 403
    assert talked(client, {"Origin": evil, "Host": "evil.example"}) == 400
    assert launches.asked == []
    assert talked(client, own) == 101
    assert launches.asked == ["subscription"]


def test_names_come_from_the_address_and_from_who_starts_it() -> None:
    assert web_access.names_of("127.0.0.1") == ("127.0.0.1", "localhost", "[::1]")
    assert web_access.names_of("::1")[0] == "[::1]"
    assert web_access.names_of("10.0.0.5", ["*.example.org"])[:2] == ("10.0.0.5", "*.example.org")
    assert "0.0.0.0" not in web_access.names_of("0.0.0.0", ["r.example.org"])  # noqa: S104
    everywheres = ("0.0.0.0", "::", "0:0:0:0:0:0:0:0", "", "0", "0x0", "00.0", "::ffff:0.0.0.0")  # noqa: S104
    for everywhere in everywheres:
        with pytest.raises(ValueError, match="--allow-host"):
            web_access.names_of(everywhere)
    for wrong in ("*", "https://r.example.org", "r.example.org:3000", "a b", "", "*example.org", "a.*.org"):
        with pytest.raises(ValueError, match="no host name"):
            web_access.names_of("127.0.0.1", [wrong])


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_server_listens_at_addresses_of_both_kinds(host: str, family: socket.AddressFamily) -> None:
    with web_access.listening(host, 0) as server:
        assert (server.family, server.getsockname()[0]) == (family, host)
    assert web_access.is_loopback(host) and not web_access.is_loopback("0")


def test_a_session_does_not_outlive_its_start_though_the_token_stays() -> None:
    """The cookie reaches every port of the machine: who caught it once must not keep the UI."""
    again = WebAccess(ACCESS.hosts, TOKEN, ACCESS.cookie)
    assert again.session != ACCESS.session
    with TestClient(web_access.protected(Launches().app, again), HOME) as client:
        assert client.get("/", headers={"Cookie": f"{again.cookie}={ACCESS.session}"}).status_code == 401
        assert client.get("/", headers={"Cookie": f"{again.cookie}={again.session}"}).status_code == 200


def test_tokens_differ_and_short_ones_are_refused() -> None:
    assert len({web_access.new_token() for _ in range(9)}) == 9
    assert web_access.checked_token(f" {web_access.new_token()}\n")
    with pytest.raises(ValueError, match="16 characters"):
        web_access.checked_token("  short  ")
