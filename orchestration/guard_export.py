"""From a published version to a guard bundle: which pictures go in, and what is measured of them.

What belongs here: reading the version and its facts, streamed. What does not: the files (`transforms/guard/`), what the
guard decides, arguments (`guard_cli.py`).

Everything is of one version: the tables of the published file, and the facts at the Lance versions that it names.
"""

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration import guard_measures
from orchestration.fact_schemas import encoder_of
from orchestration.fingerprinting import COPY, EMBEDDINGS
from orchestration.guard_measures import NOT_TRAINED, Losses
from orchestration.progress import track
from orchestration.settings import Settings
from transforms import digests
from transforms.digests import Rows
from transforms.encoders import Vectors
from transforms.generations import views
from transforms.guard.bundle import Bundle
from transforms.guard.bundle_files import BundleFiles, writing
from transforms.guard.nearest import NO_CLUSTER
from transforms.guard.verdict import Policy

_BATCH = 65_536  # rows that are held at once
_VECTORS = 8_192
_TAIL = ("threshold", "shape", "scale", "exceedances")

# Recalled rows go in too: the model was trained on them all the same.
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
    select clusters.*, samples.sample_id, samples.dataset, samples.url, samples.license,
        (samples.recalled, samples.sample_id <> clusters.cluster_id, samples.sample_id) as place
    from guard_clusters as clusters
    join guard_rows using (cluster_id)
    join catalog.samples as samples using (sample_id)
)
select cluster_id, min_by(sample_id, place) as sample_id, min_by(dataset, place) as dataset,
    any_value(duplicate_count) as duplicate_count, any_value(recalled_count) as recalled_count,
    min_by({'url': url}, place).url as url,  -- in a struct, because a NULL would be passed over
    coalesce(list_sort(list(distinct license) filter (where license is not null)), []) as licenses
