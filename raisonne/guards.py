"""Guards by their bundle, opened once a process.

What belongs here: which guard a path stands for, and whom it trusts. What does not: checking (`transforms/guard/`).
"""

from functools import lru_cache
from pathlib import Path

from orchestration import settings as toml
from orchestration.guard import folders
from orchestration.settings import Settings
from transforms.encoders import built_in
from transforms.guard import Guard
from transforms.guard.bundle import MANIFEST


def of_bundle(bundle: Path) -> Guard:
    """Return the guard of a bundle, signed by a key of `guard.trusted_keys` where the settings here name some.

    Args:
        bundle: The folder that `raisonne export guard` wrote.

    Raises:
        ValueError: If the settings or the bundle cannot be used.
        RuntimeError: If its encoder cannot be loaded, or may run code and nobody trusted signed the bundle.
    """
    return _current(bundle, None, toml.in_force())


def of_warehouse(settings: Settings) -> Guard:
    """Return the guard of a warehouse's newest bundle, with the encoder of its settings where that is not built in.

    Args:
        settings: Of the warehouse.

    Raises:
        LookupError: If it has no bundle.
        ValueError: If the bundle cannot be used.
        RuntimeError: If the encoder cannot be loaded.
    """
    bundle, encoder = folders.newest(settings.home), settings.encoders.by_purpose.get("copy")
    if bundle is None:
        raise LookupError(f"{settings.home} has no guard bundle; write one with `raisonne export guard`")
    return _current(bundle, None if encoder is None or built_in(encoder) else encoder, settings)


def _current(bundle: Path, encoder: str | None, settings: Settings) -> Guard:
    """Return the guard, opened again where the manifest or a key has changed."""
    trusted = tuple(map(Path, settings.guard.trusted_keys))
    state = tuple(map(_changed, (bundle.resolve() / MANIFEST, *trusted)))
    return _load(bundle.resolve(), encoder, trusted, state)


def _changed(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


@lru_cache(4)
def _load(bundle: Path, encoder: str | None, trusted: tuple[Path, ...], _state: tuple[int, ...]) -> Guard:
    return Guard.load(bundle, encoder, trusted=trusted)
