"""The name under which `dagster.yaml` files of earlier releases ask for Dagster's SQLite storage.

What belongs here: that name alone. What does not: storage; the files are Dagster's own.
"""

from dagster._core.storage.sqlite_storage import DagsterSqliteStorage as Records

__all__ = ["Records"]
