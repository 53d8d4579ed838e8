"""Readers see whole versions and nothing else, whatever happens to writers: killed, refused, strayed, out of disk.

Writers, readers and victims are processes of their own. Every version n holds the number n in `a` and in `b`.
"""

import fcntl
import multiprocessing as mp
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.warehouse import publishing
from orchestration.warehouse.publishing import Busy, NotClosed, NotPublished, Version

SPAWN = mp.get_context("spawn")
PATIENCE_S = 600
PUBLISHED = 30


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "warehouse"


def fill(build: Path, number: int) -> None:
    with duckdb.connect(str(build)) as con:
        con.execute(f"create or replace table a as select {number} as n")
        con.execute(f"create or replace table b as select {number} as n")


def release(home: Path, *, keep: int = 3, from_current: bool = False) -> tuple[Version, list[Version]]:
    """Build and publish the next version; the caller holds the writer's lock."""
    number = publishing.next_number(home)
    build = publishing.begin(home, "test/run", from_current=from_current)
    fill(build, number)
    return publishing.publish(home, build, number, keep=keep)


def run(home: Path, *, keep: int = 3) -> tuple[Version, list[Version]]:
    with publishing.writer(home, run="test/run", wait_s=0):
        return release(home, keep=keep)


def plain(path: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(path), read_only=True)


def seen(con: duckdb.DuckDBPyConnection) -> int:
    """Return the number of the version; fails if the tables are of two versions, or have rows of their own."""
    with con:
        a, b = con.execute("select n from a").fetchall(), con.execute("select n from b").fetchall()
    assert a == b, f"mixed version: {a} and {b}"
    assert len(a) == 1, f"foreign rows: {a}"
    return int(a[0][0])


def process(target: Callable[..., None], *args: Any) -> tuple[Any, Connection]:  # noqa: ANN401
    """Start `target(pipe, *args)` in a fresh interpreter; return it and our end of the pipe."""
    ours, theirs = SPAWN.Pipe()
    child = SPAWN.Process(target=target, args=(theirs, *args), daemon=True)
    child.start()
    theirs.close()  # so that a child's death ends a wait for its words
    return child, ours


def hear(pipe: Connection) -> Any:  # noqa: ANN401
    assert pipe.poll(PATIENCE_S), "the process did not answer"
    return pipe.recv()


# Readers beside a writer


def read_through_the_link(pipe: Connection, home: Path, last: int) -> None:
    numbers = [seen(plain(home / publishing.LINK))]
    pipe.send("reading")
    until = time.monotonic() + PATIENCE_S
    while numbers[-1] < last and time.monotonic() < until:
        numbers.append(seen(plain(home / publishing.LINK)))
    pipe.send(numbers)


def read_in_one_long_life(pipe: Connection, home: Path, last: int) -> None:
    pinned = publishing.connect(home)
    first = pinned.execute("select n from a").fetchall()
    numbers = [seen(publishing.connect(home))]
    pipe.send("reading")
    until = time.monotonic() + PATIENCE_S
    while numbers[-1] < last and time.monotonic() < until:
        numbers.append(seen(publishing.connect(home)))
        assert pinned.execute("select n from b").fetchall() == first, "an open connection left its version"
    pipe.send(numbers)


def write_many(pipe: Connection, home: Path) -> None:
    pipe.recv()
    for _ in range(PUBLISHED):
        run(home, keep=3)
    pipe.send("written")


def test_readers_see_whole_versions_in_order_while_thirty_are_published(home: Path) -> None:
    run(home)
    last = 1 + PUBLISHED
    readers = [process(read, home, last) for read in (read_through_the_link, read_in_one_long_life)]
    child, writing = process(write_many, home)
    for _, pipe in readers:
        assert hear(pipe) == "reading"
    writing.send("go")
    for _, pipe in readers:
        numbers = hear(pipe)
        assert numbers == sorted(numbers)
        assert numbers[0] == 1
        assert numbers[-1] == last
        assert len(set(numbers)) > 3, "the reader and the writer hardly met"
    assert hear(writing) == "written"
    child.join(PATIENCE_S)
    assert [v.number for v in publishing.versions(home)] == [last - 2, last - 1, last]


# Killed writers


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_building(home: Path) -> None:
    build = publishing.begin(home, "victim", from_current=False)
    con = duckdb.connect(str(build))
    con.execute("create table a as select 2 as n")
    die()


