"""A disk that takes no more is reported with the folder and the fix, in whatever words a library says it."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Landing, command

from orchestration.runtime.full_disks import explained
from tests.mounts import mounted
from transforms.storage.full_disks import is_full

MUCH = pa.table({"number": np.random.default_rng(1).random(400_000)})


def by_python(folder: Path) -> None:
    (folder / "file").write_bytes(bytes(4_000_000))


def by_arrow(folder: Path) -> None:
    pq.write_table(MUCH, folder / "file.parquet", compression=None, use_dictionary=False)


def by_lance(folder: Path) -> None:
    lance.write_dataset(MUCH, str(folder / "facts.lance"))


def by_duckdb(folder: Path) -> None:
    with duckdb.connect(str(folder / "rows.duckdb")) as con:
        con.execute("create table rows as select random() as r from range(400_000)")


def by_sqlite(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "records.db")) as con:
        con.execute("create table records (content blob)")
        con.execute("insert into records values (zeroblob(4000000))")
        con.commit()


@pytest.mark.parametrize("write", [by_python, by_arrow, by_lance, by_duckdb, by_sqlite])
def test_each_library_is_understood_on_a_full_disk(write: Callable[[Path], None], tmp_path: Path) -> None:
    with mounted(tmp_path / "home", "size=1m") as home:
        with pytest.raises((OSError, duckdb.Error, sqlite3.Error)) as full:
            write(home)
        said = explained(str(full.value), {home: "move `home`", tmp_path: "point TMPDIR"})
    assert said is not None and said.startswith(f"the disk of {home}") and said.endswith("move `home` to a larger disk")
    assert is_full(full.value) == (write in {by_python, by_arrow})


_LIMITED = """
import resource, sys
from pathlib import Path
import test_full_disks as tests
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    getattr(tests, sys.argv[1])(Path(sys.argv[2]))
except Exception as error:
    print(tests.explained(str(error), {Path(sys.argv[2]): "move `home`"}))
"""


@pytest.mark.parametrize(
    "write", [*(pytest.param(each, marks=pytest.mark.thorough) for each in (by_python, by_arrow)), by_lance, by_duckdb]
)
def test_a_limit_of_the_size_of_files_is_understood(write: Callable[[Path], None], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", _LIMITED, write.__name__, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{Path(__file__).parent}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "takes no larger files: raise `ulimit -f`, or move `home` to another disk" in done.stdout, done.stderr
    assert done.stdout.startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (f"[Errno 28] No space left on device: '{ROOT}/a/b'", f"the disk of {ROOT}/a/b is full ("),
        (f'Could not write file "{ROOT}/x.duckdb": No space left on device', f"the disk of {ROOT}/x.duckdb is full"),
        ("LanceError(IO): Disk quota exceeded (os error 122), /build/commit.rs:1:5", f"the quota at {ROOT} is used up"),
        ("[Errno 30] Read-only file system", f"{ROOT} is mounted read-only: mount it for writing, or move `home`"),
        (
            "[Errno 30] Read-only file system: '/else/x'",
            "/else/x is mounted read-only: mount it for writing, or move it",
        ),
        (
            f'Could not write file "{ROOT}/.writing-x1/o.parquet": No space left on device',
            f"the disk of {ROOT} is full (",
        ),
        (f"[Errno 28] No space left on device: '/in/a' -> '{ROOT}/b'", f"the disk of {ROOT}/b is full ("),
        (f'[Errno 28] No space left on device: "{ROOT}/it\'s"', f"the disk of {ROOT}/it's is full ("),
        (f"can't write '{ROOT}/x': No space left on device", f"the disk of {ROOT}/x is full ("),
        ("step failed: OSError: [Errno 28] No space left on device", f"the disk of {ROOT} is full ("),
        ("(sqlite3.OperationalError) database or disk is full\n[SQL: insert]", f"the disk of {ROOT} is full ("),
        ("No such file or directory (os error 2)", None),
        ("disk I/O error", None),  # there is room: the disk is broken
        ("shard 28: os error 280", None),
    ],
)
def test_path_and_kind_are_those_of_the_message(message: str, says: str | None) -> None:
    said = explained(message, {ROOT: "move `home`"})
    assert said is None if says is None else (said or "").startswith(says), said


@pytest.mark.parametrize(
    "reason",
    [
        "[Errno 2] No such file or directory: '/in/No space left on device.png'",
        "Conversion Error: Could not convert string 'No space left on device' to INT32",
        "/in/rows.csv: line 2: File too large.jpg is no number; correct it",
        "a caption of row 3, Read-only file system, is too long",
        "the caption 'a \x1b[31mdisk: (os error 28)' is refused",
    ],
)
def test_words_that_a_file_brings_do_not_take_the_place_of_the_reason(reason: str) -> None:
    said = explained(reason, {ROOT: "move `home`"})
    assert said is not None and said.startswith(f"{reason.replace(chr(27), '⟨U+001B⟩')}; perhaps ")
    assert "move" in said.rpartition("; perhaps ")[2]


def test_a_run_that_fills_its_disk_says_so(landing: Landing) -> None:
    with mounted(landing.home, "size=16k") as home:
        stopped = command(landing.config, "run", check=False)
    assert stopped.returncode == 1
    last = stopped.stderr.splitlines()[-1]
    assert last.startswith(f"raisonne: the run stopped, nothing is published yet: the disk of {home} is full (")
    assert last.endswith("free some of it, or move `home` to a larger disk")


def test_where_no_path_is_said_it_is_the_home_of_the_facts_or_the_fullest_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=1m") as small:
        places = {tmp_path: "move `home`", small: "point TMPDIR"}
        for message, path in (("LanceError(IO): (os error 28), /build/a.rs:1:5", tmp_path), ("[Errno 28] ", small)):
            assert (explained(f"{message}No space left on device", places) or "").startswith(f"the disk of {path} is")
