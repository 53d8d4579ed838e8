"""What operators of the guard's service do: look-ups, batches, clients' policies, shadow mode, quarantine, records."""

import asyncio
import copy
import gc
import io
import json
import os
import signal
import sqlite3
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import bundles
import numpy as np
import pyarrow as pa
import pytest
from bundles import POLICY, Blurred
from conftest import ROOT, encoded, picture
from PIL import Image, ImageOps
from starlette.testclient import TestClient

from orchestration.facts import SCHEMAS
from orchestration.facts.decision_log import DecisionLog
from orchestration.guard.log import row as guard_row
from orchestration.guard.service import bodies, records
from orchestration.guard.service.admission import Capacity
from orchestration.guard.service.app import GuardService, ServiceOptions
from orchestration.guard.service.clients import ClientsUnusable, read
from orchestration.guard.service.quarantine import Quarantine, QuarantineUnusable
from orchestration.guard.service.records import CheckRecords, NoRecord
from orchestration.guard.service.telemetry import Metrics
from orchestration.review import exchange
from tests.decided import Decided
from transforms.guard import Guard
from transforms.guard.overrides import Overrides
from transforms.hashing.hashes import pdq, pdq_dihedral, pixel_sha256, sha256
from transforms.pictures import decode
from transforms.pictures.confined import requests
from transforms.pictures.confined.pool import DecoderPool
from transforms.storage.file_limits import ByteLimits

KNOWN = [encoded(picture(seed)) for seed in range(4)]
NEW = encoded(picture(100))
STRICT = replace(POLICY, copy_score=0.95)  # the encoder of the tests finds much alike
TOKENS = {
    "website": "the token of the website",
    "inside": "the token of the inside",
    "ana": "the token of ana, an operator",
}
LIKE = encoded(ImageOps.mirror(Image.open(io.BytesIO(KNOWN[3]))), quality=60)


