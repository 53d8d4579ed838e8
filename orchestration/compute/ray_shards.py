"""Fingerprinting on a Ray cluster: workers that hold the encoders take a shard each and stream its fingerprints back.

What belongs here: handing out shards, workers that die. What does not: the cluster (`compute/ray_cluster.py`), the work
(`transforms/fingerprints/shard.py`), committing it (`fingerprints/bookkeeping.py`): workers write nothing.

A shard whose worker dies is done again by another, at most three times. Fingerprinting a shard gives the same batches
in the same order, so the second worker leaves out as many batches as were handed over: every batch comes once, and so
does the account. At most `_AHEAD` batches of a worker wait for the process that commits them; then the worker waits.
"""

import copy
import math
import os
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from orchestration.compute import ray_cluster
from orchestration.compute.ray_cluster import RayUnavailable
from orchestration.settings.sections import Compute
from transforms import encoders
from transforms.encoders import Encoder, EncoderMismatch
from transforms.fingerprints.shard import Account, Batch, Job, fingerprint_shard

type Result = tuple[int, Batch | Account]

_TRIES = 3  # workers that a shard may cost
_AHEAD = 4  # batches
_PATIENCE_S = 60.0


def work(
    jobs: Iterable[Job], compute: Compute, load: Callable[[str], Encoder] = encoders.load
) -> Iterator[tuple[int, Batch | Account]]:
    """Fingerprint shards on a cluster; yield the place of a job in `jobs` with each batch, and with its account last.

    jobs: taken one by one as they are begun. load: the encoder of a name in this process; workers must have the same
    identity. Batches of a shard come in order, shards take turns. What a worker raises is raised here as it is.
    Raises RayUnavailable, EncoderMismatch.
    """
    ray = ray_cluster.ray()
    fresh = iter(jobs)
    first = next(fresh, None)
    if first is None:
        return
    with ray_cluster.connected(ray, compute):
        yield from _Crew(ray, chain([first], fresh), compute, load).results()


