"""Where fingerprints and joins are computed: in this process, or on a Ray cluster. One setting chooses.

What belongs here: distributing work and collecting results. What does not: the work (`transforms/`), committing it
(`fingerprints/shard_writer.py`, `duplicates/incremental_join.py`): only the run that distributes work writes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from orchestration.progress import track
from orchestration.settings.sections import Compute
from transforms.encoders import Encoder
from transforms.fingerprints.shard import Job, ShardResult, fingerprint_shard


def fingerprint(jobs: Iterable[Job], compute: Compute, load: Callable[[str], Encoder]) -> Iterator[ShardResult]:
    """Fingerprint shards. Batches of one job arrive in order; batches of several jobs may alternate.

    Args:
        jobs: The shards. Each is read when its work begins.
        compute: The engine and its size.
        load: Loads an encoder by its name in this process.

    Yields:
        The index of a job and one of its batches; last of a job, its account.
    """
    if compute.engine == "ray":
        from orchestration.compute import ray_shards

        yield from ray_shards.fingerprint(jobs, compute, load)
        return
    for index, job in enumerate(jobs):
        for item in fingerprint_shard(job, {kind: load(name) for kind, name in job.encoders.items()}):
            yield index, item


def join[Task, Part](
    tasks: Sequence[Task],
    run: Callable[[Task, Any, Any], Iterator[Part]],
    left: object,
    right: object,
    compute: Compute,
    name: str,
) -> Iterator[Part]:
    """Yield the pairs of a join.

    Args:
        tasks: The independent tasks of the join.
        run: Yields the pairs of a task, `run(task, left, right)`. Ray's workers must be able to import it.
        left: Left side of the join; sent to each machine once.
        right: Right side of the join; likewise.
        compute: Where.
        name: The task as the progress report names it.

    Raises:
        RayUnavailable: If Ray cannot go on.
    """
    if compute.engine == "ray":
        from orchestration.compute import ray_tasks

        for _, part in ray_tasks.stream(run, ((task,) for task in tasks), compute, (left, right)):
            if isinstance(part, ray_tasks.Lost):
                raise ray_tasks.RayUnavailable(f"Ray cannot go on: {part.reason}")
            if not isinstance(part, ray_tasks.Finished):
                yield part
        return
    for task in track(tasks, name, len(tasks)):
        yield from run(task, left, right)
