"""The curators' desk on the web: `raisonne review`.

What belongs here: requests and answers. What does not: who gets which item (`review/desk.py`), what an item shows
(`review/items.py`), who may ask (`review/people.py`), the page (`transforms/reports/templates/review.html.j2`).

Only a decision that is on disk is answered with 200. Whoever gets no answer sends the same decision again.
"""

import logging
import re
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from orchestration.review import items, pixels, queues
from orchestration.review.desk import MODES, Desk, DeskSession, Wish
from orchestration.review.editions import Edition, Editions
from orchestration.review.people import NAME, People
from orchestration.review.pixels import DeskPictures, Unreadable
from orchestration.review.queues import QUEUES, Item
from orchestration.runtime import web_connections
from orchestration.warehouse import lake
from orchestration.warehouse.queries import fetch_rows, query
from transforms.reports import review_page
from transforms.review.decisions import DecisionError

_LOG = logging.getLogger("raisonne.review")
_BODY = 65_536  # bytes
_HEAD_S = 10.0
_DIGITS = 19
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SAFE = {
    "Content-Security-Policy": "frame-ancestors 'none'; object-src 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PICTURE = {"Cache-Control": "private, max-age=3600", "Content-Security-Policy": "default-src 'none'"}


class DeskRefusal(Exception):
    """Answers a request with a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class DeskOptions:
    """How the desk asks.

    Attributes:
        blind: Whether verdicts, numbers and the answers of others are hidden.
        hosts: The names by which requests may call the server.
    """

    blind: bool
    hosts: Sequence[str]


class DeskService:
    """The ASGI application of a desk."""

    def __init__(
        self,
        editions: Editions,
        desk: Desk,
        pictures: DeskPictures,
        people: People,
        options: DeskOptions,
    ) -> None:
        """Set the routes up.

        Args:
            editions: The published version that is asked about, and what follows it.
            desk: Who gets which item.
            pictures: What is shown of pictures.
            people: Who may ask.
            options: How it asks.
        """
        self._editions, self._desk, self._pictures, self._options = editions, desk, pictures, options
        self._page = review_page.render(version=editions.current.version, blind=options.blind)
        routes = [
            Route("/", self._shown, methods=["GET"]),
            Route("/v1/state", self._state, methods=["GET"]),
            Route("/v1/take", self._take, methods=["POST"]),
            Route("/v1/decide", self._decide, methods=["POST"]),
            Route("/v1/undo", self._undo, methods=["POST"]),
            Route("/v1/picture", self._picture, methods=["GET"]),
            Route("/v1/generation", self._generation, methods=["GET"]),
            Route("/v1/laid", self._laid, methods=["GET"]),
        ]
        handlers: Mapping[Any, Any] = {DeskRefusal: self._refuse, Exception: self._fail}
        limit = Middleware(RequestBodyLimitMiddleware, _BODY)
        self.app = people.protected(
            Starlette(routes=routes, exception_handlers=handlers, middleware=[limit]), options.hosts
        )

    async def _shown(self, _: Request) -> Response:
        return HTMLResponse(self._page, headers=_SAFE)

    async def _state(self, request: Request) -> Response:
        name = request.scope[NAME]
        state = {"name": name, "queues": self._desk.progress(name)} | await run_in_threadpool(self._versions)
        return JSONResponse(state, headers=_SAFE)

    def _versions(self) -> dict[str, object]:
        """Return the version that is asked about, and the published one if it is not taken up yet, and why."""
        number, why = self._editions.newer() or (None, "")
        return {"version": self._editions.current.version, "newer": number, "newerRefused": why}

    async def _take(self, request: Request) -> Response:
        given = await _body(request)
        session, queue = self._session(request, given), _one_of(given, "queue", QUEUES)
        return await run_in_threadpool(self._taken, session, queue, given)

    def _taken(self, session: DeskSession, queue: str, given: Mapping[str, Any]) -> Response:
        if (made := self._editions.renew()) is not None:
            self._desk.renew(made.queues)
        mode = _one_of(given, "mode", MODES, "ranked")
        if given.get("again") and (item := self._desk.held(session, queue)) is not None:
            return self._answer(session, item, mode)
        text = str(given.get("search") or "").strip()[:200]
        edition = self._editions.current
        with lake.cursor(edition.con) as con:
            found = queues.matching(con, edition.queues[queue], text) if text else None
        after = given.get("after", -1)
        if not isinstance(after, int):
            raise DeskRefusal(422, "`after` is a position")
        if (key := _key(given, queue)) is not None:  # it may be elsewhere since
            after = edition.queues[queue].places.get(key, after)
        wish = Wish(queue, mode, after, bool(given.get("back")), found)
        item = self._desk.take(session, wish)
        return self._answer(session, item, mode, found=None if found is None else len(found))

    def _answer(self, session: DeskSession, item: Item | None, mode: str, **more: object) -> Response:
        blind = self._options.blind or mode == "second"
        shown = None
        if item is not None:
            with lake.cursor(self._edition(item).con) as con:
                shown = items.described(con, item, self._desk.decisions(item), blind=blind)
        state = {"item": shown, "queues": self._desk.progress(session.name)} | self._versions() | more
        return JSONResponse(state, headers=_SAFE)

    async def _decide(self, request: Request) -> Response:
        given = await _body(request)
        session, item = self._session(request, given), self._item(given)
        blind = self._options.blind or given.get("mode") == "second"
        try:
            decision = await run_in_threadpool(self._desk.decide, session, item, given | {"blind": blind})
        except DecisionError as error:
            raise DeskRefusal(422, str(error)) from None
        except OSError as error:
            raise DeskRefusal(507, f"the decision was not kept: {error.strerror or error}") from None
        return JSONResponse({"decision_id": decision.decision_id, "answer": decision.answer}, headers=_SAFE)

    async def _undo(self, request: Request) -> Response:
        session = self._session(request, await _body(request))
        try:
            undone = await run_in_threadpool(self._desk.undo, session)
        except OSError as error:
            raise DeskRefusal(507, f"the decision stands: {error.strerror or error}") from None
        if undone is None:
            return JSONResponse({"undone": None, "item": None}, headers=_SAFE)
        decision, item = undone
        place = None if item is None else {"queue": _queue_of(item), "position": item.position}
        return JSONResponse({"undone": decision.answer.replace("_", " "), "item": place}, headers=_SAFE)

    async def _picture(self, request: Request) -> Response:
        row = request.query_params.get("row", "")
        if not (row.isascii() and row.isdigit() and len(row) <= _DIGITS + 1 and int(row) < 2**64):
            raise DeskRefusal(422, "`row` is a sample_id")
        return await self._jpeg(self._pictures.training, int(row))

    async def _generation(self, request: Request) -> Response:
        item = self._item(request.query_params)
        return await self._jpeg(self._pictures.generated, await run_in_threadpool(self._path, item))

    async def _laid(self, request: Request) -> Response:
        item, part = self._item(request.query_params), request.query_params.get("part")
        if part not in pixels.PARTS or item.sample_b is None:
            raise DeskRefusal(422, f"`part` is one of {', '.join(pixels.PARTS)}, of a pair or a case")
        if item.sample_a is not None:
            return await self._jpeg(self._pictures.laid, item.sample_a, item.sample_b, part, None, None)
        about = await run_in_threadpool(self._evidence, item)
        laid = about["path"], item.sample_b, part, about["homography"], about["region"]
        return await self._jpeg(self._pictures.laid, *laid)

    async def _jpeg(self, make: Any, *given: object) -> Response:  # noqa: ANN401 -- a method of DeskPictures
        try:
            return Response(await run_in_threadpool(make, *given), media_type="image/jpeg", headers=_PICTURE)
        except Unreadable as error:
            raise DeskRefusal(404, str(error)) from None

    def _path(self, item: Item) -> str:
        return str(self._evidence(item)["path"])

    def _evidence(self, item: Item) -> dict[str, Any]:
        with lake.cursor(self._edition(item).con) as con:
            values = {"generation": item.generation_id, "row": item.sample_b}
            rows = fetch_rows(con.execute(query("review/evidence"), values))
        if not rows:
            raise DeskRefusal(404, "the image is not among the generations")
        return rows[0]

    def _session(self, request: Request, given: Mapping[str, Any]) -> DeskSession:
        page = given.get("session")
        if not isinstance(page, str) or not 0 < len(page) <= 64:
            raise DeskRefusal(422, "`session` names the page that asks")
        return DeskSession(request.scope[NAME], page)

    def _item(self, given: Mapping[str, Any]) -> Item:
        """Return the item that a page shows: by its place in the version that it is of, else by its pictures."""
        name, version = _one_of(given, "queue", QUEUES), str(given.get("version", ""))
        seen = int(version) if version.isascii() and version.isdigit() and len(version) < _DIGITS else None
        key, edition = _key(given, name), self._editions.current if seen is None else self._editions.of(seen)
        if edition is not None:
            queue, position = edition.queues[name], str(given.get("position", ""))
            known = position.isascii() and position.isdigit() and len(position) < _DIGITS
            place = queue.places.get(key) if key is not None else int(position) if known else None
            if place is not None and place < len(queue):
                return queue[place]
        if key is None or seen is None:
            raise DeskRefusal(422, "`position` is that of an item of the queue")
        return Item.named(key, seen)  # of a version that is gone: the answer is about its pictures all the same

    def _edition(self, item: Item) -> Edition:
        if (found := self._editions.of(item.version)) is None:
            raise DeskRefusal(410, "the version that this item is of is gone; go on to the next item")
        return found

    async def _refuse(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, DeskRefusal)  # noqa: S101 -- Starlette calls it for these only
        return JSONResponse({"reason": error.reason}, error.status, headers=_SAFE)

    async def _fail(self, _: Request, error: Exception) -> Response:
        """Answer a request that failed because of a defect. Nothing was decided that this does not say."""
        _LOG.error("request failed", exc_info=error)
        return JSONResponse({"reason": "the request failed; nothing was kept by it"}, 500, headers=_SAFE)


def _key(given: Mapping[str, Any], queue: str) -> tuple[str, str, str] | None:
    """Return what names the item of a request: the digests of its pictures. None where it names none."""
    digests = [str(given.get(name) or "") for name in ("picture_a", "other")]
    if not digests[0]:
        return None
    kind = QUEUES[queue]
    if not all(_DIGEST.fullmatch(each) for each in digests if each or kind in ("pair", "case")):
        raise DeskRefusal(422, "`picture_a` and `other` are SHA-256 of pixels")
    return kind, digests[0], digests[1]


def _queue_of(item: Item) -> str:
    return next(name for name, kind in QUEUES.items() if kind == item.kind)


def _one_of(given: Mapping[str, Any], name: str, known: Mapping[str, str] | Sequence[str], usual: str = "") -> str:
    value = given.get(name) or usual
    if not isinstance(value, str) or value not in known:
        raise DeskRefusal(422, f"`{name}` is one of {', '.join(known)}")
    return value


async def _body(request: Request) -> dict[str, Any]:
    try:
        given = await request.json()
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or a number of thousands of digits
        raise DeskRefusal(400, "send a JSON object") from None
    if not isinstance(given, dict):
        raise DeskRefusal(400, "send a JSON object")
    return given


def serve(service: DeskService, listening: socket.socket) -> None:
    """Answer requests until SIGTERM or SIGINT.

    Args:
        service: The application.
        listening: A bound socket.
    """
    config = uvicorn.Config(
        service.app,
        log_level="warning",
        access_log=False,  # addresses may hold the token
        server_header=False,
        http=web_connections.timed(web_connections.BrowserConnection, _HEAD_S),
        ws="none",
        timeout_graceful_shutdown=5,
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again after it ends
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])
