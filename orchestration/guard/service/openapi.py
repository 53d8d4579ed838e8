"""The service's OpenAPI document: paths, answers, and the shape of a verdict.

What belongs here: the document. What does not: answering (`guard/service/app.py`), what a verdict is
(`transforms/guard/`).
"""

from typing import Any

from pydantic import TypeAdapter

from orchestration.guard.service.bodies import LOOKUPS, PICTURES
from transforms.guard import Verdict
from transforms.guard import verdict as words

_REFUSAL = {
    "type": "object",
    "required": ["decision", "reason"],
    "properties": {"decision": {"const": "unavailable"}, "reason": {"type": "string"}},
}
_FILE = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"images": {"type": "array", "items": _FILE, "maxItems": PICTURES}}}
_HASH = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
_LOOKUP = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "id": {"type": ["string", "integer"]},
        "sha256": _HASH,
        "pixel_sha256": _HASH,
        "pdq": {"oneOf": [_HASH, {"type": "array", "items": _HASH, "minItems": 1, "maxItems": 8}]},
        "pdq_quality": {"type": "integer", "minimum": 0, "maximum": 100},
    },
}
_LOOKUPS = {
    "type": "object",
    "required": ["hashes"],
    "properties": {"hashes": {"type": "array", "items": _LOOKUP, "minItems": 1, "maxItems": LOOKUPS}},
}
_ANSWER = {
    "type": "object",
    "required": ["by", "why"],
    "properties": {"by": {"type": "string", "minLength": 1}, "why": {"type": "string", "minLength": 1}},
}
_OPEN = ("/healthz", "/readyz")
_OPERATED = (
    "/v1/checks/{name}/confirm",
    "/v1/checks/{name}/deconfirm",
    "/v1/quarantine",
    "/v1/quarantine/{cluster}",
)
_FORBIDDEN = "It needs the token of an operator, or its Origin is not this server."
_UNAUTHORIZED = {"401": {"description": "The bearer token is missing or wrong."}}


def openapi(version: str, body_bytes: int, *, token: bool) -> dict[str, Any]:
    """Return the document, in OpenAPI 3.1.

    Args:
        version: That of raisonne.
        body_bytes: Most bytes of an image.
        token: Whether all requests need a bearer token; those of operators do in any case.
    """
    image = {"schema": {"type": "string", "format": "binary"}}
    check: dict[str, Any] = {
        "operationId": "check",
        "summary": "May this image be shown?",
        "requestBody": {"required": True, "content": {"application/octet-stream": image, "image/*": image}},
        "responses": _answers(body_bytes),
    }
    picture = {"multipart/form-data": {"schema": {"type": "object", "properties": {"image": image["schema"]}}}}
    check["requestBody"]["content"] |= picture
    name = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
    cluster = [{"name": "cluster", "in": "path", "required": True, "schema": {"type": "string"}}]
    answered = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": _part("Answer")}}},
        "parameters": name,
        "responses": _kept("What was kept of the answer."),
    }
    paths: dict[str, dict[str, Any]] = {
        "/v1/check": {"post": check},
        "/v1/checks": {
            "post": _posted("checks", "May these images be shown?", "multipart/form-data", _FORM, body_bytes)
        },
        "/v1/lookup": {"post": _posted("lookup", "Look hashes up.", "application/json", _LOOKUPS, body_bytes)},
        "/v1/why/{name}": {
            "get": {
                "operationId": "why",
                "summary": "Why was a check decided so?",
                "parameters": name,
                "responses": _kept("The record of the check, as JSON or a page."),
            }
        },
        "/v1/checks/{name}/confirm": {"post": {"operationId": "confirm", "summary": "It was right."} | answered},
        "/v1/checks/{name}/deconfirm": {"post": {"operationId": "deconfirm", "summary": "It was wrong."} | answered},
        "/v1/quarantine": {"get": {"operationId": "quarantine", **_get("What is flagged?", {"200": "Ids."})["get"]}},
        "/v1/quarantine/{cluster}": {
            "delete": {
                "operationId": "release",
                "summary": "Let it block again.",
                "parameters": cluster,
                "responses": _kept("It was flagged, and no longer is."),
            }
        },
        "/healthz": _get("Does the process answer?", {"200": "It does."}),
        "/readyz": _get(
            "Can it check?", {"200": "It can.", "503": "It is ending, or a file of its bundle was changed."}
        ),
        "/metrics": _get("Metrics for Prometheus.", {"200": "In its text format."}),
    }
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Raisonné guard", "version": version},
        "paths": paths,
        "components": {"schemas": _schemas()},
    }
    document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, methods in paths.items():
        operated = path in _OPERATED
        for operation in methods.values() if operated or (token and path not in _OPEN) else ():
            forbidden = {"403": _json(_FORBIDDEN, _part("Refusal"))} if operated else {}
            operation["security"] = [{"bearer": []}]
            operation["responses"] = operation["responses"] | _UNAUTHORIZED | forbidden
    return document


