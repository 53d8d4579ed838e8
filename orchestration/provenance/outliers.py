"""How unusual training pictures are: the distance of a cluster to its nearest others, by their representatives.

What belongs here: when they are scored again, and the rows of `outlier_scores`. What does not: the formula
(`transforms/provenance/memorization.py`).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.compute import engines
from orchestration.compute.ray_cluster import RayUnavailable
from orchestration.compute.ray_tasks import Lost
from orchestration.facts import Facts
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.picture_index import PictureIndex, read_index
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.provenance.memorization import CONFIRMED, TRAINING
from orchestration.settings.memory import MemoryParts
from orchestration.settings.sections import Compute, Memorization
from transforms.encoders import EncoderId
from transforms.fingerprints.distinct_pictures import Indices
from transforms.matches.search import best_over_views
from transforms.provenance import memorization

CODE = 2  # raise when the same facts would give other rows
_BLOCK = 8_192  # training pictures searched at once
_QUERIES = 256  # training pictures scored at once


def update(facts: Facts, encoder: EncoderId | None, cut: Memorization, memory: MemoryParts, compute: Compute) -> None:
    """Score the confirmed sources again if anything changed. Without an encoder there are no scores.

    Args:
        facts: The fact tables; `outlier_scores` is written.
        encoder: Of all vectors, if there is one.
        cut: `[memorization]`.
        memory: What the training pictures may take.
        compute: Where pictures are searched.

    Raises:
        RayUnavailable: If Ray cannot go on.
    """
    table = facts["outlier_scores"]
    sources = sorted(facts["match_evidence"].read(["sample_id"], CONFIRMED)["sample_id"].unique().to_pylist())
    training = [facts[name].version for name in TRAINING]
    rules = [(cut.outlier_neighbours, cut.outlier_sample), *(() if encoder else ("no encoder",))]
    made_by = recipe("outliers", CODE, sources, training, *rules)
    if table.recipe == made_by:
        return
    rows = []
    if sources and encoder:
        index = read_index(facts, encoder, usable_pictures(facts, memory.pictures))
        rows = [outlier_rows(index, sources, cut.outlier_sample, cut.outlier_neighbours, compute)]
    table.replace(rows, made_by)


def outlier_rows(
    index: PictureIndex, sources: Sequence[int], count: int, neighbours: int, compute: Compute
) -> pa.Table:
    """Score the clusters of sources, and a sample to rank them among.

    Args:
        index: The training pictures.
        sources: Sample ids.
        count: Count of sampled clusters.
        neighbours: Count of other clusters whose distance is averaged.
        compute: Where pictures are searched.

    Raises:
        RayUnavailable: If Ray cannot go on.
    """
    sample = index.sample(count)
    heads = np.union1d(sample, index.head[[index.index(source) for source in sources]])
    heads = heads[np.argsort(index.ids[heads])]
    scores, compared = _scores(index, heads, neighbours, compute)
    heads = heads[: len(scores)]  # none if there is no other picture to be far from
    columns = {"cluster_id": index.ids[heads], "score": scores, "neighbours": np.full(len(heads), compared, np.int64)}
    return pa.table(columns | {"sampled": np.isin(heads, sample)})


def _scores(index: PictureIndex, heads: Indices, k: int, compute: Compute) -> tuple[npt.NDArray[np.float64], int]:
    """Return the distance of representatives to their k nearest others, and the count of others.

    A picture's own cluster does not count, because repetition does not make a picture usual.
    """
    among, owner = index.in_stored_order(index.heads)  # searched so that scores do not depend on that order
    k = min(k, len(owner) - 1)
    if k < 1:
        return np.empty(0), 0
    position = np.empty(len(index), np.int64)
    position[owner] = np.arange(len(owner))
    position = position[heads]  # of each, in `among`
    scores = np.empty(len(heads))
    order = np.argsort(position)
    sought = position[order]
    batches = ([sought[start : start + _QUERIES]] for start in range(0, len(order), _QUERIES))
    for asked, found in engines.each(distances, batches, compute, (among, owner, k)):
        if isinstance(found, Lost):
            raise RayUnavailable(f"Ray cannot go on: {found.reason}")
        start = int(np.searchsorted(sought, asked[0]))
        scores[order[start : start + len(asked)]] = found
    return scores, k


def distances(asked: Indices, among: StoredVectors, owner: Indices, k: int) -> npt.NDArray[np.float64]:
    """Return the distance of some pictures to their k nearest others, in whatever process.

    Args:
        asked: int64 (n,), positions of the pictures in `among`.
        among: The vectors that are searched.
        owner: The index of each vector's picture.
        k: Count of others.
    """
    views = among.take(asked)[:, None]
    best = best_over_views(views, among, k + 1, order=owner, block=_BLOCK)
    other = np.stack([each.position for each in best]) != asked[:, None]
    other[other.all(axis=1), -1] = False  # it comes after more than k equals
    cosines = np.stack([each.score for each in best])[other]
    return memorization.outlier_scores(cosines.reshape(len(asked), k))
