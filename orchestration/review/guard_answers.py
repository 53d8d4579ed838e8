"""What people answered about checks of the guard's service, as decisions: the lines of its `answers.jsonl`.

What belongs here: telling such a line, and what it decides. What does not: keeping them at the service
(`guard/service/records.py`), reading files of decisions (`review/exchange.py`).

An answer says whether a check decided rightly. As a decision it is about the image: block or allow. In shadow mode the
service let an image through that it would have blocked; then the answer is about that.
"""

from collections.abc import Mapping
from typing import Any

_OPPOSITE = {"block": "allow", "allow": "block"}
_RIGHT, _WRONG = "confirm", "deconfirm"


class NoImageDecided(ValueError):
    """An answer decides about no image. The message says why."""


def is_answer(fields: Mapping[str, Any]) -> bool:
    """Return whether a record is a line of the service's answers.

    Args:
        fields: Its values by name.
    """
    return "check_id" in fields and fields.get("answer") in (_RIGHT, _WRONG)


def as_decision(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer as the fields of a decision. The same answer always gives the same decision.

    Args:
        fields: The values of its line.

    Raises:
        NoImageDecided: If the check did not decide, or could not read the image.
    """
    decided = fields.get("would") or fields.get("decision")
    if not isinstance(decided, str) or decided not in _OPPOSITE:
        raise NoImageDecided("the check had not decided: the guard could not search")
    if not fields.get("pixel_sha256"):
        raise NoImageDecided("the check had no pixels of the image")
    return {
        "kind": "guard_block",
        "answer": decided if fields["answer"] == _RIGHT else _OPPOSITE[decided],
        "picture_a": fields["pixel_sha256"],
        "decided_by": fields.get("by"),
        "decided_at": fields.get("at"),
        "reason": fields.get("why"),
        "verdict_seen": fields.get("verdict"),
    }
