"""Meaning: the neighbours of generations beside the bare product, and finding by words among a million pictures."""

import tempfile
import time
from pathlib import Path

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.provenance.meaning.finder import by_index
from tests.benchmarks import atlas_open, match
from tests.benchmarks.data import vectors
from tests.benchmarks.figures import FULL, Figure, Measured
from transforms.fingerprints.embeddings import vector_column
from transforms.matches import ranking
from transforms.matches.neighbour_lists import FIRST
from transforms.provenance import concepts

_ROWS, _ASKED, _FOUND = 1_000_000, 20, 20
_INDEXED = 1_000_000 if FULL else 100_000
_CONCEPTS, _SPREAD = 1_000, 0.8  # of vectors that lie in heaps, as those of pictures do


def heaps(count: int, concepts: int, seed: int = 8) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return unit vectors around as many directions, float32 (count, 512), and the direction of each.

    Args:
        count: Of vectors.
        concepts: Of directions.
        seed: Of both.
    """
    rng = np.random.default_rng(seed)
    centres, of = vectors(concepts, seed), rng.integers(0, concepts, count)
    made = vectors(count, seed + 1)
    for part in np.array_split(np.arange(count), 1 + count // 100_000):
        made[part] = centres[of[part]] + _SPREAD * made[part]
        made[part] /= np.linalg.norm(made[part], axis=1, keepdims=True)
    return made, of


def _find() -> Measured:
    """Find among vectors that are held, each question by itself."""
    rows, asked = vectors(_ROWS), vectors(_ASKED, seed=5)
    groups = np.arange(_ROWS, dtype=np.uint64) // 2
    taken = []
    for query in asked:
        start = time.perf_counter()
        ranking.best_of_groups(ranking.cosines(query, rows), groups, _FOUND)
        taken.append(time.perf_counter() - start)
    return Measured(float(np.median(taken)), {"slowest": max(taken), "gigabytes": rows.nbytes / 1e9})


def _recall() -> Measured:
    """Find by an index of Lance what comparing all of them finds."""
    made, _ = heaps(_INDEXED + _ASKED, _CONCEPTS)
    rows, asked = made[:_INDEXED], made[_INDEXED:]
    ids = np.arange(_INDEXED, dtype=np.uint64)
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "vectors.lance")
        lance.write_dataset(pa.table({"sample_id": ids, "vector": vector_column(rows)}), place)
        table = lance.dataset(place).create_index("vector", "IVF_SQ", metric="cosine")
        found, taken = 0, []
        for query in asked:
            start = time.perf_counter()
            near = by_index(table, query, _FOUND, lambda rows: rows)["sample_id"].to_numpy()
            taken.append(time.perf_counter() - start)
            found += len(np.intersect1d(near, ranking.best_of_groups(ranking.cosines(query, rows), ids, _FOUND)))
    return Measured(found / (_ASKED * _FOUND), {"seconds": float(np.median(taken)), "rows": _INDEXED})


def _concepts(rows: int, planted: int) -> Measured:
    """Find, place and compare within concepts, as many as were planted."""
    made, of = heaps(rows, planted)
    start = time.perf_counter()
    centres = concepts.find_concepts(made, planted, 1, 1 << 30)
    label, score = concepts.placed(made, centres)
    found = time.perf_counter() - start
    concepts.redundancy(made, label, score)
    taken = time.perf_counter() - start
    table = np.zeros((planted, planted), np.int64)
    np.add.at(table, (label, of), 1)
    return Measured(taken, {"found": found, "purity": table.max(axis=1).sum() / rows, "concepts": planted})


def _purity() -> Measured:
    measured = _concepts(100_000, 300)
    return Measured(measured.parts["purity"], {"seconds": measured.value})


FIGURES = (
    Figure(
        "related_vs_matmul",
        "ratio",
        "<= 1.3",
        f"PyTorch's matrix product and topk, 1,000 × 100,000 × 512, {FIRST} kept of each, as a list of related has",
        lambda: match.search(1, 1_000, FIRST),
    ),
    Figure(
        "find_1m_s",
        "s",
        "<= 1",
        f"nothing: the {_FOUND} clusters of {_ROWS:,} × 512 nearest to one vector, all compared, once loaded",
        _find,
    ),
    Figure(
        "find_index_recall",
        "share",
        ">= 0.95",
        f"comparing all of {_INDEXED:,} × 512: the {_FOUND} nearest by an index, which is asked where all do not fit",
        _recall,
    ),
    Figure(
        "concepts_1m_s",
        "s",
        "<= 600",
        f"nothing: {_CONCEPTS:,} concepts of {_ROWS:,} × 512 found, placed, and compared within, 1 GB beside them",
        lambda: _concepts(_ROWS, _CONCEPTS),
    ),
    Figure(
        "concepts_purity",
        "share",
        ">= 0.95",
        "what was planted: 300 concepts of 100,000 × 512, as many as are asked for",
        _purity,
    ),
    *atlas_open.FIGURES,
)