def die_before_the_rename(home: Path) -> None:
    pytest.MonkeyPatch().setattr(os, "rename", lambda *_: die())
    release(home, keep=1)


def die_before_the_swap(home: Path) -> None:
    pytest.MonkeyPatch().setattr(os, "replace", lambda *_: die())
    release(home, keep=1)


def die_after_the_swap(home: Path) -> None:
    replace = os.replace

    def swap_and_die(*paths: Any) -> None:  # noqa: ANN401
        replace(*paths)
        die()

    pytest.MonkeyPatch().setattr(os, "replace", swap_and_die)
    release(home, keep=1)


def victim(_: Connection, home: Path, death: Callable[[Path], None]) -> None:
    with publishing.writer(home, run="victim", wait_s=0):
        death(home)


@pytest.mark.parametrize(
    ("death", "stands", "follows"),
    [
        (die_while_building, 1, 2),
        (die_before_the_rename, 1, 3),  # 2 was claimed and is skipped
        (die_before_the_swap, 1, 3),
        (die_after_the_swap, 2, 3),
    ],
)
def test_a_killed_writer_leaves_a_version_standing_and_the_lock_free(
    home: Path, death: Callable[[Path], None], stands: int, follows: int
) -> None:
    run(home)
    child, _ = process(victim, home, death)
    child.join(PATIENCE_S)
    assert child.exitcode == -signal.SIGKILL
    assert seen(publishing.connect(home)) == seen(plain(home / publishing.LINK)) == stands
    assert publishing.versions(home)[-1].number == stands
    assert list((home / "builds").iterdir()), "a killed run leaves its files: the next assertion must mean something"

    with publishing.writer(home, run="next", wait_s=0):
        assert not list((home / "builds").iterdir())
        version, _ = release(home)
    assert version.number == follows
    assert seen(publishing.connect(home)) == follows
    left = [path.name for path in (home / "versions").glob("*.duckdb")]
    assert sorted(left) == [v.path.name for v in publishing.versions(home)], "an unpublished file stayed"
    assert 1 <= len(left) <= 3
    assert not (home / "writer.json").exists()


# One writer


def hold(pipe: Connection, home: Path) -> None:
    with publishing.writer(home, run="nightly", wait_s=0):
        pipe.send("held")
        pipe.recv()


def test_a_second_writer_is_refused_with_the_holder_named(home: Path) -> None:
    child, pipe = process(hold, home)
    assert hear(pipe) == "held"
    said: list[str] = []
    with (
        pytest.raises(Busy, match=rf"run nightly \(pid {child.pid} on .*, since .*publishing\.lock_wait_s"),
        publishing.writer(home, run="second", wait_s=0.1, on_wait=said.append),
    ):
        pytest.fail("two writers at once")
    assert len(said) == 1
    assert f"pid {child.pid}" in said[0]
    pipe.send("end")
    child.join(PATIENCE_S)


def test_whoever_asks_who_writes_is_not_taken_for_a_writer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing.writer_lock, "_LOOK_S", PATIENCE_S)
    run(home)
    assert publishing.holder(home) is None
    with (home / "writer.lock").open("rb") as asking:  # as `holder` has it, for longer
        fcntl.flock(asking, fcntl.LOCK_SH)
        assert publishing.holder(home) is None, "another who asks is none either"
        end = threading.Timer(0.2, fcntl.flock, (asking, fcntl.LOCK_UN))
        end.start()
        with publishing.writer(home, run="second", wait_s=0, on_wait=pytest.fail):
            assert "run second" in (publishing.holder(home) or "")
        end.join()


def test_a_second_writer_waits_for_the_first(home: Path) -> None:
    child, pipe = process(hold, home)
    assert hear(pipe) == "held"
    with publishing.writer(home, run="second", wait_s=PATIENCE_S, on_wait=pipe.send):
        assert release(home)[0].number == 1
    child.join(PATIENCE_S)
    assert child.exitcode == 0


def test_a_second_writer_in_the_same_process_is_refused_too(home: Path) -> None:
    with (
        publishing.writer(home, run="first", wait_s=0),
        pytest.raises(Busy, match="run first"),
        publishing.writer(home, run="second", wait_s=0, on_wait=pytest.fail),  # it says nothing of waiting
    ):
        pytest.fail("two writers at once")
    run(home)


# Logs that do not belong


