"""Links below a folder: which are followed, and where files really lie.

What belongs here: paths on disk. What does not: describing files (`storage/stores.py`).
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

DANGLING = "missing: a link to nothing"
OUTSIDE = "a link to a folder outside, which is not followed; name that folder in `images`"
INSIDE = "a link to a folder of the same dump, which is read where it lies"
CLOSED = "a folder that cannot be opened; check its permissions"


def files_below(folder: Path, real: Path) -> Iterator[Path]:
    """Yield the files below a folder, its links to folders that are not followed, and folders that are closed to us.

    A link is followed if it leads to a folder within, not back to itself, that no other link led to, and does not lie
    behind another link. So a tree is walked at most once for each of its folders that a link names.

    Args:
        folder: The folder, as its files are to be named.
        real: The folder, all links followed.

    Raises:
        OSError: If the folder itself is closed, or one below it cannot be read for another reason.
    """
    closed: list[Path] = []
    followed: set[Path] = set()
    waiting = [folder]
    while waiting:
        start = waiting.pop()
        for place, folders, files in os.walk(start, onerror=note_closed(folder, closed)):
            yield from (Path(place, name) for name in files)
            for link in (each for name in sorted(folders) if (each := Path(place, name)).is_symlink()):
                target = Path(os.path.realpath(link))
                leads_back = Path(os.path.realpath(place)).is_relative_to(target)
                if start == folder and target.is_relative_to(real) and not leads_back and target not in followed:
                    followed.add(target)
                    waiting.append(link)
                else:
                    yield link
    yield from closed


def note_closed(root: Path, closed: list[Path]) -> Callable[[OSError], None]:
    """Return what `os.walk` is to do with an error: keep a folder that must not be opened, and raise any other error.

    Systems leave such folders, as `lost+found` of a disk.

    Args:
        root: The folder that is walked, which must be open.
        closed: Receives the folders.
    """

    def note(error: OSError) -> None:
        if not isinstance(error, PermissionError) or error.filename in {None, str(root)}:
            raise error
        closed.append(Path(error.filename))

    return note


def is_below(real: Path, root: Path) -> bool:
    """Return whether a file belongs to a folder: it lies below it, or in the Hub's cache beside the snapshot it is of.

    Args:
        real: The file, all links followed.
        root: The folder, all links followed.
    """
    if real.is_relative_to(root):
        return True
    # The Hub's cache: <repository>/snapshots/<revision>/... are links to <repository>/blobs/<hash>
    cache = next((parent.parent for parent in root.parents if parent.name == "snapshots"), None)
    return cache is not None and real.parent == cache / "blobs"
