"""Folders of a warehouse's guard bundles: naming, finding the newest, removing old ones.

What belongs here: folders below `home/guard`. What does not: writing a bundle (`guard/export.py`), reading one
(`transforms/guard/`).
"""

import re
from collections.abc import Collection
from pathlib import Path

from transforms.guard import Bundle
from transforms.guard.bundle import MANIFEST
from transforms.storage import staging

_NAME = re.compile(r"version-(\d{6,})(-at-least-\d+)?(-hashes)?(-copy-score-[\de.-]+)?(-p-value-[\de.-]+)?")


def default_folder(
    home: Path, version: int, *, at_least: int, hashes_only: bool, copy_score: float | None, p_value: float | None
) -> Path:
    """Return the default folder of a bundle, named after its version and options.

    Args:
        home: Folder of the warehouse.
        version: Number of the published version.
        at_least: See `BundleOptions`, as for the others.
        hashes_only: likewise.
        copy_score: likewise.
        p_value: likewise.
    """
    name = f"version-{version:06d}" + (f"-at-least-{at_least}" if at_least > 1 else "")
    name += "-hashes" if hashes_only else ""
    name += "" if copy_score is None else f"-copy-score-{copy_score:g}"
    return _bundles(home) / (name + ("" if p_value is None else f"-p-value-{p_value:g}"))


def newest(home: Path) -> Path | None:
    """Return a bundle of the newest version that has one, or None.

    Of several bundles it is the strictest, so that exporting a narrower one weakens no check. Raises BundleError if a
    manifest cannot be read.
    """
    folders = _by_version(home)
    return max(folders[max(folders)], key=_strictness) if folders else None


def prune(home: Path, kept: Collection[int]) -> None:
    """Remove the bundles of versions that are no longer kept, except those of the newest.

    A process that has one open can continue. Bundles outside `home/guard` stay.

    Args:
        home: Folder of the warehouse.
        kept: Numbers of the versions to keep.
    """
    folders = _by_version(home)
    for number in folders.keys() - {*kept, max(folders, default=0)}:
        for folder in folders[number]:
            staging.discard(folder)


def _bundles(home: Path) -> Path:
    return home / "guard"


def _by_version(home: Path) -> dict[int, list[Path]]:
    folders: dict[int, list[Path]] = {}
    for path in _bundles(home).glob(f"*/{MANIFEST}"):
        if match := _NAME.fullmatch(path.parent.name):
            folders.setdefault(int(match[1]), []).append(path.parent)
    return folders


def _strictness(folder: Path) -> tuple[float, ...]:
    manifest = Bundle.read_manifest(folder)
    policy = manifest["policy"]
    return (-policy["at_least"], "embedding" in manifest["fingerprints"], -policy["copy_score"], policy["p_value"] or 0)
