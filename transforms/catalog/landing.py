"""Landing files: metadata parquet and image dumps as they were delivered, found but never changed.

What belongs here: finding the files of a shard, and the record of a shard. What does not: validating a metadata file
(`catalog/metadata.py`), the names of its columns (`catalog/columns.py`), the content of a dump (`dumps/dump.py`),
resolving paths (`storage/stores.py`).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from transforms.catalog.columns import LandingError
from transforms.catalog.not_taken import NotTakenCounts
from transforms.catalog.text_metadata import ENDINGS
from transforms.pictures import PICTURE_ENDINGS
from transforms.storage import globs, stores
from transforms.storage.stores import Entry
from transforms.storage.system_files import HIDDEN, is_system_file

# A row's index in its shard takes the low bits of its id (67 million rows; LAION-2B's largest file has 18).
ROW_BITS = 26
OK, IMAGES_ONLY, REFUSED = "ok", "images_only", "failed"  # statuses of a landed shard
PARQUET = frozenset({".parquet", ".pq"})
_COMPRESSED = (".tar.gz", ".tar.zst", ".tar.bz2", ".tar.xz", ".tar.lz4")
_COMPOUND = (*_COMPRESSED, *ENDINGS)
_BY_PRODUCT = "a by-product of img2dataset or Spark, no dump"
_FOLDER = "a folder, not a file of metadata; name the files in it"


@dataclass(frozen=True)
class LandingFile:
    """A file or folder, with values that change with each delivery.

    Attributes:
        path: Local or remote.
        size: In bytes, of a dump with that of its report.
        mtime_ns: Time of its last change. Of a folder, a dump with a report, or in a store without times, a hash.
    """

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def at(cls, path: Path | str) -> "LandingFile":
        """Describe the file or folder at a path. Raises OSError if it is gone."""
        return cls.of(stores.at(str(path)))

    @classmethod
    def of(cls, entry: Entry) -> "LandingFile":
        """Describe an entry; a folder by everything below it but what systems leave there."""
        if not entry.folder:
            return cls(entry.path, entry.size, entry.stamp)
        size, seen = 0, hashlib.sha256()
        for name, file in stores.walk(entry.path):
            if is_system_file(name):
                continue
            size += file.size
            seen.update(f"{name}\0{file.size}\0{file.stamp}\0".encode())
        return cls(entry.path, size, int.from_bytes(seen.digest()[:8]) >> 1)

    def with_report(self, report: Entry) -> "LandingFile":
        """Return this dump with img2dataset's report on it, which says what was not downloaded, as one delivery."""
        seen = hashlib.sha256(f"{self.mtime_ns}\0{report.size}\0{report.stamp}".encode())
        return LandingFile(self.path, self.size + report.size, int.from_bytes(seen.digest()[:8]) >> 1)


@dataclass(frozen=True)
class Shard:
    """A metadata file and the image dump of the same name; one of them may be absent, or both may be one parquet.

    `images_gone` says that `images` is the dump that was fingerprinted, and that its files are gone since. Two
    shards are equal without regard to it: their rows and fingerprints are the same.
    """

    dataset: str
    name: str
    metadata: LandingFile | None
    images: LandingFile | None
    images_gone: bool = field(default=False, compare=False)

    @property
    def partition(self) -> str:
        """Its name among all datasets, which is also its Dagster partition."""
        return f"{self.dataset}/{self.name}"


