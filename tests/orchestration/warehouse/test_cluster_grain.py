"""Rows are replaced cluster by cluster. Nobody can tell the result from tables that are made anew as a whole."""

import random
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from conftest import ROOT, Kept
from pydantic import ByteSize, TypeAdapter

from orchestration.facts.schemas.tables import SCHEMAS
from orchestration.warehouse.incremental.replacement import NotOfGrain
from orchestration.warehouse.models import Model, ModelError, load
from tests.planted import MODELS, Planted, read_by

BY_CLUSTER = {model.name for model in MODELS if model.by_cluster}
SOME = read_by((*BY_CLUSTER, "duplicates.audit"))
"""The tables that are made cluster by cluster, what they read, and one that reads them."""
ROWS, SHARDS = 40, "abcde"
type Rows = list[tuple[str, int]]


def texts(name: str, count: int = ROWS) -> list[str]:
    return [f"Boat {at % 7} of {name} at dusk" for at in range(count)]


def pairs_of(names: Iterable[str]) -> list[Rows]:
    """Return clusters of two neighbours in each of some shards."""
    return [[(name, place), (name, place + 1)] for name in names for place in range(0, ROWS, 2)]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Kept[Planted]:
    """Publish a warehouse of five shards, in which every two neighbours show one picture."""
    warehouse = Planted(tmp_path_factory.mktemp("clusters") / "planted", SOME)
    warehouse.folder.mkdir()
    warehouse.land(**{name: texts(name) for name in SHARDS})
    for at, name in enumerate(SHARDS):
        warehouse.fingerprint(name, range(1000 * at, 1000 * at + ROWS))
    warehouse.cluster(*pairs_of(SHARDS))
    warehouse.publish()
    return Kept.of(warehouse)


@pytest.fixture
def planted(five: Kept[Planted]) -> Planted:
    """Return the warehouse of five shards as it was published."""
    return replace(five.restored(), thresholds="")


def replaced(planted: Planted) -> set[str]:
    """Publish, and return the tables of the grain cluster of which rows were made again. Their order is kept."""
    made = planted.publish()
    for name in BY_CLUSTER - {"duplicates.clusters"}:
        rows = f"select cluster_id from {name}"  # noqa: S608
        assert planted.query(rows) == planted.query(f"{rows} order by duplicate_count desc, cluster_id"), name
    return {name for name in BY_CLUSTER if made[name] == max(made.values())}


def test_only_clusters_that_changed_are_made_again(planted: Planted, made_again: list[list[int]]) -> None:
    of_a, rest = pairs_of("a"), pairs_of(SHARDS[1:])
    first = {name: planted.shard(name) << 26 for name in SHARDS}
    of_a[0] = [("a", 0), ("a", 1), ("b", 0)]  # the first row of b is another one's now
    planted.cluster(*of_a, *rest[1:])
    assert replaced(planted) == BY_CLUSTER
    assert made_again.pop() == sorted([first["a"], first["b"]])
    planted.thresholds = "[policies]\nstays = ['sharpest']\n"
    planted.publish(against_anew=False)
    assert made_again == [], "a setting is of no cluster: all are made"


@pytest.mark.thorough
def test_clusters_are_made_again_for_each_kind_of_change(planted: Planted, made_again: list[list[int]]) -> None:
    of_a, rest = pairs_of("a"), pairs_of(SHARDS[1:])
    first = {name: planted.shard(name) << 26 for name in SHARDS}
    last = first["e"] + ROWS - 2

    of_a[0] = [("a", 0), ("a", 1), ("b", 0)]  # the first row of b is another one's now
    planted.cluster(*of_a, *rest[1:])
    assert replaced(planted) == BY_CLUSTER
    assert made_again.pop() == sorted([first["a"], first["b"]])

    planted.cluster(*of_a, *rest[1:], aligned_distance_to_representative=0.001)
    assert replaced(planted) == BY_CLUSTER
    assert made_again.pop() == [last]

    planted.recall(("a", 8, "list"), ("a", 9, "list"))  # both of one cluster, which is gone
    replaced(planted)
    assert made_again.pop() == [first["a"] + place for place in range(0, ROWS, 2)], "all of the shard"

    planted.land(f=texts("f", 9))
    planted.fingerprint("f", range(9000, 9009))
    others = [each for each in rest[1:] if ("c", 4) not in each]
    planted.cluster(*of_a, *others, [("f", 0), ("c", 4), ("c", 5)], [("f", 3), ("f", 4)])
    assert replaced(planted) == BY_CLUSTER
    f = planted.shard("f") << 26
    assert made_again.pop() == sorted([first["c"] + 4, last, f, f + 3])
    planted.publish()
    assert made_again == [], "nothing changed"


