"""Folders of pictures, with sidecars beside them or a table as in Hugging Face's `imagefolder` form.

What belongs here: the files of a folder, and reading one again later. What does not: which files are pictures
(`dumps/samples.py`), other dumps (`dumps/dump.py`), links (`storage/links.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from transforms.dumps import picture_tables
from transforms.dumps.members import ArchiveError, Listing
from transforms.dumps.samples import Part, Samples
from transforms.storage import stores
from transforms.storage.file_limits import ByteLimits
from transforms.storage.remote_stores import is_remote


@dataclass(frozen=True)
class Folder:
    """Picture files below a folder, with sidecars of the same stem. A picture is named by its path within the folder.

    img2dataset's `output_format=files` writes such folders; any other folder will do.
    """

    path: str
    limits: ByteLimits

    def listing(self, member_bytes: int) -> Listing:
        """See Dump. Pictures come in order of their paths. Links that leave the folder are refused."""
        paths: dict[str, str] = {}
        samples = Samples(self.path, _Files(paths), member_bytes, self.limits, is_remote(self.path))
        samples.sort(self._parts(paths))
        missing, broken = picture_tables.annotate(samples)
        samples.annotate()
        if not samples.pictures:
            broken = broken or f"{self.path} holds no pictures"
            if samples.others:
                broken += f", but {samples.others} other files; name them in `images` if they are dumps"
        listing = samples.listing(broken)
        listing.members += missing
        return listing

    def _parts(self, paths: dict[str, str]) -> Iterator[Part]:
        for name, entry in stores.walk(self.path):
            paths[name] = entry.path
            linked_folder = entry.refusal if entry.folder else None
            yield Part(name, 0, entry.size, entry.refusal, no_picture=linked_folder)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """See Dump."""
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            raise ArchiveError(f"{self.path}: {name!r} leaves the folder")
        path = f"{self.path.rstrip('/')}/{name}"
        if not is_remote(path) and not stores.stays_within(path, self.path):
            raise ArchiveError(f"{path} is now a link that leaves the folder, or no file; fingerprint it again")
        with stores.open_file(path) as file:
            data = file.read(size + 1)
        if len(data) != size:
            raise ArchiveError(f"{path} no longer has {size} bytes; fingerprint it again")
        return data


@dataclass(frozen=True)
class _Files:
    paths: Mapping[str, str]

    def first(self, part: Part, size: int) -> bytes:
        with self.open(part) as file:
            return file.read(size)

    def open(self, part: Part) -> BinaryIO:
        return stores.open_file(self.paths[part.name])
