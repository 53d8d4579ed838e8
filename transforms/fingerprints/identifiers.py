"""What pictures and rows of metadata state, in the same words.

What belongs here: the statement of a picture and of a row, and comparing two of them. What does not: reading rows
(`fingerprints/metadata_rows.py`), which picture meets which row (`fingerprints/row_matching.py`).
"""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from html import unescape
from urllib.parse import unquote

from transforms.catalog.columns import BLANKS, HASH_COLUMNS, stated, stated_caption
from transforms.dumps.members import Member
from transforms.pictures import PICTURE_ENDINGS

IDENTIFIERS = ("url", "sha256", "md5", "uid", "key", "caption")
"""What may tell which row a picture is of, the strongest first."""

# Patterns that Arrow reads too, with the text that replaces what they find. Keys come as paths, with the ending of a
# file, as whole doubles, and without the zeros that a number cannot begin with.
_ENDINGS = "|".join(sorted(ending.removeprefix(".") for ending in PICTURE_ENDINGS))
_WHOLE = (r"^([+-]?[0-9]+)\.0+$", r"\1")
PATH_PATTERNS = (
    (r"\\", "/"),
    (r"^(?:\./|/)+", ""),
    (rf"(?i)\.(?:{_ENDINGS})$", ""),
    _WHOLE,
    (r"(^|/)0+([0-9]+)$", r"\1\2"),
)
KEY_PATTERNS = (*PATH_PATTERNS, (r"(?s)^.*/", ""))
UID_PATTERNS = (_WHOLE,)


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What a picture or a row says of itself. Missing values, however they are spelled, are left out.

    Attributes:
        values: Values by identifier, as written. A row may state several captions and names. `row` is the number of the
            row, which the sidecars of `raisonne download` state too; `digest` is the hashes that a row states, or those
            of the bytes of a picture, which are others where it was written anew.
    """

    values: Mapping[str, Collection[str]]

    @classmethod
    def of(cls, member: Member) -> "Identifiers":
        """Return the statement of a picture in a dump."""
        said = {"url": member.url, "uid": member.uid, "key": member.key, "caption": member.caption}
        said |= {name: getattr(member, name) for name in HASH_COLUMNS}
        row = {} if member.row is None or member.url is None else {"row": (str(member.row),)}
        return cls(row | _values({name: [value] for name, value in said.items()}))

    @classmethod
    def of_row(cls, number: int, said: Mapping[str, Collection[str | None]]) -> "Identifiers":
        """Return the statement of a row of metadata.

        Args:
            number: Its place in its file, counted from 0.
            said: Its values by identifier.
        """
        values = _values(said)
        digests = tuple(value for name in HASH_COLUMNS for value in values.get(name, ()))
        return cls(values | {"row": (str(number),), "digest": digests})

    def with_digests(self, data: bytes) -> "Identifiers":
        """Return what a picture states, and the hashes of its bytes, which a row may state."""
        digests = (hashlib.sha256(data).hexdigest(), hashlib.md5(data, usedforsecurity=False).hexdigest())
        return Identifiers({**self.values, "digest": digests})

    def of_kind(self, identifier: str) -> Collection[str]:
        """Return the values of an identifier as written, or nothing."""
        return self.values.get(identifier, ())

    def loosely(self, identifier: str) -> Collection[str]:
        """Return the values of an identifier, or of `path`, without what gets lost or added on the way.

        These are blanks, of a URL the scheme and escapes, of a key folders, the ending and leading zeros; of a `path`,
        which is a key too, not the folders.
        """
        values, loosen = self.of_kind("key" if identifier == "path" else identifier), _LOOSEN.get(identifier)
        return values if loosen is None else [text for value in values if (text := loosen(value))]

    def agrees(self, other: "Identifiers", identifier: str) -> bool | None:
        """Return whether both state the same value, or None if one of them states none.

        Args:
            other: The statement of the other side.
            identifier: One of IDENTIFIERS.
        """
        written, others = self.of_kind(identifier), other.of_kind(identifier)
        if not written or not others:
            return None
        if written == others:
            return True
        mine, theirs = self.loosely(identifier), other.loosely(identifier)
        return None if not mine or not theirs else not set(mine).isdisjoint(theirs)


def _values(said: Mapping[str, Collection[str | None]]) -> dict[str, Collection[str]]:
    return {name: found for name, texts in said.items() if (found := _written(name, texts))}


def _written(identifier: str, texts: Collection[str | None]) -> tuple[str, ...]:
    if identifier == "caption":  # blank ones are told apart from others
        return tuple(dict.fromkeys(text for text in texts if text is not None))
    if identifier in HASH_COLUMNS:
        return tuple(text.lower() for text in map(stated, texts) if text)
    if identifier == "uid":
        return tuple(dict.fromkeys(_replaced(text, UID_PATTERNS) for text in map(stated, texts) if text))
    if identifier == "key":
        return tuple(text for text in texts if text)
    return tuple(text for text in texts if stated(text) and text)


def _replaced(text: str, patterns: Collection[tuple[str, str]]) -> str:
    for pattern, replacement in patterns:
        text = re.sub(pattern, replacement, text)
    return text


def _same_url(text: str) -> str:
    """Return a URL without what differs between spellings: its scheme, cases of the host, escapes, the fragment."""
    plain = unquote(unescape(text.strip(BLANKS)))
    host, slash, rest = plain.partition("://")[2].partition("/") if "://" in plain else plain.partition("/")
    return host.lower() + slash + rest.partition("#")[0]


_LOOSEN: Mapping[str, Callable[[str], str]] = {
    "url": _same_url,
    "key": lambda text: _replaced(text.strip(BLANKS), KEY_PATTERNS),
    "path": lambda text: _replaced(text.strip(BLANKS), PATH_PATTERNS),
    "caption": lambda text: " ".join((stated_caption(text) or "").split()),
}
