"""Readers of the published file, in processes of their own, and what they saw.

What belongs here: reading again and again, and judging the answers. What does not: who writes (`runs.py`).
"""

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb

from tests.processes import FORKS

_TABLES = (
    "catalog.samples",
    "fingerprints.images",
    "fingerprints.coverage",
    "duplicates.counts",
    "matches.candidates",
    "provenance.generations",
    "warehouse.versions",
)
_PAUSE = 0.2  # seconds from one look to the next


@dataclass
class Seen:
    """What readers saw. mixed: versions that were not always the same. errors: by their text."""

    reads: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    versions: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    backwards: int = 0

    @property
    def mixed(self) -> list[int]:
        """The versions of which two readers, or one twice, saw different contents."""
        return [version for version, contents in self.versions.items() if len(contents) > 1]


def look(file: Path) -> tuple[int, str]:
    """Open the published file and return its version and a digest of its tables."""
    with duckdb.connect(str(file), read_only=True) as con:
        [(version,)] = con.execute("select max(version) from warehouse.versions").fetchall()
        digest = hashlib.sha256()
        for table in _TABLES:
            rows = con.execute(f"select to_json(t) from {table} as t order by all").fetchall()  # noqa: S608
            digest.update(repr(rows).encode())
    return version, digest.hexdigest()


def read(file: str, log: str, ended: Event) -> None:
    """Look at the published file until the soak ends, and write down what was seen, a line of JSON a look.

    Args:
        file: The published file.
        log: Where it is written down.
        ended: Set at the end.
    """
    with Path(log).open("a", buffering=1) as lines:
        while not ended.wait(_PAUSE):
            try:
                seen: object = look(Path(file))
            except Exception as error:
                seen = f"{type(error).__name__}: {error}"
            lines.write(json.dumps(seen) + "\n")


class Readers:
    """Processes that read until they are told to stop.

    Args:
        file: The published file; it is there.
        folder: For their logs.
        count: How many.
    """

    def __init__(self, file: Path, folder: Path, count: int) -> None:
        self._ended = FORKS.Event()
        self._logs = [folder / f"reader-{number}.jsonl" for number in range(count)]
        self._processes = [
            FORKS.Process(target=read, args=(str(file), str(log), self._ended), daemon=True) for log in self._logs
        ]
        for process in self._processes:
            process.start()

    def end(self) -> Seen:
        """Stop them, and return what all have seen."""
        self._ended.set()
        for process in self._processes:
            process.join()
        return judged(self._logs)


def judged(logs: list[Path]) -> Seen:
    """Return what the logs of readers say together."""
    seen = Seen()
    for log in logs:
        last = 0
        for line in log.read_text().splitlines():
            said = json.loads(line)
            seen.reads += 1
            if isinstance(said, str):
                seen.errors[said] += 1
                continue
            version, digest = said
            seen.versions[version].add(digest)
            seen.backwards += version < last
            last = version
    return seen
