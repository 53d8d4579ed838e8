"""Deciding for a client: its policy, quarantine, shadow mode, and what is kept and counted of a decision.

What belongs here: what happens to a verdict between the guard and the answer. What does not: the verdict
(`transforms/guard/`), requests (`guard/service/app.py`), files (`guard/service/records.py`).
"""

import logging
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from orchestration.guard.service.clients import Client
from orchestration.guard.service.current_bundle import CurrentGuard
from orchestration.guard.service.quarantine import Quarantine
from orchestration.guard.service.records import CheckRecords, NoRecord
from orchestration.guard.service.telemetry import Metrics
from transforms.guard import Guard, Verdict
from transforms.guard.lookups import UnreadableLookup, fingerprint
from transforms.guard.verdict import ALLOW, BLOCK

_LOG = logging.getLogger("raisonne.guard")
_VARIANTS = 256


class DeciderOptions(Protocol):
    """What a decider needs of the options of a service."""

    @property
    def record(self) -> Any: ...  # noqa: ANN401, D102
    @property
    def records(self) -> CheckRecords | None: ...  # noqa: D102
    @property
    def quarantine(self) -> Quarantine: ...  # noqa: D102


class Decider:
    """Decides for clients. Any number of threads may use it."""

    def __init__(self, current: CurrentGuard, metrics: Metrics, options: DeciderOptions) -> None:
        self._current, self._metrics, self._options = current, metrics, options
        # They end with the guard that they are of, so that none keeps a bundle open that was replaced.
        self._variants = WeakKeyDictionary[Guard, dict[tuple[str, frozenset[int]], Guard]]()

    def _guard(self, client: Client) -> Guard:
        """Return the guard of the bundle in use that decides by a client's policy. It is read once a request."""
        guard, observed = self._current.guard, self._options.quarantine.observed
        if not client.changes and not observed:
            return guard
        variants, key = self._variants.setdefault(guard, {}), (client.name, observed)
        known = variants.get(key)
        if known is None:
            if len(variants) >= _VARIANTS:
                variants.clear()
            known = variants[key] = guard.varied(client.changes, observed)
        return known

    def check(self, client: Client, image: bytes, name: str, limit_s: float) -> Verdict:
        """Return the verdict for a client, and keep it.

        Args:
            client: Who asks.
            image: The bytes of a file.
            name: Of the check.
            limit_s: Seconds after which the answer is `unavailable`.
        """
        verdict = self._guard(client).check(image, limit_s)
        if client.shadow and verdict.decision != ALLOW:
            verdict = replace(verdict, decision=ALLOW, would=verdict.decision)
        try:
            if (flagged := self._options.quarantine.count(verdict)) is not None:
                _LOG.warning("quarantine", extra={"cluster": str(flagged), "check_id": name})
            if self._options.records is not None:
                self._options.records.add(name, client.name, verdict)
        except (OSError, sqlite3.Error) as error:
            self._metrics.unkept.inc()
            _LOG.error("record lost", extra={"check_id": name, "reason": str(error)})
        return verdict

    def told(self, client: Client, verdict: Verdict, name: str, size: int, seconds: float) -> None:
        """Count and log a check that is answered.

        Args:
            client: Who asked.
            verdict: The answer.
            name: Of the check.
            size: Bytes of the image.
            seconds: From the arrival of the request.
        """
        by = self._metrics.checked(verdict, client.name, seconds)
        self._options.record(replace(verdict, decision=verdict.would) if verdict.would else verdict)
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
            }
            | ({"client": client.name} if client.name else {})
            | ({"would": verdict.would} if verdict.would else {})
            | ({"observed": list(map(str, verdict.observed))} if verdict.observed else {}),
        )

    def look_up(self, client: Client, asked: Sequence[Any], limit_s: float) -> list[dict[str, Any]]:
        """Return the answers to look-ups, in their order.

        Args:
            client: Who asks.
            asked: Values of JSON.
            limit_s: Seconds after which the rest is `unavailable`.
        """
        guard, until = self._guard(client), time.monotonic() + limit_s
        answers = []
        for fields in asked:
            own = fields.get("id") if isinstance(fields, Mapping) else None
            try:
                if time.monotonic() > until:
                    raise UnreadableLookup("no time was left for it; send fewer at once")
                verdict = guard.look_up(fingerprint(fields, guard.policy.pdq_quality))
            except UnreadableLookup as error:
                verdict = guard.unavailable(f"the look-up cannot be answered: {error}")
            if client.shadow and verdict.decision == BLOCK:
                verdict = replace(verdict, decision="unavailable", would=BLOCK)
            self._metrics.lookups.labels(verdict.verdict).inc()
            said = verdict.as_dict()
            answers.append(({"id": own} if isinstance(own, str | int) else {}) | said)
        return answers

    def why(self, client: Client, name: str) -> dict[str, Any]:
        """Return the record of a check of this client, or of any to an operator. Raises NoRecord, sqlite3.Error.

        Args:
            client: Who asks.
            name: Of the check.
        """
        if self._options.records is None:
            raise NoRecord("nothing is kept of checks: start the service with --state FOLDER")
        record = self._options.records.why(name)
        if record["client"] != client.name and not client.operator:
            raise NoRecord("no check of that name is kept")
        return record

    def answered(self, client: Client, name: str, rule: str, by: str, why: str) -> Mapping[str, Any]:
        """Keep what somebody says of a check. Raises as `why`, and OSError.

        Args:
            client: Who asks.
            name: Of the check.
            rule: `confirm` or `deconfirm`.
            by: Who says so.
            why: Their reason.
        """
        self.why(client, name)
        assert self._options.records is not None  # noqa: S101 -- else there were no record
        said = self._options.records.answered(name, rule, by, why)
        self._metrics.answers.labels(rule).inc()
        _LOG.info("answer", extra={"check_id": name, "answer": rule, "by": by, "client": client.name})
        return said
