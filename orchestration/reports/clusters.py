"""The data behind the page of a cluster: what its rows share, how they differ, and the rows.

What belongs here: writing files of several clusters each from `duplicates.clusters`. What does not: drawing them
(`transforms/reports/templates/cluster.js`), the gallery (`reports/gallery.py`).

A hundred thousand clusters take a few hundred files. The number of a cluster's file is its id modulo their count. An
entry says what it was made of, so that the next version copies it if that is the same. It is made of what the database
says of its cluster and its rows, which `cluster_contents.sql` hashes, of the settings that this query is told, of the
queries and of this code. Entries with pictures or generations depend on more, and are made anew.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from zlib import crc32

import duckdb

from orchestration.reports.page_data import CAPTION, DataFolder, rows, stream, text
from orchestration.reports.pictures import PictureReader
from orchestration.warehouse.queries import query
from transforms.hashing.likeness import TurnedHash, likeness
from transforms.reports import page
from transforms.reports.duplicate_report import GalleryExtent
from transforms.reports.page import link

CODE = 1  # raise when the same rows would give another entry; a test has one that was made by this code
_FIX = "run `raisonne doctor`, which reads every version for damage"
_KIND = "clusters"
_ENTRY = re.compile(r'\{"id":"(?P<id>\d+)","made":"(?P<made>[0-9a-f]{24})",')
_FILES = 24  # different files of a cluster that get a small copy
_SIDE = 160  # pixels
_SAME_SHAPE = 0.02  # relative difference of width / height that rounding explains


@dataclass(frozen=True)
class ListedClusters:
    """The clusters that have a page, `count` in number, the most repeated ones."""

    con: duckdb.DuckDBPyConnection
    count: int

    def __contains__(self, cluster_id: int) -> bool:
        """Return whether a cluster has a page."""
        [row] = rows(self.con, "clusters_before", cluster=cluster_id)
        return 0 < row["clusters"] <= self.count


def write(
    con: duckdb.DuckDBPyConnection,
    data: DataFolder,
    gallery: GalleryExtent,
    with_pictures: int,
    pictures: PictureReader,
    cases: Mapping[str, str],
    earlier: DataFolder | None = None,
) -> None:
    """Write the clusters that the gallery lists. Memory holds one file.

    Args:
        con: a connection to a published version.
        data: The folder to write into.
        gallery: How much to write.
        with_pictures: Number of clusters, from the first on, that show the pictures of their different files.
        pictures: Reader of the pictures.
        cases: The file of each generation's page, by generation.
        earlier: The folder of another version, from which entries are copied that say the same; the result is the same
            without.
    """
    listed = _listed(con, gallery, with_pictures)
    copied = _Copied(earlier, listed)
    chosen = {
        cluster_id: place.position
        for entries in listed.values()
        for cluster_id, place in entries.items()
        if cluster_id not in copied
    }
    made = _clusters(con, gallery, chosen)
    for number, entries in listed.items():
        there, items = copied.read(number), []
        for cluster_id, place in entries.items():
            if cluster_id in there:
                items.append(there[cluster_id])
                continue
            lost = cluster_id in copied  # as when somebody removes the other folder meanwhile
            about, members = next(_clusters(con, gallery, {cluster_id: place.position}) if lost else made)
            groups = _groups(members)
            has_pictures = place.position < with_pictures and len(groups) > 1
            if has_pictures:
                first = {
                    group: member["sample_id"] for member in reversed(members) if (group := groups[member["sha256"]])
                }
                shown = [first[group] for group in range(1, min(len(groups), _FILES + 1))]
                small = pictures.thumbnails_of(shown, _SIDE)
                data.write("pictures", cluster_id, [None, *small])
            summary = _summary(about, members, groups, cases) | {"pictures": int(has_pictures)}
            if place.position < gallery.thumbnails:
                summary["position"] = place.position
            items.append(_item(cluster_id, place.content, summary))
        data.write_lines(_KIND, number, items)


@dataclass(frozen=True)
class _Place:
    """A listed cluster's place in the order of the gallery, and the hash of what its entry is made of.

    Attributes:
        position: From 0 on.
        content: None if its entry is made anew.
    """

    position: int
    content: int | None


type _Entries = Mapping[int, Mapping[int, _Place]]
"""By number of a file, in their order: the clusters in it, in theirs."""


def _listed(con: duckdb.DuckDBPyConnection, gallery: GalleryExtent, with_pictures: int) -> _Entries:
    found = rows(con, "listed_clusters", clusters=gallery.listed, files=gallery.cluster_files)
    positions = {row["cluster_id"]: row["position"] for row in found}
    contents = _contents(con, gallery, positions)
    listed: dict[int, dict[int, _Place]] = {}
    for cluster_id, position in positions.items():
        content = None if position < with_pictures else contents.get(cluster_id)
        listed.setdefault(cluster_id % gallery.cluster_files, {})[cluster_id] = _Place(position, content)
    return listed


def _contents(con: duckdb.DuckDBPyConnection, gallery: GalleryExtent, positions: Mapping[int, int]) -> dict[int, int]:
    """Return the hash of what the entry of each cluster is made of, but for those of which that is not known."""
    if "warehouse.shards" not in {row["name"] for row in rows(con, "table_names")}:  # a version of an older release
        return {}
    asked = (query(f"reports/{name}") for name in ("cluster_contents", "cluster_summaries", "cluster_members"))
    rules = " ".join([str(CODE), duckdb.__version__, str(gallery.members), *asked])
    found = rows(con, "cluster_contents", **_which(positions), thumbnails=gallery.thumbnails, rules=rules)
    return {row["cluster_id"]: row["content"] for row in found}


def _which(positions: Mapping[int, int]) -> dict[str, object]:
    """Return the parameters that name clusters and their positions."""
    return {"chosen": list(positions), "positions": list(positions.values())}


def _item(cluster_id: int, content: int | None, summary: Mapping[str, Any]) -> str:
    """Return a cluster's entry. If it is known what it is made of, that and a checksum of the rest follow the id."""
    rest = page.item(summary)[1:]
    made = "" if content is None else f'"made":"{_made(content, rest)}",'
    return f'{{"id":"{cluster_id}",{made}{rest}'


