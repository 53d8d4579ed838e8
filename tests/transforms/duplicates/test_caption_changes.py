"""Groups after captions came and went are those of grouping all anew, and near captions are all found."""

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.duplicates import caption_neighbours
from transforms.duplicates.caption_changes import regroup
from transforms.duplicates.caption_neighbours import Probes, count_words
from transforms.duplicates.caption_words import word_sets

_WORDS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True)
_TEXTS = st.dictionaries(_WORDS.map(lambda words: " ".join(sorted(words)).encode()), st.integers(1, 3), max_size=30)


def jaccard(a: bytes, b: bytes) -> float:
    left, right = set(a.split()), set(b.split())
    return len(left & right) / len(left | right)


def grouped(counts: Mapping[bytes, int], threshold: float) -> dict[bytes, bytes]:
    """Group by brute force: each caption under the first earlier head that is near."""
    heads: list[bytes] = []
    found = {}
    for key in sorted((key for key in counts if counts[key]), key=lambda key: (-counts[key], key)):
        found[key] = next((head for head in heads if jaccard(head, key) >= threshold), key)
        heads += [key] if found[key] == key else []
    return found


class Plain:
    """A store of captions that are their own keys."""

    def __init__(self, now: Mapping[bytes, int], groups: Mapping[bytes, bytes], threshold: float) -> None:
        self.now, self.groups, self.threshold = now, groups, threshold
        self.asked = Counter[str]()

    def near(self, keys: Collection[bytes]) -> dict[bytes, dict[bytes, float]]:
        self.asked["near"] += 1
        present = [key for key in self.now if self.now[key]]
        return {
            key: {each: jaccard(key, each) for each in present if jaccard(key, each) >= self.threshold} for key in keys
        }

    def counts(self, keys: Collection[bytes]) -> dict[bytes, int]:
        return {key: self.now.get(key, 0) for key in keys}

    def ties(self, keys: Collection[bytes]) -> dict[bytes, tuple[bytes, float]]:
        tied = ((key, self.groups.get(key, key)) for key in keys)
        return {key: (head, jaccard(key, head)) for key, head in tied if head != key}

    def members(self, heads: Collection[bytes]) -> dict[bytes, list[bytes]]:
        found: dict[bytes, list[bytes]] = {}
        for key, head in self.groups.items():
            if key != head and head in heads:
                found.setdefault(head, []).append(key)
        return found


@settings(deadline=None, max_examples=200)
@given(before=_TEXTS, changes=_TEXTS, gone=st.sets(st.integers(0, 29)), threshold=st.sampled_from([0.4, 0.6, 0.8, 1.0]))
def test_groups_after_a_change_are_those_of_all_captions_anew(
    before: dict[bytes, int], changes: dict[bytes, int], gone: set[int], threshold: float
) -> None:
    now = before | changes
    for at, key in enumerate(before):
        if at in gone:
            now[key] = now[key] - before[key]  # gone, or rarer
    changed = {key: before.get(key, 0) for key in now if now[key] != before.get(key, 0)}
    groups = grouped(before, threshold)
    store = Plain(now, groups, threshold)
    found = regroup(store, changed)
    assert found is not None
    after = {key: found[key][0] if key in found else groups[key] for key in now if now[key]}
    assert after == grouped(now, threshold)
    assert all(found[key][1] == jaccard(key, found[key][0]) for key in found)
    assert all(now[key] for key in found)


def test_what_stands_alone_is_looked_for_once() -> None:
    before = {f"w{at} x{at} y{at}".encode(): 1 for at in range(50)}
    store = Plain(before | {b"new one here": 1}, grouped(before, 0.8), 0.8)
    assert regroup(store, {b"new one here": 0}) == {b"new one here": (b"new one here", 1.0)}
    assert store.asked == {"near": 1}


def test_a_search_that_takes_too_long_is_given_up() -> None:
    store = Plain({b"a": 1}, {}, 0.8)
    store.near = lambda keys: None
    assert regroup(store, {b"a": 0}) is None


@settings(deadline=None, max_examples=80)  # the first call compiles
@given(
    given_texts=st.lists(_WORDS.map(" ".join), min_size=1, max_size=12),
    others=st.lists(_WORDS.map(" ".join), max_size=40),
    threshold=st.sampled_from([0.3, 0.5, 0.8, 1.0]),
    guess=st.sampled_from(["nothing", "all"]),
    frequent=st.sampled_from([0, 2, 64]),  # keys of two words wherever two are shared, of some, of one
)
def test_every_near_caption_is_found_once(
    tmp_path_factory: pytest.TempPathFactory,
    given_texts: list[str],
    others: list[str],
    threshold: float,
    guess: str,
    frequent: int,
) -> None:
    def sets(texts: list[str]):  # noqa: ANN202
        folder = tmp_path_factory.mktemp("words")
        return word_sets([pa.array(texts, pa.string())], folder)

    batch = sets(others)
    uses = count_words([batch] if guess == "all" else [])
    probes = Probes.of(sets(given_texts), threshold, uses, frequent if guess == "all" else frequent - 1)
    found = probes.near(batch)
    pairs = list(zip(found.probe.tolist(), found.row.tolist(), strict=True))
    expected = {
        (p, r): jaccard(a.encode(), b.encode())
        for p, a in enumerate(given_texts)
        for r, b in enumerate(others)
        if jaccard(a.encode(), b.encode()) >= threshold
    }
    assert len(pairs) == len(set(pairs))
    assert dict(zip(pairs, found.similarity.tolist(), strict=True)) == pytest.approx(expected)
    assert probes.comparisons <= len(given_texts) * len(others) + len(batch.words) ** 2 // 128


def test_captions_of_too_many_pairs_of_words_are_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred frequent words, of which thirty-odd may be another caption's own, make 500 pairs each."""
    text = [" ".join(f"{at} {word}" for word in range(100)) for at in range(2)]
    batch, frequent = word_sets([pa.array(text)], tmp_path), np.full(8, 1_000, np.uint32)
    assert Probes.of(batch, 0.7, frequent) is not None
    monkeypatch.setattr(caption_neighbours, "MOST_PAIRS", 500)
    assert Probes.of(batch, 0.7, frequent) is None
    assert Probes.of(batch, 0.7, np.zeros(8, np.uint32)) is not None, "rare words are keys by themselves"


def test_many_near_captions_are_found(tmp_path: Path) -> None:
    """More than there is room for at first."""
    batch = word_sets([pa.array([f"one and the same caption {at}" for at in range(300)])], tmp_path)
    assert len(Probes.of(batch, 0.7, np.ones(8, np.uint32)).near(batch).probe) == 300**2
