"""Where fingerprints and joins are computed: in this process, or on a Ray cluster. One setting chooses.

What belongs here: handing out work and taking results. What does not: the work (`transforms/`), committing it
(`defs/fingerprints.py`, `duplicates/incremental_join.py`): only the run that hands out work writes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchestration.progress import track
from orchestration.settings.sections import Compute
from transforms.encoders import Encoder
from transforms.fingerprints.shard import Job, ShardResult, fingerprint_shard


def fingerprint(jobs: Iterable[Job], compute: Compute, load: Callable[[str], Encoder]) -> Iterator[ShardResult]:
    """Fingerprint shards; yield the place of a job in `jobs` with each of its batches, and with its account last.

    jobs: taken one by one as they are begun. load: the encoder of a name, in this process. Batches of one job come in
    order; jobs may take turns.
    """
    if compute.engine == "ray":
        from orchestration.compute import ray_shards

        yield from ray_shards.work(jobs, compute, load)
        return
    for place, job in enumerate(jobs):
        encoders: Mapping[str, Encoder] = {kind: load(name) for kind, name in job.encoders.items()}
        for item in fingerprint_shard(job, encoders):
            yield place, item


def joined[Task, Part](
    tasks: Sequence[Task],
    run: Callable[[Task, Any, Any], Iterator[Part]],
    left: object,
    right: object,
    compute: Compute,
    what: str,
) -> Iterator[Part]:
    """Yield the pairs of a join, `run(task, left, right)` of each of its independent tasks. what: for the progress."""
    if compute.engine == "ray":
        from orchestration.compute import ray_joins

        yield from ray_joins.joined(tasks, run, left, right, compute)
        return
    for task in track(tasks, what, len(tasks)):
        yield from run(task, left, right)
