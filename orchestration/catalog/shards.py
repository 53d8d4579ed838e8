"""Landing shards: listing, inspecting and committing them.

What belongs here: inspecting new and changed shards, and assigning shard ids. What does not: what makes a file valid
(`transforms/catalog/metadata.py`), the rows of dumps without metadata (`transforms/dumps/implied_metadata.py`), the
asset (`defs/catalog.py`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from orchestration.facts import Facts
from orchestration.facts.filters import is_in
from orchestration.progress import track
from orchestration.settings import Settings
from transforms.catalog.columns import KNOWN, ON_RIGHTS, LandingError
from transforms.catalog.landing import IMAGES_ONLY, OK, REFUSED, LandedShard, Shard, find_shards
from transforms.catalog.metadata import Inspection, inspect
from transforms.catalog.not_taken import NotTakenCounts
from transforms.dumps import implied_metadata
from transforms.dumps.members import ArchiveError
from transforms.storage.full_disks import is_full
from transforms.storage.remote_stores import StoreError

_REASON = 2_000  # characters: paths and names of columns in it may be of any length
_SHARD_BITS = 37  # with ROW_BITS below them, ids stay within a signed 64-bit integer


def discover(settings: Settings, not_taken: defaultdict[str, NotTakenCounts] | None = None) -> list[Shard]:
    """List the shards of all datasets, without opening a file.

    Args:
        settings: The datasets.
        not_taken: Receives by dataset what was found and belongs to no shard.

    Raises:
        LandingError: For globs that cannot be used.
        OSError: If a store does not answer.
    """
    counts = defaultdict(NotTakenCounts) if not_taken is None else not_taken
    return [shard for d in settings.datasets for shard in find_shards(d.name, d.metadata, d.dump, counts[d.name])]


def landed_shards(facts: Facts, where: str | None = None) -> list[LandedShard]:
    """Return the shards that were inspected, in order of their ids.

    Args:
        facts: The fact tables; `landing_shards` is read.
        where: A Lance filter; without one, all shards.
    """
    rows = facts["landing_shards"].read(where=where).sort_by("shard_id")
    return [LandedShard.of(row) for row in rows.to_pylist()]


def uninspected(shards: Sequence[Shard], known: Iterable[LandedShard], settings: Settings) -> list[Shard]:
    """Return the shards that are new, were delivered again, or may be inspected with another result.

    Args:
        shards: As `discover` lists them.
        known: The shards as earlier runs inspected them.
        settings: The datasets.
    """
    before = {(each.files.dataset, each.files.name): each for each in known}
    implied = {dataset.name for dataset in settings.datasets if not dataset.metadata}
    return [each for each in shards if not _is_known(each, before.get((each.dataset, each.name)), implied)]


def inspect_shards(
    shards: Sequence[Shard], known: Iterable[LandedShard], settings: Settings, fetched: Path
) -> Iterator[LandedShard]:
    """Validate the metadata of shards that are new or were delivered again; return the others as they are known.

    Args:
        shards: As `discover` lists them.
        known: The shards as earlier runs inspected them.
        settings: The datasets, the home of copies, and the size limit of a picture.
        fetched: Folder for files from a store while they are read.
    """
    before = {(each.files.dataset, each.files.name): each for each in known}
    taken = {each.shard_id for each in before.values()}
    limits = settings.limits.of_files
    implied = {dataset.name for dataset in settings.datasets if not dataset.metadata}
    for shard in track(shards, "inspecting shards", len(shards)):
        earlier = before.get((shard.dataset, shard.name))
        if earlier and _is_known(shard, earlier, implied):
            yield replace(earlier, files=shard)
            continue
        shard_id = earlier.shard_id if earlier else shard_number((shard.dataset, shard.name), taken)
        taken.add(shard_id)
        copy, listed = (settings.home / folder / f"{shard_id}.parquet" for folder in ("repaired", "listed"))
        for path in (copy, listed):
            path.unlink(missing_ok=True)
        try:
            if shard.metadata:
                seen = inspect(shard.metadata.path, copy, limits)
                if seen.pictures and shard.images and shard.images.path == shard.metadata.path:
                    seen = implied_metadata.add_further_pictures(shard.images.path, copy, seen, fetched, limits)
                yield _usable(shard_id, shard, seen, copy if copy.exists() else shard.metadata.path)
            elif shard.images and shard.dataset in implied:
                seen = implied_metadata.write(shard.images.path, listed, settings.limits.member_bytes, fetched, limits)
                yield _usable(shard_id, shard, seen, listed)
            else:
                yield LandedShard(shard_id, shard, IMAGES_ONLY)
        except (LandingError, ArchiveError) as error:
            yield LandedShard(shard_id, shard, REFUSED, _cut(str(error)), forms=())
        except StoreError:
            raise  # the file may be whole, and would be looked at again only once it changes
        except OSError as error:
            if is_full(error):
                raise
            reason = f"{error.filename or shard.name}: {error.strerror or error}"
            yield LandedShard(shard_id, shard, REFUSED, reason, forms=())


def _is_known(shard: Shard, earlier: LandedShard | None, implied: Container[str]) -> bool:
    return earlier is not None and earlier.files == shard and not _is_outdated(earlier, implied)


def _is_outdated(earlier: LandedShard, implied: Container[str]) -> bool:
    """Return whether a known shard may be inspected with another result.

    An older release may have refused what this one uses, or listed fewer pictures. A limit may have been raised.

    Args:
        earlier: The shard as it is known.
        implied: Datasets without metadata, whose rows are listed from their dumps.
    """
    if earlier.status == REFUSED and "limits." in (earlier.failure or ""):
        return True
    files = earlier.files
    forms = {form.partition(" ")[2].lower() for form in earlier.forms or ()}
    if forms == KNOWN:  # a copy of CSV or JSON, out of which an older release left what a downloader noted of rights
        return not ON_RIGHTS.isdisjoint(name.lower() for name in earlier.columns)
    holds_rows = files.images is not None and (files.dataset in implied or files.images == files.metadata)
    return earlier.forms is None and (earlier.status == REFUSED or holds_rows)


def _cut(reason: str) -> str:
    """Return a reason of bounded length. What is cut is its middle: the limit and the fix are at its end."""
    half = _REASON // 2
    return reason if len(reason) <= _REASON else f"{reason[:half]} … {reason[-half:]}"


def _usable(shard_id: int, shard: Shard, seen: Inspection, readable: Path | str) -> LandedShard:
    return LandedShard(
        shard_id, shard, OK, None, seen.rows, seen.repaired_rows, tuple(seen.columns), str(readable), seen.forms
    )


def shard_number(key: tuple[str, str], taken: Container[int] = ()) -> int:
    """Return the id of a shard: a hash of its name, so that it is the same in every warehouse.

    Args:
        key: Its dataset and its name.
        taken: Ids of other shards; after a collision the next free id is taken.
    """
    digest = hashlib.sha256("/".join(key).encode()).digest()
    number = int.from_bytes(digest[:8]) >> (64 - _SHARD_BITS)
    while number in taken:
        number = (number + 1) % (1 << _SHARD_BITS)
    return number


def _holds_the_same(shard: LandedShard, before: LandedShard | None) -> bool:
    """Return whether a shard has the rows that it had, though its columns on rights may be read that were not before.

    Args:
        shard: The shard as it is now.
        before: The shard as it was known, or None.
    """
    if before is not None and before.forms is not None and shard.forms is not None:
        new = {form for form in shard.forms if form.partition(" ")[2].lower() in ON_RIGHTS}
        if set(shard.forms) - set(before.forms) <= new:
            before = replace(before, forms=shard.forms)
    return shard == before


def commit_shards(facts: Facts, known: Sequence[LandedShard], landed: Sequence[LandedShard]) -> dict[str, int]:
    """Commit what changed since the last run. Shards that were delivered again become due for fingerprints.

    A dump that is gone, or back as it was, changes no fingerprint.

    Args:
        facts: The fact tables; `landing_shards` and `fingerprinted_shards` are written.
        known: The stored rows.
        landed: The rows to store.

    Returns:
        How many shards are new or changed, and how many are gone.
    """
    before = {each.shard_id: each for each in known}
    changed = [each for each in landed if not _holds_the_same(each, before.get(each.shard_id))]
    noted = [each for each in landed if each.shard_id in before and before[each.shard_id].row() != each.row()]
    gone = before.keys() - {each.shard_id for each in landed}
    table, notes = facts["landing_shards"], facts["fingerprinted_shards"]
    # Notes first: the shards are no longer done even if this run goes no further. Who made their fingerprints stays
    # noted, for pictures that did not change.
    stale = notes.read(where=is_in("shard_id", (each.shard_id for each in changed)))
    notes.upsert(stale.set_column(stale.schema.get_field_index("recipe"), "recipe", pa.array([""] * len(stale))))
    written = {each.shard_id: each.row() for each in (*changed, *noted)}
    table.upsert(pa.Table.from_pylist(list(written.values()), table.schema))
    table.delete(is_in("shard_id", gone))
    return {"new or changed": len(changed), "gone": len(gone)}
