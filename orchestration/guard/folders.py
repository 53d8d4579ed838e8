"""Where the guard bundles of a warehouse lie, which of them is meant where none is named, and which go.

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
    """Return where a bundle lies unless another folder is named: by its version, and what it was asked to be."""
    name = f"version-{version:06d}" + (f"-at-least-{at_least}" if at_least > 1 else "")
    name += "-hashes" if hashes_only else ""
    name += "" if copy_score is None else f"-copy-score-{copy_score:g}"
    return _bundles(home) / (name + ("" if p_value is None else f"-p-value-{p_value:g}"))


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
            staging.discard(folder)


def _bundles(home: Path) -> Path:
    return home / "guard"


def _by_version(home: Path) -> dict[int, list[Path]]:
    found: dict[int, list[Path]] = {}
    for path in _bundles(home).glob(f"*/{MANIFEST}"):
        if match := _NAME.fullmatch(path.parent.name):
            found.setdefault(int(match[1]), []).append(path.parent)
    return found


def _strictness(folder: Path) -> tuple[float, ...]:
    said = Bundle.described(folder)
    policy = said["policy"]
    return (-policy["at_least"], "embedding" in said["fingerprints"], -policy["copy_score"], policy["p_value"] or 0)
