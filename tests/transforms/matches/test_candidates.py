"""Candidates of every method, which of them are compared by pixels, and where a generation is looked at."""

import re
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import cast

import duckdb
import numpy as np
import pytest
from conftest import ROOT

from transforms.alignment.alteration_policy import Alteration, AlterationLimits
from transforms.alignment.policy import Alignment, PixelLimits
from transforms.fingerprints import views
from transforms.fingerprints.distinct_pictures import DistinctPictures
from transforms.fingerprints.views import WHOLE
from transforms.joins.hamming import join
from transforms.matches import candidates
from transforms.matches.candidates import Candidate, CandidateThresholds, EqualPictures, PairEvidence, Query
from transforms.matches.neighbour_lists import NONE, NeighbourList
from transforms.regions import Box

COUNT = 12
TRAINING = DistinctPictures(
    ids=np.arange(100, 100 + COUNT, dtype=np.uint64),
    digests=np.arange(COUNT * 32, dtype=np.uint8).reshape(COUNT, 32),
    head=np.array([0, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    comparable=np.ones(COUNT, np.bool_),
    pdq=np.random.default_rng(2).integers(0, 256, (COUNT, 32)).astype(np.uint8),
)
CUT = CandidateThresholds(pdq=31, candidate=0.25, neighbours=2)


def query(pdq: np.ndarray, name: str = "g") -> Query:
    other = np.random.default_rng(3).integers(0, 256, (8, 32)).astype(np.uint8)
    other[5] = pdq
    return Query(name, "00", "11", comparable=True, dihedral=other)


def candidate(index: int | None, method: str, score: float = 1.0) -> Candidate:
    return Candidate("g", index, 0, method, score, WHOLE)


def test_the_best_of_a_few_clusters_by_looks_are_compared_and_as_many_others_by_prompt() -> None:
    found = [
        candidate(5, "prompt_semantic", 0.9),
        candidate(None, "prompt"),
        candidate(7, "prompt"),
        candidate(3, "prompt"),
        candidate(1, "embedding", 0.9),
        candidate(3, "embedding", 0.5),
        candidate(4, "embedding", 0.4),
        candidate(0, "pdq", 0.95),
    ]
    assert candidates.choose(found, TRAINING, CUT) == [0, 3, 7, 5], "one a cluster, the surest method first"
    assert candidates.choose(found[:2], TRAINING, CUT) == [5]


def test_candidates_are_those_that_are_equal_alike_and_near_and_the_nearest_anyway() -> None:
    near = NeighbourList(np.array([6, 1, 0, 8]), np.float32([0.2, 0.19, 0.1, 0.05]), np.array([3, 0, 0, 0]))
    searched = views.search_views()
    asked = query(TRAINING.pdq[9])
    (alike,) = candidates.hash_neighbours([asked], np.arange(COUNT), TRAINING, 31, 10**9)
    equals = EqualPictures(frozenset([4]), frozenset([4]))
    found = candidates.candidates_by_looks(asked, equals, near, alike, TRAINING, CUT, searched)
    assert [(c.index, c.method, c.sample_id) for c in found] == [
        (4, "sha256", 104),
        (9, "pdq", 109),
        (6, "embedding", 106),
    ]
    assert found[2].box == searched[3].box
    closer = replace(near, score=np.float32([0.9, 0.8, 0.7, 0.6]))
    two = candidates.candidates_by_looks(asked, EqualPictures(), closer, NONE, TRAINING, CUT, searched)
    assert [c.index for c in two] == [6, 1], "two clusters; 0 is in that of 1"


@pytest.mark.parametrize("at_once", [5, COUNT])
def test_hashes_are_compared_with_all_turns_of_a_generation_and_only_where_they_say_something(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "_LEAST", at_once)  # within any memory
    bits = TRAINING.pdq[3].copy()
    bits[0] ^= 7
    asked, dull = query(bits), replace(query(TRAINING.pdq[3]), comparable=False)
    both = replace(asked, dihedral=np.stack([TRAINING.pdq[3], bits, *asked.dihedral[:6]]))
    one, none, least = candidates.hash_neighbours([asked, dull, both], np.arange(COUNT), TRAINING, 31, 0)
    assert (one.index.tolist(), one.score.tolist()) == ([3], [1 - 3 / 256])
    assert len(none) == 0
    assert (least.index.tolist(), least.score.tolist()) == ([3], [1.0]), "of two turns the nearer"
    assert len(candidates.hash_neighbours([asked], np.array([0, 1]), TRAINING, 31, 0)[0]) == 0


@pytest.mark.parametrize("side", [0.3, 0.5, 0.6, 0.99])
def test_tiles_cover_the_picture_and_overlap(side: float) -> None:
    _, *tiles = [view.box for view in views.search_views((side,), "none")]
    edges = sorted({box.x for box in tiles})
    assert edges[0] == 0
    assert edges[-1] + side == pytest.approx(1)
    assert max(np.diff(edges)) <= 0.75 * side + 1e-9
    assert {(box.y, box.x) for box in tiles} == {(y, x) for y in edges for x in edges}


def test_flips_are_of_the_whole_of_all_or_of_none() -> None:
    assert len(views.VIEWS) == 11
    assert [v.name for v in views.VIEWS if v.mirrored] == ["whole mirrored"]
    assert len({v.name for v in views.search_views((0.5, 0.33), "all")}) == 2 * (1 + 9 + 16)
    assert views.search_views((), "none") == (views.View("whole", Box(0, 0, 1, 1)),)


def test_a_verdict_in_python_is_that_of_the_published_table() -> None:
    text = (ROOT / "sql" / "matches" / "evidence.sql").read_text(encoding="utf-8")
    [rule] = re.findall(r"decided_by,\n        (case\n.*?end) as measured_verdict\n", text, re.DOTALL)
    found = set()
    with duckdb.connect() as con:
        for same, confirmed, whole, altered, score, bits in product(
            (False, True), (None, False, True), (False, True), (None, False, True), (None, 0.4, 0.5), (None, 31, 32)
        ):
            looser = None if altered is None else SimpleNamespace(confirmed=lambda _, a=altered: a)
            laid = SimpleNamespace(confirmed=lambda _, c=confirmed: c, whole=lambda _, w=whole: w)
            alignment = cast(Alignment, None if confirmed is None else laid)
            evidence = PairEvidence("g", 0, score, bits, False, same, alignment, cast(Alteration, looser), WHOLE)
            word = candidates.verdict(evidence, PixelLimits(), AlterationLimits(), 0.5, 31)
            select = f"select {rule} from (select {{'similar': 0.5, 'pdq': 31}} as settings, false as same_bytes, "  # noqa: S608
            select += "$1::boolean as same_pixels, $2::boolean as confirmed, $3::boolean as whole, $4::double as "
            select += "copy_score, $5::integer as pdq_distance, $6::boolean as altered)"
            [(said,)] = con.execute(select, [same, bool(confirmed), whole, score, bits, bool(altered)]).fetchall()
            assert word == said, (same, confirmed, whole, altered, score, bits)
            found.add(word)
    assert found == {"exact", "copy", "partial_copy", "altered_copy", "similar", None}
