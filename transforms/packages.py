"""The packages of this distribution: how an optional part is installed, and which packages are not as they should be.

What belongs here: reading the metadata of what is installed. What does not: importing any of it.
"""

import importlib.util
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

DISTRIBUTION = "raisonne"
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")

COMPILED = importlib.util.find_spec("numba") is not None
"""Whether loops are compiled by Numba. Where it is not installed, NumPy does those of the guard, in more time."""


def installing(extra: str) -> str:
    """Return the command that installs an optional part, wherever this distribution came from."""
    packages = [package for package, part in _requirements() if part == extra]
    if not packages:
        return f"pip install '.[{extra}]' in the folder of {DISTRIBUTION}"
    return " ".join(["pip install", *(f"'{package}'" for package in packages)])


def misfits() -> list[str]:
    """Return a sentence for each required package that is missing, or has another version than the required one."""
    found = []
    for package, part in _requirements():
        if part is not None:
            continue
        name, _, pinned = package.partition("==")
        name = re.split(r"[<>=!~\[ ]", name)[0]
        try:
            installed = version(name)
        except PackageNotFoundError:
            found.append(f"{package} is not installed")
            continue
        if pinned and installed != pinned:
            found.append(f"{name} {installed} is installed, {pinned} is needed")
    return found


def _requirements() -> Iterator[tuple[str, str | None]]:
    """Yield what this distribution needs, and the optional part that needs it."""
    try:
        listed = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return  # it runs from its source
    for each in listed:
        package, _, condition = each.partition(";")
        part = _EXTRA.search(condition)
        yield package.strip(), part[1] if part else None