class Worker:
    """What runs on the cluster: loads each encoder once, fingerprints one shard at a time. threads: for decoding."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._encoders: dict[str, Encoder] = {}

    def whereabouts(self) -> str:
        """Say which process of which machine this is."""
        return f"process {os.getpid()} on {os.uname().nodename}"

    def fingerprint(self, job: Job, identities: Mapping[str, str], done: int) -> Iterator[Batch | Account]:
        """Yield what `fingerprint_shard` does, without its first `done` batches.

        A remote dump is fetched into a temporary folder of this machine instead of `job.fetched`, which is a path of
        another. Raises EncoderMismatch if an encoder is another here than in `identities`, by its name.
        """
        loaded = {kind: self._encoder(name, identities[name]) for kind, name in job.encoders.items()}
        with tempfile.TemporaryDirectory(prefix="raisonne-") as folder:
            here = replace(job, fetched=folder, pace=replace(job.pace, workers=self._threads))
            for number, item in enumerate(fingerprint_shard(here, loaded)):
                if number >= done or isinstance(item, Account):
                    yield item

    def _encoder(self, name: str, identity: str) -> Encoder:
        if name not in self._encoders:
            self._encoders[name] = encoders.load(name)
        encoder = self._encoders[name]
        if str(encoder.id) != identity:
            raise EncoderMismatch(
                f"{name} is {encoder.id} on {self.whereabouts()}, and {identity} where the run was started; "
                "give both the same weights, packages and kind of device"
            )
        return encoder


@dataclass
class _Shard:
    """How far a shard is: what was handed over of it, and what it cost."""

    place: int
    job: Job
    batches: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    deaths: int = 0
    began: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class _Member:
    """A worker, the shard it has in hand if any, and what is awaited from it."""

    actor: Any
    awaited: Any
    shard: _Shard | None = None
    whereabouts: str = "a worker that was starting"


class _Crew:
    """Workers and the shards they are given: one each, the next to the first that is idle."""

    def __init__(self, ray: Any, jobs: Iterable[Job], compute: Compute, load: Callable[[str], Encoder]) -> None:  # noqa: ANN401
        self._ray, self._compute, self._load = ray, compute, load
        self._class = ray.remote(num_cpus=compute.ray_cpus, num_gpus=compute.ray_gpus, max_concurrency=1)(Worker)
        self._fresh = (_Shard(place, job) for place, job in enumerate(jobs))
        self._exhausted = False
        self._again: deque[_Shard] = deque()  # their workers died
        self._members: deque[_Member] = deque()
        self._stillborn = 0
        names = ("RayActorError", "WorkerCrashedError", "OutOfMemoryError", "ObjectLostError", "NodeDiedError")
        self._deaths = tuple(getattr(ray.exceptions, name) for name in names)

    def results(self) -> Iterator[Result]:
        """Yield batches and accounts until every job has its account."""
        try:
            for _ in range(self._compute.ray_workers):
                self._hire()
            while not self._exhausted or self._again or any(m.shard for m in self._members):
                yield from self._next()
        finally:
            for member in self._members:
                self._ray.kill(member.actor)

    def _hire(self) -> None:
        threads = max(1, math.ceil(self._compute.ray_cpus))
        actor = self._class.remote(threads)
        self._members.append(_Member(actor, actor.whereabouts.remote()))

    def _next(self) -> Sequence[Result]:
        """Wait for what any worker has to say; return what is to be handed over of it."""
        ready, _ = self._ray.wait([m.awaited for m in self._members], num_returns=1, timeout=_PATIENCE_S)
        if not ready:
            self._tell_of_waiting()
            return ()
        member = next(m for m in self._members if m.awaited == ready[0])
        self._members.remove(member)
        self._members.append(member)  # the others have their turn before it
        try:
            said = self._ray.get(member.awaited if member.shard is None else next(member.awaited))
        except self._deaths as death:
            return self._bury(member, death)
        except self._ray.exceptions.RayTaskError as error:
            raised = error.cause
            raised.__context__ = error  # its traceback over there, for the log
        except self._ray.exceptions.RayError as error:
            raise RayUnavailable(f"Ray cannot go on: {ray_cluster.first_line(error)}") from error
        else:
            return self._heard(member, said)
        raise raised

    def _heard(self, member: _Member, said: Batch | Account | str) -> Sequence[Result]:
        shard = member.shard
        if shard is None or isinstance(said, str):
            member.whereabouts = str(said)
            self._stillborn = 0
            self._give(member)
            return ()
        item = copy.deepcopy(said)  # so that its shared memory is free again
        if isinstance(item, Batch):
            shard.batches += 1
            shard.counts.update(item.images["status"].to_pylist())
        else:
            if shard.deaths:  # the dump may have become unreadable since: what was handed over counts
                item.counts = shard.counts
                item.pictures = max(item.pictures, shard.counts.total())
                item.seconds = time.monotonic() - shard.began
            member.shard = None
            self._give(member)
        return ((shard.place, item),)

    def _give(self, member: _Member) -> None:
        """Give an idle worker the next shard; dismiss it where there is none."""
        shard = self._again.popleft() if self._again else next(self._fresh, None)
        if shard is None:
            self._exhausted = True
            self._dismiss(member)
            return
        member.shard = shard
        identities = {name: str(self._load(name).id) for name in shard.job.encoders.values()}
        method = member.actor.fingerprint.options(num_returns="streaming", _generator_backpressure_num_objects=_AHEAD)
        member.awaited = method.remote(shard.job, identities, shard.batches)

    def _dismiss(self, member: _Member) -> None:
        self._members.remove(member)
        self._ray.kill(member.actor)

    def _bury(self, member: _Member, death: BaseException) -> Sequence[Result]:
        """Replace a worker that died. Its shard goes to the next idle one, or ends here when it cost too many."""
        self._dismiss(member)
        self._hire()
        shard = member.shard
        if shard is None:
            self._stillborn += 1
            if self._stillborn == _TRIES:
                raise RayUnavailable(
                    f"Ray workers die before their first shard: {ray_cluster.first_line(death)}"
                ) from death
            return ()
        shard.deaths += 1
        if shard.deaths < _TRIES:
            self._again.append(shard)
            return ()
        why = f"its worker died {_TRIES} times, the last one {member.whereabouts}: {ray_cluster.first_line(death)}"
        seconds = time.monotonic() - shard.began
        return (
            (shard.place, Account(shard.counts.total(), shard.counts, broken=why, unreachable=True, seconds=seconds)),
        )

    def _tell_of_waiting(self) -> None:
        if not any(member.shard for member in self._members):
            there = self._ray.cluster_resources()
            print(
                f"waiting for a Ray worker of {self._compute.ray_cpus:g} CPUs and {self._compute.ray_gpus:g} GPUs; "
                f"the cluster has {there.get('CPU', 0):g} and {there.get('GPU', 0):g}",
                file=sys.stderr,
                flush=True,
            )