def write_and_die(pipe: Connection, path: Path) -> None:
    con = duckdb.connect(str(path))
    try:
        con.execute("insert into a values (999)")
    except duckdb.Error as refusal:
        pipe.send(str(refusal))
    else:
        pipe.send("committed")
    die()


def stray_log(tmp_path: Path, version: Version) -> bytes:
    """Return a log that DuckDB would replay into `version`: a commit of a killed writer on a copy of it."""
    copy = tmp_path / version.path.name
    copy.write_bytes(version.path.read_bytes())
    child, pipe = process(write_and_die, copy)
    assert hear(pipe) == "committed"
    child.join(PATIENCE_S)
    with plain(copy) as con:
        assert con.execute("select n from a").fetchall() == [(version.number,), (999,)], "logs are replayed no more"
    return copy.with_name(f"{copy.name}.wal").read_bytes()


def place(log: bytes, path: Path) -> None:
    path.unlink(missing_ok=True)  # the guard: writing through it is impossible
    path.write_bytes(log)


@pytest.mark.parametrize("through_the_link", [True, False])
def test_nobody_can_commit_into_a_published_version(home: Path, through_the_link: bool) -> None:
    version, _ = run(home)
    version.path.chmod(0o644)  # as for root, whom the mode does not stop
    child, pipe = process(write_and_die, home / publishing.LINK if through_the_link else version.path)
    assert "Cannot open file" in hear(pipe)
    child.join(PATIENCE_S)
    assert seen(plain(home / publishing.LINK)) == seen(plain(version.path)) == seen(publishing.connect(home)) == 1


def test_a_stray_log_beside_the_published_version_is_not_replayed(home: Path, tmp_path: Path) -> None:
    version, _ = run(home)
    log = version.path.with_name(f"{version.path.name}.wal")
    place(stray_log(tmp_path, version), log)
    assert seen(publishing.connect(home)) == 1
    assert seen(plain(home / publishing.LINK)) == 1, "connect() puts the guard back for everybody"


def test_a_stray_log_that_a_reader_may_not_remove_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version, _ = run(home)
    log = version.path.with_name(f"{version.path.name}.wal")
    place(b"whatever", log)
    monkeypatch.setattr(os, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError("read-only")))
    with pytest.raises(NotPublished, match=rf"{log.name} would be replayed.*remove it"):
        publishing.connect(home)


def test_publishing_removes_stray_logs(home: Path, tmp_path: Path) -> None:
    version, _ = run(home)
    stray = stray_log(tmp_path, version)
    for path in (
        home / "raisonne.duckdb.wal",
        home / "versions" / "raisonne-000001.duckdb.wal",
        home / "versions" / "raisonne-000001.duckdb.wal.recovery",
    ):
        place(stray, path)
    with publishing.writer(home, run="next", wait_s=0):
        number = publishing.next_number(home)
        build = publishing.begin(home, "next", from_current=False)
        fill(build, number)
        place(stray, home / "versions" / f"raisonne-{number:06d}.duckdb.wal")  # waits for the file to come
        number = publishing.next_number(home)
        publishing.publish(home, build, number, keep=3)
    assert seen(plain(home / publishing.LINK)) == seen(publishing.connect(home)) == 2
    assert seen(plain(version.path)) == 1
    assert not [path for path in home.rglob("*.wal*") if not path.is_symlink()]


# Publishing


def test_the_layout(home: Path) -> None:
    version, pruned = run(home)
    assert (version.number, pruned) == (1, [])
    assert (home / publishing.LINK).readlink() == Path("versions/raisonne-000001.duckdb")
    assert version.path.stat().st_mode & 0o777 == 0o444
    assert publishing.current(home) == version


def test_the_last_versions_stay_and_the_current_always(home: Path) -> None:
    with publishing.writer(home, run="many", wait_s=0):
        pruned = [[v.number for v in release(home, keep=2)[1]] for _ in range(4)]
        assert pruned == [[], [], [1], [2]]
        assert [v.number for v in publishing.versions(home)] == [3, 4]
        assert [v.number for v in release(home, keep=1)[1]] == [3, 4]
    assert publishing.versions(home) == [publishing.current(home)]
    assert len(list((home / "versions").iterdir())) == 2, "the file and its guard"


