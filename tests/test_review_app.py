"""The curators' desk in a real browser: by keyboard, by two at once, reloaded, cut off; strangers' text is text.

One made-up warehouse, written by SQL, is shown throughout; `test_review.py` has what follows from decisions.
"""

import html
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import httpx
import numpy as np
import pytest
import uvicorn
from conftest import PATIENCE_S, encoded, picture

from orchestration.facts.decision_log import DecisionLog
from orchestration.reports.pictures import PictureReader
from orchestration.review import queues
from orchestration.review.app import DeskOptions, DeskService
from orchestration.review.desk import Desk
from orchestration.review.editions import Edition, Editions
from orchestration.review.people import People, PeopleError, read
from orchestration.review.pixels import DeskPictures
from orchestration.review.queues import Queue
from orchestration.runtime.web_access import LOOPBACK, WebAccess
from orchestration.settings.sections import Review
from tests import processes, published_home
from tests.benchmarks import warehouse
from tests.benchmarks.warehouse import FIRST_ID
from transforms.pictures import Bounds
from transforms.review.decisions import in_force

CHROMIUM = Path("/usr/bin/chromium")
CLUSTERS = 320
IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(1)</script>\u2028<!--"
_HOSTILE = f"""
    update catalog.samples set caption = $${IMAGE}{SCRIPT}$$, license = $${SCRIPT}$$, url = 'javascript:alert(1)',
        url_host = '<b>evil</b>.example'
    where sample_id between {FIRST_ID} and {FIRST_ID + 3};
    insert into duplicates.pairs by name
    select a.sample_id as sample_id_a, b.sample_id as sample_id_b, 'pdq' as method, (i % 31)::double as distance,
        31::double as threshold
    from (select ({FIRST_ID} + i * 8192)::ubigint as sample_id, i from range(40) as made(i)) as a
    join (select ({FIRST_ID} + 1 + i * 8192)::ubigint as sample_id, i from range(40) as made(i)) as b using (i);
    insert into catalog.generations by name
    select $$gen/{IMAGE}.png$$ as generation_id, 'gen' as source, 'GENERATED' as path, 'ok' as status,
        $${SCRIPT}$$ as prompt, sha256('generated') as pixel_sha256;
    insert into provenance.sources by name
    select generation_id, 1 as rank, {FIRST_ID}::ubigint as sample_id, {FIRST_ID}::ubigint as cluster_id,
        'similar' as verdict, 0.01 as p_value, 4002 as duplicate_count, 0.6 as copy_score from catalog.generations;
    insert into provenance.guard_log by name
    select 'check' as check_id, now() as checked_at, 'b' as bundle, 'block' as decision, 'similar' as verdict,
        'close' as reason, 1.0 as latency_ms, sha256('blocked') as pixel_sha256, {FIRST_ID}::ubigint as cluster_id;
"""  # noqa: S608 -- our own text


