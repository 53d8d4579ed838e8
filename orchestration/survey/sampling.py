"""Some of many files, and what they say about all.

What belongs here: choosing which files are looked into, and estimating what all hold. What does not: what one holds
(`survey/contents.py`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from orchestration.survey.contents import Content, Kind

USELESS = frozenset({Kind.OTHER, Kind.BROKEN})
"""Kinds of files that no section of the settings can use."""
_LOOKED_INTO = 4  # parquets, texts or tars of a folder
_HEAD = 8 << 20

type Files = Sequence[tuple[Path, int]]
"""Files with their sizes."""
type Look = Callable[[Path, int], Content]


def spread[T](items: Sequence[T], most: int) -> Sequence[T]:
    """Return some items from all over a list, with the first.

    Args:
        items: The list.
        most: How many, at most.
    """
    return items[:: max(1, -(-len(items) // most))]


def pattern(path: Path) -> str:
    """Return the end of a glob that finds a file and all that end as it does."""
    return "/*" + ("".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix)


def like_it(path: Path | None, files: Files) -> Files:
    """Return the files that the pattern of a path finds; none without a path.

    Args:
        path: The path.
        files: Some files of its folder.
    """
    return [file for file in files if path and pattern(file[0]) == pattern(path)]


def looked_into(files: Files, look: Look, most: int = _LOOKED_INTO) -> dict[Path, Content]:
    """Look into some files.

    Args:
        files: All.
        look: Looks into one.
        most: How many are looked into.
    """
    return {path: look(path, size) for path, size in spread(files, most)}


def looked_until_usable(files: Files, look: Look) -> dict[Path, Content]:
    """Look into some files until one is of use, where one file stands for all.

    Args:
        files: All.
        look: Looks into one.
    """
    seen = dict[Path, Content]()
    for path, size in spread(files, _LOOKED_INTO):
        seen[path] = look(path, size)
        if seen[path].kind not in USELESS:
            break
    return seen


def rows_of(seen: dict[Path, Content], kinds: Collection[Kind], files: Files) -> tuple[int, bool]:
    """Return how many rows all files have, by those that were looked into, and whether that is an estimate.

    Args:
        seen: What was looked into, of these and others.
        kinds: Those whose rows count.
        files: All.
    """
    sizes = dict(files)
    of_kind = {path: each for path, each in seen.items() if each.kind in kinds and path in sizes}
    looked = sum(sizes[path] for path in of_kind)
    rows = sum(each.rows for each in of_kind.values())
    endings = {path.suffix.lower() for path in of_kind}
    others = sum(size for path, size in files if path not in seen and path.suffix.lower() in endings)
    if not looked or not others:
        return rows, any(each.estimated for each in of_kind.values())
    return round(rows * (looked + others) / looked), True


def heads(paths: Sequence[Path]) -> Iterator[bytes]:
    """Yield the first bytes of files; none of those that cannot be opened, of which the run says why."""
    for path in paths:
        try:
            with path.open("rb") as file:
                yield file.read(_HEAD)
        except OSError:
            continue
