"""Folders of a warehouse's guard bundles: naming, finding the newest, removing old ones.

What belongs here: folders below `home/guard`. What does not: writing a bundle (`guard/export.py`), reading one
(`transforms/guard/`).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from transforms.guard import Bundle
from transforms.guard.bundle import MANIFEST
from transforms.storage import staging

_NAME = re.compile(
    r"version-(\d{6,})(-at-least-\d+)?(-hashes)?(-copy-score-[\de.-]+)?(-p-value-[\de.-]+)?"
    r"(-evidence-\d+)?(-pixels-decide)?(-look-from-[\de.-]+)?"
)


@dataclass(frozen=True)
class BundleOptions:
    """The content and the thresholds of a bundle.

    Attributes:
        at_least: Least training rows of a picture.
        hashes_only: Leave the embeddings out.
        copy_score: Cosine from which the guard blocks. None: that of the settings.
        p_value: P-value up to which it also blocks. None: no p-value blocks.
        evidence_bytes: Most bytes of small copies of pictures, by which pixels confirm or refuse. None: there are none.
        pixels_decide: Let through what pixels refuse.
        look_from: Cosine from which pictures are compared by pixels although it is below `copy_score`.
    """

    at_least: int = 1
    hashes_only: bool = False
    copy_score: float | None = None
    p_value: float | None = None
    evidence_bytes: int | None = None
    pixels_decide: bool = False
    look_from: float | None = None


def default_folder(home: Path, version: int, options: BundleOptions) -> Path:
    """Return the default folder of a bundle, named after its version and options.

    Args:
        home: Folder of the warehouse.
        version: Number of the published version.
        options: Of the bundle.
    """
    parts = (
        ("at-least", options.at_least if options.at_least > 1 else None),
        ("hashes", options.hashes_only),
        ("copy-score", options.copy_score),
        ("p-value", options.p_value),
        ("evidence", options.evidence_bytes),
        ("pixels-decide", options.pixels_decide),
        ("look-from", options.look_from),
    )
    name = f"version-{version:06d}"
    for part, value in parts:
        if isinstance(value, bool) or value is None:
            name += f"-{part}" if value else ""
        else:
            name += f"-{part}-{value}" if isinstance(value, int) else f"-{part}-{value:g}"
    return _bundles(home) / name


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
    return (
        -policy["at_least"],
        not policy.get("pixels_decide", False),
        "embedding" in manifest["fingerprints"],
        -policy["copy_score"],
        policy["p_value"] or 0,
        -(policy.get("look_from") or 1),
        (manifest.get("renditions") or {}).get("renditions", 0),
    )
