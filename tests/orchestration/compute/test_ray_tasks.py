"""Shards and joins on a real Ray of two workers: what they give without it, also when workers are killed."""

import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from orchestration.compute import engines, ray_cluster, ray_shards, ray_tasks
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.settings.sections import Compute
from tests.conftest import add, encoded, picture
from tests.late_import import LateImport
from transforms import encoders
from transforms.encoders import EncoderUnavailable
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.row_matching import MetadataFile
from transforms.fingerprints.shard import Account, Batch, Job, ShardResult
from transforms.joins.cosine import join
from transforms.joins.hamming import join as hamming_join
from transforms.storage import stores

if find_spec("ray") is None:
    pytest.skip("Ray is not installed; pip install '.[ray]'", allow_module_level=True)

ray: Any = LateImport("ray")
psutil: Any = LateImport("psutil")  # Ray brings it
RAY = Compute(engine="ray")
RADIUS, SIMILAR = 31, 0.5


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Start Ray once for this file: work uses the cluster that a process is connected to."""
    with ray_cluster.connection(ray, RAY):
        yield


def job(folder: Path, name: str, pictures: int, batch: int = 4, **encoders: str) -> Job:
    """Land a shard of small pictures whose keys the metadata has; return its job."""
    folder.mkdir(exist_ok=True)
    keys = [f"{number:05d}" for number in range(pictures)]
    pq.write_table(pa.table({"url": keys, "caption": keys, "key": keys}), folder / f"{name}.parquet")
    with tarfile.open(folder / f"{name}.tar", "w") as archive:
        for number, key in enumerate(keys):
            data = encoded(picture(number, 64, 48)) if number % 7 else b"no picture"
            add(archive, f"{key}.jpg", data)
    files = (MetadataFile(len(name), str(folder / f"{name}.parquet")),)
    rules, pace = Rules(1_000_000, 1_000_000, 50), WorkPace(batch, 1)
    return Job(str(folder / f"{name}.tar"), str(folder), files, encoders, rules, pace)


def told(results: Sequence[ShardResult], place: int) -> tuple[list[dict], list[dict], dict]:
    """Return a job's rows, its vectors and its account, which must come once and last."""
    items = [item for where, item in results if where == place]
    assert [isinstance(item, Account) for item in items] == [False] * (len(items) - 1) + [True]
    batches = [item for item in items if isinstance(item, Batch)]
    rows = [row for batch in batches for row in batch.images.to_pylist()]
    vectors = [row for batch in batches for table in batch.vectors.values() for row in table.to_pylist()]
    return rows, vectors, {k: v for k, v in items[-1].row().items() if k != "seconds"}


def workers() -> set[int]:
    """Return the processes of workers that this process's Ray started."""
    return {int(p.parent.name) for p in Path("/proc").glob("[0-9]*/cmdline") if _is_worker(p)}


def _is_worker(cmdline: Path) -> bool:
    try:
        if not cmdline.read_bytes().startswith(b"ray::run_task"):
            return False
        raylet = int((cmdline.parent / "stat").read_text().rpartition(")")[2].split()[1])
        return f" {os.getpid()} " in Path(f"/proc/{raylet}/stat").read_text().rpartition(")")[2][:30]
    except OSError:
        return False


@pytest.mark.thorough
def test_the_same_rows_and_vectors_as_without_ray(cluster: None, tmp_path: Path) -> None:
    jobs = [job(tmp_path, "a" * n, size, copy="sscd_distilled") for n, size in ((1, 9), (2, 6), (3, 1))]
    jobs.append(Job(str(tmp_path / "gone.tar"), "", (), {}, jobs[0].rules, jobs[0].pace))
    distributed = list(engines.fingerprint(jobs, RAY, encoders.load))
    alone = list(engines.fingerprint(jobs, Compute(), encoders.load))
    for place in range(len(jobs)):
        assert told(distributed, place) == told(alone, place)
    assert "gone.tar" in told(distributed, 3)[2]["broken"]


