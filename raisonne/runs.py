"""Running a job from Python.

What belongs here: from settings to the result of a run. What does not: jobs (`orchestration/automation.py`), the
command (`orchestration/cli/run.py`), running one for both (`orchestration/cli/execution.py`).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_VARIABLES = ("RAISONNE_CONFIG", "DAGSTER_HOME")
"""What a run sets in the environment."""


class RunError(RuntimeError):
    """A run was refused, failed or was interrupted. The message says why, what stands, and the fix."""


@dataclass(frozen=True)
class RunResult:
    """What a run left.

    Attributes:
        version: The published version; None if nothing was published yet.
        unusable: Shards that could not be used, or not as a whole, with the reason.
    """

    version: int | None
    unusable: dict[str, str]


def run(config: Path, job: str, forget: Sequence[str], accept_drop: bool) -> RunResult:
    """Run a job in this process.

    Args:
        config: The settings.
        job: Its name.
        forget: Datasets to remove for good.
        accept_drop: Whether to publish although much less can be searched.

    Raises:
        RunError: If it was refused, failed or was interrupted.
        ValueError: If the settings cannot be used.
    """
    from orchestration import settings
    from orchestration.cli import execution
    from orchestration.facts import Facts
    from orchestration.fingerprints import notes
    from orchestration.warehouse import publishing

    loaded = settings.load(config)
    with _settings_named(config):
        try:
            execution.run(job, loaded, forget, accept_drop=accept_drop)
        except execution.RunStopped as stopped:
            raise RunError(str(stopped)) from None
    published = publishing.current(loaded.home)
    unusable = notes.unusable_shards(Facts(loaded.home / "facts"))
    return RunResult(published.number if published else None, dict(unusable))


@contextmanager
def _settings_named(config: Path) -> Iterator[None]:
    """Name the settings to Dagster, which reads them from the environment, and leave that as it was: runs differ."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ["RAISONNE_CONFIG"] = str(config.resolve())
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
