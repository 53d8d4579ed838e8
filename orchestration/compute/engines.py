"""Where heavy work is computed: in this process, or on a Ray cluster. One setting chooses.

What belongs here: distributing work and collecting results. What does not: the work (`transforms/` and the stages),
committing it: only the run that distributes work writes.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from orchestration.compute import ray_tasks
from orchestration.compute.allocator import give_back_large_blocks
from orchestration.compute.ray_cluster import RAY, RayUnavailable
from orchestration.compute.ray_tasks import Finished, Lost
from orchestration.settings.sections import Compute
from transforms.encoders import Encoder
from transforms.fingerprints.shard import Job, ShardResult, fingerprint_shard

type DumpCopies = Iterator[AbstractContextManager[str]]
"""What gives a local path of one dump after the other."""
CORES = len(os.sched_getaffinity(0))


def fingerprint(
    jobs: Iterable[Job],
    compute: Compute,
    load: Callable[[str], Encoder],
    copies: DumpCopies | None = None,
    count: int = 0,
) -> Generator[ShardResult]:
    """Fingerprint shards. Batches of one job arrive in order; batches of several jobs may alternate.

    Args:
        jobs: The shards. Each is read when its work begins.
        compute: The engine and its size.
        load: Loads an encoder by its name in this process.
        copies: Gives local paths of the dumps, in order, as `copied_ahead` does: in this process one is fetched while
            another is worked on. None: each is fetched when its work begins. Workers of a cluster have their own.
        count: How many jobs there are, if that is known; see `ray_shards.fingerprint`.

    Yields:
        The index of a job and one of its batches; last of a job, its account.
    """
    if compute.engine == RAY:
        from orchestration.compute import ray_shards

        yield from ray_shards.fingerprint(jobs, compute, load, count)
        return
    give_back_large_blocks()
    for index, job in enumerate(jobs):
        copy = None if copies is None else next(copies)
        for item in fingerprint_shard(job, {kind: load(name) for kind, name in job.encoders.items()}, copy):
            yield index, item


def stream[Task, Part](
    run: Callable[..., Iterator[Part]],
    tasks: Iterable[Task],
    compute: Compute,
    shared: Sequence[Any] = (),
    threads: int = 1,
) -> Iterator[tuple[Task, Part | Lost]]:
    """Run tasks and yield their parts, each with its task. On a cluster, parts of several tasks alternate.

    Args:
        run: A generator function that workers can import, `run(task, *shared)`. A second call must yield the same.
        tasks: Independent tasks. Each is read when its work can begin, so that few are held.
        compute: Where.
        shared: Further arguments of every task, sent to each machine once. In this process they are the very objects,
            and what these remember stays from task to task.
        threads: Tasks at once in this process. With several, a task's parts are held until it has ended.

    Yields:
        A task and one of its parts, in the order in which `run` yields them; last of a task whose workers died, Lost.

    Raises:
        RayUnavailable: If Ray cannot go on.
    """
    if compute.engine == RAY:
        yield from _on_ray(run, tasks, compute, shared)
    elif threads == 1:
        yield from ((task, part) for task in tasks for part in run(task, *shared))
    else:
        yield from _in_threads(run, tasks, shared, threads)


def _on_ray[Task, Part](
    run: Callable[..., Iterator[Part]], tasks: Iterable[Task], compute: Compute, shared: Sequence[Any]
) -> Iterator[tuple[Task, Part | Lost]]:
    under_way: dict[int, Task] = {}

    def calls() -> Iterator[tuple[Task]]:
        for index, task in enumerate(tasks):
            under_way[index] = task
            yield (task,)

    for index, part in ray_tasks.stream(run, calls(), compute, shared):
        if isinstance(part, Finished):
            del under_way[index]
        elif isinstance(part, Lost):
            yield under_way.pop(index), part
        else:
            yield under_way[index], part


def _in_threads[Task, Part](
    run: Callable[..., Iterator[Part]], tasks: Iterable[Task], shared: Sequence[Any], threads: int
) -> Iterator[tuple[Task, Part]]:
    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[tuple[Task, Future[list[Part]]]] = deque()
        for task in tasks:
            under_way.append((task, pool.submit(lambda task: list(run(task, *shared)), task)))
            if len(under_way) > threads:
                done, parts = under_way.popleft()
                yield from ((done, part) for part in parts.result())
        for done, parts in under_way:
            yield from ((done, part) for part in parts.result())


def join[Task, Part](
    tasks: Iterable[Task],
    run: Callable[[Task, Any, Any], Iterator[Part]],
    left: object,
    right: object,
    compute: Compute,
) -> Iterator[Part]:
    """Yield the pairs of a join, in any order.

    Args:
        tasks: The independent tasks of the join.
        run: Yields the pairs of a task, `run(task, left, right)`; see `stream`.
        left: Left side of the join.
        right: Right side of the join.
        compute: Where.

    Raises:
        RayUnavailable: If Ray cannot go on, or the workers of a task died.
    """
    for _, part in stream(run, tasks, compute, (left, right)):
        if isinstance(part, Lost):
            raise RayUnavailable(f"Ray cannot go on: {part.reason}")
        yield part


def each[Item, Result](
    work: Callable[..., Result],
    bundles: Iterable[Sequence[Item]],
    compute: Compute,
    shared: Sequence[Any] = (),
    threads: int = 1,
) -> Iterator[tuple[Item, Result | Lost]]:
    """Do a piece of work for each item, and yield the items with the results.

    Args:
        work: A function that workers can import, `work(item, *shared)`.
        bundles: Items that are sent to a worker together: the tasks of `stream`.
        compute: Where.
        shared: Further arguments; see `stream`.
        threads: Bundles at once in this process.

    Yields:
        An item and its result; Lost for each item of a bundle that had none yet when its workers died.

    Raises:
        RayUnavailable: If Ray cannot go on.
    """
    for bundle, result in stream(_work, map(_Bundle, bundles), compute, (work, *shared), threads):
        if isinstance(result, Lost):  # none may be left: workers also die after the last result
            yield from ((item, result) for item in bundle.items[bundle.done :])
        else:
            bundle.done += 1
            yield bundle.items[bundle.done - 1], result


@dataclass
class _Bundle[Item]:
    """Items of a task, and how many of them have a result."""

    items: Sequence[Item]
    done: int = 0


def _work[Item, Result](bundle: _Bundle[Item], work: Callable[..., Result], *shared: Any) -> Iterator[Result]:  # noqa: ANN401
    return (work(item, *shared) for item in bundle.items)


def by_core(compute: Compute) -> Compute:
    """Return the same engine for work of one core and no GPU: as many workers as those of a cluster have CPUs."""
    if compute.ray_cpus <= 1:
        return compute.model_copy(update={"ray_gpus": 0.0})
    workers = math.ceil(compute.ray_workers * compute.ray_cpus)  # what a cluster on this machine is started with
    return compute.model_copy(update={"ray_workers": workers, "ray_cpus": 1.0, "ray_gpus": 0.0})


def cores(compute: Compute) -> int:
    """Return how many threads a task may have: those of this process, or of a worker of a cluster."""
    return max(1, math.ceil(compute.ray_cpus)) if compute.engine == RAY else CORES


def at_once(compute: Compute) -> int:
    """Return how many tasks of one core are computed at once: in threads of this process, or by a cluster's workers."""
    return by_core(compute).ray_workers if compute.engine == RAY else CORES


def bundles[Item](items: Iterable[Item], size: Callable[[Item], int], most: int) -> Iterator[tuple[Item, ...]]:
    """Yield some items at a time, at most `most` large together: to send a small one by itself would cost more than it.

    Args:
        items: Items. One that is larger than `most` is yielded by itself.
        size: Returns how large an item is.
        most: The largest sum of sizes.
    """
    held: list[Item] = []
    room = most
    for item in items:
        if held and size(item) > room:
            yield tuple(held)
            held, room = [], most
        held.append(item)
        room -= size(item)
    if held:
        yield tuple(held)
