"""The service's logs and metrics.

What belongs here: the shape of log lines, Prometheus metrics. What does not: answering requests
(`guard/service/app.py`). Neither logs nor metrics hold any part of an image.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from transforms.guard import Verdict

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_DECIDED = ("decision", "would")
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON: time, level, event, and its extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        fields: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        fields |= {name: value for name, value in vars(record).items() if name not in _PLAIN}
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class Metrics:
    """The metrics of a service."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        checks, by = "raisonne_guard_checks", ["decision", "by"]
        self.checks = Counter(checks, "Images checked, by decision and by what decided.", by, registry=registry)
        clients, of = (
            "Images checked, by client, decision, and what was decided but not enforced.",
            ["client", *_DECIDED],
        )
        self.clients = Counter("raisonne_guard_client_checks", clients, of, registry=registry)
        verdicts = "Images checked, by the word of the verdict."
        self.verdicts = Counter("raisonne_guard_verdicts", verdicts, ["verdict"], registry=registry)
        lookups = "Hashes looked up, by the word of the verdict."
        self.lookups = Counter("raisonne_guard_lookups", lookups, ["verdict"], registry=registry)
        refused = "Requests that were not checked, by status."
        self.refused = Counter("raisonne_guard_refused", refused, ["status"], registry=registry)
        reloads = "Bundles loaded after the first, or refused."
        self.reloads = Counter("raisonne_guard_reloads", reloads, ["outcome"], registry=registry)
        seconds = "From the arrival of a request to its verdict."
        self.seconds = Histogram("raisonne_guard_check_seconds", seconds, buckets=_BUCKETS, registry=registry)
        self.inside = Gauge("raisonne_guard_checks_inside", "Checks in progress or waiting.", registry=registry)
        bundle = "Training rows behind the bundle in use."
        self.bundle = Gauge("raisonne_guard_bundle_rows", bundle, ["bundle", "encoder"], registry=registry)
        quarantined = "Clusters that blocked too many images within an hour and wait for somebody to look."
        self.quarantined = Gauge("raisonne_guard_quarantined", quarantined, registry=registry)
        answers = "Answers of people to checks."
        self.answers = Counter("raisonne_guard_answers", answers, ["answer"], registry=registry)
        unkept = "Checks that were answered and whose record could not be kept."
        self.unkept = Counter("raisonne_guard_records_lost", unkept, registry=registry)

    def reloaded(self, loaded: bool) -> None:
        """Count a reload, loaded or refused."""
        self.reloads.labels("loaded" if loaded else "refused").inc()

    def checked(self, verdict: Verdict, client: str, seconds: float) -> str:
        """Count a check, and return what decided it.

        Args:
            verdict: As it was answered.
            client: Who asked.
            seconds: From the arrival of the request.
        """
        by = verdict.evidence.method if verdict.evidence else "none"
        self.checks.labels(verdict.decision, by).inc()
        self.clients.labels(client, verdict.decision, verdict.would or "").inc()
        self.verdicts.labels(verdict.verdict).inc()
        self.seconds.observe(seconds)
        return by
