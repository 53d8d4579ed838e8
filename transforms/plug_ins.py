"""What other distributions add by entry points: encoders, layouts of dumps, exports.

What belongs here: finding a plug-in by its name, calling it, and errors that name it with the fix. What does not: what
is asked of one (`encoders/installed.py`, `dumps/dump.py`, `orchestration/reports/exports.py`).

A plug-in is code, trusted by whoever installed it. Settings, commands and the names of dumps choose among those that
are installed; a guard bundle that nobody trusted signed never does.
"""

import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

ENCODERS = "raisonne.encoders"
LAYOUTS = "raisonne.layouts"
EXPORTS = "raisonne.exports"
PAGE = "docs/how-to/plug-ins.md"


class PlugInError(RuntimeError):
    """A plug-in is broken, or two have one name. The message names the distribution and the fix."""


@dataclass(frozen=True)
class PlugIn:
    """A function that an installed distribution offers under a name."""

    entry: EntryPoint

    @property
    def distribution(self) -> str:
        """The name of the distribution that offers it."""
        return self.entry.dist.name if self.entry.dist else self.entry.module

    def __str__(self) -> str:
        version = f" {self.entry.dist.version}" if self.entry.dist else ""
        return f"plug-in {self.entry.name!r} of {self.distribution}{version} ({self.entry.group}: {self.entry.value})"

    def function(self, *arguments: object) -> object:
        """Import what it offers and call it. Raises PlugInError if it cannot be imported or called."""
        try:
            function = self.entry.load()
        except Exception as error:
            raise self.broken(f"{type(error).__name__}: {error}") from error
        if not callable(function):
            raise self.broken(f"{self.entry.value} is {type(function).__name__}, no function")
        return function(*arguments)

    def call(self, *arguments: object) -> object:
        """Call it. Raises PlugInError for whatever it raises, but passes on what the system refused (OSError)."""
        try:
            return self.function(*arguments)
        except (OSError, PlugInError):
            raise
        except Exception as error:
            raise self.broken(f"{type(error).__name__}: {error}") from error

    def broken(self, reason: str) -> PlugInError:
        """Return the error that it is broken, with what can be done.

        Args:
            reason: What is wrong with it.
        """
        fix = f"update it (pip install --upgrade {self.distribution}) or remove it (pip uninstall {self.distribution})"
        return PlugInError(f"the {self} is broken: {reason}; {fix}")


def names(group: str) -> list[str]:
    """Return the names of the installed plug-ins of a group."""
    return sorted({entry.name for entry in _installed(group, tuple(sys.path))})


def find(group: str, name: str) -> PlugIn | None:
    """Return the plug-in of a name, None if no distribution offers one.

    Args:
        group: One of the groups above.
        name: As its distribution calls it.

    Raises:
        PlugInError: If two distributions offer one of this name.
    """
    found = [PlugIn(entry) for entry in _installed(group, tuple(sys.path)) if entry.name == name]
    if len(found) > 1:
        both = " and ".join(sorted(str(each) for each in found))
        raise PlugInError(f"{name!r} is the name of two: the {both}; uninstall one of them")
    return found[0] if found else None


@lru_cache(8)
def _installed(group: str, _path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Return a group's entry points. Reading those of all distributions takes too long for each picture."""
    return tuple(entry_points(group=group))