def test_a_killed_worker_costs_neither_rows_nor_counts(cluster: None, tmp_path: Path) -> None:
    jobs = [job(tmp_path, "a", 60), job(tmp_path, "bb", 8)]
    results, killed = [], set()
    for result in ray_shards.fingerprint(iter(jobs), RAY):
        if not results:  # at most a few of the first shard's 15 batches are made: its worker waits for this loop
            killed = workers()
            for process in killed:
                os.kill(process, signal.SIGKILL)
        results.append(result)
    assert killed
    for place in range(2):
        assert told(results, place) == told(
            list(engines.fingerprint(jobs[place : place + 1], Compute(), encoders.load)), 0
        )


@pytest.mark.thorough
def test_a_shard_that_kills_its_workers_is_broken_and_the_run_goes_on(cluster: None, tmp_path: Path) -> None:
    jobs = [job(tmp_path, "a", 80, batch=1), job(tmp_path, "bb", 3)]
    results, killed = [], set()
    for place, item in ray_shards.fingerprint(jobs, Compute(engine="ray", ray_workers=1)):
        results.append((place, item))
        if place == 0:
            killed |= (alive := workers() - killed)
            for process in alive:
                os.kill(process, signal.SIGKILL)
    rows, _, account = told(results, 0)
    assert len(killed) == 3
    assert account["broken"].startswith("its worker died 3 times")
    assert account["pictures"] == len(rows) == account["ok"] + account["low_quality"] + account["failed"]
    assert len({row["sample_id"] for row in rows}) == len(rows) < 80
    assert told(results, 1)[2]["pictures"] == 3


def bundled(folder: Path, monkeypatch: pytest.MonkeyPatch, sizes: Sequence[int], batch: int = 4) -> list[Job]:
    """Return jobs whose dumps are taken for those of a store, of which a task takes two."""
    monkeypatch.setattr(ray_shards, "is_remote", lambda path: True)
    monkeypatch.setattr(ray_shards, "_TOGETHER", 2)
    return [job(folder, "a" * (place + 1), size, batch) for place, size in enumerate(sizes)]


