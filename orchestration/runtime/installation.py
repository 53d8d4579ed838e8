"""The state of an installation: packages, home, inputs, versions, disk, encoders, each with what mends it.

What belongs here: one function per part, and the list of them. What does not: printing
(`cli/state/doctor.py`), mending the published version (`warehouse/soundness/repair.py`).
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

import duckdb

from orchestration.runtime import full_disks, homes
from orchestration.settings import Settings
from orchestration.settings.memory import MemoryParts, machine_memory
from orchestration.warehouse import lake, previous, publishing
from orchestration.warehouse.soundness.faults import fault
from transforms import encoders, packages
from transforms.readable import size
from transforms.storage import globs
from transforms.storage.remote_stores import is_remote

_READING_REPAIR = f"`{publishing.REPAIR}` publishes the newest sound version that is kept"


class Health(StrEnum):
    """How a part of the installation is."""

    FINE = "ok"
    LACKING = "note"
    BROKEN = "FAULT"


@dataclass(frozen=True)
class Diagnosis:
    """What was found of a part.

    Attributes:
        part: The part, in a word or two.
        health: How it is.
        finding: What was found.
        fix: What to do. None if nothing is to do.
    """

    part: str
    health: Health
    finding: str
    fix: str | None = None


def diagnose(settings: Settings) -> Iterator[Diagnosis]:
    """Yield what is found of each part. Nothing is changed, and nothing is downloaded.

    The published version is read whole, the kept ones as far as a run reads them.
    """
    yield _packages()
    yield _home(settings.home)
    yield from _inputs(settings)
    yield _published(settings)
    yield _kept(settings)
    yield from _lake(settings)
    yield _disk(settings.home)
    yield _memory(settings.memory)
    yield _writer(settings.home)
    if "copy" not in settings.encoders.by_purpose:
        told = "none: nothing is embedded, so crops, collages and strong edits are not found"
        yield Diagnosis("copy encoder", Health.LACKING, told, "set encoders.copy, such as 'sscd'; hashes are kept")
    for purpose, name in settings.encoders.by_purpose.items():
        yield _encoder(purpose, name, settings.encoders.device)
    yield from _parts(settings)


def _packages() -> Diagnosis:
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    if wrong := packages.misfits():
        fix = f"install {packages.DISTRIBUTION} again into an environment of its own"
        return Diagnosis("packages", Health.BROKEN, f"{python}; {'; '.join(wrong)}", fix)
    return Diagnosis("packages", Health.FINE, f"{python}, DuckDB {duckdb.__version__}, all versions as required")


def _parts(settings: Settings) -> Iterator[Diagnosis]:
    """Yield the optional parts: broken where the settings need one that is not installed."""
    downloads = any(dataset.download for dataset in settings.datasets)
    for part, module, purpose, needed in (
        ("download", "img2dataset", "`raisonne download`", downloads),
        ("ray", "ray", "compute.engine = 'ray'", settings.compute.engine == "ray"),
        ("serve", "prometheus_client", "`raisonne serve`", False),
        ("formats", "pillow_heif", "HEIC and JPEG XL pictures", False),
        ("c2pa", "c2pa", "verifying C2PA manifests", settings.rights.c2pa),
        ("lake", "duckdb_extension_ducklake", "publishing.target", settings.publishing.lake is not None),
    ):
        if find_spec(module):
            yield Diagnosis(f"part {part}", Health.FINE, f"for {purpose}")
        else:
            health = Health.BROKEN if needed else Health.LACKING
            told = f"not installed, for {purpose}" + (", which the settings ask for" if needed else "")
            yield Diagnosis(f"part {part}", health, told, packages.installing(part))


def _inputs(settings: Settings) -> Iterator[Diagnosis]:
    """Yield for each section of the settings whether what it names is there and may be read."""
    for dataset in settings.datasets:
        named = (dataset.metadata, dataset.images, dataset.redownload)
        yield _input(f"dataset {dataset.name}", [each for each in named if each])
    for source in settings.generations:
        yield _input(f"generations {source.name}", [source.path])
    for opt_outs in settings.recalls:
        yield _input(f"recall {opt_outs.name}", [each for each in (opt_outs.path, opt_outs.pictures) if each])


def _input(part: str, patterns: Sequence[str]) -> Diagnosis:
    """Return what is found at some globs. A gap stops runs, and no reader: so it is no fault of the installation."""
    for pattern in patterns:
        if is_remote(pattern):
            continue  # a store is asked by the run, which says what it answers
        try:
            first = next(globs.glob(pattern), None)
        except OSError as error:
            return Diagnosis(part, Health.LACKING, f"{pattern}: {error.strerror or error}", "correct its permissions")
        if first is None:
            return Diagnosis(part, Health.LACKING, f"nothing is found at {pattern}", "correct it, or mount its disk")
        if not os.access(first.path, os.R_OK | (os.X_OK if first.folder else 0)):
            return Diagnosis(part, Health.LACKING, f"{first.path} may not be read", f"ls -ld {first.path}")
    return Diagnosis(part, Health.FINE, ", ".join(patterns))


def _writer(home: Path) -> Diagnosis:
    holder = publishing.holder(home)
    return Diagnosis("writer's lock", Health.FINE, f"held by {holder}" if holder else "free")


def _home(home: Path) -> Diagnosis:
    if not home.is_dir():
        if home.exists():
            return Diagnosis("home", Health.BROKEN, f"{home} is no folder", "set `home` to another place")
        return Diagnosis("home", Health.LACKING, f"{home} is not there yet", "`raisonne run` makes it")
    if not os.access(home, os.R_OK | os.X_OK):
        return Diagnosis("home", Health.BROKEN, f"{home} may not be read", f"ask its owner for access: ls -ld {home}")
    try:
        homes.require_usable(home)
    except homes.HomeError as error:
        finding, _, fix = str(error).partition("; ")
        return Diagnosis("home", Health.LACKING, finding, f"runs need it, readers do not: {fix}")
    except OSError as error:
        return Diagnosis("home", Health.BROKEN, f"{home}: {error.strerror}", "free some of its disk")
    return Diagnosis("home", Health.FINE, f"{home}, can be read and written")


def _published(settings: Settings) -> Diagnosis:
    part, home = "published version", settings.home
    try:
        version = publishing.current(home)
        if version is None:
            lost = publishing.history(home)
            fix = _READING_REPAIR if lost else "`raisonne run` publishes the first"
            health = Health.BROKEN if lost else Health.LACKING
            return Diagnosis(part, health, f"{home / publishing.LINK} is not there", fix)
        reason = fault(version, settings.memory.duckdb)
    except publishing.LinkReplaced as error:
        return Diagnosis(part, Health.BROKEN, str(error).partition(";")[0], _READING_REPAIR)
    except (duckdb.Error, publishing.NotPublished) as error:
        return Diagnosis(part, Health.BROKEN, str(error), f"let whoever runs this read {home}")
    if reason:
        return Diagnosis(part, Health.BROKEN, f"version {version.number}: {reason}", _READING_REPAIR)
    return Diagnosis(part, Health.FINE, f"version {version.number}, read to its last block")


def _kept(settings: Settings) -> Diagnosis:
    part, faults, numbers = "kept versions", [], []
    for version in publishing.history(settings.home):
        try:
            reason = fault(version, settings.memory.duckdb, previous.READ)
        except (duckdb.Error, publishing.NotPublished) as error:
            reason = str(error)
        numbers.append(str(version.number))
        if reason:
            faults.append(f"version {version.number}: {reason}")
        elif version.path.stat().st_mode & 0o222:
            faults.append(f"version {version.number} may be written: chmod 444 {version.path}")
    if faults:
        return Diagnosis(part, Health.LACKING, "; ".join(faults), "a version that is not published may be deleted")
    return Diagnosis(part, Health.FINE, ", ".join(numbers) or "none")


def _lake(settings: Settings) -> Iterator[Diagnosis]:
    """Yield whether the lake of the settings, if there is one, can be reached. Its data are not read."""
    if (address := settings.publishing.lake) is None:
        return
    try:
        kept = ", ".join(map(str, lake.numbers(address)))
    except lake.NotInLake:
        yield Diagnosis("lake", Health.LACKING, f"{address} is not there yet", "`raisonne run` makes it")
    except publishing.NotPublished as error:
        yield Diagnosis("lake", Health.BROKEN, str(error), "see [publishing] of the settings")
    else:
        yield Diagnosis("lake", Health.FINE, f"{address}, versions {kept or 'none'}")


def _disk(home: Path) -> Diagnosis:
    free = full_disks.free(home)
    largest = max((version.path.stat().st_size for version in publishing.history(home)), default=0)
    found = f"{size(free)} free on the disk of {home}"
    if free < 2 * largest:
        needed = f"the next version takes about {size(largest)}, and as much again while it is built"
        return Diagnosis("disk space", Health.LACKING, found, f"{needed}: free some, or lower publishing.keep")
    return Diagnosis("disk space", Health.FINE, found)


def _memory(parts: MemoryParts) -> Diagnosis:
    machine = machine_memory()
    found = f"limits.memory is {size(parts.whole)} of {size(machine)} in the machine: {parts}"
    if parts.whole > machine:
        return Diagnosis("memory", Health.LACKING, found, "lower limits.memory, or take a larger machine")
    return Diagnosis("memory", Health.FINE, found)


def _encoder(purpose: str, name: str, device: str) -> Diagnosis:
    try:
        encoder = encoders.load(name, device)
        where = f", on {used}" if (used := getattr(encoder, "device", None)) else ""
        return Diagnosis(f"{purpose} encoder", Health.FINE, f"{encoder.id}{where}")
    except encoders.EncoderUnavailable as error:
        finding, _, fix = str(error).partition("; ")
        return Diagnosis(f"{purpose} encoder", Health.BROKEN, finding, fix or "set another in `encoders`")
