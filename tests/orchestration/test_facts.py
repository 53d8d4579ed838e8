"""Fact tables: keys, recipes and the tags that keep a published version's facts."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.facts import Facts, literal


def scores(*ids: int) -> pa.Table:
    return pa.table({"sample_id": ids, "nearest_id": ids, "score": [0.5] * len(ids)})


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    return Facts(tmp_path / "facts")


def test_a_key_has_one_row_however_often_it_is_written(facts: Facts) -> None:
    table = facts["null_scores"]
    table.upsert(scores(1, 2))
    table.upsert(scores(2, 3))
    assert sorted(table.read(["sample_id"])["sample_id"].to_pylist()) == [1, 2, 3]


def test_a_table_whose_replacement_broke_off_has_no_recipe(facts: Facts) -> None:
    table = facts["null_scores"]
    assert (table.replace([scores(1, 2)], "first"), table.recipe) == (2, "first")

    def breaking() -> Iterator[pa.Table]:
        yield scores(3)
        raise OSError("the disk is full")

    with pytest.raises(Exception, match="disk is full"):
        table.replace(breaking(), "second")
    assert table.recipe == ""
    assert table.read().num_rows == 2, "what was there stays readable"


def test_tags_of_pruned_and_unpublished_versions_go(facts: Facts) -> None:
    for number in (1, 2, 3):
        facts["null_scores"].upsert(scores(number))
        facts.tag(number, facts.versions())
    facts.keep_tags({2, 3})
    tags = facts["null_scores"].dataset().tags.list()
    assert sorted(tags) == ["warehouse-2", "warehouse-3"]
    assert facts["null_scores"].dataset(tags["warehouse-2"]["version"]).count_rows() == 2


def test_a_deletion_of_nothing_makes_no_version(facts: Facts) -> None:
    before = facts["null_scores"].version
    facts["null_scores"].delete("sample_id = 7")
    assert facts["null_scores"].version == before


@pytest.mark.parametrize("name", ["plain.png", "it's.png", "a\\b'.png", "'; drop --", "\u202e.png"])
def test_any_name_can_be_looked_for(facts: Facts, name: str) -> None:
    table = facts["generation_fingerprints"]
    rows = [{"generation_id": n, "path": n} for n in (name, "other")]
    table.upsert(pa.Table.from_pylist(rows, table.schema))
    table.delete(f"generation_id in ({literal(name)})")
    assert table.read(["generation_id"])["generation_id"].to_pylist() == ["other"]
