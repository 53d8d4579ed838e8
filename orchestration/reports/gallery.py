"""The data behind the gallery of the duplicate-frequency report.

What belongs here: writing files that a page loads from `reports.repeated_pictures`: entries, thumbnails, and an index
for sorting and filtering. What does not: drawing them (`transforms/reports/templates/gallery.js`), the rows of a
cluster (`reports/clusters.py`).

The index holds only numbers, so that the page sorts a hundred thousand pictures without loading their captions. The
page searches captions file by file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

import duckdb

from orchestration.reports.page_data import CAPTION, DataFolder, rows, stream, text
from orchestration.reports.pictures import PictureReader
from orchestration.settings.sections import Reports
from transforms.hashing.likeness import DIFFERENT, likeness
from transforms.reports.duplicate_report import GalleryExtent

PART, SHEET, COLUMN = 500, 24, 20_000  # entries, thumbnails and index rows in a file
_MEMBERS = 2_000  # rows of clusters in a file at most, about


def extent(con: duckdb.DuckDBPyConnection, limits: Reports) -> GalleryExtent:
    """Return how much the data will hold.

    Args:
        con: a connection to a published version.
        limits: The settings' limits of the pages.
    """
    [row] = rows(con, "gallery_extent", clusters=limits.clusters, members=limits.members)
    return GalleryExtent(
        listed=row["listed"],
        least=row["least"],
        thumbnails=min(limits.thumbnails, row["listed"]),
        part=PART,
        sheet=SHEET,
        column=COLUMN,
        # seldom another number, so that entries stay in their files; odd, so that ids of any pattern spread
        cluster_files=(1 << (-(-row["members"] // _MEMBERS)).bit_length()) - 1,
        members=limits.members,
    )


def write(con: duckdb.DuckDBPyConnection, data: DataFolder, gallery: GalleryExtent, pictures: PictureReader) -> None:
    """Write the entries, their index, and thumbnails of the first of them. Memory holds one index file and one part.

    Args:
        con: a connection to a published version.
        data: The folder to write into.
        gallery: How much to write, from `extent`.
        pictures: Reader of the pictures.
    """
    index, names, sheet = _Index(), _Names(), _Sheet(data, gallery, pictures)
    parts = -(-gallery.listed // PART)
    for number, part in enumerate(batched(stream(con, "gallery", clusters=gallery.listed), PART)):
        data.write("gallery", number, [_entry(row) for row in part])
        for row in part:
            index.add(row, names)
            sheet.add(row["representative_id"])
        if (number + 1) % (COLUMN // PART) == 0 or number + 1 == parts:
            data.write("index", number * PART // COLUMN, vars(index))
            index = _Index()
    data.write("names", 0, {"licenceNames": list(names.licences), "hostNames": list(names.hosts)})


@dataclass
class _Sheet:
    """Thumbnails of the first pictures, several in a file."""

    data: DataFolder
    gallery: GalleryExtent
    pictures: PictureReader
    batch: list[int] = field(default_factory=list)
    index: int = 0

    def add(self, sample_id: int) -> None:
        if self.index < self.gallery.thumbnails:
            self.batch.append(sample_id)
            if len(self.batch) == SHEET or self.index + 1 == self.gallery.thumbnails:
                self.data.write("thumbnails", self.index // SHEET, self.pictures.thumbnails_of(self.batch))
                self.batch = []
        self.index += 1


@dataclass
class _Names:
    """Licences and hosts, with the number of each in the index."""

    licences: dict[str, int] = field(default_factory=dict)
    hosts: dict[str, int] = field(default_factory=dict)


@dataclass
class _Index:
    """The columns by which the page sorts and filters pictures."""

    copies: list[int] = field(default_factory=list)
    near: list[int] = field(default_factory=list)
    hosts: list[int] = field(default_factory=list)
    captions: list[int] = field(default_factory=list)
    far: list[float] = field(default_factory=list)
    unsafe: list[int] = field(default_factory=list)
    licenceOf: list[list[int]] = field(default_factory=list)  # noqa: N815 -- read by a script
    hostOf: list[list[int]] = field(default_factory=list)  # noqa: N815

    def add(self, row: Mapping[str, Any], names: _Names) -> None:
        self.copies.append(row["duplicate_count"])
        self.near.append(row["duplicate_count"] - row["exact_count"])
        self.hosts.append(row["distinct_hosts"])
        self.captions.append(row["distinct_captions"])
        far = row["max_distance_to_representative"]
        self.far.append(-1 if far is None else far)
        self.unsafe.append(int(row["unsafe"]))
        self.licenceOf.append([names.licences.setdefault(name, len(names.licences)) for name in _licences(row)])
        self.hostOf.append([names.hosts.setdefault(name, len(names.hosts)) for name in _hosts(row)])


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "copies": row["duplicate_count"],
        "exact": row["exact_count"],
        "urls": row["distinct_urls"],
        "captionCount": row["distinct_captions"],
        "hostCount": row["distinct_hosts"],
        "far": _likeness(row["max_distance_to_representative"]),
        "licences": _licences(row),
        "hosts": _hosts(row),
        "captions": [text(caption, CAPTION) for caption in row["captions"]],
        "unsafe": int(row["unsafe"]),
    }


def _likeness(bits: float | None) -> str | None:
    """Return how alike the furthest copy's hash is. A different one counts because something else confirms it."""
    if bits is None:
        return None
    said = likeness(bits)
    return f"{said}, confirmed by pixels or a person" if said == DIFFERENT else said


def _licences(row: Mapping[str, Any]) -> list[str]:
    return [text(name, 120) or "unknown" for name in row["licenses"]]


def _hosts(row: Mapping[str, Any]) -> list[str]:
    return [text(name, 120) or "unknown" for name in row["hosts"]]