def _posted(name: str, summary: str, kind: str, shape: dict[str, Any], body_bytes: int) -> dict[str, Any]:
    answers = _answers(body_bytes)
    answers["200"] = {"description": "An answer to each, in order.", "content": {"application/json": {}}}
    answers["422"] = _json("The body holds none of what it must hold.", _part("Refusal"))
    body = {"required": True, "content": {kind: {"schema": shape}}}
    return {"operationId": name, "summary": summary, "requestBody": body, "responses": answers}


def _kept(what: str) -> dict[str, Any]:
    codes = {"404": "Nothing of that name is kept.", "422": "The body lacks `by` or `why`."}
    codes |= {
        "408": "The body did not arrive in time.",
        "413": "The body is too long.",
        "429": "Too much is under way.",
    }
    codes |= {"403": "Its Origin is not this server.", "503": "What is kept cannot be used."}
    refused = {code: _json(text, _part("Refusal")) for code, text in codes.items()}
    return {"200": {"description": what, "content": {"application/json": {}}}, **refused}


def _get(summary: str, answers: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {"get": {"summary": summary, "responses": {code: {"description": text} for code, text in answers.items()}}}


def _answers(body_bytes: int) -> dict[str, Any]:
    verdicts = {
        "200": "Checked. Only the decision `allow` is a permission.",
        "422": "The body cannot be read as an image, or not compared as a whole; it is not allowed.",
    }
    refusals = {
        "403": "Its Origin is not this server.",
        "408": "The body did not arrive in time.",
        "413": f"The body has more than {body_bytes:,} bytes.",
        "415": "The content type is not that of an image.",
        "429": "Too many checks are in progress; `Retry-After` holds the seconds to wait.",
    }
    either = {"oneOf": [_part("Verdict"), _part("Refusal")]}
    return {
        "400": {"description": "The host name is none of the service's.", "content": {"text/plain": {}}},
        **{code: _json(text, _part("Verdict")) for code, text in verdicts.items()},
        **{code: _json(text, _part("Refusal")) for code, text in refusals.items()},
        "503": _json("Not checked in time, or not at all; it is not allowed.", either),
    }


def _part(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(text: str, shape: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": shape}}}


def _schemas() -> dict[str, Any]:
    verdict = TypeAdapter(Verdict).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    parts = verdict.pop("$defs")
    for name in ("cluster_id", "sample_id"):  # 63 bits, so text in JSON
        parts["Source"]["properties"][name] = {"type": "string", "pattern": "^[0-9]+$"}
    for name, terms in (("decision", words.DECISIONS), ("verdict", words.VERDICTS)):
        verdict["properties"][name] = {"type": "string", "enum": list(terms)}
    parts["Evidence"]["properties"]["method"] = {"type": "string", "enum": list(words.METHODS)}
    verdict["properties"]["observed"] = {"type": "array", "items": {"type": "string", "pattern": "^[0-9]+$"}}
    return parts | {"Verdict": verdict, "Refusal": _REFUSAL, "Answer": _ANSWER}
