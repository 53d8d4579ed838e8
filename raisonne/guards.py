"""Guards by their bundle, opened once a process.

What belongs here: which guard a path stands for. What does not: checking (`transforms/guard/`).
"""

from functools import lru_cache
from pathlib import Path

from orchestration import settings
from orchestration.guard import folders
from transforms.guard import Guard
from transforms.guard.bundle import MANIFEST


def load(bundle: Path | None) -> Guard:
    """Return the guard of a bundle. It is opened again where the manifest has changed.

    Args:
        bundle: The folder that `raisonne export guard` wrote; the newest of the warehouse in the settings if None.

    Raises:
        LookupError: If the warehouse has no bundle.
        ValueError: If the settings or the bundle cannot be used.
    """
    bundle = newest(settings.load().home) if bundle is None else bundle
    manifest = bundle.resolve() / MANIFEST
    changed = manifest.stat().st_mtime_ns if manifest.exists() else 0
    return _load(bundle.resolve(), changed)


def newest(home: Path) -> Path:
    """Return the newest bundle of a warehouse. Raises LookupError if it has none."""
    found = folders.newest(home)
    if found is None:
        raise LookupError(f"{home} has no guard bundle; write one with `raisonne export guard`")
    return found


@lru_cache(4)
def _load(bundle: Path, _changed: int) -> Guard:
    return Guard.load(bundle)
