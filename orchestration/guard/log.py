"""The log of the guard: every verdict as a fact, for curators.

What belongs here: writing verdicts as rows of `guard_checks`, in batches. What does not: the published table
(`sql/provenance/guard_log.sql`), deciding (`transforms/guard/`). The log keeps digests of images, never an image.
"""

import logging
import queue
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestration.facts import Facts, FactTable
from transforms.guard import Verdict
from transforms.readable import count

_LOG = logging.getLogger("raisonne.guard")
_REFUSED = (OSError, ValueError, RuntimeError)  # Lance raises any of them for files it cannot read or write
_WAITING = 100_000  # verdicts kept in memory while the table cannot be written
_BATCH, _SECONDS = 5_000, 5.0  # a commit takes 20 ms and adds a file


class NotLogged(RuntimeError):
    """Checks were answered but not logged. The message gives their count."""


def row(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as a row of `guard_checks`."""
    evidence = verdict.evidence
    return {
        "check_id": uuid.uuid4().hex,
        "checked_at": datetime.now(UTC),
        "bundle": verdict.searched.bundle,
        "overrides": verdict.searched.overrides,
        "decision": verdict.decision,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "method": evidence.method if evidence else None,
        "value": evidence.value if evidence else None,
        "threshold": evidence.threshold if evidence else None,
        "p_value": verdict.p_value,
        "sha256": verdict.sha256,
        "pixel_sha256": verdict.pixel_sha256,
        "cluster_ids": [source.cluster_id for source in verdict.sources],
        "override": verdict.override,
        "latency_ms": verdict.latency_ms,
    }


@dataclass
class _Held:
    """Rows that wait to be written, and the last error."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    reason: str = "the writer ended"


@contextmanager
def open_log(home: Path) -> Iterator[Callable[[Verdict], None]]:
    """Yield a function that queues a verdict for a writing thread. The context waits for the thread at its end.

    If the table cannot be written, checks continue: the error is logged, and up to 100,000 verdicts wait for the next
    try. Raises NotLogged at the end if some verdicts are still not written.
    """
    held = _Held()
    waiting: queue.Queue[dict[str, Any]] = queue.Queue(_WAITING)
    ended = threading.Event()
    writer = threading.Thread(
        target=_write, args=(Facts(home / "facts")["guard_checks"], waiting, held, ended), name="log"
    )
    writer.start()

    def record(verdict: Verdict) -> None:
        try:
            waiting.put_nowait(row(verdict))
        except queue.Full:
            _LOG.error("check not logged", extra={"reason": f"{_WAITING:,} verdicts wait to be written"})

    try:
        yield record
    finally:
        ended.set()
        writer.join()
        if lost := len(held.rows) + waiting.qsize():
            raise NotLogged(f"{count(lost, 'check')} answered, but not logged in {home}: {held.reason}")


def _write(table: FactTable, waiting: "queue.Queue[dict[str, Any]]", held: _Held, ended: threading.Event) -> None:
    last = False
    while not last:
        last = ended.wait(_SECONDS)  # write what was put before the end, too
        while held.rows or not waiting.empty():
            while len(held.rows) < _BATCH and not waiting.empty():
                held.rows.append(waiting.get_nowait())
            try:
                table.migrate()
                table.append(pa.Table.from_pylist(held.rows, table.schema).to_batches())
            except _REFUSED as error:
                held.reason = str(error)
                _LOG.error(
                    "checks not logged", extra={"waiting": len(held.rows) + waiting.qsize(), "reason": held.reason}
                )
                break
            held.rows.clear()
