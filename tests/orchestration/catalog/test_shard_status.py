"""A shard is usable, broken (its dump) or failed (its metadata), and the difference is told with the reason."""

import duckdb
import pyarrow as pa
import pytest
from conftest import ROOT

from orchestration.facts import SCHEMAS
from orchestration.warehouse import build
from orchestration.warehouse.models import load

LANDED = {
    # name: status, failure, metadata, images, then pictures, unlisted and broken of its fingerprints
    "a dump alone that is no tar": (("failed", "not a tar", None, "a.tar"), None),
    "a cut parquet of pictures": (("failed", "not whole", "a.parquet", "a.parquet"), None),
    "metadata without URL": (("failed", "no url", "a.parquet", "a.tar"), (1, 1, "no rows")),
    "metadata alone, refused": (("failed", "no url", "a.parquet", None), None),
    "metadata alone": (("ok", None, "a.parquet", None), None),
    "a cut tar": (("ok", None, "a.parquet", "a.tar"), (2, 0, "breaks off")),
    "a tar without pictures": (("ok", None, "a.parquet", "a.tar"), (0, 0, "holds no pictures")),
    "a stray picture": (("ok", None, "a.parquet", "a.tar"), (2, 1, None)),
    "a dump of another name": (("images_only", None, None, "a.tar"), (2, 0, None)),
    "not fingerprinted yet": (("ok", None, "a.parquet", "a.tar"), None),
}
EXPECTED = {
    "a dump alone that is no tar": ("broken", None, "not a tar"),
    "a cut parquet of pictures": ("broken", None, "not whole"),
    "metadata without URL": ("failed", "no url", "no rows"),
    "metadata alone, refused": ("failed", "no url", None),
    "metadata alone": ("ok", None, None),
    "a cut tar": ("broken", None, "breaks off"),
    "a tar without pictures": ("broken", None, "holds no pictures"),
    "a stray picture": ("ok", None, None),
    "a dump of another name": ("images_only", None, None),
    "not fingerprinted yet": ("ok", None, None),
}


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    """Return the table of these shards, with no promise broken but the one that warns."""
    landed, noted = [], []
    for number, (name, ((status, failure, metadata, images), prints)) in enumerate(LANDED.items()):
        row = {"shard_id": number, "dataset": "d", "shard": name, "status": status, "failure": failure, "rows": 1}
        landed.append(row | {"metadata_path": metadata, "images_path": images})
        if prints:
            counts = dict(zip(("pictures", "unlisted", "broken"), prints, strict=True))
            noted.append({"shard_id": number, "fingerprint": "hashes"} | counts)
    (model,) = [each for each in load(ROOT / "sql") if each.name == "catalog.shards"]
    made = duckdb.connect()
    made.execute("create schema catalog")
    made.register("lance_landing_shards", pa.Table.from_pylist(landed, SCHEMAS["landing_shards"]))
    made.register("lance_fingerprinted_shards", pa.Table.from_pylist(noted, SCHEMAS["fingerprinted_shards"]))
    build.materialize(made, model)
    failing = [audit.check for audit in build.audit(made, model) if audit.failing]
    assert [check.blocks for check in failing] == [False]
    return made


@pytest.mark.parametrize("name", LANDED)
def test_the_status_of_a_shard(con: duckdb.DuckDBPyConnection, name: str) -> None:
    row = con.execute("select status, failure, broken from catalog.shards where shard = ?", [name]).fetchall()
    assert row == [EXPECTED[name]]
