"""`raisonne serve` in a process of its own: answers, limits, overload, SIGTERM, and another bundle while it runs."""

import asyncio
import http.client
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import bundles
import click
import pytest
from click.testing import CliRunner
from conftest import ROOT, encoded, picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from orchestration.cli.guard.serve import serve
from orchestration.cli.published import ExitCode
from orchestration.guard.service import costs, current_bundle
from orchestration.guard.service.admission import Admission, Capacity, QueueFull
from orchestration.guard.service.app import GuardService, ServiceOptions
from orchestration.guard.service.current_bundle import CurrentGuard
from orchestration.guard.service.telemetry import Metrics

TOKEN = "a t0kén of the test"  # noqa: S105 -- of the service that is tested
KNOWN = [encoded(picture(seed)) for seed in range(4)]
NEW = encoded(picture(100))
SLOW = encoded(picture(101).resize((3000, 3000)))  # some 0.15 s
STATUSES = {"200", "400", "401", "403", "408", "413", "415", "422", "429", "503"}
LIMITS = {"pixels": 9_000_000, "member_bytes": 2_000_000}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


@dataclass
class Served:
    """A running service. logged: its log lines so far."""

    process: subprocess.Popen[str]
    port: int = 0
    logged: list[dict] = field(default_factory=list)
    lines: "queue.Queue[dict]" = field(default_factory=queue.Queue)

    def read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.logged.append(said := json.loads(line))
            self.lines.put(said)

    def wait_for(self, event: str) -> dict:
        while True:
            if (said := self.lines.get(timeout=600))["event"] == event:
                return said

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | bytes) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            sent = {"Authorization": f"Bearer {TOKEN}".encode()} | {k.replace("_", "-"): v for k, v in headers.items()}
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def check(self, body: bytes, **headers: str | bytes) -> Answer:
        return self.ask("POST", "/v1/check", body, **headers)


@contextmanager
def serving(bundle: Path, *options: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "orchestration.cli", "serve", "--bundle", str(bundle), "--port", "0", *options]
    environment = os.environ | {"RAISONNE_GUARD_TOKEN": TOKEN}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        served = Served(process)
        reader = threading.Thread(target=served.read)
        reader.start()
        try:
            served.port = served.wait_for("listening")["port"]
            yield served
        finally:
            process.terminate()
            process.wait(600)
            reader.join(60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("served") / "bundle", KNOWN, limits=LIMITS)


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    """Return a service with one worker and one place to wait."""
    with serving(folder, "--workers", "1", "--queue", "1", "--body-timeout", "3") as service:
        yield service


def test_it_answers_with_the_verdict_and_the_bundle_it_is_of(served: Served) -> None:
    allowed, blocked = served.check(NEW, Content_Type="image/jpeg"), served.check(KNOWN[2])
    assert (allowed.status, allowed.json["decision"]) == (200, "allow")
    assert (blocked.status, blocked.json["decision"]) == (200, "block")
    assert blocked.json["sources"][0]["url"] == "https://images.example.org/2.jpg"
    assert allowed.headers["X-Guard-Bundle"] == allowed.json["searched"]["bundle"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 422),
        (b"no picture", {}, 422),
        (KNOWN[0][:999], {}, 422),
        (b"{}", {"Content_Type": "application/json"}, 415),
        (b"x" * 2_000_001, {}, 413),
        (KNOWN[0], {"Authorization": "Bearer other"}, 401),
        (KNOWN[0], {"Authorization": f"Basic {TOKEN}".encode()}, 401),
        (KNOWN[0], {"Authorization": ""}, 401),
        (KNOWN[0], {"Origin": "https://evil.example"}, 403),
        (KNOWN[0], {"Origin": "null"}, 403),
    ],
)
def test_whatever_is_no_image_that_may_be_checked_is_not_allowed(
    served: Served, body: bytes, headers: dict[str, str | bytes], status: int
) -> None:
    answer = served.check(body, **headers)
    assert (answer.status, answer.json["decision"]) == (status, "unavailable")


