"""The deployment files: read by what they configure, or linted where that is not here; their commands are run."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Mapping, Sequence
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import bundles
import dagster as dg
import pytest
import yaml
from conftest import PATIENCE_S, ROOT, encoded, picture

from orchestration import settings
from orchestration.cli.main import main
from orchestration.runtime import instance
from tests import processes

DEPLOY = ROOT / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
UNITS = sorted((DEPLOY / "systemd").iterdir())
_TOKEN = "a token of more than sixteen characters"  # noqa: S105 -- of the test alone
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "test",
    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    "clusters": [{"name": "test", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "test", "user": {"token": "none"}}],
}


def loaded(name: str, folder: Path, **launcher: object) -> dg.DagsterInstance:
    """Load a deployment file as dagster.yaml, with some of the launcher's settings replaced."""
    config = yaml.safe_load((DEPLOY / name).read_text())
    config["run_launcher"]["config"] |= launcher
    (folder / "dagster.yaml").write_text(yaml.safe_dump(config))
    return dg.DagsterInstance.from_config(str(folder))


def test_every_file_is_tested() -> None:
    names = {path.relative_to(DEPLOY).as_posix() for path in DEPLOY.rglob("*") if path.is_file()}
    units = {"systemd/raisonne-guard.service", "systemd/raisonne-ui.service"}
    assert names == units | {
        "Containerfile",
        "compose.yaml",
        "dagster-k8s.yaml",
        "dagster-ray.yaml",
        "grafana-guard.json",  # held against the service's metrics in tests/test_guard_operations.py
        "healthy.py",
        "raisonne.toml",
    }


@pytest.mark.parametrize("name", ["dagster-k8s.yaml", "dagster-ray.yaml"])
def test_pools_monitoring_and_telemetry_are_those_of_one_machine(name: str) -> None:
    wanted, config = yaml.safe_load(instance.CONFIG), yaml.safe_load((DEPLOY / name).read_text())
    assert {key: config[key] for key in wanted} == wanted


def test_kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dagster_k8s", reason="pip install '.[k8s]'")
    from dagster._config import process_config
    from dagster_k8s import K8sRunLauncher

    monkeypatch.setenv("RAISONNE_IMAGE", "registry.example/raisonne:1")
    shipped = yaml.safe_load((DEPLOY / "dagster-k8s.yaml").read_text())["run_launcher"]["config"]
    checked = process_config(dg.Shape(K8sRunLauncher.config_type()), shipped)
    assert checked.success, checked.errors
    assert checked.value["load_incluster_config"] is True

    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(KUBECONFIG))
    with loaded("dagster-k8s.yaml", tmp_path, load_incluster_config=False, kubeconfig_file=str(kubeconfig)) as made:
        launcher = made.run_launcher
        assert isinstance(launcher, K8sRunLauncher)
        assert launcher.job_image == "registry.example/raisonne:1"
        assert made.run_monitoring_enabled and not made.telemetry_enabled


def test_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dagster_ray", reason="pip install '.[ray]'")
    from dagster_ray import RayRunLauncher

    monkeypatch.setenv("RAY_JOBS_ADDRESS", "http://127.0.0.1:8265")
    with loaded("dagster-ray.yaml", tmp_path) as made:
        assert isinstance(made.run_launcher, RayRunLauncher)
        assert made.run_launcher.address == "http://127.0.0.1:8265"
        assert made.run_monitoring_enabled and not made.telemetry_enabled


def _linted(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).parent / program
    found = str(beside) if beside.exists() else shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False)


def _instructions(stage: int) -> list[tuple[str, str]]:
    """Return the instructions of a stage of the image, with lines joined."""
    joined = re.sub(r"(?m)^#.*\n", "", CONTAINERFILE).replace("\\\n", "")
    stages = re.split(r"(?m)^(?=FROM )", joined)[1:]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in stages[stage].splitlines() if line]


