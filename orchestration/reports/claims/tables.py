"""The tables of a claim: claimed pictures, the training rows that show them, the generations that copy these.

What belongs here: temporary tables over a published version. What does not: finding matches (`matches/claims.py`), the
SELECTs (`sql/queries/claims/`), files (`claims/files.py`).
"""

from collections.abc import Iterable
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.matches.claims import VERDICTS, ClaimedPicture, ClaimMatch
from orchestration.warehouse.queries import fetch_rows, query

TABLES = ("claim_pictures", "claim_matches", "claim_rows", "claim_generations", "claims", "claim_opt_outs")
_PICTURES = pa.schema(
    {
        "picture": pa.string(),
        "verdict": pa.string(),
        "status": pa.string(),
        "failure": pa.string(),
        "not_compared": pa.int64(),
        "why_not_compared": pa.string(),
        "copy_score": pa.float64(),
        "pdq_distance": pa.int64(),
        "inliers": pa.int64(),
        "aligned_distance": pa.float64(),
        "overlap": pa.float64(),
        "overlap_training": pa.float64(),
        "sha256": pa.string(),
        "pdq": pa.string(),
        "dihedral_pdq": pa.list_(pa.string()),
    }
)
_MATCHES = pa.schema(
    {
        "picture": pa.string(),
        "match": pa.int64(),
        "strength": pa.int64(),
        "verdict": pa.string(),
        "sample_id": pa.uint64(),
    }
)
_AT_ONCE = 1_000  # pictures


def fill(con: duckdb.DuckDBPyConnection, found: Iterable[ClaimedPicture], within: int) -> None:
    """Create the tables of a claim as temporary ones, `claims` with a row per picture and `claim_opt_outs` among them.

    Args:
        con: A connection to the published version.
        found: The pictures; they are read as they are found.
        within: Bits in which a hash may differ from one of the opt-out list.
    """
    con.execute(f"create temp table claim_pictures as {_empty(_PICTURES)}")
    con.execute(f"create temp table claim_matches as {_empty(_MATCHES)}")
    held: list[dict[str, Any]] = []
    for each in found:
        for number, match in enumerate(each.matches):
            _insert(con, "claim_matches", _match_rows(each, number, match))
        held.append(_picture_row(each))
        if len(held) >= _AT_ONCE:
            _insert(con, "claim_pictures", pa.Table.from_pylist(held, _PICTURES))
            held = []
    _insert(con, "claim_pictures", pa.Table.from_pylist(held, _PICTURES))
    for table, name in (
        ("claim_rows", "rows"),
        ("claim_generations", "generations"),
        ("claims", "pictures"),
        ("claim_opt_outs", "opt_outs"),
    ):
        values = {"within": within} if table == "claim_opt_outs" else {}
        con.execute(f"create temp table {table} as {query(f'claims/{name}')}", values)


def rows(con: duckdb.DuckDBPyConnection, sql: str, *values: object) -> list[dict[str, Any]]:
    """Return the rows of a SELECT as dictionaries.

    Args:
        con: A connection with the tables.
        sql: The SELECT.
        values: Its parameters.
    """
    return fetch_rows(con.execute(sql, values))


def _empty(schema: pa.Schema) -> str:
    kinds = {
        pa.string(): "varchar",
        pa.list_(pa.string()): "varchar[]",
        pa.int64(): "bigint",
        pa.uint64(): "ubigint",
        pa.float64(): "double",
    }
    columns = ", ".join(f'null::{kinds[field.type]} as "{field.name}"' for field in schema)
    return f"select {columns} where false"


def _insert(con: duckdb.DuckDBPyConnection, table: str, arriving: pa.Table) -> None:
    con.register("arriving_claims", arriving)
    con.execute(f"insert into {table} from arriving_claims")
    con.unregister("arriving_claims")


def _match_rows(of: ClaimedPicture, number: int, match: ClaimMatch) -> pa.Table:
    count = len(match.rows)
    columns = [
        pa.repeat(of.file.name, count),
        pa.repeat(pa.scalar(number, pa.int64()), count),
        pa.repeat(pa.scalar(VERDICTS.index(match.verdict), pa.int64()), count),
        pa.repeat(match.verdict, count),
        pa.array(match.rows),
    ]
    return pa.table(columns, schema=_MATCHES)


def _picture_row(of: ClaimedPicture) -> dict[str, Any]:
    evidence = of.matches[0].evidence if of.matches else None
    alignment = evidence.alignment if evidence else None
    return {
        "picture": of.file.name,
        "verdict": of.verdict,
        "status": of.print_.status,
        "failure": of.print_.failure,
        "not_compared": of.not_compared,
        "why_not_compared": of.why_not or None,
        "copy_score": evidence and evidence.copy_score,
        "pdq_distance": evidence and evidence.pdq_distance,
        "inliers": alignment and alignment.inliers,
        "aligned_distance": alignment and alignment.aligned_distance,
        "overlap": alignment and alignment.overlap_a,
        "overlap_training": alignment and alignment.overlap_b,
        "sha256": of.print_.sha256,
        "pdq": of.print_.pdq,
        "dihedral_pdq": [] if of.print_.dihedral is None else [each.tobytes().hex() for each in of.print_.dihedral],
    }