@dataclass(frozen=True)
class LandedShard:
    """A shard and the result of inspecting its metadata: a row of the fact table `landing_shards`.

    Attributes:
        shard_id: The number that the ids of its rows begin with.
        files: The shard as it was delivered.
        status: OK, IMAGES_ONLY or REFUSED.
        failure: Why its metadata cannot be used.
        rows: Rows of metadata.
        repaired_rows: Rows whose text was not UTF-8.
        columns: Columns of the metadata.
        readable_path: The metadata file, or its repaired copy.
        forms: How each column of that file is read, as `columns.forms_of` returns it; None from an older release.
    """

    shard_id: int
    files: Shard
    status: str
    failure: str | None = None
    rows: int = 0
    repaired_rows: int = 0
    columns: tuple[str, ...] = ()
    readable_path: str | None = None
    forms: tuple[str, ...] | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "LandedShard":
        """Read a row of the fact table."""
        metadata, images = (
            LandingFile(**{name: row[f"{kind}_{name}"] for name in _DELIVERY}) if row[f"{kind}_path"] else None
            for kind in ("metadata", "images")
        )
        seen = {name: row[name] for name in ("shard_id", "status", "failure", "rows", "repaired_rows", "readable_path")}
        forms = None if row["forms"] is None else tuple(row["forms"])
        shard = Shard(row["dataset"], row["shard"], metadata, images, images_gone=bool(row["images_gone"]))
        return cls(files=shard, columns=tuple(row["columns"]), forms=forms, **seen)

    def row(self) -> dict[str, Any]:
        """Write a row of the fact table."""
        seen = {name: value for name, value in vars(self).items() if name != "files"}
        named = {"dataset": self.files.dataset, "shard": self.files.name, "images_gone": self.files.images_gone}
        return seen | named | self.delivery

    @property
    def delivery(self) -> dict[str, str | int | None]:
        """Values that change with each delivery of its files, by column."""
        return {
            f"{kind}_{name}": getattr(file, name) if file else None
            for kind, file in (("metadata", self.files.metadata), ("images", self.files.images))
            for name in _DELIVERY
        }


_DELIVERY = ("path", "size", "mtime_ns")


def find_shards(
    dataset: str, metadata: str | None, images: str | None, not_taken: NotTakenCounts | None = None
) -> list[Shard]:
    """Find the shards of a dataset.

    A shard is named by its path below the glob's fixed part, without the ending, so that `part-1/00000.parquet` and
    `part-1/00000.tar` are one shard. Images may be tars, parquet files with pictures, and folders of pictures. A
    parquet of the same name as a folder or tar is img2dataset's report, not a dump, and belongs to its delivery. A
    folder that is called a parquet, as Spark writes it, is the parquet files in it. Without metadata, a parquet of
    pictures is its own metadata.

    Args:
        dataset: Its name.
        metadata: A glob (`**` crosses folders), or None.
        images: Likewise.
        not_taken: Receives what the globs find and no shard takes.

    Returns:
        The shards in order of their names.

    Raises:
        LandingError: If the globs find one shard twice, or pictures instead of folders.
        OSError: If a store does not answer.
    """
    counts = NotTakenCounts() if not_taken is None else not_taken
    rows = _named(_files(metadata, counts), metadata) if metadata else {}
    pictures = _named(_dumps(images, counts), images) if images else {}
    if not metadata:
        rows = {name: entry for name, entry in pictures.items() if _is_parquet(entry)}
    reports = stores.find_beside(entry for entry in pictures.values() if not _is_parquet(entry))
    shards = []
    for name in sorted(rows.keys() | pictures.keys()):
        listed, dump = (LandingFile.of(found[name]) if name in found else None for found in (rows, pictures))
        report = reports.get(dump.path) if dump else None
        if dump and report and not (listed and listed.path == report.path):
            dump = dump.with_report(report)
        shards.append(Shard(dataset, name, listed, dump))
    return shards


def _found(pattern: str, counts: NotTakenCounts) -> Iterator[Entry]:
    """Yield what a glob finds, folders that are called a parquet as the parquet files in them."""
    fixed, wanted = stores.plain(globs.fixed_part(pattern)).rstrip("/"), PurePosixPath(pattern).parts
    for entry in globs.glob(pattern):
        below = entry.path if fixed == "." else entry.path[len(fixed) :].lstrip("/")
        if is_system_file(below, wanted):
            counts.add(pattern, HIDDEN, entry.path)
        elif entry.refusal is not None:
            counts.add(pattern, entry.refusal, entry.path)
        elif entry.folder and PurePosixPath(entry.path).suffix.lower() in PARQUET:
            yield from _spark_parts(entry, pattern, counts)
        else:
            yield entry


