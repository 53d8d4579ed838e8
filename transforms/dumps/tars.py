"""Image tars as img2dataset and webdataset write them, and others: the members of each, to the end of the file.

What belongs here: walking a tar safely, and reading one member again later. What does not: which members are pictures
(`dumps/samples.py`), other dumps (`dumps/dump.py`), decoding (`pictures/`). Nothing is extracted to disk.
"""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from transforms.dumps import first_bytes, picture_tables
from transforms.dumps.members import ArchiveError, Listing
from transforms.dumps.samples import Part, Samples
from transforms.storage import stores
from transforms.storage.file_limits import ByteLimits

TAIL = "bytes after the end mark of the tar, which are no tar"
_LINK = "refused: the member is a link or device, not a file"
_BLOCK, _CHUNK = tarfile.BLOCKSIZE, 1 << 20
_HEADER = 1 << 20  # bytes of the headers of a member: long names, PAX records, maps of sparse files
_NAME = 4_096  # bytes of a name, as of paths on disk
_LONG = f"refused: a name of more than {_NAME:,} bytes"
# What tarfile raises on hostile headers, beside its own errors: numbers out of range, names that are no text, headers
# that announce headers without end.
_BROKEN = (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError, MemoryError)


def members(path: str, member_bytes: int, limits: ByteLimits) -> Listing:
    """List the pictures of an uncompressed tar. Of a cut-off tar, list those before the break.

    What follows an end mark is read too, as `tar -r` and `cat` leave it. The parts of a sample may lie anywhere.

    Args:
        path: The tar, local or remote.
        member_bytes: Size above which a member is refused.
        limits: Of tables and of all texts.

    Returns:
        One small record per picture.

    Raises:
        ArchiveError: If not even the first header can be read.
    """
    with stores.open_file(path) as file:
        walk = _Walk(path, file)
        samples = Samples(path, Windows(file), member_bytes, limits)
        samples.sort(walk.parts())
        if walk.tail is not None:
            samples.counts.add(path, TAIL, f"at byte {walk.tail:,}")
        samples.key_as_webdataset()
        missing, broken = picture_tables.annotate(samples)
        samples.annotate()
        listing = samples.listing(walk.broken or broken)
        listing.members += missing
        return listing


def parts(path: str, *, complete: bool = False) -> Iterator[Part]:
    """Yield every whole member of a tar that is no folder, as `members` walks it.

    Args:
        path: The tar.
        complete: Whether a tar that breaks off is an error, after the members before the break.

    Raises:
        ArchiveError: If not even the first header can be read, or it is not complete.
        OSError: If it cannot be opened.
    """
    with stores.open_file(path) as file:
        walk = _Walk(path, file)
        yield from walk.parts()
        if complete and walk.broken:
            raise ArchiveError(walk.broken)


