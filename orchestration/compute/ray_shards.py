"""Fingerprinting shards on a Ray cluster, a task each.

What belongs here: the work of a worker, and the account of a shard whose workers die. What does not: distributing tasks
(`compute/ray_tasks.py`), the work (`transforms/fingerprints/shard.py`), committing it (`fingerprints/shard_writer.py`).
"""

import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from orchestration.compute import ray_tasks
from orchestration.compute.allocator import give_back_large_blocks
from orchestration.compute.named_encoders import NamedEncoder
from orchestration.settings.sections import Compute
from transforms import encoders
from transforms.encoders import Encoder
from transforms.fingerprints.shard import Account, Batch, Job, ShardResult, fingerprint_shard


def fingerprint(
    jobs: Iterable[Job], compute: Compute, load: Callable[[str], Encoder] = encoders.load
) -> Iterator[ShardResult]:
    """Fingerprint shards on a cluster. Batches of a shard arrive in order; batches of several shards alternate.

    Args:
        jobs: The shards. Each is read when its work begins.
        compute: The cluster.
        load: Loads an encoder by its name in this process. The encoders of workers must have the same identity.

    Yields:
        The index of a job and one of its batches; last of a job, its account.

    Raises:
        RayUnavailable: If Ray cannot go on.
        EncoderMismatch: If a worker loads an encoder of another identity.
    """
    threads = max(1, math.ceil(compute.ray_cpus))
    calls = ((job, {name: str(load(name).id) for name in job.encoders.values()}, threads) for job in jobs)
    shards: dict[int, _Progress] = {}
    for index, item in ray_tasks.stream(fingerprint_job, calls, compute):
        shard = shards.setdefault(index, _Progress())
        if isinstance(item, Batch):
            shard.counts.update(item.images["status"].to_pylist())
            yield index, item
        elif isinstance(item, Account):
            shard.accounted = True
            yield index, item
        else:
            del shards[index]
            if not shard.accounted:
                yield index, shard.broken_off(item)


@dataclass
class _Progress:
    """The progress of a shard: the results received, and the time of its start."""

    counts: Counter[str] = field(default_factory=Counter)
    accounted: bool = False
    began: float = field(default_factory=time.monotonic)

    def broken_off(self, end: ray_tasks.Lost | ray_tasks.Finished) -> Account:
        """Return the account of a shard whose workers died without one."""
        why = "its dump became shorter while it was read; fingerprint it again"
        if isinstance(end, ray_tasks.Lost):
            why = str(end)
        seconds = time.monotonic() - self.began
        return Account(self.counts.total(), self.counts, broken=why, unreachable=True, seconds=seconds)


def fingerprint_job(job: Job, identities: Mapping[str, str], threads: int) -> Iterator[Batch | Account]:
    """Fingerprint one shard in a worker, whose process loads each encoder once.

    Args:
        job: The shard. A remote dump is fetched into a temporary folder of this machine, not into `job.fetched`.
        identities: The identity of each encoder on the machine of the run, by its name.
        threads: For decoding.
    """
    give_back_large_blocks()
    loaded = {kind: NamedEncoder(name, identities[name]).load() for kind, name in job.encoders.items()}
    with tempfile.TemporaryDirectory(prefix="raisonne-") as folder:
        here = replace(job, fetched=folder, pace=replace(job.pace, workers=threads))
        yield from fingerprint_shard(here, loaded)
