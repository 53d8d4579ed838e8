"""How much memory a run may take, and what part of it each kind of work gets.

What belongs here: the machine's memory, the parts, and their defaults. What does not: the keys
(`settings/limits.py`, `settings/sections.py`), keeping to a part (whoever is given it).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from pydantic import ByteSize, TypeAdapter

from transforms.readable import size

_OF_MACHINE = 3
"""`limits.memory` is one of so many parts of the machine's memory unless it is set."""
_PICTURES, _JOINS, _DUCKDB = 1 / 4, 1 / 4, 1 / 2
"""The share of each in `limits.memory`. DuckDB takes up to a third more, and code half a gigabyte."""
_LEAST_JOIN = 16_000_000
_LEAST_DUCKDB = 128_000_000
_LEAST_BESIDE = 64_000_000
"""For a second database of DuckDB. Less would not hold the rows of a few thousand clusters."""


@dataclass(frozen=True)
class MemoryParts:
    """The bytes that a run may hold, and the parts of them.

    Attributes:
        whole: `limits.memory`.
        pictures: For the arrays of the training pictures; what exceeds it lies in files below the home.
        joins: For a join, besides these arrays.
        duckdb: For DuckDB, as it takes it.
    """

    whole: int
    pictures: int
    joins: int
    duckdb: str

    @classmethod
    def of(cls, whole: int | None, joins: int | None, duckdb: str | None) -> "MemoryParts":
        """Return the parts that settings choose; None for what they leave out.

        Args:
            whole: `limits.memory`.
            joins: `joins.memory`.
            duckdb: `limits.duckdb_memory`.
        """
        whole = whole or machine_memory() // _OF_MACHINE
        return cls(
            whole,
            int(whole * _PICTURES),
            joins or max(_LEAST_JOIN, int(whole * _JOINS)),
            duckdb or f"{int(max(_LEAST_DUCKDB, whole * _DUCKDB)) // 1_000_000}MB",
        )

    def of_duckdb(self, share: float) -> str:
        """Return what one of several databases that are open at once may hold, at least what none can do without.

        Args:
            share: Its part of `duckdb`, from 0 to 1.
        """
        part = int(TypeAdapter(ByteSize).validate_python(self.duckdb) * share)
        return f"{max(_LEAST_BESIDE, part) // 1_000_000}MB"

    def __str__(self) -> str:
        return f"{size(self.pictures)} for pictures, {size(self.joins)} for a join, {self.duckdb} for DuckDB"


@cache
def machine_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this process may use: the machine's, or the least limit of its control groups.

    Args:
        root: Where `proc` and `sys` are.
    """
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in _limits(root):
        try:
            most = min(most, int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such limit
            continue
    return most


def _limits(root: Path) -> Iterator[Path]:
    """Yield the files that may state a limit: of the group of this process, and of each group around it."""
    groups = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # no such kernel
        lines = []
    for _, controllers, name in (line.split(":", 2) for line in [*lines, "0::/", "0:memory:/"] if line.count(":") > 1):
        folder, file = {"": (groups, "memory.max")}.get(controllers, (groups / "memory", "memory.limit_in_bytes"))
        if not controllers or "memory" in controllers.split(","):
            group = PurePosixPath(name.lstrip("/"))
            yield from (folder / each / file for each in (group, *group.parents))
