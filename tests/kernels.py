"""Compile what Numba compiles, once for all test workers, where nothing is compiled yet: `python -m tests.kernels`.

Each worker would compile it for itself, which takes half a minute of a core.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.conftest import ROOT, Landing, Row, encoded, picture

_KEPT = "*.nbi"  # Numba's index of what it compiled of a module, beside the module's bytecode


def start() -> subprocess.Popen | None:
    """Start compiling in a process of its own, and return it; None where something is compiled already."""
    if next((ROOT / "transforms").rglob(_KEPT), None):
        return None
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-P", "-m", "tests.kernels"], cwd=ROOT, **quiet)


def end(compiling: subprocess.Popen) -> None:
    """End the process. Raises RuntimeError if it failed, for then each worker compiled for itself."""
    code = compiling.poll()
    compiling.kill()
    compiling.wait()
    if code:
        raise RuntimeError(f"`python -m tests.kernels` ended with {code}; run it to see why")


def compile_all() -> None:
    """Join as many hashes as take every way of the join, and run a small warehouse, in which the rest is called."""
    from transforms.joins.hamming import join

    hashes = np.random.default_rng(0).integers(0, 256, (30_000, 32), np.uint8)
    for some in (hashes[:40], hashes):
        list(join.self_join(some, 31))
        list(join.cross_join(some[:1_000], some, 31))
    with tempfile.TemporaryDirectory() as folder:
        landing = Landing(Path(folder))
        landing.write_config()
        for shard in range(2):
            seeds = range(6 * shard, 6 * shard + 6)
            rows = [Row(f"https://e.org/{each}", f"a picture of {each // 2}", encoded(picture(each))) for each in seeds]
            landing.shard(f"{shard:05d}", [*rows, Row("https://e.org/again", "one", encoded(picture(0, 200, 150)))])
        (landing.folder / "generations" / "one.jpg").write_bytes(encoded(picture(1)))
        landing.run_here()


if __name__ == "__main__":
    compile_all()
