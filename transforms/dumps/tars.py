"""Image tars as img2dataset writes them: members grouped by key, each picture with its row's URL and caption.

What belongs here: walking a tar safely, and reading one member again later. What does not: other dumps
(`dumps/dump.py`), what a sidecar says (`dumps/members.py`), decoding (`pictures.py`). Nothing is extracted to disk.
"""

import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from transforms.dumps.members import SIDECAR_BYTES, SIDECARS, ArchiveError, Listing, Member, annotate
from transforms.pictures import PICTURE_ENDINGS
from transforms.storage import stores


def members(path: str, member_bytes: int) -> Listing:
    """List the pictures of an uncompressed tar. Of a cut-off tar, list those before the break.

    Args:
        path: The tar, local or remote.
        member_bytes: Size above which a member is refused.

    Returns:
        One small record per picture.

    Raises:
        ArchiveError: If not even the first header can be read.
    """
    listing = Listing()
    last: Member | None = None
    early: list[tuple[str, str, bytes]] = []  # sidecars before their picture: webdataset sorts the parts of a sample
    with stores.open_file(path) as file:
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
                    elif ending in SIDECARS and info.isreg() and info.size <= SIDECAR_BYTES:
                        data = _content(archive, info)
                        if last is not None and last.key == key:
                            annotate(last, ending, data)
                        else:
                            early = [*(sidecar for sidecar in early if sidecar[0] == key), (key, ending, data)]
        except tarfile.TarError as error:
            reason = (
                f"{path} is not an uncompressed tar ({error}); img2dataset writes one with output_format=webdataset"
            )
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


def read(file: BinaryIO, offset: int, size: int) -> bytes:
    """Read one member's bytes from an open tar.

    Args:
        file: The tar.
        offset: Where the bytes begin.
        size: How many there are.

    Raises:
        ArchiveError: If the tar has become shorter.
    """
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise ArchiveError(
            f"only {len(data)} of {size} bytes at offset {offset}: the archive changed; fingerprint it again"
        )
    return data
