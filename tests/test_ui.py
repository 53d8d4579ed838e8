"""Dagster's UI and daemon as `raisonne ui` starts them: launched by hand, then by the sensors.

One test, because starting the processes takes longer than anything they are asked. What sensors decide is tested
without waiting for them in `test_automation.py`. Everything is seen from outside:
through the GraphQL API that the UI itself uses, through the published file, and through the fact tables.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import dagster as dg
import pytest
from conftest import PATIENCE_S, ROOT, Landing, Row, encoded, picture

from orchestration.facts import Facts

_RUNS = "{ runsOrError { ... on Runs { results { runId jobName status tags { key value } } } } }"
_ASSETS = """{ assetNodes {
    assetKey { path } groupName description isPartitioned
    assetChecksOrError { ... on AssetChecks { checks {
        name description executionForLatestMaterialization { status evaluation { success } } } } } } }"""
_LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""

ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


class Ui:
    """The processes of `raisonne ui`, and questions to them."""

    def __init__(self, landing: Landing, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = log
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAISONNE_", "DAGSTER_HOME"))}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchestration.cli", "ui", "--port", str(self.port)],
                cwd=ROOT,
                env=environment | {"RAISONNE_CONFIG": str(landing.config)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ask(self, query: str, **variables: object) -> dict:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def until[T](self, what: str, condition: Callable[[], T | None]) -> T:
        """Poll until the condition gives something. Fails with the log's end when patience does."""
        pause, end = threading.Event(), time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            assert self.process.poll() is None, f"the UI ended\n{self._tail()}"
            if found := condition():
                return found
            pause.wait(0.5)
        pytest.fail(f"not within {PATIENCE_S} s: {what}\n{self._tail()}")

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-6000:]

    def end(self) -> None:
        """End the process group started here, and nothing else."""
        for number, seconds in ((signal.SIGINT, 20), (signal.SIGTERM, 20), (signal.SIGKILL, 60)):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break
        self.process.wait(600)

    def repository(self) -> dict | None:
        query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
        try:
            nodes = self.ask(query)["repositoriesOrError"].get("nodes")
        except OSError:
            return None  # not listening yet
        return nodes[0] if nodes else None

    def launch(self, job: str, config: dict | None = None) -> str:
        repository = self.until("the code location is loaded", self.repository)
        selector = {
            "repositoryName": repository["name"],
            "repositoryLocationName": repository["location"]["name"],
            "jobName": job,
        }
        launched = self.ask(_LAUNCH, params={"selector": selector, "runConfigData": config or {}, "mode": "default"})[
            "launchRun"
        ]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def runs(self) -> list[dict]:
        return self.ask(_RUNS)["runsOrError"]["results"]

    def ended(self, run_id: str) -> str | None:
        status = next(run["status"] for run in self.runs() if run["runId"] == run_id)
        return status if status in ENDED else None

    def job_ended(self, job: str, known: Collection[str]) -> bool:
        """Tell whether a run of a job has ended, apart from the runs that are known."""
        runs = [run for run in self.runs() if run["jobName"] == job and run["runId"] not in known]
        return any(run["status"] in ENDED for run in runs)

    def idle(self) -> bool:
        return all(run["status"] in ENDED for run in self.runs())


@pytest.fixture
def ui(landing: Landing, rows_of: Callable[[int, int], list[Row]], tmp_path: Path) -> Iterator[Ui]:
    """Return the UI of a warehouse with two landed shards and a copied generation that nothing has run yet."""
    landing.write_config("[calibration]\ntrials = 0\n[limits]\nnull_sample = 2\n")
    landing.shard("00000", rows_of(0, 5))
    landing.shard("00001", rows_of(5, 5))
    (landing.folder / "generations" / "copied.jpg").write_bytes(encoded(picture(3)))
    started = Ui(landing, tmp_path / "ui.log")
    try:
        yield started
    finally:
        started.end()


