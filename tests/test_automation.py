"""Sensors and the tidying up after killed runs, against a real Dagster instance and real landing folders."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from conftest import Landing, Row, encoded, picture, without_exports

from orchestration import automation
from orchestration.definitions import defs
from orchestration.facts import Facts
from orchestration.runtime import instance
from orchestration.warehouse import publishing
from tests import records


@pytest.fixture
def dagster_instance(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("RAISONNE_CONFIG", str(landing.config))
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def tick(made: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
    return automation.new_shards(dg.build_sensor_context(made))


def test_shards_that_land_together_are_one_run_that_reads_only_them(
    landing: Landing, dagster_instance: dg.DagsterInstance, rows_of: Callable[[int, int], list[Row]]
) -> None:
    for number in range(3):
        landing.shard(f"{number:05d}", rows_of(10 * number, 2))
    result = tick(dagster_instance)
    assert isinstance(result, dg.SensorResult) and result.run_requests
    [request] = result.run_requests
    assert (request.tags[automation._RANGE[0]], request.tags[automation._RANGE[1]]) == ("tiny/00000", "tiny/00002")

    job = defs.resolve_job_def("fingerprint_shard")
    with records.outline():
        assert job.execute_in_process(instance=dagster_instance, tags=request.tags).success
    done = Facts(landing.home / "facts")["fingerprinted_shards"]
    notes = [(name, kind) for name in ("00000", "00001", "00002") for kind in ("copy", "hashes", "rights")]
    assert sorted(zip(*done.read(["shard", "fingerprint"]).to_pydict().values(), strict=True)) == notes
    assert isinstance(tick(dagster_instance), dg.SkipReason), "nothing is due"

    landing.shard("00001", rows_of(50, 3))  # delivered again
    again = tick(dagster_instance)
    assert isinstance(again, dg.SensorResult) and again.run_requests
    assert again.run_requests[0].partition_key == "tiny/00001"
    before = {row["shard"]: row for row in done.read(where="fingerprint = 'hashes'").to_pylist()}
    with records.outline():
        assert job.execute_in_process(instance=dagster_instance, partition_key="tiny/00001").success
    after = {row["shard"]: row for row in done.read(where="fingerprint = 'hashes'").to_pylist()}
    assert after["00001"]["pictures"] == 3
    assert [after[name] for name in ("00000", "00002")] == [before[name] for name in ("00000", "00002")]


def test_a_shard_delivered_again_stays_due_when_its_run_ends_early(
    landing: Landing, dagster_instance: dg.DagsterInstance, rows_of: Callable[[int, int], list[Row]]
) -> None:
    landing.shard("00000", rows_of(0, 2))
    assert defs.resolve_job_def("fingerprint_shard").execute_in_process(instance=dagster_instance).success
    landing.shard("00000", rows_of(20, 3))
    catalog_alone = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey("landing_shards"), dg.AssetKey("landing_dumps")}
    )
    assert catalog_alone.execute_in_process(instance=dagster_instance).success
    result = tick(dagster_instance)
    assert isinstance(result, dg.SensorResult) and result.run_requests, "noticed, yet not fingerprinted"


def test_derivation_and_generations_are_started_once_each(
    landing: Landing, dagster_instance: dg.DagsterInstance, rows_of: Callable[[int, int], list[Row]]
) -> None:
    def due(sensor: dg.SensorDefinition, cursor: str | None = None) -> tuple[bool, str | None]:
        result = sensor(dg.build_sensor_context(dagster_instance, cursor=cursor))
        if isinstance(result, dg.SkipReason):
            return False, cursor
        assert isinstance(result, dg.SensorResult)
        return bool(result.run_requests), result.cursor

    def run(job: str, *, tables: bool | Sequence[str] = ("provenance.generations",)) -> None:
        with records.outline(), without_exports(tables=tables):
            assert defs.resolve_job_def(job).execute_in_process(instance=dagster_instance).success

    landing.shard("00000", rows_of(0, 3))
    copied = landing.folder / "generations" / "copied.jpg"
    copied.write_bytes(encoded(picture(1)))
    assert not due(automation.new_generations)[0], "the first version takes the generations along"
    run("fingerprint_shard")
    assert due(automation.new_fingerprints)[0]
    with under_way(dagster_instance):
        assert not due(automation.new_fingerprints)[0], "a run is under way"
    run("derive")
    assert not due(automation.new_fingerprints)[0]
    assert landing.query("select verdict from provenance.generations") == [("exact",)]

    is_due, cursor = due(automation.new_generations)
    assert not is_due and cursor
    (landing.folder / "generations" / "later.jpg").write_bytes(encoded(picture(2)))
    with under_way(dagster_instance):
        assert not due(automation.new_generations, cursor)[0], "a run is under way"
    is_due, later = due(automation.new_generations, cursor)
    assert is_due and later != cursor
    run("generations_only", tables=False)
    assert due(automation.new_generations, later) == (False, later)
    assert Facts(landing.home / "facts")["generation_fingerprints"].dataset().count_rows() == 2
    copied.unlink()
    assert due(automation.new_generations, later)[0], "one went"

    assert not due(automation.new_opt_outs)[0], "there is no list"
    listed = landing.folder / "list.csv"
    listed.write_text("host\nnobody.example\n")
    landing.write_config('[[recalls]]\nname = "list"\npath = "list.csv"\n')
    is_due, cursor = due(automation.new_opt_outs)
    assert is_due and cursor, "a list that no run knows"
    run("derive", tables=False)
    assert due(automation.new_opt_outs, None) == (False, cursor) == due(automation.new_opt_outs, cursor)
    listed.write_text("host\nsomebody.example\n")
    assert due(automation.new_opt_outs, cursor)[0], "it was changed"
    listed.unlink()
    assert due(automation.new_opt_outs, cursor) == (False, cursor), "a run would stop"


@contextmanager
def under_way(made: dg.DagsterInstance) -> Iterator[None]:
    """Have a run of `everything` under way."""
    run_id = started(made)
    yield
    made.report_run_failed(made.get_run_by_id(run_id), "it ended")


def started(made: dg.DagsterInstance, **tags: str) -> str:
    run = made.create_run_for_job(defs.resolve_job_def("everything"), tags=tags)
    made.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name), run.run_id)
    assert made.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED
    return run.run_id


def released(made: dg.DagsterInstance, landing: Landing) -> list[str]:
    return [run.run_id for run in instance.release_killed_runs(made, landing.home)]


def test_killed_runs_are_ended_and_living_ones_are_not(
    landing: Landing, dagster_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_command = started(dagster_instance, **{instance.IN_PROCESS: "true"})
    by_ui = started(dagster_instance)
    with publishing.writer(landing.home, run="the test", wait_s=0):
        assert instance.release_killed_runs(dagster_instance, landing.home) == [], "somebody writes: one may live"
    assert released(dagster_instance, landing) == [by_command], "the other may be starting"
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    assert released(dagster_instance, landing) == [by_ui]
    statuses = {dagster_instance.get_run_by_id(run).status for run in (by_command, by_ui)}
    assert statuses == {dg.DagsterRunStatus.FAILURE}


def test_a_run_of_another_warehouse_is_judged_by_the_lock_of_that_warehouse(
    landing: Landing, dagster_instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    moved = started(dagster_instance, **instance.tags_in_process(tmp_path / "gone"))
    monkeypatch.setenv("DAGSTER_HOME", str(landing.home / "dagster"))
    assert released(dagster_instance, landing) == [moved], "the records moved with their home"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "records"))
    run = started(dagster_instance, **instance.tags_in_process(other))
    assert released(dagster_instance, landing) == [], "out of reach"
    with publishing.writer(other, run="the test", wait_s=0):
        assert released(dagster_instance, landing) == [], "alive"
    assert released(dagster_instance, landing) == [run]


def test_a_run_that_ended_without_giving_its_slot_back_does_not_hold_up_the_next(
    landing: Landing, dagster_instance: dg.DagsterInstance
) -> None:
    slots = dagster_instance.event_log_storage
    slots.set_concurrency_slots("publish", 1)
    ended, alive = started(dagster_instance), started(dagster_instance)
    assert slots.claim_concurrency_slot("publish", ended, "warehouse").is_claimed
    dagster_instance.report_run_failed(dagster_instance.get_run_by_id(ended), "the disk is full")
    assert not slots.claim_concurrency_slot("publish", alive, "warehouse").is_claimed
    assert instance.release_killed_runs(dagster_instance, landing.home) == []
    assert slots.claim_concurrency_slot("publish", alive, "warehouse").is_claimed
    instance.release_killed_runs(dagster_instance, landing.home)
    assert slots.get_concurrency_run_ids() == {alive}, "a living run keeps its own"