class _Walk:
    """The members of a tar in order. Memory: a record of each, by which hard links find their file.

    Attributes:
        broken: Where the tar breaks off, or None.
        tail: Where bytes begin that are no tar, or None.
    """

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.broken: str | None = None
        self.tail: int | None = None
        self._cut_within = False
        self._path, self._file = path, _Headers(file)
        self._size = file.seek(0, io.SEEK_END)
        self._files: dict[str, tuple[int, int, str | None]] = {}

    def parts(self) -> Iterator[Part]:
        """Yield the members that are not folders. Raises ArchiveError if the first header is none."""
        for info in self._headers():
            if info.isdir():
                continue
            held = self._files.get(info.linkname) if info.islnk() else None
            offset, size, refusal = held or (info.offset_data, info.size, _refusal(info))
            if len(info.name) > _NAME:
                yield Part(f"{stores.plain(info.name[:100])}…", offset, size, _LONG)
                continue
            if info.isreg():
                self._files[info.name] = offset, size, refusal
            if info.name.startswith("/") or ".." in info.name.split("/"):
                leaves = f"refused: the member name {info.name!r} leaves the archive"
                yield Part(stores.plain(info.name), offset, size, leaves, readable=refusal is None)
            else:
                yield Part(stores.plain(info.name), offset, size, refusal)

    def _headers(self) -> Iterator[tarfile.TarInfo]:
        """Yield the headers of a tar, and of those that follow it in the same file."""
        start: int | None = 0
        last = "its beginning"
        while start is not None:
            self._file.seek(start)
            self._file.begin_header()
            try:
                archive = tarfile.open(fileobj=self._file, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115 -- nothing to close
            except _BROKEN as error:
                if start == 0:
                    raise self._no_tar(error) from error
                self.tail = start
                return
            found = 0
            while (info := self._next(archive, last)) is not None:
                found, last = found + 1, repr(info.name)
                yield info
            if start and not found and self.broken and not self._cut_within:
                self.broken, self.tail = None, start
                return
            start = None if self.broken else self._after_end_mark(archive.offset)

    def _next(self, archive: tarfile.TarFile, last: str) -> tarfile.TarInfo | None:
        self._file.begin_header()
        try:
            info = archive.next()
            cast(Any, archive).members.clear()  # which it would keep with all their headers
            if sum(len(key) + len(value) for key, value in archive.pax_headers.items()) > _HEADER:
                raise ArchiveError(_Headers.REFUSAL)  # global ones, which it keeps too
        except _BROKEN as error:
            self.broken = f"{self._path} breaks off after {last} ({error}); download it again"
            return None
        if info is None:
            # tarfile takes a cut or unreadable header for the end; only a block of zeros is one
            self._file.begin_header()
            self._file.seek(archive.offset)
            if self._file.read(_BLOCK) != bytes(_BLOCK):
                self.broken = f"{self._path} breaks off after {last} (no end mark follows); download it again"
            return None
        if info.size < 0 or info.offset_data + info.size > self._size:
            self.broken = f"{self._path} breaks off within {info.name!r}; download it again"
            self._cut_within = True
            return None
        return info

    def _after_end_mark(self, offset: int) -> int | None:
        """Return the first block after the zeros of an end mark, or None if the file ends with them."""
        self._file.seek(offset)
        while chunk := self._file.file.read(_CHUNK):
            zeros = len(chunk) - len(chunk.lstrip(b"\0"))
            if zeros < len(chunk):
                return offset + zeros // _BLOCK * _BLOCK
            offset += len(chunk)
        return None

    def _no_tar(self, error: BaseException) -> ArchiveError:
        self._file.file.seek(0)
        why = first_bytes.no_tar(self._file.file.read(first_bytes.HEAD)) or str(error)
        return ArchiveError(
            f"{self._path} is not an uncompressed tar ({why}); img2dataset writes one with output_format=webdataset"
        )


class _Headers:
    """A tar, of which only so many bytes are read for one member's headers: they say themselves how long they are."""

    REFUSAL = f"a header of more than {_HEADER:,} bytes; pack it again without such names or attributes"

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._left = _HEADER

    def begin_header(self) -> None:
        self._left = _HEADER

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise ArchiveError(self.REFUSAL)
        return self.file.read(size)

    def seek(self, offset: int) -> int:
        return self.file.seek(offset)

    def tell(self) -> int:
        return self.file.tell()


def _refusal(info: tarfile.TarInfo) -> str | None:
    if not info.isreg():
        return _LINK
    return "refused: a sparse file, whose bytes are not in one piece" if info.issparse() else None


@dataclass(frozen=True)
class Windows:
    """Reads the members of an open tar, one at a time."""

    file: BinaryIO

    def first(self, part: Part, size: int) -> bytes:
        """See PartSource."""
        self.file.seek(part.offset)
        return self.file.read(min(part.size, size))

    def open(self, part: Part) -> BinaryIO:
        """See PartSource."""
        return cast(BinaryIO, io.BufferedReader(_Window(self.file, part.offset, part.size), 1 << 13))


class _Window(io.RawIOBase):
    """A stretch of an open file, as a file."""

    def __init__(self, file: BinaryIO, first: int, size: int) -> None:
        self._file, self._first, self._size, self._at = file, first, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 -- any buffer
        self._file.seek(self._first + self._at)
        data = self._file.read(min(len(buffer), max(0, self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


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
