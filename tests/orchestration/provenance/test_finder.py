"""Searching by an index of vectors finds what comparing all of them does, but for few."""

from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from orchestration.provenance.meaning.finder import by_index
from transforms.fingerprints.embeddings import vector_column
from transforms.matches import ranking


def test_an_index_finds_the_nearest_of_each_group_however_large_the_nearest_group_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((600, 16)).astype(np.float32)
    vectors[:200] = vectors[0] + 0.01 * vectors[:200]  # copies of one picture: more than are asked for at first
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(1000, 1600, dtype=np.uint64)
    groups = np.where(ids < 1200, np.uint64(1000), ids)
    lance.write_dataset(pa.table({"sample_id": ids, "vector": vector_column(vectors)}), str(tmp_path / "vectors"))
    table = lance.dataset(str(tmp_path / "vectors"))
    table = table.create_index("vector", "IVF_SQ", metric="cosine", num_partitions=4)
    found = by_index(table, vectors[0], 10, lambda rows: groups[rows - 1000])
    scores = vectors @ vectors[0]
    best = ranking.best_of_groups(scores, groups, 10)
    assert found["sample_id"].to_pylist()[0] == 1000 and len(found) == 10
    assert len(set(found["sample_id"].to_pylist()) & set(ids[best].tolist())) >= 9
    np.testing.assert_allclose(found["cosine"].to_numpy(), scores[found["sample_id"].to_numpy() - 1000], atol=1e-5)
    every = by_index(table, vectors[0], 1000, lambda rows: groups[rows - 1000])
    assert len(every) == 401, "all groups, where there are fewer than asked for"
