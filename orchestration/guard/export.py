"""From a published version to a guard bundle: which pictures go in, and what is measured of them.

What belongs here: choosing rows, and streaming what is known of them. What does not: their embeddings
(`guard/export_embeddings.py`), the files (`transforms/guard/`), what the guard decides, arguments (`cli/guard.py`).

Everything is of one version: the tables of the published file, and the facts at the Lance versions that it names.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.guard import export_embeddings
from orchestration.guard.export_embeddings import GuardExportError, Published
from orchestration.guard.folders import default_folder
from orchestration.settings import Settings
from transforms.guard import Bundle
from transforms.guard.bundle_writer import BundleFiles, writing
from transforms.guard.verdict import Policy
from transforms.hashing import digest_arrays
from transforms.hashing.digest_arrays import Rows

_BATCH = 65_536  # rows that are held at once

# Recalled rows go in too: the model was trained on them all the same. Their licences do not: they were withdrawn.
_SELECTED = """
create temp table guard_rows as
select images.sample_id, coalesce(members.representative_id, images.sample_id) as cluster_id, samples.recalled,
    unhex(images.sha256) as sha256, unhex(images.pixel_sha256) as pixel_sha256,
    if(images.status = 'ok', unhex(images.pdq), null) as pdq
from fingerprints.images as images
join catalog.samples as samples using (sample_id)
left join guard_members as members using (sample_id)
where images.status <> 'failed';
create temp table guard_clusters as
select (row_number() over (order by cluster_id) - 1)::uinteger as cluster, cluster_id,
    count(*) filter (where not recalled) as duplicate_count, count(*) filter (where recalled) as recalled_count
from guard_rows
group by cluster_id
having count(*) >= $at_least"""
_CLUSTERS = """
with placed as (
    select clusters.*, samples.sample_id, samples.dataset, samples.url, samples.license, samples.recalled,
        (samples.recalled, samples.sample_id <> clusters.cluster_id, samples.sample_id) as place
    from guard_clusters as clusters
    join guard_rows using (cluster_id)
    join catalog.samples as samples using (sample_id)
)
select cluster_id, min_by(sample_id, place) as sample_id, min_by(dataset, place) as dataset,
    any_value(duplicate_count) as duplicate_count, any_value(recalled_count) as recalled_count,
    min_by({'url': url}, place).url as url,  -- in a struct, because a NULL would be passed over
    coalesce(list_sort(list(distinct license) filter (where not recalled and license is not null)), [])
        as licenses
