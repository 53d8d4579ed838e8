"""Image tars as img2dataset writes them: members grouped by key, each picture with its row's URL and caption.

What belongs here: walking a tar safely, reading one member again later. What does not: decoding (`pictures.py`), nor
finding the training row of a picture (`rows.py`). Nothing is ever extracted to disk.
"""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})


class ArchiveError(ValueError):
    """A tar cannot be read to its end; the message names the file and the fix."""


@dataclass
class Member:
    """A picture in a tar: its key, where its bytes lie (offset and size, in bytes), and what its `.json` says.

    refusal: why its bytes must not be read, in plain words, or None.
    """

    key: str
    name: str
    offset: int
    size: int
    refusal: str | None = None
    url: str | None = None
    caption: str | None = None


@dataclass
class Listing:
    """The pictures of a tar in their order, and the reason if the tar broke off before its end."""

    members: list[Member] = field(default_factory=list)
    broken: str | None = None


def members(path: str, member_bytes: int) -> Listing:
    """List the pictures of an uncompressed tar. A tar that breaks off keeps what came before the break.

    member_bytes: size in bytes above which a member is refused. Memory: one small record a picture.
    Raises ArchiveError if not even the first header can be read.
    """
    listing = Listing()
    group: dict[str, Member] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for info in _headers(archive, listing, path):
                key, ending = _key(info.name)
                if ending in PICTURE_ENDINGS:
                    member = Member(key, info.name, info.offset_data, info.size, _refusal(info, member_bytes))
                    listing.members.append(member)
                    group = {key: member}
                elif ending in {".json", ".txt"} and info.isreg() and info.size <= 1_000_000:
                    _annotate(group.get(key), ending, archive.extractfile(info))
    except (OSError, tarfile.TarError) as error:
        reason = f"{path} is no uncompressed tar ({error}); img2dataset writes one with output_format=webdataset"
        raise ArchiveError(reason) from error
    return listing


def _headers(archive: tarfile.TarFile, listing: Listing, path: str) -> Iterator[tarfile.TarInfo]:
    last, size = "its beginning", Path(path).stat().st_size
    while True:
        try:
            info = archive.next()
        except (tarfile.TarError, EOFError) as error:
            listing.broken = f"{path} breaks off after {last} ({error}); download it again"
            return
        if info is None:
            if not _at_end_mark(path, archive.offset):
                listing.broken = f"{path} breaks off after {last} (no end mark follows); download it again"
            return
        if info.offset_data + info.size > size:
            listing.broken = f"{path} breaks off within {info.name!r}; download it again"
            return
        last = repr(info.name)
        yield info


def _at_end_mark(path: str, offset: int) -> bool:
    # tarfile takes a cut or unreadable header for the end; only a block of zeros is one
    with Path(path).open("rb") as file:
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


def _annotate(member: Member | None, ending: str, file: IO[bytes] | None) -> None:
    if member is None or file is None:
        return
    text = file.read().decode(errors="replace")
    if ending == ".txt":
        member.caption = member.caption if member.caption is not None else text
        return
    try:
        record = json.loads(text)
    except ValueError:
        return  # a broken sidecar leaves its picture unlisted, which is counted
    if isinstance(record, dict):
        url, caption = record.get("url"), record.get("caption")
        member.url = url if isinstance(url, str) else None
        member.caption = caption if isinstance(caption, str) else None


def read(file: BinaryIO, offset: int, size: int) -> bytes:
    """Read one member's bytes from an open tar. Raises ArchiveError if the tar has become shorter."""
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise ArchiveError(
            f"only {len(data)} of {size} bytes at offset {offset}: the archive changed; fingerprint it again"
        )
    return data