def test_shards_of_a_store_that_share_a_task_are_as_each_by_itself(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = bundled(tmp_path, monkeypatch, (9, 6, 1, 3))
    jobs[1] = replace(jobs[1], dump=str(tmp_path / "gone.tar"))
    compute = Compute(engine="ray", ray_workers=1)
    assert [len(each) for each in ray_shards._bundles(jobs, 1, 4)] == [2, 1, 1]
    assert [len(each) for each in ray_shards._bundles(jobs, 1, 40)] == [2, 2]
    distributed = list(engines.fingerprint(jobs, compute, encoders.load, count=40))
    alone = list(engines.fingerprint(jobs, Compute(), encoders.load))
    for place in range(4):
        assert told(distributed, place) == told(alone, place)
    assert "gone.tar" in told(distributed, 1)[2]["broken"]


class _Watched(LocalFileSystem):
    """A store that says which of its dumps are asked for."""

    def __init__(self) -> None:
        super().__init__(skip_instance_cache=True)
        self.opened: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    def open(self, path: str, mode: str = "rb", **more: Any) -> Any:  # noqa: ANN401
        self.opened[Path(path).name].set()
        return super().open(path, mode, **more)


def test_a_worker_fetches_a_dump_while_it_works_on_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = [job(tmp_path, "a", 9), job(tmp_path, "bb", 6)]
    store = _Watched()
    monkeypatch.setattr(stores, "filesystem", lambda path: (store, path.removeprefix("s3://")))
    jobs = [replace(each, dump=f"s3://{each.dump}") for each in here]
    results = ray_shards.fingerprint_jobs(jobs, {}, 1)
    found = [next(results)]
    assert found[0][:2] == (0, 0)
    assert store.opened["bb.tar"].wait(60), "the second is fetched while the first is in work"
    found += results
    told_here = [(place, item) for place, _, item in found]
    alone = list(engines.fingerprint(here, Compute(), encoders.load))
    for place in range(2):
        assert told(told_here, place) == told(alone, place)
        numbers = [number for where, number, _ in found if where == place]
        assert numbers == list(range(len(numbers)))


def test_a_shard_that_kills_its_workers_costs_none_of_its_task(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = bundled(tmp_path, monkeypatch, (80, 9), batch=1)
    results, killed = [], set()
    for place, item in ray_shards.fingerprint(jobs, Compute(engine="ray", ray_workers=1), count=40):
        results.append((place, item))
        if place == 0:
            killed |= (alive := workers() - killed)
            for process in alive:
                os.kill(process, signal.SIGKILL)
    rows, _, account = told(results, 0)
    assert len(killed) == 3
    assert account["broken"].startswith("its worker died 3 times")
    assert account["pictures"] == len(rows) == account["ok"] + account["low_quality"] + account["failed"]
    assert len({row["sample_id"] for row in rows}) == len(rows) < 80
    assert told(results, 1) == told(list(engines.fingerprint(jobs[1:], Compute(), encoders.load)), 0)


@pytest.mark.parametrize("accounted", [False, True])
def test_a_dump_that_a_second_worker_finds_shorter_takes_nothing_from_the_next(
    monkeypatch: pytest.MonkeyPatch, accounted: bool
) -> None:
    def batch(number: int) -> Batch:
        return Batch(pa.table({"sample_id": [number], "status": ["ok"]}), {})

    whole = Account(pictures=2)
    tasks: list[list[tuple[int, Any]]] = [
        # of the first shard the account was skipped by Ray, and of the second its first batch
        [(0, (0, 0, batch(1))), (0, (0, 1, batch(2))), (0, (1, 1, batch(4))), (0, (1, 2, whole))],
        [(0, (0, 0, batch(3))), (0, (0, 1, batch(4))), (0, (0, 2, whole))],
    ]

    if accounted:  # the first worker died after it, and the second found so little that more of the next was skipped
        tasks[0].insert(2, (0, (0, 2, whole)))

    def stream(run: object, calls: Iterator[object], compute: Compute) -> Iterator[tuple[int, Any]]:
        yield from tasks.pop(0) if list(calls) else []
        yield 0, ray_tasks.Finished()

    monkeypatch.setattr(ray_shards.ray_tasks, "stream", stream)
    jobs = [Job(f"s3://{name}.tar", "", (), {}, Rules(1, 1, 50), WorkPace(1, 1)) for name in "ab"]
    results = list(ray_shards.fingerprint(jobs, Compute(engine="ray", ray_workers=1), count=40))
    first = [item for place, item in results if place == 0][-1]
    assert first is whole if accounted else "became shorter" in str(first.broken)
    rows = [item.images["sample_id"].to_pylist() for place, item in results if place == 1 and isinstance(item, Batch)]
    assert rows == [[3], [4]] and results[-1] == (1, whole)


def test_what_a_worker_raises_is_raised_as_it_is(cluster: None, tmp_path: Path) -> None:
    missing = job(tmp_path, "a", 2, copy="sscd:/nowhere.pt")

    class Here:
        id = "another"

    with pytest.raises(EncoderUnavailable, match=r"no weights at /nowhere.pt"):
        list(ray_shards.fingerprint([missing], RAY, lambda _: Here()))
    with pytest.raises(encoders.EncoderMismatch, match=r"sscd_distilled is .* and another where"):
        list(ray_shards.fingerprint([job(tmp_path, "b", 2, copy="sscd_distilled")], RAY, lambda _: Here()))


@pytest.fixture(scope="module")
def hashes() -> np.ndarray:
    """Return 3,000 hashes, every third a few bits from the one before it."""
    made = np.random.default_rng(3).integers(0, 256, (3_000, 32), np.uint8)
    made[2::3] = made[1::3]
    made[2::3, 4] ^= 0b1011
    return made


def pairs(found: Iterator[hamming_join.HammingPairs]) -> list[tuple[int, int, int]]:
    parts = [zip(p.left.tolist(), p.right.tolist(), p.distance.tolist(), strict=True) for p in found]
    return sorted(pair for part in parts for pair in part)


@pytest.mark.parametrize("old", [None, pytest.param(1_000, marks=pytest.mark.thorough)])
def test_hashes_have_the_same_pairs(cluster: None, hashes: np.ndarray, old: int | None) -> None:
    right = None if old is None else hashes[:old]
    tasks = hamming_join.tasks(len(hashes), old, RADIUS, parts=3)
    assert len(tasks) > 1
    apart = pairs(engines.join(tasks, hamming_join.run, hashes, right, RAY))
    assert apart == pairs(engines.join(tasks, hamming_join.run, hashes, right, Compute()))
    assert len(apart) >= 1_000
    assert len(apart) == len(set(apart)), "a pair came twice"


def test_vectors_have_the_same_pairs(cluster: None, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((900, 32), dtype=np.float32)
    vectors[::2] = vectors[1::2] + 0.3 * vectors[::2]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 32)
    table = lance.write_dataset(pa.table({"vector": column}), str(tmp_path / "vectors.lance"))
    rows = StoredVectors(table.uri, table.version, np.arange(0, 900, 2) + np.arange(450) % 2, 32)
    run = partial(join.run, threshold=SIMILAR)
    tasks = join.blocks(len(rows), None, 64_000, 32)
    assert len(tasks) > 1
    found = [
        sorted(
            (a, b, round(float(c), 5))
            for p in engines.join(tasks, run, rows, None, compute)
            for a, b, c in zip(p.left.tolist(), p.right.tolist(), p.score, strict=True)
        )
        for compute in (RAY, Compute())
    ]
    assert found[0] == found[1]


def test_a_killed_worker_costs_no_pair_and_doubles_none(cluster: None, tmp_path: Path) -> None:
    def dies_once(task: int, left: str, right: None) -> Iterator[int]:  # nested: workers cannot import this file
        yield 2 * task
        if task == 1 and not Path(left).exists():
            Path(left).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield 2 * task + 1

    found = engines.join(range(4), dies_once, str(tmp_path / "died"), None, RAY)
    assert sorted(found) == list(range(8))
    assert (tmp_path / "died").exists()


def test_what_a_task_raises_is_raised_here(cluster: None) -> None:
    def fails(task: int, left: None, right: None) -> Iterator[int]:
        raise ValueError(f"task {task} cannot be done")
        yield 0

    with pytest.raises(ValueError, match="cannot be done"):
        list(engines.join(range(2), fails, None, None, RAY))


def test_addresses_that_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with (
        pytest.raises(ray_cluster.RayUnavailable, match=r"ray_address = 'auto'"),
        ray_cluster.connection(ray, Compute(ray_address="ray://head:10001")),
    ):
        pass


def test_no_jobs_start_nothing() -> None:
    assert list(ray_shards.fingerprint([], Compute(engine="ray", ray_address="ray://never.asked"))) == []


class _Late:
    """Stands in for Ray on a machine so busy that a node is not ready in time, some times or always."""

    def __init__(self, times: int) -> None:
        self.left, self.stopped = times, 0
        self.processes: list[subprocess.Popen] = []

    def is_initialized(self) -> bool:
        return False

    def init(self, **options: object) -> None:
        assert options["address"] == "local"
        if self.left:
            self.left -= 1
            self.processes.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
            raise Exception("The current node timed out during startup. This could happen because")

    def shutdown(self) -> None:
        self.stopped += 1


def test_a_cluster_that_a_busy_machine_starts_late_is_started_again() -> None:
    late = _Late(2)
    with ray_cluster.connection(late, Compute(engine="ray")):
        assert (late.left, late.stopped) == (0, 2)
        assert len(late.processes) == 2
        assert not any(psutil.pid_exists(process.pid) for process in late.processes), "Ray leaves them"
    never = _Late(9)
    with (
        pytest.raises(ray_cluster.RayUnavailable, match=r"did not start on this machine in 3 tries.*compute\.engine"),
        ray_cluster.connection(never, Compute(engine="ray")),
    ):
        pass
    assert never.left == 6


class _Stand:
    """Stands in for Ray: says whether a process is connected."""

    def __init__(self) -> None:
        self.connected = False
        self.starts = 0

    def is_initialized(self) -> bool:
        return self.connected

    def init(self, **_: object) -> None:
        self.starts, self.connected = self.starts + 1, True

    def shutdown(self) -> None:
        self.connected = False


def test_the_steps_of_a_run_share_one_cluster_which_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = _Stand()
    monkeypatch.setitem(sys.modules, "ray", stand)
    with ray_cluster.connection(stand, RAY):
        pass
    assert (stand.starts, stand.connected) == (1, False), "a step by itself ends its own"
    with pytest.raises(ValueError, match="the run fails"), ray_cluster.kept():
        for _ in range(2):
            with ray_cluster.connection(stand, RAY):
                pass
            assert stand.connected
        raise ValueError("the run fails")
    assert (stand.starts, stand.connected) == (2, False)
    stand.init()
    with ray_cluster.kept(), ray_cluster.connection(stand, RAY):
        pass
    assert stand.connected, "who was connected before stays so"
