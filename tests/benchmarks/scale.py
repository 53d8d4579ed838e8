"""Sizes that users have, a hundred million hashes or twenty million rows: what time and memory they take.

What belongs here: sizes and figures. What does not: the work, which runs in processes of its own (`scale_work.py`), its
inputs (`scale_inputs.py`, `scale_warehouse.py`).
"""

from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from math import log
from tempfile import TemporaryDirectory

from tests.benchmarks import scale_lake, scale_ray, scale_work
from tests.benchmarks.alone import alone
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured
from tests.benchmarks.scale_inputs import UNIFORM, ZIPF
from tests.benchmarks.scale_warehouse import SHARD

_FEWER = 5  # times as many hashes tell how the join grows
_PAIRS, _APART = 100_000, 50  # planted pairs, and hashes for each of them at least
_TABLE = 100  # times as many rows tell how a commit grows
_PER_COMPONENT = 10  # nodes
_NULL = (96, 2)  # pictures of the null distribution, and first tasks of a step in which a worker may be killed


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        hashes: To join.
        disk_hashes: To join on disk.
        disk_memory: Bytes that this join may hold.
        nodes: Of the graph.
        edges: Of the graph.
        captions: To group.
        few_rows: Of the smaller planted warehouse.
        rows: Of the larger one.
        committed: Rows of the table that fingerprints are committed to.
        clusters: Repeated pictures of the warehouse that is published to a lake.
        pictures: That are landed for a cluster whose workers are killed.
    """

    hashes: int
    disk_hashes: int
    disk_memory: int
    nodes: int
    edges: int
    captions: int
    few_rows: int
    rows: int
    committed: int
    clusters: int
    pictures: int


USERS = Sizes(
    100_000_000,
    300_000_000,
    8_000_000_000,
    300_000_000,
    1_000_000_000,
    20_000_000,
    2_000_000,
    20_000_000,
    100_000_000,
    1_000_000,
    20_000,
)
SMALLER = Sizes(
    5_000_000, 5_000_000, 200_000_000, 6_000_000, 20_000_000, 500_000, 100_000, 200_000, 5_000_000, 50_000, 1_000
)


@cache
def _joined(hashes: int) -> dict[str, float]:
    return alone(scale_work.join_hashes, hashes, min(_PAIRS, hashes // _APART))


def _exponent(few: float, many: float, times: float) -> float:
    """Return x where `times` as much takes `times`ˣ as long."""
    return log(many / few) / log(times)


def _join_seconds(hashes: int) -> Measured:
    few, many = _joined(hashes // _FEWER), _joined(hashes)
    parts = {"fewer_s": few["s"], "growth": _exponent(few["s"], many["s"], _FEWER)}
    return Measured(many["s"], parts | {"planted": many["planted"], "pairs": many["pairs"]})


def _join_memory(hashes: int) -> Measured:
    many = _joined(hashes)
    return Measured(many["peak_gb"], {"before_join_gb": many["before_gb"], "hashes_gb": 32 * hashes / 1e9})


def _join_on_disk(hashes: int, memory: int) -> Measured:
    """Join hashes, and a fifth of them within a fifth of the memory."""
    taken = {}
    for name, part in (("fewer", _FEWER), ("more", 1)):
        with TemporaryDirectory(prefix="raisonne-bench-") as folder:
            count = hashes // part
            pairs = min(_PAIRS, count // _APART)
            taken[name] = alone(scale_work.join_hashes_within, folder, count, pairs, memory // part)
    many = taken["more"]
    parts = {
        name: many[name] for name in ("peak_gb", "before_gb", "allowed_gb", "disk_gb", "cpu_s", "planted", "pairs")
    }
    growth = _exponent(taken["fewer"]["s"], many["s"], _FEWER)
    return Measured(many["s"], {"fewer_s": taken["fewer"]["s"], "growth": growth} | parts)


def _components(sizes: Sizes) -> Measured:
    found = alone(scale_work.connect, sizes.nodes, sizes.edges, sizes.nodes // _PER_COMPONENT)
    return Measured(found.pop("s"), found)


def _captions(count: int) -> Measured:
    found: dict[str, float] = {}
    for words in (ZIPF, UNIFORM):
        with TemporaryDirectory(prefix="raisonne-bench-") as folder:
            alone(scale_work.land, folder, count, words, 0)
            result = alone(scale_work.group_captions, folder)
        found |= {f"{words}_{name}": value for name, value in result.items()}
    return Measured(found[f"{ZIPF}_s"], found)


@cache
def _derived(rows: int, further: int) -> tuple[dict[str, float], dict[str, float]]:
    """Derive planted rows, then with further ones; the second result is empty without any."""
    with TemporaryDirectory(prefix="raisonne-bench-") as folder:
        alone(scale_work.land, folder, rows, ZIPF, 1)
        first = alone(scale_work.derive, folder)
        if not further:
            return first, {}
        alone(scale_work.land, folder, further, ZIPF, 1)
        return first, alone(scale_work.derive, folder)


def _derive_seconds(rows: int) -> Measured:
    first, _ = _derived(rows, SHARD)
    return Measured(first["s"], {name: first[name] for name in ("cpu_s", "rows", "pictures", "clusters", "file_gb")})


def _derive_memory(rows: int) -> Measured:
    first, again = _derived(rows, SHARD)
    return Measured(first["peak_gb"], {"new_shard_gb": again["peak_gb"]})


def _derive_growth(sizes: Sizes) -> Measured:
    (few, _), (many, _) = _derived(sizes.few_rows, 0), _derived(sizes.rows, SHARD)
    names = ("s", "cpu_s", "peak_gb")
    parts = {f"{size}_{name}": found[name] for size, found in (("fewer", few), ("more", many)) for name in names}
    return Measured(_exponent(few["s"], many["s"], sizes.rows / sizes.few_rows), parts)


def _new_shard(rows: int) -> Measured:
    first, again = _derived(rows, SHARD)
    return Measured(again["s"], {"first_s": first["s"], **{name: again[name] for name in ("cpu_s", "peak_gb", "rows")}})


def _commit_growth(rows: int) -> Measured:
    taken = {}
    for name, count in (("fewer", rows // _TABLE), ("more", rows)):
        with TemporaryDirectory(prefix="raisonne-bench-") as folder:
            taken[name] = alone(scale_work.commit, folder, count)
    parts = ("s", "median_s", "worst_s", "writing_s", "begin_s", "upkeep_s", "later_upkeep_s", "peak_gb")
    told = {f"{name}_{part}": found[part] for name, found in taken.items() for part in parts}
    return Measured(taken["more"]["s"] / taken["fewer"]["s"], told)


def _lake_beside_file(clusters: int) -> Measured:
    found = alone(scale_lake.publish, clusters)
    return Measured(found["read_lake_s"] / found["read_file_s"], found)


def _killed_workers(pictures: int) -> Measured:
    if find_spec("ray") is None:
        raise NotMeasured("Ray is not installed; pip install '.[ray]'")
    with TemporaryDirectory(prefix="raisonne-bench-") as folder:
        found = alone(scale_ray.killed_workers, folder, pictures, len(scale_ray.STEPS), *_NULL)
    return Measured(found.pop("different"), found)


def figures(sizes: Sizes) -> tuple[Figure, ...]:
    """Return the figures of scale at given sizes."""
    instead = "" if sizes == USERS else "; RAISONNE_BENCH_FULL=1 measures "

    def whole(size: str) -> str:
        return f"{instead}{size}" if instead else ""

    planted = f"{sizes.rows:,} rows with planted fingerprints by `raisonne run derive`"
    return (
        Figure(
            "hamming_100m_s",
            "s",
            "<= 240",
            f"nothing: {sizes.hashes:,} uniform hashes at up to 31 bits, planted pairs found or it fails; growth: the "
            f"exponent from a fifth of them{whole('100 million')}",
            partial(_join_seconds, sizes.hashes),
        ),
        Figure(
            "hamming_100m_gb",
            "GB",
            "<= 12",
            f"nothing: the most memory of the process that makes and joins {sizes.hashes:,} hashes"
            + whole("100 million"),
            partial(_join_memory, sizes.hashes),
        ),
        Figure(
            "hamming_300m_s",
            "s",
            "<= 1200",
            f"nothing: {sizes.disk_hashes:,} uniform hashes of a file within {sizes.disk_memory / 1e9:g} GB besides "
            "what the process held before, the rest on disk; planted pairs found, memory kept to, or it fails; growth: "
            f"the exponent from a fifth of both{whole('300 million within 8 GB')}",
            partial(_join_on_disk, sizes.disk_hashes, sizes.disk_memory),
        ),
        Figure(
            "components_1b_s",
            "s",
            "<= 180",
            f"nothing: {sizes.edges:,} edges over {sizes.nodes:,} nodes, streamed, every label proved; peak_gb within 8"
            + whole("a billion over 300 million"),
            partial(_components, sizes),
        ),
        Figure(
            "captions_20m_s",
            "s",
            "<= 1200",
            f"nothing: {sizes.captions:,} captions whose words are as in real ones (zipf), one in twenty a copy with "
            "a word more; uniform: eight of 33,000 words, at most 3 times as long; exact: 1, or 0 for MinHash; recall: "
            f"of the copies{whole('20 million')}",
            partial(_captions, sizes.captions),
        ),
        Figure(
            "derive_20m_s",
            "s",
            "<= 1800",
            f"nothing: {planted}{whole('20 million')}",
            partial(_derive_seconds, sizes.rows),
        ),
        Figure(
            "derive_20m_gb",
            "GB",
            "<= 8",
            f"nothing: the most memory of the process for {planted}{whole('20 million')}",
            partial(_derive_memory, sizes.rows),
        ),
        Figure(
            "derive_growth",
            "exponent",
            "<= 1.15",
            f"{sizes.few_rows:,} rows, to {sizes.rows:,}; small sizes are mostly the start of the run"
            + whole("2 to 20 million"),
            partial(_derive_growth, sizes),
        ),
        Figure(
            "publish_new_shard_s",
            "s",
            "<= 60",
            f"nothing: {SHARD:,} new rows on {sizes.rows:,} by `raisonne run derive`{whole('them on 20 million')}",
            partial(_new_shard, sizes.rows),
        ),
        Figure(
            "commit_growth",
            "ratio",
            "<= 1.3",
            f"committing {SHARD:,} fingerprints to a table of {sizes.committed // _TABLE:,} rows, to "
            f"{sizes.committed:,}: the least of 15; writing_s: of their rows before it; begin_s: once a run"
            + whole("100 million"),
            partial(_commit_growth, sizes.committed),
        ),
        Figure(
            "lake_vs_file",
            "ratio",
            "<= 2",
            f"the same tables of a warehouse with {sizes.clusters:,} repeated pictures, published as a file; each with "
            f"{scale_lake.READERS} readers, none of which may see an error or a mixed version: the least of five"
            + whole("a million"),
            partial(_lake_beside_file, sizes.clusters),
        ),
        Figure(
            "ray_kill",
            "rows",
            "0",
            f"rows of facts that differ from a run without Ray: {sizes.pictures:,} small pictures on a cluster of two "
            f"nodes, {len(scale_ray.STEPS)} of whose workers are killed in the heavy steps{whole('20,000')}",
            partial(_killed_workers, sizes.pictures),
        ),
    )


FIGURES = figures(USERS if FULL else SMALLER)
