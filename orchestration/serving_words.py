"""What the service says besides verdicts: its logs, its metrics, its description.

What belongs here: the shape of log lines, Prometheus metrics, the OpenAPI document. What does not: answering requests
(`serving.py`). Nothing here ever holds an image or a part of one.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic import TypeAdapter

from transforms.guard import Verdict

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
MEDIA = ("application/octet-stream", "image/*")


class JsonLines(logging.Formatter):
    """One line of JSON a record: time, level, event, and the fields that the record was given."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        said: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        said |= {name: value for name, value in vars(record).items() if name not in _PLAIN}
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


class Metrics:
    """What a service counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        new = {"registry": self.registry, "namespace": "raisonne_guard"}
        self.checks = Counter("checks", "Images checked, by decision and by what decided.", ["decision", "by"], **new)
        self.refused = Counter("refused", "Requests that were not checked, by status.", ["status"], **new)
        self.reloads = Counter("reloads", "Bundles loaded after the first, or refused.", ["outcome"], **new)
        self.seconds = Histogram(
            "check_seconds", "From the arrival of a request to its verdict.", buckets=_BUCKETS, **new
        )
        self.inside = Gauge("checks_inside", "Checks under way or waiting.", **new)
        self.bundle = Gauge("bundle_rows", "Training rows behind the bundle in use.", ["bundle", "encoder"], **new)

    def reloaded(self, loaded: bool) -> None:
        """Count a reload."""
        self.reloads.labels("loaded" if loaded else "refused").inc()


def openapi(version: str, body_bytes: int, *, token: bool) -> dict[str, Any]:
    """Describe the service in OpenAPI 3.1."""
    schema = TypeAdapter(Verdict).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    parts = schema.pop("$defs")
    for name in ("cluster_id", "sample_id"):
        parts["Source"]["properties"][name] = {"type": "string", "pattern": "^[0-9]+$"}
    parts |= {
        "Verdict": schema,
        "Refusal": {
            "type": "object",
            "required": ["decision", "reason"],
            "properties": {"decision": {"const": "unavailable"}, "reason": {"type": "string"}},
        },
    }
    for part in parts.values():
        part.pop("description", None)

    def answer(text: str, part: str = "Refusal") -> dict[str, Any]:
        return {
            "description": text,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{part}"}}},
        }

    answers = {
        "200": answer("Checked. Only the decision `allow` is a permission.", "Verdict"),
        "408": answer("The body did not arrive in time."),
        "413": answer(f"The body has more than {body_bytes:,} bytes."),
        "415": answer("The body is said to be no image."),
        "422": answer("The body cannot be read as an image; it is not allowed.", "Verdict"),
        "429": answer("Too many checks are under way; `Retry-After` says when to try again.")
        | {"headers": {"Retry-After": {"schema": {"type": "integer"}}}},
        "503": answer("Not checked in time, or not at all; it is not allowed."),
    } | ({"401": answer("The bearer token is missing or another.")} if token else {})
    image = {"schema": {"type": "string", "format": "binary"}}
    said: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Raisonné guard", "version": version},
        "paths": {
            "/v1/check": {
                "post": {
                    "operationId": "check",
                    "summary": "May this image be shown?",
                    "requestBody": {"required": True, "content": dict.fromkeys(MEDIA, image)},
                    "responses": answers,
                }
            },
            **{
                path: {
                    "get": {
                        "operationId": path[1:],
                        "summary": summary,
                        "responses": {code: {"description": text} for code, text in codes.items()},
                    }
                }
                for path, summary, codes in (
                    ("/healthz", "Does the process answer?", {"200": "It does."}),
                    ("/readyz", "Can it check?", {"200": "It can.", "503": "It is ending."}),
                    (
                        "/metrics",
                        "Metrics for Prometheus.",
                        {"200": "In its text format."}
                        | ({"401": "The bearer token is missing or another."} if token else {}),
                    ),
                )
            },
        },
        "components": {"schemas": parts},
    }
    if token:
        said["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        for path in ("/v1/check", "/metrics"):
            for operation in said["paths"][path].values():
                operation["security"] = [{"bearer": []}]
    return said