def test_the_image_is_sound() -> None:
    done = _linted("hadolint", "--failure-threshold", "info", str(DEPLOY / "Containerfile"))
    assert done.returncode == 0, done.stdout
    last = dict(_instructions(1))
    assert last["USER"].partition(":")[0] not in ("", "0", "root") and "healthy.py" in last["HEALTHCHECK"]
    assert f"uv=={_locked()['uv']}" in CONTAINERFILE


def _locked() -> dict[str, str]:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"(?m)^([a-z0-9._-]+)==(\S+)", lock))


def test_the_image_for_cpus_takes_all_but_torch_from_the_lock() -> None:
    [awk] = re.findall(r"awk '.*?' requirements.lock", CONTAINERFILE)
    kept = subprocess.run(shlex.split(awk), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"(?m)^([a-z0-9._-]+)==", kept))
    gone = {name for name in _locked() if re.match(r"(torch|torchvision|triton)$|nvidia-|cuda-", name)}
    assert names == set(_locked()) - gone and {"torch", "torchvision"} <= gone
    assert kept.count("--hash=") > len(names)


def test_the_image_is_built_from_what_is_copied_into_it(tmp_path: Path) -> None:
    """The files that the build stage copies give the wheel of the whole tree; its extras are there."""
    copied = [words.split() for name, words in _instructions(0) if name == "COPY"]
    for *files, target in copied:
        for file in files:
            source, into = ROOT / file, tmp_path / target
            shutil.copytree(source, into) if source.is_dir() else shutil.copy(source, into)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    wheels = []
    for folder in (ROOT, tmp_path):
        out = tmp_path / f"of {folder.name}"
        subprocess.run([*command, str(out)], cwd=folder, check=True, capture_output=True)
        wheels += [next(out.glob("*.whl")).read_bytes()]
    assert wheels[0] == wheels[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [extras] = [words.partition("=")[2] for name, words in _instructions(0) if words.startswith("EXTRAS=")]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    [python] = re.findall(r"(?m)^ARG PYTHON=(\S+)", CONTAINERFILE)
    assert f"Programming Language :: Python :: {python}" in project["classifiers"]


def test_the_compose_file_is_valid() -> None:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, DEPLOY / "compose.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert (
            service["read_only"]
            and service["cap_drop"] == ["ALL"]
            and "healthy.py" in service["healthcheck"]["test"][2]
        )


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_valid_and_hardened(unit: Path, tmp_path: Path) -> None:
    there = tmp_path / unit.name
    there.write_text(unit.read_text(encoding="utf-8").replace("/opt/raisonne/bin/raisonne", "/bin/sh"))
    done = _linted("systemd-analyze", "verify", "--man=no", str(there))
    assert (done.returncode, done.stderr) == (0, "")
    done = _linted("systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit))
    assert done.returncode == 0, done.stdout


def _commands() -> dict[str, list[str]]:
    """Return the commands of the services, by file and service, without the program."""
    found = {f"compose {name}": service["command"] for name, service in COMPOSE["services"].items()}
    for unit in UNITS:
        file = RawConfigParser(strict=False, interpolation=None)
        file.optionxform = str  # type: ignore[assignment,method-assign]
        file.read(unit, encoding="utf-8")
        program, *found[f"systemd {unit.stem}"] = shlex.split(file["Service"]["ExecStart"])
        assert program == "/opt/raisonne/bin/raisonne"
    image = next(words for name, words in _instructions(1) if name == "CMD")
    return found | {"image": yaml.safe_load(image)}


@pytest.mark.parametrize("where", _commands())
def test_the_command_of_a_service_is_one_that_raisonne_takes(where: str) -> None:
    name, *rest = _commands()[where]
    assert main.commands[name].make_context(name, list(rest))


def test_the_settings_are_valid(tmp_path: Path) -> None:
    loaded = settings.load(_deployed(tmp_path))
    assert (loaded.home, len(loaded.datasets), len(loaded.generations)) == (tmp_path / "srv" / "warehouse", 1, 1)


def _deployed(folder: Path) -> Path:
    """Write the settings with the volume in a folder. Returns their file."""
    text = (DEPLOY / "raisonne.toml").read_text(encoding="utf-8")
    (folder / "raisonne.toml").write_text(text.replace("/srv/raisonne", str(folder / "srv")))
    for name in ("landing", "generations"):
        (folder / "srv" / name).mkdir(parents=True, exist_ok=True)
    return folder / "raisonne.toml"


class Service:
    """A service as a deployment starts it, with a folder for its volume and its files, at a free port here."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = str(free.getsockname()[1])
        moved = {"0.0.0.0": "127.0.0.1", "3000": self._port, "8080": self._port}  # noqa: S104 -- what is replaced
        words = [moved.get(word, re.sub(r"^(/run/secrets|%d)/", f"{folder}/", word)) for word in command]
        self._environment = processes.environment() | {"RAISONNE_CONFIG": str(_deployed(folder)), **environment}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "orchestration.cli", *words],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def healthy(self, check: Sequence[str]) -> None:
        """Run the health check of the deployment until it succeeds. Fails if the service ends."""
        command = [sys.executable, str(DEPLOY / "healthy.py"), re.sub(r":(3000|8080)/", f":{self._port}/", check[-1])]
        assert check[0].endswith("python") and check[1] == "/opt/raisonne/healthy.py"
        end = time.monotonic() + PATIENCE_S
        while True:
            done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
            assert self._process.poll() is None and time.monotonic() < end, done.stderr
            assert done.stderr.startswith("http://127.0.0.1:") and "Traceback" not in done.stderr
            threading.Event().wait(0.2)

    def end(self) -> int:
        """Send SIGTERM, as a container's end and systemd do. Returns the exit code."""
        self._process.terminate()
        return self._process.wait(PATIENCE_S)

    def kill(self) -> None:
        """End what is left."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@pytest.mark.thorough
def test_the_ui_comes_up_answers_its_health_check_and_ends(tmp_path: Path) -> None:
    service = COMPOSE["services"]["ui"]
    ui = Service(service["command"], tmp_path, {"RAISONNE_UI_TOKEN": _TOKEN})
    try:
        ui.healthy(service["healthcheck"]["test"][1:])
        assert ui.end() == 0
    finally:
        ui.kill()


@pytest.mark.parametrize("where", ["systemd raisonne-guard", pytest.param("compose guard", marks=pytest.mark.thorough)])
def test_the_guard_comes_up_answers_its_health_check_and_ends(where: str, tmp_path: Path) -> None:
    """It writes nothing into the volume, which it has for reading alone."""
    home = tmp_path / "srv" / "warehouse"
    bundles.write(home / "guard" / "version-000001", [encoded(picture(1))])
    (tmp_path / "guard-token").write_text(_TOKEN)
    before = _files(home)
    guard = Service(_commands()[where], tmp_path, {})
    try:
        guard.healthy(COMPOSE["services"]["guard"]["healthcheck"]["test"][1:])
        assert guard.end() == 0
    finally:
        guard.kill()
    assert _files(home) == before


def _files(folder: Path) -> dict[Path, Any]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_the_page_names_what_is_there() -> None:
    page = DEPLOY.parent / "docs" / "how-to" / "deploy.md"
    text = page.read_text(encoding="utf-8")
    linked = {(page.parent / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)\)", text)}
    assert [target for target in linked if not target.exists()] == []
    assert {*DEPLOY.rglob("*.*ml"), *UNITS} <= linked
    typed = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("raisonne ")]
    for name, *rest in typed:
        assert main.commands[name].make_context(name, rest)
    for command in re.findall(r"(?m)^#   podman compose .*?(?=  |$)", (DEPLOY / "compose.yaml").read_text()):
        assert all(part in text for part in command.removeprefix("#   ").split(" && "))
    assert len(typed) == 2
