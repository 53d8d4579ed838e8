"""Asking a guard's service from Python, with nothing installed but Python.

What belongs here: requests, trying again, the answer. What does not: checking (`transforms/guard/`), the service
(`orchestration/guard/service/`).

Whatever goes wrong is no permission: a service that cannot be reached, or that answers with an error, gives an answer
whose decision is `unavailable`.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np

type Image = bytes | Path | str | np.ndarray
_AGAIN, _FORBIDDEN = (429, 503), (401, 403)
_LONGEST_WAIT = 30.0  # seconds between two tries
_PICTURE = "application/octet-stream"


@dataclass(frozen=True)
class GuardAnswer:
    """What a guard's service says of an image, or of hashes.

    Attributes:
        decision: `allow`, `block` or `unavailable`.
        verdict: The word of the warehouse.
        reason: A sentence.
        check_id: By which the service knows the check; empty if it has none.
        said: The whole answer.
    """

    decision: str
    verdict: str
    reason: str
    check_id: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def allowed(self) -> bool:
        """Whether the image may be shown."""
        return self.decision == "allow"

    @classmethod
    def of(cls, said: Any, check_id: str = "") -> "GuardAnswer":  # noqa: ANN401 -- any value of JSON
        """Read an answer; of anything else it is `unavailable`.

        Args:
            said: Its JSON.
            check_id: The name of the check, if a header had it.
        """
        if not isinstance(said, Mapping) or not isinstance(said.get("decision"), str):
            return unavailable("the service gave no answer of a guard")
        text = {name: str(said.get(name, "")) for name in ("verdict", "reason")}
        return cls(said["decision"], **text, check_id=check_id or str(said.get("check_id", "")), said=said)


def unavailable(reason: str) -> GuardAnswer:
    """Return the answer where there is none.

    Args:
        reason: Why.
    """
    return GuardAnswer("unavailable", "not_searched", reason)


class GuardClient:
    """Asks a guard's service. Any number of threads may use it.

    Args:
        url: Of the service, such as `http://localhost:8080`.
        token: Its bearer token, if it needs one.
        timeout_s: Seconds that an answer may take.
        tries: How often a request is sent that is turned away, or answered by nobody.
    """

    def __init__(self, url: str, token: str | None = None, timeout_s: float = 30.0, tries: int = 3) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address of a service; write one as http://localhost:8080")
        self._connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._address, self._path = (parts.hostname, parts.port), parts.path.rstrip("/")
        self._head = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
        self._timeout_s, self._tries = timeout_s, max(1, tries)

    def check(self, image: Image) -> GuardAnswer:
        """Return whether an image may be shown. Does not raise for what the service does.

        Args:
            image: A path, the bytes of a file, or pixels, uint8 (height, width, 3).
        """
        status, headers, said = self._ask("POST", "/v1/check", _bytes(image), _PICTURE)
        return _answer(status, said, headers.get("X-Check-Id", headers.get("x-check-id", "")))

    def check_all(self, images: Sequence[Image]) -> list[GuardAnswer]:
        """Return whether images may be shown, in one request of at most 64.

        Args:
            images: As of `check`.
        """
        mark = uuid.uuid4().hex
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="images"; filename="{number}"\r\n\r\n'.encode()
            + _bytes(image)
            for number, image in enumerate(images)
        ]
        body = b"\r\n".join([*parts, f"--{mark}--\r\n".encode()])
        status, _, said = self._ask("POST", "/v1/checks", body, f"multipart/form-data; boundary={mark}")
        return self._each(status, said, "checks", len(images))

    def look_up(self, hashes: Sequence[Mapping[str, Any]]) -> list[GuardAnswer]:
        """Return what is known of hashes. None of the answers is a permission.

        Args:
            hashes: Each with `sha256`, `pixel_sha256`, `pdq` and `pdq_quality`, as far as they are known.
        """
        body = json.dumps({"hashes": list(hashes)}).encode()
        status, _, said = self._ask("POST", "/v1/lookup", body, "application/json")
        return self._each(status, said, "lookups", len(hashes))

    def why(self, check_id: str) -> Mapping[str, Any]:
        """Return the record of a check. Raises LookupError if the service has none, PermissionError without a token.

        Args:
            check_id: Its name.
        """
        return self._record("GET", f"/v1/why/{quote(check_id, safe='')}", b"")

    def confirm(self, check_id: str, by: str, why: str) -> Mapping[str, Any]:
        """Say that a decision was right, as an operator. Raises as `why`.

        Args:
            check_id: Its name.
            by: Who says so.
            why: Their reason.
        """
        return self._record("POST", f"/v1/checks/{quote(check_id, safe='')}/confirm", _json(by, why))

    def deconfirm(self, check_id: str, by: str, why: str) -> Mapping[str, Any]:
        """Say that a decision was wrong, as an operator. Raises as `why`.

        Args:
            check_id: Its name.
            by: Who says so.
            why: Their reason.
        """
        return self._record("POST", f"/v1/checks/{quote(check_id, safe='')}/deconfirm", _json(by, why))

    def _record(self, method: str, path: str, body: bytes) -> Mapping[str, Any]:
        status, _, said = self._ask(method, path, body, "application/json")
        if status in _FORBIDDEN:
            raise PermissionError(_answer(status, said).reason)
        if status != 200 or not isinstance(said, Mapping):
            raise LookupError(_answer(status, said).reason)
        return said

    def _each(self, status: int, said: Any, name: str, count: int) -> list[GuardAnswer]:  # noqa: ANN401
        answers = said.get(name) if status == 200 and isinstance(said, Mapping) else None
        if not isinstance(answers, list) or len(answers) != count:
            return [unavailable(_answer(status, said).reason)] * count
        return [GuardAnswer.of(each) for each in answers]

    def _ask(self, method: str, path: str, body: bytes, kind: str) -> tuple[int, Mapping[str, str], Any]:
        """Return the status, the headers and the JSON of an answer; status 0 where there is none."""
        failure = ""
        for left in reversed(range(self._tries)):
            connection = self._connect(*self._address, timeout=self._timeout_s)
            wait = 0.1
            try:
                connection.request(method, self._path + path, body, self._head | {"Content-Type": kind})
                answer = connection.getresponse()
                said = _parsed(answer.read())
                if answer.status not in _AGAIN or not left:
                    return answer.status, dict(answer.headers.items()), said
                stated = answer.headers.get("Retry-After", "")
                wait = min(float(stated) if stated.isdecimal() else 1.0, _LONGEST_WAIT)
            except (OSError, HTTPException) as error:
                failure = f"the guard cannot be reached: {error or type(error).__name__}"
            finally:
                connection.close()
            if left:
                time.sleep(wait)
        return 0, {}, {"decision": "unavailable", "verdict": "not_searched", "reason": failure}


class AsyncGuardClient:
    """Asks a guard's service from a coroutine: as `GuardClient`, each request in a thread of the loop's pool."""

    def __init__(self, url: str, token: str | None = None, timeout_s: float = 30.0, tries: int = 3) -> None:
        self._client = GuardClient(url, token, timeout_s, tries)

    async def check(self, image: Image) -> GuardAnswer:
        """See GuardClient.

        Args:
            image: As there.
        """
        return await asyncio.to_thread(self._client.check, image)

    async def check_all(self, images: Sequence[Image]) -> list[GuardAnswer]:
        """See GuardClient.

        Args:
            images: As there.
        """
        return await asyncio.to_thread(self._client.check_all, images)

    async def look_up(self, hashes: Sequence[Mapping[str, Any]]) -> list[GuardAnswer]:
        """See GuardClient.

        Args:
            hashes: As there.
        """
        return await asyncio.to_thread(self._client.look_up, hashes)


def _answer(status: int, said: Any, check_id: str = "") -> GuardAnswer:  # noqa: ANN401 -- any value of JSON
    """Return an answer. Only status 200 is one that may allow."""
    answer = GuardAnswer.of(said, check_id)
    if status == 200 or not answer.allowed:
        return answer
    return unavailable(f"the service answered with status {status}")


def _parsed(body: bytes) -> Any:  # noqa: ANN401 -- any value of JSON
    try:
        return json.loads(body)
    except ValueError:
        return None


def _json(by: str, why: str) -> bytes:
    return json.dumps({"by": by, "why": why}).encode()


def _bytes(image: Image) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, Path | str):
        return Path(image).read_bytes()
    from PIL import Image as PillowImage

    PillowImage.fromarray(image).save(buffer := BytesIO(), "PNG", compress_level=1)
    return buffer.getvalue()
