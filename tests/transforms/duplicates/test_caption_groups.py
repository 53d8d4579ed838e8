"""Captions that nearly equal each other: words, groups against brute force, hostile crowds, the measured recall."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.duplicates.caption_buckets import CROWD, MISSED, PLACES, banding, by_bands, by_words, missed
from transforms.duplicates.caption_groups import CaptionRecall, group, recall
from transforms.duplicates.caption_words import WordSets, word_sets
from transforms.duplicates.rare_words import FREQUENT

EXACT, MINHASH = 1 << 40, -1  # comparisons that are allowed
_WORDS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=9)


def sets_of(texts: list[str], folder: Path) -> WordSets:
    return word_sets([pa.array(texts[at : at + 7], pa.string()) for at in range(0, len(texts), 7)], folder)


def jaccard(a: str, b: str) -> float:
    left, right = set(a.split()), set(b.split())
    return len(left & right) / len(left | right)


def led(texts: list[str], threshold: float) -> list[int]:
    """Group by brute force: each caption under the first earlier head that is near."""
    heads: list[int] = []
    found = []
    for at, text in enumerate(texts):
        near = next((h for h in heads if jaccard(texts[h], text) >= threshold), at)
        heads += [at] if near == at else []
        found.append(near)
    return found


def near_captions(count: int, seed: int) -> list[str]:
    """Return different captions of 10 to 20 words, every second one a copy of another with up to two words changed."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, 5_000, rng.integers(10, 21)).tolist() for _ in range(count // 2)]
    for row in list(rows):
        changed = list(row)
        for place in rng.integers(0, len(changed), rng.integers(1, 3)):
            changed[place] = int(rng.integers(0, 5_000))
        rows.append(changed)
    return list(dict.fromkeys(" ".join(f"w{word}" for word in row) for row in rows))


@settings(deadline=None, max_examples=50)  # the first call compiles
@given(
    texts=st.lists(_WORDS.map(" ".join), unique=True, max_size=40),
    threshold=st.sampled_from([0.3, 0.5, 0.8, 1.0]),
    frequent=st.sampled_from([0, 1, 3, FREQUENT]),  # keys of three words, of some, of one
)
def test_the_exact_groups_are_those_of_brute_force(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], threshold: float, frequent: int
) -> None:
    folder = tmp_path_factory.mktemp("words")
    groups = group(sets_of(texts, folder), threshold, folder, EXACT, frequent=frequent)
    assert groups.head.tolist() == led(texts, threshold)
    assert groups.exact