def test_nothing_is_published_that_keeps_no_version_or_reuses_a_number(home: Path) -> None:
    run(home)
    with publishing.writer(home, run="wrong", wait_s=0):
        build = publishing.begin(home, "wrong", from_current=True)
        with pytest.raises(ValueError, match="keep must be at least 1"):
            publishing.publish(home, build, 2, keep=0)
        with pytest.raises(ValueError, match=r"version 1 is taken.*now 2"):
            publishing.publish(home, build, 1, keep=3)


def test_a_copy_of_the_current_version_can_be_changed(home: Path) -> None:
    version, _ = run(home)
    before = version.path.read_bytes()
    with publishing.writer(home, run="one table", wait_s=0):
        build = publishing.begin(home, "one table", from_current=True)
        with duckdb.connect(str(build)) as con:
            con.execute("create table c as select n + 1 as n from a")
        publishing.publish(home, build, publishing.next_number(home), keep=2)
    with publishing.connect(home) as con:
        assert con.execute("select a.n, c.n from a, c").fetchall() == [(1, 2)]
    assert version.path.read_bytes() == before


def test_there_is_nothing_to_copy_or_read_before_the_first_publish(home: Path) -> None:
    with publishing.writer(home, run="first", wait_s=0), pytest.raises(NotPublished, match="raisonne run"):
        publishing.begin(home, "first", from_current=True)
    assert publishing.current(home) is None
    assert publishing.versions(home) == []
    with pytest.raises(NotPublished, match="raisonne run"):
        publishing.connect(home)


@pytest.mark.parametrize("checkpointed", [True, False])
def test_a_build_that_is_still_open_is_refused(home: Path, checkpointed: bool) -> None:
    run(home)
    with publishing.writer(home, run="open", wait_s=0):
        build = publishing.begin(home, "open", from_current=True)
        with closing(duckdb.connect(str(build))) as con:
            con.execute("insert into a values (999)")
            if checkpointed:  # no log beside the file, and still not closed
                con.execute("checkpoint")
            with pytest.raises(NotClosed, match=r"close .*connection"):
                publishing.publish(home, build, 2, keep=3)
        assert seen(plain(home / publishing.LINK)) == 1
        fill(build, 2)
        publishing.publish(home, build, 2, keep=3)
    assert seen(plain(home / publishing.LINK)) == 2


@pytest.mark.parametrize("call", ["rename", "replace"])
def test_a_file_system_that_refuses_leaves_the_old_version(
    home: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    version, _ = run(home)
    with publishing.writer(home, run="full disk", wait_s=0), monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(OSError, match="No space left"):
            release(home, keep=1)
    assert publishing.current(home) == version
    assert publishing.versions(home) == [version]
    assert [path.name for path in (home / "versions").glob("*.duckdb")] == [version.path.name], "it frees its space"
    assert seen(plain(home / publishing.LINK)) == 1
    run(home)
    assert seen(publishing.connect(home)) == seen(plain(home / publishing.LINK)) == 3


def test_something_else_at_the_place_of_the_link_is_not_overwritten(home: Path) -> None:
    home.mkdir()
    fill(home / publishing.LINK, 7)
    with pytest.raises(FileExistsError, match="move it away"):
        run(home)
    assert seen(plain(home / publishing.LINK)) == 7


# Readers


def test_connecting_again_gives_the_new_version_beside_an_open_connection(home: Path) -> None:
    run(home)
    with publishing.connect(home) as old, plain(home / publishing.LINK) as old_link:
        run(home, keep=1)
        assert seen(publishing.connect(home)) == 2
        assert [con.execute("select n from b").fetchall() for con in (old, old_link)] == [[(1,)], [(1,)]]


def test_a_version_pruned_between_reading_the_link_and_opening_is_not_an_error(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(home)
    connect = duckdb.connect

    def overtaken(path: str, **options: Any) -> duckdb.DuckDBPyConnection:  # noqa: ANN401
        if "versions" in path and path.endswith("000001.duckdb"):
            monkeypatch.undo()
            run(home, keep=1)
        return connect(path, **options)

    monkeypatch.setattr(duckdb, "connect", overtaken)
    assert seen(publishing.connect(home)) == 2


def test_a_lost_file_is_named(home: Path) -> None:
    version, _ = run(home)
    version.path.unlink()
    with pytest.raises(NotPublished, match=r"raisonne-000001\.duckdb is gone; run `raisonne run`"):
        publishing.connect(home)
