"""Fingerprinting shards on a Ray cluster, a task each, or some of one task where dumps are fetched.

What belongs here: the work of a worker, and the account of a shard whose workers die. What does not: distributing tasks
(`compute/ray_tasks.py`), the work (`transforms/fingerprints/shard.py`), committing it (`fingerprints/shard_writer.py`).
"""

import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestration.compute import ray_tasks
from orchestration.compute.allocator import give_back_large_blocks
from orchestration.compute.named_encoders import NamedEncoder
from orchestration.settings.sections import Compute
from transforms import encoders
from transforms.encoders import Encoder
from transforms.fingerprints.ahead import handfuls
from transforms.fingerprints.shard import Account, Batch, Job, ShardResult, fingerprint_shard
from transforms.storage.copies import copied_ahead
from transforms.storage.remote_stores import is_remote

_TOGETHER = 4  # most shards of a task; a worker that dies costs it all of them again

type _Bundle = Sequence[tuple[int, Job]]


def fingerprint(
    jobs: Iterable[Job], compute: Compute, load: Callable[[str], Encoder] = encoders.load, count: int = 0
) -> Iterator[ShardResult]:
    """Fingerprint shards on a cluster. Batches of a shard arrive in order; batches of several shards alternate.

    Args:
        jobs: The shards. Each is read when the work of its task begins.
        compute: The cluster.
        load: Loads an encoder by its name in this process. The encoders of workers must have the same identity.
        count: How many there are, if that is known. A task is then several whose dumps lie in a store, and fetches one
            while it works on another.

    Yields:
        The index of a job and one of its batches; last of a job, its account.

    Raises:
        RayUnavailable: If Ray cannot go on.
        EncoderMismatch: If a worker loads an encoder of another identity.
    """
    alone: list[tuple[int, Job]] = []
    yield from _fingerprinted(_bundles(jobs, compute.ray_workers, count), compute, load, alone)
    yield from _fingerprinted(([each] for each in alone), compute, load, [])


def _bundles(jobs: Iterable[Job], workers: int, count: int) -> Iterator[_Bundle]:
    """Yield shards and their indices by task: some together if their dumps lie in a store, ever fewer of the last."""
    return handfuls(enumerate(jobs), lambda each: _TOGETHER if is_remote(each[1].dump) else 1, workers, count)


def _fingerprinted(
    bundles: Iterable[_Bundle], compute: Compute, load: Callable[[str], Encoder], alone: list[tuple[int, Job]]
) -> Iterator[ShardResult]:
    """Fingerprint the shards of each bundle in a task. Those that its workers died before are added to `alone`."""
    threads = max(1, math.ceil(compute.ray_cpus))
    tasks: dict[int, _Bundle] = {}
    shards: dict[int, _Progress] = {}

    def calls() -> Iterator[tuple[list[Job], dict[str, str], int]]:
        for task, bundle in enumerate(bundles):
            tasks[task] = bundle
            jobs = [job for _, job in bundle]
            yield jobs, {name: str(load(name).id) for job in jobs for name in job.encoders.values()}, threads

    for task, result in ray_tasks.stream(fingerprint_jobs, calls(), compute):
        if isinstance(result, ray_tasks.Lost | ray_tasks.Finished):
            ended = [(*each, shards.pop(each[0], _Progress())) for each in tasks.pop(task)]
            unfinished = [each for each in ended if not each[2].accounted]
            # Workers died of the first; those after it had not begun. If the task ended, an earlier dump had become
            # shorter, and none of which nothing came is to blame.
            blameless = len(ended) > 1 and isinstance(result, ray_tasks.Finished)
            for number, (index, job, shard) in enumerate(unfinished):
                if not shard.received and (number or blameless):
                    alone.append((index, job))
                else:
                    yield index, shard.broken_off(result)
            continue
        place, number, item = result
        index = tasks[task][place][0]
        shard = shards.setdefault(index, _Progress())
        if number != shard.received:  # a second worker found less in a dump than the first
            continue
        shard.received += 1
        if isinstance(item, Batch):
            shard.counts.update(item.images["status"].to_pylist())
        else:
            shard.accounted = True
        yield index, item


@dataclass
class _Progress:
    """The progress of a shard: the results received, and the time of its start."""

    counts: Counter[str] = field(default_factory=Counter)
    received: int = 0
    accounted: bool = False
    began: float = field(default_factory=time.monotonic)

    def broken_off(self, end: ray_tasks.Lost | ray_tasks.Finished) -> Account:
        """Return the account of a shard whose workers died without one."""
        why = "its dump became shorter while it was read; fingerprint it again"
        if isinstance(end, ray_tasks.Lost):
            why = str(end)
        seconds = time.monotonic() - self.began
        return Account(self.counts.total(), self.counts, broken=why, unreachable=True, seconds=seconds)


def fingerprint_jobs(
    jobs: Sequence[Job], identities: Mapping[str, str], threads: int
) -> Iterator[tuple[int, int, Batch | Account]]:
    """Fingerprint shards one after the other in a worker, whose process loads each encoder once.

    Args:
        jobs: The shards. Remote dumps are fetched into a temporary folder of this machine, not into `job.fetched`, each
            while the one before is worked on.
        identities: The identity of each encoder on the machine of the run, by its name.
        threads: For decoding.

    Yields:
        The place of a shard among them, the number of one of its results, and the result.
    """
    give_back_large_blocks()
    with (
        tempfile.TemporaryDirectory(prefix="raisonne-") as folder,
        closing(copied_ahead([job.dump for job in jobs], Path(folder))) as copies,
    ):
        for place, (job, copy) in enumerate(zip(jobs, copies, strict=True)):
            named = {kind: NamedEncoder(name, identities[name], job.device) for kind, name in job.encoders.items()}
            loaded = {kind: each.load() for kind, each in named.items()}
            here = replace(job, fetched=folder, pace=replace(job.pace, workers=threads))
            for number, item in enumerate(fingerprint_shard(here, loaded, copy)):
                yield place, number, item
