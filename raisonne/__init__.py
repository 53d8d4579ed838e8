"""The public Python API of a warehouse: which training pictures an image model reproduces, and how often it saw them.

What is named in `__all__` is stable, everything else in this distribution is inside. Importing it takes no time;
DuckDB, Lance and torch are imported by the first call that needs them.

    import raisonne

    with raisonne.open("data/warehouse") as warehouse:
        warehouse.sql("from reports.duplicate_frequency").pl()
        warehouse.sources("simulated/0018.jpg")
        warehouse.show("simulated/0018.jpg")
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raisonne.case_view import CaseView
    from raisonne.guard_client import AsyncGuardClient, GuardAnswer, GuardClient
    from raisonne.runs import RunError, RunResult
    from raisonne.safety_checker import SafetyChecker
    from raisonne.warehouse import Image, Warehouse
    from transforms.catalog.not_taken import NotTaken
    from transforms.dumps.dump import Dump
    from transforms.dumps.members import ArchiveError, Listing, Member
    from transforms.encoders import Encoder, EncoderId
    from transforms.guard import Guard, Verdict
    from transforms.pictures.scaling import Scaling

__all__ = (
    "ArchiveError",
    "AsyncGuardClient",
    "CaseView",
    "Dump",
    "Encoder",
    "EncoderId",
    "Guard",
    "GuardAnswer",
    "GuardClient",
    "Image",
    "Listing",
    "Member",
    "NotTaken",
    "RunError",
    "RunResult",
    "SafetyChecker",
    "Scaling",
    "Verdict",
    "Warehouse",
    "check",
    "open",
    "run",
)
_HOMES = {
    "ArchiveError": "transforms.dumps.members",
    "AsyncGuardClient": "raisonne.guard_client",
    "CaseView": "raisonne.case_view",
    "Dump": "transforms.dumps.dump",
    "Encoder": "transforms.encoders",
    "EncoderId": "transforms.encoders",
    "Guard": "transforms.guard",
    "GuardAnswer": "raisonne.guard_client",
    "GuardClient": "raisonne.guard_client",
    "Image": "raisonne.warehouse",
    "Listing": "transforms.dumps.members",
    "Member": "transforms.dumps.members",
    "NotTaken": "transforms.catalog.not_taken",
    "RunError": "raisonne.runs",
    "RunResult": "raisonne.runs",
    "SafetyChecker": "raisonne.safety_checker",
    "Scaling": "transforms.pictures.scaling",
    "Verdict": "transforms.guard",
    "Warehouse": "raisonne.warehouse",
}


def open(path: str | Path = "data/warehouse", *, version: int | None = None) -> "Warehouse":  # noqa: A001 -- as in zarr.open
    """Open a published warehouse for reading.

    Args:
        path: The folder of the warehouse, the `raisonne.toml` that names it, or the address of a lake, such as
            `ducklake:postgres:dbname=raisonne host=db`. Of a lake, all works that needs no pictures and no vectors;
            those are in the folder of the warehouse.
        version: A kept earlier version; the published one if None.

    Raises:
        LookupError: If nothing is published there, or not that version, or the lake cannot be reached.
        ValueError: If the settings or the address cannot be used.
    """
    from raisonne.warehouse import Warehouse

    return Warehouse.open(path, version)


def check(image: "Image", bundle: str | Path | None = None) -> "Verdict":
    """Decide whether a generated image may be shown. Does not raise for what the image holds.

    The bundle is opened at the first call and kept, until its manifest changes.

    Args:
        image: A path, the bytes of a file, or pixels as uint8 of shape (height, width, 3).
        bundle: The folder that `raisonne export guard` wrote. Default: the newest one of the warehouse that
            `RAISONNE_CONFIG` or `raisonne.toml` names.

    Raises:
        LookupError: If the warehouse has no bundle; treat it as a block, as the others.
        ValueError: If the settings or the bundle cannot be used, or none of `guard.trusted_keys` signed it.
        RuntimeError: If the bundle's encoder cannot be loaded, or may run code and nobody trusted signed the bundle.
    """
    from orchestration import settings
    from raisonne import guards

    guard = guards.of_warehouse(settings.load()) if bundle is None else guards.of_bundle(Path(bundle))
    return guard.check(image)


def run(
    config: str | Path = "raisonne.toml",
    job: str = "everything",
    *,
    forget: Sequence[str] = (),
    accept_drop: bool = False,
) -> "RunResult":
    """Run a job in this process and publish the result, as `raisonne run` does.

    Args:
        config: The settings.
        job: `everything`, `fingerprint_shard`, `derive` or `generations_only`.
        forget: Datasets that left the settings, to be removed for good.
        accept_drop: Whether to publish although much less can be searched than before.

    Raises:
        RunError: If the run was refused, failed or was interrupted. The last version stands.
        ValueError: If the settings cannot be used.
    """
    from raisonne import runs

    return runs.run(Path(config), job, forget, accept_drop)


def __getattr__(name: str) -> object:
    """Import a public class when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'raisonne' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
