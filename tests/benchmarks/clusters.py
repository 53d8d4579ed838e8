"""Clusters: time beside SciPy, memory, and what the pipeline and its peers make of a labelled set of pictures.

The set is the sample's training pictures and, where there are photographs, those that `labelled.py` makes of them.
"""

import json
import subprocess
import sys
import time

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tests.benchmarks.data import ROOT
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, fastest
from tests.benchmarks.labelled import PHOTOS
from tests.benchmarks.methods import Relation, outcome
from transforms.duplicates.components import Components, list_members
from transforms.fingerprints.picture_set import Positions

_NODES, _EDGES = 5_000_000, 3_500_000
_SCALE_NODES, _SCALE_EDGES = (50_000_000, 100_000_000) if FULL else (5_000_000, 10_000_000)
_SCALE_BATCH = 100_000  # edges


def _scipy() -> Measured:
    """SciPy gets a ready CSR of int32 and float64, which it does not convert, and the faster of two ways through it."""
    rng = np.random.default_rng(5)
    left, right = rng.integers(0, _NODES, (2, _EDGES))
    ends = left.astype(np.int32), right.astype(np.int32)
    built = -time.perf_counter()
    graph = coo_array((np.ones(_EDGES), ends), shape=(_NODES, _NODES)).tocsr()
    built += time.perf_counter()
    both = (graph + graph.T).tocsr()  # strongly connected where `graph` is connected, and not transposed once more
    counts: dict[str, int] = {}

    def ours() -> None:
        found = Components(_NODES)
        found.add(left, right)
        listed = list_members(found.labels())
        counts["ours"] = len(listed) + _NODES - len(listed.nodes)

    ours()  # compiles
    best = fastest(
        {
            "ours": ours,
            "undirected": lambda: counts.update(undirected=connected_components(graph, directed=False)[0]),
            "symmetric": lambda: counts.update(symmetric=connected_components(both, connection="strong")[0]),
        },
        rounds=3,
    )
    if len(set(counts.values())) > 1:
        raise AssertionError(f"SciPy finds other components: {counts}")
    parts = {f"{name}_s": taken for name, taken in best.items()} | {"csr_s": built}
    return Measured(best["ours"] / min(best["undirected"], best["symmetric"]), parts)


# The high-water mark of the kernel's own book: `ru_maxrss` starts from that of the process it was started by.
_SCALE = """
import json, sys, time
import numpy as np
from transforms.duplicates.components import Components, list_members
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
nodes, edges, batch = map(int, sys.argv[1:])
small = Components(2)
small.add(np.array([0]), np.array([1]))
list_members(small.labels())
rng, empty, taken = np.random.default_rng(9), peak(), 0.0
graph = Components(nodes)
for _ in range(edges // batch):
    left, right = rng.integers(0, nodes, (2, batch))
    began = time.perf_counter()
    graph.add(left, right)
    taken += time.perf_counter() - began
began = time.perf_counter()
labels = graph.labels()
labelled, taken = peak() - empty, taken + time.perf_counter() - began
began = time.perf_counter()
listed = list_members(labels)
grouped = time.perf_counter() - began
print(json.dumps({"peak": labelled, "seconds": taken, "with_groups": peak() - empty, "groups_s": grouped}))
"""


