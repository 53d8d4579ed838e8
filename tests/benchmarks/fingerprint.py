"""Fingerprinting many rows: what a second run costs, and whether memory grows with the rows.

What belongs here: whole processes of the real command over generated dumps. What does not: the speed of decoding and
hashing (`hash.py`) or of encoders (`embed.py`).
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.benchmarks.data import ROOT
from tests.benchmarks.figures import Figure, Measured, say

_SHARD, _SHARDS, _REPEATED = 10_000, 10, 64
"""Rows of a shard, shards, and rows in a row that show one picture: encoders see it once, decoders every time."""


@dataclass(frozen=True)
class _Run:
    seconds: float
    peak_mb: float


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="raisonne-bench-")


def _pictures() -> Iterator[bytes]:
    rng = np.random.default_rng(11)
    while True:
        noise = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((128, 96), Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        noise.save(buffer, "JPEG")
        yield from [buffer.getvalue()] * _REPEATED


def _land(folder: Path, shards: int, rows: int) -> Path:
    """Write a dump of `shards` tars of `rows` pictures each, and its settings. Returns the settings file."""
    (folder / "laion").mkdir(parents=True)
    pictures, numbers = _pictures(), count()
    for shard in range(shards):
        urls = [f"https://images.example.org/{next(numbers)}.jpg" for _ in range(rows)]
        table = pa.table({"key": [f"{row:09d}" for row in range(rows)], "url": urls, "caption": ["a picture"] * rows})
        pq.write_table(table, folder / "laion" / f"{shard:05d}.parquet")
        with tarfile.open(folder / "laion" / f"{shard:05d}.tar", "w") as archive:
            for row, data in zip(range(rows), pictures, strict=False):
                member = tarfile.TarInfo(f"{row:09d}.jpg")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    config = folder / "raisonne.toml"
    config.write_text(
        'home = "home"\n[[datasets]]\nname = "many"\nmetadata = "laion/*.parquet"\nimages = "laion/*.tar"\n'
        '[encoders]\ncopy = "sscd_distilled"\n'
    )
    return config


def _run(config: Path, job: str) -> _Run:
    """Run the command in a process of its own; its peak is the most memory it ever held."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAISONNE_", "DAGSTER_HOME"))}
    began = time.perf_counter()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration.cli", "run", job],
            env=environment | {"RAISONNE_CONFIG": str(config)},
            cwd=ROOT,
            stdout=told,
            stderr=told,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            raise RuntimeError(told.read().decode(errors="replace")[-2000:])
    done = _Run(time.perf_counter() - began, usage.ru_maxrss / 1024)
    say(f"  {job} {json.dumps(vars(done))}")
    return done


@cache
def _first(shards: int, rows: int) -> tuple[Path, _Run]:
    config = _land(Path(_folder().name) / f"{shards}x{rows}", shards, rows)
    return config, _run(config, "fingerprint_shard")


def _memory_growth() -> Measured:
    _, few = _first(1, _SHARD)
    _, many = _first(_SHARDS, _SHARD)
    _, one = _first(1, _SHARD * _SHARDS)
    return Measured(
        many.peak_mb / few.peak_mb,
        {
            "peak_mb_10k": few.peak_mb,
            "peak_mb_100k": many.peak_mb,
            "peak_mb_100k_in_one_tar": one.peak_mb,
            "rows_per_s_100k": _SHARD * _SHARDS / many.seconds,
        },
    )


def _rerun() -> Measured:
    config, first = _first(_SHARDS, _SHARD)
    again = _run(config, "fingerprint_shard")
    return Measured(again.seconds, {"first_s": first.seconds})


FIGURES = (
    Figure(
        "fingerprint_memory_growth",
        "ratio",
        "<= 1.1",
        "peak memory of the command at 10,000 rows; 100,000 are ten such shards (and, as a part, one tar)",
        _memory_growth,
    ),
    Figure(
        "fingerprint_rerun_s",
        "s",
        "<= 10",
        "100,000 known rows, `raisonne run fingerprint_shard` again, the start of the process included",
        _rerun,
    ),
)
