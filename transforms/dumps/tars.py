"""Image tars as img2dataset writes them: members grouped by key, each picture with its row's URL and caption.

What belongs here: walking a tar safely, reading one member again later, and the record of a picture in any dump. What
does not: other dumps (`dumps/dump.py`), decoding (`pictures.py`), nor finding the training row of a picture
(`fingerprints/row_matching.py`). Nothing is ever extracted to disk.
"""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO

from transforms.catalog.columns import TEXT_COLUMNS
from transforms.pictures import PICTURE_ENDINGS
from transforms.storage import stores

ROW = "raisonne_row"
"""What a sidecar calls the row of the metadata that its picture was downloaded by, counted from 0."""
_SIDECARS = (".json", ".txt")
_SIDECAR_BYTES = 1_000_000


class ArchiveError(ValueError):
    """An image dump cannot be read; the message names the file and the fix."""


@dataclass
class Member:
    """A picture in a dump: its key, where its bytes lie, and what its sidecar or its row says of it.

    offset: in bytes, or the row of a parquet. size: bytes. name: within the dump, empty where there is no picture.
    refusal: why its bytes must not be read, in plain words, or None. width, height: of the original, in pixels.
    captioned: whether the sidecar states a caption, be it null. row: of the metadata that it was downloaded by.
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


@dataclass
class Listing:
    """The pictures of a dump in their order, and the reason if it broke off before its end."""

    members: list[Member] = field(default_factory=list)
    broken: str | None = None


def members(path: str, member_bytes: int) -> Listing:
    """List the pictures of an uncompressed tar. A tar that breaks off keeps what came before the break.

    member_bytes: size in bytes above which a member is refused. Memory: one small record a picture.
    Raises ArchiveError if not even the first header can be read.
    """
    listing = Listing()
    last: Member | None = None
    early: list[tuple[str, str, bytes]] = []  # sidecars before their picture: webdataset sorts the parts of a sample
    with stores.opened(path) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for info in _headers(archive, file, listing, path):
                    key, ending = _key(info.name)
                    name, key = stores.plain(info.name), stores.plain(key)
                    if ending in PICTURE_ENDINGS:
                        last = Member(key, name, info.offset_data, info.size, _refusal(info, member_bytes))
                        listing.members.append(last)
                        for _, kind, data in (sidecar for sidecar in early if sidecar[0] == key):
                            annotate(last, kind, data)
                        early = []
                    elif ending in _SIDECARS and info.isreg() and info.size <= _SIDECAR_BYTES:
                        data = _content(archive, info)
                        if last is not None and last.key == key:
                            annotate(last, ending, data)
                        else:
                            early = [*(sidecar for sidecar in early if sidecar[0] == key), (key, ending, data)]
        except tarfile.TarError as error:
            reason = f"{path} is no uncompressed tar ({error}); img2dataset writes one with output_format=webdataset"
            raise ArchiveError(reason) from error
    return listing


def _headers(archive: tarfile.TarFile, file: BinaryIO, listing: Listing, path: str) -> Iterator[tarfile.TarInfo]:
    last, size = "its beginning", _size(file)
    while True:
        try:
            info = archive.next()
        except (tarfile.TarError, EOFError) as error:
            listing.broken = f"{path} breaks off after {last} ({error}); download it again"
            return
        if info is None:
            if not _at_end_mark(file, archive.offset):
                listing.broken = f"{path} breaks off after {last} (no end mark follows); download it again"
            return
        if info.offset_data + info.size > size:
            listing.broken = f"{path} breaks off within {info.name!r}; download it again"
            return
        last = repr(info.name)
        yield info


def _size(file: BinaryIO) -> int:
    before = file.tell()
    size = file.seek(0, 2)
    file.seek(before)
    return size


def _at_end_mark(file: BinaryIO, offset: int) -> bool:
    # tarfile takes a cut or unreadable header for the end; only a block of zeros is one
    file.seek(offset)
    return file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)


def _key(name: str) -> tuple[str, str]:
    # webdataset's rule: everything before the first dot of the last part is the key
    parent, _, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return (f"{parent}/{stem}" if parent else stem), f".{ending.lower()}"


def _refusal(info: tarfile.TarInfo, member_bytes: int) -> str | None:
    path = PurePosixPath(info.name)
    if path.is_absolute() or ".." in path.parts:
        return f"refused: the member name {info.name!r} leaves the archive"
    if not info.isreg():
        return "refused: the member is a link or device, not a file"
    if info.size > member_bytes:
        return f"refused: {info.size} bytes are more than limits.member_bytes = {member_bytes}"
    return None


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    return file.read() if file else b""


def annotate(member: Member, ending: str, data: bytes) -> None:
    """Take over what a sidecar, `.json` or `.txt`, says of a picture. What cannot be read says nothing."""
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
    said = {str(name).lower(): value for name, value in record.items()}
    member.url, member.captioned = _text(said.get("url")), "caption" in said
    member.caption = _text(said.get("caption")) if member.captioned else member.caption
    member.uid = next((uid for name in TEXT_COLUMNS["uid"] if (uid := uid_text(said.get(name))) is not None), None)
    row = said.get(ROW)
    member.row = row if isinstance(row, int) and row >= 0 else None
    member.width, member.height = (_pixels(said.get(f"original_{side}")) for side in ("width", "height"))


def _text(value: object) -> str | None:
    # JSON can spell halves of characters, which no table holds
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def uid_text(value: object) -> str | None:
    """Return a dataset's own name of a row as text, whole numbers without a fraction, or None if it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 1 << 64 else None
    return _text(value)


def _pixels(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 31 else None  # true is an int to isinstance


def read(file: BinaryIO, offset: int, size: int) -> bytes:
    """Read one member's bytes from an open tar. Raises ArchiveError if the tar has become shorter."""
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise ArchiveError(
            f"only {len(data)} of {size} bytes at offset {offset}: the archive changed; fingerprint it again"
        )
    return data