from placed
group by cluster_id
order by cluster_id"""
_DISTINCT = "select distinct {column}, cluster from guard_rows join guard_clusters using (cluster_id) {where}"
_PICTURES = """
create temp table guard_pictures as
select min(sample_id) as sample_id from guard_rows group by pixel_sha256"""


class GuardExportError(RuntimeError):
    """A bundle cannot be written; the message says why and what to do."""


@dataclass(frozen=True)
class Choice:
    """What goes into a bundle. at_least: training rows that show a picture. hashes_only: without embeddings.

    copy_score, p_value: from where on the guard blocks, by default the settings' and none.
    """

    at_least: int = 1
    hashes_only: bool = False
    copy_score: float | None = None
    p_value: float | None = None


def default_folder(home: Path) -> Path:
    """Return where the bundles of a warehouse lie unless another folder is named."""
    return home / "guard"


def newest(home: Path) -> Path | None:
    """Return the newest bundle of a warehouse, None where there is none."""
    return max(default_folder(home).glob("version-*"), default=None)


def write(con: duckdb.DuckDBPyConnection, settings: Settings, choice: Choice, target: Path | None = None) -> Path:
    """Write a bundle of the published version and return its folder.

    target: a folder that is not there yet, by default one of the warehouse's, named after the version and the choice.
    Raises GuardExportError, or OSError if the file system refuses.
    """
    version = _version(con, settings)
    name = f"version-{version['number']:06d}" + (f"-at-least-{choice.at_least}" if choice.at_least > 1 else "")
    folder = target or default_folder(settings.home) / (name + ("-hashes" if choice.hashes_only else ""))
    spill = folder.parent / f".spill-{folder.name}"
    try:
        with writing(folder) as files:
            con.execute("set memory_limit = ?", [settings.limits.duckdb_memory])
            con.execute("set temp_directory = ?", [str(spill)])
            _Export(con, settings, choice, files, version).run()
    finally:
        shutil.rmtree(spill, ignore_errors=True)
        for table in ("guard_members", "guard_rows", "guard_clusters", "guard_pictures"):
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
    return {"number": row[0], "published_at": row[1].isoformat(), "lance_versions": row[2]}


class _Export:
    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        settings: Settings,
        choice: Choice,
        files: BundleFiles,
        version: dict[str, Any],
    ) -> None:
        self._con, self._settings, self._choice, self._files = con, settings, choice, files
        self._version = version
        self._score = choice.copy_score if choice.copy_score is not None else settings.thresholds.similar

    def run(self) -> None:
        self._select()
        counts = self._counts()
        self._hashes()
        made: dict[str, Any] = {"encoder": None, "sketches": None, "calibration": None}
        fingerprints = ["sha256", "pixels", "pdq"]
        if not self._choice.hashes_only:
            made = self._embeddings(counts["pictures"])
            fingerprints.append("embedding")
        cut = self._settings.thresholds
        policy = Policy(cut.pdq, cut.pdq_quality, self._score, self._choice.p_value, self._choice.at_least)
        self._files.finish(
            {
                "version": self._version,
                "policy": asdict(policy),
                "limits": self._settings.limits.model_dump(include={"pixels", "member_bytes"}),
                "views": self._settings.search.model_dump(mode="json"),
                "fingerprints": fingerprints,
                "counts": counts,
                "coverage": self._table("from fingerprints.coverage order by dataset, fingerprint"),
                "methods": self._table("from duplicates.methods"),
                **made,
            }
        )

    def _lance(self, name: str) -> lance.LanceDataset:
        return lance.dataset(
            str(self._settings.home / "facts" / f"{name}.lance"), version=self._version["lance_versions"][name]
        )

    def _select(self) -> None:
        self._con.execute("create temp table guard_members (sample_id ubigint, representative_id ubigint)")
        for batch in self._lance("cluster_members").to_batches(columns=["sample_id", "representative_id"]):
            self._con.register("guard_batch", pa.table([*batch.columns], ["sample_id", "representative_id"]))
            self._con.execute("insert into guard_members from guard_batch")
            self._con.unregister("guard_batch")
        self._con.execute(_SELECTED, {"at_least": self._choice.at_least})
        self._con.execute(_PICTURES)

    def _counts(self) -> dict[str, Any]:
        [(rows, clusters, pictures)] = self._con.execute(
            "select count(*), count(distinct cluster), count(distinct pixel_sha256) "
            "from guard_rows join guard_clusters using (cluster_id)"
        ).fetchall()
        kind = "sha256" if self._choice.hashes_only else self._settings.encoders.copy_
        [(searched, searchable)] = self._con.execute(
            "select coalesce(sum(ok), 0)::bigint, coalesce(sum(expected), 0)::bigint from fingerprints.coverage "
            "where fingerprint = ?",
            [kind],
        ).fetchall()
        coverage = searched / searchable if searchable else 0.0
        return {
            "rows": rows,
            "clusters": clusters,
            "pictures": pictures,
            "searchable": searchable,
            "coverage": coverage,
        }

    def _hashes(self) -> None:
        self._files.clusters(self._con.execute(_CLUSTERS).to_arrow_reader(_BATCH))
        for kind, column in (("bytes", "sha256"), ("pixels", "pixel_sha256")):
            self._files.digests(kind, *self._owned(column, ""))
        self._files.hashes(*self._owned("pdq", "where pdq is not null"))

    def _owned(self, column: str, where: str) -> tuple[int, Iterator[tuple[Rows, npt.NDArray[np.uint32]]]]:
        query = _DISTINCT.format(column=column, where=where)
        [(count,)] = self._con.execute(f"select count(*) from ({query})").fetchall()  # noqa: S608 -- a column of ours

        def batches() -> Iterator[tuple[Rows, npt.NDArray[np.uint32]]]:
            reader = self._con.execute(f"{query} order by {column}, cluster").to_arrow_reader(_BATCH)
            for batch in reader:
                yield digests.rows(batch.column(0).cast(pa.binary(digests.BYTES))), batch.column(1).to_numpy()

        return count, batches()

    def _embeddings(self, pictures: int) -> dict[str, Any]:
        table = self._lance(EMBEDDINGS[COPY])
        dimension = table.schema.field("vector").type.list_size
        ids, cluster = self._wanted(pictures)
        losses = Losses(self._queries(dimension), self._score)
        found = 0

        def batches() -> Iterator[tuple[npt.NDArray[np.int64], Vectors, npt.NDArray[np.uint32]]]:
            nonlocal found
            stream = table.to_batches(columns=["sample_id", "vector"], batch_size=_VECTORS)
            for batch in track(stream, "quantising embeddings", table.count_rows(), len):
                sample = batch.column("sample_id").to_numpy()
                place = np.searchsorted(ids, sample).clip(max=max(0, len(ids) - 1))
                hit = np.flatnonzero(ids[place] == sample) if len(ids) else np.empty(0, np.int64)
                order = hit[np.argsort(place[hit], kind="stable")]
                flat = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
                vectors = flat.reshape(len(batch), dimension)[order]
                losses.meet(vectors)
                found += len(order)
                yield place[order], vectors, cluster[place[order]]

        self._files.vectors(len(ids), dimension, batches())
        if found != len(ids):
            raise GuardExportError(
                f"{len(ids) - found} pictures have no copy embedding in version {self._version['number']}; "
                "run `raisonne run` again, or export with --hashes-only"
            )
        encoder = {"name": self._settings.encoders.copy_, "identity": encoder_of(table.schema), "dimension": dimension}
        calibration = self._calibration(table, dimension)
        return {"encoder": encoder, "calibration": calibration, "sketches": losses.measured()}

    def _wanted(self, pictures: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        """Return the rows whose vectors go in, ascending, and the number of each one's cluster: 12 bytes a picture."""
        ids, cluster, start = np.empty(pictures, np.uint64), np.empty(pictures, np.uint32), 0
        reader = self._con.execute(
            "select sample_id, cluster from guard_pictures join guard_rows using (sample_id) "
            "join guard_clusters using (cluster_id) order by sample_id"
        ).to_arrow_reader(_BATCH)
        for batch in reader:
            stop = start + len(batch)
            ids[start:stop], cluster[start:stop] = (column.to_numpy() for column in batch.columns)
            start = stop
        return ids[:start], cluster[:start]

    def _queries(self, dimension: int) -> npt.NDArray[np.float32]:
        search = self._settings.search
        names = [view.name for view in views(search.scales, search.flips)]
        rows = self._lance("calibration_embeddings").to_table(filter="edit <> ''")
        return guard_measures.queries(rows, names, dimension)

    def _calibration(self, table: lance.LanceDataset, dimension: int) -> dict[str, Any]:
        """Write what p-values are made of, and return the tail and the error rates."""
        fits = self._lance("null_fits").to_table(filter="measure = 'normalised_score'").to_pylist()
        rows = self._lance("calibration_pictures").to_table().to_pylist()
        if self._choice.p_value is not None and not rows:
            raise GuardExportError("nothing is calibrated, so no p-value can decide; leave --p-value out")
        null = np.sort([row["score"] - row["background"] for row in rows if row["population"] == NOT_TRAINED])
        self._files.whole("null_scores", null.astype(np.float64))
        ids = self._lance("null_scores").to_table(columns=["sample_id"]).column("sample_id").to_pylist()
        among = f"sample_id in ({', '.join(map(str, ids)) or 'null'})"
        found = table.to_table(columns=["sample_id", "vector"], filter=among).sort_by("sample_id")
        flat = found["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        self._files.whole("background", flat.reshape(-1, dimension).astype(np.float32))
        owner = self._con.execute(
            "select coalesce(clusters.cluster, $none)::uinteger from unnest($ids::ubigint[]) as asked (sample_id) "
            "left join guard_rows using (sample_id) left join guard_clusters as clusters using (cluster_id) "
            "order by asked.sample_id",
            {"none": NO_CLUSTER, "ids": found["sample_id"].to_pylist()},
        ).fetchall()
        self._files.whole("background_cluster", np.array([number for (number,) in owner], np.uint32))
        tail = {name: fits[0][name] for name in _TAIL} if fits and fits[0]["threshold"] is not None else None
        rates = guard_measures.error_rates(rows, self._score, self._choice.p_value)
        return {"tail": tail, "null_pictures": len(null), "error_rates": rates}

    def _table(self, query: str) -> list[dict[str, Any]]:
        return self._con.execute(query).to_arrow_table().to_pylist()


def sentences(folder: Path) -> list[str]:
    """Say what is in a bundle, what it loses, and how often its rule errs."""
    manifest = Bundle.open(folder).manifest
    counts, size = manifest["counts"], sum(file["bytes"] for file in manifest["files"].values())
    said = [
        f"{counts['clusters']:,} clusters of {counts['rows']:,} training rows, {counts['pictures']:,} pictures, "
        f"{size / 1e6:,.1f} MB; {counts['coverage']:.1%} of the training rows could be searched"
    ]
    if sketches := manifest["sketches"]:
        recall = (
            "not measured" if sketches["recall"] is None else f"{sketches['recall']:.4f} of {sketches['pairs']:,} pairs"
        )
        said.append(
            f"recall of the search: {recall}; least cosine of a quantised vector to itself: "
            f"{sketches['least_self_cosine']:.5f}"
        )
        for row in manifest["calibration"]["error_rates"]:
            error, population = row["error"].replace("_", " "), row["population"].replace("_", " ")
            said.append(
                f"{error}s by embedding, {population}: {row['wrong']} of {row['pictures']} "
                f"({row['low']:.1%} to {row['high']:.1%})"
            )
    return said
