"""An optional storage for `dagster.yaml`: Dagster's SQLite files, with connections that stay open.

What belongs here: connecting to Dagster's run and event log files. What does not: their content (Dagster's), their
location and the rest of the instance (`runtime/instance.py`).

Dagster opens each file anew for every event, with an engine that compiles every statement again, and flushes to the
disk on every commit. Here a file keeps its engine and one connection. Write-ahead logs without a flush per commit
(`synchronous = normal`) survive a killed process; a power failure may lose the last events, and leaves the file whole.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster import EventLogEntry
from dagster._core.event_api import EventHandlerFn
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import QueuePool
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

_KEPT = 8
"""Files kept open: the index, and the event logs of the runs asked for last. The UI reads those of every run."""


class Engines:
    """An engine for each file, with one connection that stays open. Other threads' connections close after use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[tuple[int, int, int], sa.Engine]] = OrderedDict()

    @contextmanager
    def transaction(self, path: str) -> Iterator[sa.Connection]:
        """Connect to an existing file and commit at the end. Raises FileNotFoundError."""
        with self._engine(path).connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            while self._kept:
                self._kept.popitem()[1][1].dispose()

    def _engine(self, path: str) -> sa.Engine:
        stat = Path(path).stat()
        # a file that was removed and made again is another one, and a forked process must not use its parent's
        which = (stat.st_dev, stat.st_ino, os.getpid())
        with self._lock:
            known, engine = self._kept.pop(path, (None, None))
            if engine is None or known != which:
                if engine is not None:
                    engine.dispose()
                engine = _open(path)
            self._kept[path] = (which, engine)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)[1][1].dispose()
        return engine


def _open(path: str) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=path),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=-1,
        connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )
    sa.event.listen(engine, "connect", _settle)
    return engine


def _settle(connection: Any, _: object) -> None:  # noqa: ANN401 -- the driver's own
    if connection.execute("pragma journal_mode").fetchall() == [("wal",)]:  # else it is needed to keep the file whole
        connection.execute("pragma synchronous = normal")


class Events(SqliteEventLogStorage):
    """The event logs: a file a run, and the index of all that concerns assets."""

    _obs: Any

    def __init__(self, base_dir: str) -> None:
        self._engines = Engines()
        self._held: dict[str, sa.Connection] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir)
        self._db_lock = threading.RLock()  # type: ignore[assignment]  # a batch connects within its connections

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            if shard in self._held:
                yield self._held[shard]
                return
            path = self.path_for_shard(shard)
            if shard not in self._initialized_dbs or not Path(path).exists():
                self._initdb(sa.create_engine(self.conn_string_for_shard(shard), poolclass=sa.NullPool))
                self._initialized_dbs.add(shard)
            with self._engines.transaction(path) as connection:
                yield connection

    def has_table(self, table_name: str) -> bool:
        """Return whether the index has a table. Dagster asks before most events, and tables stay."""
        if table_name not in self._tables:
            with self._connect(INDEX_SHARD_NAME) as connection:
                if not sa.inspect(connection).has_table(table_name):
                    return False
            self._tables.add(table_name)
        return True

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store all events in one transaction for each file."""
        with self._db_lock, ExitStack() as held:
            for shard in sorted({INDEX_SHARD_NAME, *(event.run_id for event in events)}):
                self._held[shard] = connection = held.enter_context(self._connect(shard))
                held.callback(self._held.pop, shard, connection)
            super().store_event_batch(events)

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Call back on each new event of a run, including events that are only in the write-ahead log.

        Args:
            run_id: The run.
            cursor: Where to begin.
            callback: Takes an event and its cursor.
        """
        if not self._obs:
            self._obs = Observer()
            self._obs.start()
        watchdog = _Watchdog(self, run_id, callback, cursor)
        self._watchers[run_id][callback] = (watchdog, self._obs.schedule(watchdog, self._base_dir, recursive=True))

    def dispose(self) -> None:
        """Close every connection. The last one of all processes merges the write-ahead log into the file."""
        super().dispose()
        self._engines.close()


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Watches the write-ahead log too: the file that Dagster watches does not change until a connection closes."""

    @property
    def patterns(self) -> list[str]:
        return [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:
        self._process_log()


class Runs(SqliteRunStorage):
    """The file of runs and their tags."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(conn_string, inst_data)
        self._engines = Engines()
        self._path = str(sa.make_url(conn_string).database)

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Connect, and commit at the end."""
        with self._engines.transaction(self._path) as connection:
            yield connection

    def dispose(self) -> None:
        """Close every connection."""
        super().dispose()
        self._engines.close()


class Records(DagsterSqliteStorage):
    """All of Dagster's records in a folder, in the same files as its own SQLite storage."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super(DagsterSqliteStorage, self).__init__()  # not its own, which would open all files another time
        self.base_dir, self._inst_data = base_dir, inst_data
        history = Path(base_dir) / "history"
        self._run_storage = Runs.from_local(str(history))
        self._event_log_storage = Events(str(history / "runs"))
        self._schedule_storage = SqliteScheduleStorage.from_local(str(Path(base_dir) / "schedules"))

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData, config_value: dict[str, str]
    ) -> "Records":
        """Build it as `dagster.yaml` says.

        Args:
            inst_data: The configuration that names this class.
            config_value: The folder, as `base_dir`.
        """
        return cls.from_local(inst_data=inst_data, **config_value)
