"""A desk while versions are published: what is taken up when, and that nobody's item or answer is lost by it."""

import shutil
from pathlib import Path

import duckdb
import pytest
from starlette.testclient import TestClient

from orchestration.facts.decision_log import DecisionLog
from orchestration.reports.pictures import PictureReader
from orchestration.review import queues
from orchestration.review.app import DeskOptions, DeskService
from orchestration.review.desk import Desk
from orchestration.review.editions import Edition, Editions, EditionUnusable
from orchestration.review.people import People
from orchestration.review.pixels import DeskPictures
from orchestration.runtime.web_access import LOOPBACK, WebAccess
from orchestration.settings.sections import Review
from orchestration.warehouse import publishing
from tests import published_home
from transforms.pictures import Bounds, Pixels

TOKEN = "a token of this test"  # noqa: S105


def gone(row: int) -> Pixels:
    raise OSError(f"row {row} has no picture")


def published_next(home: Path, number: int, then: str) -> None:
    """Publish a version that differs from the one before by some statements."""
    with publishing.writer(home, run="the test", wait_s=0):
        build = publishing.begin(home, "the test", from_current=True)
        with duckdb.connect(str(build)) as con:
            con.execute(f"update warehouse.versions set version = {number}; {then}")  # noqa: S608 -- our own text
        publishing.publish(home, build, number, keep=1)


class Opened:
    """A desk over the versions of a home, asked by two people."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.editions = Editions(self.edition(), lambda: publishing.current(home).number, self.edition)
        self.desk = Desk(DecisionLog(home), self.editions.current.queues, 600)
        people = People({"ana": WebAccess(LOOPBACK, TOKEN, "desk")}, "X-Person")
        shown = DeskPictures(PictureReader(gone), Bounds()), people, DeskOptions(False, LOOPBACK)
        service = DeskService(self.editions, self.desk, *shown)
        self.client = TestClient(service.app, "http://127.0.0.1", headers={"Authorization": f"Bearer {TOKEN}"})

    def edition(self) -> Edition:
        con = publishing.connect(self.home)
        try:
            found = queues.load(con, Review())
        except duckdb.Error as error:
            raise EditionUnusable(f"it lacks a table: {str(error).partition(chr(10))[0]}") from None
        return Edition(found["clusters"].version, con, found)

    def ask(self, name: str, path: str, **given: object) -> dict:
        answer = self.client.post(
            f"/v1/{path}", json={"session": name, "queue": "clusters"} | given, headers={"X-Person": name}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def decide(self, name: str, item: dict, answer: str = "fine") -> dict:
        a, b = item["digests"]
        place = {"version": item["version"], "position": item["position"], "picture_a": a, "other": b}
        return self.ask(name, "decide", answer=answer, **place)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with one version."""
    home = tmp_path_factory.mktemp("published") / "home"
    published_home.publish(home, 1)
    return home


@pytest.fixture
def opened(published: Path, tmp_path: Path) -> Opened:
    return Opened(shutil.copytree(published, tmp_path / "home", symlinks=True))


_FIRST_GONE = "delete from duplicates.counts where cluster_id = (select min(cluster_id) from duplicates.counts)"


def test_a_new_version_is_told_of_and_taken_up_with_the_next_item(opened: Opened) -> None:
    first, second = (opened.ask(name, "take")["item"] for name in ("ana", "ben"))
    assert [(each["position"], each["version"]) for each in (first, second)] == [(0, 1), (1, 1)]
    published_next(opened.home, 2, _FIRST_GONE)  # what was the second item is the first one now
    state = opened.client.get("/v1/state", headers={"X-Person": "ana"}).json()
    assert (state["version"], state["newer"]) == (1, 2), "told, and nothing changed"
    opened.decide("ana", first, "remove_all")

    later = opened.ask("ana", "take", after=0, version=1, picture_a=first["digests"][0])
    assert (later["version"], later["newer"], later["item"]["version"]) == (2, None, 2)
    assert later["item"]["digests"] != second["digests"], "that one is still Ben's"
    assert opened.ask("ben", "take", again=True)["item"]["digests"] == second["digests"]
    opened.decide("ben", second)  # as his page has it: the second one of version 1
    opened.decide("ana", later["item"])
    kept = DecisionLog(opened.home).all()
    assert [(each.decided_by, each.picture_a, each.version_seen) for each in kept] == [
        ("ana", first["digests"][0], 1),
        ("ben", second["digests"][0], 1),
        ("ana", later["item"]["digests"][0], 2),
    ]
    undone = opened.ask("ana", "undo")
    assert undone["item"] == {"queue": "clusters", "position": later["item"]["position"]}
    assert opened.ask("ana", "undo")["undone"] == "remove all", "of what is in no queue any more, too"
    assert opened.ask("ana", "undo")["undone"] is None


def test_an_answer_counts_however_old_the_page_is(opened: Opened) -> None:
    old = opened.ask("ana", "take")["item"]
    for number in (2, 3, 4):
        published_next(opened.home, number, _FIRST_GONE)
        opened.ask("ben", "take")
    assert opened.editions.of(1) is None and opened.editions.current.version == 4
    opened.decide("ana", old, "remove_all")
    [kept] = DecisionLog(opened.home).all()
    assert (kept.picture_a, kept.version_seen, kept.verdict_seen) == (old["digests"][0], 1, None)
    answer = opened.client.get("/v1/generation?queue=cases&position=0&version=1", headers={"X-Person": "ana"})
    assert answer.status_code == 422
    wrong = {"session": "s", "queue": "clusters", "answer": "fine", "version": 1, "position": 0, "picture_a": "x"}
    assert opened.client.post("/v1/decide", json=wrong, headers={"X-Person": "ana"}).status_code == 422


def test_a_version_that_cannot_be_asked_about_is_told_of_and_left_alone(opened: Opened) -> None:
    opened.ask("ana", "take")
    published_next(opened.home, 2, "drop schema duplicates cascade")
    for _ in range(2):
        said = opened.ask("ana", "take")
        assert (said["version"], said["newer"], said["item"]["version"]) == (1, 2, 1)
        assert "it lacks a table" in said["newerRefused"]
    published_next(opened.home, 3, "update warehouse.versions set published_at = now()")
    assert opened.ask("ana", "take")["newer"] == 3, "nor is one that lacks the same"
