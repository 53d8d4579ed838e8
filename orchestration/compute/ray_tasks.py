"""Tasks on a Ray cluster that stream their results back.

What belongs here: distributing tasks, collecting results in turn, and retrying when a worker dies. What does not: the
cluster (`compute/ray_cluster.py`), what a task is (`compute/engines.py`). Workers write nothing.

Ray runs a task again when its worker dies, at most `RETRIES` times. A task yields the same results in the same order
each time, and Ray delivers only those that are still missing, so every result arrives once. At most `_AHEAD` results of
a task wait for this process; then its worker waits.
"""

import copy
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from orchestration.compute import ray_cluster
from orchestration.compute.ray_cluster import RETRIES, RayUnavailable
from orchestration.settings.sections import Compute
from transforms.readable import first_line

_AHEAD = 4
_PATIENCE_S = 60.0
_DEATHS = ("ActorDiedError", "WorkerCrashedError", "OutOfMemoryError", "ObjectLostError", "NodeDiedError")


@dataclass(frozen=True)
class Lost:
    """A task that was abandoned after 1 + RETRIES workers died. `reason`: Ray's message about the last one."""

    reason: str

    def __str__(self) -> str:
        return f"its worker died {RETRIES + 1} times: {self.reason}"


class Finished:
    """A task that has yielded everything."""


def stream[Result](
    run: Callable[..., Iterator[Result]], calls: Iterable[Sequence[Any]], compute: Compute, shared: Sequence[Any] = ()
) -> Iterator[tuple[int, Result | Lost | Finished]]:
    """Run tasks on a cluster, as many at a time as there are workers, and yield their results in turn.

    Args:
        run: A generator function that workers can import. A second call must yield the same results.
        calls: The arguments of each task. Each is read when its task begins.
        compute: The cluster, the count of workers, and the resources of each.
        shared: Further arguments of every task, sent to each machine once.

    Yields:
        The index of a task and one of its results; last of a task, Finished or Lost.

    Raises:
        RayUnavailable: If Ray cannot go on.
        BaseException: If a task raises it.
    """
    ray = ray_cluster.ray()
    fresh = enumerate(calls)
    first = next(fresh, None)
    if first is None:
        return
    with ray_cluster.connection(ray, compute):
        common = [ray.put(value) for value in shared]
        remote = _remote(ray, compute.ray_cpus, compute.ray_gpus)
        deaths = tuple(getattr(ray.exceptions, name) for name in _DEATHS)
        under_way: dict[Any, int] = {}
        waited = True
        try:
            while first or under_way:
                while first and len(under_way) < compute.ray_workers:
                    index, call = first
                    under_way[remote.remote(run, *call, *common)] = index
                    first = next(fresh, None)
                ready, _ = ray.wait(list(under_way), num_returns=1, timeout=_PATIENCE_S)
                if not ready:
                    if waited:
                        _say_waiting(ray, compute)
                    continue
                waited = False
                task = ready[0]
                index = under_way.pop(task)
                try:
                    result = copy.deepcopy(ray.get(next(task)))  # a copy, so that its shared memory is free again
                except StopIteration:
                    yield index, Finished()
                except deaths as death:
                    yield index, Lost(first_line(death))
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from error
                except ray.exceptions.RayError as error:
                    raise RayUnavailable(f"Ray cannot go on: {first_line(error)}") from error
                else:
                    under_way[task] = index  # last: the others have their turn before it
                    yield index, result
        finally:
            for task in under_way:
                ray.cancel(task, force=True)


@cache
def _remote(ray: Any, cpus: float, gpus: float) -> Any:  # noqa: ANN401 -- the module, which need not be installed
    """Return `run_task` as Ray runs it: defined once, so that workers fetch it once."""
    # max_calls=0: a worker stays when a task ends, also with a GPU, and keeps the encoders that it loaded
    remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=0, max_retries=RETRIES)(run_task)
    return remote.options(num_returns="streaming", _generator_backpressure_num_objects=_AHEAD)


def run_task[Result](run: Callable[..., Iterator[Result]], *arguments: Any) -> Iterator[Result]:  # noqa: ANN401
    """Run a task in a worker. Ray accepts no `partial`, and names workers after this function.

    Args:
        run: The task.
        *arguments: Its arguments.
    """
    yield from run(*arguments)


def _say_waiting(ray: Any, compute: Compute) -> None:  # noqa: ANN401 -- the module, which need not be installed
    has = ray.cluster_resources()
    print(
        f"waiting for a Ray worker of {compute.ray_cpus:g} CPUs and {compute.ray_gpus:g} GPUs; "
        f"the cluster has {has.get('CPU', 0):g} and {has.get('GPU', 0):g}",
        file=sys.stderr,
        flush=True,
    )
