"""Logs of old runs go, and with them nothing that Dagster shows of tables, shards and runs now."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest

from orchestration import settings
from orchestration.cli.state import status
from orchestration.runtime import instance
from orchestration.runtime.history import ended_runs, run_logs

SHARDS = dg.DynamicPartitionsDefinition(name="shards")


@dg.asset(partitions_def=SHARDS)
def shard_rows() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 3})


@dg.asset(check_specs=[dg.AssetCheckSpec("whole", asset="table")])
def table(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    yield dg.MaterializeResult(metadata={"run": context.run.run_id})
    yield dg.AssetCheckResult(passed=True, check_name="whole")


@dg.asset
def failing() -> None:
    raise ValueError("the disk is not mounted")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return Dagster's folder as a warehouse has it, with five runs, and the ids of the last four, of one table."""
    home = tmp_path_factory.mktemp("history")
    with patch.dict(os.environ, {"DAGSTER_HOME": str(home / "dagster")}):
        folder = instance.prepare(home)
        with dg.DagsterInstance.from_config(str(folder)) as made:
            ids = runs(made, 4)
    return folder, ids


@pytest.fixture
def kept(
    history: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Return Dagster's instance with these runs."""
    folder = tmp_path / "dagster"
    shutil.copytree(history[0], folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with dg.DagsterInstance.from_config(str(folder)) as made:
        yield made


@pytest.fixture
def ids(history: tuple[Path, list[str]]) -> list[str]:
    """Return the ids of these runs but the first, the oldest first."""
    return history[1]


def runs(made: dg.DagsterInstance, number: int) -> list[str]:
    made.add_dynamic_partitions("shards", ["a"])
    dg.materialize([shard_rows], instance=made, partition_key="a")
    return [dg.materialize([table], instance=made).run_id for _ in range(number)]


def no_warning(sentence: str) -> None:
    pytest.fail(sentence)


def test_what_is_shown_now_outlives_the_log_of_its_run(kept: dg.DagsterInstance, ids: list[str]) -> None:
    folder = Path(kept.root_directory)
    before = run_logs.logged_runs(folder)
    assert before == 5
    assert run_logs.forget_old_logs(folder, 2, no_warning) == 3
    assert run_logs.logged_runs(folder) == 2
    assert {run.run_id for run in kept.get_runs()} >= set(ids), "a run key must not run twice"
    assert kept.get_materialized_partitions(shard_rows.key) == {"a"}, "its run is the oldest"
    newest = kept.get_latest_materialization_event(table.key)
    assert newest is not None and newest.run_id == ids[-1]
    [(check, record)] = kept.event_log_storage.get_latest_asset_check_execution_by_key([*table.check_keys]).items()
    assert check.name == "whole" and record.run_id == ids[-1]
    assert len(kept.fetch_materializations(table.key, limit=10).records) == 2
    assert list(kept.all_logs(ids[-1])) and not list(kept.all_logs(ids[0]))
    assert run_logs.forget_old_logs(folder, 2, no_warning) == 0
    dg.materialize([table], instance=kept)


def test_the_history_stops_growing(kept: dg.DagsterInstance) -> None:
    folder, sizes = Path(kept.root_directory), list[int]()
    for _ in range(3):
        runs(kept, 1)
        run_logs.forget_old_logs(folder, 2, no_warning)
        sizes.append(sum(path.stat().st_size for path in (folder / "history" / "runs").glob("*.db")))
        assert run_logs.logged_runs(folder) == 2
    assert sizes[-1] - sizes[0] < 4 * 45_000, "four runs, each with a log without events, which takes a quarter"


def test_what_a_later_run_made_anew_goes_although_its_first_log_went_long_ago(kept: dg.DagsterInstance) -> None:
    folder = Path(kept.root_directory)
    run_logs.forget_old_logs(folder, 1, no_warning)
    for _ in range(2):
        runs(kept, 1)
        run_logs.forget_old_logs(folder, 1, no_warning)
        with sqlite3.connect(folder / "history" / "runs" / "index.db") as con:
            made = "select count(*) from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'"
            assert con.execute(f"{made} and partition = 'a'").fetchone() == (1,), "only the newest is shown"


def test_a_killed_purge_is_gone_on_with(kept: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, emptied = Path(kept.root_directory), list[Path]()
    real = run_logs._empty

    def killed(log: Path) -> None:
        real(log)
        emptied.append(log)
        raise KeyboardInterrupt

    monkeypatch.setattr(run_logs, "_empty", killed)
    with pytest.raises(KeyboardInterrupt):
        run_logs.forget_old_logs(folder, 1, no_warning)
    monkeypatch.setattr(run_logs, "_empty", real)
    assert run_logs.forget_old_logs(folder, 1, no_warning) == 3
    left = {path.name for path in (folder / "storage").iterdir()} & {run.run_id for run in kept.get_runs()}
    assert len(left) == 1, "the outputs of each run whose log went are gone"


def test_an_index_in_use_is_left_for_the_next_run(kept: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, said = Path(kept.root_directory), list[str]()
    connect = sqlite3.connect
    monkeypatch.setattr(run_logs.sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0.1}))
    with connect(folder / "history" / "runs" / "index.db", isolation_level=None) as other:
        other.execute("begin immediate")
        assert run_logs.forget_old_logs(folder, 1, said.append) == 4
        other.execute("rollback")
    assert "database is locked" in said[0] and "the next run tries again" in said[0]
    assert run_logs.logged_runs(folder) == 1
    runs(kept, 1)
    run_logs.forget_old_logs(folder, 1, no_warning)
    with connect(folder / "history" / "runs" / "index.db") as con:
        assert con.execute("select count(distinct run_id) from event_logs").fetchone() == (2,)


def test_a_log_that_cannot_be_replaced_holds_up_no_other(kept: dg.DagsterInstance, ids: list[str]) -> None:
    folder, said = Path(kept.root_directory), list[str]()
    first, second = sorted(ids[:3])[:2]
    (folder / "history" / "runs" / f"{first}.emptied").mkdir()
    (folder / "history" / "runs" / f"{second}.db").write_bytes(b"damaged" * 20_000)
    assert run_logs.forget_old_logs(folder, 1, said.append) == 2
    assert "Is a directory" in said[0] and "the next run tries again" in said[0]
    assert run_logs.logged_runs(folder) == 3


def test_a_log_that_vanishes_while_it_is_listed_is_none(kept: dg.DagsterInstance) -> None:
    folder = Path(kept.root_directory)
    (folder / "history" / "runs" / "gone.db").symlink_to(folder / "nothing")
    assert run_logs.logged_runs(folder) == 5
    assert run_logs.forget_old_logs(folder, 1, no_warning) == 4


def test_other_storages_are_left_alone(tmp_path: Path) -> None:
    assert run_logs.forget_old_logs(tmp_path, 1, no_warning) == 0
    assert ended_runs.ended_runs(tmp_path) == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_the_last_failure_is_read_without_writing(kept: dg.DagsterInstance) -> None:
    folder = Path(kept.root_directory)
    dg.materialize([failing], instance=kept, raise_on_error=False)
    failed, done = ended_runs.ended_runs(folder)
    assert failed is not None and done is not None and failed.at >= done.at
    events = ended_runs.failure_events(folder, failed.run_id)
    assert any("the disk is not mounted" in event for event in events)
    assert "DAGSTER_HOME" in os.environ


def test_an_interrupted_run_has_failed(kept: dg.DagsterInstance, ids: list[str]) -> None:
    folder, run_id = Path(kept.root_directory), ids[-1]
    run = kept.get_run_by_id(run_id)
    assert run
    kept.report_run_canceled(run)
    failed, _ = ended_runs.ended_runs(folder)
    assert failed is not None and failed.run_id == run_id
    assert status._reason(ended_runs.failure_events(folder, run_id)).startswith("interrupted")


def test_a_home_that_may_not_be_looked_at_ends_no_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raisonne.toml").write_text('home = "home"\n')
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / ("long" * 100)))
    [line] = status._last_failure(settings.load(tmp_path / "raisonne.toml"))
    assert line.startswith("last failure: ") and "cannot be read ([Errno 36] File name too long" in line


@pytest.mark.parametrize(
    "event",
    ['{"__class__": "OfNextYear"}', '{"__class__": "EventLogEntry", "of_next_year": 1}', "packed"],
)
def test_a_log_of_another_release_ends_no_status(event: str) -> None:
    assert status._reason([event]) == "its log is of another release of Dagster"
