"""Files that systems leave among other files: hidden ones, thumbnails, checkpoints, bins.

What belongs here: telling them by name. What does not: finding files (`storage/stores.py`).
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

HIDDEN = "a file that a system leaves behind, or a hidden one"
"""Why such a file is not taken."""
_NAMES = frozenset(
    {
        "__macosx",  # what macOS adds to archives
        "@eadir",  # thumbnails of a Synology NAS
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "lost.dir",
        "recycler",
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "icon\r",
    }
)


def is_system_file(name: str, wanted: Iterable[str] = ()) -> bool:
    """Return whether a system left this file behind, or whether it or a folder on its way is hidden.

    Args:
        name: Its path within a dump or below the fixed part of a glob, with `/` between the parts.
        wanted: Parts of a glob that was written to find it: `.cache` or `.*` finds a hidden folder.
    """
    return any(_is_system(part) and not any(_asks_for(each, part) for each in wanted) for part in name.split("/"))


def _is_system(part: str) -> bool:
    if part in {"", ".", ".."}:
        return False
    return part.startswith(".") or part.endswith("~") or part.lower() in _NAMES


def _asks_for(pattern: str, part: str) -> bool:
    return _is_system(pattern) and (pattern == part or fnmatchcase(part, pattern))
