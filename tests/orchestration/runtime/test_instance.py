"""Dagster's own settings, as a home gets them and as an older home has them."""

import os
from pathlib import Path

import dagster as dg
import pytest
import yaml
from conftest import ROOT

from orchestration.runtime import instance


def settings_of(folder: Path) -> dict[str, object]:
    with dg.DagsterInstance.from_config(str(folder)) as made:
        return {"dialog": made.nux_enabled, "telemetry": made.telemetry_enabled}


def test_dagster_neither_asks_for_an_address_nor_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")  # is not set
    assert settings_of(instance.prepare(tmp_path)) == {"dialog": False, "telemetry": False}


def test_records_that_cannot_be_kept_name_their_place_and_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "records"
    place.touch()
    monkeypatch.setenv("DAGSTER_HOME", str(place))
    with pytest.raises(instance.DagsterHomeError, match=rf"{place} \(File exists\).*set DAGSTER_HOME"):
        instance.prepare(tmp_path / "home")


@pytest.mark.parametrize(("written", "dialog"), [("", False), ("nux:\n  enabled: true\n", True)])
def test_a_home_of_an_earlier_release_stops_asking_and_a_choice_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, dialog: bool
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")  # is not set
    (tmp_path / "dagster").mkdir()
    config = tmp_path / "dagster" / "dagster.yaml"
    config.write_text(f"# Written by raisonne, yours to change.\ntelemetry:\n  enabled: false\n{written}")
    assert settings_of(instance.prepare(tmp_path))["dialog"] is dialog
    once = config.read_text()
    instance.prepare(tmp_path)
    assert config.read_text() == once


def test_settings_of_the_user_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")  # is not set
    (tmp_path / "dagster").mkdir()
    config = tmp_path / "dagster" / "dagster.yaml"
    config.write_text("telemetry:\n  enabled: false\n")
    instance.prepare(tmp_path)
    assert config.read_text() == "telemetry:\n  enabled: false\n"


@pytest.mark.parametrize("name", ["dagster-k8s.yaml", "dagster-ray.yaml"])
def test_the_settings_of_a_deployment_ask_nobody_either(name: str) -> None:
    assert yaml.safe_load((ROOT / "deploy" / name).read_text())["nux"] == {"enabled": False}


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_processes_of_two_warehouses_that_begin_at_once_share_the_records_that_one_of_them_creates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "records"))
    read, write = os.pipe()
    children = []
    for number in range(3):
        if (child := os.fork()) == 0:
            ended = 1
            try:
                os.close(write)
                os.read(read, 1)  # returns for all of them once the test closes its end
                with instance.opened(tmp_path / f"home{number // 2}") as made:
                    ended = made.get_runs_count()
            finally:
                os._exit(ended)
        children.append(child)
    os.close(write)
    os.close(read)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
