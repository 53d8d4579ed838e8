"""A DuckLake as a second place of publishing, for readers on other machines and for more of them than a file has.

What belongs here: writing a published version into a lake, opening one of its versions, removing old ones. What does
not: the versioned files, of which a lake is a copy (`warehouse/publishing/`), building them (`warehouse/version.py`).

A version is one snapshot, committed in one transaction after the version stands as a file. So a reader never sees half
of one, a killed publish leaves the last one standing, and the next run brings the lake up to the file. The message of
the snapshot names the version.
"""

from orchestration.warehouse.lake.attaching import LakeUnavailable, NotInLake, trouble
from orchestration.warehouse.lake.duckdb_extensions import NoLakeExtension, installed, require
from orchestration.warehouse.lake.reading import NAME, connect, cursor, data_folder, numbers, open_published
from orchestration.warehouse.lake.writing import LakeNotKept, LakeRefused, WrittenVersion, bring_up, follow

__all__ = [
    "NAME",
    "LakeNotKept",
    "LakeRefused",
    "LakeUnavailable",
    "NoLakeExtension",
    "NotInLake",
    "WrittenVersion",
    "bring_up",
    "connect",
    "cursor",
    "data_folder",
    "follow",
    "installed",
    "numbers",
    "open_published",
    "require",
    "trouble",
]
