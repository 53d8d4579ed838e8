"""The log of decisions: a short file that is on disk before anybody is told so, and the fact table behind it.

What belongs here: adding decisions, moving them into the fact table, reading both. What does not: what a decision is
(`transforms/review/decisions.py`), files for other programs (`orchestration/review/exchange.py`).

A decision is a line of `review/decisions.jsonl`, synced before `add` returns. `take_up` moves lines into the table
`decisions`, where each run and each start of the app calls it. A process that is killed in between leaves lines that
the next call moves; a line that it had not finished was never acknowledged, and is dropped.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from filelock import FileLock

from orchestration.facts.facts import Facts
from orchestration.facts.filters import is_in
from transforms.review.decisions import COLUMNS, Decision, DecisionError, checked
from transforms.storage import staging

_AT_ONCE = 5_000
_TAKEN = "`decision_id` {!r} is that of a decision that says something else; leave it out or choose another"


class DecisionLogError(RuntimeError):
    """The file of new decisions holds something else; the message names it and the line."""


@dataclass(frozen=True)
class DecisionLog:
    """The decisions of a warehouse.

    Attributes:
        home: Its folder.
    """

    home: Path

    @property
    def file(self) -> Path:
        """The decisions that are not in the fact table yet, one JSON object a line."""
        return self.home / "review" / "decisions.jsonl"

    @property
    def new(self) -> int:
        """How many decisions the next run takes up, counted without waiting for whoever writes."""
        return self.file.read_bytes().count(b"\n") if self.file.exists() else 0

    def add(self, decisions: Iterable[Decision]) -> int:
        """Keep decisions, and return how many were not kept before. They are on disk when this returns.

        Args:
            decisions: Those whose `decision_id` is known already are left out.

        Raises:
            DecisionError: If two have one `decision_id` and say something else; then none of them is kept.
            OSError: If they cannot be kept; then none of them is.
        """
        with self._held():
            given: dict[str, Decision] = {}
            for each in decisions:
                if given.setdefault(each.decision_id, each).said != each.said:
                    raise DecisionError(_TAKEN.format(each.decision_id))
            known = {each.decision_id: each for each in self._waiting()} | self._stored(given)
            for name in given.keys() & known.keys():
                if given[name].said != known[name].said:
                    raise DecisionError(_TAKEN.format(name))
            new = [each for name, each in given.items() if name not in known]
            self._append([_line(each) for each in new])
            return len(new)

    def take_up(self) -> int:
        """Move the new decisions into the fact table, and return how many there were. Safe to call at any time."""
        if not self.file.exists():
            return 0
        with self._held():
            waiting = self._waiting()
            table = self._facts["decisions"]
            if waiting:
                table.migrate()
                known = self._stored({each.decision_id for each in waiting})
                rows = [each.as_dict() for each in waiting if each.decision_id not in known]
                table.append(pa.Table.from_pylist(rows, table.schema).to_batches() if rows else [])
                os.truncate(self.file, 0)  # a kill before this leaves lines that are known the next time
                staging.sync(self.file)
            return len(waiting)

    def all(self) -> list[Decision]:
        """Return every decision, those of the fact table first, without changing anything."""
        with self._held():
            waiting = self._waiting()
            rows = self._facts["decisions"].read(COLUMNS).to_pylist()
        known = {row["decision_id"] for row in rows}
        return [Decision(**row) for row in rows] + [each for each in waiting if each.decision_id not in known]

    @property
    def _facts(self) -> Facts:
        return Facts(self.home / "facts")

    @contextmanager
    def _held(self) -> Iterator[None]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.file.with_suffix(".lock")):
            yield

    def _stored(self, names: Iterable[str]) -> dict[str, Decision]:
        wanted, table = sorted(names), self._facts["decisions"]
        found: dict[str, Decision] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            where = is_in("decision_id", wanted[start : start + _AT_ONCE])
            found |= {row["decision_id"]: Decision(**row) for row in table.read(COLUMNS, where).to_pylist()}
        return found

    def _waiting(self) -> list[Decision]:
        """Return the decisions of the file. Ends at its last whole line."""
        data = self.file.read_bytes() if self.file.exists() else b""
        lines, found = data[: data.rfind(b"\n") + 1].split(b"\n"), []
        for number, line in enumerate(lines, 1):
            if line:
                try:
                    found.append(checked(json.loads(line)))
                except (ValueError, TypeError, AttributeError, DecisionError) as error:
                    why = f"{self.file}, line {number}: {error}; it is no decision that this program wrote"
                    raise DecisionLogError(f"{why}; move the file away and import what it holds") from None
        return found

    def _append(self, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        new = not self.file.exists()
        whole = 0 if new else self.file.read_bytes().rfind(b"\n") + 1
        # unbuffered: a buffer that a full disk did not take is written once more when the file is closed
        with self.file.open("ab", buffering=0) as file:
            file.truncate(whole)  # a killed process left part of a line, which nobody was told of
            left = memoryview(b"".join(lines))
            try:
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)
                raise
        if new:  # the entries that lead to it, too
            staging.sync(self.file.parent)
            staging.sync(self.home)


def _line(decision: Decision) -> bytes:
    values = decision.as_dict() | {"decided_at": decision.decided_at.isoformat()}
    return json.dumps({name: value for name, value in values.items() if value is not None}).encode() + b"\n"
