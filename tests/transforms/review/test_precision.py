"""The intervals of reviewed precision: in simulation they hold the truth, and SQL publishes the same numbers."""

from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT

from orchestration.facts import SCHEMAS
from orchestration.warehouse import functions, macros
from transforms.review.decisions import Decision, checked
from transforms.review.precision import Stratum, estimate


def drawn(rng: np.random.Generator) -> tuple[list[Stratum], float]:
    """Return the strata of a made-up warehouse after a draw, and the share that is true of all its items."""
    count = rng.integers(1, 5)
    sizes = np.exp(rng.uniform(np.log(20), np.log(50_000), count)).astype(int)
    # errors are rare far from a threshold and frequent near it
    right = rng.binomial(sizes, rng.choice([0.5, 0.8, 0.95, 0.99, 0.999, 1.0], count))
    asked = np.minimum(sizes, rng.choice([20, 50, 100, 200], count))
    answered = rng.binomial(asked, rng.uniform(0.7, 1, count)).clip(min=1)  # some are left out, or not sure
    found = rng.hypergeometric(right, sizes - right, answered)
    strata = [Stratum(int(n), int(a), int(k)) for n, a, k in zip(sizes, answered, found, strict=True)]
    return strata, float(right.sum() / sizes.sum())


def test_intervals_hold_the_truth_in_93_of_100_warehouses() -> None:
    rng = np.random.default_rng(2026)
    held, widths, low_misses = [], [], 0
    for _ in range(1_000):
        strata, truth = drawn(rng)
        found = estimate(strata)
        assert found.low <= found.share <= found.high
        held.append(found.low - 1e-12 <= truth <= found.high + 1e-12)
        low_misses += truth < found.low
        widths.append(found.high - found.low)
    assert np.mean(held) >= 0.93
    assert low_misses <= 50, "seldom is the truth worse than the interval says"
    assert np.median(widths) < 0.2, "and yet it says something"


def test_a_stratum_that_was_looked_at_as_a_whole_leaves_no_doubt() -> None:
    assert estimate([]) is None and estimate([Stratum(40, 0, 0)]) is None
    whole = estimate([Stratum(50, 50, 48)])
    assert (whole.share, whole.low, whole.high) == (0.96, 0.96, 0.96)
    seen = estimate([Stratum(1_000, 100, 100)])
    assert seen.share == seen.high == 1 and 0.94 < seen.low < 0.98


def answer(number: int, by: str, said: str, **more: object) -> Decision:
    item = f"{number:064x}"
    given = {"decision_id": f"{by}{number}{more.get('undoes', '')}", "decided_by": by, "kind": "pair", "answer": said}
    given |= {"picture_a": item, "picture_b": "f" * 64, "decided_at": datetime(2026, 1, 1, tzinfo=UTC)}
    given["decided_at"] += timedelta(seconds=number + (1_000 if by == "ben" else 0))
    return checked(given | more)


def published(made: list[Decision], name: str) -> list[dict]:
    lance_decisions = pa.Table.from_pylist([each.as_dict() for each in made], SCHEMAS["decisions"])
    with duckdb.connect() as con:
        macros.create(con, functions.load(ROOT / "sql"))
        con.register("lance_decisions", lance_decisions)
        for table in ("catalog.decisions", "catalog.reviewed_items", "catalog.review_precision", name):
            con.execute(f"create schema if not exists {table.partition('.')[0]}")
            text = (ROOT / "sql" / f"{table.replace('.', '/')}.sql").read_text("utf-8")
            con.execute(f"create or replace table {table} as {text}")
        return con.execute(f"from {name}").to_arrow_table().to_pylist()


WORDS = {
    "pair": ("same", "different", "duplicates"),
    "case": ("copy", "not_a_copy", "matches"),
    "guard_block": ("block", "allow", "provenance"),
}


