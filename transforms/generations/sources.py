"""The generations of a source: a folder, a tar, a parquet with pictures, or a glob of them.

What belongs here: putting together what folders, archives and tables hold. What does not: each of them
(`generations/folders.py`, `generations/archives.py`, `generations/tables.py`).
"""

import posixpath
from collections.abc import Iterator
from functools import partial

from transforms.catalog.not_taken import NotTaken, NotTakenCounts
from transforms.dumps.members import ArchiveError
from transforms.dumps.samples import UNREADABLE
from transforms.generations import addresses, archives
from transforms.generations.archives import Archive
from transforms.generations.folders import FolderContent, content, enter, is_picture, sidecars_of
from transforms.generations.generation import FoundGeneration, Generation, GenerationsError, Location
from transforms.generations.statements import PictureStatement
from transforms.generations.tables import TableFile, read_tables
from transforms.storage import globs, stores
from transforms.storage.file_limits import ByteLimits
from transforms.storage.system_files import HIDDEN, is_system_file

NO_PICTURE_OF_NAME = "a text or JSON beside no picture of its name"


def find(source: str, path: str, member_bytes: int, limits: ByteLimits) -> tuple[list[FoundGeneration], list[NotTaken]]:
    """Find the generations of a source, in order of their paths.

    Args:
        source: Its name in the settings.
        path: A folder, a tar, a parquet with pictures, or a glob of them.
        member_bytes: Size above which a picture is refused.
        limits: Of tables and of archives' texts.

    Returns:
        The generations, and what was found and is none, or does not meet its table.

    Raises:
        GenerationsError: If nothing is there, or a table that is called `generations` cannot be read.
    """
    counts = NotTakenCounts()
    try:
        root, found = _content(source, path, counts)
        generations = _generations(source, root, found, member_bytes, counts, limits)
        if not generations and not stores.on_disk(path).is_dir():
            why = "; ".join(example for each in counts.counts() for example in each.examples[:1])
            raise GenerationsError(f"no picture in {path} ({why}); correct `path` of [[generations]] {source!r}")
    except OSError as error:
        raise GenerationsError(
            f"[[generations]] {source!r}: {error.filename or path} cannot be read: {error.strerror or error}; check "
            "its permissions, or correct `path`"
        ) from error
    return generations, counts.counts()


def _content(source: str, path: str, counts: NotTakenCounts) -> tuple[str, FolderContent]:
    """Return the folder that names are below, and what is there."""
    if stores.on_disk(path).is_dir():
        return path, content(path, counts)
    entries = sorted(globs.glob(path), key=lambda each: each.path)
    if not entries:
        raise GenerationsError(f"no generations at {path}; correct `path` of [[generations]] {source!r}")
    root, found, inside = globs.fixed_part(path), FolderContent(), ""
    for entry in entries:
        if inside and entry.path.startswith(inside):
            continue  # `**` finds a folder and what lies below it
        name = posixpath.relpath(entry.path, root)
        refusal = entry.refusal or (HIDDEN if is_system_file(name, path.split("/")) else None)
        if refusal:
            counts.add(root, refusal, name)
        elif entry.folder:
            inside = f"{entry.path}/"
            found.include("" if name == "." else f"{name}/", content(entry.path, counts))
        else:
            enter(name, stores.on_disk(entry.path), found, root, counts)
    return root, found


def _generations(
    source: str, root: str, found: FolderContent, member_bytes: int, counts: NotTakenCounts, limits: ByteLimits
) -> list[FoundGeneration]:
    tables = _tables(found, limits)
    refusals: dict[str, str] = {}
    rows: dict[str, PictureStatement] = {}
    for name, archive in _archives(root, found, member_bytes, counts, limits):
        found.pictures |= {f"{name}/{inside}": location for inside, location in archive.pictures.items()}
        found.sidecars |= {f"{name}/{inside}": location for inside, location in archive.sidecars.items()}
        refusals |= {f"{name}/{inside}": why for inside, why in archive.refusals.items()}
        rows |= {f"{name}/{inside}": statement for inside, statement in archive.rows.items()}
        tables += [_table(f"{name}/{inside}", location) for inside, location in archive.tables.items()]
        counts.include(archive.not_taken)
    sidecars = _sidecars(root, found, counts)
    names = sorted(found.pictures)
    stated = read_tables(tables, names, str(stores.on_disk(root).absolute()), counts, limits)
    generations = []
    for name in names:
        said, location = stated.get(name, []), found.pictures[name]
        first = said[0] if said else PictureStatement("")
        generation = Generation(
            f"{source}/{name}", source, addresses.text(location), first.model, first.prompt, first.seed
        )
        own = [rows[name]] if name in rows else []
        refusal = refusals.get(name) or _too_large(location, member_bytes)
        generations.append(FoundGeneration(generation, location, (*said, *own), sidecars.get(name, ()), refusal))
    return generations


def _too_large(location: Location, member_bytes: int) -> str | None:
    return f"more than limits.member_bytes = {member_bytes} bytes" if location.size > member_bytes else None


def _tables(found: FolderContent, limits: ByteLimits) -> list[TableFile]:
    """Return the tables of a folder. A parquet with pictures is an archive, whatever it is called."""
    tables = []
    for name, location in list(found.tables.items()):
        if archives.holds_pictures(location.path, limits):
            found.archives[name] = location
        else:
            tables.append(TableFile(name, location.path))
    return tables


def _table(name: str, location: Location) -> TableFile:
    return TableFile(name, addresses.text(location), partial(addresses.open_member, location))


def _archives(
    root: str, found: FolderContent, member_bytes: int, counts: NotTakenCounts, limits: ByteLimits
) -> Iterator[tuple[str, Archive]]:
    for name, location in sorted(found.archives.items()):
        try:
            yield name, archives.listed(location.path, location.size, location.stamp, member_bytes, limits)
        except (ValueError, LookupError) as error:  # ArchiveError, or what pyarrow raises on broken names
            counts.add(root, archives.UNREADABLE, str(error) if isinstance(error, ArchiveError) else f"{name}: {error}")


def _sidecars(root: str, found: FolderContent, counts: NotTakenCounts) -> dict[str, tuple[Location, ...]]:
    """Return the sidecars of each picture. Others may be pictures by their first bytes."""
    used: set[str] = set()
    sidecars = {name: own for name in found.pictures if (own := sidecars_of(name, found.sidecars, used))}
    for name in sorted(found.sidecars.keys() - used):
        location = found.sidecars[name]
        if location.member is not None:
            continue  # the listing of its archive says so
        try:
            picture = is_picture(location)
        except OSError:
            counts.add(root, UNREADABLE, name)
            continue
        if picture:
            found.pictures[name] = location
        else:
            counts.add(root, NO_PICTURE_OF_NAME, name)
    return sidecars