def _made(content: int, rest: str) -> str:
    return f"{content:016x}{crc32(rest.encode()):08x}"


class _Copied:
    """The clusters whose entries are copied from the folder of another version."""

    def __init__(self, earlier: DataFolder | None, listed: _Entries) -> None:
        """Look for entries that were made of the same, and are whole as they were written."""
        self._earlier, self._listed = earlier, listed
        self._ids = {cluster_id for number in listed for cluster_id in self.read(number)}

    def __contains__(self, cluster_id: int) -> bool:
        return cluster_id in self._ids

    def read(self, number: int) -> dict[int, str]:
        """Return the entries of a file that are copied, by cluster."""
        found, entries = {}, self._listed[number]
        for line in [] if self._earlier is None else self._earlier.lines(_KIND, number):
            if (entry := _ENTRY.match(line)) is None:
                continue
            place = entries.get(int(entry["id"]))
            content = None if place is None else place.content
            if content is not None and entry["made"] == _made(content, line[entry.end() :]):
                found[int(entry["id"])] = line
        return found


def _clusters(
    con: duckdb.DuckDBPyConnection, gallery: GalleryExtent, chosen: Mapping[int, int]
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield the summary of each cluster with its rows. Both queries have the order of the clusters.

    Args:
        con: a connection to a published version.
        gallery: The number of files, and of rows of a cluster.
        chosen: The position of each cluster.
    """
    which = {"files": gallery.cluster_files, **_which(chosen)}
    summaries = stream(con, "cluster_summaries", **which)
    rows_of = stream(con, "cluster_members", **which, members=gallery.members)
    members = groupby(rows_of, key=lambda member: member["position"])
    for cluster_id, about, (position, group) in zip(chosen, summaries, members, strict=True):
        if about["cluster_id"] != cluster_id:
            raise RuntimeError(f"cluster {cluster_id} is not in reports.repeated_pictures, which has other ids; {_FIX}")
        if about["position"] != position:
            raise RuntimeError(f"cluster {cluster_id} has no rows: duplicates.clusters and .counts disagree; {_FIX}")
        yield about, list(group)


def _groups(members: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return a number for each different file; the representative's file has 0."""
    groups: dict[str, int] = {}
    for member in members:
        groups.setdefault(member["sha256"], len(groups))
    return groups


def _summary(
    about: Mapping[str, Any], members: list[dict[str, Any]], groups: Mapping[str, int], cases: Mapping[str, str]
) -> dict[str, Any]:
    alike = list(_likenesses(members))
    return {
        "representative": str(about["representative_id"]),
        "copies": about["duplicate_count"],
        "exact": about["exact_count"],
        "recalled": about["recalled_count"],
        "files": about["files"],
        "pixels": about["pixels"],
        "sizes": [[size, int(count)] for size, count in about["sizes"]],
        "sizeCount": about["size_count"],
        "methods": [[method, int(count)] for method, count in about["methods"]],
        "far": max(zip((each["far"] for each in members), alike, strict=True))[1],  # of the furthest
        "urls": about["distinct_urls"],
        "captionCount": about["distinct_captions"],
        "hostCount": about["distinct_hosts"],
        "licences": [text(name, 120) for name in about["licenses"]],
        "unsafe": int(about["unsafe"]),
        "generations": [[text(name), verdict, cases.get(name)] for name, verdict in about["generations"]],
        "generationCount": about["generation_count"],
        "members": [
            _member(member, members[0], groups[member["sha256"]], how)
            for member, how in zip(members, alike, strict=True)
        ],
    }


def _likenesses(members: list[dict[str, Any]]) -> Iterator[str]:
    """Yield how alike the hash of each row is to the representative's, in words."""
    turned = TurnedHash(members[0]["pdq"]) if members[0]["pdq"] else None
    for each in members:
        yield turned.likeness(each["pdq"]) if turned and each["pdq"] else likeness(each["far"])


def _member(member: Mapping[str, Any], head: Mapping[str, Any], group: int, how: str) -> list[Any]:
    """Return a row's values in the order of `FIELDS` in `cluster.js`; without names, because there are many rows."""
    linked = link(member["url"])
    return [
        str(member["sample_id"]),
        member["method"],
        group,
        how,
        member["aligned"],
        member["width"],
        member["height"],
        linked or text(member["url"]),
        int(linked is not None),
        text(member["caption"], CAPTION),
        text(member["license"], 120),
        _differs(member, head),
    ]


def _differs(member: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """Return a letter for each difference between a row and its representative. `cluster.js` has the words."""
    wide, narrow = (row["width"] * other["height"] for row, other in ((member, head), (head, member)))
    differences = {
        "b": member["sha256"] != head["sha256"],
        "p": member["pixel_sha256"] != head["pixel_sha256"],
        "s": (member["width"], member["height"]) != (head["width"], head["height"]),
        "r": abs(wide - narrow) > _SAME_SHAPE * max(wide, narrow),
        "c": member["caption"] != head["caption"],
        "h": member["url_host"] != head["url_host"],
        "l": member["license"] != head["license"],
    }
    return "".join(letter for letter, differs in differences.items() if differs)
