"""Real LAION metadata, and every dialect of it, becomes one shape of row."""

import re
import subprocess
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Landing

from transforms.catalog.columns import NUMBER_COLUMNS, TEXT_COLUMNS

LAION = ROOT.parent / "shared" / "data" / "laion" / "laion400m_10000.parquet"

_TEXT, _WHOLE, _FLOAT, _DOUBLE = pa.string(), pa.int32(), pa.float32(), pa.float64()


def _sizes(kind: pa.DataType, names: tuple[str, str] = ("width", "height")) -> dict[str, tuple[pa.DataType, object]]:
    return {name: (kind, value) for name, value in zip(names, (640, 480), strict=True)}


# Columns and types as published: the dataset cards of COYO-700M, DataComp, LAION-2B and its subsets; the excerpt and
# the release notes of LAION-400M; img2dataset's writer. Of Re-LAION's columns no card is at hand.
DIALECTS: dict[str, dict[str, tuple[pa.DataType, object]]] = {
    "coyo": {"id": (pa.int64(), 841814333321), "url": (_TEXT, "https://e.org/coyo"), "text": (_TEXT, "coyo")}
    | _sizes(_WHOLE)
    | {"image_phash": (_TEXT, "c9b6a7d8469c1959")}
    | dict.fromkeys(("text_length", "word_count", "num_tokens_bert", "num_tokens_gpt", "num_faces"), (_WHOLE, 11))
    | {"clip_similarity_vitb32": (_FLOAT, 0.125), "clip_similarity_vitl14": (_FLOAT, 0.25)}
    | {"nsfw_score_opennsfw2": (_FLOAT, 0.125), "nsfw_score_gantman": (_FLOAT, 0.5)}
    | {"watermark_score": (_FLOAT, 0.75), "aesthetic_score_laion_v2": (_FLOAT, 5.4)},
    "datacomp": {"uid": (_TEXT, "335db346a49045476677662a0067ce68"), "url": (_TEXT, "https://e.org/datacomp")}
    | {"text": (_TEXT, "datacomp")}
    | _sizes(pa.int64(), ("original_width", "original_height"))
    | {"clip_b32_similarity_score": (_FLOAT, 0.125), "clip_l14_similarity_score": (_FLOAT, 0.25)}
    | {"face_bboxes": (pa.list_(pa.list_(_DOUBLE)), [[0.1, 0.2, 0.3, 0.4]]), "sha256": (_TEXT, "ab")},
    "img2dataset": {"url": (_TEXT, "https://e.org/img2dataset"), "caption": (_TEXT, "img2dataset")}
    | {"key": (_TEXT, "000000000"), "status": (_TEXT, "success"), "error_message": (_TEXT, None)}
    | {"width": (_WHOLE, 256), "height": (_WHOLE, 192)}
    | _sizes(_WHOLE, ("original_width", "original_height"))
    | {"exif": (_TEXT, "{}"), "sha256": (_TEXT, "ab")},
    "laion2b": {"SAMPLE_ID": (pa.int64(), 3), "URL": (_TEXT, "https://e.org/laion2b"), "TEXT": (_TEXT, "laion2b")}
    | _sizes(_DOUBLE, ("WIDTH", "HEIGHT"))
    | {"LICENSE": (_TEXT, "?"), "LANGUAGE": (_TEXT, "en"), "NSFW": (_TEXT, None), "similarity": (_DOUBLE, 0.25)}
    | {"hash": (pa.int64(), -1), "pwatermark": (_FLOAT, 0.75), "punsafe": (_FLOAT, 0.5), "aesthetic": (_FLOAT, 5.0)},
    "laion400m": {"SAMPLE_ID": (_DOUBLE, 2.0), "URL": (_TEXT, "https://e.org/laion400m"), "TEXT": (_TEXT, "laion400m")}
    | _sizes(_WHOLE, ("WIDTH", "HEIGHT"))
    | {"LICENSE": (_TEXT, "?"), "NSFW": (_TEXT, "UNLIKELY"), "similarity": (_DOUBLE, 0.25)},
    "relaion": {"url": (_TEXT, "https://e.org/relaion"), "caption": (_TEXT, "relaion"), "license": (_TEXT, "cc-by")}
    | {"width": (_TEXT, "640"), "height": (_TEXT, "480")},
}


