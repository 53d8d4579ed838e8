"""The service's OpenAPI document: paths, answers, and the shape of a verdict.

What belongs here: the document. What does not: answering (`guard/service/app.py`), what a verdict is
(`transforms/guard/`).
"""

from typing import Any

from pydantic import TypeAdapter

from transforms.guard import Verdict
from transforms.guard import verdict as words

_REFUSAL = {
    "type": "object",
    "required": ["decision", "reason"],
    "properties": {"decision": {"const": "unavailable"}, "reason": {"type": "string"}},
}
_UNAUTHORIZED = {"401": {"description": "The bearer token is missing or wrong."}}


def openapi(version: str, body_bytes: int, *, token: bool) -> dict[str, Any]:
    """Return the document, in OpenAPI 3.1.

    Args:
        version: That of raisonne.
        body_bytes: Most bytes of an image.
        token: Whether requests need a bearer token.
    """
    image = {"schema": {"type": "string", "format": "binary"}}
    check = {
        "operationId": "check",
        "summary": "May this image be shown?",
        "requestBody": {"required": True, "content": {"application/octet-stream": image, "image/*": image}},
        "responses": _answers(body_bytes),
    }
    paths = {
        "/v1/check": {"post": check},
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
    if token:
        document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        for operation in (paths["/v1/check"]["post"], paths["/metrics"]["get"]):
            operation["security"] = [{"bearer": []}]
            operation["responses"] |= _UNAUTHORIZED
    return document


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
    return parts | {"Verdict": verdict, "Refusal": _REFUSAL}
