"""The arrays of the training pictures: the same in memory and in files, in any order of rows, in few bytes a row."""

import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from transforms.fingerprints import picture_set
from transforms.fingerprints.picture_set import COLUMNS, Pictures
from transforms.hashing import digest_tables
from transforms.hashing.digest_arrays import column
from transforms.storage.scratch import ScratchFile

PLENTY = 10**9


def batch(ids: np.ndarray, digests: dict[str, np.ndarray], ok: np.ndarray, width: np.ndarray) -> pa.RecordBatch:
    columns = {name: column(values) for name, values in digests.items()}
    columns |= {"sample_id": pa.array(ids.astype(np.uint64)), "status": pa.array(np.where(ok, "ok", "low_quality"))}
    columns |= {"width": pa.array(width, pa.int32()), "height": pa.array(np.full(len(ids), 3, np.int32))}
    return pa.RecordBatch.from_arrays([columns[name] for name in COLUMNS], COLUMNS)


def digest(numbers: np.ndarray) -> np.ndarray:
    made = np.zeros((len(numbers), 32), np.uint8)
    made[:, 11:13] = numbers.astype(np.uint16).view(np.uint8).reshape(-1, 2)
    return made


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 120),
    memory=st.sampled_from([0, 600, 1_500, PLENTY]),
    in_order=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_arrays_depend_on_the_rows_alone(
    seed: int, count: int, memory: int, in_order: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_set, "_CHUNK", 16)
    monkeypatch.setattr(digest_tables, "_CHUNK", 16)
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.choice(2**50, count, replace=False)) * 8192
    pixels = rng.integers(0, max(1, count // 2), count)
    files, pdq = pixels * 2 + rng.integers(0, 2, count), pixels // 2
    ok, width = rng.random(count) < 0.8, rng.integers(1, 4, count)
    recalled = np.append(rng.choice(ids, count // 4) if count else [], 77).astype(np.uint64)
    order = np.arange(count) if in_order else rng.permutation(count)
    digests = {"sha256": digest(files), "pixel_sha256": digest(pixels), "pdq": digest(pdq)}

    def batches() -> Iterator[pa.RecordBatch]:
        for some in np.array_split(order, 5):
            yield batch(ids[some], {name: each[some] for name, each in digests.items()}, ok[some], width[some])

    found = Pictures(batches(), count + 9, tmp_path, memory, recalled)
    assert len(found) == count and found.ids.tolist() == ids.tolist()
    assert found.comparable.tolist() == ok.tolist()
    assert found.live.tolist() == (~np.isin(ids, recalled)).tolist()
    for group, of in ((found.bytes_group, files), (found.pixels_group, pixels)):
        assert group.dtype == np.uint32 and group.tolist() == [of.tolist().index(each) for each in of]
    assert found.distinct.tolist() == sorted(set(found.pixels_group.tolist()))
    assert (found.pdq == digests["pdq"]).all()
    assert (found.pixel_digests[:] == digests["pixel_sha256"][found.distinct]).all()
    assert all((found.pixel_digest(i) == digests["pixel_sha256"][i]).all() for i in range(count))
    represent = sorted(range(count), key=lambda i: (not found.live[i], -width[i], ids[i]))
    assert np.argsort(found.rank, kind="stable").tolist() == represent

    values, first, further = found.hashed()
    asked = [i for i in found.distinct.tolist() if ok[i]]
    heads = [next(j for j in asked if pdq[j] == pdq[i]) for i in asked]
    assert values.positions.tolist() == sorted(set(heads))
    assert (values[:] == digests["pdq"][values.positions]).all()
    apart = [(head, i) for head, i in zip(heads, asked, strict=True) if head != i]
    assert list(zip(first.tolist(), further.tolist(), strict=True)) == apart
    assert not list(tmp_path.iterdir()), "the files have no name"


def traced(count: int, folder: Path, memory: int, *, in_order: bool) -> tuple[int, int]:
    """Return the bytes that arrays of so many different pictures take, and the most while they were made."""
    shards = np.arange(0, count, 5_000) if in_order else np.arange(0, count, 5_000)[::-1]

    def batches() -> Iterator[pa.RecordBatch]:
        for start in shards:
            ids = np.arange(start, start + 5_000)
            made = np.repeat(ids.astype(np.uint64)[:, None], 4, axis=1).view(np.uint8)
            digests = dict.fromkeys(("sha256", "pixel_sha256", "pdq"), made)
            yield batch(ids, digests, np.ones(len(ids), np.bool_), np.full(len(ids), 5))

    tracemalloc.start()
    try:
        made = Pictures(batches(), count, folder, memory)
        held, most = tracemalloc.get_traced_memory()
        assert len(made.distinct) == count
        return held, most
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("memory", "in_order", "held", "most"),
    [
        pytest.param(PLENTY, True, 23, 40, marks=pytest.mark.thorough),
        (PLENTY, False, 23, 40),
        (2_000_000, True, 1, 15),
    ],
)
def test_a_row_takes_few_bytes(
    memory: int, in_order: bool, held: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_set, "_LEAST", 0)
    for module in (picture_set, digest_tables):
        monkeypatch.setattr(module, "_CHUNK", 4_096)
    few, many = 100_000, 300_000
    traced(few, tmp_path, memory, in_order=in_order)  # compiles
    taken = [traced(count, tmp_path, memory, in_order=in_order) for count in (few, many)]
    a_row = [(of_many - of_few) / (many - few) for of_few, of_many in zip(*taken, strict=True)]
    assert a_row[0] < held and a_row[1] < most


def test_a_disk_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match=str(tmp_path)):
        Pictures((), 5, tmp_path, PLENTY)


def test_rows_that_32_bits_do_not_number_are_refused_before_they_are_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest_tables, "_MOST", 3)
    monkeypatch.setattr(picture_set, "_order", NotImplemented)
    ids = np.arange(4)[::-1]
    some = batch(ids, dict.fromkeys(("sha256", "pixel_sha256", "pdq"), digest(ids)), ids >= 0, ids + 1)
    with pytest.raises(ValueError, match="4 digests are more than the 3 that are told apart"):
        Pictures([some], 4, tmp_path, PLENTY)


@pytest.mark.parametrize("in_order", [True, False])
def test_a_row_takes_no_more_of_the_disk_than_is_said(
    in_order: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, make, count = [0], ScratchFile.__init__, 20_000

    def made(file: ScratchFile, *given: object) -> None:
        make(file, *given)  # type: ignore[arg-type]
        most.append(sum(_unnamed(tmp_path)))

    monkeypatch.setattr(ScratchFile, "__init__", made)
    ids = np.arange(count) if in_order else np.arange(count)[::-1]
    digests = dict.fromkeys(
        ("sha256", "pixel_sha256", "pdq"), np.repeat(ids.astype(np.uint64)[:, None], 4, 1).view("u1")
    )
    some = batch(ids, digests, np.ones(count, np.bool_), np.full(count, 5))
    pictures = Pictures([some], count, tmp_path, 0)
    assert 113 <= max(most) / count <= 145
    assert len(pictures) == count and sum(_unnamed(tmp_path)) / count == 94
    del pictures
    assert not sum(_unnamed(tmp_path))


def _unnamed(folder: Path) -> Iterator[int]:
    """Yield the bytes of each file without a name that this process holds in a folder."""
    held = {}
    for place in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if place.readlink().is_relative_to(folder):
                held[place.stat().st_ino] = place.stat().st_size
    yield from held.values()
