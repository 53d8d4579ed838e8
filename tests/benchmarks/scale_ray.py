"""The same run here and on a Ray cluster of two nodes whose workers die: which rows differ.

What belongs here: landing pictures that need every heavy step, killing workers, comparing facts. What does not: sizes
and figures (`scale.py`).
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from orchestration.compute import ray_tasks
from orchestration.facts import SCHEMAS, Facts
from orchestration.facts.table import FactTable
from orchestration.settings.sections import Compute
from tests.benchmarks.alone import Result
from tests.benchmarks.figures import say
from tests.late_import import LateImport

if TYPE_CHECKING:
    from tests.conftest import Landing, Row

conftest: Any = LateImport("tests.conftest")  # which changes the environment: of the process of this figure alone

STEPS = ("_same", "embed_views", "near_rows", "align", "fingerprint_jobs")
"""The functions in which a worker is killed, by name: copies, null scores, memorization, generations, shards."""
_SHARD = 250  # rows
_TOLD = {"seconds"}
"""Columns that tell how long something took."""
_MORE = "pixel_comparisons"
"""The table in which a cluster has more rows: it compares more pairs at once, before earlier ones decide later ones."""
_STARTS, _STORE = 3, 100_000_000


def killed_workers(folder: str, pictures: int, kills: int, sample: int, first: int) -> Result:
    """Run here, and on a cluster of two nodes where workers are killed. Return how many rows of facts differ.

    Args:
        folder: An empty folder.
        pictures: Training pictures.
        kills: Workers to kill, each in another of `STEPS`.
        sample: Pictures of the null distribution.
        first: In so many of the first tasks of a step a worker may be killed.

    Raises:
        AssertionError: If fewer were killed, or a step had nothing to do.
    """
    landing, began = conftest.Landing(Path(folder)), time.perf_counter()
    land(landing, pictures)
    configure(landing, "local", sample, "")
    landing.run_here()
    taken, began = time.perf_counter() - began, time.perf_counter()
    with cluster() as address, dying(Path(folder, "killed"), STEPS[:kills], first) as killed:
        configure(landing, "ray", sample, f'engine = "ray"\nray_address = "{address}"\nray_workers = 2\n')
        landing.run_here()
    if len(killed()) != kills:
        raise AssertionError(f"workers were killed in {killed()}, and not in all of {STEPS[:kills]}")
    rows, different = compared(*(Facts(landing.folder / name / "facts") for name in ("local", "ray")))
    told = {f"different_{name}": count for name, count in different.items()}
    on_ray = time.perf_counter() - began
    found = {"different": different.total(), "rows": rows, "killed": kills, "local_s": taken, "ray_s": on_ray}
    return found | told


def configure(landing: "Landing", home: str, sample: int, compute: str) -> None:
    """Write the settings of a run.

    Args:
        landing: The warehouse.
        home: The folder of its tables.
        sample: Pictures of the null distribution.
        compute: `[compute]`.
    """
    landing.write_config(
        f"[compute]\n{compute}[calibration]\ntrials = 4\n[limits]\nnull_sample = {sample}\nbatch = 16\n"
    )
    landing.config.write_text(landing.config.read_text().replace('home = "home"', f'home = "{home}"'))


def land(landing: "Landing", count: int) -> None:
    """Land pictures, one in ten of them a crop that pixels must confirm, and generations that copy some of them.

    Args:
        landing: An empty warehouse.
        count: Training pictures.
    """
    landing.write_config()
    for start in range(0, count, _SHARD):
        rows = [_row(number) for number in range(start, min(start + _SHARD, count))]
        landing.shard(f"{start // _SHARD:05d}", rows)
    generations, lines = landing.folder / "generations", []
    for number in range(max(4, count // 50)):
        image, prompt = _generation(number)
        image.save(generations / f"{number:05d}.png")
        lines.append(f'{{"file_name": "{number:05d}.png", "model": "made", "prompt": "{prompt}", "seed": {number}}}\n')
    (generations / "generations.jsonl").write_text("".join(lines))


def _row(number: int) -> "Row":
    image = _drawn(number - number % 10 if number % 10 == 1 else number)
    if number % 10 == 1:  # a crop of the one before
        width, height = image.size
        image = image.crop((width // 10, height // 10, width, height)).resize((width, height))
    return conftest.Row(
        f"https://pictures.example.org/{number}.jpg", f"picture {number}", conftest.encoded(image, quality=90)
    )


def _generation(number: int) -> tuple[Image.Image, str]:
    """Return a generation and its prompt: of four of a prompt three are near one training picture, one is new."""
    if number % 4 == 3:
        return _drawn(10_000_000 + number), f"prompt {number // 4}"
    pixels = np.asarray(_drawn(10 * (number // 4))).astype(np.int64)
    noise = np.random.default_rng(number).integers(-4, 5, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)), f"prompt {number // 4}"


def _drawn(number: int) -> Image.Image:
    return conftest.picture(number, 192, 144)


@contextmanager
def cluster() -> Iterator[str]:
    """Start a cluster of two nodes of one CPU on this machine, and yield its address.

    A busy machine may need more than one try; what a try leaves behind is killed.
    """
    import psutil  # Ray brings it
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
    this = psutil.Process()
    for attempt in range(_STARTS):
        before = set(this.children(recursive=True))
        try:
            nodes = Cluster(initialize_head=True, head_node_args=node)
            nodes.add_node(**node)
            break
        except Exception:  # Ray raises a bare Exception
            left = set(this.children(recursive=True)) - before
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left)
            if attempt + 1 == _STARTS:
                raise
    try:
        yield nodes.address
    finally:
        nodes.shutdown()


@contextmanager
def dying(folder: Path, steps: Sequence[str], first: int) -> Iterator[Callable[[], list[str]]]:
    """Let a worker kill itself in each of some steps, in one of its first tasks, as if the kernel had.

    Args:
        folder: Where the killed leave a file.
        steps: Names of functions.
        first: In so many of the first tasks of each.

    Yields:
        What returns the steps in which a worker was killed.
    """
    folder.mkdir()
    stream, begun = ray_tasks.stream, Counter[str]()
    draw = random.Random(7)  # noqa: S311 -- nothing secret
    planned = {step: (draw.randrange(first), draw.randrange(2)) for step in steps}  # the task, and its results before

    def die(marker: str, after: int, run: Callable[..., Iterator], *arguments: Any) -> Iterator:  # noqa: ANN401
        """Run a task, and die once, before a result or behind the last. Nested: workers cannot import this file."""
        for number, part in enumerate(chain(run(*arguments), [None])):
            if marker and (number == after or part is None) and not os.path.exists(marker):  # noqa: PTH110
                with open(marker, "x"):  # noqa: PTH123
                    os.kill(os.getpid(), signal.SIGKILL)
            if part is not None:
                yield part

    def killing(
        run: Callable[..., Iterator], calls: Iterable[Sequence[Any]], compute: Compute, shared: Sequence[Any] = ()
    ) -> Iterator:
        functions = (each.func if isinstance(each, partial) else each for each in (run, *shared))
        names = {getattr(each, "__name__", "") for each in functions}
        step = next((each for each in planned if each in names), "")

        def marked() -> Iterator[Sequence[Any]]:
            task, after = planned.get(step, (-1, 0))
            for call, is_last in _with_last(calls):
                drawn = begun[step] == task or (is_last and begun[step] < task)
                begun[step] += task + 1 if drawn else 1  # once a step
                yield (str(folder / step) if drawn else "", after, run, *call)

        return stream(die, marked(), compute, shared)

    with patch.object(ray_tasks, "stream", killing):
        yield lambda: sorted(each.name for each in folder.iterdir())


def _with_last[Call](calls: Iterable[Call]) -> Iterator[tuple[Call, bool]]:
    """Yield calls, and whether each is the last."""
    rest = iter(calls)
    held = next(rest, None)
    while held is not None:
        following = next(rest, None)
        yield held, following is None
        held = following


def compared(local: Facts, on_ray: Facts) -> tuple[int, Counter[str]]:
    """Return how many rows of facts there are, and how many of each table are not the same to the last bit.

    Args:
        local: The facts of the run here.
        on_ray: Those of the run on a cluster.

    Raises:
        AssertionError: If a table that a heavy step writes is empty.
    """
    rows, different = 0, Counter[str]()
    for name in SCHEMAS:
        one, other = (_rows(facts[name]) for facts in (local, on_ray))
        if name == _MORE:
            other &= one
        rows += one.total()
        if apart := (one - other) | (other - one):
            different[name] = apart.total()
            say(f"  {name}: {apart.total()} rows differ, such as {min(apart)[:500]}")
    for name in ("calibration_comparisons", "eidetic_counts", "match_comparisons", "memorized_pairs", _MORE):
        if not _rows(on_ray[name]):
            raise AssertionError(f"{name} is empty: what it is of was not run")
    return rows, different


def _rows(table: FactTable) -> Counter[str]:
    columns = [name for name in table.schema.names if name not in _TOLD]
    return Counter(repr(row) for row in table.read(columns).to_pylist())
