"""The pictures of any dump: the record of each.

What belongs here: the record of a picture, and of a dump. What does not: the layouts of dumps (`dumps/dump.py`), what
sidecars say (`dumps/sidecars.py`), finding the training row of a picture (`fingerprints/row_matching.py`).
"""

from dataclasses import dataclass, field

from transforms.catalog.not_taken import NotTaken

SIDECAR_BYTES = 1_000_000  # larger sidecars are counted and not read
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
        artist: Of the EXIF of the original, as a downloader noted it.
        copyright: Likewise.
        own_row: The row of its own dump's metadata, where that is not its offset: a further picture of a row.
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
    artist: str | None = None
    copyright: str | None = None
    own_row: int | None = None


@dataclass
class Listing:
    """The pictures of a dump in order, what else was found in it, and the reason if the dump is cut off."""

    members: list[Member] = field(default_factory=list)
    broken: str | None = None
    not_taken: list[NotTaken] = field(default_factory=list)


def too_large(size: int, member_bytes: int) -> str | None:
    """Return why a picture must not be read, None if it has no more bytes than it may.

    Args:
        size: Its bytes.
        member_bytes: `limits.member_bytes`.
    """
    return f"refused: {size} bytes are more than limits.member_bytes = {member_bytes}" if size > member_bytes else None


def text_of(value: object) -> str | None:
    """Return a text that a table can hold, or None for what is no text. JSON can spell halves of characters."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def uid_text(value: object) -> str | None:
    """Return a dataset's own name of a row as text, or None for an empty value. 7.0 becomes `7`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 1 << 64 else None
    return text_of(value)