class Current:
    """A bundle that is never replaced."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.ask = lambda: None

    async def watch(self, every_s: float) -> None:
        await asyncio.Event().wait()


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Guard:
    folder = bundles.write(tmp_path_factory.mktemp("operated") / "bundle", KNOWN, Blurred(), STRICT, renditions=4)
    return Guard.load(folder, Blurred())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def clients_file(folder: Path, **tables: str) -> Path:
    for name, token in TOKENS.items():
        (folder / f"{name}.token").write_text(token + "\n")
    lines = [f'[{name}]\ntoken_file = "{name}.token"\n{rules}\n' for name, rules in tables.items()]
    (folder / "clients.toml").write_text("\n".join(lines))
    return folder / "clients.toml"


def client_of(guard: Guard | Current, folder: Path, state: Path, timeout_s: float) -> TestClient:
    """Return a client of a service with two clients, of which one is in shadow mode, that observes after two blocks."""
    current = guard if isinstance(guard, Current) else Current(guard)
    file = clients_file(folder, website="at_least = 3\npdq = 31", inside="shadow = true", ana="operator = true")
    options = ServiceOptions(
        60,
        None,
        lambda _: None,
        ("testserver",),
        read(file),
        CheckRecords(state, 30),
        Quarantine(2, True, state / "quarantine.json"),
    )
    capacity = Capacity(2, 8, timeout_s, 600, 2_000_000, 8_000_000)
    return TestClient(GuardService(current, capacity, Metrics(), options).app)


@pytest.fixture
def asked(guard: Guard, tmp_path: Path, state: Path) -> TestClient:
    return client_of(guard, tmp_path, state, 600)


def bearing(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[name]}"}


def check(asked: TestClient, data: bytes, name: str = "inside", **headers: str) -> Any:  # noqa: ANN401
    return asked.post("/v1/check", content=data, headers=bearing(name) | headers)


def test_a_client_decides_by_its_own_policy_and_a_shadow_lets_all_through(asked: TestClient) -> None:
    assert asked.post("/v1/check", content=NEW).status_code == 401
    assert check(asked, KNOWN[1], "website").json()["decision"] == "allow"  # two rows show it, and three are asked for
    blocked = check(asked, KNOWN[3], "website").json()
    assert (blocked["decision"], blocked["would"], blocked["policy"]["at_least"]) == ("block", None, 3)
    shadow = check(asked, KNOWN[1]).json()
    assert (shadow["decision"], shadow["would"], shadow["verdict"]) == ("allow", "block", "exact")
    unread = check(asked, b"no picture")
    assert (unread.status_code, unread.json()["would"]) == (200, "unavailable")
    metrics = asked.get("/metrics", headers=bearing("website")).text
    assert 'raisonne_guard_client_checks_total{client="inside",decision="allow",would="block"} 1.0' in metrics


def test_hashes_are_looked_up_in_batches_and_never_allowed(asked: TestClient) -> None:
    pixels = decode(LIKE, 10**6)
    turns = [turn.tobytes().hex() for turn in pdq_dihedral(pixels)]
    other = decode(NEW, 10**6)
    hashes = [
        {"id": "bytes", "sha256": sha256(KNOWN[2])},
        {"id": 2, "pixel_sha256": pixel_sha256(decode(KNOWN[3], 10**6)).upper()},
        {"pdq": turns},
        {"pdq": turns[0]},  # mirrored, and its turns were not sent
        {"pdq": pdq(other).hex, "pdq_quality": 100},
        {"pdq": pdq(other).hex, "pdq_quality": 10},
        {"pdq": "00"},
        {"colour": "red"},
        {},
    ]
    answer = asked.post("/v1/lookup", json={"hashes": hashes}, headers=bearing("website"))
    found = answer.json()["lookups"]
    assert [each["decision"] for each in found] == ["block"] * 3 + ["unavailable"] * 6
    assert [each["verdict"] for each in found[:6]] == [
        "exact",
        "exact",
        "similar",
        *["no_match_found"] * 2,
        "not_searched",
    ]
    assert [each["sources"][0]["cluster_id"] for each in found[:3]] == ["1002", "1003", "1003"]
    assert (found[0]["id"], found[1]["id"]) == ("bytes", 2)
    assert "looked up in 1 of 8 turns; only a check of the picture itself can allow it" in found[3]["reason"]
    assert "too flat (quality 10 of 100, 50 needed)" in found[5]["reason"]
    assert "pdq has not 64 hexadecimal digits" in found[6]["reason"]
    assert "no field 'colour'" in found[7]["reason"] and "no hash to look up" in found[8]["reason"]
    for wrong in (b"{", b"[]", b'{"hashes": []}', b'{"hashes": ' + b"[" * 100_000):
        refused = asked.post("/v1/lookup", content=wrong, headers=bearing("website"))
        assert (refused.status_code, refused.json()["decision"]) == (422, "unavailable")


def test_bodies_of_all_kinds_are_taken_by_what_they_hold(asked: TestClient) -> None:
    for kind in ("", "application/x-www-form-urlencoded", "image/png", "text/plain"):
        assert check(asked, KNOWN[3], "website", **{"Content-Type": kind}).json()["decision"] == "block", kind
    form = asked.post("/v1/check", files={"image": ("a.jpg", KNOWN[3])}, headers=bearing("website"))
    assert form.json()["decision"] == "block"
    sent = [("images", (f"{n}.jpg", data)) for n, data in enumerate([KNOWN[3], NEW, b"no picture"])]
    batch = asked.post("/v1/checks", files=sent, headers=bearing("website")).json()["checks"]
    assert [(each["name"], each["decision"]) for each in batch] == [
        ("0.jpg", "block"),
        ("1.jpg", "allow"),
        ("2.jpg", "unavailable"),
    ]
    assert asked.post("/v1/check", files=sent, headers=bearing("website")).status_code == 422
    assert asked.post("/v1/checks", content=NEW, headers=bearing("website")).status_code == 415


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data"),
        (b"", "multipart/form-data; boundary=b"),
        (b"--b\r\n\r\nx", "multipart/form-data; boundary=b"),
        (b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\ny\r\n--b--", "multipart/form-data; boundary=b"),
        (b"--b\r\n" + b"x" * 20_000 + b"\r\n\r\ny\r\n--b--", "multipart/form-data; boundary=b"),
        (b"--b--", "multipart/form-data; boundary=\u00e9"),
        (b"--b" + b"\r\n--b" * 1_000_000 + b"--", "multipart/form-data; boundary=b"),
    ],
)
def test_a_form_that_is_none_is_refused(body: bytes, kind: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(bodies.UnreadableBody):
            bodies.pictures(body, kind)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(body) + 1_000_000, "however many parts it has"
    finally:
        tracemalloc.stop()


def test_a_form_keeps_every_byte_of_its_files() -> None:
    data = bytes(range(256)) * 3 + b"\r\n--not the boundary\r\n"
    head = (
        b'--x y\r\nContent-Disposition: form-data; name="f"; filename="\xc3\xa9.png"\r\nContent-Type: image/png\r\n\r\n'
    )
    [sent] = bodies.pictures(head + data + b"\r\n--x y--\r\n", 'multipart/form-data; boundary="x y"')
    assert (sent.name, sent.data) == ("é.png", data)


def test_what_blocks_too_much_is_flagged_observed_and_released(asked: TestClient, state: Path) -> None:
    near = [encoded(Image.open(io.BytesIO(KNOWN[3])), quality=quality) for quality in (50, 60, 70, 80)]
    decided = [check(asked, data, "website").json() for data in near]
    assert [each["decision"] for each in decided] == ["block"] * 3 + ["allow"]
    assert decided[3]["observed"] == ["1003"] and "observed, and not blocked" in decided[3]["reason"]
    assert check(asked, KNOWN[3], "website").json()["decision"] == "block", "an exact copy is blocked in any case"
    assert asked.get("/v1/quarantine", headers=bearing("ana")).json() == {"flagged": ["1003"], "observed": ["1003"]}
    for path, method in (("/v1/quarantine", "GET"), ("/v1/quarantine/1003", "DELETE")):
        refused = asked.request(method, path, headers=bearing("website"))
        assert refused.status_code == 403 and "--operator-token-file" in refused.json()["reason"]
        assert asked.request(method, path).status_code == 401
    assert Quarantine(2, True, state / "quarantine.json").observed == {1003}, "it is kept"
    for name, status in (("1003", 200), ("1003", 404), ("x", 404)):
        assert asked.delete(f"/v1/quarantine/{name}", headers=bearing("ana")).status_code == status
    assert check(asked, near[0], "website").json()["decision"] == "block"


@pytest.mark.parametrize(
    "said", [b"{not json", b'{"a": 1}', b'["x"]', b"", b"null", b"[[1]]", b"\xff", b"[1e400]", b"[" * 99_999]
)
def test_a_quarantine_that_cannot_be_read_is_named(tmp_path: Path, said: bytes) -> None:
    file = tmp_path / "quarantine.json"
    file.write_bytes(said)
    with pytest.raises(QuarantineUnusable, match=r"quarantine.json cannot be read: .*; write a list of ids"):
        Quarantine(2, True, file)


def test_a_check_says_why_and_people_answer_it(asked: TestClient, state: Path) -> None:
    answer = check(asked, LIKE, "website")
    name = answer.headers["X-Check-Id"]
    why = asked.get(f"/v1/why/{name}", headers=bearing("website"))
    assert why.json()["answer"] == answer.json()
    assert asked.get(f"/v1/why/{name}", headers=bearing("inside")).status_code == 404, "it is another client's"
    shown = asked.get(f"/v1/why/{name}", headers=bearing("website") | {"Accept": "text/html"})
    assert shown.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "data:image/webp;base64," in shown.text and "1003" in shown.text
    said = {"by": "ana", "why": "a template <b>"}
    for rule in ("confirm", "deconfirm"):
        refused = asked.post(f"/v1/checks/{name}/{rule}", json=said, headers=bearing("website"))
        assert refused.status_code == 403 and "operator" in refused.json()["reason"]
    assert not (state / records.ANSWERS).exists()
    assert asked.get(f"/v1/why/{name}", headers=bearing("ana")).json()["client"] == "website", "an operator sees all"
    for wrong in ({"by": "ana"}, {"by": "ana\x1b[2J", "why": "a template"}):
        assert asked.post(f"/v1/checks/{name}/deconfirm", json=wrong, headers=bearing("ana")).status_code == 422
    kept = asked.post(f"/v1/checks/{name}/deconfirm", json=said, headers=bearing("ana")).json()
    asked.post(f"/v1/checks/{name}/confirm", json=said, headers=bearing("ana"))
    lines = [json.loads(line) for line in (state / records.ANSWERS).read_text().splitlines()]
    assert lines[0] == kept
    assert [line["answer"] for line in lines] == ["deconfirm", "confirm"]
    assert (kept["by"], kept["why"], kept["decision"], kept["cluster_ids"]) == ("ana", said["why"], "block", ["1003"])
    assert kept["pixel_sha256"] == answer.json()["pixel_sha256"]
    assert asked.post("/v1/checks/none/confirm", json=said, headers=bearing("ana")).status_code == 404


def test_without_an_operators_token_nobody_operates(guard: Guard, state: Path) -> None:
    capacity, flags = Capacity(1, 8, 600, 600, 2_000_000, 8_000_000), Quarantine(2, True, None)
    for token in (None, "the token of the only client"):
        for own in (None, "the token of an operator"):
            options = ServiceOptions(60, token, lambda _: None, ("testserver",), quarantine=flags, operator_token=own)
            asked = TestClient(GuardService(Current(guard), capacity, Metrics(), options).app)
            plain = {"Authorization": f"Bearer {token}"} if token else {}
            assert asked.post("/v1/check", content=NEW, headers=plain).status_code == 200
            assert asked.get("/v1/quarantine", headers=plain).status_code == 403
            given = asked.get("/v1/quarantine", headers={"Authorization": f"Bearer {own}"})
            assert given.status_code == (200 if own else 401 if token else 403)


def test_what_people_answer_becomes_decisions_and_entries_of_the_list(
    asked: TestClient, guard: Guard, state: Path, tmp_path: Path
) -> None:
    said = {"by": "ana", "why": "a template"}
    for data, client, rule in (
        (LIKE, "website", "deconfirm"),  # blocked
        (NEW, "website", "deconfirm"),  # allowed
        (KNOWN[1], "inside", "confirm"),  # allowed in shadow mode alone
        (b"no image", "website", "confirm"),
    ):
        name = check(asked, data, client).headers["X-Check-Id"]
        assert asked.post(f"/v1/checks/{name}/{rule}", json=said, headers=bearing("ana")).status_code == 200
    file, home = state / records.ANSWERS, Decided(tmp_path / "warehouse")
    with pytest.raises(exchange.ImportRefused, match="line 4: the check had not decided"):
        exchange.read(file, ByteLimits(), None, None)
    left_out: list[str] = []
    found = exchange.read(file, ByteLimits(), None, None, left_out.append)
    assert left_out == ["the check had not decided: the guard could not search"]
    assert [(each.kind, each.answer, each.decided_by, each.reason) for each in found] == [
        ("guard_block", "allow", "ana", "a template"),
        ("guard_block", "block", "ana", "a template"),
        ("guard_block", "block", "ana", "a template"),
    ]
    assert found[0].decided_at == datetime.fromisoformat(json.loads(file.read_text().splitlines()[0])["at"])
    log = DecisionLog(home.home)
    assert (log.add(found), log.add(exchange.read(file, ByteLimits(), None, None, left_out.append))) == (3, 0)

    home.land(a=["one row"])
    home.show("a", [10])
    logged = [guard_row(guard.check(LIKE))]
    home.facts["guard_checks"].append(pa.Table.from_pylist(logged, SCHEMAS["guard_checks"]).to_batches())
    home.derive()
    home.publish_once()
    assert dict(home.query("select decision_id, waits_for from reports.decisions")) == {
        found[0].decision_id: None,
        found[1].decision_id: "no check of the image is logged, and no generation shows it",
        found[2].decision_id: "no check of the image is logged, and no generation shows it",
    }
    assert home.query("select decision_made, decided_by from provenance.guard_log") == [("allow", "ana")]
    *_, entries = exchange.write(log.all(), tmp_path / "list", ())
    decided = Guard(guard.bundle, Blurred(), Overrides.read(entries))
    assert [decided.check(data).decision for data in (LIKE, NEW, KNOWN[1])] == ["allow", "block", "block"]


def test_records_are_forgotten_after_their_time_and_answers_are_not(
    guard: Guard, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, verdict = CheckRecords(state, 2), guard.check(KNOWN[0])
    kept.add("old", "", verdict)
    kept.answered("old", records.CONFIRM, "ana", "so it is")
    later = records.time.time() + 3 * 86_400
    monkeypatch.setattr(records.time, "time", lambda: later)
    with pytest.raises(NoRecord):
        kept.why("old")
    assert kept._purged is not None
    kept._purged -= 3_601  # an hour of the clock that nobody sets
    kept.add("new", "", verdict)
    assert kept._con.execute("select check_id from checks").fetchall() == [("new",)]
    assert (state / records.ANSWERS).read_text().count("\n") == 1
    kept.close()


def test_a_record_that_cannot_be_kept_is_counted_and_delays_nothing(
    asked: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(CheckRecords, "add", full)
    assert check(asked, NEW, "website").json()["decision"] == "allow"
    assert "raisonne_guard_records_lost_total 1.0" in asked.get("/metrics", headers=bearing("inside")).text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no client"),
        ("[a]\n", "token_file"),
        ('[a]\ntoken_file = "none.token"\n', "none.token"),
        ('[a]\ntoken_file = "website.token"\ncopy_score = 3\n', "copy_score"),
        ('[a]\ntoken_file = "website.token"\ncolour = 3\n', "colour"),
        ('[a]\ntoken_file = "website.token"\n[b]\ntoken_file = "website.token"\n', "the same token"),
        ("[a", "clients.toml"),
    ],
)
def test_clients_that_cannot_be_used_are_named(tmp_path: Path, text: str, reason: str) -> None:
    file = clients_file(tmp_path)
    file.write_text(text)
    with pytest.raises(ClientsUnusable, match=reason):
        read(file)


def test_a_policy_that_the_bundle_cannot_decide_by_is_refused(guard: Guard, tmp_path: Path) -> None:
    strict = Guard.load(bundles.write(tmp_path / "bundle", KNOWN))
    for changes, reason in (
        ({"pixels_decide": True}, "--with-evidence"),
        ({"p_value": 0.1}, "calibrated"),
    ):
        with pytest.raises(ValueError, match=reason):
            strict.varied(changes)
    assert guard.varied({"copy_score": 0.9}).policy.copy_score == 0.9
    assert guard.policy.copy_score == 0.95


def test_the_dashboard_asks_for_metrics_that_there_are(asked: TestClient) -> None:
    board = json.loads((ROOT / "deploy" / "grafana-guard.json").read_text())
    asked_for = " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    for data in (KNOWN[3], NEW):
        check(asked, data)
    asked.post("/v1/check", content=NEW)  # without a token
    there = {
        line.split("{")[0].split(" ")[0] for line in asked.get("/metrics", headers=bearing("inside")).text.splitlines()
    }
    names = {
        word for word in asked_for.replace("(", " ").replace("{", " ").replace("[", " ").split() if "raisonne" in word
    }
    assert names and {name.rstrip(")") for name in names} <= there


def test_an_innocent_picture_takes_its_resemblance_away_and_entries_expire(guard: Guard, tmp_path: Path) -> None:
    listed = tmp_path / "entries.jsonl"
    about = {"by": "ben", "reason": "our logo"}
    logo = {"rule": "innocent", "pdq": pdq(decode(KNOWN[3], 10**6)).hex} | about
    for until, decision in ((None, "allow"), ("2999-01-01", "allow"), ("2020-01-01", "block")):
        listed.write_text(json.dumps(logo | ({"until": until} if until else {})))
        loaded = Guard.load(guard.bundle.folder, Blurred(), listed)
        assert loaded.check(LIKE).decision == decision
        assert loaded.check(KNOWN[1]).decision == "block"
    told = loaded.lets_through()
    assert len(told) == 1 and "cluster 1003, which 4 rows show, such as https://images.example.org/3.jpg" in told[0]
    for until in ("tomorrow", "2027-01-01T10:00:00"):
        listed.write_text(json.dumps(logo | {"until": until}))
        with pytest.raises(ValueError, match="`until`"):
            Guard.load(guard.bundle.folder, Blurred(), listed)


def test_a_flat_picture_says_that_it_was_not_compared_by_hash(guard: Guard) -> None:
    flat = np.full((64, 64, 3), 90, np.uint8)
    flat[:, 32:] += 3
    verdict = guard.check(flat)
    assert "not compared by perceptual hash: too flat" in verdict.reason


def test_requests_that_fail_keep_nothing_of_a_bundle_that_was_replaced(
    guard: Guard, tmp_path: Path, state: Path
) -> None:
    """A bundle has files open, and what waits for the collector of cycles would use them up at every update."""
    current = Current(copy.copy(guard))
    current.guard.bundle = copy.copy(guard.bundle)
    kept = weakref.ref(current.guard.bundle)
    asked, late = client_of(current, tmp_path, state, 600), client_of(current, tmp_path, tmp_path / "late", 0)
    headers = bearing("website")
    gc.collect()
    gc.disable()
    try:
        statuses = [
            check(asked, NEW, "website").status_code,
            check(asked, KNOWN[3][:900], "website").status_code,
            check(asked, b"no picture", "website").status_code,
            check(asked, b"{}", "website", **{"Content-Type": "application/json"}).status_code,
            asked.post("/v1/lookup", content=b"[", headers=headers).status_code,
            asked.post("/v1/checks", content=b"no form", headers=headers).status_code,
            asked.get("/v1/why/none", headers=headers).status_code,
            check(asked, bytes(2_000_001), "website").status_code,
            check(late, NEW, "website").status_code,
        ]
        assert statuses == [200, 422, 422, 415, 422, 415, 404, 413, 503]
        current.guard = guard
        assert kept() is None
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        frames = [each.f_code for each in gc.garbage if isinstance(each, FrameType)]
        ours = str(ROOT / "orchestration"), str(ROOT / "transforms")
        assert not {code.co_qualname for code in frames if code.co_filename.startswith(ours)}, "with bodies of requests"
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_a_decoder_that_dies_or_hangs_is_not_noticed_by_a_request_beside_it(
    guard: Guard, asked: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoders are killed and stopped while requests come: each is answered, and none is allowed unseen."""
    pool, hasty = DecoderPool(), client_of(guard, tmp_path, tmp_path / "hasty", 2)
    monkeypatch.setattr(requests, "POOL", pool)
    enough = threading.Event()

    def harm() -> None:
        while not enough.wait(0.02):
            for number, process in enumerate(list(pool.all)):
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL if number else signal.SIGSTOP)

    with ThreadPoolExecutor(3) as threads:
        harming = threads.submit(harm)
        asking = [threads.submit(check, hasty, data, "website") for data in [NEW, KNOWN[3]] * 3]
        answers = [each.result() for each in asking]
        enough.set()
        harming.result()
    decided = {answer.json()["decision"] for answer in answers[1::2]}
    assert decided <= {"block", "unavailable"}
    assert {answer.status_code for answer in answers} <= {200, 422, 503}
    for process in list(pool.all):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
    pool.close()
    assert [check(asked, data, "website").json()["decision"] for data in (NEW, KNOWN[3])] == ["allow", "block"]
    pool.close()
