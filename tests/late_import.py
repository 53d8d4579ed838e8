"""Modules that are imported when a test first uses them.

Each test worker collects all files. What takes a second to import and few files use would be imported by all workers.
"""

from importlib import import_module


class LateImport:
    """Stands for a module, and imports it for its first attribute."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith(("_", "pytest")):  # pytest looks whether it is a test
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)
