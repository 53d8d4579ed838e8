"""Where fingerprints are computed: in this process, or on a Ray cluster. One setting chooses, the work is the same.

What belongs here: handing out jobs and taking results. What does not: the work (`transforms/shards.py`), committing it
(`defs/fingerprints.py`): only the run that hands out jobs writes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from orchestration.settings import Compute
from transforms.encoders import Encoder
from transforms.shards import Account, Batch, Job, fingerprint_shard

type Result = tuple[int, Batch | Account]


def work(jobs: Iterable[Job], compute: Compute, load: Callable[[str], Encoder]) -> Iterator[Result]:
    """Fingerprint shards; yield the place of a job in `jobs` with each of its batches, and with its account last.

    jobs: taken one by one as they are begun. load: the encoder of a name, in this process. Batches of one job come in
    order; jobs may take turns.
    """
    if compute.engine == "ray":
        from orchestration import on_ray

        yield from on_ray.work(jobs, compute, load)
        return
    for place, job in enumerate(jobs):
        encoders: Mapping[str, Encoder] = {kind: load(name) for kind, name in job.encoders.items()}
        for item in fingerprint_shard(job, encoders):
            yield place, item
