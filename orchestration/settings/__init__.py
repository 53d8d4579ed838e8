"""`raisonne.toml` and its environment overrides, validated.

What belongs here: reading settings and what each one means. What does not: objects made from them
(`runtime/resources.py`).
"""

from orchestration.settings.settings import Settings, SettingsError, in_force, load, path

__all__ = ["Settings", "SettingsError", "in_force", "load", "path"]
