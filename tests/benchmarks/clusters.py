"""Clusters: time beside SciPy alone, and what the sample's clusters hold against its truth."""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tests.benchmarks.data import one, published
from tests.benchmarks.figures import Figure, Measured, fastest
from transforms.clusters import components

_NODES, _EDGES = 5_000_000, 3_500_000


def _scipy() -> Measured:
    rng = np.random.default_rng(5)
    left, right = rng.integers(0, _NODES, (2, _EDGES))

    def bare() -> None:
        graph = coo_matrix((np.ones(_EDGES, np.int8), (left, right)), shape=(_NODES, _NODES))
        connected_components(graph, directed=False)

    best = fastest({"ours": lambda: components(_NODES, left, right), "SciPy": bare}, rounds=2)
    return Measured(best["ours"] / best["SciPy"])


def _purity() -> Measured:
    with published() as con:
        return Measured(
            one(
                con,
                """
                with counted as (
                    select cluster_id, picture, count(*) as rows from training group by all
                ), best as (
                    select max(rows) as kept, sum(rows) as rows from counted group by cluster_id having sum(rows) > 1
                )
                select sum(kept) / sum(rows)::double from best""",
            )
        )


_TOGETHER = """
    from training as a join training as b
        on a.sample_id < b.sample_id and {} """


def _precision() -> Measured:
    with published() as con:
        query = "select avg((a.picture = b.picture)::int) " + _TOGETHER.format("a.cluster_id = b.cluster_id")
        pairs = one(con, "select count(*) " + _TOGETHER.format("a.cluster_id = b.cluster_id"))
        return Measured(one(con, query), {"pairs": pairs})


_METHODS = ("sha256", "pdq", "aligned")


def _recall() -> Measured:
    same = _TOGETHER.format("a.picture = b.picture")
    with published() as con:
        parts = {"pairs": one(con, "select count(*) " + same)}
        ids = np.sort(con.execute("select sample_id from training").fetchnumpy()["sample_id"])
        for last in range(1, len(_METHODS) + 1):
            tied = con.execute(
                "select sample_id_a, sample_id_b from duplicates.pairs where list_contains($methods, method)",
                {"methods": list(_METHODS[:last])},
            ).fetchnumpy()
            left, right = (np.searchsorted(ids, tied[name]) for name in ("sample_id_a", "sample_id_b"))
            cluster = np.arange(len(ids))
            for group in components(len(ids), left, right):
                cluster[group] = group[0]
            picture = dict(con.execute("select sample_id, picture from training").fetchall())
            names = np.array([picture[i] for i in ids.tolist()])
            equal = np.triu(names[:, None] == names[None, :], k=1)
            found = equal & (cluster[:, None] == cluster[None, :])
            parts["up_to_" + _METHODS[last - 1]] = float(found.sum() / equal.sum())
        return Measured(one(con, "select avg((a.cluster_id = b.cluster_id)::int) " + same), parts)


FIGURES = (
    Figure(
        "clusters_vs_scipy",
        "ratio",
        "<= 3",
        f"SciPy's connected_components alone, {_NODES:,} nodes, {_EDGES:,} random edges",
        _scipy,
    ),
    Figure("cluster_purity", "share", ">= 1.0", "the sample's truth: rows in a cluster with its main picture", _purity),
    Figure("pair_precision", "share", ">= 0.999", "the sample's truth: pairs within a cluster", _precision),
    Figure(
        "pair_recall",
        "share",
        "reported",
        "the sample's truth: pairs of one picture; parts: components of the pairs up to each method, before the cut",
        _recall,
    ),
)
