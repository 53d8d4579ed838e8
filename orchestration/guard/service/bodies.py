"""What the body of a request holds: pictures, or hashes.

What belongs here: reading bodies of the kinds that clients send. What does not: admission of bytes
(`guard/service/admission.py`), checking (`transforms/guard/`).
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from transforms.pictures import HEAD, begins_as_picture

LOOKUPS, PICTURES = 10_000, 64  # of a request
_PARTS = 4 * PICTURES  # of a form, fields included
_JSON = 16_000_000  # bytes of look-ups; 10,000 of 8 hashes each have 6 million
_IMAGE, _MULTIPART = "image/", "multipart/form-data"
_BOUNDARY = re.compile(r'boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb'name="([^"\r\n]*)"', re.IGNORECASE)
_FILE = re.compile(rb'filename="([^"\r\n]*)"', re.IGNORECASE)
_HEADS = 16_384  # bytes of the head of a part


class UnreadableBody(ValueError):
    """A body holds none of what it must hold. `status`: of the answer."""

    def __init__(self, reason: str, status: int = 422) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class SentPicture:
    """A picture of a body. `name`: what its client calls it, for a batch."""

    name: str
    data: bytes


def declared(content_type: str | None) -> str:
    """Return the kind of a body as its header states it, without parameters; empty if it states none.

    Args:
        content_type: The header.
    """
    return (content_type or "").partition(";")[0].strip().lower()


def picture(body: bytes, content_type: str | None) -> bytes:
    """Return the one picture of a body: as it is, or the only file of a form.

    A body that is not said to be a picture is one if it begins as one.

    Args:
        body: Its bytes.
        content_type: The header.

    Raises:
        UnreadableBody: If there is none, or more than one.
    """
    kind = declared(content_type)
    if kind == _MULTIPART:
        parts = pictures(body, content_type)
        if len(parts) != 1:
            raise UnreadableBody(f"a form with {len(parts)} files; send one, or POST several to /v1/checks")
        return parts[0].data
    said_to_be = not kind or kind == "application/octet-stream" or kind.startswith(_IMAGE)
    if not said_to_be and not begins_as_picture(body[:HEAD]):
        raise UnreadableBody("send the bytes of an image, as image/* or application/octet-stream", 415)
    return body


def pictures(body: bytes, content_type: str | None) -> list[SentPicture]:
    """Return the pictures of a form, in its order.

    Args:
        body: Its bytes.
        content_type: The header.

    Raises:
        UnreadableBody: If it is no form, or has no file or too many.
    """
    if declared(content_type) != _MULTIPART:
        raise UnreadableBody("send a form with files, as multipart/form-data", 415)
    found = _BOUNDARY.search(content_type or "")
    if not found:
        raise UnreadableBody("the content type has no boundary")
    try:
        mark = b"--" + (found[1] or found[2]).encode("ascii")
    except UnicodeEncodeError:
        raise UnreadableBody("the boundary is not of ASCII") from None
    pieces = (b"\r\n" + body).split(b"\r\n" + mark, _PARTS + 2)  # more would take memory
    if len(pieces) > _PARTS + 2:
        raise UnreadableBody(f"a form may have at most {_PARTS} parts, {PICTURES} of them files")
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise UnreadableBody("the form is not whole: its last boundary is missing")
    sent = []
    for piece in pieces[1:-1]:
        head, ended, data = piece.partition(b"\r\n\r\n")
        if not ended or len(head) > _HEADS:
            raise UnreadableBody("a part of the form has no head, or one that is too long")
        if (file := _FILE.search(head)) or b"content-type: image/" in head.lower():
            name = file[1] if file else b""
            if not name and (field := _NAME.search(head)):
                name = field[1]
            sent.append(SentPicture(name.decode("utf-8", "replace")[:255], data))
    if not 0 < len(sent) <= PICTURES:
        raise UnreadableBody(f"a form with {len(sent)} files; it may have 1 to {PICTURES}")
    return sent


def lookups(body: bytes) -> list[Any]:
    """Return the look-ups of a body: JSON, an object with `hashes`, a list.

    Args:
        body: Its bytes.

    Raises:
        UnreadableBody: If it is none, or has too many.
    """
    if len(body) > _JSON:
        raise UnreadableBody(f"look-ups may have {_JSON:,} bytes", 413)
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableBody(f"the body is no JSON: {error}") from None
    hashes = said.get("hashes") if isinstance(said, dict) else None
    if not isinstance(hashes, list) or not 0 < len(hashes) <= LOOKUPS:
        raise UnreadableBody(f'send {{"hashes": [...]}} with 1 to {LOOKUPS:,} look-ups')
    return hashes


def answer_of(body: bytes) -> tuple[str, str]:
    """Return who answers and why, of a body that confirms or takes back: JSON with `by` and `why`.

    Args:
        body: Its bytes.

    Raises:
        UnreadableBody: If either is missing.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableBody(f"the body is no JSON: {error}") from None
    by, why = (said.get("by"), said.get("why")) if isinstance(said, dict) else (None, None)
    if not (isinstance(by, str) and isinstance(why, str) and 0 < len(by) <= 200 and 0 < len(why) <= 2_000):
        raise UnreadableBody('send {"by": who decides, "why": the reason}')
    if not by.isprintable():  # terminals and logs show it
        raise UnreadableBody("`by` is a name without control characters")
    return by, why
