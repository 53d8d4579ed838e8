"""The same version published as a file and into a lake on the same disk, with readers that open it meanwhile.

What belongs here: both ways of publishing, timed, and proof that no reader saw an error or a mixed version. What does
not: sizes and figures (`scale.py`), the rows (`warehouse.py`).
"""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from orchestration.settings.targets import LakeAddress
from orchestration.warehouse import lake, publishing
from orchestration.warehouse.lake import definitions
from tests import lake_home
from tests.benchmarks.alone import Result

READERS, _ROUNDS, _QUERIES, _PAUSE_S, _MEMORY = 8, 5, 20, 1.0, "4GB"
_KEEP = 2  # a reader has the newest version, or the one before
_PATIENCE_S = 3_600


def publish(clusters: int) -> Result:
    """Publish versions whose tables are all new, first as a file, then into a lake. Raises if a reader saw a fault.

    Args:
        clusters: Repeated pictures of the made-up warehouse.
    """
    with TemporaryDirectory(prefix="raisonne-bench-") as folder:
        home = Path(folder, "home")
        address = LakeAddress.read(f"ducklake:sqlite:{folder}/lake/catalog.sqlite")
        [first] = lake_home.publish(home, 1, clusters)
        _into_lake(first, address)
        source = Path(folder, "source.duckdb")
        source.write_bytes(first.path.read_bytes())
        found: dict[str, float] = {}
        for name, readers in (("alone", 0), ("read", READERS)):
            taken: dict[str, list[float]] = {"file": [], "lake": []}
            for _ in range(_ROUNDS):
                with _reading(home, None, readers):
                    began = time.perf_counter()
                    version = _as_file(home, source)
                    taken["file"].append(time.perf_counter() - began)
                with _reading(home, address, readers) as answered:
                    began = time.perf_counter()
                    _into_lake(version, address)
                    taken["lake"].append(time.perf_counter() - began)
            found |= {f"{name}_{place}_s": min(each) for place, each in taken.items()}
        found["answers"] = sum(answered)
        with lake.connect(address) as con:
            [(found["rows"],)] = con.execute("select count(*) from catalog.samples").fetchall()
            data = Path(lake.data_folder(con, address))
        found["file_mb"] = version.path.stat().st_size / 1e6
        found["lake_mb"] = sum(each.stat().st_size for each in data.rglob("*.parquet")) / _KEEP / 1e6
    return found


def _as_file(home: Path, source: Path) -> publishing.Version:
    """Write every table anew into a private file, by the statements that a lake gets, and publish it."""
    with publishing.writer(home, run="the benchmark", wait_s=0):
        number = publishing.next_number(home)
        build = publishing.begin(home, "the benchmark", from_current=False)
        with duckdb.connect(config={"memory_limit": _MEMORY}) as con:
            con.execute(f"attach '{source}' as source (read_only)")
            con.execute(f"attach '{build}' as build")
            con.execute("use build")
            definitions.replace(con, "build", "source", list(definitions.tables(con, "source")))
            lake_home.mark(con, number)
            con.execute("update warehouse.tables set made_in = ?", [number])
            con.execute("checkpoint build")
        return publishing.publish(home, build, number, keep=2)[0]


def _into_lake(version: publishing.Version, address: LakeAddress) -> None:
    written = lake.bring_up(version, address, keep=_KEEP, grace=timedelta(0), memory=_MEMORY)
    if written is None or written.unchanged:
        raise RuntimeError(f"not every table was written: {written}")


def _read(*arguments: Any) -> None:  # noqa: ANN401 -- see lake_home.read
    os.dup2(2, 1)  # DuckDB draws its progress on standard output, which is for the result
    lake_home.read(*arguments)


@contextmanager
def _reading(home: Path, address: LakeAddress | None, count: int) -> Iterator[list[int]]:
    """Let readers query the newest version. Yields how many answers each got, filled at the end."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["tests.benchmarks.scale_lake"])
    stop, told, ready = forks.Event(), forks.Queue(), forks.Semaphore(0)
    arguments = (home, address, stop, told, ready, _QUERIES, _PAUSE_S)
    readers = [forks.Process(target=_read, args=arguments, daemon=True) for _ in range(count)]
    answered: list[int] = []
    for reader in readers:
        reader.start()
    try:
        for _ in readers:
            if not ready.acquire(timeout=_PATIENCE_S):
                raise RuntimeError("a reader could not open the version")
        yield answered
    finally:
        stop.set()
        results = [told.get(timeout=_PATIENCE_S) for _ in readers]
        for reader in readers:
            reader.join(_PATIENCE_S)
    answered += [times for times, _ in results]
    if wrong := [sentence for _, sentences in results for sentence in sentences]:
        raise RuntimeError(f"readers saw {len(wrong)} faults, such as {wrong[0]}")