def test_it_answers_under_its_own_names_alone(served: Served) -> None:
    for path in ("/v1/check", "/healthz", "/metrics"):
        assert served.ask("POST" if "check" in path else "GET", path, Host="evil.example").status == 400
        assert served.ask("GET", path, Origin=f"http://127.0.0.1:{served.port}").status in (200, 405)
    assert served.ask("GET", "/readyz", Host=f"LOCALHOST:{served.port}").status == 200
    assert served.ask("GET", "/readyz", Host=f"[::1]:{served.port}").status == 200
    metrics = served.ask("GET", "/metrics", Origin="https://evil.example")
    assert (metrics.status, b"raisonne" in metrics.body) == (403, False)


def test_it_may_have_as_many_files_and_connections_open_as_the_system_lets_it(served: Served) -> None:
    limits = Path(f"/proc/{served.process.pid}/limits").read_text()
    soft, hard = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3:5]
    assert not soft.isdecimal() or int(soft) >= min(65_536, int(hard) if hard.isdecimal() else 65_536)


def test_probes_need_no_token_and_metrics_do(served: Served) -> None:
    assert served.ask("GET", "/healthz", Authorization="").status == 200
    assert served.ask("GET", "/readyz", Authorization="").json["ready"] is True
    assert served.ask("GET", "/metrics", Authorization="").status == 401
    assert served.ask("GET", "/v1/check").status == 405
    served.check(KNOWN[1])
    metrics = served.ask("GET", "/metrics").body.decode()
    assert 'raisonne_guard_checks_total{by="sha256",decision="block"}' in metrics
    assert "raisonne_guard_bundle_rows{" in metrics


def test_the_api_is_described_as_it_answers(served: Served) -> None:
    said = served.ask("GET", "/openapi.json").json
    parts = said["components"]["schemas"]
    answer = served.check(KNOWN[3])
    assert answer.json.keys() == parts["Verdict"]["properties"].keys()
    assert answer.json["sources"][0].keys() == parts["Source"]["properties"].keys()
    assert said["paths"]["/v1/check"]["post"]["responses"].keys() == STATUSES


def test_a_body_that_does_not_arrive_frees_its_place(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=600) as slow:
        head = f"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        slow.sendall(f"{head}Content-Length: 99\r\n\r\nabc".encode())
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")
    assert served.check(NEW).status == 200


def test_a_head_that_does_not_end_is_given_up(served: Served) -> None:
    """Neither in time, however often a little more of it comes, nor in bytes."""
    address = ("127.0.0.1", served.port)
    with (
        socket.create_connection(address, timeout=600) as silent,
        socket.create_connection(address, timeout=600) as slow,
    ):
        slow.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        for _ in range(12_000):  # ten minutes of a byte now and then, unless the other side ends it
            if select.select([slow], [], [], 0.05)[0]:
                break
            slow.sendall(b"x")
        else:
            pytest.fail("a head that never ends is waited for")
        with suppress(ConnectionError):
            assert slow.recv(9) == b""
        assert silent.recv(9) == b""
    with socket.create_connection(address, timeout=600) as wordy, pytest.raises(ConnectionError):
        wordy.sendall(b"GET /healthz HTTP/1.1\r\nX: " + 10_000_000 * b"x" + b"\r\n\r\n")
        wordy.recv(1)


def test_too_many_are_turned_away_and_told_when_to_come_again(served: Served) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: served.check(SLOW), range(24)))
    assert {answer.status for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status == 429)
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json["decision"] == "unavailable"
    assert served.check(NEW).status == 200


def test_nothing_of_an_image_is_logged(served: Served) -> None:
    assert served.check(b"SECRETsecretSECRET").status == 422
    while (said := served.wait_for("check"))["status"] != 422 or said["bytes"] != 18:
        pass
    assert "SECRET" not in json.dumps(served.logged)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(place=st.integers(0, len(KNOWN[0])), noise=st.binary(max_size=64), kind=st.sampled_from(["image/png", ""]))
