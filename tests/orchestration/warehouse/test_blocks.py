"""A damaged block is seen by its checksum whenever DuckDB would fail to read a table that lies in it."""

import random
from pathlib import Path

import duckdb

from orchestration.warehouse.soundness import blocks

TABLES = ("numbers", "long_texts")
_MADE = """
    create table numbers as select range as number, hash(range) as other, 1 as same from range(150000);
    create table long_texts as select number, repeat(md5(number::varchar), 300) as text, [number] as listed
    from range(200) as made(number);
    create table others as select hash(range) as number from range(150000);
    drop table others;
    create table empty (number bigint);
"""
_HEADERS, _BLOCK = 3 * 4_096, 262_144


def reads(con: duckdb.DuckDBPyConnection) -> bool:
    try:
        for table in TABLES:
            con.execute(f"select count(*) from {table} as t where hash(t) = 0").fetchall()  # noqa: S608
    except duckdb.Error:
        return False
    return True


def test_blocks_hold_only_where_duckdb_reads_them(tmp_path: Path) -> None:
    path, draw = tmp_path / "made.duckdb", random.Random(3)  # noqa: S311 -- it draws places
    with duckdb.connect(str(path)) as con:
        con.execute(_MADE)
        con.execute("checkpoint")
    written = path.read_bytes()
    held, agreed = [], []
    for block in range((len(written) - _HEADERS) // _BLOCK):
        at = _HEADERS + block * _BLOCK + draw.randrange(_BLOCK)
        path.write_bytes(written[:at] + bytes([written[at] ^ 1 << draw.randrange(8)]) + written[at + 1 :])
        try:
            with duckdb.connect(str(path), read_only=True) as con:
                held.append(blocks.hold(con, path, [*TABLES, "empty"]))
                agreed.append(reads(con) or not held[-1])
        except duckdb.Error:  # what says where the tables lie
            held.append(False)
    assert all(agreed)
    assert 8 < sum(not each for each in held) <= len(held)

    path.write_bytes(written)
    with duckdb.connect(str(path), read_only=True) as con:
        assert blocks.hold(con, path, [*TABLES, "empty"])
        path.write_bytes(written[: len(written) - _BLOCK])
        short = blocks.hold(con, path, TABLES)
        assert reads(con) or not short
        path.write_bytes(written[: len(written) // 2])
        assert not blocks.hold(con, path, TABLES)
