"""Image dumps of any layout with one small protocol: tars, parquet files with pictures, folders of pictures.

What belongs here: detecting layouts, and the rows that img2dataset's parquet lists without a picture. What does not:
the content of tars (`dumps/tars.py`), folders (`dumps/folders.py`) and parquet files (`dumps/parquet.py`), finding the
layouts of other distributions (`transforms/plug_ins.py`), opening paths (`storage/stores.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Protocol, get_type_hints

from transforms import plug_ins
from transforms.catalog.not_taken import NotTaken
from transforms.dumps import parquet, tars
from transforms.dumps.folders import Folder
from transforms.dumps.members import ArchiveError, Listing, Member, text_of, too_large
from transforms.plug_ins import PlugIn, PlugInError
from transforms.storage import stores
from transforms.storage.file_limits import ByteLimits

_TEXTS = ("key", "name", "url", "caption", "uid")
"""What is said of a picture, which is made text if it is none."""


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
def open_dump(path: str, limits: ByteLimits) -> Iterator[Dump]:
    """Open the dump at a path, whatever its layout.

    Args:
        path: Local or remote.
        limits: Of its tables, sidecars and texts.

    Raises:
        ArchiveError: If it is of no known layout, or breaks a limit.
        OSError: If it cannot be opened.
    """
    if stores.at(path).folder:
        yield _WithMissingRows(Folder(path, limits), path, limits)
        return
    with stores.open_file(path) as file:
        head = file.read(4)
        file.seek(0)
        if head == b"PAR1" or PurePosixPath(path).suffix.lower() in {".parquet", ".pq"}:
            yield parquet.Parquet.of(path, file, limits)
        elif layout := _layout_of(path):
            yield _PlugInDump(layout, path, file)
        else:
            yield _WithMissingRows(Tar(path, file, limits), path, limits)


@dataclass(frozen=True)
class Tar:
    """An uncompressed tar, as img2dataset's `output_format=webdataset` writes it."""

    path: str
    file: BinaryIO
    limits: ByteLimits

    def listing(self, member_bytes: int) -> Listing:
        """See Dump."""
        return tars.members(self.path, member_bytes, self.limits)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """See Dump."""
        return tars.read(self.file, offset, size)


@dataclass(frozen=True)
class _WithMissingRows:
    """A dump, and the rows that the parquet of its name lists as not downloaded."""

    dump: Dump
    path: str
    limits: ByteLimits

    def listing(self, member_bytes: int) -> Listing:
        listing = self.dump.listing(member_bytes)
        if beside := stores.beside_of(self.path, folder=isinstance(self.dump, Folder)):
            try:
                missing = parquet.not_downloaded(beside, self.limits)
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


class _PlugInDump:
    """A dump that a plug-in reads. Whatever it raises fails this dump alone, and no picture is more than it said."""

    def __init__(self, plug_in: PlugIn, path: str, file: BinaryIO) -> None:
        """Open it. Raises ArchiveError."""
        self._plug_in, self._path = plug_in, path
        self._dump: Any = self._asked("open it", lambda: self._opened(file))

    def listing(self, member_bytes: int) -> Listing:
        """See Dump."""
        listing: Listing = self._asked("list it", lambda: self._checked(self._dump.listing(member_bytes)))
        for member in listing.members:
            member.refusal = member.refusal or too_large(member.size, member_bytes)
            for column in _TEXTS:
                text = getattr(member, column)
                if text is not None and (told := text_of(text)) != text:
                    if column == "name":
                        member.refusal = member.refusal or "refused: its name is no text"
                    setattr(member, column, told or "")
        return listing

    def read(self, name: str, offset: int, size: int) -> bytes:
        """See Dump."""
        data = self._asked(f"read {name} of it", lambda: self._dump.read(name, offset, size))
        if not isinstance(data, bytes) or len(data) != size:
            found = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
            raise ArchiveError(f"{self._path}: {name} was listed with {size} bytes, the {self._plug_in} read {found}")
        return data

    def _opened(self, file: BinaryIO) -> object:
        dump = self._plug_in.function(file)
        if not all(callable(getattr(dump, name, None)) for name in ("listing", "read")):
            lacks = f"it returned {type(dump).__name__}, which is no dump: that has listing and read, see"
            raise self._plug_in.broken(f"{lacks} {plug_ins.PAGE}")
        return dump

    def _checked(self, listing: object) -> Listing:
        if not isinstance(listing, Listing) or not _all(Member, listing.members):
            raise self._plug_in.broken("its listing is no raisonne.Listing of Members")
        if not isinstance(listing.broken, str | None):
            raise self._plug_in.broken(f"`broken` of its listing is {type(listing.broken).__name__}, no text")
        for member in listing.members:
            for name, kind in get_type_hints(Member).items():
                value = getattr(member, name)
                if name not in _TEXTS and not (isinstance(value, kind) and _fits(value)):
                    raise self._plug_in.broken(f"`{name}` of its member {member.name!r} is {value!r}")
        if not _all(NotTaken, listing.not_taken) or not all(map(_is_counted, listing.not_taken)):
            raise self._plug_in.broken("`not_taken` of its listing is no list of raisonne.NotTaken")
        listing.not_taken = [
            NotTaken(text_of(each.place) or "", text_of(each.reason) or "", each.files, _as_texts(each.examples))
            for each in listing.not_taken
        ]
        return listing

    def _asked(self, what: str, call: Callable[[], Any]) -> Any:  # noqa: ANN401 -- the plug-in's own
        try:
            return call()
        except (ArchiveError, OSError):
            raise
        except PlugInError as error:
            raise ArchiveError(f"{self._path}: {error}") from error
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            raise ArchiveError(
                f"{self._path}: the {self._plug_in} could not {what}: {told}; deliver it again, or update "
                f"{self._plug_in.distribution}"
            ) from error


def _all(kind: type, values: object) -> bool:
    return isinstance(values, list) and all(isinstance(each, kind) for each in values)


def _fits(value: object) -> bool:
    """Return whether a table can hold it as a count, if it is a number."""
    return not isinstance(value, int) or 0 <= value < 1 << 63


def _is_counted(found: NotTaken) -> bool:
    if not isinstance(found.examples, tuple) or not isinstance(found.files, int) or not _fits(found.files):
        return False
    return all(isinstance(text, str) for text in (found.place, found.reason, *found.examples))


def _as_texts(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text_of(name) or "" for name in names)


def _layout_of(path: str) -> PlugIn | None:
    """Return the plug-in that is called as the ending of this file, or None. Raises ArchiveError if there are two."""
    ending = PurePosixPath(path).suffix.lower().removeprefix(".")
    try:
        return plug_ins.find(plug_ins.LAYOUTS, ending) if ending not in ("", "tar") else None
    except PlugInError as error:
        raise ArchiveError(f"{path}: {error}") from error
