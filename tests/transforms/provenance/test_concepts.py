"""Concepts: planted ones are found, and redundancy is what SemDeDup's matrix says."""

import numpy as np
import numpy.typing as npt
import pytest

from transforms.provenance import concepts


def planted(count: int, each: int, seed: int = 3) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((count, 64))
    of = rng.permutation(np.repeat(np.arange(count), each))
    made = (centres[of] + 0.5 * rng.standard_normal((len(of), 64))).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True), of


def test_planted_concepts_are_found_pure_and_the_same_again() -> None:
    vectors, of = planted(40, 50)
    found = concepts.find_concepts(vectors, 40, 1, 1 << 30)
    label, score = concepts.placed(vectors, found)
    pure = sum(np.bincount(of[label == each]).max() for each in np.unique(label))
    assert pure / len(of) >= 0.95
    np.testing.assert_allclose(score, (vectors * found[label]).sum(axis=1), atol=1e-5)
    assert (concepts.find_concepts(vectors, 40, 1, 1 << 30) == found).all()
    assert concepts.find_concepts(vectors, 40, 1, 40 * 64 * 8).shape == (40, 64), "of a sample no larger than memory"


def test_concepts_keep_their_numbers_while_pictures_come_and_go() -> None:
    vectors, of = planted(40, 50)
    earlier = concepts.find_concepts(vectors, 40, 1, 1 << 30)
    more, among = planted(41, 60)  # the same forty and another, each with other pictures
    assert (among.max(), of.max()) == (40, 39)
    for seed, count in ((1, 41), (9, 41), (2, 40), (3, 20)):
        found = concepts.find_concepts(more, count, seed, 1 << 30)
        kept = concepts.in_earlier_order(found, earlier)
        assert sorted(map(bytes, kept)) == sorted(map(bytes, found)), "each once"
        cosines = kept @ earlier.T
        mutual = [(n, m) for n, m in enumerate(cosines.argmax(axis=1)) if cosines[:, m].argmax() == n and m < count]
        assert len(mutual) > count // 3 and all(n == m for n, m in mutual)
        assert (concepts.in_earlier_order(found, kept) == kept).all(), "a run that was ended finds the same order"
    assert concepts.in_earlier_order(earlier, earlier[:0]) is earlier


def test_more_concepts_than_pictures_are_cut_and_equal_pictures_fall_together() -> None:
    same = np.tile(np.float32([[1, 0, 0, 0]]), (5, 1))
    found = concepts.find_concepts(same, 3, 1, 1 << 20)
    label, score = concepts.placed(same, found)
    assert len(set(label.tolist())) == 1 and score.tolist() == [1] * 5
    assert concepts.find_concepts(same, 9, 1, 1 << 20).shape == (5, 4)


def test_redundancy_is_the_greatest_cosine_with_one_nearer_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = planted(3, 20)
    found = concepts.find_concepts(vectors, 3, 1, 1 << 20)
    label, score = concepts.placed(vectors, found)
    expected = np.full(len(vectors), -np.inf, np.float32)
    for each in range(3):
        members = np.flatnonzero(label == each)
        members = members[np.argsort(score[members], kind="stable")]
        matrix = np.triu(vectors[members] @ vectors[members].T, 1)
        matrix[np.tri(len(members), dtype=bool)] = -np.inf
        expected[members] = matrix.max(axis=0)
    whole = concepts.redundancy(vectors, label, score)
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    assert np.isneginf(whole).sum() == 3, "one of each concept comes first"
    monkeypatch.setattr(concepts, "_TILE", 7)
    np.testing.assert_allclose(concepts.redundancy(vectors, label, score), expected, atol=1e-6)
