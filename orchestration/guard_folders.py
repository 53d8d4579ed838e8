"""Where the guard bundles of a warehouse lie, which of them is meant where none is named, and which go.

What belongs here: folders below `home/guard`. What does not: writing a bundle (`guard_export.py`), reading one
(`transforms/guard/`).
"""

import re
import shutil
from collections.abc import Collection
from pathlib import Path

from transforms.guard import Bundle
from transforms.guard.bundle import MANIFEST

_NAME = re.compile(r"version-(\d{6,})(-at-least-\d+)?(-hashes)?(-copy-score-[\de.-]+)?(-p-value-[\de.-]+)?")


def default_folder(home: Path) -> Path:
    """Return where the bundles of a warehouse lie unless another folder is named."""
    return home / "guard"


def newest(home: Path) -> Path | None:
    """Return a bundle of the newest version that has one, None where there is none.

    Of several it is the one that lets out least: to export a narrower one beside it takes nothing away. Raises
    BundleError for a manifest that cannot be read.
    """
    found = _by_version(home)
    return max(found[max(found)], key=_strictness) if found else None


def prune(home: Path, kept: Collection[int]) -> None:
    """Remove bundles of versions that are no longer kept, but for the newest. Folders that users named are theirs.

    Whoever has one open goes on with it.
    """
    found = _by_version(home)
    for number in found.keys() - {*kept, max(found, default=0)}:
        for folder in found[number]:
            shutil.rmtree(folder)


def _by_version(home: Path) -> dict[int, list[Path]]:
    found: dict[int, list[Path]] = {}
    for path in default_folder(home).glob(f"*/{MANIFEST}"):
        if match := _NAME.fullmatch(path.parent.name):
            found.setdefault(int(match[1]), []).append(path.parent)
    return found


def _strictness(folder: Path) -> tuple[float, ...]:
    said = Bundle.described(folder)
    policy = said["policy"]
    return (-policy["at_least"], "embedding" in said["fingerprints"], -policy["copy_score"], policy["p_value"] or 0)
