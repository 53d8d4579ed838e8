"""Dagster's UI and daemon as `raisonne ui` starts them: opened in a browser, launched by hand, and by the sensors.

One UI a test, because starting the processes takes longer than anything they are asked. What sensors decide is tested
without waiting for them in `test_automation.py`, and most attacks without Dagster in `test_web_access.py`. Everything
is seen from outside: through the GraphQL API that the UI itself uses, through the published file, and through the fact
tables.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from conftest import PATIENCE_S, Landing, Row, command, encoded, picture
from playwright.sync_api import sync_playwright

from orchestration.cli import ui as ui_command
from orchestration.facts import Facts
from orchestration.runtime import instance
from tests import processes

_RUNS = """{ runsOrError { ... on Runs { results {
    runId jobName status tags { key value } repositoryOrigin { repositoryName repositoryLocationName } } } } }"""
_ASSETS = """{ assetNodes {
    assetKey { path } groupName description isPartitioned staleStatus
    assetChecksOrError { ... on AssetChecks { checks {
        name description blocking executionForLatestMaterialization { status evaluation { success } } } } } } }"""
_PARTITION = """query ($name: String!) {
    assetNodeOrError(assetKey: { path: ["image_fingerprints"] }) { ... on AssetNode {
    staleStatus(partition: $name)
    latestMaterializationByPartition(partitions: [$name]) {
        metadataEntries { label ... on IntMetadataEntry { intValue } } } } } }"""
_FAILURES = """query ($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
    ... on ExecutionStepFailureEvent { error { message } errorSource } } } } }"""
_CHROMIUM = Path("/usr/bin/chromium")
_LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""

_COMMAND = ("-m", "orchestration.cli", "ui", "--port", "0")
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


class Ui:
    """The processes of `raisonne ui`, and questions to them."""

    def __init__(self, landing: Landing, log: Path, *, background: bool = True) -> None:
        """Start it, and in the background as a script does: with SIGINT ignored."""
        self.log, self._config = log, f"RAISONNE_CONFIG={landing.config}"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["sh", "-c", f'{"trap '' INT; " if background else ""}exec "$0" "$@"', sys.executable, *_COMMAND],
                cwd=landing.folder,  # Dagster takes the working directory off the path of modules
                env=processes.environment(RAISONNE_CONFIG=str(landing.config)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def address(self) -> str:
        """Return what it printed to open it."""
        printed = self.until("it prints its address", lambda: re.search(r"http://\S+", self.log.read_text()))
        return printed.group()

    def request(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, bytes]:
        """Send what any program can, the token only where `headers` say so."""
        connection = http.client.HTTPConnection(self.address().split("/")[2], timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ask(self, query: str, **variables: object) -> dict:
        body, token = json.dumps({"query": query, "variables": variables}), self.address().partition("?token=")[2]
        own = {"Content_Type": "application/json", "Authorization": f"Bearer {token}"}
        status, answer = self.request("POST", "/graphql", body, **own)
        assert status == 200, answer
        found = json.loads(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def until[T](self, what: str, condition: Callable[[], T | None]) -> T:
        """Poll until the condition gives something, soon and then seldom, as each question is work for the UI.

        Fails with the log's end when patience does.
        """
        pause, seconds, end = threading.Event(), 0.25, time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            assert self.process.poll() is None, f"the UI ended\n{self._tail()}"
            if found := condition():
                return found
            pause.wait(seconds)
            seconds = min(2, 1.5 * seconds)
        pytest.fail(f"not within {PATIENCE_S} s: {what}\n{self._tail()}")

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-6000:]

    def processes(self) -> dict[int, str]:
        """Return the numbers and commands of all that it started, whoever their parents are now."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if self._config in (process / "environ").read_bytes().decode(errors="replace").split("\0"):
                    found[int(process.name)] = (process / "cmdline").read_bytes().decode().replace("\0", " ")
        return found

    def end(self, number: signal.Signals) -> int:
        """Send a signal to the process that was started, and to no other. Returns its exit code once all are gone."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        pause, patient = threading.Event(), time.monotonic() + PATIENCE_S
        while left := self.processes():
            assert time.monotonic() < patient, left
            pause.wait(0.1)
        return code

    def kill(self) -> None:
        """Kill what a failed test has left."""
        self.process.kill()
        for number in self.processes():
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def repository(self) -> dict | None:
        query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
        nodes = self.ask(query)["repositoriesOrError"].get("nodes")
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
def ui(
    landing: Landing, rows_of: Callable[[int, int], list[Row]], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Ui]:
    """Return the UI of a warehouse with two landed shards and a copied generation that nothing has run yet.

    Short tests have the faster storage of Dagster's records, with which a run takes a third of the work.
    """
    landing.write_config("[calibration]\ntrials = 0\n[limits]\nnull_sample = 2\n")
    landing.shard("00000", rows_of(0, 5))
    landing.shard("00001", rows_of(5, 5))
    (landing.folder / "generations" / "copied.jpg").write_bytes(encoded(picture(3)))
    if request.node.get_closest_marker("thorough") is None:
        landing.keep_records_open()
    started = Ui(landing, tmp_path / "ui.log")
    try:
        yield started
    finally:
        started.kill()


@pytest.mark.parametrize(
    ("options", "token", "says"),
    [
        (["--host", "0.0.0.0"], None, "--allow-host"),  # noqa: S104
        (["--host", "::"], None, "--allow-host"),
        (["--host", "nowhere.invalid"], None, "nowhere.invalid: "),
        (["--allow-host", "*"], None, "no host name"),
        ([], "guessed", "16 characters"),
        ([], "", "16 characters"),
    ],
)
def test_it_does_not_start_where_others_could_get_in(options: list[str], token: str | None, says: str) -> None:
    refused = CliRunner().invoke(ui_command.ui, options, env={ui_command.TOKEN: token})
    assert (refused.exit_code, says in refused.output) == (2, True), refused.output


def test_a_port_that_is_taken_is_named(landing: Landing) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = command(landing.config, "ui", "--port", port, check=False)
    assert (refused.returncode, f"port {port}" in refused.stderr) == (1, True), refused.stderr
    assert "?token=" not in refused.stderr


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.thorough), signal.SIGKILL]
)
def test_no_process_is_left_also_of_one_that_has_not_started_yet(ui: Ui, number: signal.Signals) -> None:
    ui.until("the code server loads", lambda: any("code-server" in each for each in ui.processes().values()))
    code = ui.end(number)
    assert code == (-number if number == signal.SIGKILL else 0)


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_process_is_left_of_one_in_the_foreground(
    landing: Landing, rows_of: Callable[[int, int], list[Row]], tmp_path: Path, number: signal.Signals
) -> None:
    landing.shard("00000", rows_of(0, 1))
    started = Ui(landing, tmp_path / "ui.log", background=False)
    try:
        started.until(
            "the daemon works", lambda: any("dagster._daemon" in each for each in started.processes().values())
        )
        assert started.end(number) == 0
    finally:
        started.kill()


def test_everything_runs_from_the_ui_which_no_stranger_reaches(ui: Ui, landing: Landing) -> None:
    token = ui.address().partition("?token=")[2]
    _check_that_strangers_get_nothing(ui, token)
    run_id = ui.launch("everything")
    assert ui.until("`everything` ends", lambda: ui.ended(run_id)) == "SUCCESS"
    assert landing.query("select count(*) from fingerprints.images where status = 'ok'") == [(10,)]
    assert landing.query("select verdict from provenance.generations") == [("exact",)]
    _check_assets(ui)
    if _CHROMIUM.exists():
        _check_in_a_browser(ui)

    running = " ".join(ui.processes().values())
    assert all(part in running for part in ("orchestration.cli ui", "code-server", "api grpc", "dagster._daemon"))
    assert ui.end(signal.SIGINT) == 0
    assert ui.log.read_text(errors="replace").count(token) == 1, "only the address that is printed holds the token"


@pytest.mark.thorough
@pytest.mark.usefixtures("whole_records")
def test_sensors_take_it_from_there(ui: Ui, landing: Landing, rows_of: Callable[[int, int], list[Row]]) -> None:
    """What they decide is tested without the processes of the UI in `test_automation.py`."""
    ui.until("the code location is loaded", ui.repository)
    landing.raisonne("run")
    ui.until("runs that the sensors started meanwhile end", ui.idle)
    _check_a_failure(ui)
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
    assert {run["status"] for run in started} == {"SUCCESS"}

    _export_an_earlier_version(ui, landing, before)
    _check_assets(ui)
    _check_partition(ui, "tiny/00002")
    landing.raisonne("run")  # in a process of its own, beside the UI
    assert "everything" in {run["jobName"] for run in ui.runs() if run["runId"] not in known}
    ours = {"repositoryName": instance.REPOSITORY, "repositoryLocationName": instance.LOCATION}
    assert all(run["repositoryOrigin"] == ours for run in ui.runs()), "the first page shows each of them"


def _check_that_strangers_get_nothing(ui: Ui, token: str) -> None:
    """Try what websites and programs without the token can, on the server that is really there."""
    ui.until("the code location is loaded", ui.repository)
    launch = json.dumps({"query": "mutation { reloadWorkspace { __typename } }"})
    asked, evil, own = "/graphql?query=mutation{reloadWorkspace{__typename}}", "https://evil.example", f"Bearer {token}"
    kind = "application/json"
    for headers, status in (
        ({"Content_Type": kind}, 401),
        ({"Content_Type": kind, "Authorization": "Bearer a-wrong-token"}, 401),
        ({"Content_Type": kind, "Authorization": own, "Origin": evil}, 403),
        ({"Content_Type": kind, "Authorization": own, "Host": "evil.example"}, 400),
        ({"Content_Type": "text/plain", "Authorization": own}, 415),
    ):
        assert ui.request("POST", "/graphql", launch, **headers)[0] == status, headers
    assert ui.request("GET", asked, Authorization=own, Origin=evil)[0] == 403
    assert ui.request("GET", asked, Authorization=own)[0] == 405
    for path in ("/", "/server_info", "/?token=a-wrong-token"):
        assert ui.request("GET", path)[0] == 401
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    upgrade |= {"Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec_WebSocket_Protocol": "graphql-ws"}
    assert ui.request("GET", "/graphql", Authorization=own, Origin=evil, **upgrade)[0] == 403
    assert ui.request("GET", "/graphql", **upgrade)[0] == 401
    assert ui.request("GET", "/graphql", Authorization=own, **upgrade)[0] == 101


def _check_in_a_browser(ui: Ui) -> None:
    """Open the printed address: the pages show what is there, and their WebSocket answers."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(_CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page, address = browser.new_context().new_page(), ui.address()
        home = address.partition("?")[0]
        assert page.goto(home).status == 401
        heard: list[object] = []  # from the start: an answer may come before anybody waits for it
        page.on("websocket", lambda opened: opened.on("framereceived", lambda frame: heard.append(frame)))
        assert page.goto(address).status == 200
        end = time.monotonic() + PATIENCE_S
        while not heard:
            assert time.monotonic() < end, "its WebSocket never answered"
            page.wait_for_timeout(100)
        page.goto(f"{home}runs")
        page.get_by_text("everything").first.wait_for(timeout=PATIENCE_S * 1000)
        assert page.url == f"{home}runs"
        browser.close()


