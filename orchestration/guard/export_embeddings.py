"""The embeddings of a guard bundle, and what its p-values rest on, from the facts of a published version.

What belongs here: streaming vectors from Lance into the files, measured on the way, and the null distribution. What
does not: which rows go in (`guard/export.py`), measuring (`guard/export_measures.py`), the files (`transforms/guard/`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import lance
import numpy as np
import numpy.typing as npt

from orchestration.facts.schemas.tables import encoder_of
from orchestration.fingerprints.kinds import COPY, EMBEDDINGS
from orchestration.guard import export_measures
from orchestration.guard.export_measures import NOT_TRAINED, Losses
from orchestration.progress import track
from orchestration.settings import Settings
from transforms.encoders import Vectors
from transforms.fingerprints.views import search_views
from transforms.guard.bundle_writer import BundleFiles
from transforms.guard.embedding_search import NO_CLUSTER
from transforms.guard.verdict import Policy

_BATCH, _VECTORS = 65_536, 8_192  # rows and vectors that are held at once
_TAIL = ("threshold", "shape", "scale", "exceedances")


class GuardExportError(RuntimeError):
    """A bundle cannot be written; the message says why and what to do."""


@dataclass(frozen=True)
class Published:
    """A published version: its tables, its settings, and the facts that it was made of.

    version: number, published_at, lance_versions. In `con` lie the temporary tables `guard_rows` and `guard_clusters`.
    """

    con: duckdb.DuckDBPyConnection
    settings: Settings
    version: dict[str, Any]

    def lance(self, name: str) -> lance.LanceDataset:
        """Open a fact table as it was."""
        uri = str(self.settings.home / "facts" / f"{name}.lance")
        return lance.dataset(uri, version=self.version["lance_versions"][name])

    def table(self, query: str) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        return self.con.execute(query).to_arrow_table().to_pylist()


def write(published: Published, policy: Policy, files: BundleFiles, pictures: int) -> dict[str, Any]:
    """Write the embeddings of the chosen rows and return what the manifest says of them.

    pictures: how many different ones. Raises GuardExportError for pictures without an embedding.
    """
    table = published.lance(EMBEDDINGS[COPY])
    dimension = table.schema.field("vector").type.list_size
    name = published.settings.encoders.copy_
    chosen = _Chosen(table, dimension, *_wanted(published.con, pictures))
    losses = Losses(_queries(published, dimension), policy.copy_score)
    files.vectors(len(chosen.ids), dimension, chosen.batches(losses))
    if chosen.found != len(chosen.ids):
        raise GuardExportError(
            f"{len(chosen.ids) - chosen.found} pictures have no copy embedding in version "
            f"{published.version['number']}; run `raisonne run` again, or export with --hashes-only"
        )
    return {
        "encoder": {"name": name, "identity": encoder_of(table.schema), "dimension": dimension},
        "calibration": _calibration(published, policy, files, table, dimension),
        "sketches": losses.measured(),
    }


@dataclass
class _Chosen:
    """The vectors that go in. ids: uint64 (n,), ascending. cluster: uint32 (n,). found: how many were met so far."""

    table: lance.LanceDataset
    dimension: int
    ids: npt.NDArray[np.uint64]
    cluster: npt.NDArray[np.uint32]
    found: int = field(default=0)

    def batches(self, losses: Losses) -> Iterator[tuple[npt.NDArray[np.int64], Vectors, npt.NDArray[np.uint32]]]:
        """Yield them with their places, which are ascending in a batch, in whatever order they are stored."""
        stream = self.table.to_batches(columns=["sample_id", "vector"], batch_size=_VECTORS)
        for batch in track(stream, "quantising embeddings", self.table.count_rows(), len):
            sample = batch.column("sample_id").to_numpy()
            place = np.searchsorted(self.ids, sample).clip(max=max(0, len(self.ids) - 1))
            hit = np.flatnonzero(self.ids[place] == sample) if len(self.ids) else np.empty(0, np.int64)
            order = hit[np.argsort(place[hit], kind="stable")]
            flat = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
            vectors = flat.reshape(len(batch), self.dimension)[order]
            losses.meet(vectors)
            self.found += len(order)
            yield place[order], vectors, self.cluster[place[order]]


def _wanted(con: duckdb.DuckDBPyConnection, pictures: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """Return the first row of each different picture, ascending, and the number of its cluster: 12 bytes a picture."""
    ids, cluster, start = np.empty(pictures, np.uint64), np.empty(pictures, np.uint32), 0
    reader = con.execute(
        "with firsts as (select min(sample_id) as sample_id from guard_rows group by pixel_sha256) "
        "select sample_id, cluster from firsts join guard_rows using (sample_id) "
        "join guard_clusters using (cluster_id) order by sample_id"
    ).to_arrow_reader(_BATCH)
    for batch in reader:
        stop = start + len(batch)
        ids[start:stop], cluster[start:stop] = (column.to_numpy() for column in batch.columns)
        start = stop
    return ids[:start], cluster[:start]


def _queries(published: Published, dimension: int) -> npt.NDArray[np.float32]:
    search = published.settings.search
    names = [view.name for view in search_views(search.scales, search.flips)]
    rows = published.lance("calibration_embeddings").to_table(filter="edit <> ''")
    return export_measures.queries(rows, names, dimension)


def _calibration(
    published: Published, policy: Policy, files: BundleFiles, table: lance.LanceDataset, dimension: int
) -> dict[str, Any]:
    """Write what p-values are made of, and return the tail and the error rates."""
    fits = published.lance("null_fits").to_table(filter="measure = 'normalised_score'").to_pylist()
    rows = published.lance("calibration_pictures").to_table().to_pylist()
    if policy.p_value is not None and not rows:
        raise GuardExportError("nothing is calibrated, so no p-value can decide; leave --p-value out")
    null = np.sort([row["score"] - row["background"] for row in rows if row["population"] == NOT_TRAINED])
    files.whole("null_scores", null.astype(np.float64))
    ids = published.lance("null_scores").to_table(columns=["sample_id"]).column("sample_id").to_pylist()
    among = f"sample_id in ({', '.join(map(str, ids)) or 'null'})"
    found = table.to_table(columns=["sample_id", "vector"], filter=among).sort_by("sample_id")
    flat = found["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    files.whole("background", flat.reshape(found.num_rows, dimension).astype(np.float32))
    owner = published.con.execute(
        "select coalesce(clusters.cluster, $none)::uinteger from unnest($ids::ubigint[]) as asked (sample_id) "
        "left join guard_rows using (sample_id) left join guard_clusters as clusters using (cluster_id) "
        "order by asked.sample_id",
        {"none": NO_CLUSTER, "ids": found["sample_id"].to_pylist()},
    ).fetchall()
    files.whole("background_cluster", np.array([number for (number,) in owner], np.uint32))
    return {
        "tail": {name: fits[0][name] for name in _TAIL} if fits and fits[0]["threshold"] is not None else None,
        "null_pictures": len(null),
        "error_rates": export_measures.error_rates(rows, policy.copy_score, policy.p_value),
        "operating_points": export_measures.operating_points(rows),
    }
