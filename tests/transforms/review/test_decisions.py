"""Decisions as values: what is one, and which of several hold. The published table must say the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT

from orchestration.facts import SCHEMAS
from transforms.review.decisions import ANSWERS, Decision, DecisionError, checked, in_force

START = datetime(2026, 5, 1, tzinfo=UTC)
A, B, C = "a" * 64, "b" * 64, "c" * 64


def decision(number: int, kind: str, answer: str, a: str = A, b: str | None = None, **more: object) -> Decision:
    at = START + timedelta(minutes=number)
    return checked(
        {"decision_id": f"{number:04d}", "decided_at": at, "decided_by": "ana", "kind": kind, "answer": answer}
        | {"picture_a": a, "picture_b": b}
        | more
    )


def names(decisions: list[Decision]) -> set[str]:
    return {each.decision_id for each in decisions}


def test_the_last_answer_to_a_question_holds_until_it_is_undone() -> None:
    first = decision(1, "pair", "same", B, A)
    assert (first.picture_a, first.picture_b) == (A, B), "a pair has no order"
    second = decision(2, "pair", "different", A, B)
    other = decision(3, "pair", "different", A, C)
    assert names(in_force([second, other, first])) == {"0002", "0003"}
    undo = decision(4, "pair", "undo", A, B, undoes="0002")
    assert names(in_force([undo, second, other, first])) == {"0001", "0003"}
    again = decision(5, "pair", "undo", A, B, undoes="0001")
    assert names(in_force([undo, second, other, first, again])) == {"0003"}


def test_which_row_stays_and_what_goes_are_two_questions() -> None:
    kept, gone = decision(1, "cluster", "keep", A, B), decision(2, "cluster", "remove_all", A)
    fine = decision(3, "cluster", "fine", A)
    assert names(in_force([kept, gone])) == {"0001", "0002"}
    assert names(in_force([kept, gone, fine])) == {"0001", "0003"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "triple"}, "it is one of pair, cluster"),
        ({"answer": "copy"}, "of a pair it is one of same, different, unsure, undo"),
        ({"picture_a": "xyz"}, "64 hexadecimal digits"),
        ({"picture_a": None}, "`picture_a` is missing"),
        ({"picture_b": None}, "is about two pictures"),
        ({"picture_b": A}, "are one picture"),
        ({"decided_by": " "}, "who decided"),
        ({"decided_by": "ana\x1b[2J"}, "no control characters"),
        ({"decided_at": "yesterday"}, "write it as 2026"),
        ({"undoes": "0001"}, "no other answer has it"),
        ({"answer": "undo"}, "names the decision"),
        ({"probability": 0}, "above 0"),
        ({"seconds": "long"}, "it is a number"),
        ({"reason": "x" * 5_000}, "more than 4,000"),
        ({"reason": 7}, "it is text"),
        ({"queue": "best"}, "one of ranked"),
        ({"blind": "perhaps"}, "true or false"),
    ],
)
def test_what_is_no_decision_is_refused_by_name(values: dict[str, object], said: str) -> None:
    good = {"decided_by": "ana", "kind": "pair", "answer": "same", "picture_a": A, "picture_b": B}
    checked(good)
    with pytest.raises(DecisionError, match=said):
        checked(good | values)


def test_what_says_the_same_has_the_same_name() -> None:
    said = {"decided_by": "ana", "kind": "pair", "answer": "same", "picture_a": A, "picture_b": B}
    assert checked(said).decision_id == checked(said | {"picture_a": B, "picture_b": A}).decision_id
    assert checked(said).decision_id != checked(said | {"reason": "why"}).decision_id
    at = checked(said | {"decided_at": "2026-05-01T12:00:00+02:00"})
    assert at.decided_at == datetime(2026, 5, 1, 10, tzinfo=UTC)


def test_the_published_table_agrees_on_what_holds() -> None:
    rng = np.random.default_rng(1)
    made: list[Decision] = []
    for number in range(400):
        kind = str(rng.choice(list(ANSWERS)))
        answer = str(rng.choice(ANSWERS[kind]))
        if made and rng.random() < 0.25:
            undone = made[rng.integers(len(made))]
            made.append(replace(undone, decision_id=f"{number:04d}", answer="undo", undoes=undone.decision_id))
            continue
        a, b = (str(each) * 64 for each in rng.choice(list("abcd"), 2, replace=False))
        two = kind in ("pair", "case") or answer == "keep"
        made.append(decision(int(rng.integers(200)), kind, answer, a, b if two else None, decision_id=f"{number:04d}"))
    lance_decisions = pa.Table.from_pylist([each.as_dict() for each in made], SCHEMAS["decisions"])
    with duckdb.connect() as con:
        con.register("lance_decisions", lance_decisions)
        rows = con.execute((ROOT / "sql/catalog/decisions.sql").read_text("utf-8")).to_arrow_table().to_pylist()
    assert len(rows) == 400
    held = {row["decision_id"] for row in rows if row["standing"] == "in force"}
    assert held == names(in_force(made)) and 10 < len(held) < 100
    assert {row["standing"] for row in rows} == {"in force", "superseded", "undone", "undo"}
