"""The pictures of any dump: the record of each, and its sidecar.

What belongs here: the record of a picture, and reading sidecars. What does not: the layouts of dumps (`dumps/dump.py`),
or finding the training row of a picture (`fingerprints/row_matching.py`).
"""

import json
from dataclasses import dataclass, field

from transforms.catalog.columns import HASH_COLUMNS, TEXT_COLUMNS
from transforms.catalog.not_taken import NotTaken

SIDECARS = (".json", ".txt")
SIDECAR_BYTES = 1_000_000  # larger sidecars are ignored
ROW = "raisonne_row"
"""The sidecar's field for the row of metadata that its picture was downloaded by, counted from 0."""


class ArchiveError(ValueError):
    """An image dump cannot be read; the message names the file and the fix."""


@dataclass
class Member:
    """A picture in a dump, and the metadata of its sidecar or its row.

    Attributes:
        key: Its key in the dump.
        name: Its name within the dump; empty if there is no picture.
        offset: Where its bytes begin, or its row in a parquet.
        size: In bytes.
        refusal: Why its bytes must not be read, or None.
        url: Where it was downloaded from.
        caption: Its caption.
        uid: The dataset's own name of its row.
        width: Of the original, in pixels.
        height: Of the original, in pixels.
        captioned: Whether the sidecar states a caption, even a null one.
        row: The row of the metadata that it was downloaded by.
        sha256: Of its bytes as they were downloaded, as the sidecar states it.
        md5: Likewise.
    """

    key: str
    name: str
    offset: int
    size: int
    refusal: str | None = None
    url: str | None = None
    caption: str | None = None
    uid: str | None = None
    width: int | None = None
    height: int | None = None
    captioned: bool = False
    row: int | None = None
    sha256: str | None = None
    md5: str | None = None


@dataclass
class Listing:
    """The pictures of a dump in order, what else was found in it, and the reason if the dump is cut off."""

    members: list[Member] = field(default_factory=list)
    broken: str | None = None
    not_taken: list[NotTaken] = field(default_factory=list)


def annotate(member: Member, ending: str, data: bytes) -> None:
    """Copy the fields of a sidecar into the record of its picture. An unreadable sidecar is ignored.

    Args:
        member: The picture, which is changed.
        ending: Of the sidecar: `.json` or `.txt`.
        data: The sidecar's bytes.
    """
    text = data.decode(errors="replace")
    if ending == ".txt":
        if not member.captioned:  # img2dataset writes an empty text for a caption that is null
            member.caption = text
        return
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return  # a broken sidecar leaves its picture unlisted, which is counted
    if not isinstance(record, dict):
        return
    fields = {str(name).lower(): value for name, value in record.items()}
    member.url, member.captioned = _text(fields.get("url")), "caption" in fields
    member.caption = _text(fields.get("caption")) if member.captioned else member.caption
    member.uid = next((uid for name in TEXT_COLUMNS["uid"] if (uid := uid_text(fields.get(name))) is not None), None)
    member.sha256, member.md5 = (_text(fields.get(name)) for name in HASH_COLUMNS)
    row = fields.get(ROW)
    member.row = row if isinstance(row, int) and row >= 0 else None
    member.width, member.height = (_pixels(fields.get(f"original_{side}")) for side in ("width", "height"))


def _text(value: object) -> str | None:
    # JSON can spell halves of characters, which no table holds
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def uid_text(value: object) -> str | None:
    """Return a dataset's own name of a row as text, or None for an empty value. 7.0 becomes `7`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 1 << 64 else None
    return _text(value)


def _pixels(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 31 else None  # true is an int to isinstance