def _spark_parts(folder: Entry, pattern: str, counts: NotTakenCounts) -> Iterator[Entry]:
    found = [(name, file) for name, file in stores.walk(folder.path) if not file.folder]
    files = [file for name, file in found if file.refusal is None and not is_system_file(name)]
    parts = [file for file in files if _is_parquet(file) and not _is_beside(file)]
    if not parts:
        yield folder
        return
    yield from parts
    for name, file in found:
        if is_system_file(name):
            counts.add(pattern, HIDDEN, file.path)
        elif file.refusal is not None:
            counts.add(pattern, file.refusal, file.path)
    if left := sorted({file.path for file in files} - {part.path for part in parts}):
        counts.add(pattern, _BY_PRODUCT, *left)


def is_by_product(name: str) -> bool:
    """Return whether a file beside metadata is called, in lower case, as what img2dataset or Spark leave there."""
    return name.startswith("_") or name.endswith(("_stats.json", ".crc", ".partial"))


def _files(pattern: str, counts: NotTakenCounts) -> Iterator[Entry]:
    for entry in _found(pattern, counts):
        name = PurePosixPath(entry.path).name.lower()
        if entry.folder:
            counts.add(pattern, _FOLDER, entry.path)
        elif is_by_product(name):
            counts.add(pattern, _BY_PRODUCT, entry.path)
        else:
            yield entry


def _dumps(pattern: str, counts: NotTakenCounts) -> Iterator[Entry]:
    found = sorted(_found(pattern, counts), key=lambda entry: entry.path)
    if by_products := [entry.path for entry in found if _is_beside(entry)]:
        counts.add(pattern, _BY_PRODUCT, *by_products)
    found = [entry for entry in found if not _is_beside(entry)]
    pictures = [e.path for e in found if not e.folder and PurePosixPath(e.path).suffix.lower() in PICTURE_ENDINGS]
    if pictures:
        raise LandingError(
            f"`images` = {pattern} finds pictures themselves, such as {pictures[0]}; name the folder that holds them"
        )
    _refuse_nested(pattern, [e.path for e in found if e.folder])
    dumps = {_stem(entry) for entry in found if not _is_parquet(entry)}
    return (entry for entry in found if not (_is_parquet(entry) and _stem(entry) in dumps))


def _is_beside(entry: Entry) -> bool:
    """Return whether this is a by-product of img2dataset or Spark: statistics, marks, work in progress."""
    name = PurePosixPath(entry.path).name
    return name.startswith("_") or (not entry.folder and name.lower().endswith((".json", ".crc", ".partial")))


def _refuse_nested(pattern: str, folders: list[str]) -> None:
    seen = set(folders)
    for folder in folders:
        within = next((str(parent) for parent in PurePosixPath(folder).parents if str(parent) in seen), None)
        if within:
            raise LandingError(f"`images` = {pattern} finds {folder} and {within}, which holds it; narrow the glob")


def _is_parquet(entry: Entry) -> bool:
    return not entry.folder and PurePosixPath(entry.path).suffix.lower() in PARQUET


def _stem(entry: Entry) -> str:
    if entry.folder:
        return entry.path
    whole = next((ending for ending in _COMPOUND if entry.path.lower().endswith(ending)), None)
    return entry.path[: len(entry.path) - len(whole or PurePosixPath(entry.path).suffix)]


def _named(entries: Iterable[Entry], pattern: str) -> dict[str, Entry]:
    fixed = stores.plain(globs.fixed_part(pattern)).rstrip("/")
    found: dict[str, Entry] = {}
    for entry in entries:
        name = _stem(entry) if fixed in {"", "."} else _stem(entry)[len(fixed) :]
        name = name.strip("/") or PurePosixPath(entry.path).name
        if name in found and entry.path.lower().endswith(_COMPRESSED):
            name = f"{name}.tar"  # the tar itself is beside it
        if name in found:
            raise LandingError(f"{entry.path} and {found[name].path} would both be shard {name}; narrow the glob")
        found[name] = entry
    return found
