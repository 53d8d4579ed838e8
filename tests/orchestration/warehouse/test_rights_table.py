"""`catalog.rights`: what is said of a row, and whether it reserves the row from training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from orchestration.facts import Facts
from orchestration.settings import Settings
from orchestration.warehouse import build
from orchestration.warehouse.models import load
from orchestration.warehouse.version import HISTORY

_MODELS = [
    model for model in load(ROOT / "sql") if model.name in {"catalog.samples", "fingerprints.images", "catalog.rights"}
]
_SHARD = 5
_FIRST = _SHARD * 2**26
_SAID = "select sample_id - ?, reserved, reserved_by, reason from catalog.rights order by 1"
type Row = Mapping[str, object]
type Built = Callable[..., duckdb.DuckDBPyConnection]


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Built]:
    """Return what builds the tables over rows of metadata, of which the first ones have pictures that say things."""
    facts, settings = Facts(tmp_path / "facts"), Settings(home=tmp_path)

    def put(name: str, rows: Sequence[Row]) -> None:
        schema = facts[name].schema
        facts[name].replace(
            [pa.Table.from_pylist([dict.fromkeys(schema.names) | dict(row) for row in rows], schema)], ""
        )

    with build.open_build(tmp_path / "built.duckdb", settings) as con:

        def made(
            said: Sequence[Row] = (), prints: Sequence[Row] | None = None, metadata: Mapping[str, list] | None = None
        ) -> duckdb.DuckDBPyConnection:
            rows = metadata or {"url": [f"https://a.org/{at}" for at in range(9)]}
            pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
            # forms as a release noted them that did not know the columns on rights
            shard = {"shard_id": _SHARD, "dataset": "d", "shard": "s", "status": "ok", "rows": 9}
            put(
                "landing_shards",
                [
                    shard
                    | {"readable_path": str(tmp_path / "rows.parquet"), "columns": list(rows), "forms": ["text url"]}
                ],
            )
            alike = [{"status": "ok", "sha256": at.to_bytes(32), "pdq": at.to_bytes(32)} for at in range(9)]
            own = alike if prints is None else prints
            of = [
                {"sample_id": _FIRST + at, "shard_id": _SHARD, "member": "a"} | dict(each)
                for at, each in enumerate(own)
            ]
            put("image_fingerprints", of)
            put(
                "picture_rights",
                [{"sample_id": _FIRST + at, "shard_id": _SHARD} | dict(each) for at, each in enumerate(said)],
            )
            nothing = HISTORY.empty_table()
            inputs = build.Inputs(facts, facts.versions(), settings, nothing, nothing)
            build.provide(con, sorted({name for model in _MODELS for name in model.inputs}), inputs)
            for model in sorted(_MODELS, key=lambda each: each.name != "catalog.samples"):
                build.materialize(con, model)
                assert [audit.check.sentence for audit in build.audit(con, model) if audit.failing] == []
            return con

        yield made


def test_a_row_is_reserved_by_what_prohibits_mining_or_training_and_says_why(built: Built) -> None:
    prefix = "http://ns.useplus.org/ldf/vocab/DMI-"
    said: list[Row] = [
        {"creator": "A. Maker"},
        {"data_mining": f"{prefix}ALLOWED"},
        {"data_mining": f"{prefix}UNSPECIFIED"},
        {"data_mining": f"{prefix}PROHIBITED-AIMLTRAINING"},
        {
            "data_mining": "DMI-PROHIBITED-SEECONSTRAINT",
            "c2pa_mining": "cawg.ai_training=constrained",
            "c2pa": "broken",
        },
        {"c2pa_mining": "cawg.ai_inference=notAllowed; cawg.ai_training=allowed", "c2pa": "valid"},
        {"c2pa_mining": "c2pa.ai_generative_training=notAllowed", "c2pa": "untrusted"},
        {"unread": "XMP: not well-formed"},
    ]
    rows = built(said).execute(_SAID, [_FIRST]).fetchall()
    assert [row[:3] for row in rows] == [
        (0, False, None),
        (1, False, None),
        (2, False, None),
        (3, True, ["plus"]),
        (4, True, ["plus", "c2pa"]),
        (5, False, None),
        (6, True, ["c2pa"]),
        (7, False, None),
    ]
    assert rows[3][3] == f"plus:DataMining is {prefix}PROHIBITED-AIMLTRAINING"
    assert rows[6][3] == "its C2PA manifest says c2pa.ai_generative_training=notAllowed"


def test_what_another_file_of_the_row_says_is_not_said_of_its_picture(built: Built) -> None:
    other = {"shard_id": _SHARD + 1, "creator": "of another dump"}
    assert built([other, {"creator": "own"}]).execute("select creator from catalog.rights").fetchall() == [("own",)]


def test_what_a_downloader_noted_counts_where_the_file_says_nothing(built: Built) -> None:
    exif = '{"Image Artist": "A\\u0007 M\\u202eaker", "Image Copyright": "(c) A", "EXIF Flash": "no"}'
    metadata = {
        "url": [f"https://a.org/{at}" for at in range(9)],
        "EXIF": [exif, exif, "{}", '{"Image Artist": broken', None, "", None, None, None],
        "X-Robots-Tag": [None, None, "noindex", None, "otherbot: NoAI, nofollow", "nan", "noaim", None, None],
        "content-usage": [None, None, None, None, None, None, "train-ai=y, search=n", "bots=y,train-ai=n", None],
        "tdm_reservation": [0, None, None, None, None, None, None, None, 1],
    }
    alike = {"status": "ok", "sha256": bytes(32), "pdq": bytes(32)}
    lost = {"status": "failed", "failure": "not downloaded: Use of image disallowed by X-Robots-Tag directive"}
    said: list[Row] = [{"creator": "the file", "stated_in": ["XMP"]}]
    con = built(said, [alike, alike, alike, lost, *[alike] * 5], metadata)
    found = con.execute(
        "select sample_id - ?, creator, notice, headers, reserved_by, stated_in from catalog.rights order by 1",
        [_FIRST],
    ).fetchall()
    assert found == [
        (0, "the file", "(c) A", "tdm-reservation: 0", None, ["XMP", "metadata", "headers"]),
        (1, "A Maker", "(c) A", None, None, ["metadata"]),
        (2, None, None, "X-Robots-Tag: noindex", None, ["headers"]),
        (
            3,
            None,
            None,
            "X-Robots-Tag: disallowed its use (noai), and nothing was downloaded",
            ["headers"],
            ["headers"],
        ),
        (4, None, None, "X-Robots-Tag: otherbot: NoAI, nofollow", ["headers"], ["headers"]),
        (6, None, None, "X-Robots-Tag: noaim; Content-Usage: train-ai=y, search=n", None, ["headers"]),
        (7, None, None, "Content-Usage: bots=y,train-ai=n", ["headers"], ["headers"]),
        (8, None, None, "tdm-reservation: 1", ["headers"], ["headers"]),
    ]


def test_the_bytes_of_a_picture_are_those_of_its_file(built: Built) -> None:
    prints: list[Row] = [
        {"status": "ok", "sha256": bytes(32), "pdq": bytes(32), "member_size": 42},
        {"status": "failed", "failure": "empty: zero bytes", "member_size": 0},
        {"status": "failed", "failure": "not downloaded: HTTP Error 404", "member": "", "member_size": 0},
    ]
    con = built(prints=prints)
    assert con.execute("select bytes from fingerprints.images order by sample_id").fetchall() == [(42,), (0,), (None,)]
