"""Where fingerprints and joins are computed: in this process, or on a Ray cluster. One setting chooses.

What belongs here: handing out work and taking results. What does not: the work (`transforms/`), committing it
(`fingerprints/shard_writer.py`, `duplicates/incremental_join.py`): only the run that hands out work writes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from orchestration.progress import track
from orchestration.settings.sections import Compute
from transforms.encoders import Encoder
from transforms.fingerprints.shard import Job, ShardResult, fingerprint_shard


def fingerprint(jobs: Iterable[Job], compute: Compute, load: Callable[[str], Encoder]) -> Iterator[ShardResult]:
    """Fingerprint shards. Batches of one job come in order; jobs may take turns.

    Args:
        jobs: The shards, taken one by one as they are begun.
        compute: Where.
        load: Loads the encoder of a name in this process.

    Yields:
        The index of a job with each of its batches, and with its account last.
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
        tasks: Its independent tasks.
        run: Yields the pairs of a task, `run(task, left, right)`. Ray's workers must be able to import it.
        left: What is joined; sent to each machine once.
        right: What it is joined with, likewise.
        compute: Where.
        name: What the progress is called.

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
