"""Opening fact tables and keeping them fast: compaction, indices, columns, and retries after conflicts of two writers.

What belongs here: work on Lance datasets that changes no row. What does not: writing rows (`facts/table.py`).
"""

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import lance
import pyarrow as pa

from orchestration.facts.schemas.tables import keys

_LOG = logging.getLogger(__name__)

TRIES = 10
SMALL_FRAGMENTS = 32  # a fragment a shard: beyond this many, opening files costs more than reading them
FRAGMENT_ROWS = 1_048_576  # Lance's own target
DELETED_SHARE = 0.1
_NOT_ENCODED = "".join(chr(code) for code in range(32, 127) if chr(code) not in '\\{^}%`]">[~<#|*?')
"""What Lance's object store does not encode in a path."""
_CONFLICTS = ("Retryable commit conflict", "Incompatible transaction", "Too many concurrent writers")


def retry[T](attempt: Callable[[], T]) -> T:
    """Run a function that opens a table and commits to it, and run it again after a conflict with another writer.

    Lance itself rebases and retries merges and deletions, but not compaction, indexing, or a commit to a table that was
    overwritten. Raises OSError after ten tries.
    """
    for _ in range(TRIES - 1):
        try:
            return attempt()
        except (OSError, RuntimeError) as error:
            if not any(sign in str(error) for sign in _CONFLICTS):
                raise
    return attempt()


def load(uri: str) -> lance.LanceDataset | None:
    """Open a table; None if it does not exist."""
    try:
        return lance.dataset(uri)
    except ValueError as error:
        if "was not found" not in str(error):
            raise
    return None


def ensure(uri: str, schema: pa.Schema) -> lance.LanceDataset:
    """Open a table, or create it, empty.

    Args:
        uri: The table's folder.
        schema: Its columns, if it is created.
    """
    dataset = load(uri)
    if dataset is not None:
        return dataset
    try:
        return lance.write_dataset(schema.empty_table(), uri, mode="create")
    except OSError as error:
        if "already exists" not in str(error):
            raise
    return lance.dataset(uri)  # another process was quicker


@lru_cache(128)  # nobody writes to one, and making one takes longer than opening a table that exists
def empty(schema: pa.Schema) -> lance.LanceDataset:
    """Return an empty table in memory, which stands for a table that does not exist."""
    return lance.write_dataset(schema.empty_table(), "memory://")


def evolve(dataset: lance.LanceDataset, current: pa.Schema) -> bool:
    """Add the columns that a table lacks, with nulls, and drop those that it should not have.

    Args:
        dataset: The table.
        current: The columns that it should have.

    Returns:
        Whether anything changed.
    """
    missing = [field for field in current if field.name not in dataset.schema.names]
    gone = [name for name in dataset.schema.names if name not in current.names]
    if missing:
        dataset.add_columns(pa.schema(missing))
    if gone:  # a merge that lacks columns of the table would not notice another writer's
        dataset.drop_columns(gone)
    return bool(missing or gone)


def maintain(opened: Callable[[], lance.LanceDataset], index_rows: int | None) -> dict[str, int]:
    """Compact and index a table, see FactTable.maintain. A step that other writers prevent is left to the next run.

    Compaction comes first, because it merges only fragments that the same indices cover.

    Args:
        opened: Opens the table.
        index_rows: Rows from which on a table is indexed. None: it is compacted alone.
    """
    done, steps = {}, {"compacted fragments": _compact}
    if index_rows is not None:
        steps |= {"new indices": lambda dataset: _index(dataset, index_rows), "newly indexed fragments": _extend}
    for name, step in steps.items():
        try:
            done[name] = retry(lambda step=step: step(opened()))  # type: ignore[misc]
        except OSError as error:
            if not any(sign in str(error) for sign in _CONFLICTS):
                raise
            _LOG.warning("%s: other writers prevented maintenance; the next run tries again", opened().uri)
            done[name] = 0
    return done


