"""A version of which much less can be searched than of the last one is held back, and says what fell."""

import duckdb
import pytest

from orchestration.settings import Settings
from orchestration.settings.inputs import Dataset
from orchestration.warehouse.previous import Usable, falls, refusal, usable

ALL = {("a", "sha256"): 100, ("a", "sscd"): 90, ("b", "sha256"): 50}


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (ALL, []),
        (ALL | {("a", "sha256"): 90, ("a", "sscd"): 81}, []),
        (ALL | {("a", "sha256"): 89}, [("a", "sha256", 100, 89)]),
        (ALL | {("a", "sha256"): 89, ("a", "sscd"): 10}, [("a", "sscd", 90, 10)]),
        ({("a", "sha256"): 100, ("a", "sscd"): 90}, [("b", "sha256", 50, 0)]),
        ({}, [("a", "sha256", 100, 0), ("b", "sha256", 50, 0)]),
        ({("a", "sha256"): 100, ("a", "clip"): 0, ("b", "sha256"): 50}, []),  # another encoder is not comparable
        (ALL | {("c", "sha256"): 1}, []),
    ],
)
def test_the_greatest_fall_of_each_dataset_counts(after: Usable, found: list[tuple[str, str, int, int]]) -> None:
    told = falls(ALL, after, ["a", "b", "c"], 0.1)
    assert [(each.dataset, each.fingerprint, each.before, each.after) for each in told] == found


def test_a_dataset_that_left_the_settings_was_removed_on_purpose() -> None:
    assert falls(ALL, {}, [], 0.1) == []


def version(ok: int, low_quality: int) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("create schema fingerprints")
    con.execute("create schema catalog")
    columns = "'a' as dataset, 'pdq' as fingerprint, ? as ok, ? as low_quality"
    con.execute(f"create table fingerprints.coverage as select {columns}", [ok, low_quality])
    con.execute("create table catalog.shards as select null::varchar as failure, 'a.tar breaks off' as broken")
    return con


def test_the_refusal_says_what_fell_why_and_how_to_accept_it() -> None:
    settings = Settings(datasets=(Dataset(name="a", images="train"),))
    assert usable(None) == usable(duckdb.connect()) == {}
    assert refusal(None, version(0, 0), settings) is None
    assert refusal(version(100, 0), version(70, 30), settings) is None, "a flat picture is read all the same"
    said = refusal(version(100, 0), version(30, 30), settings)
    assert said is not None
    for part in ("publishing.coverage_drop = 0.1", "60 rows", "of 100 before (40% fewer)", "a.tar breaks off"):
        assert part in said
    assert said.endswith("`raisonne run --accept-drop`")
