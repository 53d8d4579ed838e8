"""JSON that `raisonne sql` writes: whole numbers stay numbers, to their last digit."""

import io
import json

import duckdb

from orchestration.cli.sql import statements


def test_whole_numbers_of_any_type_are_numbers() -> None:
    out = io.StringIO()
    with duckdb.connect() as con:
        cursor = con.execute(
            "select 18446744073709551615::decimal(20, 0) as seed, 1.5::decimal(3, 1) as half, [7::ubigint]"
        )
        statements._write(cursor, "json", out)
    assert list(json.loads(out.getvalue()).values()) == [2**64 - 1, "1.5", [7]]
