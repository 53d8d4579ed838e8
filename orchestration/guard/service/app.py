"""The guard over HTTP: `raisonne serve`.

What belongs here: requests and answers. What does not: checking (`transforms/guard/`), admission
(`guard/service/admission.py`), replacing the bundle (`guard/service/current_bundle.py`), the OpenAPI document
(`guard/service/openapi.py`), logs and metrics (`guard/service/telemetry.py`).

Only status 200 with the decision `allow` is a permission. Every error gives another status or decision.
"""

import asyncio
import logging
import signal
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orchestration.guard.service.admission import Admission, Capacity, QueueFull, TooLarge, TooLate, TooSlow
from orchestration.guard.service.current_bundle import CurrentGuard
from orchestration.guard.service.openapi import openapi
from orchestration.guard.service.telemetry import JsonLines, Metrics
from orchestration.runtime import web_connections
from orchestration.runtime.web_access import LOOPBACK, OwnOrigin, bears, called_by_name
from transforms.guard import BundleChanged, Verdict

_LOG = logging.getLogger("raisonne.guard")


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
        token: Bearer token that requests need; None if they need none.
        record: Takes every verdict, and returns at once.
        hosts: The names that requests may call the service by, without a port; `*` for any.
    """

    every_s: float
    token: str | None
    record: Callable[[Verdict], object]
    hosts: tuple[str, ...] = LOOPBACK


class FastConnection(web_connections.TimedHeads, HttpToolsProtocol):
    """A connection that reads requests with httptools."""


class GuardService:
    """The ASGI application of a guard."""

    def __init__(self, current: CurrentGuard, capacity: Capacity, metrics: Metrics, options: ServiceOptions) -> None:
        self._current, self._metrics, self._options = current, metrics, options
        self._admission = Admission(capacity)
        self._ending = False
        self._openapi = openapi(version("raisonne"), capacity.body_bytes, token=options.token is not None)
        self.app = Starlette(
            routes=[
                Route("/v1/check", self._check, methods=["POST"]),
                Route("/healthz", self._health, methods=["GET"]),
                Route("/readyz", self._ready, methods=["GET"]),
                Route("/metrics", self._measured, methods=["GET"]),
                Route("/openapi.json", self._described, methods=["GET"]),
            ],
            middleware=[Middleware(called_by_name, options.hosts), Middleware(OwnOrigin, self._refuse_page)],
            exception_handlers={Refusal: self._refuse, Exception: self._fail},
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
        self._authorize(request)
        kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
        if not (kind.startswith("image/") or kind == "application/octet-stream"):
            raise Refusal(415, "send the bytes of an image, as image/* or application/octet-stream")
        arrived, name = time.perf_counter(), uuid.uuid4().hex
        try:
            with self._admission.slot() as slot:
                if int(request.headers.get("content-length") or 0) > self._admission.capacity.body_bytes:
                    raise TooLarge(f"an image may have {self._admission.capacity.body_bytes:,} bytes")
                body = await self._admission.read(slot, request.stream())
                guard = self._current.guard  # read once: one answer comes from one bundle
                verdict = await self._admission.run(slot, lambda limit: guard.check(body, limit))
        except QueueFull as error:
            raise Refusal(429, str(error), error.retry_s) from None
        except TooLarge as error:
            raise Refusal(413, str(error)) from None
        except TooSlow as error:
            raise Refusal(408, str(error)) from None
        except TooLate as error:
            raise Refusal(503, str(error), 1) from None
        except ClientDisconnect:
            raise Refusal(400, "the connection ended before the body did") from None
        return self._answer(verdict, name, len(body), time.perf_counter() - arrived)

    def _answer(self, verdict: Verdict, name: str, size: int, seconds: float) -> Response:
        by = verdict.evidence.method if verdict.evidence else "none"
        self._metrics.checks.labels(verdict.decision, by).inc()
        self._metrics.seconds.observe(seconds)
        self._options.record(verdict)
        status = 200 if verdict.decision != "unavailable" else 503 if verdict.temporary else 422
        _LOG.info(
            "check",
            extra={
                "check_id": name,
                "status": status,
                "decision": verdict.decision,
                "by": by,
                "clusters": [str(source.cluster_id) for source in verdict.sources],
                "bytes": size,
                "check_ms": verdict.latency_ms,
                "request_ms": round(seconds * 1000, 3),
                "bundle": verdict.searched.bundle,
            },
        )
        headers = {"X-Check-Id": name, "X-Guard-Bundle": verdict.searched.bundle}
        return JSONResponse(verdict.as_dict(), status, headers | ({"Retry-After": "1"} if status == 503 else {}))

    def _authorize(self, request: Request) -> None:
        token = self._options.token
        if token is not None and not bears(request, token):
            raise Refusal(401, "the bearer token is missing or wrong")

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
        assert isinstance(error, Refusal)  # noqa: S101 -- Starlette calls it for these only
        self._metrics.refused.labels(str(error.status)).inc()
        headers = {} if error.retry_s is None else {"Retry-After": str(error.retry_s)}
        headers |= {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
        return JSONResponse({"decision": "unavailable", "reason": error.reason}, error.status, headers)

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
