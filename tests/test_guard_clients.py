"""Clients of the guard's service, and the safety checker of a pipeline: what goes wrong is no permission."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import bundles
import numpy as np
import pytest
from bundles import Blurred
from conftest import encoded, picture
from test_guard_operations import STRICT, bearing, client_of
from test_serving import TOKEN, serving

import raisonne
from transforms.guard import Guard
from transforms.hashing.hashes import sha256

KNOWN = [encoded(picture(seed)) for seed in range(4)]
NEW = encoded(picture(100))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("clients") / "bundle", KNOWN)


def test_a_client_asks_all_that_the_service_answers(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "operator").write_text("the token of an operator\n")
    operating = "--operator-token-file", str(tmp_path / "operator")
    with serving(folder, "--state", str(tmp_path / "state"), *operating) as service:
        url = f"http://127.0.0.1:{service.port}"
        client = raisonne.GuardClient(url, TOKEN)
        blocked = client.check(KNOWN[2])
        assert (blocked.decision, blocked.verdict, blocked.allowed) == ("block", "exact", False)
        (tmp_path / "new.jpg").write_bytes(NEW)
        assert [client.check(each).allowed for each in (tmp_path / "new.jpg", np.asarray(picture(100)))] == [True, True]
        assert [each.decision for each in client.check_all([KNOWN[1], NEW, b"none"])] == [
            "block",
            "allow",
            "unavailable",
        ]
        assert [each.decision for each in client.look_up([{"sha256": sha256(KNOWN[3])}, {}])] == [
            "block",
            "unavailable",
        ]
        assert client.why(blocked.check_id)["answer"] == blocked.said
        with pytest.raises(PermissionError, match="--operator-token-file"):
            client.deconfirm(blocked.check_id, "ana", "a template")
        operator = raisonne.GuardClient(url, "the token of an operator")
        assert operator.deconfirm(blocked.check_id, "ana", "a template")["answer"] == "deconfirm"
        with pytest.raises(LookupError, match="no check of that name"):
            operator.confirm("none", "ana", "x")
        refused = raisonne.GuardClient(url, "another token").check(NEW)
        assert (refused.allowed, "token" in refused.reason) == (False, True)
        same = raisonne.AsyncGuardClient(url, TOKEN)

        async def both() -> list[str]:
            answers = await asyncio.gather(same.check(NEW), same.check(KNOWN[0]), same.look_up([{"pdq": "0" * 64}]))
            return [answers[0].decision, answers[1].decision, answers[2][0].decision]

        assert asyncio.run(both()) == ["allow", "block", "unavailable"]
        described(service.ask("GET", "/openapi.json").json, {"block": blocked.said})


def described(document: dict, answers: dict[str, object]) -> None:
    """Hold answers against what the document says a verdict is."""
    from jsonschema import Draft202012Validator  # imports take seconds, in each worker

    schema = {"$ref": "#/components/schemas/Verdict", "components": document["components"]}
    for answer in answers.values():
        Draft202012Validator(schema).validate(answer)


ANSWERS = {
    "/allow-as-error": (500, {"decision": "allow"}),
    "/none": (200, "hello"),
    "/html": (200, None),
    "/busy": (503, {"decision": "unavailable", "reason": "busy"}),
}


class Odd(BaseHTTPRequestHandler):
    """A service that answers what no guard answers."""

    asked: list[str] = []  # noqa: RUF012 -- of all

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        place = self.path.removesuffix("/v1/check")
        self.asked.append(place)
        if place == "/later" and self.asked.count(place) > 1:
            status, said = 200, {"decision": "allow", "verdict": "no_match_found", "reason": ""}
        else:
            status, said = ANSWERS.get(place, (429, {"decision": "unavailable", "reason": "full"}))
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(b"<html>" if said is None else json.dumps(said).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def odd() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_what_goes_wrong_is_no_permission(odd: str) -> None:
    for place in ANSWERS:
        answer = raisonne.GuardClient(odd + place).check(NEW)
        assert (answer.decision, answer.allowed) == ("unavailable", False), place
    assert Odd.asked.count("/busy") == 3
    assert raisonne.GuardClient(odd + "/later").check(NEW).allowed, "it is sent again"
    with pytest.raises(ValueError, match="no address of a service"):
        raisonne.GuardClient("localhost:8080")
    nobody = raisonne.GuardClient("http://127.0.0.1:9", tries=1)
    assert nobody.check(NEW).reason.startswith("the guard cannot be reached")
    assert [each.allowed for each in nobody.check_all([NEW, NEW])] == [False, False]


class Tensor:
    """What a checker needs of a tensor."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def detach(self) -> "Tensor":
        return self

    float = cpu = detach

    def numpy(self) -> np.ndarray:
        return self.values

    def __iter__(self) -> Iterator["Tensor"]:
        return (Tensor(each) for each in self.values)

    def __setitem__(self, place: int, value: object) -> None:
        self.values[place] = value


