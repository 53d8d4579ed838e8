"""Running code in a process of its own that may take only so much memory beside its imports.

What belongs here: the process and its limit. What does not: what the code should say.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# mimalloc takes a gigabyte at once, of which it uses little
_ENVIRONMENT = {"PYTHONPATH": str(ROOT), "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
_LIMIT = """
import json, resource, sys
{imports}
[held] = [int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmData")]
resource.setrlimit(resource.RLIMIT_DATA, (held + {most}, held + {most}))
given = json.loads(sys.argv[1])
{code}
"""


def run(imports: str, code: str, most: int, given: Mapping[str, Any]) -> str:
    """Run code to its end, and return what it printed.

    Args:
        imports: Its imports, which the limit does not count.
        code: What is run; `given` is in it.
        most: Bytes that it may take.
        given: Values for it, as JSON holds them.

    Raises:
        AssertionError: If it does not end well; the message is what it complained of.
    """
    text = _LIMIT.format(imports=imports, code=code, most=most)
    command = [sys.executable, "-P", "-c", text, json.dumps(given)]
    done = subprocess.run(command, cwd=ROOT, env=_ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-3000:]}"
    return done.stdout.strip()