def test_everything_runs_from_the_ui_and_the_sensors_take_it_from_there(
    ui: Ui, landing: Landing, rows_of: Callable[[int, int], list[Row]]
) -> None:
    run_id = ui.launch("everything")
    assert ui.until("`everything` ends", lambda: ui.ended(run_id)) == "SUCCESS"
    assert landing.query("select count(*) from fingerprints.images where status = 'ok'") == [(10,)]
    assert landing.query("select verdict from provenance.generations") == [("exact",)]
    _check_assets(ui)
    ui.until("runs that the sensors started meanwhile end", ui.idle)

    facts, before = Facts(landing.home / "facts"), _version(landing)
    shards = {row["shard"]: row for row in facts["fingerprinted_shards"].read().to_pylist()}
    commits = facts["image_fingerprints"].version
    known = {run["runId"] for run in ui.runs()}
    landing.shard("00002", rows_of(10, 5))
    _make_sensors_due(landing)
    ui.until("the new shard's run ends", lambda: ui.job_ended("fingerprint_shard", known))
    _make_sensors_due(landing)
    ui.until("a version with the new shard", lambda: _version(landing) > before and ui.idle())

    after = {row["shard"]: row for row in facts["fingerprinted_shards"].read().to_pylist()}
    assert {name: after[name] for name in shards} == shards
    assert set(after) == {"00000", "00001", "00002"}
    assert facts["image_fingerprints"].version == commits + 1, "only the new shard is written"
    assert landing.query("select count(*) from fingerprints.images where status = 'ok'") == [(15,)]
    started = [run for run in ui.runs() if run["runId"] not in known]
    assert sorted(run["jobName"] for run in started) == ["derive", "fingerprint_shard"]
    tags = {tag["key"]: tag["value"] for run in started for tag in run["tags"]}
    assert tags["dagster/partition"] == "tiny/00002"
    assert {run["status"] for run in ui.runs()} == {"SUCCESS"}

    _export_an_earlier_version(ui, landing, before)
    assert {run["status"] for run in ui.runs()} == {"SUCCESS"}


def _make_sensors_due(landing: Landing) -> None:
    """Forget when the sensors were last evaluated, so that the daemon does not wait for the rest of their interval."""
    with dg.DagsterInstance.from_config(str(landing.home / "dagster")) as instance:
        for state in instance.all_instigator_state():
            if state.instigator_type.value == "SENSOR":
                due = state.instigator_data._replace(last_tick_timestamp=None, last_tick_start_timestamp=None)
                instance.update_instigator_state(state.with_data(due))


def _export_an_earlier_version(ui: Ui, landing: Landing, version: int) -> None:
    exports = landing.home / "exports" / f"version-{version:06d}"
    before = {path.name: path.stat().st_mtime_ns for path in exports.iterdir()}
    chosen = {"ops": {"curator_exports": {"config": {"version": version}}}}
    run_id = ui.launch("curator_job", chosen)
    assert ui.until("the exports are written", lambda: ui.ended(run_id)) == "SUCCESS"
    after = {path.name: path.stat().st_mtime_ns for path in exports.iterdir()}
    assert after.keys() == before.keys() >= {"raisonne.xlsx", "duplicate_frequency.html", "sources.csv"}
    assert all(after[name] > before[name] for name in before)


def _version(landing: Landing) -> int:
    return landing.query("select max(version) from warehouse.versions")[0][0]


def _check_assets(ui: Ui) -> None:
    nodes = {"/".join(node["assetKey"]["path"]): node for node in ui.ask(_ASSETS)["assetNodes"]}
    assert {"landing_shards", "image_fingerprints", "catalog/samples", "provenance/sources"} <= nodes.keys()
    assert [name for name, node in nodes.items() if not node["description"]] == []
    stages = {"catalog", "fingerprints", "duplicates", "matches", "provenance", "reports", "warehouse"}
    assert {node["groupName"] for node in nodes.values()} == stages
    assert [name for name, node in nodes.items() if node["isPartitioned"]] == ["image_fingerprints"]
    checks = [(name, check) for name, node in nodes.items() for check in node["assetChecksOrError"].get("checks", [])]
    assert {"catalog/samples", "duplicates/counts", "provenance/sources"} <= {name for name, _ in checks}
    results = {
        (name, check["name"]): (check["executionForLatestMaterialization"] or {}).get("status")
        for name, check in checks
    }
    assert set(results.values()) == {"SUCCEEDED"}, results
