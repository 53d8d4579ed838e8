"""What a service keeps of its checks: the record of each for a time, and the answers of people to them for good.

What belongs here: the audit log (SQLite) and the log of answers (JSON lines). What does not: the log of a warehouse
(`guard/log.py`), requests (`guard/service/app.py`). Neither holds any part of an image.
"""

import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transforms.guard import Verdict

_LOG = logging.getLogger("raisonne.guard")
CONFIRM, DECONFIRM = "confirm", "deconfirm"
AUDIT, ANSWERS = "checks.sqlite", "answers.jsonl"
_DAY, _HOUR = 86_400.0, 3_600.0
_TABLE = """
create table if not exists checks (
    check_id text primary key, at real not null, client text not null, decision text not null, would text,
    verdict text not null, sha256 text, pixel_sha256 text, bundle text not null, answer text not null
);
create index if not exists checks_at on checks (at);
"""


class NoRecord(LookupError):
    """There is no record of a check: it is unknown, or older than records are kept."""


class CheckRecords:
    """The records of a service, below one folder. Any number of threads may use them.

    Args:
        folder: It is made if it is not there.
        days: For which the record of a check is kept.
    """

    def __init__(self, folder: Path, days: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._answers, self._kept_s = folder / ANSWERS, days * _DAY
        self._lock = threading.Lock()
        self._purged: float | None = None
        self._con = sqlite3.connect(folder / AUDIT, check_same_thread=False, timeout=30, isolation_level=None)
        self._con.execute("pragma journal_mode = wal")
        self._con.execute("pragma synchronous = normal")
        self._con.execute("pragma auto_vacuum = incremental")
        self._con.executescript(_TABLE)

    def add(self, name: str, client: str, verdict: Verdict) -> None:
        """Keep the record of a check, and forget those that are too old. Raises sqlite3.Error.

        Args:
            name: Of the check.
            client: Who asked.
            verdict: As it was answered.
        """
        now = time.time()
        row = (
            *(name, now, client, verdict.decision, verdict.would, verdict.verdict),
            *(verdict.sha256, verdict.pixel_sha256, verdict.searched.bundle, json.dumps(verdict.as_dict())),
        )
        with self._lock:
            self._con.execute("insert or replace into checks values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            if self._purged is None or time.monotonic() - self._purged > _HOUR:
                self._purged = time.monotonic()  # the clock of the day may have been wrong, and set back
                self._con.execute("delete from checks where at < ?", [now - self._kept_s])
                self._con.execute("pragma incremental_vacuum")

    def why(self, name: str) -> dict[str, Any]:
        """Return the record of a check. Raises NoRecord.

        Args:
            name: Of the check.
        """
        with self._lock:
            found = self._con.execute(
                "select at, client, answer from checks where check_id = ? and at >= ?",
                [name, time.time() - self._kept_s],
            ).fetchone()
        if found is None:
            raise NoRecord("no check of that name is kept")
        at, client, answer = found
        said = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        return {"check_id": name, "checked_at": said, "client": client, "answer": json.loads(answer)}

    def answered(self, name: str, rule: str, by: str, why: str) -> Mapping[str, Any]:
        """Keep what somebody says of a check, for good, and return it. Raises NoRecord, and OSError.

        Args:
            name: Of the check.
            rule: CONFIRM if the decision was right, DECONFIRM if it was wrong.
            by: Who says so.
            why: Their reason.
        """
        record = self.why(name)
        answer = record["answer"]
        line = {
            "check_id": name,
            "answer": rule,
            "by": by,
            "why": why,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "decision": answer["decision"],
            "would": answer["would"],
            "verdict": answer["verdict"],
            "sha256": answer["sha256"],
            "pixel_sha256": answer["pixel_sha256"],
            "cluster_ids": [source["cluster_id"] for source in answer["sources"]],
            "sample_ids": [source["sample_id"] for source in answer["sources"]],
            "bundle": answer["searched"]["bundle"],
        }
        with self._lock, self._answers.open("ab") as file:
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return line

    def close(self) -> None:
        """Close the log."""
        with self._lock:
            self._con.close()
