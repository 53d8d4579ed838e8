"""The desk without a browser: leases, the random sample, undoing, and what a restart remembers."""

from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.facts.decision_log import DecisionLog
from orchestration.review.desk import Desk, DeskSession, Wish
from orchestration.review.queues import Queue
from transforms.review.decisions import DecisionError

ANA, BEN, ANA_AGAIN = DeskSession("ana", "1"), DeskSession("ben", "2"), DeskSession("ana", "3")


def queue(count: int, sampled: int, version: int = 3) -> Queue:
    """Return a queue of pairs of which the last ones were drawn."""
    rows = [
        {"picture_a": f"{i:064x}", "picture_b": "f" * 64, "sample_a": i, "sample_b": i + 1, "generation_id": None}
        | {"method": "pdq", "verdict": "the same picture", "measure": 1.0, "threshold": 31.0, "copies": 2}
        | {
            "stratum": "pdq near",
            "stratum_size": count,
            "sampled": i >= count - sampled,
            "probability": sampled / count,
        }
        for i in range(count)
    ]
    return Queue("pairs", pa.Table.from_pylist(rows), version)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def desk(home: Path, clock: Clock | None = None) -> Desk:
    return Desk(DecisionLog(home), {"pairs": queue(12, 5)}, 60, clock or Clock())


def test_an_item_is_kept_from_others_while_somebody_looks_at_it(tmp_path: Path) -> None:
    clock = Clock()
    seats = desk(tmp_path, clock)
    wish = Wish("pairs")
    assert [seats.take(each, wish).position for each in (ANA, BEN, ANA_AGAIN)] == [0, 1, 2]
    assert seats.held(ANA, "pairs").position == 0
    assert seats.take(BEN, Wish("pairs", after=1)).position == 3, "and what one leaves is free"
    assert seats.take(ANA, Wish("pairs", after=0)).position == 1
    clock.now = 61
    assert seats.take(BEN, Wish("pairs", after=0)).position == 1, "nobody waits for who went away"
    assert seats.held(ANA, "pairs") is None
    assert seats.take(BEN, Wish("pairs", after=0, back=True)) is None


def test_the_sample_is_asked_at_random_and_again_where_it_was_chosen_otherwise(tmp_path: Path) -> None:
    seats = desk(tmp_path)
    item = seats.take(ANA, Wish("pairs", after=6))
    assert item.position == 7 and item.sampled
    said = seats.decide(ANA, item, {"answer": "same", "mode": "ranked"})
    assert said.stratum is None, "it was not chosen by the draw"
    order = []
    while (item := seats.take(ANA, Wish("pairs", "sampled", order[-1] if order else -1))) is not None:
        order.append(item.position)
        drawn = seats.decide(ANA, item, {"answer": "same", "mode": "sampled"})
        assert (drawn.stratum, drawn.stratum_size, drawn.probability) == ("pdq near", 12, 5 / 12)
    assert sorted(order) == [7, 8, 9, 10, 11] and order != sorted(order)
    assert seats.progress("ana")["pairs"] == {"items": 12, "open": 7, "mine": 5, "sampled": 5, "sampled_open": 0}
    undone, item = seats.undo(ANA)
    assert undone.decision_id == drawn.decision_id and item.position == order[-1]
    assert seats.progress("ana")["pairs"]["sampled_open"] == 1


def test_a_restart_remembers_and_an_answer_sent_twice_is_one(tmp_path: Path) -> None:
    seats = desk(tmp_path)
    item = seats.take(ANA, Wish("pairs"))
    first = seats.decide(ANA, item, {"answer": "different", "decision_id": "x"})
    assert seats.decide(ANA, item, {"answer": "different", "decision_id": "x"}) == first
    with pytest.raises(DecisionError, match="of a pair it is one of"):
        seats.decide(ANA, item, {"answer": "keep"})
    again = desk(tmp_path)
    assert again.decide(ANA, item, {"answer": "different", "decision_id": "x"}) == first
    assert len(DecisionLog(tmp_path).all()) == 1
    assert again.take(BEN, Wish("pairs")).position == 1
    assert again.take(BEN, Wish("pairs", "second")).position == 0
    assert again.take(ANA, Wish("pairs", "second")) is None
    assert again.undo(BEN) is None
    assert again.undo(ANA)[0].decision_id == "x" and again.take(BEN, Wish("pairs", "second")) is None


def test_a_cluster_is_not_asked_about_again_under_the_picture_to_keep(tmp_path: Path) -> None:
    digests = [f"{i:064x}" for i in range(3)]
    rows = [
        dict.fromkeys(
            ("picture_b", "sample_b", "generation_id", "method", "verdict", "measure", "threshold", "stratum")
        )
        | {"picture_a": each, "sample_a": i, "stratum_size": None, "sampled": False, "probability": None, "copies": 3}
        for i, each in enumerate(digests)
    ]
    clusters = {"clusters": Queue("clusters", pa.Table.from_pylist(rows), 3)}
    seats = Desk(DecisionLog(tmp_path), clusters, 60, Clock())
    seats.decide(ANA, seats.take(ANA, Wish("clusters")), {"answer": "keep", "picture_b": digests[2]})
    later = Desk(DecisionLog(tmp_path), clusters, 60, Clock())
    assert later.take(ANA, Wish("clusters")).position == 1 and later.take(BEN, Wish("clusters")) is None
    later.undo(ANA)
    assert later.take(BEN, Wish("clusters", after=1)).position == 2