def _check_partition(ui: Ui, name: str) -> None:
    """It shows its own rows, and is in step."""
    node = ui.ask(_PARTITION, name=name)["assetNodeOrError"]
    [shown] = node["latestMaterializationByPartition"]
    rows = {each["label"]: each.get("intValue") for each in shown["metadataEntries"]}
    assert (node["staleStatus"], rows["dagster/partition_row_count"]) == ("FRESH", 5)
    assert "dagster/row_count" not in rows


def _check_a_failure(ui: Ui) -> None:
    """A failed run shows the reason and the fix first."""
    run_id = ui.launch("curator_job", {"ops": {"curator_exports": {"config": {"version": 999}}}})
    assert ui.until("the run fails", lambda: ui.ended(run_id)) == "FAILURE"
    [error] = [event["error"] for event in ui.ask(_FAILURES, id=run_id)["logsForRun"]["events"] if event.get("error")]
    assert error["message"].startswith("Stopped: "), error
    assert "version 999" in error["message"].partition("\n")[0]


def _make_sensors_due(landing: Landing) -> None:
    """Forget when the sensors were last evaluated, so that the daemon does not wait for the rest of their interval."""
    with dg.DagsterInstance.from_config(str(landing.home / "dagster")) as opened:
        for state in opened.all_instigator_state():
            if state.instigator_type.value == "SENSOR":
                due = state.instigator_data._replace(last_tick_timestamp=None, last_tick_start_timestamp=None)
                opened.update_instigator_state(state.with_data(due))


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
    assert {check["blocking"] for _, check in checks if check["name"].startswith("unique")} == {True}
    assert {check["blocking"] for _, check in checks if check["name"].startswith("warn")} <= {False}
    assert {name for name, node in nodes.items() if node["staleStatus"] != "FRESH"} == set()
    assert ui.ask("{ shouldShowNux }") == {"shouldShowNux": False}
    results = {
        (name, check["name"]): (check["executionForLatestMaterialization"] or {}).get("status")
        for name, check in checks
    }
    assert set(results.values()) == {"SUCCEEDED"}, results
