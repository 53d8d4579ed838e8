"""A decision: who answered what about which pictures, and which of several decisions is in force.

What belongs here: the words, checking a decision, and which decisions hold. What does not: files of decisions
(`orchestration/review/exchange.py`), what follows from them (`duplicates/decided_clusters.py`, `sql/`).

A later answer to the same question takes the place of an earlier one. An undo takes an answer back, and the one before
it holds again. Nothing is removed: `sql/catalog/decisions.sql` tells the same of the published rows.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

UNDO = "undo"
UNSURE = "unsure"
ANSWERS: Mapping[str, tuple[str, ...]] = {
    "pair": ("same", "different", UNSURE),
    "cluster": ("fine", "keep", "remove_all", UNSURE),
    "case": ("copy", "not_a_copy", UNSURE),
    "guard_block": ("block", "allow", UNSURE),
}
"""What may be said of each kind of item, besides `undo`."""
QUEUES = ("ranked", "sampled", "second", "imported")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST = 4_000  # characters of a reason or a name
_TWO = {"pair", "case"}  # kinds that are about two pictures


class DecisionError(ValueError):
    """Something is no decision; the message says what is wrong with it."""


@dataclass(frozen=True)
class Decision:
    """An answer about pictures, which are named by the SHA-256 of their pixels.

    Attributes:
        kind: One of `ANSWERS`.
        answer: One of the answers of its kind, or `undo`.
        picture_a: The lower digest of a pair; the representative of a cluster; the generation; the image blocked.
        picture_b: The other of a pair; the picture to keep; the training picture. None for other answers.
        undoes: The decision that an undo takes back.
        version_seen: The published version that was looked at.
        stratum: Of a sampled item, the group that it was drawn from, which has `stratum_size` items.
        probability: How likely the item was to be drawn.
    """

    decision_id: str
    decided_at: datetime
    decided_by: str
    kind: str
    answer: str
    picture_a: str
    picture_b: str | None = None
    undoes: str | None = None
    reason: str | None = None
    version_seen: int | None = None
    verdict_seen: str | None = None
    method_seen: str | None = None
    seconds: float | None = None
    queue: str | None = None
    blind: bool | None = None
    stratum: str | None = None
    stratum_size: int | None = None
    probability: float | None = None

    @property
    def question(self) -> tuple[str, ...]:
        """What it answers: two decisions with the same question contradict or repeat each other."""
        if self.kind in _TWO:
            return self.kind, self.picture_a, self.picture_b or ""
        about = "kept" if self.answer == "keep" else ""  # which row stays, and what goes, are two questions
        return self.kind, self.picture_a, about

    @property
    def said(self) -> tuple[str | None, ...]:
        """What is answered about which pictures: what decisions with one `decision_id` have in common."""
        return self.kind, self.answer, self.picture_a, self.picture_b, self.undoes

    def as_dict(self) -> dict[str, object]:
        """Return its values by name, for a table."""
        return asdict(self)


COLUMNS = tuple(each.name for each in fields(Decision))


def in_force(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that hold, the earliest first: neither undone nor followed by another answer."""
    ordered = sorted(decisions, key=lambda each: (each.decided_at, each.decision_id))
    undone = {each.undoes for each in ordered if each.answer == UNDO}
    last: dict[tuple[str, ...], Decision] = {}
    for each in ordered:
        if each.answer != UNDO and each.decision_id not in undone:
            last.pop(each.question, None)
            last[each.question] = each
    return list(last.values())


