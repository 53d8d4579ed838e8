"""Finding the picture that a row of a table names, however the name is written.

What belongs here: Windows paths, absolute paths, other forms of Unicode, names without a folder. What does not: reading
tables (`generations/tables.py`).
"""

import posixpath
import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from transforms.pictures import PICTURE_ENDINGS

_BACKSLASH = re.compile(r"\\(?!udc[89a-f][0-9a-f])")  # but those of bytes that are not UTF-8, see storage/stores.py
_BYTE = re.compile(r"\\udc([89a-f][0-9a-f])")
_LONGEST = 4_096  # characters of a path
_DRIVE = re.compile(r"^(file:/*(?=/)|[A-Za-z]:(?=/))")


class AmbiguousName(ValueError):
    """A name fits several pictures. The message is one of them and another."""


class PictureNames:
    """The names of pictures, to be found by names that others wrote. Memory: three short texts a picture."""

    def __init__(self, names: Iterable[str], root: str) -> None:
        """Remember the names.

        Args:
            names: Paths below a folder, with `/` between the parts.
            root: The folder, as an absolute path.
        """
        self._root = f"{root.rstrip('/')}/"
        self._exact = dict.fromkeys(sorted(names))
        self._paths: dict[str, list[str]] = defaultdict(list)
        self._bases: dict[str, list[str]] = defaultdict(list)
        self._stems: dict[str, list[str]] = defaultdict(list)
        for name in self._exact:
            key = _key(name)
            self._paths[key].append(name)
            base = posixpath.basename(key)
            self._bases[base].append(name)
            self._stems[_stem(base)].append(name)

    def by_path(self, written: str, folder: str) -> str | None:
        """Return the picture with this path, or None.

        Args:
            written: The path as a table states it: below the table's folder, below the root, or absolute.
            folder: The table's folder below the root; empty for the root itself.

        Raises:
            AmbiguousName: If it fits several.
        """
        for path in _readings(written):
            below = path.removeprefix(self._root)
            for candidate in (_joined(folder, below), below):
                if candidate in self._exact:
                    return candidate
            for candidate in (_joined(folder, below), below):
                if found := self._paths.get(_key(candidate)):
                    return _only(found)
        return None

    def by_end(self, written: str, folder: str) -> str | None:
        """Return the one picture whose path ends as this one, by its last folders or by its name alone, or None.

        Args:
            written: See `by_path`.
            folder: Likewise.

        Raises:
            AmbiguousName: If it fits several.
        """
        for path in _readings(written):
            parts = [part for part in path.split("/") if part not in ("", ".", "..")]
            for start in range(1, len(parts) - 1):
                if found := self._paths.get(_key(_joined(folder, "/".join(parts[start:])))):
                    return _only(found)
            if parts:
                base = posixpath.basename(_key(parts[-1]))
                within = f"{folder}/" if folder else ""
                found = _below(self._bases.get(base, []), within)
                if not found and posixpath.splitext(base)[1] not in PICTURE_ENDINGS:
                    found = _below(self._stems.get(base, []), within)
                if found:
                    return _only(found)
        return None


def _below(names: list[str], within: str) -> list[str]:
    """Return the first two of sorted names that begin so: whether there are more makes no difference."""
    first = bisect_left(names, within)
    return [name for name in names[first : first + 2] if name.startswith(within)]


def _readings(written: str) -> Iterator[str]:
    """Yield the paths that a text may mean: as it is, and as others write paths. No path is longer than on disk."""
    text = written.strip()
    if len(text) > _LONGEST:
        return
    yield text
    slashed = _DRIVE.sub("", _BACKSLASH.sub("/", text))
    plain = posixpath.normpath(slashed) if slashed else ""
    yield plain
    if "%" in plain:
        yield unquote(plain)
    if not plain.isascii():  # a name on disk in Latin-1, which the table has in UTF-8
        try:
            old = plain.encode("latin-1")
        except UnicodeEncodeError:
            return
        yield old.decode(errors="surrogateescape").encode(errors="backslashreplace").decode()


def _joined(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path)) if folder else path


def _key(name: str) -> str:
    """Return what is equal for all forms of a name: composed, in one case, bytes that are no text as U+FFFD."""
    return unicodedata.normalize("NFC", _BYTE.sub("\ufffd", name)).casefold()


def _stem(base: str) -> str:
    stem, ending = posixpath.splitext(base)
    return stem if ending in PICTURE_ENDINGS else base


def _only(found: list[str]) -> str:
    if len(found) > 1:
        raise AmbiguousName(f"{found[0]}, {found[1]}")
    return found[0]