@dataclass
class Desks:
    """The made-up version, and desks opened over it."""

    home: Path
    con: duckdb.DuckDBPyConnection
    opened: list[uvicorn.Server] = field(default_factory=list)

    def open(
        self,
        name: str,
        people: dict[str, str],
        *,
        blind: bool = False,
        header: str = "",
        later: list[int] | None = None,
    ) -> str:
        """Serve a desk with a log of its own, and return its address. What is put into `later` is published later."""
        options = Review(sample=10)
        first = Edition(3, self.con, queues.load(self.con, options))
        desk = Desk(DecisionLog(self.home / name), first.queues, options.lease_s)
        shown = [np.asarray(picture(seed, 64, 48)) for seed in range(4)]
        reader = PictureReader(lambda row: shown[row % 4])
        accesses = {who: WebAccess(LOOPBACK, token, f"desk_{who}_{name}") for who, token in people.items()}
        shown_as = People(accesses, header), DeskOptions(blind, LOOPBACK)

        def again() -> Edition:
            found = {queue: Queue(queue, rows.rows, later[-1]) for queue, rows in first.queues.items()}
            return Edition(later[-1], self.con, found)

        editions = Editions(first, lambda: later[-1] if later else None, again)
        service = DeskService(editions, desk, DeskPictures(reader, Bounds()), *shown_as)
        server = uvicorn.Server(uvicorn.Config(service.app, port=0, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        self.opened.append(server)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"

    def kept(self, name: str) -> list:
        return in_force(DecisionLog(self.home / name).all())


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desks]:
    home = tmp_path_factory.mktemp("desk")
    (home / "generated.png").write_bytes(encoded(picture(2), "PNG"))
    warehouse.make(home / "w.duckdb", CLUSTERS, _HOSTILE.replace("GENERATED", str(home / "generated.png")))
    with duckdb.connect(str(home / "w.duckdb"), read_only=True) as con:
        made = Desks(home, con)
        yield made
        for server in made.opened:
            server.should_exit = True


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield running
        running.close()


TOKEN = "a token of this test"  # noqa: S105


@dataclass
class Seat:
    """A page at a desk, with what its browser complained about and asked of anybody else."""

    page: object
    complaints: list[str] = field(default_factory=list)
    strayed: list[str] = field(default_factory=list)

    def press(self, key: str) -> None:
        """Press a key and wait until what it asked for is there."""
        ready = self.page.evaluate("document.body.dataset.ready")
        self.page.keyboard.press(key)
        self.page.wait_for_function("ready => document.body.dataset.ready !== ready", arg=ready)

    @property
    def position(self) -> int:
        return int(self.page.locator("#item").get_attribute("data-position"))

    def choose(self, queue: str) -> None:
        ready = self.page.evaluate("document.body.dataset.ready")
        self.page.select_option("#queue", queue)
        self.page.wait_for_function("ready => document.body.dataset.ready !== ready", arg=ready)


@pytest.fixture
def sit(browser) -> Iterator:  # noqa: ANN001
    seats: list[Seat] = []

    def go(address: str, token: str = TOKEN, **context) -> Seat:  # noqa: ANN003
        page = browser.new_context(**context).new_page()
        page.set_default_timeout(120_000)
        seat = Seat(page)
        page.on("console", lambda message: seat.complaints.append(message.text))
        page.on("pageerror", lambda error: seat.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (seat.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        inside = (address, "data:")
        page.on("request", lambda r: None if r.url.startswith(inside) else seat.strayed.append(r.url))
        page.goto(f"{address}?token={token.replace(' ', '%20')}")
        page.wait_for_selector("body[data-ready]")
        seats.append(seat)
        return seat

    yield go
    for seat in seats:
        assert (seat.complaints, seat.strayed) == ([], [])
        seat.page.context.close()


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.thorough)])
def test_decisions_by_keyboard_an_undo_and_a_reload(desks: Desks, sit, count: int) -> None:  # noqa: ANN001
    name = f"keyboard-{count}"
    seat = sit(desks.open(name, {"ana": TOKEN}))
    seat.choose("clusters")
    for number in range(count):
        assert seat.position == number
        if number == count // 2:
            seat.page.reload()
            seat.page.wait_for_selector("body[data-ready]")
            assert seat.position == number, "the same item, and nothing decided about it"
        seat.press("13"[number % 2])
    kept = desks.kept(name)
    assert [each.answer for each in kept] == ["fine", "remove_all"] * (count // 2)
    assert {(each.decided_by, each.kind, each.version_seen) for each in kept} == {("ana", "cluster", 3)}
    assert all(each.seconds is not None and each.seconds > 0 for each in kept)
    seat.press("u")
    assert seat.position == count - 1 and "Taken back: remove all." in seat.page.inner_text("#said")
    assert len(desks.kept(name)) == count - 1
    seat.page.fill("#reason", "one of them is a crop")
    seat.page.keyboard.press("Enter")
    seat.press("1")
    last = desks.kept(name)[-1]
    assert (last.answer, last.reason) == ("fine", "one of them is a crop")
    assert f"{CLUSTERS - count} of {CLUSTERS} open, {count} decided by you" in seat.page.inner_text("#progress")


def test_a_member_is_cut_out_or_kept_and_one_goes_back_and_on(desks: Desks, sit) -> None:  # noqa: ANN001
    seat = sit(desks.open("members", {"ana": TOKEN}))
    seat.choose("clusters")
    assert seat.page.locator(".shown").count() == 3
    seat.page.keyboard.press("ArrowRight")
    seat.press("4")  # cut out: the cluster stays
    assert seat.position == 0 and seat.page.locator("[data-cut]").count() == 1
    seat.page.keyboard.press("ArrowLeft")
    seat.press("2")
    assert seat.position == 1
    cut, keep = desks.kept("members")
    assert (cut.kind, cut.answer, keep.kind, keep.answer) == ("pair", "different", "cluster", "keep")
    head, first, second = (
        row for (row,) in desks.con.execute(
            "select min_by(pixel_sha256, rank) from duplicates.clusters join fingerprints.images using (sample_id) "
            "where cluster_id = ? group by pixel_sha256 order by min(rank)", [FIRST_ID]
        ).fetchall()
    )  # fmt: skip
    assert {cut.picture_a, cut.picture_b} == {head, second} and (keep.picture_a, keep.picture_b) == (head, first)
    seat.press("j")
    assert seat.position == 2
    seat.press("k")
    assert seat.position == 1
    seat.press("k")
    assert seat.position == 0 and "keep, by ana" in seat.page.inner_text("#decisions")


def test_two_people_are_never_at_one_item_unless_a_second_opinion_is_asked(desks: Desks, sit) -> None:  # noqa: ANN001
    tokens = {"ana": TOKEN, "ben": "another token of it"}
    address = desks.open("two", tokens)
    ana, ben = sit(address), sit(address, tokens["ben"])
    seen: list[int] = []
    for seat in (ana, ben):
        seat.choose("pairs")
    for turn in range(8):
        assert ana.position != ben.position
        seat = (ana, ben)[turn % 2]
        seen.append(seat.position)
        seat.press("1")
    assert len(set(seen)) == 8
    kept = desks.kept("two")
    assert sorted(each.decided_by for each in kept) == ["ana"] * 4 + ["ben"] * 4
    ben.page.select_option("#mode", "second")
    ben.page.wait_for_function("() => document.querySelector('#verdict').textContent === ''")
    assert ben.page.locator("#numbers dt").count() == 0, "whoever is asked again does not know what was said"
    before = len(DecisionLog(desks.home / "two").all())
    ben.press("2")
    every = DecisionLog(desks.home / "two").all()
    assert len(every) == before + 1
    assert (every[-1].queue, every[-1].blind, every[-1].answer) == ("second", True, "different")
    assert {each.decided_by for each in every if each.question == every[-1].question} == {"ana", "ben"}


def test_a_lost_connection_loses_no_decision_and_repeats_none(desks: Desks, sit) -> None:  # noqa: ANN001
    seat = sit(desks.open("lost", {"ana": TOKEN}))
    seat.choose("pairs")
    dropped = []

    def drop(route) -> None:  # noqa: ANN001
        if len(dropped) < 3:
            dropped.append(route)
            if len(dropped) == 2:
                route.fetch()  # the server keeps it, and its answer is lost
            route.abort()
        else:
            route.continue_()

    seat.page.route("**/v1/decide", drop)
    seat.press("1")
    assert len(dropped) == 3 and len(desks.kept("lost")) == 1 and seat.position == 1
    assert seat.page.locator("#problem").is_hidden()
    seat.complaints[:] = [each for each in seat.complaints if "ERR_FAILED" not in each]


def test_a_new_version_is_told_on_the_page_and_nothing_is_lost(desks: Desks, sit) -> None:  # noqa: ANN001
    later: list[int] = []
    seat = sit(desks.open("newer", {"ana": TOKEN}, later=later))
    seat.choose("clusters")
    banner = seat.page.locator("#newer")
    assert banner.is_hidden() and seat.page.inner_text("#version") == "Version 3"
    seat.page.clock.install()
    seat.page.reload()
    seat.page.wait_for_selector("body[data-ready]")
    seat.page.fill("#reason", "half a sentence")
    later.append(4)
    seat.page.clock.fast_forward(31_000)
    banner.filter(has_text="Version 4 is published. Your next item is of it").wait_for()
    assert seat.position == 0 and seat.page.input_value("#reason") == "half a sentence"
    seat.page.focus("#what")
    seat.press("1")
    assert seat.position == 1 and seat.page.inner_text("#version") == "Version 4"
    assert "Version 4 is asked about from here on" in banner.inner_text()
    seat.press("1")
    assert banner.is_hidden()
    assert [(each.version_seen, each.reason) for each in desks.kept("newer")] == [(3, "half a sentence"), (4, None)]
    seat.press("u")
    assert seat.position == 1 and len(desks.kept("newer")) == 1


def test_strangers_text_is_shown_as_text_and_verdicts_may_be_hidden(desks: Desks, sit) -> None:  # noqa: ANN001
    address = desks.open("hostile", {"ana": TOKEN})
    seat = sit(address)
    for queue in ("pairs", "clusters", "cases", "blocks"):
        seat.choose(queue)
        if queue == "pairs":  # the first pair is that of the hostile rows
            seat.page.fill("#search", str(FIRST_ID + 1))
            seat.page.keyboard.press("Enter")
            seat.page.locator("#progress", has_text="1 found").wait_for()
        if queue != "blocks":
            text = seat.page.inner_text("#pictures")
            assert IMAGE in text and "</script><script>alert(1)</script>⟨U+2028⟩" in text, queue
        assert seat.page.locator("#pictures a").count() < 3
        assert seat.page.locator("a[href^='javascript']").count() == 0
        seat.page.fill("#search", "")
    seat.choose("cases")
    assert "similar" in seat.page.inner_text("#verdict")
    seat.page.wait_for_function("() => document.querySelector('#above').naturalWidth > 0")
    before = seat.page.evaluate("document.querySelector('#above').src")
    seat.page.keyboard.press("d")
    assert seat.page.evaluate("document.querySelector('#above').src") != before
    seat.page.keyboard.press("o")
    seat.page.keyboard.press("Home")
    assert seat.page.evaluate("document.querySelector('#above').style.opacity") == "0"
    seat.page.keyboard.press("Escape")
    seat.page.keyboard.press("/")
    assert seat.page.evaluate("document.activeElement.id") == "search"
    seat.page.keyboard.press("Escape")
    seat.page.keyboard.press("?")
    assert "perceptual hash" in seat.page.inner_text("#keys")
    seat.page.keyboard.press("Escape")
    seat.press("2")
    assert desks.kept("hostile")[0].answer == "not_a_copy"

    blind = sit(desks.open("blind", {"ana": TOKEN}, blind=True))
    blind.choose("cases")
    assert blind.page.inner_text("#verdict") == "" and "similar" not in blind.page.inner_text("main")


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.thorough)])
def test_it_is_usable_in_400_pixels_in_the_dark_and_by_a_screen_reader(desks: Desks, sit, scheme: str) -> None:  # noqa: ANN001
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    seat = sit(
        desks.open(f"narrow-{scheme}", {"ana": TOKEN}),
        viewport={"width": 400, "height": 800},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    for queue in ("pairs", "clusters", "cases", "blocks"):
        seat.choose(queue)
        assert seat.page.evaluate("document.documentElement.scrollWidth") <= 400, queue
        found = axe.run(seat.page).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == [], queue
        assert seat.page.evaluate("document.activeElement.id") == "what", "a screen reader reads the question"
        background = seat.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(23, 22, 19)") == (scheme == "dark")
    seat.page.keyboard.press("?")
    found = axe.run(seat.page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    seat.page.keyboard.press("Escape")


def test_only_those_who_may_are_answered(desks: Desks) -> None:
    address = desks.open("doors", {"ana": TOKEN, "ben": "another token of it"}, header="X-Person")
    sent = {"session": "s", "queue": "pairs"}
    with httpx.Client(base_url=address) as client:
        assert client.get("/").status_code == 401
        assert client.post("/v1/take", json=sent).status_code == 401
        assert client.get("/v1/picture?row=1").status_code == 401
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert client.post("/v1/take", json=sent, headers=bearer).status_code == 401, "the proxy names nobody"
        named = bearer | {"X-Person": "carla"}
        assert client.get("/v1/state", headers=named).json()["name"] == "carla"
        assert client.post("/v1/take", json=sent, headers=named | {"Origin": "http://evil.example"}).status_code == 403
        assert client.post("/v1/take", json=sent, headers=named | {"Host": "evil.example"}).status_code == 400
        assert client.post("/v1/take", content=b"{}", headers=named).status_code == 415
        taken = client.post("/v1/take", json=sent, headers=named)
        assert taken.json()["item"]["position"] == 0
        assert "frame-ancestors 'none'" in taken.headers["content-security-policy"]
        for wrong in (
            {"queue": "nothing"},
            {"position": 10_000},
            {"position": "../etc/passwd"},
            {"answer": "block"},
            {"session": ""},
            {"reason": "x" * 5_000},
        ):
            given = {"session": "s", "queue": "pairs", "position": 0, "answer": "same"} | wrong
            assert client.post("/v1/decide", json=given, headers=named).status_code == 422, wrong
        assert (
            client.post("/v1/decide", content=b"[", headers=named | {"Content-Type": "application/json"}).status_code
            == 400
        )
        huge = {"session": "s", "queue": "pairs", "position": 0, "answer": "same", "reason": "x" * 100_000}
        assert client.post("/v1/decide", json=huge, headers=named).status_code == 413
        assert client.get("/v1/laid?queue=pairs&position=0&part=none", headers=named).status_code == 422
        page = html.unescape(client.get("/", headers=named).text)
        assert re.search(r"default-src 'none'; img-src data: 'self'; connect-src 'self'; style-src 'sha256-", page)
    assert desks.kept("doors") == []


def _killed_while_deciding(config: Path, home: Path, after_s: float, number: int) -> tuple[set[str], int]:
    """Start the command, decide as fast as it answers, kill it after so long. Returns what it acknowledged."""
    environment = processes.environment(RAISONNE_CONFIG=str(config), RAISONNE_REVIEW_TOKEN=TOKEN)
    started = subprocess.Popen(
        [sys.executable, "-m", "orchestration.cli", "review", "--port", "0", "--by", "ana"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    acknowledged: set[str] = set()
    try:
        address = ""
        while not address:
            line = started.stderr.readline()
            assert line, "it ended by itself"
            address = next(iter(re.findall(r"http://[^ ?;]+", line)), "")
        kill = threading.Timer(after_s, started.kill)
        kill.start()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=address, headers=headers, timeout=PATIENCE_S) as client:
            for each in range(100_000):
                name = f"{number}-{each}"
                given = {"session": "s", "queue": "clusters", "position": each % 20, "answer": "fine"}
                try:
                    said = client.post("/v1/decide", json=given | {"decision_id": name})
                except httpx.TransportError:
                    break
                assert said.status_code == 200 and said.json()["decision_id"] == name
                acknowledged.add(name)
        kill.join()
        assert started.wait(PATIENCE_S) == -signal.SIGKILL
    finally:
        started.kill()
        started.wait()
        started.stderr.close()
    return acknowledged, len(DecisionLog(home).all())


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.thorough)])
def test_no_acknowledged_decision_is_lost_when_the_process_is_killed(tmp_path: Path, kills: int) -> None:
    home = tmp_path / "home"
    config = published_home.publish(home, 1)
    instants = random.Random(2)  # noqa: S311 -- a test
    every: set[str] = set()
    for number in range(kills):
        acknowledged, kept = _killed_while_deciding(config, home, instants.uniform(0.01, 1.5), number)
        every |= acknowledged
        found = [each.decision_id for each in DecisionLog(home).all()]
        assert every <= set(found) and len(set(found)) == len(found) == kept
        assert len(found) - len(every) <= number + 1, "at most what was under way at each kill is there besides"
    assert every


def test_a_list_of_people_is_held_to_its_form(tmp_path: Path) -> None:
    file = tmp_path / "people"
    file.write_text("# token name\nhjk34ghjkl3h4kj23h4 Ana María\n\nsdfkj34h5kj34h5kjh345 ben\n")
    assert read(file) == {"Ana María": "hjk34ghjkl3h4kj23h4", "ben": "sdfkj34h5kj34h5kjh345"}
    for text, said in (
        ("short ana\n", "line 1: a token needs"),
        ("hjk34ghjkl3h4kj23h4\n", "line 1: write the token"),
        ("hjk34ghjkl3h4kj23h4 a\nhjk34ghjkl3h4kj23h4 b\n", "line 2: the name or the token is there twice"),
        ("# nobody\n", "names nobody"),
    ):
        file.write_text(text)
        with pytest.raises(PeopleError, match=said):
            read(file)
