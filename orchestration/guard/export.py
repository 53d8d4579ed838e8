"""Exporting a guard bundle from a published version.

What belongs here: selecting rows, writing their digests and hashes, and the manifest. What does not: embeddings
(`guard/export_embeddings.py`), the files (`transforms/guard/`), arguments (`cli/guard/export.py`).

A bundle holds one version: the tables of the published file, and the facts at the Lance versions that it names.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.fingerprints.kinds import COPY
from orchestration.guard import export_embeddings, export_renditions
from orchestration.guard.export_embeddings import GuardExportError, PublishedVersion
from orchestration.guard.folders import BundleOptions, default_folder
from orchestration.settings import Settings
from orchestration.warehouse.queries import query
from transforms.guard import Bundle
from transforms.guard.bundle_writer import BundleFiles, new_bundle
from transforms.guard.signature import SigningKey
from transforms.guard.verdict import Policy
from transforms.hashing import digest_arrays
from transforms.hashing.digest_arrays import Rows
from transforms.readable import count

_BATCH = 65_536  # rows in memory at once

_DISTINCT = "select distinct {column}, cluster from guard_rows join guard_clusters using (cluster_id) {where}"


def write(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    options: BundleOptions,
    target: Path | None = None,
    key: SigningKey | None = None,
) -> Path:
    """Write a bundle of the published version.

    Args:
        con: The published version.
        settings: The settings of that version.
        options: What the bundle holds.
        target: a new folder. Default: one in the warehouse, named after the version and the options.
        key: Signs the bundle. Default: it is not signed.

    Returns:
        The folder.

    Raises:
        GuardExportError: If the bundle would be wrong or empty.
        OSError: If the file system refuses.
    """
    if options.hashes_only and (options.copy_score is not None or options.p_value is not None):
        raise GuardExportError("--copy-score and --p-value need embeddings; leave them out, or leave --hashes-only out")
    if options.hashes_only and options.look_from is not None:
        raise GuardExportError("--look-from needs embeddings; leave it out, or leave --hashes-only out")
    if options.evidence_bytes is None and (options.pixels_decide or options.look_from is not None):
        raise GuardExportError("--pixels-decide and --look-from need pixels to compare; add --with-evidence")
    if not options.hashes_only and COPY not in settings.encoders.by_purpose:
        raise GuardExportError("encoders.copy is none, so there are no embeddings; export with --hashes-only")
    version = _version(con, settings)
    folder = target or default_folder(settings.home, version["number"], options)
    try:
        with new_bundle(folder) as files:
            con.execute("set memory_limit = ?", [settings.memory.duckdb])
            con.execute("set temp_directory = ?", [str(files.folder.parent / "spill")])
            files.finish(_fill(PublishedVersion(con, settings, version), options, files), key)
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
            f"the settings differ from those of version {row[0]}; run `raisonne run`, then export again"
        )
    return {"number": row[0], "published_at": row[1].astimezone(UTC).isoformat(), "lance_versions": row[2]}


def _fill(published: PublishedVersion, options: BundleOptions, files: BundleFiles) -> dict[str, Any]:
    """Write all files but the manifest, and return its fields."""
    counts = _select(published, options)
    _hashes(published.con, files)
    parts: dict[str, Any] = {"encoder": None, "sketches": None, "calibration": None, "renditions": None}
    cut, fingerprints = published.settings.thresholds, ["sha256", "pixels", "pdq"]
    score = cut.similar if options.copy_score is None else options.copy_score
    decide, look = options.pixels_decide, options.look_from
    policy = Policy(cut.pdq, cut.pdq_quality, score, options.p_value, options.at_least, decide, look)
    if not options.hashes_only:
        parts |= export_embeddings.write(published, policy, files, counts["pictures"])
        fingerprints.append("embedding")
    if options.evidence_bytes is not None:
        parts["renditions"] = export_renditions.write(published, files, options.evidence_bytes)
    return {
        "version": published.version,
        "policy": asdict(policy),
        "limits": published.settings.limits.model_dump(include={"pixels", "member_bytes"}),
        "views": published.settings.search.model_dump(mode="json", exclude={"related"}),
        "fingerprints": fingerprints,
        "counts": counts,
        "coverage": published.table("from fingerprints.coverage order by dataset, fingerprint"),
        "methods": published.table("from duplicates.methods"),
        **parts,
    }


def _select(published: PublishedVersion, options: BundleOptions) -> dict[str, Any]:
    """Select the rows of the bundle into temporary tables, and return their counts."""
    con = published.con
    con.execute("create temp table guard_members (sample_id ubigint, representative_id ubigint)")
    for batch in published.dataset("cluster_members").to_batches(columns=["sample_id", "representative_id"]):
        con.register("guard_batch", pa.table([*batch.columns], ["sample_id", "representative_id"]))
        con.execute("insert into guard_members from guard_batch")
        con.unregister("guard_batch")
    con.execute(f"create temp table guard_rows as {query('guard/rows')}")
    con.execute(f"create temp table guard_clusters as {query('guard/cluster_numbers')}", {"at_least": options.at_least})
    [(rows, compared, clusters, pictures, searchable)] = con.execute(
        query("guard/counts"), {"hashes_only": options.hashes_only}
    ).fetchall()
    if not pictures:
        shown = f" that {options.at_least:,} or more rows show" if options.at_least > 1 else ""
        raise GuardExportError(
            f"version {published.version['number']} has no usable picture{shown}, and a guard without pictures "
            "would allow everything; see fingerprints.coverage for what is missing"
        )
    extent = {"searchable": searchable, "coverage": compared / searchable if searchable else 0.0}
    return {"rows": rows, "clusters": clusters, "pictures": pictures} | extent


def _hashes(con: duckdb.DuckDBPyConnection, files: BundleFiles) -> None:
    files.clusters(con.execute(query("guard/clusters")).to_arrow_reader(_BATCH))
    for kind, column in (("bytes", "sha256"), ("pixels", "pixel_sha256")):
        files.digests(kind, *_values(con, column, ""))
    files.hashes(*_values(con, "pdq", "where pdq is not null"))


def _values(
    con: duckdb.DuckDBPyConnection, column: str, where: str
) -> tuple[int, Iterator[tuple[Rows, npt.NDArray[np.uint32]]]]:
    """Return the count of distinct values of a column, and the values, ascending, with their clusters' numbers."""
    distinct = _DISTINCT.format(column=column, where=where)
    [(count,)] = con.execute(f"select count(*) from ({distinct})").fetchall()  # noqa: S608 -- a column of ours

    def batches() -> Iterator[tuple[Rows, npt.NDArray[np.uint32]]]:
        for batch in con.execute(f"{distinct} order by {column}, cluster").to_arrow_reader(_BATCH):
            yield digest_arrays.rows(batch.column(0).cast(pa.binary(digest_arrays.BYTES))), batch.column(1).to_numpy()

    return count, batches()