@pytest.mark.thorough
def test_clusters_that_decisions_tie_to_others_are_made_again(planted: Planted, made_again: list[list[int]]) -> None:
    """The rows that a cluster would have without decisions may be in any other."""
    every = pairs_of(SHARDS)
    planted.cluster(*every, automatic_representative_id=planted.shard("b") << 26, decisions=["x"])
    replaced(planted)
    last = (planted.shard("e") << 26) + ROWS - 2
    assert made_again.pop() == [last]
    planted.cluster([*every[0], ("b", 9)], *(each for each in every[1:] if ("b", 9) not in each))
    replaced(planted)
    assert last in made_again.pop(), "it is tied to nothing any more"


def test_what_stayed_while_other_tables_were_made_is_made_again(planted: Planted, made_again: list[list[int]]) -> None:
    """Of facts that changed before that, the last version says nothing."""
    planted.recall(("a", 8, "list"), ("a", 9, "list"))
    planted.publish_some(model.name for model in SOME if "lance_recalled_rows" in model.inputs)
    in_both = "select count(*) from duplicates.counts semi join reports.repeated_pictures using (cluster_id)"
    [(left,)] = planted.query(in_both)
    assert planted.query("select count(*) from reports.repeated_pictures") == [(left + 1,)], "one is gone, and stayed"
    planted.cluster(*pairs_of(SHARDS), aligned_distance_to_representative=0.001)
    planted.publish()
    assert made_again == []


@pytest.mark.thorough
def test_any_row_of_changes_gives_what_is_made_anew(tmp_path: Path, made_again: list[list[int]]) -> None:
    draw = random.Random(3)  # noqa: S311
    planted, shards = Planted(tmp_path), [f"s{at}" for at in range(12)]
    planted.land(**{name: texts(name) for name in shards})
    for at, name in enumerate(shards):
        planted.fingerprint(name, range(100 * at, 100 * at + ROWS))
    clusters = [
        [(name, at), (name if at % 10 else draw.choice(shards), at + 1)] for name in shards for at in range(0, ROWS, 2)
    ]
    seen: set[tuple[str, int]] = set()
    clusters = [cluster for cluster in clusters if seen.isdisjoint(cluster) and not seen.update(cluster)]
    planted.cluster(*clusters)
    planted.publish()
    counts = []
    for _ in range(6):
        for change in draw.sample(range(5), 2):
            chosen = draw.randrange(len(clusters))
            match change:
                case 0:
                    clusters.append([clusters[chosen].pop(), *clusters.pop(0)])
                case 1:
                    draw.shuffle(clusters[chosen])
                case 2:
                    planted.recall(*((name, at, "list") for name, at in clusters[-1]))
                case 3:
                    name = draw.choice(shards[:2])
                    planted.fingerprint(name, draw.sample(range(9000), ROWS))
                case 4:
                    planted.land(**{shards[0]: texts(str(draw.random()))})
                    planted.fingerprint(shards[0], range(ROWS))
        clusters = [cluster for cluster in clusters if cluster]
        draw.shuffle(clusters)
        planted.cluster(*clusters)
        replaced(planted)
        counts.append([len(each) for each in made_again])
        made_again.clear()
    assert sum(map(len, counts)) >= 3, "most of these versions replace some clusters"


