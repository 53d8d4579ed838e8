"""The guard over HTTP: `raisonne serve`.

What belongs here: requests and answers. What does not: checking (`transforms/guard/`), admission
(`guard/service/admission.py`), replacing the bundle (`guard/service/current_bundle.py`), the OpenAPI document
(`guard/service/openapi.py`), logs and metrics (`guard/service/telemetry.py`).

Only status 200 with the decision `allow` is a permission. Every error gives another status or decision.
"""

import asyncio
import logging
import resource
import signal
import socket
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orchestration.guard.service import bodies, evidence_page
from orchestration.guard.service.admission import Admission, Capacity, QueueFull, Slot, TooLarge, TooLate, TooSlow
from orchestration.guard.service.bodies import SentPicture, UnreadableBody
from orchestration.guard.service.clients import OPERATOR, Client, asking
from orchestration.guard.service.costs import is_costly
from orchestration.guard.service.current_bundle import CurrentGuard
from orchestration.guard.service.decider import Decider
from orchestration.guard.service.openapi import openapi
from orchestration.guard.service.quarantine import Quarantine
from orchestration.guard.service.records import CONFIRM, DECONFIRM, CheckRecords, NoRecord
from orchestration.guard.service.telemetry import JsonLines, Metrics
from orchestration.runtime import web_connections
from orchestration.runtime.web_access import LOOPBACK, OwnOrigin, called_by_name
from transforms.guard import BundleChanged, Verdict

_LOG = logging.getLogger("raisonne.guard")
_FILES = 65_536  # open at once, connections and two bundles; what a shell allows, 1,024, idle connections use up
_NO_OPERATOR = (
    "this needs the token of an operator: serve with --operator-token-file, or with `operator = true` in --clients"
)


