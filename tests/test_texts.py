"""Text and address duplicates: one caption of many rows, one URL in many spellings, and their pictures."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Landing, Row, encoded, picture

from orchestration.defs.captions import caption_groups
from orchestration.defs.catalog import landing_shards
from orchestration.duplicates import caption_groups as captions
from orchestration.facts import Facts
from orchestration.runtime.resources import WarehouseResource
from orchestration.warehouse import functions, macros, sql_folder
from orchestration.warehouse.models import load

MODELS = {model.name: model for model in load(ROOT / "sql")}
LAION = ROOT.parent / "shared" / "data" / "laion" / "laion400m_10000.parquet"
LONG = "A black and white photograph of an old harbour with three small fishing boats"
type Connect = Callable[[Sequence[Mapping[str, object]]], duckdb.DuckDBPyConnection]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Return a maker of databases of training rows, each with `url`, `caption`, `picture` and `recalled` or less.

    A row with a picture shows it; rows of the same picture are one cluster.
    """
    with duckdb.connect() as con:
        macros.create(con, functions.load(ROOT / "sql"))

        def made(rows: Sequence[Mapping[str, object]]) -> duckdb.DuckDBPyConnection:
            con.execute("""
                create schema if not exists catalog;
                create schema if not exists fingerprints;
                create schema if not exists duplicates;
                create or replace table catalog.samples
                    (sample_id ubigint, url varchar, url_host varchar, caption varchar, recalled boolean);
                create or replace table fingerprints.images (sample_id ubigint, status varchar);
                create or replace table duplicates.clusters (sample_id ubigint, cluster_id ubigint);
                create or replace table lance_caption_groups
                    (caption_key varchar, group_key varchar, similarity double);
            """)
            for at, row in enumerate(rows):
                url = row.get("url")
                sample = [at, url, str(url).split("/")[2:3] or None, row.get("caption"), row.get("recalled", False)]
                sample[2] = sample[2][0] if isinstance(sample[2], list) else None
                con.execute("insert into catalog.samples values (?, ?, ?, ?, ?)", sample)
                if "picture" in row:
                    shown = "ok" if row["picture"] is not None else "failed"
                    con.execute("insert into fingerprints.images values (?, ?)", [at, shown])
                alike = [other for other, them in enumerate(rows) if them.get("picture") == row.get("picture")]
                if row.get("picture") is not None and len(alike) > 1:
                    con.execute("insert into duplicates.clusters values (?, ?)", [at, alike[0]])
            for name in ("duplicates.caption_keys", "duplicates.url_keys", "duplicates.row_keys"):
                con.execute(f"create or replace view {name} as {MODELS[name].select}")
            return con

        yield made


def built(con: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, object]]:
    """Build a model, hold it to its promises, and return its rows."""
    model = MODELS[name]
    con.execute(model.create)
    for check in model.checks:
        assert con.execute(check.sql).fetchall() == [], check.sentence
    return con.table(name).to_arrow_table().to_pylist()


