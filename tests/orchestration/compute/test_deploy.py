"""The deployment files are loaded by what they configure."""

from pathlib import Path

import dagster as dg
import pytest
import yaml

from orchestration.runtime import instance
from tests.conftest import ROOT

DEPLOY = ROOT / "docs" / "deploy"
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
    assert {path.name for path in DEPLOY.iterdir()} == {"dagster-k8s.yaml", "dagster-ray.yaml"}


@pytest.mark.parametrize("name", ["dagster-k8s.yaml", "dagster-ray.yaml"])
def test_pools_monitoring_and_telemetry_are_those_of_one_machine(name: str) -> None:
    wanted, config = yaml.safe_load(instance.CONFIG), yaml.safe_load((DEPLOY / name).read_text())
    assert {key: config[key] for key in wanted} == wanted


def test_kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dagster_k8s", reason="pip install raisonne[k8s]")
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
    pytest.importorskip("dagster_ray", reason="pip install raisonne[ray]")
    from dagster_ray import RayRunLauncher

    monkeypatch.setenv("RAY_JOBS_ADDRESS", "http://127.0.0.1:8265")
    with loaded("dagster-ray.yaml", tmp_path) as made:
        assert isinstance(made.run_launcher, RayRunLauncher)
        assert made.run_launcher.address == "http://127.0.0.1:8265"
        assert made.run_monitoring_enabled and not made.telemetry_enabled
