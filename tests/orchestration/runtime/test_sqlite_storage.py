"""Dagster's records with connections that stay open: what other processes and other instances see of them."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration.runtime import instance
from orchestration.runtime.sqlite_storage import Events


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    instance.choose_fast_storage(tmp_path)
    yield tmp_path


@dg.asset(check_specs=[dg.AssetCheckSpec("holds", asset="made")])
def made() -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    yield dg.AssetCheckResult(check_name="holds", passed=True)
    yield dg.MaterializeResult()


def job() -> dg.JobDefinition:
    return dg.Definitions([made], executor=dg.in_process_executor).resolve_implicit_global_asset_job_def()


def test_a_new_home_has_dagsters_own_storage_and_offers_the_faster_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    config = instance.prepare(tmp_path) / "dagster.yaml"
    with dg.DagsterInstance.get() as own:
        assert not isinstance(own.event_log_storage, Events)
        run = own.create_run_for_job(job())
    text = config.read_text()
    start = text.index("# storage:\n")
    offer = "".join(line.removeprefix("# ") for line in text[start:].splitlines(keepends=True))
    config.write_text(text[:start] + offer)
    with dg.DagsterInstance.get() as fast:
        assert isinstance(fast.event_log_storage, Events)
        assert fast.get_run_by_id(run.run_id), "the records are the same"


def test_settings_that_are_there_keep_their_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    config = instance.prepare(tmp_path) / "dagster.yaml"
    before = config.read_text()
    instance.choose_fast_storage(tmp_path)
    assert config.read_text() == before


def test_a_home_that_names_the_module_of_an_earlier_release_opens(home: Path) -> None:
    config = home / "dagster.yaml"
    named = config.read_text().replace("orchestration.runtime.sqlite_storage", "orchestration.dagster_records")
    config.write_text(named)
    with dg.DagsterInstance.get() as opened:
        assert isinstance(opened.event_log_storage, Events)


def test_another_instance_is_told_of_an_event_while_the_writer_stays_open(home: Path) -> None:
    told, seen = threading.Event(), []
    with dg.DagsterInstance.get() as writer, dg.DagsterInstance.get() as reader:
        assert isinstance(writer.event_log_storage, Events)
        run = writer.create_run_for_job(job())
        before = reader.all_logs(run.run_id)

        def callback(entry: dg.EventLogEntry, _: str) -> None:
            seen.append(entry.dagster_event.event_type_value)
            told.set()

        reader.watch_event_logs(run.run_id, None, callback)
        try:
            writer.report_engine_event("one more", run)
            assert told.wait(600), "the UI would stand still"
        finally:
            reader.end_watch_event_logs(run.run_id, callback)
        assert len(reader.all_logs(run.run_id)) == len(before) + 1


def test_checks_and_materializations_are_those_of_dagsters_own_storage(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = []
    for config in (instance.CONFIG + instance.FAST_STORAGE, instance.CONFIG):
        folder = tmp_path / f"home{len(found)}"
        folder.mkdir()
        (folder / "dagster.yaml").write_text(config)
        monkeypatch.setenv("DAGSTER_HOME", str(folder))
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "0" if found else "1000")
        with dg.DagsterInstance.get() as made_here:
            assert isinstance(made_here.event_log_storage, Events) is not bool(found), "ours first, then Dagster's"
            done = job().execute_in_process(instance=made_here)
            logs = made_here.all_logs(done.run_id)
            events = sorted(entry.dagster_event.event_type_value for entry in logs if entry.dagster_event)
        tables = {}
        for name in ("event_logs", "asset_keys", "asset_check_executions"):
            with sqlite3.connect(folder / "history" / "runs" / "index.db") as con:
                tables[name] = con.execute(f"select count(*) from {name}").fetchall()  # noqa: S608
            con.close()
        found.append((events, tables))
    assert found[0] == found[1]


def test_what_was_written_outlives_a_kill_and_leaves_whole_files(home: Path) -> None:
    code = (
        "import os, signal, dagster as dg\n"
        "from dagster import DagsterInstance\n"
        "i = DagsterInstance.get()\n"
        "@dg.op\ndef o(): pass\n@dg.job\ndef j(): o()\n"
        "r = i.create_run_for_job(j)\n"
        "[i.report_engine_event(str(n), r) for n in range(200)]\n"
        "print(r.run_id, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    run_id = done.stdout.strip()
    with dg.DagsterInstance.get() as after:
        assert len(after.all_logs(run_id)) == 200
    for file in (home / "history").rglob("*.db"):
        con = sqlite3.connect(file)
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        con.close()


def test_a_file_that_was_removed_is_made_again(home: Path) -> None:
    with dg.DagsterInstance.get() as kept:
        run = kept.create_run_for_job(job())
        kept.report_engine_event("one", run)
        kept.event_log_storage.wipe()
        kept.report_engine_event("two", run)
        assert [e.dagster_event.message for e in kept.all_logs(run.run_id)] == ["two"]
