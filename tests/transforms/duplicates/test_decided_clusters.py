"""Clusters that decisions change: what is cut stays cut, what is tied stays tied, all else is as it would be."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest

from transforms.alignment.comparer import PixelComparison
from transforms.alignment.policy import PixelLimits
from transforms.duplicates import components, decided_clusters, members
from transforms.duplicates.decided_clusters import ClusterRulings
from transforms.duplicates.pairs import DuplicateThresholds
from transforms.fingerprints.picture_set import COLUMNS, Pictures
from transforms.review.decisions import Decision, checked, in_force

CUT = DuplicateThresholds(31, 0.5, 0.5, PixelLimits())


def pictures(places: Sequence[int], sizes: Sequence[int] | None = None, recalled: Sequence[int] = ()) -> Pictures:
    """Return pictures whose hashes differ in as many bits as their places. Equal places are equal pixels."""
    kinds = {"sample_id": pa.uint64(), "status": pa.string(), "width": pa.int32(), "height": pa.int32()}
    rows = [
        {"sample_id": n, "status": "ok", "width": (sizes or [9] * len(places))[n], "height": 1}
        | {"sha256": n.to_bytes(32), "pixel_sha256": bytes.fromhex(digest(place))}
        | {"pdq": np.packbits(np.arange(256) < place).tobytes()}
        for n, place in enumerate(places)
    ]
    schema = pa.schema([(name, kinds.get(name, pa.binary(32))) for name in COLUMNS])
    with TemporaryDirectory() as folder:
        batches = [pa.RecordBatch.from_pylist(rows, schema)]
        return Pictures(batches, len(rows), Path(folder), 10**6, np.array(recalled, np.uint64))


def digest(place: int) -> str:
    return (place + 1).to_bytes(32).hex()


def said(*answers: tuple[str, int, int]) -> list[Decision]:
    """Return decisions: an answer and the places of two pictures each, named d0, d1 and so on."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        checked(
            {"decision_id": f"d{n}", "decided_at": start + timedelta(minutes=n), "decided_by": "ana"}
            | {"kind": "cluster" if answer == "keep" else "pair", "answer": answer}
            | {"picture_a": digest(a), "picture_b": digest(b)}
        )
        for n, (answer, a, b) in enumerate(answers)
    ]


def decide(
    known: Pictures, decisions: Sequence[Decision], same: frozenset[tuple[int, int]] = frozenset()
) -> tuple[list[dict], dict[str, str]]:
    """Return the rows of members as a run writes them, and why decisions wait."""
    everywhere = np.arange(len(known))
    left, right = np.triu_indices(len(known), 1)
    near = np.bitwise_count(known.pdq[left] ^ known.pdq[right]).sum(axis=1, dtype=int) <= CUT.pdq
    tied = components.Components(len(everywhere))
    tied.add(left[near].astype(np.int64), right[near].astype(np.int64))
    labels = tied.labels()
    worth = members.open_pairs(known, [], CUT, labels)

    def compare(asked: Sequence[tuple[int, int]]) -> list[PixelComparison]:
        return [PixelComparison(pair in same, 0.0, 1, 1.0, 1.0) for pair in asked]

    rulings = ClusterRulings.of(in_force(decisions), known)
    alone, touched = decided_clusters.split(components.list_members(labels), labels, rulings)
    decided = members.decided(known, touched, CUT, worth, compare)
    waiting = rulings.waiting | decided.follow(rulings)
    parts = [*members.members(known, alone, CUT, worth, compare), decided.rows()]
    return [row for part in parts for row in part.to_pylist()], waiting


def clusters(rows: Sequence[dict], column: str = "representative_id") -> list[list[int]]:
    heads = {row["sample_id"]: row[column] if row[column] is not None else row["representative_id"] for row in rows}
    groups = [sorted(row for row, of in heads.items() if of == head) for head in set(heads.values())]
    return sorted(group for group in groups if len(group) > 1)


def test_without_decisions_nothing_is_touched() -> None:
    known = pictures([0, 5, 10, 100, 100, 200])
    rows, waiting = decide(known, [])
    assert clusters(rows) == [[0, 1, 2], [3, 4]] and waiting == {}
    assert all(row["decisions"] is None and row["automatic_representative_id"] is None for row in rows)


def test_different_takes_a_picture_out_with_what_is_nearer_to_it() -> None:
    known = pictures([0, 2, 20, 21, 20, 100, 101])
    rows, waiting = decide(known, said(("different", 0, 20)))
    assert clusters(rows) == [[0, 1], [2, 3, 4], [5, 6]] and waiting == {}
    assert clusters(rows, "automatic_representative_id") == [[0, 1, 2, 3, 4], [5, 6]]
    told = {row["sample_id"]: row["decisions"] for row in rows}
    assert told == {0: ["d0"], 1: ["d0"], 2: ["d0"], 3: ["d0"], 4: ["d0"], 5: None, 6: None}
    assert {row["sample_id"]: row["method"] for row in rows}[4] == "pixels"