@pytest.mark.parametrize("comparisons", [EXACT, MINHASH])
@settings(deadline=None)  # the first call compiles
@given(texts=st.lists(_WORDS.map(" ".join), unique=True, max_size=40), threshold=st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_no_member_drifts_from_the_head_of_its_group(
    tmp_path_factory: pytest.TempPathFactory, comparisons: int, texts: list[str], threshold: float
) -> None:
    folder = tmp_path_factory.mktemp("words")
    groups = group(sets_of(texts, folder), threshold, folder, comparisons)
    for member, head in enumerate(groups.head.tolist()):
        assert groups.head[head] == head <= member
        assert groups.similarity[member] == pytest.approx(jaccard(texts[member], texts[head]))
        assert groups.similarity[member] >= threshold
    assert set(groups.members) == {at for at in range(len(texts)) if (groups.head == groups.head[at]).sum() > 1}


def test_words_that_many_captions_share_cost_few_comparisons(tmp_path: Path) -> None:
    """Each word is in a twentieth of the captions, so keys of one word would compare all with all, or nearly."""
    rng = np.random.default_rng(3)
    rows = [rng.choice(200, 10, replace=False).tolist() for _ in range(2_000)]
    rows += [[*row[:9], 1_000 + at] for at, row in enumerate(rows[:500])]  # 9 of 11 words shared
    sets = sets_of([" ".join(f"w{word}" for word in row) for row in rows], tmp_path)
    assert group(sets, 0.8, tmp_path, EXACT).head.tolist() == [*range(2_000), *range(500)]
    most = [by_words(sets, 0.8, tmp_path, lambda slices, _: slices, each).comparisons for each in (FREQUENT, 1 << 30)]
    assert most[0] < most[1] / 8


def test_minhash_finds_what_brute_force_finds(tmp_path: Path) -> None:
    texts = near_captions(3_000, seed=1)
    sets = sets_of(texts, tmp_path)
    every, found = group(sets, 0.8, tmp_path, EXACT), group(sets, 0.8, tmp_path, MINHASH)
    assert len(every.tied) > 500
    assert not found.exact
    assert set(found.tied) <= set(every.tied)  # heads are the same here: no caption has two near ones
    assert len(found.tied) >= 0.99 * len(every.tied)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_bands_miss_as_few_pairs_at_the_threshold_as_promised(threshold: float) -> None:
    bands, rows = banding(threshold)
    assert bands * rows <= PLACES
    assert missed(threshold, bands, rows) <= MISSED
    assert rows == PLACES or missed(threshold, PLACES // (rows + 1), rows + 1) > MISSED


def test_a_crowd_that_shares_most_words_costs_a_bounded_number_of_comparisons(tmp_path: Path) -> None:
    shared = " ".join(f"all{at}" for at in range(8))
    crowd = [f"{shared} x{at} y{at} z{at}" for at in range(6_000)]  # 8 of 14 words shared: near no other
    sets = sets_of(crowd, tmp_path)
    groups = group(sets, 0.8, tmp_path, MINHASH)
    assert not len(groups.tied)
    assert groups.crowded
    assert np.diff(by_bands(sets, 0.8, tmp_path, lambda slices, _: slices).begins).max() == CROWD


def test_copies_of_one_caption_however_many_are_compared_with_it_alone(tmp_path: Path) -> None:
    shared = " ".join(f"all{at}" for at in range(30))
    sets = sets_of([shared, *(f"{shared} number {at}" for at in range(3_000))], tmp_path)
    groups = group(sets, 0.8, tmp_path, MINHASH)
    assert not groups.head.any()
    assert not groups.crowded


def test_too_many_comparisons_are_left_to_minhash(tmp_path: Path) -> None:
    few = [" ".join("abcdefgh"[at] for at in range(8) if number >> at & 1) for number in range(1, 256)]
    sets = sets_of(few, tmp_path)
    exact, other = group(sets, 0.9, tmp_path, 40_000), group(sets, 0.9, tmp_path, 1_000)
    assert exact.exact
    assert not other.exact
    assert exact.head.tolist() == other.head.tolist() == list(range(255))  # no two are near


def test_the_measured_recall_is_that_of_what_is_missing(tmp_path: Path) -> None:
    sets = sets_of(near_captions(3_000, seed=2), tmp_path)
    groups = replace(group(sets, 0.8, tmp_path, EXACT), exact=False)
    whole = recall(sets, groups, 0.8, len(sets))
    assert (whole.near, whole.share) == (len(groups.tied), 1.0)
    assert whole.low is not None
    assert 0.99 < whole.low < 1.0
    head = groups.head.copy()
    head[groups.tied[::4]] = groups.tied[::4]  # as if every fourth had been missed
    poor = recall(sets, replace(groups, head=head), 0.8, len(sets))
    assert poor.share == pytest.approx(0.75, abs=0.01)
    assert poor.low is not None
    assert poor.high is not None
    assert poor.low < 0.75 < poor.high


def test_recall_is_not_measured_where_no_caption_is_near_another(tmp_path: Path) -> None:
    sets = sets_of(["a", "b", "c"], tmp_path)
    assert recall(sets, group(sets, 0.8, tmp_path, MINHASH), 0.8, 10).share is None


def test_no_captions_make_no_groups(tmp_path: Path) -> None:
    sets = word_sets([], tmp_path)
    groups = group(sets, 0.8, tmp_path, 0)
    assert not len(groups.head)
    assert recall(sets, groups, 0.8, 10) == CaptionRecall(0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one", 1),
        ("one two one", 2),
        ("été é", 2),
        ("猫", 1),
        ("猫が好き", 3),  # 猫が, が好, 好き
        ("猫が 好き", 2),
        ("a猫が好きb", 5),
        ("แมว", 2),
        ("😀 😀😀", 2),
        ("𠀀𠀁𠀂", 2),
        ("x" * 2_000, 1),
    ],
)
def test_words_stand_between_spaces_or_are_two_characters(tmp_path: Path, text: str, words: int) -> None:
    assert len(sets_of([text], tmp_path).words) == words


def test_texts_are_read_from_slices_of_arrays(tmp_path: Path) -> None:
    texts = pa.array(["left out", "one two", "three"])[1:]
    sets = word_sets([texts], tmp_path)
    assert np.diff(sets.offsets).tolist() == [2, 1]
