"""Joins on a Ray cluster: each task of a join is a Ray task, which streams its pairs back.

What belongs here: handing tasks out and taking pairs. What does not: the cluster (`compute/ray_cluster.py`), the joins
(`transforms/`), writing pairs (`duplicates/incremental_join.py`): workers write nothing.

A worker that dies has its task done again by Ray. A task gives the same pairs in the same order each time, and Ray
hands over what is still missing, so every pair comes once.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from orchestration.compute import ray_cluster
from orchestration.compute.ray_cluster import RayUnavailable
from orchestration.settings.sections import Compute

_AHEAD = 2  # batches of a task that wait for the process that writes them


def joined[Task, Part](
    tasks: Iterable[Task],
    run: Callable[[Task, Any, Any], Iterator[Part]],
    left: object,
    right: object,
    compute: Compute,
) -> Iterator[Part]:
    """Yield what `run(task, left, right)` yields, for all tasks; these take turns.

    left, right: what is joined, sent to each machine once. run: importable there. Raises RayUnavailable, and what a
    task raises.
    """
    ray = ray_cluster.ray()
    with ray_cluster.connected(ray, compute):
        shared = ray.put(left), ray.put(right)
        work = ray.remote(num_cpus=compute.ray_cpus, num_gpus=compute.ray_gpus)(_pairs)
        work = work.options(num_returns="streaming", _generator_backpressure_num_objects=_AHEAD)
        fresh = iter(tasks)
        under_way = [work.remote(run, task, *shared) for task in islice(fresh, compute.ray_workers)]
        while under_way:
            ready, _ = ray.wait(under_way, num_returns=1)
            (stream,) = ready
            under_way.remove(stream)
            try:
                yield ray.get(next(stream))
            except StopIteration:
                under_way += [work.remote(run, task, *shared) for task in islice(fresh, 1)]
                continue
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.RayError as error:
                raise RayUnavailable(f"Ray cannot go on: {ray_cluster.first_line(error)}") from error
            under_way.append(stream)  # the others have their turn before it


def _pairs[Part](run: Callable[..., Iterator[Part]], task: object, left: object, right: object) -> Iterator[Part]:
    yield from run(task, left, right)