@pytest.fixture
def made_again(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Return the clusters that each version makes again, one list for each version that replaces some."""
    from orchestration.warehouse.incremental import cluster_rows

    told: list[list[int]] = []
    opened = cluster_rows.opened

    @contextmanager
    def noted(con, path, models, inputs, changes):  # noqa: ANN001, ANN202
        told.append(sorted(changes.changed.tolist()))
        whole = limit(con)
        with opened(con, path, models, inputs, changes) as rows:
            assert limit(rows.alone) < limit(con) < whole
            assert limit(rows.alone) + limit(con) == pytest.approx(whole, rel=0.05), "rounded, as DuckDB tells it"
            yield rows
        assert limit(con) == whole

    monkeypatch.setattr(cluster_rows, "opened", noted)
    return told


def limit(con: duckdb.DuckDBPyConnection) -> int:
    """Return the bytes that DuckDB may hold."""
    return TypeAdapter(ByteSize).validate_python(con.execute("select current_setting('memory_limit')").fetchall()[0][0])


COUNTED = """\
-- One row per cluster.
-- grain: cluster
-- unique: cluster_id

{select}
"""


def with_model(tmp_path: Path, select: str) -> tuple[Model, ...]:
    folder = tmp_path / "sql"
    for path in (ROOT / "sql").rglob("*.sql"):
        target = folder / path.relative_to(ROOT / "sql")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text("utf-8"), "utf-8")
    (folder / "reports" / "counted.sql").write_text(COUNTED.format(select=select))
    return load(folder)


@pytest.mark.parametrize(
    ("select", "why"),
    [
        ("select sample_id as cluster_id from duplicates.clusters using sample 10%", "takes a sample"),
        ("select cluster_id from duplicates.clusters limit 3", "has a limit"),
        (
            "select cluster_id, row_number() over (order by rank) as n from duplicates.clusters",
            "a window over all rows",
        ),
        ("select c.cluster_id, n from duplicates.counts as c, (select count(*) as n from catalog.samples)", "over all"),
        ("select cluster_id, (select max(rank) from duplicates.clusters) as n from duplicates.counts", "over all rows"),
        ("select cluster_id from duplicates.counts order by duplicate_count + 1", "ordered by what is no column"),
        ("select cluster_id from duplicates.counts order by duplicate_count", "ordered by what is no column"),
        (
            "select c.cluster_id, c.rank as duplicate_count from duplicates.counts as c order by c.duplicate_count",
            "ordered by what is no column",
        ),
        (
            "select c.cluster_id from duplicates.counts as c join lance_landing_shards as s on s.rows = c.cluster_id",
            "reads lance_landing_shards",
        ),
    ],
)
def test_a_select_that_reads_across_clusters_is_refused(tmp_path: Path, select: str, why: str) -> None:
    (tmp_path / "reports").mkdir()
    for name, column in (("catalog.samples", "sample_id"), ("duplicates.clusters", "*"), ("duplicates.counts", "*")):
        path = tmp_path / f"{name.replace('.', '/')}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"select {column} from lance_recalled_rows\n")  # noqa: S608
    (tmp_path / "reports" / "counted.sql").write_text(COUNTED.format(select=select))
    with pytest.raises(ModelError, match=f"a table of the grain cluster.*{why}"):
        load(tmp_path)


def test_rows_that_depend_on_other_clusters_are_seen(tmp_path: Path) -> None:
    """The text does not tell that rows of one cluster meet those of another, the controls do: nothing is published."""
    select = (
        "select counts.cluster_id, count(*) as n from duplicates.counts join duplicates.counts as others "
        "on others.duplicate_count = counts.duplicate_count group by counts.cluster_id"
    )
    models = read_by(["reports.counted"], with_model(tmp_path, select))
    planted = Planted(tmp_path, models)
    planted.land(a=texts("a"), b=texts("b"))
    for at, name in enumerate("ab"):
        planted.fingerprint(name, range(1000 * at, 1000 * at + ROWS))
    every = pairs_of("ab")
    planted.cluster(*every)
    planted.publish()
    planted.cluster(*every, aligned_distance_to_representative=0.001)
    with pytest.raises(NotOfGrain, match=r"counted\.sql: the rows of cluster .* remove `-- grain: cluster`"):
        planted.publish(against_anew=False)
    assert planted.query("select max(version) from warehouse.versions") == [(1,)]


def test_facts_that_name_clusters_are_known() -> None:
    named = {name for name, schema in SCHEMAS.items() if "representative_id" in schema.names}
    assert named == {"cluster_members", "cluster_similarities"}
    assert pa.types.is_uint64(SCHEMAS["cluster_members"].field("representative_id").type)
