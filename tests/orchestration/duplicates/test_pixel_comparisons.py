"""Comparisons by pixels: each pair once, failures stored and tried again by the next run."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.duplicates.pixel_comparisons import Pair, PicturePair, PixelComparisons, PixelOutcome, failures
from orchestration.facts import Facts, FactTable
from orchestration.facts.training_pictures import DumpGone, TrainingPictures
from orchestration.settings.sections import Compute
from transforms.pictures import Bounds

TABLES = ("pixel_comparisons", "match_comparisons", "calibration_comparisons")


@pytest.fixture(params=TABLES)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> FactTable:
    return Facts(tmp_path)[request.param]


def opened(table: FactTable, made_by: str = "one") -> PixelComparisons:
    comparisons = PixelComparisons(table, made_by)
    comparisons.load()
    return comparisons


def asked(comparisons: PixelComparisons, keys: Pair, compare: Callable[[], object]) -> PixelOutcome:
    """Compare a pair if it is due, and return its outcome."""
    comparisons.compare([PicturePair(keys, None, None)], lambda a, b: compare(), Compute())
    return comparisons.known(keys)


def away() -> object:
    raise OSError("the disk was away")


def never() -> object:
    raise AssertionError("this pair was compared before")


def test_a_pair_is_compared_once(table: FactTable) -> None:
    first = opened(table)
    assert asked(first, ("a", "b"), lambda: [1, None]) == PixelOutcome("[1,null]")
    assert asked(first, ("a", "b"), never) == first.known(("a", "b"))
    first.close()
    second = opened(table)
    assert asked(second, ("a", "b"), never) == PixelOutcome("[1,null]")
    assert (first.compared, second.compared, first.changed, second.changed) == (1, 0, True, False)


def test_a_failure_is_stored_and_tried_again_by_the_next_run(table: FactTable) -> None:
    first = opened(table)
    assert asked(first, ("a", "b"), away) == PixelOutcome(None, "the disk was away")
    assert asked(first, ("a", "b"), never).failure, "not twice in one run"
    first.close()
    assert failures(table) == 1
    second = opened(table)
    asked(second, ("a", "b"), away)
    second.close()
    assert (second.compared, second.failed, second.changed) == (1, 1, False)
    third = opened(table)
    assert asked(third, ("a", "b"), lambda: True) == PixelOutcome("true")
    third.close()
    assert failures(table) == 0 and third.changed
    assert table.read(["outcome"])["outcome"].to_pylist() == ["true"]


@pytest.mark.parametrize("landed", [{"images_path": None}, {"images_path": "away.tar", "images_gone": True}])
def test_a_pair_whose_dump_is_gone_waits_for_it(table: FactTable, tmp_path: Path, landed: dict[str, object]) -> None:
    facts = Facts(tmp_path)
    for name, row in (("image_fingerprints", {"sample_id": 7, "shard_id": 1}), ("landing_shards", landed)):
        facts[name].upsert(pa.Table.from_pylist([{"shard_id": 1} | row], facts[name].schema))
    load = TrainingPictures(facts, Bounds())
    first = opened(table)
    found = asked(first, ("a", "b"), lambda: load(7))
    assert found.waiting and found.failure is not None and "is gone; put it back" in found.failure
    first.close()
    assert (first.failed, first.waiting, failures(table)) == (0, 1, 0), "the next run does not try in vain"
    second = opened(table)
    assert second.known(("a", "b")) == found
    assert asked(second, ("a", "b"), lambda: True) == PixelOutcome("true"), "where there is reason to, it is tried"


def test_an_outcome_of_an_older_release_stays_while_its_dump_is_gone(table: FactTable) -> None:
    def gone() -> object:
        raise DumpGone("put it back")

    first = opened(table)
    asked(first, ("a", "b"), lambda: "old")
    first.close()
    second = PixelComparisons(table, "one")
    second.load(current=lambda text: text != '"old"')
    assert second.is_due(("a", "b"))
    assert asked(second, ("a", "b"), gone) == PixelOutcome('"old"')
    second.close()
    assert (second.waiting, second.failed, second.changed) == (1, 0, False)
    third = PixelComparisons(table, "one")
    third.load(current=lambda text: text != '"old"')
    assert asked(third, ("a", "b"), lambda: "new") == PixelOutcome('"new"')
    third.close()
    assert third.changed and table.read(["outcome"])["outcome"].to_pylist() == ['"new"']


def test_what_is_made_of_outcomes_is_stale_before_one_changes(table: FactTable) -> None:
    """A run killed between the commit and the replacement of evidence left the failure in the evidence for ever."""
    evidence = Facts(table.folder)["match_evidence"]
    first = opened(table)
    asked(first, ("a", "b"), away)
    first.close()
    evidence.replace([], "made of a failure")
    again = PixelComparisons(table, "one", [evidence])
    again.load()
    asked(again, ("a", "b"), away)
    again.close()
    assert evidence.recipe == "made of a failure", "the same failure changes nothing"
    killed = PixelComparisons(table, "one", [evidence])
    killed.load()
    asked(killed, ("a", "b"), lambda: True)
    killed.commit()
    assert (failures(table), evidence.recipe) == (0, "")


def test_a_failure_that_nobody_asks_for_is_forgotten(table: FactTable) -> None:
    first = opened(table)
    asked(first, ("a", "b"), away)
    asked(first, ("a", "c"), lambda: 1)
    first.close()
    second = opened(table)
    asked(second, ("a", "c"), never)
    second.close()
    assert table.read(["picture_b"])["picture_b"].to_pylist() == ["c"]


def test_other_rules_compare_again(table: FactTable) -> None:
    first = opened(table)
    asked(first, ("a", "b"), lambda: 1)
    first.close()
    second = opened(table, "another")
    assert asked(second, ("a", "b"), lambda: 2) == PixelOutcome("2")
    second.forget_outdated()
    assert table.read(["recipe"])["recipe"].to_pylist() == [], "the outcome is not committed yet"
    second.close()
    assert table.read(["recipe", "outcome"]).to_pylist() == [{"recipe": "another", "outcome": "2"}]


def test_what_is_held_is_what_a_filter_allows(table: FactTable) -> None:
    first = opened(table)
    for pair in (("a", "x"), ("b", "x")):
        asked(first, pair, lambda: 1)
    first.load("picture_a = 'b'")
    assert first.known(("b", "x")) == PixelOutcome("1"), "what was not committed yet is"
    with pytest.raises(KeyError):
        first.known(("a", "x"))
