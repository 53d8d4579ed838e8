"""Real LAION metadata, and every dialect of it, becomes one shape of row."""

import re
import subprocess
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Landing

from transforms.landing import NUMBER_COLUMNS, TEXT_COLUMNS

LAION = ROOT.parent / "shared" / "data" / "laion" / "laion400m_10000.parquet"

DIALECTS: dict[str, dict[str, list]] = {
    "coyo": {"id": [1], "url": ["https://e.org/coyo"], "text": ["coyo"], "width": [640], "height": [480]}
    | {"clip_similarity_vitl14": [0.25], "nsfw_score_gantman": [0.5], "watermark_score": [0.75]},
    "datacomp": {"uid": ["f00"], "url": ["https://e.org/datacomp"], "text": ["datacomp"]}
    | {"original_width": [640], "original_height": [480], "clip_l14_similarity_score": [0.25], "sha256": ["ab"]},
    "img2dataset": {"key": ["000000000"], "url": ["https://e.org/img2dataset"], "caption": ["img2dataset"]}
    | {"status": ["success"], "width": [256], "height": [192], "original_width": [640], "original_height": [480]},
    "laion2b": {"SAMPLE_ID": [1], "URL": ["https://e.org/laion2b"], "TEXT": ["laion2b"], "WIDTH": [640.0]}
    | {"HEIGHT": [480.0], "similarity": [0.25], "LANGUAGE": ["en"], "pwatermark": [0.75], "punsafe": [0.5]},
    "laion400m": {"SAMPLE_ID": [1.0], "URL": ["https://e.org/laion400m"], "TEXT": ["laion400m"], "WIDTH": [640]}
    | {"HEIGHT": [480], "LICENSE": ["?"], "NSFW": ["UNLIKELY"], "similarity": [0.25]},
    "relaion": {"url": ["https://e.org/relaion"], "caption": ["relaion"], "license": ["cc-by"], "width": ["640"]}
    | {"height": ["480"]},
}


@dataclass(frozen=True)
class Catalogued:
    landing: Landing
    run: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def catalogued(tmp_path_factory: pytest.TempPathFactory) -> Catalogued:
    """Return one warehouse of two datasets: a row of each dialect, and the real excerpt where there is one."""
    landing = Landing(tmp_path_factory.mktemp("metadata"))
    landing.write_config('[[datasets]]\nname = "real"\nmetadata = "real/*.parquet"\n')
    for name, columns in DIALECTS.items():
        pq.write_table(pa.table(columns), landing.folder / "laion" / f"{name}.parquet")
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
