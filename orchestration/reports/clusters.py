"""The data behind the page of a cluster: what its rows share, what differs, and the rows.

What belongs here: from `duplicates.clusters` to files that hold several clusters each, found by the cluster's id. What
does not: how they are drawn (`templates/cluster.js`), the gallery (`reports/gallery.py`).

A hundred thousand clusters are a few hundred files: a cluster lies in the file of its id modulo their number.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import duckdb

from orchestration.reports.page_data import CAPTION, DataFolder, plain, rows, text, thumbnail
from orchestration.settings.sections import Reports
from transforms.pictures import Pixels
from transforms.reports.duplicate_report import Gallery
from transforms.reports.page import link

_FILES = 24  # different files among a cluster's rows of which a small copy is kept
_SIDE = 160  # pixels
_SAME_SHAPE = 0.02  # relative difference of width / height that rounding explains
_LISTED = """
    with listed as (
        select cluster_id, position from (
            select cluster_id, row_number() over (order by duplicate_count desc, cluster_id) - 1 as position
            from duplicates.counts
        ) where position < $clusters
    )"""
_SUMMARIES = f"""
    {_LISTED},
    shown as (
        select clusters.cluster_id, clusters.method, images.sha256, images.pixel_sha256,
            format('{{}} × {{}}', images.width, images.height) as size
        from listed join duplicates.clusters using (cluster_id) join fingerprints.images using (sample_id)
    ),
    varied as (
        select cluster_id, count(distinct sha256) as files, count(distinct pixel_sha256) as pixels
        from shown group by all
    ),
    sizes as (
        select cluster_id, count(*) as size_count, list([size, rows::varchar] order by rows desc, size)[:5] as sizes
        from (select cluster_id, size, count(*) as rows from shown group by all) group by cluster_id
    ),
    methods as (
        select cluster_id, list([method, rows::varchar] order by rows desc, method) as methods
        from (select cluster_id, method, count(*) as rows from shown group by all) group by cluster_id
    ),
    generated as (
        select cluster_id, count(*) as generation_count,
            list([generation_id, verdict] order by list_position(['exact', 'copy', 'partial_copy', 'similar'], verdict),
                q_value, generation_id)[:20] as generations
        from provenance.sources semi join listed using (cluster_id) group by cluster_id
    )
    select listed.position, repeated.*, varied.files, varied.pixels, sizes.size_count, sizes.sizes, methods.methods,
        coalesce(generated.generation_count, 0) as generation_count, coalesce(generated.generations, []) as generations
    from listed
    join reports.repeated_pictures as repeated using (cluster_id)
    join varied using (cluster_id)
    join sizes using (cluster_id)
    join methods using (cluster_id)
    left join generated using (cluster_id)
    order by listed.cluster_id % $files, listed.position"""  # noqa: S608 -- our own text
_MEMBERS = f"""
    {_LISTED}
    select listed.position, clusters.sample_id, clusters.method, clusters.distance_to_representative as far,
        clusters.aligned_distance_to_representative as aligned, images.sha256, images.pixel_sha256, images.width,
        images.height, samples.url, samples.url_host, samples.caption, samples.license
    from listed
    join duplicates.clusters using (cluster_id)
    join catalog.samples using (sample_id)
    join fingerprints.images using (sample_id)
    where clusters.rank <= $members
    order by listed.cluster_id % $files, listed.position, clusters.rank"""  # noqa: S608 -- our own text


def write(
    con: duckdb.DuckDBPyConnection,
    data: DataFolder,
    gallery: Gallery,
    limits: Reports,
    picture: Callable[[int], Pixels],
    cases: Mapping[str, str],
) -> None:
    """Write the clusters that the gallery lists. cases: generation → the file of its page. Memory holds one file."""
    for number, clusters in groupby(
        _clusters(con, gallery), key=lambda found: found[0]["cluster_id"] % gallery.cluster_files
    ):
        made = []
        for about, members in clusters:
            groups = _groups(members)
            pictured = about["position"] < limits.pictured and len(groups) > 1
            if pictured:
                first = {
                    group: member["sample_id"] for member in reversed(members) if (group := groups[member["sha256"]])
                }
                small = [thumbnail(picture, first[g], _SIDE) for g in range(1, min(len(groups), _FILES + 1))]
                data.write("pictures", about["cluster_id"], [None, *small])
            made.append(_summary(about, members, groups, cases) | {"pictures": int(pictured)})
        data.write("clusters", number, made)


def _clusters(
    con: duckdb.DuckDBPyConnection, gallery: Gallery
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield what is said of each cluster and its rows, both queries in the same order."""
    values: dict[str, object] = {"clusters": gallery.listed, "files": gallery.cluster_files}
    members = groupby(rows(con, _MEMBERS, values | {"members": gallery.members}), key=lambda member: member["position"])
    for about, (position, found) in zip(rows(con, _SUMMARIES, values), members, strict=True):
        if about["position"] != position:
            raise RuntimeError(f"cluster {about['cluster_id']} has no rows: duplicates.clusters and counts disagree")
        yield about, list(found)


def _groups(members: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return a number for each different file, the representative's 0."""
    groups: dict[str, int] = {}
    for member in members:
        groups.setdefault(member["sha256"], len(groups))
    return groups


def _summary(
    about: Mapping[str, Any], members: list[dict[str, Any]], groups: Mapping[str, int], cases: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "id": str(about["cluster_id"]),
        "position": about["position"],
        "representative": str(about["representative_id"]),
        "copies": about["duplicate_count"],
        "exact": about["exact_count"],
        "recalled": about["recalled_count"],
        "files": about["files"],
        "pixels": about["pixels"],
        "sizes": [[size, int(count)] for size, count in about["sizes"]],
        "sizeCount": about["size_count"],
        "methods": [[method, int(count)] for method, count in about["methods"]],
        "far": plain(about["max_distance_to_representative"]),
        "urls": about["distinct_urls"],
        "captionCount": about["distinct_captions"],
        "hostCount": about["distinct_hosts"],
        "licences": [text(name, 120) for name in about["licenses"]],
        "unsafe": int(about["unsafe"]),
        "generations": [[text(name), verdict, cases.get(name)] for name, verdict in about["generations"]],
        "generationCount": about["generation_count"],
        "members": [_member(member, members[0], groups[member["sha256"]]) for member in members],
    }


def _member(member: Mapping[str, Any], head: Mapping[str, Any], group: int) -> list[Any]:
    """Return what is said of a row, in the order of `FIELDS` in `cluster.js`: there are many rows, so without names."""
    linked = link(member["url"])
    return [
        str(member["sample_id"]),
        member["method"],
        group,
        plain(member["far"]),
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
    """Return a letter for each thing in which a row differs from its representative; `cluster.js` has the words."""
    wide, narrow = (row["width"] * other["height"] for row, other in ((member, head), (head, member)))
    apart = {
        "b": member["sha256"] != head["sha256"],
        "p": member["pixel_sha256"] != head["pixel_sha256"],
        "s": (member["width"], member["height"]) != (head["width"], head["height"]),
        "r": abs(wide - narrow) > _SAME_SHAPE * max(wide, narrow),
        "c": member["caption"] != head["caption"],
        "h": member["url_host"] != head["url_host"],
        "l": member["license"] != head["license"],
    }
    return "".join(letter for letter, differs in apart.items() if differs)