def _scale() -> Measured:
    sizes = [str(size) for size in (_SCALE_NODES, _SCALE_EDGES, _SCALE_BATCH)]
    done = subprocess.run([sys.executable, "-c", _SCALE, *sizes], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotMeasured(done.stderr[-300:])
    told = json.loads(done.stdout)
    parts = {"seconds": told["seconds"], "peak_mb": told["peak"] / 1e6, "groups_s": told["groups_s"]}
    parts["with_groups_bytes"] = told["with_groups"] / _SCALE_NODES
    return Measured(told["peak"] / _SCALE_NODES, parts)


def _share(part: Relation, whole: Relation) -> float:
    """Return which share of `whole` is in `part`, 1 of nothing."""
    total = int(whole.sum())
    return float((part & whole).sum()) / total if total else 1.0


def _precision() -> Measured:
    made = outcome()
    parts = {"pairs": int(made.found["final"].sum())}
    parts |= {f"wrong_{name}": int((relation & ~made.same).sum()) for name, relation in made.found.items()}
    by_method = {name: _share(made.same, relation) for name, relation in made.found.items()}
    return Measured(by_method.pop("final"), parts | by_method)


def _recall() -> Measured:
    made = outcome()
    by_method = {name: _share(relation, made.same) for name, relation in made.found.items()}
    return Measured(by_method.pop("final"), {"pairs": int(made.same.sum())} | by_method)


def _recall_by_edit() -> Measured:
    """Of an edited copy and its original: which share of the pairs each of two methods finds."""
    made = outcome()
    edits = np.array([item.edit for item in made.items])
    if not (photographs := np.array([item.part == "edited" for item in made.items])).any():
        raise NotMeasured(f"no photographs in {PHOTOS.name}; set RAISONNE_BENCH_PHOTOS to a folder with bsds500 in it")
    originals = photographs & (edits == "original")
    parts: dict[str, float] = {}
    for edit in dict.fromkeys(edits[photographs & (edits != "original")].tolist()):
        of_edit = made.same & originals[:, None] & (photographs & (edits == edit))
        parts |= {f"{name}_{edit}": _share(made.found[name], of_edit) for name in ("pdq", "final")}
    final = {name: share for name, share in parts.items() if name.startswith("final_")}
    return Measured(min(final.values()), parts)


def _purity() -> Measured:
    made = outcome()
    names = np.unique([item.picture for item in made.items], return_inverse=True)[1]
    by_method = {}
    for name, labels in made.clusters.items():
        found = list_members(_lowest(labels))
        main = sum(int(np.bincount(names[found[i]]).max()) for i in range(len(found)))
        by_method[name] = main / len(found.nodes) if len(found.nodes) else 1.0
    return Measured(by_method.pop("final"), by_method)


def _lowest(labels: Positions) -> Positions:
    """Return for each node the lowest one of its cluster."""
    _, first, of = np.unique(labels, return_index=True, return_inverse=True)
    return first[of]


_SET = (
    "; the sample and, where RAISONNE_BENCH_PHOTOS has any, photographs with 17 copies each (one larger), parts of "
    "others, photographs in one template and of one scene"
)
_BY_METHOD = (
    "; parts: each test alone, imagededup's PHash (its CNN has no weights offline), what confirmed pairs connect "
    "before the cut"
)

FIGURES = (
    Figure(
        "clusters_vs_scipy",
        "ratio",
        "<= 3",
        "SciPy's connected_components alone on a ready CSR, undirected or on a symmetric one, the faster; ours from "
        f"the edges to the listed groups; {_NODES:,} nodes, {_EDGES:,} random edges",
        _scipy,
    ),
    Figure(
        "clusters_scale",
        "bytes/node",
        "<= 8",
        f"nothing: peak over the empty process up to the labels, {_SCALE_EDGES:,} random edges over {_SCALE_NODES:,} "
        f"nodes, {_SCALE_BATCH:,} at a time; with_groups_bytes: the groups listed too, as the pipeline has them",
        _scale,
    ),
    Figure(
        "cluster_purity", "share", ">= 1.0", f"pictures in a cluster with its main picture{_SET}{_BY_METHOD}", _purity
    ),
    Figure("pair_precision", "share", ">= 0.999", f"pairs within a cluster{_SET}{_BY_METHOD}", _precision),
    Figure("pair_recall", "share", "reported", f"pairs of one picture{_SET}{_BY_METHOD}", _recall),
    Figure(
        "pair_recall_by_edit",
        "share",
        "reported",
        "pairs of an original and its edited copy, the least by edit; parts: PDQ alone and the clusters",
        _recall_by_edit,
    ),
)
