"""Overrides by curators: images to block or to allow, and training pictures to ignore.

What belongs here: the list, reading it, and which entry applies. What does not: the guard's own rules
(`guard/check.py`).

A file of JSON lines, one an entry:

    {"rule": "block", "sha256": "9f2c…", "by": "ana", "reason": "a logo that we may not show"}
    {"rule": "block", "pdq": "f8d0…", "by": "ana", "reason": "…"}          and images with a near hash
    {"rule": "allow", "pixel_sha256": "04ab…", "by": "ben", "reason": "…"}  this image alone
    {"rule": "allow", "cluster_id": "706582359591354374", "by": "ben", "reason": "a placeholder: no resemblance counts"}
    {"rule": "innocent", "pdq": "f0f0…", "by": "ben", "reason": "our logo"}  resemblance to what looks like it

An entry may have `until`, a date or a time with its zone in ISO 8601, from which it no longer holds.

A block wins over an allowance. No entry allows by a near hash, because it would allow images that no curator has seen.
`innocent` names a picture that is known to be harmless (a template, a logo, a blank or a test picture): the training
pictures that equal it or have a near hash no longer count. Everything else about an image is still searched.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transforms.fingerprints.fingerprint import OK, Fingerprint
from transforms.hashing.hashes import from_hex
from transforms.joins.hamming import scan

BLOCK, ALLOW, INNOCENT = "block", "allow", "innocent"
_DIGITS, _ID_DIGITS = 64, 20
_KINDS = {BLOCK: ("sha256", "pixel_sha256", "pdq"), ALLOW: ("sha256", "pixel_sha256", "cluster_id")} | {
    INNOCENT: ("sha256", "pixel_sha256", "pdq")
}
_ABOUT = ("rule", "by", "reason", "until")
_MOST = 100_000_000  # bytes of a list: half a million entries


class OverrideError(ValueError):
    """A list of overrides cannot be used; the message names the file and the line."""


@dataclass(frozen=True)
class Override:
    """One entry. `kind`: sha256, pixel_sha256, pdq or cluster_id. `value`: a value of that kind.

    `until`: The time from which it no longer holds, in seconds since 1970.
    """

    rule: str
    kind: str
    value: str
    by: str
    reason: str
    until: float | None = None

    def expired(self, now: float) -> bool:
        """Return whether it no longer holds at a time, in seconds since 1970."""
        return self.until is not None and now >= self.until

    @property
    def fingerprint(self) -> Fingerprint:
        """What it names, as the fingerprint of a picture."""
        if self.kind == "pdq":
            return Fingerprint(OK, pdq=self.value, dihedral=from_hex([self.value]))
        if self.kind == "sha256":
            return Fingerprint(OK, sha256=self.value)
        return Fingerprint(OK, pixel_sha256=self.value)

    def __str__(self) -> str:
        return f"{self.rule} {self.kind} {self.value} by {self.by}: {self.reason}"


@dataclass(frozen=True)
class Overrides:
    """A list of entries.

    Attributes:
        digest: Of the file; empty without one.
        exact: Entries by rule, kind and value.
        hashed: Entries that block by perceptual hash.
        innocent: Entries that name a harmless picture.
    """

    digest: str = ""
    exact: Mapping[tuple[str, str, str], Override] = field(default_factory=dict)
    hashed: tuple[Override, ...] = ()
    innocent: tuple[Override, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "Overrides":
        """Read a file. Raises OverrideError for a wrong entry, OSError if the file cannot be read."""
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
        if len(data) > _MOST:
            raise OverrideError(f"{path} has more than {_MOST:,} bytes")
        entries = []
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.strip():
                try:
                    entries.append(_entry(json.loads(line, object_pairs_hook=_once)))
                except ValueError as error:  # of JSON and of Unicode too
                    raise OverrideError(f"{path}, line {number}: {error}") from None
        innocent = tuple(each for each in entries if each.rule == INNOCENT)
        others = [each for each in entries if each.rule != INNOCENT]
        exact = {(each.rule, each.kind, each.value): each for each in others}
        hashed = tuple(each for each in others if each.kind == "pdq")
        return cls(hashlib.sha256(data).hexdigest()[:12], exact, hashed, innocent)

    def of_image(self, printed: Fingerprint, radius: int) -> Override | None:
        """Return the entry for an image itself, a block before an allowance.

        Args:
            printed: Fingerprint of the image.
            radius: Most differing bits of a near hash.
        """
        now = time.time()
        digests = (("sha256", printed.sha256), ("pixel_sha256", printed.pixel_sha256))
        for rule in (BLOCK, ALLOW):
            for kind, digest in digests:
                entry = self.exact.get((rule, kind, digest)) if digest else None
                if entry and not entry.expired(now):
                    return entry
            if rule == BLOCK and (near := self._near(printed, radius, now)):
                return near
        return None

    def _near(self, printed: Fingerprint, radius: int, now: float) -> Override | None:
        if not self.hashed or printed.status != OK or printed.dihedral is None:
            return None
        matches = scan.find_near(self._words, printed.dihedral, radius)
        nearest = matches.row[np.argsort(matches.distance, kind="stable")].tolist()
        return next((self.hashed[row] for row in nearest if not self.hashed[row].expired(now)), None)

    @cached_property
    def _words(self) -> npt.NDArray[np.uint32]:
        return scan.words(from_hex([each.value for each in self.hashed]))

    @property
    def allowed_clusters(self) -> dict[int, Override]:
        """The entries that allow resemblance to a cluster, by its id."""
        return {int(entry.value): entry for entry in self.exact.values() if entry.kind == "cluster_id"}


NO_OVERRIDES = Overrides()


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(entry := dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice; keep one of the two")
    return entry


def _entry(fields: object) -> Override:
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise ValueError("an entry is an object whose values are text, ids too")
    if any("\ud800" <= letter <= "\udfff" for value in fields.values() for letter in value):
        raise ValueError("a text holds half a surrogate pair, which JSON answers cannot repeat")
    rule = fields.get("rule", "")
    if rule not in _KINDS:
        raise ValueError(f"`rule` is {rule!r}; it is {BLOCK}, {ALLOW} or {INNOCENT}")
    kinds = [name for name in fields if name not in _ABOUT]
    if len(kinds) != 1 or kinds[0] not in _KINDS[rule]:
        raise ValueError(f"an entry to {rule} has one of {', '.join(_KINDS[rule])}, not {', '.join(kinds) or 'none'}")
    if not fields.get("by") or not fields.get("reason"):
        raise ValueError("an entry needs `by`, who decided, and `reason`, why")
    kind, value = kinds[0], fields[kinds[0]].lower()
    if kind == "cluster_id":
        if not (value.isascii() and value.isdigit() and len(value) <= _ID_DIGITS and int(value) < 2**64):
            raise ValueError(f"`cluster_id` is {value!r}; it is a whole number of at most 64 bits, as text")
        value = str(int(value))
    elif len(value) != _DIGITS or set(value) - set("0123456789abcdef"):
        raise ValueError(f"`{kind}` is {value!r}; it has {_DIGITS} hexadecimal digits")
    return Override(rule, kind, value, fields["by"], fields["reason"], _until(fields.get("until")))


def _until(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        time_ = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`until` is {text!r}; it is a date, or a time with its zone, such as 2027-01-31") from None
    if "T" in text.upper() and time_.tzinfo is None:
        raise ValueError(f"`until` is {text!r}, a time without its zone; add Z for UTC")
    return (time_ if time_.tzinfo else time_.replace(tzinfo=UTC)).timestamp()
