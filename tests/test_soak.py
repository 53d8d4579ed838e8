"""The pieces of the soak: readers notice what they are there for, and odd files land whole. `make soak` runs it."""

import json
import random
import shutil
import threading
from pathlib import Path

import duckdb
import pytest
from conftest import Landing

from tests.soak import readers, runs
from tests.soak.inputs import Inputs, rows_of


def publish(file: Path, version: int, value: int) -> Path:
    """Write a published file in small: the tables that readers look at, each with one row."""
    with duckdb.connect(str(file)) as con:
        for table in readers._TABLES:
            con.execute(f"create schema if not exists {table.split('.')[0]}")
            con.execute(f"create table {table} as select {version} as version, {value} as value")
    return file


def test_readers_tell_versions_apart_and_notice_one_that_changed_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    files = [
        publish(tmp_path / f"{number}.duckdb", version, value)
        for number, (version, value) in enumerate(((1, 5), (1, 5), (2, 5), (2, 6)))
    ]
    seen = [readers.look(file) for file in files]
    assert [version for version, _ in seen] == [1, 1, 2, 2]
    assert seen[0] == seen[1] != seen[2] != seen[3]

    link, log, ended = tmp_path / "link.duckdb", tmp_path / "log", threading.Event()
    ended.set()
    readers.read(str(link), str(log), ended)  # it ended before it began
    assert log.read_text() == ""
    lines = [seen[0], seen[2], seen[3], seen[0], "IOException: no file"]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    judged = readers.judged([log])
    assert (judged.reads, judged.mixed, judged.backwards) == (5, [2], 1)
    assert judged.errors == {"IOException: no file": 1}


def test_a_reader_reads_until_it_is_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "_PAUSE", 0.0)
    log, ended = tmp_path / "log", threading.Event()
    file = publish(tmp_path / "1.duckdb", 1, 5)
    reading = threading.Thread(target=readers.read, args=(str(file), str(log), ended))
    reading.start()
    while not log.exists() or log.read_text().count("\n") < 3:
        assert reading.is_alive()
    ended.set()
    reading.join()
    assert readers.judged([log]).errors == {}


def test_everything_that_may_land_lands_whole(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    landing.write_config()
    inputs = Inputs(landing, random.Random(3))  # noqa: S311 -- nothing secret
    changes = {inputs.change() for _ in range(30)}
    assert changes == {"shard", "gone", "generation", "odd"}
    assert list((tmp_path / "odd").iterdir())
    assert not list(tmp_path.rglob("*.new"))
    assert len({row.data for row in rows_of(0, 2)}) == 2


def test_a_home_has_a_disk_that_is_full_at_its_end_where_one_may_be_mounted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with runs.disk(home) as own:
        assert home.is_dir()
        if own:
            assert shutil.disk_usage(home).total <= runs._DISK
    assert not list(home.iterdir())
