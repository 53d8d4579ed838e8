"""The list of URLs that img2dataset downloads for one metadata file, and which of its shards are done.

What belongs here: converting metadata of any dialect to img2dataset's columns, and moving finished tars into the dump.
What does not: running img2dataset (`catalog/download/download.py`).

    <download>/NAME/00000.tar, 00000.parquet       a finished shard of NAME.parquet, and how each of its rows ended
    <download>/.download/<digest of NAME>/         list.parquet: what is asked for; shards/: what img2dataset writes

A shard is moved into the dump when it is whole, so that a run never reads half a tar. Its `_stats.json` stays behind,
so img2dataset does not request its rows again.
"""

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.catalog.byte_limits import open_parquet
from transforms.catalog.columns import LandingError, column_of
from transforms.catalog.landing import LandingFile
from transforms.catalog.metadata import inspect
from transforms.dumps.members import ROW
from transforms.hashing.hashes import file_sha256
from transforms.storage import copies
from transforms.storage.file_limits import ByteLimits

WORK = ".download"
_OURS = ("url", "caption")
# Columns that img2dataset writes itself; the metadata's own of these names become source_NAME.
_RESERVED = frozenset(
    {"key", "width", "height", "original_width", "original_height", "status", "error_message", "exif"}
    | {"md5", "sha256", "sha512"}
)


@dataclass(frozen=True)
class UrlList:
    """The rows of one metadata file, in shards of shard_rows, and the folder of the dump where they go."""

    name: str
    work: Path
    target: Path
    rows: int
    shard_rows: int

    @property
    def path(self) -> Path:
        """The file of the list: url, caption and the other columns of the metadata."""
        return self.work / "list.parquet"

    @property
    def others(self) -> list[str]:
        """The columns of the list besides url and caption."""
        return [name for name in pq.read_schema(self.path).names if name not in _OURS]

    @property
    def work_folder(self) -> Path:
        """The folder that img2dataset writes to."""
        return self.work / "shards"

    @property
    def log(self) -> Path:
        """The file with the output of img2dataset."""
        return self.work / "log.txt"

    @property
    def shards(self) -> dict[str, int]:
        """The names of its shards and the rows of each."""
        firsts = range(0, self.rows, self.shard_rows)
        return {f"{i:05d}": min(self.shard_rows, self.rows - first) for i, first in enumerate(firsts)}

    def finish(self) -> dict[str, int]:
        """Move finished shards into the dump, and return the rows of each that is there. Others are requested again."""
        there = {}
        for name, rows in self.shards.items():
            stats = self.work_folder / f"{name}_stats.json"
            if not stats.exists():  # img2dataset writes it last
                continue
            for ending in ("parquet", "tar"):  # the tar last: it is what a run looks for
                made = stats.with_name(f"{name}.{ending}")
                if made.exists():
                    made.replace(self.target / made.name)
            if (self.target / f"{name}.tar").exists() and _rows(self.target / f"{name}.parquet") == rows:
                there[name] = rows
            else:
                stats.unlink()  # removed since, or img2dataset lost rows, as it does when the disk is full
        return there

    def drop_others(self) -> None:
        """Remove shards of an earlier, longer delivery of the same metadata file from the dump."""
        for path in self.target.iterdir():
            if re.fullmatch(r"\d{5,}\.(tar|parquet)", path.name) and path.stem not in self.shards:
                path.unlink()


def _rows(path: Path) -> int | None:
    try:
        return pq.read_metadata(path).num_rows
    except (OSError, UnicodeError, pa.ArrowException):
        return None


def open_list(folder: Path, name: str, source: LandingFile, shard_rows: int, limits: ByteLimits) -> UrlList:
    """Return the list of one metadata file: the one begun earlier if the file is unchanged, else a new one.

    Args:
        folder: The folder of the dataset's downloads.
        name: The name of the shard.
        source: The metadata file.
        shard_rows: Rows of a tar, for a new list.
        limits: Of the metadata file.

    Raises:
        LandingError: If the file cannot be used.
    """
    work = folder / WORK / hashlib.sha256(name.encode()).hexdigest()[:16]
    path, target = work / "list.parquet", folder / name
    about = _about(path)
    if about is None or (source.size, source.mtime_ns) != (about["size"], about["mtime_ns"]):
        with copies.local_copy(source.path, folder / WORK) as here:
            sha256 = file_sha256(Path(here))
            if about is None or sha256 != about["sha256"]:
                shutil.rmtree(work, ignore_errors=True)
                (work / "shards").mkdir(parents=True)
                about = {"size": source.size, "mtime_ns": source.mtime_ns, "sha256": sha256, "shard_rows": shard_rows}
                _write_list(here, path, about, limits)
    target.mkdir(parents=True, exist_ok=True)
    return UrlList(name, work, target, pq.read_metadata(path).num_rows, about["shard_rows"])


def _about(path: Path) -> dict[str, Any] | None:
    return json.loads(pq.read_schema(path).metadata[b"raisonne"]) if path.exists() else None


def _write_list(source: str, path: Path, about: dict[str, Any], limits: ByteLimits) -> None:
    repaired = path.with_name("repaired.parquet")
    found = inspect(source, repaired, limits)
    if found.pictures:
        raise LandingError(f"{source} holds its pictures itself, in {found.pictures.name}; name it in `images`")
    if key := column_of(found.columns, "key"):
        # img2dataset numbers pictures itself, and pictures are matched with rows by key: the rows would be wrong
        raise LandingError(f"{source} has keys of another download ({key}); download from a copy without that column")
    landed = repaired if repaired.exists() else Path(source)
    with landed.open("rb") as opened:
        file = open_parquet(str(landed), opened, limits)
        schema = file.schema
        columns = _columns(schema)
        fields = [pa.field(new, _kind(new, schema.field(old).type)) for new, old in columns.items()]
        made = pa.schema([*fields, pa.field(ROW, pa.int64())], metadata={"raisonne": json.dumps(about)})
        partial = path.with_suffix(".partial")
        with pq.ParquetWriter(partial, made) as writer:
            first = 0
            for batch in file.texts(list(columns.values()), 64_000):
                arrays = [batch.column(columns[field.name]).cast(field.type) for field in fields]
                numbers = pa.array(range(first, first + batch.num_rows), pa.int64())
                writer.write_batch(pa.record_batch([*arrays, numbers], schema=made))
                first += batch.num_rows
    repaired.unlink(missing_ok=True)
    partial.replace(path)


def _columns(schema: pa.Schema) -> dict[str, str]:
    # the list's name of each of the metadata's columns: those that a JSON file beside a picture can hold
    columns = {wanted: name for wanted in _OURS if (name := column_of(schema.names, wanted))}
    for field in schema:
        if field.name not in columns.values() and _is_plain(field.type):
            taken = field.name.lower() in _RESERVED.union(_OURS, {ROW})
            columns.setdefault(f"source_{field.name.lower()}" if taken else field.name, field.name)
    return columns


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _is_plain(kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    return text or _is_number(kind)


def _kind(name: str, kind: pa.DataType) -> pa.DataType:
    return kind if _is_number(kind) and name not in _OURS else pa.string()
