"""Image dumps of any layout with one small protocol: tars, parquet files with pictures, folders of pictures.

What belongs here: detecting layouts, folders, and the rows that img2dataset's parquet lists without a picture. What
does not: the content of tars (`dumps/tars.py`) and of parquet files (`dumps/parquet.py`), opening paths
(`storage/stores.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from transforms.dumps import members, parquet, tars
from transforms.dumps.members import SIDECAR_BYTES, SIDECARS, ArchiveError, Listing, Member
from transforms.pictures import PICTURE_ENDINGS
from transforms.storage import stores
from transforms.storage.remote_stores import is_remote
from transforms.storage.stores import Entry


class Dump(Protocol):
    """The pictures of one shard."""

    def listing(self, member_bytes: int) -> Listing:
        """List the pictures; refuse those of more than `member_bytes` bytes. Raises ArchiveError or OSError."""
        ...

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return one picture's bytes.

        Args:
            name: As the listing names it.
            offset: As the listing gives it.
            size: As the listing gives it.

        Raises:
            ArchiveError: If the picture changed.
            OSError: If it is gone or cannot be read.
        """
        ...


@contextmanager
def open_dump(path: str) -> Iterator[Dump]:
    """Open the dump at a local or remote path, whatever its layout. Raises ArchiveError or OSError."""
    if stores.at(path).folder:
        yield _WithMissingRows(Folder(path), path)
        return
    with stores.open_file(path) as file:
        head = file.read(4)
        file.seek(0)
        if head == b"PAR1" or PurePosixPath(path).suffix.lower() in {".parquet", ".pq"}:
            yield parquet.Parquet.of(path, file)
        else:
            yield _WithMissingRows(Tar(path, file), path)


@dataclass(frozen=True)
class Tar:
    """An uncompressed tar, as img2dataset's `output_format=webdataset` writes it."""

    path: str
    file: BinaryIO

    def listing(self, member_bytes: int) -> Listing:
        """See Dump."""
        return tars.members(self.path, member_bytes)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """See Dump."""
        return tars.read(self.file, offset, size)


@dataclass(frozen=True)
class Folder:
    """Picture files below a folder, with sidecars of the same stem. A picture is named by its path within the folder.

    img2dataset's `output_format=files` writes such folders; any other folder will do.
    """

    path: str

    def listing(self, member_bytes: int) -> Listing:
        """See Dump. Pictures come in order of their paths. Links that leave the folder are refused."""
        found, others = Listing(), 0
        for _, group in groupby(stores.walk(self.path), key=lambda file: PurePosixPath(file[0]).parent):
            files = dict(group)
            for name, entry in files.items():
                if PurePosixPath(name).suffix.lower() in PICTURE_ENDINGS:
                    found.members.append(_member(name, entry, files, member_bytes))
                elif PurePosixPath(name).suffix.lower() not in SIDECARS:
                    others += 1
        if not found.members:
            found.broken = f"{self.path} holds no pictures"
            found.broken += f", but {others} other files; name them in `images` if they are dumps" if others else ""
        return found

    def read(self, name: str, offset: int, size: int) -> bytes:
        """See Dump."""
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            raise ArchiveError(f"{self.path}: {name!r} leaves the folder")
        path = f"{self.path.rstrip('/')}/{name}"
        if not is_remote(path) and not _within(path, self.path):
            raise ArchiveError(f"{path} is now a link that leaves the folder, or no file; fingerprint it again")
        with stores.open_file(path) as file:
            data = file.read(size + 1)
        if len(data) != size:
            raise ArchiveError(f"{path} no longer has {size} bytes; fingerprint it again")
        return data


def _within(path: str, folder: str) -> bool:
    real = stores.on_disk(path).resolve()
    return real.is_file() and real.is_relative_to(Path(stores.on_disk(folder)).resolve())


def _member(name: str, entry: Entry, files: dict[str, Entry], member_bytes: int) -> Member:
    stem = name[: len(name) - len(PurePosixPath(name).suffix)]
    member = Member(stem, name, 0, entry.size, entry.refusal)
    if entry.refusal is None and entry.size > member_bytes:
        member.refusal = f"refused: {entry.size} bytes are more than limits.member_bytes = {member_bytes}"
    for ending in SIDECARS:
        sidecar = files.get(stem + ending)
        if sidecar and sidecar.refusal is None and sidecar.size <= SIDECAR_BYTES:
            with stores.open_file(sidecar.path) as file:
                members.annotate(member, ending, file.read(SIDECAR_BYTES))
    return member


@dataclass(frozen=True)
class _WithMissingRows:
    """A dump, and the rows that the parquet of its name lists as not downloaded."""

    dump: Dump
    path: str

    def listing(self, member_bytes: int) -> Listing:
        listing = self.dump.listing(member_bytes)
        if beside := stores.beside_of(self.path, folder=isinstance(self.dump, Folder)):
            try:
                missing = parquet.not_downloaded(beside)
            except ArchiveError as error:
                listing.broken = listing.broken or str(error)
                return listing
            keys = {member.key for member in listing.members}
            listing.members += [member for member in missing if member.key not in keys]
            if missing and isinstance(self.dump, Folder) and len(missing) == len(listing.members):
                listing.broken = None  # nothing could be downloaded, and each row says so
        return listing

    def read(self, name: str, offset: int, size: int) -> bytes:
        return self.dump.read(name, offset, size)
