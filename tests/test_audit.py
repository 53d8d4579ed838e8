"""The audit: what it says of each method, and that a count or a distance that is wrong keeps a version back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from orchestration.facts import Facts
from orchestration.settings import Settings
from orchestration.warehouse import build
from orchestration.warehouse.models import load
from orchestration.warehouse.version import HISTORY
from tests.planted import read_by

MODELS = load(ROOT / "sql")
SHARD = 5
FIRST = SHARD * 2**26
HEAD, NEAR, FAR = "00" * 32, "00" * 31 + "07", "ff" * 32
type Built = Callable[..., duckdb.DuckDBPyConnection]


def member(at: int, method: str, distance: float, aligned: float | None = None) -> dict[str, object]:
    return {
        "sample_id": FIRST + at,
        "representative_id": FIRST,
        "method": method,
        "distance_to_representative": distance,
        "aligned_distance_to_representative": aligned,
    }


MEMBERS = [member(0, "representative", 0), member(1, "pdq", 3), member(2, "aligned", 256, 0.04)]


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Built]:
    """Return what builds tables over five rows: three of one picture, one unique, one without a picture.

    It builds those that it is given the names of, with what they read, else every one.
    """
    facts, settings = Facts(tmp_path / "facts"), Settings(home=tmp_path)
    metadata = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"url": [f"https://a.org/{at}" for at in range(5)]}), metadata)
    put(facts, "landing_shards", [{"shard_id": SHARD, "dataset": "d", "shard": "s", "status": "ok", "rows": 5}])
    shards = facts["landing_shards"].read().to_pylist()
    put(facts, "landing_shards", [row | {"readable_path": str(metadata)} for row in shards])
    prints = [
        {"sample_id": FIRST + at, "status": "ok", "width": 9, "height": 9 - at}
        | {"sha256": at.to_bytes(32), "pdq": bytes.fromhex(pdq)}
        for at, pdq in enumerate((HEAD, NEAR, FAR, FAR))
    ]
    put(facts, "image_fingerprints", prints)
    with build.open_build(tmp_path / "built.duckdb", settings) as con:

        def made(*wanted: str, **tables: Sequence[Mapping[str, object]]) -> duckdb.DuckDBPyConnection:
            for name, rows in tables.items():
                put(facts, name, rows)
            nothing = HISTORY.empty_table()
            inputs = build.Inputs(facts, facts.versions(), settings, nothing, nothing)
            models = read_by(wanted) if wanted else MODELS
            build.provide(con, sorted({name for model in models for name in model.inputs}), inputs)
            for model in models:
                build.materialize(con, model)
            return con

        yield made


def put(facts: Facts, name: str, rows: Sequence[Mapping[str, object]]) -> None:
    schema = facts[name].schema
    facts[name].replace([pa.Table.from_pylist([dict.fromkeys(schema.names) | dict(row) for row in rows], schema)], "")


def broken(con: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    [model] = [model for model in MODELS if model.name == table]
    return [audit.check.sentence for audit in build.audit(con, model) if audit.failing]


def test_rows_are_recalled_unusable_unique_or_clustered(built: Built) -> None:
    say = "select recalled_rows, unusable_rows, unique_rows, clustered_rows, farthest_pdq, farthest_aligned from {}"
    con = built("duplicates.audit", cluster_members=MEMBERS)
    assert con.execute(say.format("duplicates.audit")).fetchall() == [(0, 1, 1, 3, 3, 0.04)]
    recalled = [{"sample_id": FIRST + at, "list": "l", "kind": "url", "value": "v"} for at in (1, 4)]
    con = built(recalled_rows=recalled)
    assert con.execute(say.format("duplicates.audit")).fetchall() == [(2, 0, 1, 2, None, 0.04)]
    assert [name for model in MODELS for name in broken(con, model.name)] == []


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([MEMBERS[0], member(1, "pdq", 2), MEMBERS[2]], "farther_rows = 0"),
        ([MEMBERS[0], MEMBERS[1], member(2, "aligned", 256, 0.2)], "farthest_aligned is null or"),
        ([MEMBERS[0], MEMBERS[1], member(2, "aligned", 9, 0.04)], "farther_rows = 0"),
    ],
)
def test_a_member_farther_than_stated_fails_the_audit(
    built: Built, members: list[dict[str, object]], says: str
) -> None:
    [sentence] = broken(built("duplicates.audit", cluster_members=members), "duplicates.audit")
    assert sentence.startswith(says)


def test_counts_that_are_not_those_of_the_members_fail_the_audit(built: Built) -> None:
    con = built("duplicates.audit", cluster_members=MEMBERS)
    assert broken(con, "duplicates.audit") == []
    con.execute("update duplicates.counts set duplicate_count = duplicate_count + 1")
    [audit] = [model for model in MODELS if model.name == "duplicates.audit"]
    build.materialize(con, audit)
    assert broken(con, "duplicates.audit") == ["all_counted = all_members"]


@pytest.mark.parametrize("at", [(0, 1), (0, 1, 1)])
def test_a_picture_that_was_embedded_twice_fails_the_audit(built: Built, at: Sequence[int]) -> None:
    vectors = [{"sample_id": FIRST + each, "shard_id": SHARD, "vector": [0.5] * 512} for each in at]
    failing = broken(built("fingerprints.coverage", copy_embeddings=vectors), "fingerprints.coverage")
    assert [sentence.partition(" (")[0] for sentence in failing] == ["expected ="] * (len(at) - len(set(at)))


def join(number: int, kind: str, **values: object) -> dict[str, object]:
    return {"join_id": number, "kind": kind, "exact": True, "threshold": 1.0, "new": 10, "old": 0, "pairs": 4} | values


def test_methods_say_exact_measured_or_not_computed(built: Built) -> None:
    ask = "select method, computed, exact, joins, compared, pairs, recall, recall_low, recall_pairs from {}"
    con = built("duplicates.audit")
    assert con.execute(ask.format("duplicates.methods")).fetchall() == [
        ("sha256", True, True, 0, 4, 0, None, None, None),
        ("pixels", True, True, 0, 4, 0, None, None, None),
        ("pdq", False, None, 0, 0, 0, None, None, None),
        ("embedding", False, None, 0, 0, 0, None, None, None),
        ("captions", False, None, 0, 0, 0, None, None, None),
    ]
    measured = {"exact": False, "recall_low": 0.8, "recall_high": 1.0, "recall_pairs": 50}
    joins = [
        join(1, "hashes"),
        join(2, "hashes", new=5, old=10),
        join(3, "pictures"),
        join(4, "pictures", recall=0.95, **measured),
        join(5, "pictures", recall=0.9, **(measured | {"recall_low": 0.7, "recall_pairs": 40})),
        join(6, "captions", exact=False),
    ]
    con = built("duplicates.audit", joins=joins)
    assert con.execute(ask.format("duplicates.methods")).fetchall()[2:] == [
        ("pdq", True, True, 2, 15, 8, None, None, None),
        ("embedding", True, False, 3, 30, 12, 0.9, 0.7, 40),
        ("captions", True, False, 1, 10, 4, None, None, None),
    ]
    assert broken(con, "duplicates.methods") == []
    [(told,)] = con.execute("select methods from duplicates.audit").fetchall()
    assert {each["method"]: (each["exact"], each["recall"]) for each in told}["embedding"] == (False, 0.9)


def test_policies_without_pictures_and_without_levels(built: Built, tmp_path: Path) -> None:
    ask = "select count(*), sum(removed_rows), count(distinct policy) from duplicates.policies"
    assert built("duplicates.policies", image_fingerprints=[]).execute(ask).fetchall() == [(8, 0, 8)]
    said = Settings(home=tmp_path, policies={"keep": (), "drop_from": (), "distance": ()})
    con = built("duplicates.policies")
    build.provide(con, ["settings"], build.Inputs(Facts(tmp_path / "facts"), {}, said, pa.table({}), pa.table({})))
    [model] = [model for model in MODELS if model.name == "duplicates.policies"]
    assert build.materialize(con, model) == 0