@pytest.mark.parametrize("kind", WORDS)
def test_the_published_tables_say_the_same(kind: str) -> None:
    rng = np.random.default_rng(3)
    *words, name = WORDS[kind]
    group = "copy" if kind == "case" else "pdq"
    made, counted = [], {}
    for number in range(150):
        stratum, size = (("near", 80), ("far", 5_000))[number % 2]
        said = str(rng.choice([*words, "unsure"], p=[0.85, 0.1, 0.05]))
        about = {"kind": kind, "method_seen": "pdq", "verdict_seen": "the same picture" if kind == "pair" else "copy"}
        about |= {"queue": "sampled", "stratum": stratum, "stratum_size": size, "probability": 75 / size}
        made.append(answer(number, "ana", said, **about))
        if number % 5 == 0:  # asked of a second person, who mostly agrees, and whose answer is the later one
            other = said if rng.random() < 0.8 else str(rng.choice(words))
            made.append(answer(number, "ben", other, **about | {"queue": "second"}))
            said = other
        if said != "unsure":
            n, k = counted.get(stratum, (0, 0))
            counted[stratum] = (n + 1, k + (said == words[0]))
    made.append(answer(900, "ana", words[1], kind=kind, method_seen="pdq", verdict_seen="copy", queue="ranked"))
    expected = estimate([Stratum({"near": 80, "far": 5_000}[name], n, k) for name, (n, k) in counted.items()])
    [row] = published(made, f"{name}.review_precision")
    assert row["verdict" if kind == "case" else "method"] == group
    assert row["precision"] == pytest.approx(expected.share)
    assert (row["low"], row["high"]) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert row["answered"] == sum(n for n, _ in counted.values()) and row["items"] == 5_080
    twice = [
        (a, b)
        for a in made
        for b in made
        if a.decided_by == "ana" and b.decided_by == "ben" and a.question == b.question
    ]
    twice = [(a.answer, b.answer) for a, b in twice if "unsure" not in (a.answer, b.answer)]
    observed = np.mean([a == b for a, b in twice])
    chance = sum(np.mean([a == w for a, _ in twice]) * np.mean([b == w for _, b in twice]) for w in words)
    assert row["asked_twice"] == len(twice) and row["agreement"] == pytest.approx(observed)
    assert row["kappa"] == pytest.approx((observed - chance) / (1 - chance))


def test_a_cluster_is_right_until_somebody_cuts_a_picture_out_of_it() -> None:
    drawn = {"method_seen": "aligned", "verdict_seen": "one picture", "queue": "sampled", "stratum": "aligned near"}
    drawn |= {"stratum_size": 40, "probability": 0.5}
    asked = drawn | {"kind": "cluster", "picture_b": None}
    cut = {"kind": "pair", "method_seen": "aligned", "verdict_seen": "one picture", "queue": "sampled"}
    made = [
        answer(0, "ana", "fine", **asked),
        answer(1, "ana", "remove_all", **asked),  # what goes is one question, what it shows another
        answer(2, "ana", "keep", **asked | {"picture_b": "e" * 64}),
        answer(3, "ana", "different", **cut),
        answer(3, "ben", "fine", **asked | {"queue": "second"}),
        answer(3, "ana", "fine", **asked, decision_id="and the rest is one"),
        answer(4, "ana", "unsure", **asked),
        answer(5, "ana", "different", **cut),  # who cuts and goes on has not answered yet
        answer(6, "ana", "different", **cut | {"verdict_seen": "similar"}),  # a pair that is in no cluster
        answer(6, "ana", "fine", **asked, decision_id="all of it"),
    ]
    items = {int(row["picture_a"], 16): row for row in published(made, "catalog.reviewed_items")}
    assert {number: (row["answer"], row["agrees"]) for number, row in items.items()} == {
        0: ("one_picture", True), 1: ("one_picture", True), 2: ("one_picture", True), 3: ("several", False),
        4: ("unsure", False), 6: ("one_picture", True),
    }  # fmt: skip
    assert {items[3]["first_answer"], items[3]["second_answer"]} == {"several", "one_picture"}
    [row] = published(made, "duplicates.review_precision")
    expected = estimate([Stratum(40, 5, 4)])
    assert (row["kind"], row["method"], row["items"], row["answered"], row["unsure"]) == (
        "cluster",
        "aligned",
        40,
        5,
        1,
    )
    assert (row["precision"], row["low"], row["high"]) == pytest.approx((expected.share, expected.low, expected.high))

    taken_back = answer(3, "ana", "undo", **cut | {"undoes": made[3].decision_id}, decided_at=made[9].decided_at)
    [row] = published([*made, taken_back], "duplicates.review_precision")
    assert row["precision"] == 1
