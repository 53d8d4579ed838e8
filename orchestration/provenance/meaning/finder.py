"""Finding training pictures by words or by a picture, in the semantic embeddings of a published version.

What belongs here: from what is asked to the nearest rows. What does not: printing them (`cli/meaning/find.py`), the
page (`reports/meaning/`), the ranking itself (`transforms/matches/ranking.py`).

Every vector is compared, unless an index exists and comparing them would mean to read them all from the disk. A finder
that is asked again and again holds them in memory, where half of `limits.memory` is enough.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb
import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.fingerprints.kinds import EMBEDDINGS, SEMANTIC
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.settings import Settings
from orchestration.warehouse.queries import query
from transforms.encoders import Encoder, EncoderMismatch, OpenClip, Vectors
from transforms.fingerprints import embeddings
from transforms.joins.cosine.join import ArrayRows
from transforms.matches import ranking
from transforms.pictures import Pixels

_BLOCK = 65_536  # vectors read at once
_NUMBER = 4  # bytes
_PROBES, _REFINED = 64, 8
"""Partitions of an index that are searched, and times as many of its rows as are wanted that are compared exactly."""

type Vector = npt.NDArray[np.float32]
type Rows = npt.NDArray[np.uint64]


class NotSearchable(LookupError):
    """Nothing can be found by meaning; the message says why, and what to do."""


@dataclass(frozen=True)
class FoundPictures:
    """What a search found.

    Attributes:
        hits: `sample_id` and `cosine`, the nearest first; of each cluster its nearest row.
        searched: Rows with a vector that were compared, or that an index was asked about.
        exact: Whether every one of them was compared.
    """

    hits: pa.Table
    searched: int
    exact: bool


class Finder:
    """Searches one published version by meaning."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, settings: Settings, load: Callable[[str], Encoder], *, hold: bool
    ) -> None:
        """Open the embeddings of a version. Their encoder is loaded by the first search.

        Args:
            con: A connection to the version. It is used while something is found, and by nothing else meanwhile.
            settings: Of the warehouse.
            load: Loads an encoder by its name.
            hold: Whether to hold the vectors for further searches, where memory allows.

        Raises:
            NotSearchable: If the settings name no encoder of meaning, or the version has no embedding.
        """
        name = settings.encoders.by_purpose.get(SEMANTIC)
        if name is None:
            raise NotSearchable(
                "nothing is embedded by meaning: set `encoders.semantic`, such as "
                '"open_clip:ViT-B-32/laion2b_s34b_b79k", and run again'
            )
        self._con, self._name, self._load, self._hold = con, name, load, hold
        self._room = settings.memory.whole // 2
        [(version, lance_version, self._encoders)] = con.execute(query("find/version")).fetchall()
        folder = settings.home / "facts" / f"{EMBEDDINGS[SEMANTIC]}.lance"
        table = _opened(folder, lance_version)
        if table is None or not table.count_rows():
            raise NotSearchable(f"version {version} has no embedding by meaning in {folder}; `raisonne run` makes them")
        self._table = table

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of the version's vectors.

        Raises:
            EncoderUnavailable: If its weights cannot be had; the message lists the ways to get them.
            EncoderMismatch: If the settings name another encoder than the version holds vectors of.
        """
        encoder = self._load(self._name)
        if str(encoder.id) not in self._encoders:
            raise EncoderMismatch(
                f"the settings name {encoder.id}, the version holds vectors of {', '.join(self._encoders) or 'none'}; "
                "run again, or open it by its raisonne.toml"
            )
        return encoder

    def prepare(self) -> None:
        """Read all that a search needs of the connection, the table and the encoder. Raises as `of_words`."""
        self.of_words("")
        if self._held is None:
            self._groups_of(self._ids[:0])
        else:
            self.nearest(np.zeros(self._dimension, np.float32), 1)

    def of_words(self, words: str) -> Vector:
        """Return the vector of words. Raises as `encoder`, or NotSearchable if it embeds no texts."""
        encoder = self.encoder
        if not isinstance(encoder, OpenClip):
            raise NotSearchable(f"{self._name} embeds no words; ask with a picture, or choose a model of open_clip")
        return encoder.embed_captions([words])[0]

    def of_picture(self, picture: Pixels) -> Vector:
        """Return the vector of a picture, uint8 of shape (height, width, 3). Raises as `encoder`."""
        return embeddings.embed(self.encoder, [picture])[0]

    def nearest(self, vector: Vector, k: int, where: str | None = None, *, exact: bool = False) -> FoundPictures:
        """Find the training rows nearest to a vector, one of each cluster.

        Args:
            vector: float32 (d,), norm 1.
            k: Count of rows.
            where: A condition in SQL on the columns of `catalog.samples`, `cluster_id` and `duplicate_count`.
            exact: Whether to compare every vector though there is an index.

        Raises:
            ValueError: If the vector is of another size.
            duckdb.Error: If the condition is none.
        """
        if len(vector) != self._dimension:
            raise ValueError(f"the vector has {len(vector)} numbers; vectors of this warehouse have {self._dimension}")
        chosen = None if where is None else self._allowed(where)
        if chosen is None and not exact and self._held is None and self._indexed:
            return FoundPictures(by_index(self._table, vector, k, self._groups_of), len(self._ids), exact=False)
        if self._held is not None:
            scores = ranking.cosines(vector, self._held, _BLOCK)
            if chosen is not None:
                scores[~chosen] = -np.inf
            positions = ranking.best_of_groups(scores, self._groups, k)
            return self._found(positions, scores[positions], len(self._ids) if chosen is None else int(chosen.sum()))
        among = np.arange(len(self._ids)) if chosen is None else np.flatnonzero(chosen)
        scores = ranking.cosines(vector, self._stored.part(among), _BLOCK)
        best = ranking.best_of_groups(scores, self._groups[among], k)
        return self._found(among[best], scores[best], len(among))

    def _found(self, positions: npt.NDArray[np.int64], scores: Vectors, searched: int) -> FoundPictures:
        hits = {"sample_id": self._ids[positions], "cosine": np.clip(scores.astype(np.float64), -1, 1)}
        return FoundPictures(pa.table(hits), searched, exact=True)

    def _allowed(self, where: str) -> npt.NDArray[np.bool_]:
        rows = self._con.sql(query("find/rows")).filter(duckdb.SQLExpression(where))
        allowed = rows.select(duckdb.ColumnExpression("sample_id")).to_arrow_table()["sample_id"].to_numpy()
        return np.isin(self._ids, allowed)

    @property
    def _dimension(self) -> int:
        return int(self._table.schema.field("vector").type.list_size)

    @cached_property
    def _indexed(self) -> bool:
        return any(list(index.field_names) == ["vector"] for index in self._table.describe_indices())

    @cached_property
    def _ids(self) -> Rows:
        """The row of each vector, in the order of the table."""
        return self._table.to_table(columns=["sample_id"])["sample_id"].to_numpy()

    @cached_property
    def _groups(self) -> Rows:
        return self._groups_of(self._ids)

    @cached_property
    def _members(self) -> tuple[Rows, Rows]:
        rows = self._con.execute(query("find/members")).to_arrow_table()
        return rows["sample_id"].to_numpy(), rows["cluster_id"].to_numpy()

    def _groups_of(self, ids: Rows) -> Rows:
        """Return the cluster of each row; its own id where no other row shows the picture."""
        members, clusters = self._members
        if not len(members):
            return ids
        at = np.searchsorted(members, ids).clip(max=len(members) - 1)
        return np.where(members[at] == ids, clusters[at], ids)

    @cached_property
    def _stored(self) -> StoredVectors:
        return StoredVectors(self._table.uri, self._table.version, np.arange(len(self._ids)), self._dimension)

    @cached_property
    def _held(self) -> ArrayRows | None:
        """All vectors in memory, or None where they would not fit or are asked for once."""
        if not self._hold or len(self._ids) * self._dimension * _NUMBER > self._room:
            return None
        vectors, start = np.empty((len(self._ids), self._dimension), np.float32), 0
        for batch in self._table.to_batches(columns=["vector"]):
            vectors[start : start + len(batch)] = batch.column(0).flatten().to_numpy().reshape(len(batch), -1)
            start += len(batch)
        return ArrayRows(vectors)


def by_index(table: lance.LanceDataset, vector: Vector, k: int, groups_of: Callable[[Rows], Rows]) -> pa.Table:
    """Ask an index of vectors for more rows each time, until they are of k groups or all there are.

    Args:
        table: With `sample_id` and an indexed `vector`.
        vector: float32 (d,), norm 1.
        k: Count of groups.
        groups_of: Returns what each row belongs to.

    Returns:
        `sample_id` and `cosine` of the nearest row of each group, the nearest first. It may miss some.
    """
    wanted = 4 * k
    while True:
        asked = {"column": "vector", "q": vector, "k": wanted, "metric": "cosine", "refine_factor": _REFINED}
        rows = table.to_table(columns=["sample_id", "_distance"], nearest=asked | {"nprobes": _PROBES})
        ids, scores = rows["sample_id"].to_numpy(), 1 - rows["_distance"].to_numpy()
        best = ranking.best_of_groups(scores.astype(np.float32), groups_of(ids), k)
        if len(best) >= k or len(ids) < wanted:
            return pa.table({"sample_id": ids[best], "cosine": np.clip(scores[best].astype(np.float64), -1, 1)})
        wanted *= 8


def _opened(folder: Path, version: int | None) -> lance.LanceDataset | None:
    """Open a table as it was when a version was derived from it, or None if it is not there."""
    return lance.dataset(str(folder), version=version) if version is not None and folder.is_dir() else None
