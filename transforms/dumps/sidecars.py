"""What a sidecar or a row of a table says of a picture.

What belongs here: reading the bytes of a sidecar, and filling the record of its picture. What does not: which sidecar
is of which picture (`dumps/samples.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transforms.catalog.columns import TEXT_COLUMNS
from transforms.catalog.record_files import decoded
from transforms.catalog.values import exif_tags
from transforms.dumps.members import ROW, Member, text_of, uid_text
from transforms.dumps.names import RECORDS
from transforms.readable import bare

_EXIF = {"artist": "Image Artist", "copyright": "Image Copyright"}
_LONGEST = 2_000  # characters of a text on rights
BROKEN = "a sidecar that is no JSON object"


@dataclass(frozen=True)
class SidecarFields:
    """What is said of a picture; None for what is not said.

    Attributes:
        url: Where it was downloaded from.
        caption: Its caption.
        captioned: Whether a caption is stated, even a null one.
        uid: The dataset's own name of its row.
        width: Of the original, in pixels.
        height: Of the original, in pixels.
        row: The row of the metadata that it was downloaded by.
        sha256: Of its bytes as they were downloaded.
        md5: Likewise.
        artist: Of the EXIF of the original, as a downloader noted it.
        copyright: Likewise.
    """

    url: str | None = None
    caption: str | None = None
    captioned: bool = False
    uid: str | None = None
    width: int | None = None
    height: int | None = None
    row: int | None = None
    sha256: str | None = None
    md5: str | None = None
    artist: str | None = None
    copyright: str | None = None


def read_sidecar(ending: str, data: bytes) -> SidecarFields | None:
    """Read a sidecar, or return None if it is no JSON object.

    Args:
        ending: Of its name.
        data: Its bytes.
    """
    text, _ = decoded(data)
    if ending not in RECORDS:
        return SidecarFields(caption=text_of(text), captioned=True)
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return of_record(record) if isinstance(record, dict) else None


def of_record(record: Mapping[Any, Any]) -> SidecarFields:
    """Return what a record says, whatever the case of its names."""
    fields = {str(name).lower(): value for name, value in record.items()}
    captions = [fields[name] for name in TEXT_COLUMNS["caption"] if name in fields]
    row = fields.get(ROW)
    width, height = (_pixels(fields.get(f"original_{side}")) for side in ("width", "height"))
    return SidecarFields(
        url=next((text_of(fields[name]) for name in TEXT_COLUMNS["url"] if name in fields), None),
        caption=next((text for each in captions if (text := _caption(each)) is not None), None),
        captioned=bool(captions),
        uid=next((uid for name in TEXT_COLUMNS["uid"] if (uid := uid_text(fields.get(name))) is not None), None),
        width=width,
        height=height,
        sha256=text_of(fields.get("sha256")),
        md5=text_of(fields.get("md5")),
        **_noted(fields.get("exif")),
        row=row if isinstance(row, int) and not isinstance(row, bool) and row >= 0 else None,
    )


def fill(member: Member, said: SidecarFields, *, caption_alone: bool = False) -> None:
    """Fill what is not yet known of a picture. An empty text is not the caption of one whose record says null.

    Args:
        member: The picture, which is changed.
        said: What is said.
        caption_alone: Whether the rest is of another picture of its sample.
    """
    if said.captioned and not member.captioned:
        member.caption, member.captioned = said.caption, True
    if caption_alone:
        return
    for name in ("url", "uid", "width", "height", "row", "sha256", "md5", "artist", "copyright"):
        if getattr(member, name) is None:
            setattr(member, name, getattr(said, name))


def _noted(exif: object) -> dict[str, str | None]:
    """Return what EXIF says of the maker, as img2dataset writes it: JSON within the JSON."""
    tags = exif_tags(exif) if isinstance(exif, str) else {}
    said = {name: text_of(tags.get(tag)) for name, tag in _EXIF.items()}
    return {name: bare(text, _LONGEST) or None for name, text in said.items() if text}


def _caption(value: object) -> str | None:
    """Return a caption as text: of several, the first; a number as it is written."""
    if isinstance(value, list):
        value = next((each for each in value if isinstance(each, str) and each.strip()), None)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return text_of(value)


def _pixels(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 31 else None  # true is an int to isinstance