def test_what_is_cut_stays_cut_when_a_picture_comes_that_both_resemble() -> None:
    known = pictures([0, 20, 10], sizes=[9, 9, 900])
    assert clusters(decide(known, [])[0]) == [[0, 1, 2]]
    rows, _ = decide(known, said(("different", 0, 20)))
    assert clusters(rows) == [[0, 2]], "the larger picture took both; it keeps the first"


def test_same_ties_and_says_that_nothing_else_does() -> None:
    known = pictures([0, 1, 100, 101, 200], sizes=[9, 9, 90, 9, 9])
    rows, waiting = decide(known, said(("same", 1, 101), ("same", 200, 0)))
    assert clusters(rows) == [[0, 1, 2, 3, 4]] and waiting == {}
    methods = {row["sample_id"]: row["method"] for row in rows}
    assert methods == {0: "decided", 1: "decided", 2: "representative", 3: "pdq", 4: "decided"}
    assert {row["representative_id"] for row in rows} == {2}
    assert clusters(rows, "automatic_representative_id") == [[0, 1], [2, 3]]


def test_keep_chooses_who_stands_for_the_cluster() -> None:
    known = pictures([0, 1, 20, 20, 40], sizes=[99, 9, 5, 9, 9])
    rows, _ = decide(known, [])
    assert clusters(rows) == [[0, 1, 2, 3]]
    rows, waiting = decide(known, said(("keep", 0, 20)))
    assert waiting == {} and {row["representative_id"] for row in rows if row["sample_id"] != 4} == {3}
    assert {row["sample_id"]: row["method"] for row in rows if row["sample_id"] != 4} == {
        0: "pdq",
        1: "pdq",
        2: "pixels",
        3: "representative",
    }
    rows, waiting = decide(pictures([0, 1, 20], recalled=[2]), said(("keep", 0, 20)))
    assert waiting == {"d0": "every row that shows the picture to keep is recalled"}
    assert {row["representative_id"] for row in rows} == {0}


def test_of_two_pictures_to_keep_the_later_one_is() -> None:
    rows, waiting = decide(pictures([0, 1, 2]), said(("keep", 0, 1), ("keep", 1, 2)))
    assert {row["representative_id"] for row in rows} == {2}
    assert waiting == {"d0": "decision d1 keeps another picture of the cluster"}


def test_a_tie_across_a_cut_waits_and_names_it() -> None:
    rows, waiting = decide(pictures([0, 1, 100]), said(("different", 0, 1), ("same", 0, 100), ("same", 1, 100)))
    assert clusters(rows) == [[0, 2]]
    assert waiting == {"d2": "it would put two pictures into one cluster that decision d0 says are different"}


def test_a_decision_on_pictures_that_are_gone_waits() -> None:
    rows, waiting = decide(pictures([0, 1]), said(("different", 0, 77)))
    assert waiting == {"d0": f"no training row shows the picture {digest(77)} now"}
    assert clusters(rows) == [[0, 1]] and rows[0]["decisions"] is None


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_decided_holds_and_all_else_is_as_it_would_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = np.sort(rng.integers(0, 230, 40))
    known = pictures(places.tolist(), sizes=rng.integers(1, 50, 40).tolist(), recalled=rng.choice(40, 6).tolist())
    ends = [rng.choice(np.unique(places), 2, replace=False).tolist() for _ in range(8)]
    decisions = said(*((str(rng.choice(["different", "same", "keep"])), a, b) for a, b in ends))
    rows, waiting = decide(known, decisions)
    plain, _ = decide(known, [])
    cluster_of = {place: f"alone {place}" for place in places.tolist()}
    cluster_of |= {int(places[row["sample_id"]]): row["representative_id"] for row in rows}
    for each, (a, b) in zip(decisions, ends, strict=True):
        if each in in_force(decisions) and each.decision_id not in waiting:
            assert (cluster_of[a] == cluster_of[b]) == (each.answer != "different"), each
    assert clusters(rows, "automatic_representative_id") == clusters(plain)
    alone = {row["sample_id"]: row for row in rows if row["automatic_representative_id"] is None}
    assert alone == {row["sample_id"]: row for row in plain if row["sample_id"] in alone}
    for row in rows:
        bits = abs(int(places[row["sample_id"]]) - int(places[row["representative_id"]]))
        assert row["distance_to_representative"] == bits
        assert row["method"] in ("representative", "pixels", "pdq", "decided")
        assert row["method"] != "decided" or (bits > CUT.pdq and row["decisions"])
        assert (row["method"] == "pdq") <= (bits <= CUT.pdq)
    live = known.live
    for row in rows:  # a row that was not withdrawn is represented by one that was not either
        assert live[row["representative_id"]] or not live[row["sample_id"]]
