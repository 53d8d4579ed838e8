"""The data behind the gallery of the duplicate-frequency report.

What belongs here: from `reports.repeated_pictures` to files that a page loads: entries, thumbnails, and an index to
sort and filter by. What does not: how they are drawn (`templates/gallery.js`), the rows of a cluster
(`reports/clusters.py`).

The index holds numbers alone, so that a hundred thousand pictures are sorted without loading their captions; captions
are searched file by file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

import duckdb

from orchestration.reports.page_data import CAPTION, DataFolder, plain, rows, text, thumbnail
from orchestration.settings.sections import Reports
from transforms.pictures import Pixels
from transforms.reports.duplicate_report import Gallery

PART, SHEET, COLUMN = 500, 24, 20_000  # entries, thumbnails and index rows of a file
_MEMBERS = 2_000  # rows of clusters in a file, about
_QUERY = """
    select cluster_id::varchar as id, representative_id, duplicate_count, exact_count, distinct_urls, distinct_captions,
        distinct_hosts, max_distance_to_representative, licenses, hosts, captions, unsafe
    from reports.repeated_pictures order by duplicate_count desc, cluster_id limit $clusters"""
_EXTENT = """
    select count(*), coalesce(min(duplicate_count), 0), coalesce(sum(least(duplicate_count, $members)), 0)::bigint
    from (select duplicate_count from duplicates.counts order by 1 desc limit $clusters)"""


def extent(con: duckdb.DuckDBPyConnection, limits: Reports) -> Gallery:
    """Return how much the data will hold."""
    values = {"clusters": limits.clusters, "members": limits.members}
    listed, least, members = con.execute(_EXTENT, values).fetchall()[0]
    return Gallery(
        listed=listed,
        least=least,
        thumbnails=min(limits.thumbnails, listed),
        part=PART,
        sheet=SHEET,
        column=COLUMN,
        cluster_files=-(-members // _MEMBERS),
        members=limits.members,
    )


def write(con: duckdb.DuckDBPyConnection, data: DataFolder, gallery: Gallery, picture: Callable[[int], Pixels]) -> None:
    """Write the entries, their index, and thumbnails of the first of them. Memory holds an index and a file."""
    index, names, sheet = _Index(), _Names(), _Sheet(data, gallery, picture)
    parts = -(-gallery.listed // PART)
    for number, part in enumerate(batched(rows(con, _QUERY, {"clusters": gallery.listed}), PART)):
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
    """Thumbnails of the first pictures, some to a file."""

    data: DataFolder
    gallery: Gallery
    picture: Callable[[int], Pixels]
    hung: list[str | None] = field(default_factory=list)
    position: int = 0

    def add(self, sample_id: int) -> None:
        if self.position < self.gallery.thumbnails:
            self.hung.append(thumbnail(self.picture, sample_id))
            if len(self.hung) == SHEET or self.position + 1 == self.gallery.thumbnails:
                self.data.write("thumbnails", self.position // SHEET, self.hung)
                self.hung = []
        self.position += 1


@dataclass
class _Names:
    """Licences and hosts by the number that the index knows them by."""

    licences: dict[str, int] = field(default_factory=dict)
    hosts: dict[str, int] = field(default_factory=dict)


@dataclass
class _Index:
    """What pictures are sorted and filtered by, a column each."""

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
        "far": plain(row["max_distance_to_representative"]),
        "licences": _licences(row),
        "hosts": _hosts(row),
        "captions": [text(caption, CAPTION) for caption in row["captions"]],
        "unsafe": int(row["unsafe"]),
    }


def _licences(row: Mapping[str, Any]) -> list[str]:
    return [text(name, 120) or "unknown" for name in row["licenses"]]


def _hosts(row: Mapping[str, Any]) -> list[str]:
    return [text(name, 120) or "unknown" for name in row["hosts"]]
