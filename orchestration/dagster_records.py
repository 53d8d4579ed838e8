"""The module name by which `dagster.yaml` files of earlier releases load `runtime/sqlite_storage.py`.

What belongs here: that name alone. What does not: storage.
"""

from orchestration.runtime.sqlite_storage import Records

__all__ = ["Records"]
