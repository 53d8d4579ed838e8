"""Work in a process of its own, and the most memory that it ever held.

What belongs here: starting it and reading its result. What does not: the work (a module a group).
"""

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path

from tests.benchmarks.figures import say

_ROOT = Path(__file__).resolve().parents[2]

type Result = Mapping[str, float]


def alone(work: Callable[..., Result], *arguments: str | int) -> dict[str, float]:
    """Call a function in a fresh process, and return its result with `peak_gb` and `cpu_s` of the process.

    Args:
        work: A function at the top of a module.
        arguments: What it takes.

    Raises:
        RuntimeError: If the process fails, with the end of what it said.
    """
    name = work.__qualname__
    # A module, for of a program without a file (`-c`) DuckDB takes the output for a terminal, and draws on it.
    command = [sys.executable, "-m", "tests.benchmarks.alone", work.__module__, name, json.dumps(arguments)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise RuntimeError(f"{name}{arguments} ended with {done.returncode}: {done.stderr[-2000:]}")
    say(f"  {name} {done.stdout.strip()}")
    return json.loads(done.stdout)


def _report(work: Callable[..., Result], *arguments: str | int) -> None:
    """Print what a function returns, with the processor time of this process, and its memory unless it says its own.

    What the function prints goes to standard error.
    """
    with redirect_stdout(sys.stderr):
        result = work(*arguments)
    print(json.dumps({"peak_gb": peak_gb(), "cpu_s": time.process_time(), **result}))


def peak_gb() -> float:
    """Return the kernel's own high-water mark: `ru_maxrss` starts from that of the process it was started by."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    _module, _name, _arguments = sys.argv[1:]
    _report(getattr(importlib.import_module(_module), _name), *json.loads(_arguments))
