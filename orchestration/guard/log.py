"""Checks of the guard as facts: who was let out, who was not, and why, for curators to look at.

What belongs here: from verdicts to rows of `guard_checks`, a batch at a time. What does not: what a curator reads of it
(`sql/provenance/guard_log.sql`), what the guard decides (`transforms/guard/`). No image is kept, only its digests.
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

_LOG = logging.getLogger("raisonne.guard")
_REFUSED = (OSError, ValueError, RuntimeError)  # Lance raises any of them where files cannot be read or written
_WAITING = 100_000  # verdicts held while the table cannot be written
_BATCH, _SECONDS = 5_000, 5.0  # a commit takes some 20 ms and leaves a file


class NotLogged(RuntimeError):
    """Checks were answered and could not be noted; the message says how many."""


def row(verdict: Verdict) -> dict[str, Any]:
    """Return what is kept of a verdict."""
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
    """Rows that are being written, and why they could not be."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    reason: str = "the writer ended"


@contextmanager
def opened(home: Path) -> Iterator[Callable[[Verdict], None]]:
    """Yield what notes a verdict in a warehouse and returns at once; all are written at the end.

    A table that cannot be written does not stop checks: it is logged, and the verdicts wait for the next try, the
    oldest 100,000 of them. Raises NotLogged at the end for those that could not be written at last.
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
            raise NotLogged(f"{lost:,} checks were answered, but not noted in {home}: {held.reason}")


def _write(table: FactTable, waiting: "queue.Queue[dict[str, Any]]", held: _Held, ended: threading.Event) -> None:
    last = False
    while not last:
        last = ended.wait(_SECONDS)  # what was put before the end is still written
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
