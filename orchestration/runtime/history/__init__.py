"""Dagster's history of runs in its SQLite files.

What belongs here: deleting the logs of old runs, and reading how runs ended. What does not: where the files are
(`runtime/instance.py`), a faster way to write them (`runtime/sqlite_storage.py`).
"""
