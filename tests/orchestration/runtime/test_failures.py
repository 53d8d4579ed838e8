"""The first line of a failed step is the reason and the fix, as Dagster stores it and its UI shows it."""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from conftest import Landing
from dagster._utils.error import SerializableErrorInfo

from orchestration.definitions import defs
from orchestration.runtime.failures import explained
from orchestration.settings import SettingsError
from orchestration.warehouse import publishing


@dg.asset
@explained
def ours() -> None:
    try:
        Path("/no/such/file").read_bytes()
    except OSError as error:
        raise SettingsError("nothing is at /no/such/file; correct `path`") from error


@dg.asset
@explained
def ends_early() -> Iterator[dg.MaterializeResult]:
    yield dg.MaterializeResult()
    raise dg.Failure("nothing was published: less can be searched; pass --accept-drop", allow_retries=False)


@dg.asset
@explained
def of_a_library() -> None:
    Path("/no/such/file").read_bytes()


@dg.asset
@explained
def on_a_full_disk() -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("failing", "first_line"),
    [
        (ours, "Stopped: nothing is at /no/such/file; correct `path`"),
        (ends_early, "Stopped: nothing was published: less can be searched; pass --accept-drop"),
        (
            of_a_library,
            "Stopped: of_a_library: FileNotFoundError: [Errno 2] No such file or directory: '/no/such/file'",
        ),
    ],
)
def test_the_first_line_is_the_fix(
    failing: dg.AssetsDefinition, first_line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = failure(failing, tmp_path, monkeypatch)
    assert error.message == f"{first_line}\n"
    assert error.cause is not None, "what happened stays in the log"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = failure(on_a_full_disk, tmp_path, monkeypatch).message
    assert message.startswith("Stopped: the disk of ") and "free some of it" in message


@dg.asset
@explained
def within_little_memory() -> None:
    with duckdb.connect(config={"memory_limit": "10MB"}) as con:
        con.execute("select list(range) from range(10_000_000)")


def test_too_little_memory_for_duckdb_names_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = failure(within_little_memory, tmp_path, monkeypatch).message
    assert "Out of Memory Error" in message and "raise limits.memory, or limits.duckdb_memory, which is" in message
    assert message.count("\n") == 1, "nothing of what DuckDB advises"


@dg.asset
@explained
def whose_settings_change() -> None:
    Path(os.environ["RAISONNE_CONFIG"]).write_text("home = 7")
    raise ValueError("the picture is gone")


def test_settings_that_were_broken_meanwhile_do_not_hide_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = failure(whose_settings_change, tmp_path, monkeypatch).message
    assert message == "Stopped: whose_settings_change: ValueError: the picture is gone\n"


def failure(asset: dg.AssetsDefinition, folder: Path, monkeypatch: pytest.MonkeyPatch) -> SerializableErrorInfo:
    """Return the error that a run of the asset stores."""
    (folder / "raisonne.toml").write_text('home = "home"\n')
    (folder / "home").mkdir()
    monkeypatch.setenv("RAISONNE_CONFIG", str(folder / "raisonne.toml"))
    result = dg.materialize([asset], raise_on_error=False)
    [event] = [each for each in result.all_events if each.is_step_failure]
    assert event.step_failure_data.error is not None
    return event.step_failure_data.error


def test_a_run_that_may_not_write_says_so_in_its_first_step(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    landing.write_config("[publishing]\nlock_wait_s = 0\n")
    monkeypatch.setenv("RAISONNE_CONFIG", str(landing.config))
    job = defs.resolve_job_def("curator_job")
    with dg.DagsterInstance.ephemeral() as instance, publishing.writer(landing.home, run="another", wait_s=0):
        done = job.execute_in_process(instance=instance, raise_on_error=False)
    [failed] = [event.step_failure_data for event in done.all_events if event.is_step_failure]
    assert failed.error is not None
    assert failed.error.message.startswith("Stopped: ") and "another" in failed.error.message.partition("\n")[0]
    assert not (landing.home / "facts").exists()