class Pipeline:
    """What diffusers' Stable Diffusion pipelines do with a safety checker: `run_safety_checker` and its caller."""

    def __init__(self, checker: object) -> None:
        self.safety_checker = checker
        self.feature_extractor = lambda images: SimpleNamespace(pixel_values=images)

    def __call__(self, images: object) -> SimpleNamespace:
        clip_input = self.feature_extractor(images).pixel_values
        images, flagged = self.safety_checker(images=images, clip_input=clip_input)  # type: ignore[operator]
        return SimpleNamespace(images=images, nsfw_content_detected=flagged)


def test_a_pipeline_shows_nothing_that_is_not_allowed(folder: Path) -> None:
    guard = Guard.load(folder)
    checker = raisonne.SafetyChecker(guard)
    shown = np.stack([np.asarray(picture(seed)) for seed in (100, 2)]).astype(np.float32) / 255
    made = Pipeline(checker)(shown.copy())
    assert made.nsfw_content_detected == [False, True]
    assert np.array_equal(made.images[0], shown[0]) and not made.images[1].any()
    assert [answer.decision for answer in checker.answers] == ["allow", "block"]
    tensor = Tensor(np.moveaxis(shown, 3, 1) * 2 - 1)
    made = Pipeline(checker)(tensor)
    assert made.nsfw_content_detected == [False, True]
    assert (made.images.values[1] == -1).all() and not (made.images.values[0] == -1).all()
    broken = np.full_like(shown[:1], np.nan)
    assert Pipeline(checker)(broken).nsfw_content_detected == [True]
    reached = raisonne.SafetyChecker(raisonne.GuardClient("http://127.0.0.1:9", tries=1))
    assert Pipeline(reached)(shown.copy()).nsfw_content_detected == [True, True]


def test_answers_are_what_the_document_says(folder: Path, tmp_path: Path) -> None:
    guard = Guard.load(bundles.write(tmp_path / "bundle", KNOWN, Blurred(), STRICT, renditions=4), Blurred())
    asked = client_of(guard, tmp_path, tmp_path / "state", 600)
    document = asked.get("/openapi.json").json()
    sent = {
        name: asked.post("/v1/check", content=data, headers=bearing("website"))
        for name, data in (("a", NEW), ("b", KNOWN[3]), ("c", b"x"))
    }
    described(document, {name: answer.json() for name, answer in sent.items()})
    answer = asked.post("/v1/lookup", json={"hashes": [{"sha256": "0" * 64}]}, headers=bearing("website")).json()
    described(document, dict(enumerate(answer["lookups"])))  # type: ignore[arg-type]
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["responses"] and (path in ("/healthz", "/readyz") or "401" in operation["responses"])
            assert ("operator" in operation["responses"].get("403", {}).get("description", "")) == (
                path.endswith("confirm") or path.startswith("/v1/quarantine")
            )
