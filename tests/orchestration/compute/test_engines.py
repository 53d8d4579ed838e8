"""Work and its results, here and from a cluster whose workers die: the cluster is a script here."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from orchestration.compute import engines, ray_tasks
from orchestration.compute.named_encoders import NamedEncoder, device_of_workers
from orchestration.compute.ray_tasks import Finished, Lost
from orchestration.duplicates.pixel_comparisons import PicturePair, PixelComparisons, PixelOutcome, failures
from orchestration.facts import Facts
from orchestration.settings.sections import Compute

RAY = Compute(engine="ray", ray_workers=2)


def squared(item: int, add: int) -> int:
    return item * item + add


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run tasks two at a time, in turns; the worker of every second one dies for good after its first result."""

    def stream(
        run: Callable[..., Iterator], calls: Iterable[Sequence], compute: Compute, shared: Sequence = ()
    ) -> Iterator[tuple[int, object]]:
        waiting, running = enumerate(calls), list[tuple[int, Iterator]]()
        while True:
            while len(running) < compute.ray_workers and (call := next(waiting, None)):
                running.append((call[0], run(*call[1], *shared)))
            if not running:
                return
            index, parts = running.pop(0)
            try:
                yield index, next(parts)
            except StopIteration:
                yield index, Finished()
                continue
            if index % 2:
                yield index, Lost("the kernel killed it")
            else:
                running.append((index, parts))

    monkeypatch.setattr(ray_tasks, "stream", stream)


@pytest.mark.parametrize(
    ("device", "gpus", "taken"),
    [("cuda:1", 1, "cuda"), ("cuda:1", 0.5, "cuda"), ("cuda:1", 0, "cuda:1"), ("auto", 1, "auto"), ("cpu", 1, "cpu")],
)
def test_ray_chooses_the_gpu_of_its_workers(device: str, gpus: float, taken: str) -> None:
    """Of a machine's GPUs, such a worker finds those that it was given, the first of which is `cuda:0` there."""
    given = Compute(engine="ray", ray_gpus=gpus)
    assert device_of_workers(device, given) == taken
    assert device_of_workers(device, Compute(ray_gpus=gpus)) == device
    named = NamedEncoder("sscd", "an identity", device)
    assert named.for_workers(given) == NamedEncoder("sscd", "an identity", taken)


@pytest.mark.parametrize("threads", [1, 3])
def test_each_item_has_its_result_and_is_read_late(threads: int) -> None:
    read = []

    def items() -> Iterator[tuple[int, ...]]:
        for start in range(0, 12, 3):
            read.append(start)
            yield tuple(range(start, start + 3))

    results = engines.each(squared, items(), Compute(), (1,), threads)
    assert next(results) == (0, 1)
    assert len(read) <= threads + 1, "tasks are read when they can begin"
    assert list(results) == [(n, n * n + 1) for n in range(1, 12)]


def test_threads_are_used() -> None:
    together = threading.Barrier(2, timeout=60)
    assert len(list(engines.each(lambda _: together.wait(), [[1], [2]], Compute(), threads=2))) == 2


def test_what_a_dead_worker_had_not_sent_is_lost_item_by_item(failing: None) -> None:
    found = list(engines.each(squared, ((n, n + 1, n + 2) for n in range(0, 12, 3)), RAY, (0,)))
    lost = {item for item, result in found if isinstance(result, Lost)}
    assert lost == {4, 5, 10, 11}
    assert sorted(item for item, _ in found) == list(range(12))
    assert all(result == item * item for item, result in found if item not in lost)


def test_a_worker_that_dies_after_its_last_result_costs_nothing(failing: None) -> None:
    assert sorted(engines.each(squared, [[0], [1], [2], [3]], RAY, (0,))) == [(0, 0), (1, 1), (2, 4), (3, 9)]


def test_pairs_of_a_dead_worker_are_failures_that_the_next_run_tries_again(failing: None, tmp_path: Path) -> None:
    table = Facts(tmp_path)["pixel_comparisons"]
    pairs = [PicturePair((f"{n}", "z"), n, n + 1) for n in range(6)]
    first = PixelComparisons(table, "one")
    first.compare(pairs, squared, RAY, size=3)
    first.close()
    assert (first.compared, first.failed, failures(table)) == (6, 2, 2)
    assert first.known(("3", "z")) == PixelOutcome("13")
    assert "its worker died 3 times: the kernel" in str(first.known(("4", "z")).failure)
    again = PixelComparisons(table, "one")
    again.load()
    again.compare(pairs, squared, Compute())
    again.close()
    assert (again.compared, again.failed, failures(table)) == (2, 0, 0)


def test_a_join_does_not_go_on_without_a_task(failing: None) -> None:
    def numbers(task: int, left: int, right: int) -> Iterator[int]:
        yield from (task, left, right)

    with pytest.raises(ray_tasks.RayUnavailable, match="the kernel killed it"):
        list(engines.join([1, 2], numbers, 0, 0, RAY))


def test_bundles_are_as_large_as_they_may_be() -> None:
    assert list(engines.bundles([3, 2, 9, 1, 1, 4], int, 5)) == [(3, 2), (9,), (1, 1), (4,)]
    assert list(engines.bundles([], int, 5)) == []


def test_work_of_one_core_holds_no_more_than_that() -> None:
    wide = Compute(engine="ray", ray_workers=3, ray_cpus=4, ray_gpus=1)
    assert engines.by_core(wide) == Compute(engine="ray", ray_workers=12, ray_cpus=1, ray_gpus=0)
    narrow = Compute(engine="ray", ray_workers=3, ray_cpus=0.5, ray_gpus=1)
    assert engines.by_core(narrow) == Compute(engine="ray", ray_workers=3, ray_cpus=0.5, ray_gpus=0)
    assert engines.at_once(wide) == 12
    assert engines.at_once(Compute()) == engines.CORES