def test_no_body_brings_an_answer_that_is_not_promised(served: Served, place: int, noise: bytes, kind: str) -> None:
    broken = KNOWN[0][:place] + noise + KNOWN[0][place + len(noise) :]
    assert served.check(broken, Content_Type=kind).status in (200, 415, 422)


def test_another_bundle_takes_over_without_a_break_and_sigterm_loses_nothing(tmp_path: Path) -> None:
    """Requests keep coming while the link is turned: each is of one bundle. A broken bundle is refused by name."""
    for name in "ab":
        bundles.write(tmp_path / name, KNOWN, limits=LIMITS, url=f"https://{name}.example.org/{{}}.jpg")
    broken = bundles.write(tmp_path / "c", KNOWN)
    (broken / "pdq_cluster.npy").chmod(0o644)
    (broken / "pdq_cluster.npy").write_bytes(b"x" * (broken / "pdq_cluster.npy").stat().st_size)
    link = tmp_path / "current"
    link.symlink_to("a")
    overrides = tmp_path / "overrides.jsonl"
    overrides.touch()

    def turn(name: str) -> None:
        (tmp_path / "new").symlink_to(name)
        (tmp_path / "new").replace(link)

    options = ("--workers", "2", "--queue", "40", "--reload-every", "0.05", "--timeout", "600")
    with serving(link, *options, "--overrides", str(overrides)) as service:
        answers: list[Answer] = []
        enough = threading.Event()

        def client() -> None:
            while not enough.is_set():
                answers.append(service.check(KNOWN[len(answers) % 4]))

        def until_answered_by(host: str) -> None:
            while not any(host in answer.json["sources"][0]["url"] for answer in answers[-9:]):
                assert not any(each.done() for each in clients)
                enough.wait(0.02)

        with ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(client) for _ in range(4)]
            until_answered_by("a.example.org")
            turn("b")
            service.wait_for("bundle loaded")
            turn("c")
            refused = service.wait_for("bundle refused")
            until_answered_by("b.example.org")
            enough.set()
            for each in clients:
                each.result()
        assert "pdq_cluster.npy" in refused["reason"]
        turn("b")
        service.wait_for("bundle loaded")
        assert {answer.status for answer in answers} == {200}
        hosts = {}
        for answer in answers:
            of = answer.json["searched"]["bundle"]
            assert answer.headers["X-Guard-Bundle"] == of
            hosts.setdefault(of, set()).add(answer.json["sources"][0]["url"].split("/")[2])
        assert sorted(map(sorted, hosts.values())) == [["a.example.org"], ["b.example.org"]]
        assert service.check(KNOWN[0]).json["sources"][0]["url"].startswith("https://b.example.org/")
        entry = {"rule": "allow", "cluster_id": "1000", "by": "ana", "reason": "a placeholder"}
        overrides.write_text(json.dumps(entry))
        assert service.wait_for("bundle loaded")["overrides"]
        assert service.check(KNOWN[0]).json["decision"] == "allow"
        assert service.check(KNOWN[1]).json["decision"] == "block"
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("bundle loaded")

        with ThreadPoolExecutor(16) as pool:
            waiting = [pool.submit(service.check, SLOW) for _ in range(16)]
            until = time.monotonic() + 600
            while "checks_inside 16.0" not in service.ask("GET", "/metrics").body.decode():
                if any(each.done() for each in waiting):
                    break  # a fast machine: some are under way all the same
                assert time.monotonic() < until
            service.process.send_signal(signal.SIGTERM)
            assert {each.result().status for each in waiting} == {200}
        assert service.process.wait(600) == 0
    assert service.logged[-1]["event"] == "stopped"


