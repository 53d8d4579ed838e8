"""The state of an installation: its home, versions, disk, encoders and extensions, each with what mends it.

What belongs here: one function per part, and the list of them. What does not: printing
(`cli/state/doctor.py`), mending the published version (`warehouse/soundness/repair.py`).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import duckdb

from orchestration.settings import Settings
from orchestration.warehouse import previous, publishing
from orchestration.warehouse.soundness.faults import fault
from transforms import encoders

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
    yield _home(settings.home)
    yield _published(settings)
    yield _kept(settings)
    yield _disk(settings.home)
    for purpose, name in settings.encoders.by_purpose.items():
        yield _encoder(purpose, name)


def _home(home: Path) -> Diagnosis:
    if not home.is_dir():
        if home.exists():
            return Diagnosis("home", Health.BROKEN, f"{home} is no folder", "set `home` to another place")
        return Diagnosis("home", Health.LACKING, f"{home} is not there yet", "`raisonne run` makes it")
    if not os.access(home, os.R_OK | os.X_OK):
        return Diagnosis("home", Health.BROKEN, f"{home} may not be read", f"ask its owner for access: ls -ld {home}")
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=home):
            pass
    except OSError as error:
        fix = f"runs need to write there, readers do not: ls -ld {home}"
        return Diagnosis("home", Health.LACKING, f"{home} cannot be written: {error.strerror}", fix)
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
        reason = fault(version, settings.limits.duckdb_memory)
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
            reason = fault(version, settings.limits.duckdb_memory, previous.READ)
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


def _disk(home: Path) -> Diagnosis:
    place = next(each for each in (home.absolute(), *home.absolute().parents) if each.exists())
    free = shutil.disk_usage(place).free
    largest = max((version.path.stat().st_size for version in publishing.history(home)), default=0)
    found = f"{free >> 20:,} MB free in {place}"
    if free < 2 * largest:
        needed = f"the next version takes about {largest >> 20:,} MB, and as much again while it is built"
        return Diagnosis("disk space", Health.LACKING, found, f"{needed}: free some, or lower publishing.keep")
    return Diagnosis("disk space", Health.FINE, found)


def _encoder(purpose: str, name: str) -> Diagnosis:
    try:
        return Diagnosis(f"{purpose} encoder", Health.FINE, str(encoders.load(name).id))
    except encoders.EncoderUnavailable as error:
        finding, _, fix = str(error).partition("; ")
        return Diagnosis(f"{purpose} encoder", Health.BROKEN, finding, fix or "set another in `encoders`")
