"""Work in a process of its own, and the most memory that it ever held.

What belongs here: starting it and reading its result. What does not: the work (a module a group).
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path

from tests.benchmarks.data import ROOT
from tests.benchmarks.figures import say

type Result = Mapping[str, float]


def alone(work: Callable[..., Result], *arguments: str | int) -> dict[str, float]:
    """Call a function in a fresh process, and return its result with `peak_gb` and `cpu_s` of the process.

    Args:
        work: A function at the top of a module.
        arguments: What it takes.

    Raises:
        RuntimeError: If the process fails, with the end of what it said.
    """
    module, name = work.__module__, work.__qualname__
    code = f"import json, sys\nfrom {module} import {name}\nfrom tests.benchmarks.alone import report\n"
    code += f"report({name}, *json.loads(sys.argv[1]))"
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise RuntimeError(f"{name}{arguments} ended with {done.returncode}: {done.stderr[-2000:]}")
    say(f"  {name} {done.stdout.strip()}")
    return json.loads(done.stdout)


def report(work: Callable[..., Result], *arguments: str | int) -> None:
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
