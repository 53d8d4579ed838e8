"""Joins of more hashes than memory holds find the same pairs as in memory, each once, and leave nothing on the disk."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.transforms.joins.test_hamming_join import about, brute_force, flipped, triples
from transforms.joins.hamming import bounded_join, disk_join
from transforms.joins.hamming.bounded_join import JoinWay, choose, pairs_within
from transforms.joins.hamming.join import cross_join, self_join
from transforms.joins.hamming.plan import plan

SEEDS = st.integers(0, 2**32 - 1)
MEMORY = st.sampled_from([200, 20_000, 60_000])  # bytes: pieces of 1 hash, of 20 or of 70
WHERE = settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def unseen(_: float) -> None:
    """Take no notice of progress."""


def uniform(rng: np.random.Generator) -> np.ndarray:
    return about(31, 20, rng)


def repeated(rng: np.random.Generator) -> np.ndarray:
    """Return hashes most of which are equal: one part holds nearly all of them, in every band."""
    rows = rng.integers(0, 256, (80, 32), np.uint8)
    rows[rng.random(80) < 0.7] = rows[0]
    return rows


def clustered(rng: np.random.Generator) -> np.ndarray:
    """Return clusters of hashes, the members of one at all distances around the radius."""
    centres = rng.integers(0, 256, (4, 32), np.uint8)
    return flipped(centres[rng.integers(0, 4, 80)], rng.integers(0, 40, 80), rng)


def few_values(rng: np.random.Generator) -> np.ndarray:
    """Return hashes that differ in their last bytes alone."""
    rows = np.zeros((80, 32), np.uint8)
    rows[:, 26:] = rng.integers(0, 256, (80, 6), np.uint8)
    return rows


@pytest.mark.parametrize("made", [uniform, repeated, clustered, few_values])
@given(seed=SEEDS, memory=MEMORY, radius=st.sampled_from([0, 7, 31, 90]), size=st.sampled_from([500, 300_000]))
@WHERE
def test_a_self_join_on_disk_agrees_with_brute_force_and_with_memory(
    made: Callable, seed: int, memory: int, radius: int, size: int, tmp_path: Path
) -> None:
    hashes = made(np.random.default_rng(seed))
    with pytest.MonkeyPatch.context() as patch:  # bands that were chosen for other sizes, wide and narrow
        patch.setattr(disk_join, "plan", lambda *_: plan(size, None, radius))
        found = triples(disk_join.join(hashes, None, radius, memory, tmp_path, unseen))
    assert found == brute_force(hashes, None, radius) == triples(self_join(hashes, radius))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("made", [uniform, repeated, clustered, few_values])
@given(seed=SEEDS, memory=MEMORY, share=st.sampled_from([0.1, 0.5, 0.9]), size=st.sampled_from([500, 300_000]))
@WHERE
def test_a_cross_join_on_disk_agrees_with_brute_force(
    made: Callable, seed: int, memory: int, share: float, size: int, tmp_path: Path
) -> None:
    hashes = made(np.random.default_rng(seed))
    left, right = np.split(hashes, [int(share * len(hashes))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk_join, "plan", lambda *_: plan(size // 10, size, 31))
        found = triples(disk_join.join(left, right, 31, memory, tmp_path, unseen))
    assert found == brute_force(left, right, 31) == triples(cross_join(left, right, 31))


def test_thousands_in_parts_are_joined_as_in_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    hashes = np.concatenate([about(31, 10_000, rng), np.repeat(rng.integers(0, 256, (1, 32), np.uint8), 300, axis=0)])
    shares: list[float] = []
    found = triples(disk_join.join(hashes, None, 31, 700_000, tmp_path, shares.append))
    assert found == triples(self_join(hashes, 31))
    assert len(found) > 40_000
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert max(np.diff([0, *shares])) < 0.02, "progress is told often"


def test_the_cut_keeps_pieces_and_pairs_within_memory() -> None:
    for count in (1_000_000, 300_000_000, 3_000_000_000):
        for memory in (16_000_000, 2_000_000_000, 8_000_000_000):
            planned = plan(count, None, 31)
            cut = disk_join.layout(planned, count, memory)
            held = 36 * (cut.kept + disk_join._PASSING * cut.piece) + 4 * 17 * cut.batch
            assert held <= 1.13 * memory, "indices of 8 bytes count as such"
            assert cut.high <= min(band.width for band in planned.bands)
            if cut.high < 10:
                assert count / 2**cut.high <= cut.piece, "a part fits into a piece"


def test_memory_and_size_decide_where_hashes_are_joined() -> None:
    assert choose(20_000_000, None, 31, 2_080_000_000).way is JoinWay.MEMORY
    large = choose(300_000_000, None, 31, 8_000_000_000)
    assert (large.way, large.disk) == (JoinWay.DISK, 300_000_000 * 72)
    assert choose(200_000_000, 100_000_000, 31, 8_000_000_000).way is JoinWay.DISK
    few = choose(10_000, 300_000_000, 31, 8_000_000_000)
    assert few.way is JoinWay.CHUNKS
    assert 104 * (few.chunk + 10_000) <= 8_000_000_000


@pytest.mark.parametrize("turned", [False, True])
def test_chunks_are_joined_as_one(turned: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    few, many = np.split(about(31, 500, rng), [100])
    left, right = (many, few) if turned else (few, many)
    assert choose(len(left), len(right), 31, 50_000).way is JoinWay.CHUNKS
    found = triples(pairs_within(left, right, 31, 50_000, tmp_path, unseen))
    assert found == triples(cross_join(left, right, 31))
    assert any(j if not turned else i for i, j, _ in found)


class InFile:
    """Hashes that are never in memory as a whole."""

    def __init__(self, hashes: np.ndarray) -> None:
        self._hashes, self.most = hashes, 0

    def __len__(self) -> int:
        return len(self._hashes)

    def __getitem__(self, part: slice) -> np.ndarray:
        self.most = max(self.most, len(self._hashes[part]))
        return self._hashes[part]


def test_hashes_on_disk_are_read_piece_by_piece(tmp_path: Path) -> None:
    hashes = about(31, 500, np.random.default_rng(5))
    rows = InFile(hashes)
    assert triples(pairs_within(rows, None, 31, 100_000, tmp_path, unseen)) == triples(self_join(hashes, 31))
    assert rows.most < len(hashes) / 10


def test_a_disk_that_is_too_small_is_met_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    rows = InFile(np.zeros((100, 32), np.uint8))
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}'"):
        next(bounded_join.pairs_within(rows, None, 31, 1_000, tmp_path, unseen))
    assert rows.most == 0


def test_anything_but_hashes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"uint8 of shape \(n, 32\)"):
        next(disk_join.join(np.zeros((5, 31), np.uint8), None, 31, 1_000, tmp_path, unseen))
    assert list(disk_join.join(np.zeros((0, 32), np.uint8), None, 31, 1_000, tmp_path, unseen)) == []


def test_a_join_on_disk_may_be_left_before_its_end(tmp_path: Path) -> None:
    pairs = disk_join.join(np.zeros((3000, 32), np.uint8), None, 0, 100_000, tmp_path, unseen)
    assert len(next(pairs))
    pairs.close()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_join_leaves_nothing(tmp_path: Path) -> None:
    program = f"""
import numpy as np
from pathlib import Path
from transforms.joins.hamming import disk_join
rows = np.random.default_rng(0).integers(0, 256, (50_000, 32), np.uint8)
for _ in disk_join.join(rows, None, 31, 500_000, Path({str(tmp_path)!r}), lambda share: print(share, flush=True)):
    pass
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ) as process:
        assert process.stdout is not None
        assert 0 < float(process.stdout.readline()) < 0.5
        held = [each.readlink() for each in Path(f"/proc/{process.pid}/fd").iterdir()]
        assert sum(file.is_relative_to(tmp_path) for file in held) == 4
        process.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_without_bands_all_pieces_are_compared(tmp_path: Path) -> None:
    hashes = about(200, 5, np.random.default_rng(6))
    assert triples(disk_join.join(hashes, None, 200, 500, tmp_path, unseen)) == brute_force(hashes, None, 200)