def test_bytes_count_as_held_until_their_slot_is_released() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 8

    async def read() -> None:
        admission = Admission(Capacity(1, 1, 1, 1, body_bytes=10, held_bytes=10))
        for _ in range(3):
            with admission.slot() as slot:
                assert len(await admission.read(slot, body())) == 8
                with admission.slot() as other, pytest.raises(QueueFull):
                    await admission.read(other, body())

    asyncio.run(read())


def test_a_reload_that_fails_by_a_defect_is_not_the_last() -> None:
    async def second_look() -> None:
        seen = asyncio.Event()

        async def watch(every_s: float) -> None:
            looks.append(every_s)
            if len(looks) == 1:
                raise KeyError("policy")
            seen.set()
            await asyncio.Event().wait()

        looks: list[float] = []
        current = SimpleNamespace(watch=watch, ask=seen.set)
        service = GuardService(current, Capacity(1, 0, 1, 1, 1, 1), Metrics(), ServiceOptions(7, None, print))
        async with service.app.router.lifespan_context(service.app):
            await asyncio.wait_for(seen.wait(), 600)

    asyncio.run(second_look())


def test_a_bundle_that_was_refused_is_tried_again_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was short, open files or memory, need not be so a minute later."""
    outcomes: list[bool] = []
    taken = [
        SimpleNamespace(bundle=SimpleNamespace(name=name), searched=SimpleNamespace(overrides="")) for name in "ab"
    ]

    def load(_: Path) -> SimpleNamespace:
        loads.append(len(loads))
        if len(loads) in (2, 3):
            raise OSError(24, "Too many open files")
        return taken[len(loads) > 1]

    loads: list[int] = []
    current = CurrentGuard(lambda: folder, load, None, outcomes.append)  # type: ignore[arg-type]

    async def looks() -> None:
        await current._reload()
        assert len(loads) == 1, "nothing has changed"
        current.ask()
        await current._reload()
        await current._reload()
        assert (len(loads), current.guard) == (2, taken[0]), "it is not tried again at once"
        monkeypatch.setattr(current_bundle, "_AGAIN_S", 0.0)
        await current._reload()
        await current._reload()
        await current._reload()

    asyncio.run(looks())
    assert (len(loads), current.guard, outcomes) == (4, taken[1], [False, True])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("TIMEOUT", "nan"), ("TIMEOUT", "inf"), ("RETAIN", "nan"), ("RELOAD_EVERY", "1e-9"), ("DOUBT", "nan")),
        *(("WORKERS", "100000"), ("PORT", "http"), ("NO_TOKEN", "maybe")),
    ],
)
def test_numbers_that_are_none_are_refused_by_the_name_of_their_option(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"RAISONNE_GUARD_{name}", value)
    with pytest.raises(click.BadParameter) as refused:
        serve.make_context("serve", ["--bundle", "none"])
    assert refused.value.param is not None and refused.value.param.name == name.lower()


@pytest.mark.parametrize(
    ("options", "token", "says"),
    [
        (("--host", "0.0.0.0"), None, "--token-file"),  # noqa: S104
        (("--host", "::"), None, "--no-token"),
        (("--host", "0.0.0.0", "--no-token"), TOKEN, "--no-token cannot be meant"),  # noqa: S104
        (("--allow-host", "https://guard.example.org"), TOKEN, "no host name"),
        ((), "guessed", "RAISONNE_GUARD_TOKEN: a token needs 16 characters"),
        ((), " ", "16 characters"),
    ],
)
def test_it_does_not_start_where_anybody_could_use_it(
    tmp_path: Path, options: tuple[str, ...], token: str | None, says: str
) -> None:
    refused = CliRunner().invoke(serve, ["--bundle", str(tmp_path), *options], env={"RAISONNE_GUARD_TOKEN": token})
    assert (refused.exit_code, says in refused.output) == (2, True), refused.output


def test_a_variable_that_sets_nothing_is_refused(tmp_path: Path) -> None:
    """A mistyped name would leave signatures unchecked. What Kubernetes sets for a service so called is no option."""
    strange = {"RAISONNE_GUARD_TRUSTS": "guard.pub"}
    foreign = {
        "RAISONNE_GUARD_SERVICE_HOST": "10.0.0.1",
        "RAISONNE_GUARD_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "RAISONNE_GUARD_CANARY_SERVICE_PORT_HTTP": "8080",
        "RAISONNE_GUARD_CANARY_PORT": "tcp://10.0.0.2:8080",
        "RAISONNE_GUARD_CANARY_PORT_8080_TCP_ADDR": "10.0.0.2",
    }
    refused = CliRunner().invoke(serve, ["--bundle", str(tmp_path / "none")], env=foreign | strange)
    assert refused.exit_code == 2
    assert "RAISONNE_GUARD_TRUSTS is set in the environment" in refused.output
    assert "did you mean RAISONNE_GUARD_TRUST?" in refused.output
    passed = CliRunner().invoke(serve, ["--bundle", str(tmp_path / "none")], env=foreign)
    assert "RAISONNE" not in passed.output and "none" in passed.output


def test_something_in_front_of_it_may_check_who_asks(tmp_path: Path) -> None:
    """It gets past the token, and then finds that there is no bundle."""
    command = [sys.executable, "-m", "orchestration.cli", "serve", "--bundle", str(tmp_path / "none"), "--no-token"]
    environment = {name: value for name, value in os.environ.items() if name != "RAISONNE_GUARD_TOKEN"}
    everywhere = [*command, "--host", "0", "--port", "0"]
    ended = subprocess.run(
        everywhere, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert (ended.returncode, "none" in ended.stderr) == (ExitCode.UNAVAILABLE, True), ended.stderr


def test_costly_checks_leave_the_others_their_threads() -> None:
    """One large picture is in work; two wait; one more is refused; and what is small passes by all of them."""

    async def asked() -> None:
        admission = Admission(Capacity(2, 8, 60, 60, body_bytes=10, held_bytes=10))
        enough = threading.Event()
        with ExitStack() as held:
            slots = [held.enter_context(admission.slot()) for _ in range(5)]
            costly = [
                asyncio.create_task(admission.run(slot, lambda _: enough.wait(60), costly=True)) for slot in slots[:3]
            ]
            await asyncio.sleep(0)
            with pytest.raises(QueueFull, match="large pictures"):
                await admission.run(slots[3], lambda _: True, costly=True)
            assert [await admission.run(slots[4], lambda _, n=n: n) for n in range(20)] == list(range(20))
            enough.set()
            assert await asyncio.gather(*costly) == [True] * 3
            assert await admission.run(slots[3], lambda _: 7, costly=True) == 7
        admission.close()

    asyncio.run(asked())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "AVIF"])
def test_a_large_picture_is_told_by_its_header(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "COSTLY", 100_000)
    for size, costly in (((200, 300), False), ((330, 310), True)):
        data = encoded(Image.new("RGB", size), kind)
        assert costs.is_costly(data, 1) is costly
        assert costs.is_costly(data[:6], 1), "it does not say"
    if kind == "WEBP":
        assert costs.is_costly(encoded(Image.new("RGB", (330, 310)), kind, lossless=True), 8)
        assert not costs.is_costly(encoded(Image.new("RGB", (300, 310)), kind, lossless=True), 8)
    if kind in ("PNG", "GIF", "WEBP"):
        frames = [Image.new("RGB", (200, 200), (number * 90, 0, 0)) for number in range(2)]
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert costs.is_costly(data, 8) and not costs.is_costly(data, 2)


def test_what_does_not_say_how_large_it_is_is_costly() -> None:
    for data in (b"", b"II*\0" + bytes(99), b"\xff\xd8" + b"\xff\xe0\0\0" * 99, b"RIFF\0\0\0\0WEBPVP9 " + bytes(40)):
        assert costs.is_costly(data, 8)