from placed
group by cluster_id
order by cluster_id"""
_DISTINCT = "select distinct {column}, cluster from guard_rows join guard_clusters using (cluster_id) {where}"


@dataclass(frozen=True)
class Choice:
    """What goes into a bundle. at_least: training rows that show a picture. hashes_only: without embeddings.

    copy_score, p_value: from where on the guard blocks, by default the settings' and none.
    """

    at_least: int = 1
    hashes_only: bool = False
    copy_score: float | None = None
    p_value: float | None = None


def write(con: duckdb.DuckDBPyConnection, settings: Settings, choice: Choice, target: Path | None = None) -> Path:
    """Write a bundle of the published version and return its folder.

    target: a folder that is not there yet, by default one of the warehouse's, named after the version and the choice.
    Raises GuardExportError, or OSError if the file system refuses.
    """
    if choice.hashes_only and (choice.copy_score is not None or choice.p_value is not None):
        raise GuardExportError("without embeddings neither --copy-score nor --p-value can decide; leave them out")
    version = _version(con, settings)
    folder = target or default_folder(settings.home, version["number"], **asdict(choice))
    try:
        with writing(folder) as files:
            con.execute("set memory_limit = ?", [settings.limits.duckdb_memory])
            con.execute("set temp_directory = ?", [str(files.folder.parent / "spill")])
            _filled(Published(con, settings, version), choice, files)
    finally:
        for table in ("guard_members", "guard_rows", "guard_clusters"):
            con.execute(f"drop table if exists temp.{table}")
    return folder


def _version(con: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, Any]:
    [row] = con.execute(
        "select version, published_at, lance_versions, settings_hash from warehouse.versions "
        "order by version desc limit 1"
    ).fetchall()
    if row[3] != settings.settings_hash:
        raise GuardExportError(
            f"the settings are not those that version {row[0]} was made with; run `raisonne run`, then export again"
        )
    return {"number": row[0], "published_at": row[1].astimezone(UTC).isoformat(), "lance_versions": row[2]}


def _filled(published: Published, choice: Choice, files: BundleFiles) -> None:
    counts = _select(published, choice)
    _hashes(published.con, files)
    made: dict[str, Any] = {"encoder": None, "sketches": None, "calibration": None}
    cut, fingerprints = published.settings.thresholds, ["sha256", "pixels", "pdq"]
    score = cut.similar if choice.copy_score is None else choice.copy_score
    policy = Policy(cut.pdq, cut.pdq_quality, score, choice.p_value, choice.at_least)
    if not choice.hashes_only:
        made = export_embeddings.write(published, policy, files, counts["pictures"])
        fingerprints.append("embedding")
    files.finish(
        {
            "version": published.version,
            "policy": asdict(policy),
            "limits": published.settings.limits.model_dump(include={"pixels", "member_bytes"}),
            "views": published.settings.search.model_dump(mode="json"),
            "fingerprints": fingerprints,
            "counts": counts,
            "coverage": published.table("from fingerprints.coverage order by dataset, fingerprint"),
            "methods": published.table("from duplicates.methods"),
            **made,
        }
    )


def _select(published: Published, choice: Choice) -> dict[str, Any]:
    """Choose the rows, and return how many there are."""
    con = published.con
    con.execute("create temp table guard_members (sample_id ubigint, representative_id ubigint)")
    for batch in published.lance("cluster_members").to_batches(columns=["sample_id", "representative_id"]):
        con.register("guard_batch", pa.table([*batch.columns], ["sample_id", "representative_id"]))
        con.execute("insert into guard_members from guard_batch")
        con.unregister("guard_batch")
    con.execute(_SELECTED, {"at_least": choice.at_least})
    [(rows, compared, clusters, pictures, searchable)] = con.execute(
        "select count(*), count(*) filter (where not $hashes_only or pdq is not null), count(distinct cluster), "
        "count(distinct pixel_sha256), (select count(*) from catalog.samples) "
        "from guard_rows join guard_clusters using (cluster_id)",
        {"hashes_only": choice.hashes_only},
    ).fetchall()
    if not pictures:
        shown = f" that {choice.at_least:,} or more rows show" if choice.at_least > 1 else ""
        raise GuardExportError(
            f"version {published.version['number']} has no usable picture{shown}, and a guard without any would allow "
            "everything; fingerprints.coverage says what is missing"
        )
    extent = {"searchable": searchable, "coverage": compared / searchable if searchable else 0.0}
    return {"rows": rows, "clusters": clusters, "pictures": pictures} | extent


def _hashes(con: duckdb.DuckDBPyConnection, files: BundleFiles) -> None:
    files.clusters(con.execute(_CLUSTERS).to_arrow_reader(_BATCH))
    for kind, column in (("bytes", "sha256"), ("pixels", "pixel_sha256")):
        files.digests(kind, *_owned(con, column, ""))
    files.hashes(*_owned(con, "pdq", "where pdq is not null"))


def _owned(
    con: duckdb.DuckDBPyConnection, column: str, where: str
) -> tuple[int, Iterator[tuple[Rows, npt.NDArray[np.uint32]]]]:
    """Return how many values of a column differ, and these, ascending, with the numbers of their clusters."""
    query = _DISTINCT.format(column=column, where=where)
    [(count,)] = con.execute(f"select count(*) from ({query})").fetchall()  # noqa: S608 -- a column of ours

    def batches() -> Iterator[tuple[Rows, npt.NDArray[np.uint32]]]:
        for batch in con.execute(f"{query} order by {column}, cluster").to_arrow_reader(_BATCH):
            yield digest_arrays.rows(batch.column(0).cast(pa.binary(digest_arrays.BYTES))), batch.column(1).to_numpy()

    return count, batches()


def sentences(folder: Path) -> list[str]:
    """Say what is in a bundle, what it loses, and how often its rule errs."""
    manifest = Bundle.open(folder).manifest
    counts, size = manifest["counts"], sum(file["bytes"] for file in manifest["files"].values())
    said = [
        f"{counts['clusters']:,} clusters of {counts['rows']:,} training rows, {counts['pictures']:,} pictures, "
        f"{size / 1e6:,.2f} MB; {counts['coverage']:.1%} of {counts['searchable']:,} training rows are searched"
    ]
    if (least := manifest["policy"]["at_least"]) > 1:
        said.append(f"pictures that fewer than {least} rows show were left out, and copies of them are allowed")
    if sketches := manifest["sketches"]:
        measured = f"{sketches['recall'] or 0:.4f} of {sketches['pairs']:,} pairs"
        recall = measured if sketches["pairs"] else "not measured: no edited copy of what is in the bundle is known"
        said.append(
            f"recall of the search: {recall}; least cosine of a quantised vector to itself: "
            f"{sketches['least_self_cosine']:.5f}"
        )
        of = ", of a bundle of everything" if least > 1 else ""
        for row in manifest["calibration"]["error_rates"]:
            error, population = row["error"].replace("_", " "), row["population"].replace("_", " ")
            said.append(
                f"{error}s by embedding, {population}{of}: {row['wrong']} of {row['pictures']} "
                f"({row['low']:.1%} to {row['high']:.1%})"
            )
    else:
        said.append("without embeddings: crops, collages and strong edits are not found, and no error rate is known")
    return said
