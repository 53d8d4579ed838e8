"""A Ray cluster: connecting to one, or starting one on this machine. `docs/how-to/scale-out.md` explains it.

What belongs here: Ray itself, and errors that explain what to fix. What does not: what runs on it
(`compute/ray_tasks.py`).
"""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import transforms
from orchestration.settings.sections import Compute
from transforms.packages import installing
from transforms.readable import first_line

RAY = "ray"  # the engine
_STARTS = 3  # tries to start a cluster
_KILLED_S = 10  # until killed processes are gone
_LATE = "timed out during startup"  # what Ray says of a node that is not ready in time
RETRIES = 2  # times that a task is run again when its worker dies
_STORE = 256_000_000  # bytes of shared memory of a cluster on this machine: results are copied out as they come
_keeping = False


class RayUnavailable(RuntimeError):
    """Ray cannot run the work. The message names what to install, start or set."""


def ray() -> Any:  # noqa: ANN401 -- the module, which need not be installed
    """Return the module. Raises RayUnavailable where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))  # else without end where memory is short
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what it becomes; else a warning a worker
    try:
        import ray
    except ImportError:
        raise RayUnavailable(f"compute.engine is 'ray', but Ray is not installed; run `{installing('ray')}`") from None
    return ray


@contextmanager
def kept() -> Iterator[None]:
    """Keep the connection that is first made inside this context until its end, so that steps share one cluster."""
    global _keeping  # as is Ray's connection: one a process
    module, before = sys.modules.get("ray"), _keeping
    connected = module is not None and module.is_initialized()
    _keeping = True
    try:
        yield
    finally:
        _keeping = before
        module = sys.modules.get("ray")
        if not connected and module is not None and module.is_initialized():
            module.shutdown()


@contextmanager
def connection(ray: Any, compute: Compute) -> Iterator[None]:  # noqa: ANN401
    """Connect to a cluster, or start one on this machine, and disconnect at the end of the context.

    A process that is already connected stays connected, and so does one inside `kept`.

    Args:
        ray: The module.
        compute: The address of the cluster, and the count of workers that a local one must hold.

    Raises:
        RayUnavailable: If no cluster answers.
    """
    if ray.is_initialized():
        yield
        return
    quiet = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
    _silence()
    if compute.ray_address is None:
        cpus = max(1, math.ceil(compute.ray_workers * compute.ray_cpus))
        _start(ray, num_cpus=cpus, object_store_memory=_STORE, **quiet)
    elif compute.ray_address.startswith("ray://"):
        raise RayUnavailable(
            f"compute.ray_address is {compute.ray_address}, and Ray's client streams no results; run raisonne on a "
            "machine of the cluster, or as a Ray job, with compute.ray_address = 'auto'"
        )
    else:
        packages = [str(Path(module.__path__[0])) for module in (transforms, sys.modules["orchestration"])]
        try:
            ray.init(address=compute.ray_address, runtime_env={"py_modules": packages}, **quiet)
        except ConnectionError as error:
            raise RayUnavailable(
                f"no Ray cluster answers at {compute.ray_address}: {first_line(error)}; start one with "
                "`ray start --head`, or leave compute.ray_address out for one on this machine"
            ) from None
    try:
        yield
    finally:
        if not _keeping:
            ray.shutdown()


def _start(ray: Any, **options: object) -> None:  # noqa: ANN401
    """Start a cluster on this machine. Ray waits 30 s for it, which a busy machine may need more than once.

    Ray leaves the processes of a late start behind. They are killed here.
    """
    import psutil  # Ray brings it

    this = psutil.Process()
    for attempt in range(_STARTS):
        before = set(this.children(recursive=True))
        try:
            ray.init(address="local", **options)
            return
        except Exception as error:  # Ray raises a bare Exception
            if _LATE not in str(error):
                raise
            ray.shutdown()
            left = set(this.children(recursive=True)) - before
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=_KILLED_S)
            if attempt + 1 == _STARTS:
                raise RayUnavailable(
                    f"Ray did not start on this machine in {_STARTS} tries: {first_line(error)}; run again when it is "
                    "less busy, or use compute.engine = 'local'"
                ) from error


def _silence() -> None:
    import logging

    logging.getLogger("ray").setLevel(logging.ERROR)