@dataclass(frozen=True)
class Catalogued:
    landing: Landing
    run: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def catalogued(tmp_path_factory: pytest.TempPathFactory) -> Catalogued:
    """Return one warehouse of two datasets: a row of each dialect, and the real excerpt where there is one."""
    landing = Landing(tmp_path_factory.mktemp("metadata"))
    real = '[[datasets]]\nname = "real"\nmetadata = "real/*.parquet"\n'
    landing.write_config(real if LAION.is_file() else "")
    written = landing.config.read_text().replace('images = "laion/*.tar"\n', "")
    landing.config.write_text(written.replace('[[generations]]\nname = "gen"\npath = "generations"\n', ""))
    for name, columns in DIALECTS.items():
        table = pa.table({column: pa.array([value], kind) for column, (kind, value) in columns.items()})
        pq.write_table(table, landing.folder / "laion" / f"{name}.parquet")
    if LAION.is_file():
        (landing.folder / "real").mkdir()
        (landing.folder / "real" / "real.parquet").symlink_to(LAION)
    return Catalogued(landing, landing.raisonne("run"))


@pytest.mark.skipif(not LAION.is_file(), reason=f"the LAION-400M excerpt is not at {LAION}")
def test_ten_thousand_rows_of_laion_400m_are_all_catalogued_and_none_has_a_picture(catalogued: Catalogued) -> None:
    query = catalogued.landing.query
    assert catalogued.run.returncode == 0
    assert "warning" not in catalogued.run.stderr
    assert query(
        "select count(*), count(distinct sample_id), count(distinct url), count(distinct caption) "
        "from catalog.samples where dataset = 'real'"
    ) == [(10_000, 10_000, 9_999, 9_988)]
    source = pq.read_table(LAION, columns=["URL", "TEXT"]).to_pylist()
    rows = query("select url, caption from catalog.samples where dataset = 'real' order by row_number")
    assert rows == [(row["URL"], row["TEXT"]) for row in source]
    hostless = query("select url from catalog.samples where dataset = 'real' and url_host is null")
    assert hostless == [("UNLIKELY",)], "the excerpt has one row whose columns slipped"
    coverage = query(
        "select fingerprint, expected, ok, low_quality, failed, missing from fingerprints.coverage "
        "where dataset = 'real' order by 1"
    )
    assert coverage == [(name, 10_000, 0, 0, 0, 10_000) for name in ("pdq", "sha256", "sscd_distilled")]
    assert "coverage: pdq 0 of 10,006, sha256 0 of 10,006, sscd_distilled 0 of 10,006" in catalogued.run.stdout


def test_every_dialect_becomes_one_shape_of_row(catalogued: Catalogued) -> None:
    """Among them widths as text, whole and floating numbers: one type of one file must not stop the others."""
    query = catalogued.landing.query
    assert query("select shard, status, rows from catalog.shards where dataset = 'tiny' order by shard") == [
        (name, "ok", 1) for name in DIALECTS
    ]
    rows = "select shard, url, url_host, caption, width, height from catalog.samples where dataset = 'tiny'"
    assert query(f"{rows} order by shard") == [
        (name, f"https://e.org/{name}", "e.org", name, 640, 480) for name in DIALECTS
    ]
    assert query("select shard, uid from catalog.samples where dataset = 'tiny' order by shard") == [
        ("coyo", "841814333321"),
        ("datacomp", "335db346a49045476677662a0067ce68"),
        ("img2dataset", None),
        ("laion2b", "3"),
        ("laion400m", "2"),
        ("relaion", None),
    ]
    rest = "select shard, key, license, nsfw, language, similarity, punsafe, pwatermark from catalog.samples"
    assert query(f"{rest} where dataset = 'tiny' order by shard") == [
        ("coyo", None, None, None, None, 0.25, 0.5, 0.75),
        ("datacomp", None, None, None, None, 0.25, None, None),
        ("img2dataset", "000000000", None, None, None, None, None, None),
        ("laion2b", None, None, None, "en", 0.25, 0.5, 0.75),
        ("laion400m", None, None, "UNLIKELY", None, 0.25, None, None),
        ("relaion", None, "cc-by", None, None, None, None, None),
    ]


@pytest.mark.parametrize(("column", "aliases"), (TEXT_COLUMNS | NUMBER_COLUMNS).items())
def test_the_catalog_takes_the_first_of_every_name_that_a_landing_file_may_use(
    column: str, aliases: tuple[str, ...]
) -> None:
    query = (ROOT / "sql" / "catalog" / "samples.sql").read_text(encoding="utf-8")
    used = re.findall(r"rows\.(\w+)", query)
    places = [used.index(alias) if alias in used else None for alias in aliases]
    assert None not in places, f"{column}: {aliases} are not all in catalog/samples.sql"
    first = places[0]
    assert used[first : first + len(aliases)] == list(aliases), "their order differs"