def sentences(folder: Path) -> list[str]:
    """Return sentences about the content of a bundle, the recall of its search, and the error rates of its rule."""
    manifest = Bundle.open(folder).manifest
    counts, size = manifest["counts"], sum(file["bytes"] for file in manifest["files"].values())
    lines = [
        f"{count(counts['clusters'], 'cluster')} of {count(counts['rows'], 'training row')}, "
        f"{count(counts['pictures'], 'picture')}, {size / 1e6:,.2f} MB; "
        f"{counts['coverage']:.1%} of {count(counts['searchable'], 'training row')} searched"
    ]
    if (least := manifest["policy"]["at_least"]) > 1:
        lines.append(f"pictures of fewer than {least} rows are left out, so copies of them are allowed")
    if kept := manifest["renditions"]:
        unread = f"; {kept['unread']:,} could not be read: {kept['example']}" if kept["unread"] else ""
        lines.append(
            f"small copies of {count(kept['renditions'], 'picture')}, {kept['bytes'] / 1e6:,.2f} MB, "
            f"by which pixels confirm or refuse{unread}"
        )
    if sketches := manifest["sketches"]:
        measured = f"{sketches['recall'] or 0:.4f} of {count(sketches['pairs'], 'pair')}"
        recall = measured if sketches["pairs"] else "not measured: the bundle has no picture with a known edited copy"
        lines.append(
            f"recall of the search: {recall}; least cosine of a quantised vector to itself: "
            f"{sketches['least_self_cosine']:.5f}"
        )
        of = ", of a bundle of everything" if least > 1 else ""
        if not manifest["calibration"]["error_rates"]:
            lines.append(
                "error rates are not known: nothing is calibrated without generations; set "
                "calibration.without_generations = true and run again"
            )
        for row in manifest["calibration"]["error_rates"]:
            error, population = row["error"].replace("_", " "), row["population"].replace("_", " ")
            lines.append(
                f"{error}s by embedding, {population}{of}: {row['wrong']} of {row['pictures']} "
                f"({row['low']:.1%} to {row['high']:.1%})"
            )
    else:
        lines.append("without embeddings: crops, collages and strong edits are not found, and no error rate is known")
    return lines