def checked(given: Mapping[str, object]) -> Decision:
    """Return a decision from values of a file, a form or a table.

    Args:
        given: Values by the names of `COLUMNS`; others are ignored. `decision_id` may be missing: then it is a hash of
            the rest, so that the same values give the same decision.

    Raises:
        DecisionError: If a value is missing or impossible.
    """
    values = {name: _blank_as_none(given.get(name)) for name in COLUMNS}
    texts = {name: _text(name, values[name]) for name in _TEXTS}
    kind, answer = texts["kind"] or "", texts["answer"] or ""
    if kind not in ANSWERS:
        raise DecisionError(f"`kind` is {kind!r}; it is one of {', '.join(ANSWERS)}")
    if answer not in (*ANSWERS[kind], UNDO):
        raise DecisionError(f"`answer` is {answer!r}; of a {kind} it is one of {', '.join((*ANSWERS[kind], UNDO))}")
    if not (by := texts["decided_by"]):
        raise DecisionError("`decided_by` is missing: who decided")
    if not by.isprintable():  # terminals and logs show it
        raise DecisionError(f"`decided_by` is {by!r}; a name holds no control characters")
    if texts["queue"] not in (None, *QUEUES):
        raise DecisionError(f"`queue` is {texts['queue']!r}; it is one of {', '.join(QUEUES)}")
    a, b = _pictures(kind, answer, texts)
    if (answer == UNDO) != (texts["undoes"] is not None):
        raise DecisionError("`undoes` names the decision that an undo takes back, and no other answer has it")
    at = _moment(values["decided_at"])
    numbers = {name: _number(name, values[name]) for name in ("seconds", "probability")}
    counts = {name: _count(name, values[name]) for name in ("version_seen", "stratum_size")}
    probability = numbers["probability"]
    if probability is not None and not 0 < probability <= 1:
        raise DecisionError(f"`probability` is {probability}; it is above 0 and at most 1")
    rest = {name: texts[name] for name in ("undoes", "reason", "verdict_seen", "method_seen", "queue", "stratum")}
    said = {"kind": kind, "answer": answer, "picture_a": a, "picture_b": b, "decided_by": by}
    name = texts["decision_id"] or _hashed({**said, **rest, "at": at.isoformat() if at else None})
    return Decision(
        decision_id=name,
        decided_at=at or datetime.now(UTC),
        decided_by=by,
        kind=kind,
        answer=answer,
        picture_a=a,
        picture_b=b,
        blind=_flag(values["blind"]),
        seconds=numbers["seconds"],
        probability=probability,
        version_seen=counts["version_seen"],
        stratum_size=counts["stratum_size"],
        **rest,
    )


_TEXTS = (
    "decision_id",
    "decided_by",
    "kind",
    "answer",
    "picture_a",
    "picture_b",
    "undoes",
    "reason",
    "verdict_seen",
    "method_seen",
    "queue",
    "stratum",
)


def _pictures(kind: str, answer: str, texts: Mapping[str, str | None]) -> tuple[str, str | None]:
    for name in ("picture_a", "picture_b"):
        if (value := texts[name]) is not None and not _DIGEST.fullmatch(value.lower()):
            raise DecisionError(f"`{name}` is {value[:80]!r}; it is a SHA-256 of 64 hexadecimal digits")
    a, b = (texts[name] and texts[name].lower() for name in ("picture_a", "picture_b"))  # type: ignore[union-attr]
    if not a:
        raise DecisionError("`picture_a` is missing: the SHA-256 of a picture's pixels")
    if (kind in _TWO or answer == "keep") and not b:
        raise DecisionError(f"`picture_b` is missing: a {kind} answered {answer} is about two pictures")
    if kind == "pair":
        if a == b:
            raise DecisionError("`picture_a` and `picture_b` are one picture: the pixels are equal")
        a, b = min(a, b or ""), max(a, b or "")
    return a, b or None


def _blank_as_none(value: object) -> object:
    return None if value in (None, "") or value != value else value  # a table holds NaN for nothing


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise DecisionError(f"`{name}` is {value!r}; it is text")
    if len(value) > _LONGEST:
        raise DecisionError(f"`{name}` has {len(value):,} characters, more than {_LONGEST:,}")
    return value.encode("utf-8", "replace").decode().strip() or None


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last day of the calendar may be out of it in UTC
        raise DecisionError(f"`decided_at` is {value!r}; write it as 2026-05-17T09:30:00Z") from None


def _number(name: str, value: object) -> float | None:
    try:
        number = None if value is None else float(str(value))
    except ValueError:
        raise DecisionError(f"`{name}` is {value!r}; it is a number") from None
    if number is not None and not 0 <= number < float("inf"):
        raise DecisionError(f"`{name}` is {value!r}; it is a number from 0 on")
    return number


def _count(name: str, value: object) -> int | None:
    number = _number(name, value)
    if number is not None and not (number.is_integer() and number < 2**63):
        raise DecisionError(f"`{name}` is {value!r}; it is a whole number")
    return None if number is None else int(number)


def _flag(value: object) -> bool | None:
    known = {"true": True, "1": True, "false": False, "0": False}
    if value is None:
        return None
    if str(value).lower() not in known:
        raise DecisionError(f"`blind` is {value!r}; it is true or false")
    return known[str(value).lower()]


def _hashed(said: Mapping[str, object]) -> str:
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
