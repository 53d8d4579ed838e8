"""What was found and not taken is stored by whoever counted it, published, and counted by coverage."""

from collections import defaultdict
from pathlib import Path

import duckdb
import pytest
from conftest import ROOT

from orchestration.catalog.not_taken import (
    DUMP,
    GENERATIONS,
    LANDING,
    SECOND_DUMP,
    Owner,
    forget,
    store,
    store_generations,
    store_landing,
)
from orchestration.facts import Facts
from orchestration.fingerprints import second_dump
from orchestration.fingerprints.makers import Makers
from orchestration.settings.inputs import Dataset
from orchestration.warehouse import build
from orchestration.warehouse.models import load
from transforms.catalog.not_taken import NotTaken, NotTakenCounts
from transforms.fingerprints.fingerprint import Rules

ODD = NotTaken("a.tar", "no picture", 3, ("x.bin", "y.bin", "z.bin"))
LINK = NotTaken("a.tar", "a link", 1, ("../x",))


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    """Return a warehouse without facts."""
    return Facts(tmp_path / "facts")


def counted(facts: Facts) -> dict[tuple[str, str], int]:
    rows = facts["not_taken"].read().to_pylist()
    return {(row["owner"], row["reason"]): row["files"] for row in rows}


def published(facts: Facts) -> list[tuple[object, ...]]:
    """Return the rows of `catalog.not_taken` over these facts."""
    (model,) = [each for each in load(ROOT / "sql") if each.name == "catalog.not_taken"]
    with duckdb.connect() as con:
        con.execute("create schema catalog")
        con.register("lance_not_taken", facts["not_taken"].read())
        build.materialize(con, model)
        assert [audit.sentence for audit in build.audit(con, model) if audit.failing] == []
        return con.execute("from catalog.not_taken").fetchall()


def test_an_owner_that_counts_again_replaces_what_it_counted_and_no_other(facts: Facts) -> None:
    shard, other = Owner(DUMP, 7, dataset="d"), Owner(DUMP, 70, dataset="d")
    store(facts, {shard: [ODD, LINK]})
    store(facts, {other: [ODD]})
    store(facts, {shard: [NotTaken("a.tar", "a link", 2, ("../x", "../y"))]})
    assert counted(facts) == {("dump/7", "a link"): 2, ("dump/70", "no picture"): 3}
    forget(facts, DUMP, [7])
    assert counted(facts) == {("dump/70", "no picture"): 3}


def test_counts_that_did_not_change_make_no_new_version(facts: Facts) -> None:
    store(facts, {Owner(DUMP, 7, dataset="d"): [ODD, LINK]})
    before = facts["not_taken"].version
    store(facts, {Owner(DUMP, 7, dataset="d"): [LINK, ODD]})
    store(facts, {Owner(DUMP, 8, dataset="d"): []})
    assert facts["not_taken"].version == before


def test_counts_of_datasets_and_sources_that_left_the_settings_go(facts: Facts) -> None:
    counts: defaultdict[str, NotTakenCounts] = defaultdict(NotTakenCounts)
    counts["a"].include([ODD])
    counts["b"].include([LINK])
    store_landing(facts, counts)
    store_generations(facts, {"g": [LINK], "h": [LINK]})
    del counts["a"]
    store_landing(facts, counts)
    store_generations(facts, {"h": [LINK]})
    assert counted(facts).keys() == {("landing/b", "a link"), ("generations/h", "a link")}


def test_the_table_adds_up_what_several_counted_at_one_place(facts: Facts) -> None:
    store(facts, {Owner(DUMP, 7, dataset="d"): [ODD]})
    store(facts, {Owner(LANDING, "d", dataset="d"): [NotTaken("a.tar", "no picture", 4, ("p", "q", "r", "s"))]})
    store(facts, {Owner(DUMP, 8, dataset="d"): [NotTaken("a.tar", "no picture", 1, ("tty",))]})
    store(facts, {Owner(GENERATIONS, "g", source="g"): [LINK]})
    assert published(facts) == [
        ("d", None, "dump", "a.tar", "no picture", 4, ["x.bin", "y.bin", "z.bin", "tty"]),
        ("d", None, "landing", "a.tar", "no picture", 4, ["p", "q", "r", "s"]),
        (None, "g", "generations", "a.tar", "a link", 1, ["../x"]),
    ]


def test_text_that_no_table_holds_and_names_that_are_empty_still_have_an_example(facts: Facts) -> None:
    store(facts, {Owner(SECOND_DUMP, 7, dataset="d"): [NotTaken("a\udce9.tar", "it's odd", 1, ("",))]})
    assert published(facts) == [("d", None, "second dump", "a\\udce9.tar", "it's odd", 1, ["a\\udce9.tar"])]
    store(facts, {Owner(SECOND_DUMP, 7, dataset="d"): []})
    assert counted(facts) == {}


def test_what_the_glob_of_a_second_dump_does_not_take_is_published_with_it(facts: Facts, tmp_path: Path) -> None:
    for name in ("0.tar", "_SUCCESS"):
        (tmp_path / "again" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "again" / name).write_bytes(b"x")
    named = Dataset(name="d", metadata="*.parquet", redownload=f"{tmp_path}/again/*")
    makers = Makers(Rules(max_pixels=1, member_bytes=1, pdq_quality=50), {}, load=NotImplemented)
    store(facts, {Owner(SECOND_DUMP, 7, dataset="d"): [ODD]})
    assert len(second_dump.due_shards(facts, makers, [named])) == 1
    assert [row[2:] for row in published(facts) if row[4] != ODD.reason] == [
        ("second dump", named.redownload, "a by-product of img2dataset or Spark, no dump", 1,
         [f"{tmp_path}/again/_SUCCESS"]),
    ]  # fmt: skip
    second_dump.due_shards(facts, makers, [])
    assert counted(facts) == {("second dump/7", ODD.reason): 3}
