"""The checksums of the blocks in which a published file keeps tables, held without decoding what is in them.

What belongs here: which blocks tables lie in, and whether they are as they were written. What does not: what is wrong
with a block that is not (`warehouse/soundness/faults.py`).

A file of DuckDB is three headers of 4,096 bytes and blocks of one size. A block begins with its checksum: of its words
of 64 bits, each times a number, and 5381, all by exclusive or. In whatever is laid out otherwise no checksum is right.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import duckdb
import numpy as np

_HEADERS, _FACTOR, _BEGUN = 3 * 4_096, np.uint64(0xBF58476D1CE4E5B9), np.uint64(5381)
_BLOCKS = """
select block from (select unnest(list_append(additional_block_ids, block_id)) as block from pragma_storage_info(?))
where block >= 0 -- a segment of one value has none
union
select block_id from pragma_metadata_info()
"""


def hold(con: duckdb.DuckDBPyConnection, path: Path, tables: Iterable[str]) -> bool:
    """Return whether the blocks of tables are as they were written. False: one is not, or that cannot be told.

    Args:
        con: Open on the file.
        path: The file.
        tables: Tables that it has.

    Raises:
        duckdb.Error: If the places of their blocks cannot be read.
        OSError: If the file cannot be.
    """
    [(size,)] = con.execute("select block_size from pragma_database_size()").fetchall()
    found = {block for name in tables for (block,) in con.execute(_BLOCKS, [name]).fetchall()}
    with path.open("rb", buffering=0) as file:
        return all(_sound(os.pread(file.fileno(), size, _HEADERS + block * size), size) for block in sorted(found))


def _sound(block: bytes, size: int) -> bool:
    """Return whether a block is whole. A file that ends before has less of it."""
    if len(block) != size:
        return False
    words = np.frombuffer(block, np.uint64)
    return bool(np.bitwise_xor.reduce(words[1:] * _FACTOR) ^ _BEGUN == words[0])
