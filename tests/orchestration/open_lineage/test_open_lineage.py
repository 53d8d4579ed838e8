"""OpenLineage's events: what a whole run tells a catalogue, what a failed step tells, and what stops neither."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest
from conftest import Landing, Row, encoded, picture

from orchestration import automation, definitions
from orchestration.cli import execution
from orchestration.defs.warehouse import MODELS
from orchestration.open_lineage import events, hooks
from tests import processes

_FILE = {"OPENLINEAGE__TRANSPORT__TYPE": "file", "OPENLINEAGE__TRANSPORT__APPEND": "true"}


def told(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def receiver(landing: Landing) -> Iterator[Path]:
    file = landing.folder / "events.jsonl"
    sent = _FILE | {"OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": str(file), "RAISONNE_CONFIG": str(landing.config)}
    with patch.dict(os.environ, processes.environment(**sent), clear=True):
        yield file


def test_a_run_tells_what_each_table_was_made_of(landing: Landing, receiver: Path) -> None:
    rows = [
        Row(f"https://images.example.org/{seed}.jpg", f"picture {seed}", encoded(picture(seed)), license="CC0")
        for seed in range(3)
    ]
    landing.shard("0000", rows)
    stated = 'name = "tiny"\nlicence = "cc0"\nversion = "2024-05"\n'
    landing.config.write_text(landing.config.read_text().replace('name = "tiny"\n', stated))
    landing.keep_records_open()
    plain = definitions.defs
    assets = [each for each in plain.assets if getattr(each, "keys", None) != {dg.AssetKey("curator_exports")}]
    sending = dg.Definitions(
        hooks.attached(assets), jobs=[automation.everything], resources=plain.resources, executor=plain.executor
    )
    with patch.object(definitions, "defs", sending):
        result = execution.execute("everything", landing.home)
    assert result.success, execution.reason(result.all_events)
    found = told(receiver)
    assert all(each["producer"] == events.PRODUCER for each in found)
    of_run = [each for each in found if each["job"]["name"] == "everything"]
    found = [each for each in found if each["job"]["name"] != "everything"]
    assert [(each["eventType"], each["run"]["runId"]) for each in of_run] == [
        ("START", result.run_id),
        ("COMPLETE", result.run_id),
    ]
    assert all("parent" not in each["run"]["facets"] for each in of_run)
    began = {each["run"]["runId"] for each in found if each["eventType"] == "START"}
    ended = {each["job"]["name"]: each for each in found if each["eventType"] == "COMPLETE"}
    assert len(ended) == len(began) == len(found) / 2 and began == {each["run"]["runId"] for each in ended.values()}
    assert {each["run"]["facets"]["parent"]["run"]["runId"] for each in found} == {result.run_id}
    assert {each["run"]["facets"]["parent"]["job"]["name"] for each in found} == {"everything"}
    assert ended.keys() >= {model.name for model in MODELS} | {"landing_shards", "image_fingerprints", "near_pictures"}

    landed = ended["landing_shards"]["inputs"]
    assert [each["name"] for each in landed] == [
        str(landing.folder / "laion" / each) for each in ("*.parquet", "*.tar")
    ]
    for each in landed:
        assert each["facets"]["version"]["datasetVersion"] == "2024-05"
        assert [(tag["key"], tag["value"]) for tag in each["facets"]["tags"]["tags"]] == [("license", "cc0")]

    [samples] = ended["catalog.samples"]["outputs"]
    assert (
        samples["namespace"] == f"duckdb://{landing.home / 'raisonne.duckdb'}" and samples["name"] == "catalog.samples"
    )
    assert samples["facets"]["version"]["datasetVersion"] == "1"
    assert samples["outputFacets"]["outputStatistics"]["rowCount"] == 3
    fields = {each["name"]: each for each in samples["facets"]["schema"]["fields"]}
    assert fields["sample_id"]["type"] == "UBIGINT" and fields["caption"]["description"]
    tags = samples["facets"]["tags"]["tags"]
    assert [(tag["key"], tag["value"]) for tag in tags] == [("license: CC0", "3 rows")]
    assert ended["catalog.samples"]["job"]["facets"]["sql"]["query"].startswith("with said as")

    counts = ended["duplicates.counts"]
    read = {(each["namespace"], each["name"]) for each in counts["inputs"]}
    assert (samples["namespace"], "duplicates.clusters") in read
    [made] = counts["outputs"]
    origins = made["facets"]["columnLineage"]["fields"]["cluster_id"]["inputFields"]
    assert {(each["name"], each["field"]) for each in origins} == {("duplicates.clusters", "cluster_id")}
    [held] = ended["duplicates.counts.checks"]["inputs"]
    assertions = held["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert ("unique_cluster_id", True) in {(each["assertion"], each["success"]) for each in assertions}


def run_of(*steps: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    return dg.materialize(hooks.attached(steps), raise_on_error=False)


@dg.asset
def healthy() -> None:
    """Do nothing."""


@dg.asset(check_specs=[dg.AssetCheckSpec("holds", asset="broken")])
def broken() -> Iterator[dg.AssetCheckResult]:
    """Find a broken promise, and stop."""
    yield dg.AssetCheckResult(check_name="holds", passed=False, description="no row is odd")
    raise dg.Failure("the disk is full")


def test_a_step_that_fails_tells_why(landing: Landing, receiver: Path) -> None:
    assert not run_of(healthy, broken).success
    ended = {each["job"]["name"]: each for each in told(receiver) if each["eventType"] != "START"}
    assert {name: each["eventType"] for name, each in ended.items()} == {
        "healthy": "COMPLETE",
        "broken": "FAIL",
        "broken.checks": "FAIL",
    }
    assert "the disk is full" in ended["broken"]["run"]["facets"]["errorMessage"]["message"]
    assert ended["broken"]["outputs"] == []
    [held] = ended["broken.checks"]["inputs"]
    [promise] = held["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert promise["success"] is False and promise["description"] == "no row is odd"


def test_a_receiver_that_is_away_stops_no_run(landing: Landing, receiver: Path, capfd: pytest.CaptureFixture) -> None:
    away = {"OPENLINEAGE__TRANSPORT__TYPE": "file", "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": "/proc/no/such/place"}
    with patch.dict(os.environ, away):
        assert run_of(healthy).success
        assert "was not sent to OpenLineage" in hooks.tell_run("9b0c3d5e-0000-4000-8000-000000000000", "j", "START")
    assert "the lineage of healthy was not sent to OpenLineage" in capfd.readouterr().err


def test_a_run_of_the_daemon_is_told_by_sensors_and_one_that_tells_of_itself_is_not(receiver: Path) -> None:
    sensors = {each.name: each for each in hooks.sensors("here")}
    assert sensors.keys() == {f"tell_open_lineage_{each}" for each in ("started", "success", "failure", "canceled")}

    def tell(name: str, tags: dict[str, str], message: str = "") -> object:
        with dg.DagsterInstance.ephemeral() as instance:
            result = sleeper.execute_in_process(instance=instance, tags=tags)
            context = dg.build_run_status_sensor_context(
                sensor_name=name,
                dagster_instance=instance,
                dagster_run=result.dagster_run,
                dagster_event=dg.DagsterEvent("PIPELINE_FAILURE", "sleeper", message=message),
            )
            return sensors[name](context)

    assert isinstance(tell("tell_open_lineage_success", {"here": "true"}), dg.SkipReason)
    assert not receiver.exists()
    assert tell("tell_open_lineage_started", {}) is None
    assert tell("tell_open_lineage_failure", {}, "the disk is full") is None
    began, failed = told(receiver)
    assert (began["eventType"], began["job"]["name"]) == ("START", "sleeper")
    assert failed["eventType"] == "FAIL"
    assert failed["run"]["facets"]["errorMessage"]["message"] == "the disk is full"


def test_the_end_of_a_killed_run_is_told_by_who_finds_it_dead(receiver: Path) -> None:
    with dg.DagsterInstance.ephemeral() as made:
        here, elsewhere = (made.create_run_for_job(sleeper, tags=tags) for tags in ({"here": "true"}, {}))
    assert list(hooks.tell_killed([here, elsewhere], "here", "the process was killed")) == []
    (failed,) = told(receiver)
    assert (failed["eventType"], failed["run"]["runId"]) == ("FAIL", here.run_id), "sensors tell of the other"
    assert failed["run"]["facets"]["errorMessage"]["message"] == "the process was killed"
    with patch.dict(os.environ, {"OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": "/proc/no/such/place"}):
        (why,) = hooks.tell_killed([here], "here", "the process was killed")
    assert "was not sent to OpenLineage" in why


@dg.job
def sleeper() -> None:
    """Do nothing."""


def test_nothing_is_attached_unless_a_receiver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "ours")
    assert hooks.attached([healthy]) == [healthy] and not healthy.hook_defs
    assert hooks.sensors("here") == [] and hooks.tell_run("no number", "job", "START") == ""
    (tmp_path / "openlineage.yml").write_text("transport: {type: console}\n")
    [attached] = hooks.attached([healthy])
    assert len(attached.hook_defs) == 2
    with (
        patch.object(hooks, "find_spec", return_value=None),
        pytest.raises(ImportError, match="asks for events of runs: pip install"),
    ):
        hooks.attached([healthy])
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    assert hooks.attached([healthy]) == [healthy]


def test_places_have_the_names_that_openlineage_gives_them() -> None:
    assert events.files("s3://bucket/laion/*.tar") == events.DatasetName("s3://bucket", "laion/*.tar")
    assert events.files("https://me:secret@example.org/a/b.parquet?key=1") == events.DatasetName(
        "https://example.org", "a/b.parquet"
    )
    assert events.files("/data/laion/*.tar") == events.DatasetName("file", "/data/laion/*.tar")