def _compact(dataset: lance.LanceDataset) -> int:
    """Merge small fragments and purge deleted rows. Takes about 400 MB for a table of any size.

    A fragment of half the size that Lance aims at, or of as many rows as all smaller ones together, stays as it is. So
    each rewriting at least doubles the fragment that a row is in, and a new shard does not cost one of a million rows.

    It decodes the rows. Copying bytes (`try_binary_copy`) takes 70 MB, but tables that got a column later were misread
    after it (lance-format/lance, pull request 8479).
    """
    fragments = dataset.get_fragments()
    stored, deleted = (sum(map(count, fragments)) for count in (_stored_rows, _deleted_rows))
    small = sorted((each for each in fragments if _stored_rows(each) < FRAGMENT_ROWS), key=_stored_rows)
    rows, left = sum(map(_stored_rows, small)), list[int]()
    while small and 2 * _stored_rows(small[-1]) >= min(rows, FRAGMENT_ROWS):
        largest = small.pop()
        rows -= _stored_rows(largest)
        if _deleted_rows(largest) <= DELETED_SHARE * _stored_rows(largest):
            left.append(largest.fragment_id)
    if len(small) <= SMALL_FRAGMENTS and deleted <= DELETED_SHARE * stored:
        return 0
    return int(dataset.optimize.compact_files(excluded_fragment_ids=left).fragments_removed)


def _stored_rows(fragment: lance.LanceFragment) -> int:
    """Return the rows of a fragment, deleted ones included."""
    return int(fragment.physical_rows)


def _deleted_rows(fragment: lance.LanceFragment) -> int:
    return int(fragment.num_deletions)


def _index(dataset: lance.LanceDataset, index_rows: int) -> int:
    """Create missing indices in tables of at least `index_rows` rows.

    In 5,000,000 fingerprints an index on the key finds a row in 2 ms rather than 58, one on `shard_id` deletes a shard
    in 9 ms rather than 114. Without, both grow with the table. Making one for vectors takes about 1 GB, also of
    1,000,000 of 512 dimensions.
    """
    if dataset.count_rows() < index_rows:
        return 0
    indexed = {tuple(index.field_names) for index in dataset.describe_indices()}
    key = keys(dataset.schema)
    columns = [c for c in (*(key if len(key) == 1 else ()), "shard_id", "vector") if c in dataset.schema.names]
    missing = [column for column in dict.fromkeys(columns) if (column,) not in indexed]
    for column in missing:
        if column == "vector":
            dataset.create_index(column, "IVF_SQ", metric="cosine")
        else:
            dataset.create_scalar_index(column, "BTREE")
    return len(missing)


def _extend(dataset: lance.LanceDataset) -> int:
    """Add new rows to the indices, as a segment of their own, and merge segments that are no larger.

    So there are as many segments as doublings of the rows, and a new shard does not cost a rewriting of the index:
    a shard of 10,000 rows on 1,000,000 takes 14 ms rather than 180, and no longer on more.
    """
    rows = {each.fragment_id: _stored_rows(each) for each in dataset.get_fragments()}
    found: set[int] = set()
    for index in dataset.describe_indices():
        segments = [set(each.fragment_ids) & rows.keys() for each in index.segments]
        if not (missing := rows.keys() - set().union(*segments)):
            continue
        size, merged = sum(map(rows.__getitem__, missing)), 0
        while merged < len(segments) and (held := sum(map(rows.__getitem__, segments[-1 - merged]))) <= size:
            size, merged = size + held, merged + 1
        dataset.optimize.optimize_indices(num_indices_to_merge=merged, index_names=[index.name])
        found |= missing
    return len(found)


def remove_encoded_folders(folder: Path) -> None:
    """Remove the empty folders that Lance makes for tags under the percent-encoded path of a folder of tables.

    Lance writes a tag to its right place, and creates the folder of tags under the path of the table's URL too. Only
    empty folders are removed.
    """
    path = str(folder.absolute())
    encoded = Path("".join(chr(b) if chr(b) in _NOT_ENCODED else f"%{b:02X}" for b in path.encode()))
    if encoded == folder.absolute():
        return
    for below, _, _ in encoded.walk(top_down=False):
        _remove_empty(below)
    for parent in encoded.parents:
        if not _remove_empty(parent):
            return


def _remove_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:  # not empty, or not there
        return False
    return True