@pytest.mark.parametrize(
    ("caption", "normalised"),
    [
        ("A cat", "a cat"),
        (" a  CAT!\n", "a cat"),
        ("a\u00adcat\u200b", "acat"),
        ("Ünïcode — “caffe\u0301”", "ünïcode caffé"),
        ("猫が好き。", "猫が好き"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("😀 \t 😀", "😀 😀"),
        ("!!!", "!!!"),
        ("...", "..."),
        ("a\0b", "a b"),
        ("a\0é b", "a é b"),
        ("\0Ein schöner Hund", "ein schöner hund"),
        ("", None),
        (" \u3000\n\u200b", None),
        (None, None),
    ],
)
def test_captions_are_normalised(connect: Connect, caption: str | None, normalised: str | None) -> None:
    con = connect([{"caption": caption}])
    found = con.execute("select normalised from duplicates.caption_keys").fetchall()
    assert found == ([(normalised,)] if normalised else [])
    assert con.execute("select normalised_caption($1::varchar)", [caption]).fetchall() == [(normalised,)]


# each line: spellings of one URL; no two lines are the same URL
SPELLINGS = [
    [
        "http://e.org/a",
        "https://www.E.org:443/a/",
        "//e.org/a#x",
        "e.org/a?utm_source=x&fbclid=1",
        "HTTP://user:pw@e.org.:80/%61?",
        "  http://e.org:/a\n",
    ],
    ["http://e.org/A"],
    ["http://e.org:8080/a", "https://e.org:8080/a"],
    ["http://a.e.org/a"],
    ["http://e.org", "http://e.org/", "http://e.org//", "www.e.org?", "e.org#top"],
    ["http://e.org/café?b=1&a=2", "http://e.org/caf%c3%a9?a=2&&b=1&gclid=3#f#g"],
    ["http://e.org/a b", "http://e.org/a%20b"],
    ["http://e.org/a%2fb", "http://e.org/a%2Fb"],
    ["http://e.org/a/b"],
    ["http://e.org/%7euser", "http://e.org/~user"],
    ["http://e.org/100%", "http://e.org/100%/"],
    ["http://e.org/%zz%4", "https://e.org/%zz%4"],
    ["http://e.org/%ff%FE%00", "http://e.org/%FF%fe%00"],
    ["http://e.org/a?b=c", "http://e.org/a?b=c&utm_medium=mail&UTM_CAMPAIGN="],
    ["http://e.org/a?xutm_a=1"],
    ["http://[::1]:8080/a", "https://[::1]:8080/a/"],
    ["http://[::1]/a"],
    ["http://[::1/a"],
    ["http://bücher.de/x", "BÜCHER.de/x"],
    ["http://xn--bcher-kva.de/x"],
    ["http://good.com@evil.com/a", "http://evil.com/a"],
    ["http://good.com/a"],
    ["http://www.com/a"],
    ["http://com/a"],
    ["javascript:alert(1)", " javascript:alert(1)"],
    ["JAVASCRIPT:alert(1)"],
    ["javascript:e.org/a"],
    ["data:image/png;base64,AA=="],
    ["ftp://e.org/a"],
    ["/a"],
    ["http:///a"],
    ["%%%"],
    ["'); drop table catalog.samples; --"],
]


def test_spellings_of_one_url_are_one_url_and_no_other(connect: Connect) -> None:
    rows = [{"url": url} for line in SPELLINGS for url in line]
    con = connect([*rows, *rows, {"url": ""}, {"url": " "}, {"url": None}, {"url": ""}])
    counted = sorted((row["rows"], row["spellings"]) for row in built(con, "duplicates.urls"))
    assert counted == sorted((2 * len(line), len(line)) for line in SPELLINGS)


def test_a_url_says_whether_its_rows_show_the_same_picture(connect: Connect) -> None:
    rows = [
        {"url": "http://same.org/a", "picture": "x", "caption": "One!"},
        {"url": "https://same.org/a/", "picture": "x", "caption": "one"},
        {"url": "http://other.org/a", "picture": "x"},
        {"url": "http://other.org/a", "picture": "y"},
        {"url": "http://other.org/a"},
        {"url": "http://unknown.org/a", "picture": "z"},
        {"url": "http://unknown.org/a", "picture": None},
        {"url": "http://once.org/a", "picture": "x"},
        {"url": "http://once.org/a", "picture": "x", "recalled": True},
    ]
    found = {row.pop("url_host"): row for row in built(connect(rows), "duplicates.urls")}
    assert {host: row["same_picture"] for host, row in found.items()} == {
        "same.org": True,
        "other.org": False,
        "unknown.org": None,
    }
    assert found["same.org"]["distinct_captions"] == 1
    assert (found["other.org"]["pictures_known"], found["other.org"]["distinct_pictures"]) == (2, 2)
    assert (found["unknown.org"]["pictures_known"], found["unknown.org"]["distinct_pictures"]) == (1, 1)


def grouped(con: duckdb.DuckDBPyConnection, folder: Path, threshold: float = 0.8) -> list[tuple[str, str, float]]:
    """Fill the fact `caption_groups` as the asset does, and return its rows."""
    con.execute("drop table if exists distinct_captions")
    groups, _ = captions.group(con, folder, threshold, recall_sample=1_000)
    for part in list(captions.rows(con, groups)):  # what is written below would end the stream
        con.register("part", part)
        con.execute("insert into lance_caption_groups select * from part")
    return con.execute("select * from lance_caption_groups order by all").fetchall()


def test_captions_of_many_rows_are_counted_with_their_pictures(connect: Connect, tmp_path: Path) -> None:
    rows = [
        {"caption": "A cat", "picture": "x", "url": "http://e.org/1"},
        {"caption": "A cat", "picture": "x", "url": "http://e.org/1"},
        {"caption": "a  cat!", "picture": "y", "url": "http://f.org/2"},
        {"caption": "a cat", "picture": None},
        {"caption": "A CAT", "picture": "z", "recalled": True},
        {"caption": LONG, "picture": "x"},
        {"caption": LONG},
        {"caption": LONG + " today"},
        {"caption": "once"},
        {"caption": "twice", "recalled": True},
        {"caption": "twice"},
        {"caption": None},
        {"caption": None},
    ]
    con = connect(rows)
    keys = grouped(con, tmp_path)
    assert len({group for _, group, _ in keys}) == 1
    cat, harbour = built(con, "duplicates.captions")
    assert cat | {"group_key": ""} == {
        "group_key": "",
        "caption": "A cat",
        "rows": 4,
        "spellings": 3,
        "exact_rows": 2,
        "normalised": 1,
        "min_similarity": 1.0,
        "distinct_urls": 2,
        "distinct_hosts": 2,
        "distinct_pictures": 2,
        "pictures_known": 3,
    }
    assert (harbour["caption"], harbour["rows"], harbour["spellings"], harbour["normalised"]) == (LONG, 3, 2, 2)
    assert harbour["min_similarity"] == pytest.approx(14 / 15)  # one word more


def test_the_order_of_rows_changes_no_group(connect: Connect, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    captions = [" ".join(rng.permutation(list("abcdefghij"))[:8]) for _ in range(60)] + [LONG, LONG + "s", "🙂"]
    first = grouped(connect([{"caption": caption} for caption in captions]), tmp_path)
    rng.shuffle(captions)
    assert grouped(connect([{"caption": caption} for caption in captions]), tmp_path) == first
    assert len(first) > 5


def test_hostile_captions_are_grouped(connect: Connect, tmp_path: Path) -> None:
    huge = "word " * 200_000
    rows = [{"caption": text} for text in (huge, huge + "more", "'); drop table distinct_captions; --", "\0", "\ufffd")]
    con = connect(rows)
    assert len(grouped(con, tmp_path)) == 2  # the two that begin alike
    (one,) = built(con, "duplicates.captions")
    assert (one["rows"], one["normalised"], one["min_similarity"]) == (2, 2, 1.0)


@pytest.mark.skipif(not LAION.exists(), reason="the LAION excerpt is not here")
def test_groups_of_real_captions_hold_what_they_promise(connect: Connect, tmp_path: Path) -> None:
    con = connect([])
    con.register("laion", pq.read_table(LAION))
    con.execute("""
        insert into catalog.samples
        select row_number() over (), "URL", split_part("URL", '/', 3), "TEXT", false from laion
    """)
    grouped(con, tmp_path, threshold=0.5)
    rows = built(con, "duplicates.captions")
    assert (rows[0]["caption"], rows[0]["rows"], rows[0]["min_similarity"]) == ("Patent Drawing", 10, 1.0)
    near = [row for row in rows if row["normalised"] > 1]
    assert len(near) > 20
    assert all(0.5 <= row["min_similarity"] <= 1.0 for row in near)
    assert [(row["rows"], row["url_host"]) for row in built(con, "duplicates.urls")] == [
        (2, "assets.fontsinuse.com"),
        (2, "teleflora.edgesuite.net"),
    ]


def test_a_second_run_computes_nothing(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RAISONNE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAISONNE_CONFIG", str(landing.config))
    said = ["A cat", "a  cat!", LONG, LONG + " today", "once", None]
    landing.shard("00000", [Row(f"https://e.org/{at}.jpg", text, None) for at, text in enumerate(said)])

    def run() -> dict[str, object]:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        done = dg.materialize(
            [landing_shards, caption_groups], resources={"warehouse": WarehouseResource()}, run_config=quiet
        ).asset_materializations_for_node("caption_groups")
        return {name: value.value for name, value in done[-1].metadata.items()}

    facts = Facts(landing.home / "facts")
    first = run()
    versions = facts.versions()
    rows = facts["caption_groups"].read().to_pylist()
    assert {row["group_key"] for row in rows} == {min(row["group_key"] for row in rows)}
    assert sorted(row["similarity"] for row in rows) == pytest.approx([14 / 15, 1.0])
    assert (first["dagster/row_count"], first["groups"], first["distinct captions"]) == (2, 1, 4)
    (note,) = facts["joins"].read(where="join_id = -1").to_pylist()
    assert (note["kind"], note["exact"], note["new"], note["pairs"], note["recall"]) == ("captions", True, 4, 1, 1.0)
    assert run() == first
    assert facts.versions() == versions
    assert not [path.name for path in landing.home.iterdir() if path.name.startswith((".captions", ".rows"))]

    landing.write_config("[joins]\nrecall_sample = 5\n")
    run()
    assert facts["caption_groups"].version > versions["caption_groups"], "recall is measured on another sample"
    shutil.copytree(sql_folder.SQL, landing.folder / "sql")
    model = landing.folder / "sql" / "catalog" / "samples.sql"
    model.write_text(model.read_text().replace("stated_caption(rows.caption),", ""))
    monkeypatch.setattr(sql_folder, "SQL", landing.folder / "sql")
    before = facts["caption_groups"].recipe
    run()
    assert facts["caption_groups"].recipe != before, "another column may be the caption"


def test_a_run_publishes_both_tables(landing: Landing) -> None:
    seen = encoded(picture(1))
    landing.shard(
        "00000",
        [
            Row("https://e.org/1.jpg", "A cat", seen),
            Row("http://www.e.org/1.jpg?utm_source=x", "a  cat!", seen),
            Row("https://e.org/2.jpg", "a cat", encoded(picture(2))),
            Row("https://e.org/3.jpg", LONG, None),
            Row("https://e.org/4.jpg", LONG + " today", None),
        ],
    )
    landing.run_here(tables=("duplicates.captions", "duplicates.urls"))
    captions = "select rows, normalised, distinct_pictures, pictures_known from duplicates.captions order by rows desc"
    assert landing.query(captions) == [(3, 1, 2, 3), (2, 2, 0, 0)]
    urls = "select normalised_url, rows, spellings, distinct_captions, same_picture from duplicates.urls"
    assert landing.query(urls) == [("e.org/1.jpg", 2, 2, 1, True)]