class Refusal(Exception):
    """Answers a request without a verdict. `retry_s`: seconds after which to send it again."""

    def __init__(self, status: int, reason: str, retry_s: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.retry_s = status, reason, retry_s


@dataclass(frozen=True)
class ServiceOptions:
    """Options of a service besides its capacity.

    Attributes:
        every_s: Seconds between looks for a new bundle.
        token: Bearer token that requests need; None if they need none, or if `clients` have their own.
        record: Takes every verdict, and returns at once.
        hosts: The names that requests may call the service by, without a port; `*` for any.
        clients: Who asks, and by which policy. Default: one client, with the token.
        records: Keeps what was decided, and what people answer; None: nothing is kept.
        quarantine: Flags what blocks too much. Default: nothing is.
        operator_token: Bearer token of an operator, beside those of `clients` that are operators.
    """

    every_s: float
    token: str | None
    record: Callable[[Verdict], object]
    hosts: tuple[str, ...] = LOOPBACK
    clients: tuple[Client, ...] = ()
    records: CheckRecords | None = None
    quarantine: Quarantine = field(default_factory=lambda: Quarantine(None, False, None))
    operator_token: str | None = None

    @property
    def asking(self) -> tuple[Client, ...]:
        """Everybody who may ask."""
        operators = () if self.operator_token is None else (Client(OPERATOR, self.operator_token, operator=True),)
        return (*(self.clients or (Client(token=self.token),)), *operators)


class FastConnection(web_connections.TimedHeads, HttpToolsProtocol):
    """A connection that reads requests with httptools."""


async def _of_records[**P, T](work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Work on records in a thread, and return the result. Raises Refusal."""
    try:
        return await asyncio.to_thread(work, *args, **named)
    except NoRecord as error:
        raise Refusal(404, str(error)) from None
    except (OSError, sqlite3.Error) as error:
        _LOG.error("records unusable", extra={"reason": str(error)})
        raise Refusal(503, "the records of checks cannot be used", 1) from None


def _refusal(error: Exception) -> Refusal:
    """Return the refusal of a request that was not admitted, or not read."""
    match error:
        case Refusal():
            return error
        case QueueFull():
            return Refusal(429, str(error), error.retry_s)
        case TooLarge():
            return Refusal(413, str(error))
        case TooSlow():
            return Refusal(408, str(error))
        case TooLate():
            return Refusal(503, str(error), 1)
        case UnreadableBody():
            return Refusal(error.status, str(error))
    return Refusal(400, "the connection ended before the body did")


_REFUSED = (Refusal, QueueFull, TooLarge, TooSlow, TooLate, UnreadableBody, ClientDisconnect)


class GuardService:
    """The ASGI application of a guard."""

    def __init__(self, current: CurrentGuard, capacity: Capacity, metrics: Metrics, options: ServiceOptions) -> None:
        self._current, self._metrics, self._options = current, metrics, options
        self._admission = Admission(capacity)
        self._decider = Decider(current, metrics, options)
        self._ending = False
        token = all(client.token is not None for client in options.asking)
        self._openapi = openapi(version("raisonne"), capacity.body_bytes, token=token)
        routes = [
            ("/v1/check", self._check, "POST"),
            ("/v1/checks", self._checks, "POST"),
            ("/v1/lookup", self._lookup, "POST"),
            ("/v1/why/{name}", self._why, "GET"),
            ("/v1/checks/{name}/confirm", self._confirm, "POST"),
            ("/v1/checks/{name}/deconfirm", self._deconfirm, "POST"),
            ("/v1/quarantine", self._quarantined, "GET"),
            ("/v1/quarantine/{cluster}", self._release, "DELETE"),
            ("/healthz", self._health, "GET"),
            ("/readyz", self._ready, "GET"),
            ("/metrics", self._measured, "GET"),
            ("/openapi.json", self._described, "GET"),
        ]
        self.app = Starlette(
            routes=[Route(path, endpoint, methods=[method]) for path, endpoint, method in routes],
            middleware=[Middleware(called_by_name, options.hosts), Middleware(OwnOrigin, self._refuse_page)],
            exception_handlers={**dict.fromkeys(_REFUSED, self._refuse), Exception: self._fail},
            lifespan=self._life,
        )

    @property
    def body_s(self) -> float:
        """The seconds within which a body has to arrive, and a head."""
        return self._admission.capacity.body_s

    @property
    def bundle(self) -> str:
        """The name of the bundle in use."""
        return self._current.guard.bundle.name

    @asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        self._watch()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._current.ask)
        try:
            yield
        finally:
            self._ending = True
            self._watching.cancel()
            self._admission.close()
            if self._options.records is not None:
                self._options.records.close()
            _LOG.info("stopped")

    def _watch(self) -> None:
        self._watching = asyncio.create_task(self._current.watch(self._options.every_s))
        self._watching.add_done_callback(self._failed)

    def _failed(self, watching: "asyncio.Task[None]") -> None:
        """Log a reload that failed because of a defect, and keep watching. The bundle in use stays."""
        if not watching.cancelled() and (error := watching.exception()):
            self._metrics.reloaded(False)
            _LOG.error("reload failed", exc_info=error)
            self._watch()

    async def _check(self, request: Request) -> Response:
        client, kind = self._authorize(request), request.headers.get("content-type")
        arrived, name = time.perf_counter(), uuid.uuid4().hex
        async with self._admitted(request) as (slot, body):
            image = bodies.picture(body, kind)
            verdict = await self._admission.run(
                slot,
                lambda limit: self._decider.check(client, image, name, limit),
                costly=is_costly(image, self._current.guard.frames),
            )
        self._decider.told(client, verdict, name, len(image), time.perf_counter() - arrived)
        status = 200 if verdict.decision != "unavailable" else 503 if verdict.temporary else 422
        headers = {"X-Check-Id": name, "X-Guard-Bundle": verdict.searched.bundle}
        return JSONResponse(verdict.as_dict(), status, headers | ({"Retry-After": "1"} if status == 503 else {}))

    async def _checks(self, request: Request) -> Response:
        """Check the files of a form one after the other, in the place and the time of one request."""
        client, kind = self._authorize(request), request.headers.get("content-type")
        arrived = time.perf_counter()

        def each(sent: list[SentPicture], limit: float) -> list[tuple[str, str, int, Verdict]]:
            until, done = time.monotonic() + limit, []
            for picture in sent:
                name, left = uuid.uuid4().hex, max(0.0, until - time.monotonic())
                verdict = self._decider.check(client, picture.data, name, left)
                done.append((picture.name, name, len(picture.data), verdict))
            return done

        async with self._admitted(request) as (slot, body):
            sent = await asyncio.to_thread(bodies.pictures, body, kind)
            costly = any(is_costly(picture.data, self._current.guard.frames) for picture in sent)
            done = await self._admission.run(slot, lambda limit: each(sent, limit), costly=costly)
        for _, name, size, verdict in done:
            self._decider.told(client, verdict, name, size, time.perf_counter() - arrived)
        return JSONResponse(
            {"checks": [{"name": own, "check_id": name} | verdict.as_dict() for own, name, _, verdict in done]}
        )

    async def _lookup(self, request: Request) -> Response:
        client = self._authorize(request)
        async with self._admitted(request) as (slot, body):
            answers = await self._admission.run(
                slot, lambda limit: self._decider.look_up(client, bodies.lookups(body), limit)
            )
        return JSONResponse({"bundle": answers[0]["searched"]["bundle"], "lookups": answers})

    @asynccontextmanager
    async def _admitted(self, request: Request) -> AsyncIterator[tuple[Slot, bytes]]:
        """Hold a place for a request, and yield it with the body. Raises what `_refusal` knows.

        What is raised in its body leaves it as it is: a generator that raises another error keeps the frames of the
        request, its body and its bundle until the collector of cycles finds them.
        """
        with self._admission.slot() as slot:
            if int(request.headers.get("content-length") or 0) > self._admission.capacity.body_bytes:
                raise TooLarge(f"an image may have {self._admission.capacity.body_bytes:,} bytes")
            yield slot, await self._admission.read(slot, request.stream())

    async def _why(self, request: Request) -> Response:
        client = self._authorize(request)
        record = await _of_records(self._decider.why, client, request.path_params["name"])
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(evidence_page.page(record, self._current.guard.bundle), headers=evidence_page.HEADERS)
        return JSONResponse(record)

    async def _confirm(self, request: Request) -> Response:
        return await self._answered(request, CONFIRM)

    async def _deconfirm(self, request: Request) -> Response:
        return await self._answered(request, DECONFIRM)

    async def _answered(self, request: Request, rule: str) -> Response:
        client = self._operator(request)
        async with self._admitted(request) as (_, body):
            by, why = bodies.answer_of(body)
        name = request.path_params["name"]
        return JSONResponse(await _of_records(self._decider.answered, client, name, rule, by, why))

    async def _quarantined(self, request: Request) -> Response:
        self._operator(request)
        quarantine = self._options.quarantine
        flagged, observed = (sorted(map(str, each)) for each in (quarantine.flagged, quarantine.observed))
        return JSONResponse({"flagged": flagged, "observed": observed})

    async def _release(self, request: Request) -> Response:
        client, cluster = self._operator(request), request.path_params["cluster"]
        number = int(cluster) if cluster.isdecimal() and len(cluster) <= 20 else -1
        if not await _of_records(self._options.quarantine.release, number):
            raise Refusal(404, "no such cluster is in quarantine")
        _LOG.info("quarantine ended", extra={"cluster": cluster, "client": client.name})
        return JSONResponse({"released": cluster})

    def _authorize(self, request: Request) -> Client:
        client = asking(self._options.asking, request.headers.get("authorization", ""))
        if client is None:
            raise Refusal(401, "the bearer token is missing or wrong")
        return client

    def _operator(self, request: Request) -> Client:
        client = self._authorize(request)
        if not client.operator:
            raise Refusal(403, _NO_OPERATOR)
        return client

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"alive": True})

    async def _ready(self, _: Request) -> Response:
        bundle, ready = self._current.guard.bundle, not self._ending
        try:
            bundle.require_unchanged()
        except BundleChanged:
            ready = False
        return JSONResponse({"ready": ready, "bundle": bundle.name}, 200 if ready else 503)

    async def _measured(self, request: Request) -> Response:
        self._authorize(request)
        bundle = self._current.guard.bundle
        self._metrics.quarantined.set(len(self._options.quarantine.flagged))
        self._metrics.inside.set(self._admission.inside)
        self._metrics.bundle.clear()
        self._metrics.bundle.labels(bundle.name, bundle.encoder or "").set(bundle.searched.rows)
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def _described(self, _: Request) -> Response:
        return JSONResponse(self._openapi)

    def _refuse_page(self, reason: str, status: int) -> Response:
        self._metrics.refused.labels(str(status)).inc()
        return JSONResponse({"decision": "unavailable", "reason": reason}, status)

    async def _refuse(self, _: Request, error: Exception) -> Response:
        refusal = _refusal(error)
        self._metrics.refused.labels(str(refusal.status)).inc()
        headers = {} if refusal.retry_s is None else {"Retry-After": str(refusal.retry_s)}
        headers |= {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else {}
        return JSONResponse({"decision": "unavailable", "reason": refusal.reason}, refusal.status, headers)

    async def _fail(self, _: Request, error: Exception) -> Response:
        """Answer a request that failed because of a defect. The image is not allowed."""
        self._metrics.refused.labels("503").inc()
        _LOG.error("check failed", exc_info=error)
        return JSONResponse({"decision": "unavailable", "reason": "the check failed"}, 503)


def serve(service: GuardService, listening: socket.socket, grace_s: float) -> None:
    """Answer requests until SIGTERM or SIGINT, then finish the accepted ones.

    Args:
        service: The application.
        listening: a bound socket.
        grace_s: Most seconds for the accepted requests.
    """
    config = uvicorn.Config(
        service.app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        http=web_connections.timed(FastConnection, service.body_s),
        ws="none",
        limit_concurrency=None,
        backlog=2048,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if files != resource.RLIM_INFINITY and files < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again after it ends
        signal.signal(number, lambda *_: None)
    host, port = listening.getsockname()[:2]
    _LOG.info("listening", extra={"host": host, "port": port, "bundle": service.bundle})
    uvicorn.Server(config).run(sockets=[listening])


def log_to_stderr() -> None:
    """Log to standard error, one line of JSON an event."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    _LOG.setLevel(logging.INFO)
