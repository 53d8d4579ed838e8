"""The embeddings of a guard bundle, and the null distribution of its p-values.

What belongs here: streaming vectors from the facts of a published version into the files. What does not: selecting rows
(`guard/export.py`), measuring (`guard/export_measures.py`), the files (`transforms/guard/`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import lance
import numpy as np
import numpy.typing as npt

from orchestration.facts.filters import is_in
from orchestration.facts.schemas.tables import encoder_of
from orchestration.fingerprints.kinds import COPY, EMBEDDINGS
from orchestration.guard import export_measures
from orchestration.guard.export_measures import NOT_TRAINED, Losses
from orchestration.progress import track
from orchestration.settings import Settings
from orchestration.warehouse.queries import query
from transforms.encoders import Vectors
from transforms.fingerprints.views import search_views
from transforms.guard.bundle_schema import NO_CLUSTER
from transforms.guard.bundle_writer import BundleFiles
from transforms.guard.verdict import Policy

_BATCH, _VECTORS = 65_536, 8_192  # rows and vectors in memory at once
_TAIL = ("threshold", "shape", "scale", "exceedances")


class GuardExportError(RuntimeError):
    """A bundle cannot be written; the message says why and what to do."""


@dataclass(frozen=True)
class PublishedVersion:
    """A published version: its tables, its settings, and the facts that it was made from.

    Attributes:
        con: The published file, with the temporary tables `guard_rows` and `guard_clusters`.
        settings: Those of the version.
        version: `number`, `published_at` and `lance_versions`.
    """

    con: duckdb.DuckDBPyConnection
    settings: Settings
    version: dict[str, Any]

    def dataset(self, name: str) -> lance.LanceDataset:
        """Open a fact table at the version that was published."""
        uri = str(self.settings.home / "facts" / f"{name}.lance")
        return lance.dataset(uri, version=self.version["lance_versions"][name])

    def table(self, select: str) -> list[dict[str, Any]]:
        """Return the rows of a SELECT."""
        return self.con.execute(select).to_arrow_table().to_pylist()


def write(published: PublishedVersion, policy: Policy, files: BundleFiles, pictures: int) -> dict[str, Any]:
    """Write the embeddings of the selected rows.

    Args:
        published: The version, with the rows selected.
        policy: The thresholds of the guard.
        files: The files of the bundle.
        pictures: Count of different pictures.

    Returns:
        The manifest's entries `encoder`, `calibration` and `sketches`.

    Raises:
        GuardExportError: a picture has no embedding, or nothing is calibrated for the policy's p-value.
    """
    table = published.dataset(EMBEDDINGS[COPY])
    dimension = table.schema.field("vector").type.list_size
    name = published.settings.encoders.copy_
    selection = _SelectedVectors(table, dimension, *_pictures(published.con, pictures))
    losses = Losses(_queries(published, dimension), policy.copy_score)
    files.vectors(len(selection.ids), dimension, selection.batches(losses))
    if selection.count != len(selection.ids):
        raise GuardExportError(
            f"{len(selection.ids) - selection.count} pictures have no copy embedding in version "
            f"{published.version['number']}; run `raisonne run` again, or export with --hashes-only"
        )
    return {
        "encoder": {"name": name, "identity": encoder_of(table.schema), "dimension": dimension},
        "calibration": _calibration(published, policy, files, table, dimension),
        "sketches": losses.summary(),
    }


@dataclass
class _SelectedVectors:
    """The selected vectors. `ids`: uint64 (n,), ascending. `cluster`: uint32 (n,). `count`: vectors read so far."""

    table: lance.LanceDataset
    dimension: int
    ids: npt.NDArray[np.uint64]
    cluster: npt.NDArray[np.uint32]
    count: int = 0

    def batches(self, losses: Losses) -> Iterator[tuple[npt.NDArray[np.int64], Vectors, npt.NDArray[np.uint32]]]:
        """Yield vectors in stored order, with their index among `ids`, ascending in a batch, and their clusters."""
        stream = self.table.to_batches(columns=["sample_id", "vector"], batch_size=_VECTORS)
        for batch in track(stream, "quantising embeddings", self.table.count_rows(), len):
            sample = batch.column("sample_id").to_numpy()
            index = np.searchsorted(self.ids, sample).clip(max=max(0, len(self.ids) - 1))
            known = np.flatnonzero(self.ids[index] == sample) if len(self.ids) else np.empty(0, np.int64)
            order = known[np.argsort(index[known], kind="stable")]
            flat = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
            vectors = flat.reshape(len(batch), self.dimension)[order]
            losses.add(vectors)
            self.count += len(order)
            yield index[order], vectors, self.cluster[index[order]]


def _pictures(con: duckdb.DuckDBPyConnection, count: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """Return the first row of each different picture, ascending, and the number of its cluster: 12 bytes a picture."""
    ids, cluster, start = np.empty(count, np.uint64), np.empty(count, np.uint32), 0
    for batch in con.execute(query("guard/pictures")).to_arrow_reader(_BATCH):
        stop = start + len(batch)
        ids[start:stop], cluster[start:stop] = (column.to_numpy() for column in batch.columns)
        start = stop
    return ids[:start], cluster[:start]


def _queries(published: PublishedVersion, dimension: int) -> npt.NDArray[np.float32]:
    search = published.settings.search
    names = [view.name for view in search_views(search.scales, search.flips)]
    rows = published.dataset("calibration_embeddings").to_table(filter="edit <> ''")
    return export_measures.queries(rows, names, dimension)


def _calibration(
    published: PublishedVersion, policy: Policy, files: BundleFiles, table: lance.LanceDataset, dimension: int
) -> dict[str, Any]:
    """Write the scores and background that p-values need. Return the tail and the error rates."""
    fits = published.dataset("null_fits").to_table(filter="measure = 'normalised_score'").to_pylist()
    rows = published.dataset("calibration_pictures").to_table().to_pylist()
    if policy.p_value is not None and not rows:
        raise GuardExportError(
            "nothing is calibrated, so there are no p-values; leave --p-value out, or run with generations, or with "
            "calibration.without_generations = true"
        )
    null = np.sort([row["score"] - row["background"] for row in rows if row["population"] == NOT_TRAINED])
    files.whole("null_scores", null.astype(np.float64))
    ids = published.dataset("null_scores").to_table(columns=["sample_id"]).column("sample_id").to_pylist()
    background = table.to_table(columns=["sample_id", "vector"], filter=is_in("sample_id", ids)).sort_by("sample_id")
    flat = background["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    files.whole("background", flat.reshape(background.num_rows, dimension).astype(np.float32))
    owner = published.con.execute(
        query("guard/cluster_of_samples"), {"none": NO_CLUSTER, "ids": background["sample_id"].to_pylist()}
    ).fetchall()
    files.whole("background_cluster", np.array([number for (number,) in owner], np.uint32))
    return {
        "tail": {name: fits[0][name] for name in _TAIL} if fits and fits[0]["threshold"] is not None else None,
        "null_pictures": len(null),
        "error_rates": export_measures.error_rates(rows, policy.copy_score, policy.p_value),
        "operating_points": export_measures.operating_points(rows),
    }
