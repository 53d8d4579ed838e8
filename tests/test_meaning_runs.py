"""What generations resemble in meaning, through whole runs with a small encoder of meaning."""

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from conftest import Landing, Row, encoded, picture

from orchestration.facts import Facts
from orchestration.provenance.meaning import related
from orchestration.reports import case_text, cases
from raisonne.warehouse import Warehouse
from tests import clip_checkpoint

MODEL = "raisonne-meaning"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory, rows_of: Callable[[int, int], list[Row]]) -> Landing:
    """A warehouse that was run with an encoder of meaning: two shards, the second one after a first run."""
    landing = Landing(tmp_path_factory.mktemp("meaning"))
    checkpoint = clip_checkpoint.make(tmp_path_factory.mktemp("clip"), MODEL)
    landing.write_config('[search]\nrelated = 3\nscales = []\nflips = "none"\n')
    text = landing.config.read_text()
    named = f'[encoders]\nsemantic = "open_clip:{MODEL}/{checkpoint}"\n'
    landing.config.write_text(text.replace("[encoders]\n", named))
    rows = rows_of(1, 6)
    again = Row("https://other.example.org/again.jpg", "again", rows[0].data, license="CC0")
    landing.shard("00000", [*rows, again])
    shown = {"copy.png": picture(1), "other.png": picture(50), "third.png": picture(51)}
    for name, each in shown.items():
        (landing.folder / "generations" / name).write_bytes(encoded(each, "PNG"))
    lines = [json.dumps({"file_name": name, "prompt": f"picture {n}, by hand"}) for n, name in enumerate(shown, 1)]
    (landing.folder / "generations" / "generations.jsonl").write_text("\n".join(lines))
    landing.run_here()
    landing.shard("00001", rows_of(20, 3))
    (landing.folder / "generations" / "late.png").write_bytes(encoded(picture(20), "PNG"))
    landing.run_here()
    return landing


def vectors(table: pa.Table) -> np.ndarray:
    return np.stack(table["vector"].to_numpy(zero_copy_only=False))


def test_related_pictures_are_the_nearest_of_each_cluster_whatever_was_searched_before(warehouse: Landing) -> None:
    facts = Facts(warehouse.home / "facts")
    training, generations = facts["semantic_embeddings"].read(), facts["generation_meanings"].read()
    members = facts["cluster_members"].read(["sample_id", "representative_id"]).to_pylist()
    heads = {row["sample_id"]: row["representative_id"] for row in members}
    cosines = vectors(generations) @ vectors(training).T
    found = warehouse.query("select generation_id, cluster_id, score, rank from provenance.related order by all")
    assert len(found) == 3 * len(generations)
    for name, near in zip(generations["generation_id"].to_pylist(), cosines, strict=True):
        best: dict[int, float] = {}
        for sample, cosine in zip(training["sample_id"].to_pylist(), near.tolist(), strict=True):
            head = heads.get(sample, sample)
            best[head] = max(best.get(head, -2), cosine)
        expected = sorted(best.items(), key=lambda item: -item[1])[:3]
        rows = sorted((rank, cluster, score) for asked, cluster, score, rank in found if asked == name)
        assert [cluster for _, cluster, _ in rows] == [cluster for cluster, _ in expected]
        assert [score for *_, score in rows] == pytest.approx([cosine for _, cosine in expected], abs=1e-6)


def test_related_says_how_near_it_is_among_all_generations_and_what_is_a_source_too(warehouse: Landing) -> None:
    nearest = dict(warehouse.query("select generation_id, score from provenance.related where rank = 1"))
    for score, percentile in warehouse.query("select score, percentile from provenance.related"):
        assert percentile == pytest.approx(np.mean([each <= score for each in nearest.values()]))
    verdicts = dict(warehouse.query("select generation_id, verdict from provenance.related where rank = 1"))
    assert verdicts["gen/copy.png"] in ("exact", "copy") and verdicts["gen/other.png"] is None
    assert warehouse.query("select duplicate_count from provenance.related where generation_id = 'gen/copy.png'")[
        0
    ] == (2,)


def test_a_run_without_anything_new_writes_nothing(warehouse: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts(warehouse.home / "facts")
    before = {name: facts[name].version for name in related.TABLES}
    warehouse.run_here("generations_only")
    assert {name: facts[name].version for name in related.TABLES} == before


def test_a_case_sets_resemblance_apart_from_sources(warehouse: Landing) -> None:
    with Warehouse.open(warehouse.config) as opened:
        case = cases.find(opened.connection, "other.png")
        text = "\n".join(case_text.lines(case))
        page = opened.show("other.png").page()
    assert [row["rank"] for row in case.related] == [1, 2, 3]
    heading = "resembles in meaning; not evidence of copying"
    assert text.index("no likely source") < text.index(heading) < text.index("nearer than the nearest of")
    assert "Resembles in meaning" in page and "Not evidence of copying" in page
    assert page.count('data-sample="') == 3 and page.count('<img alt="Training picture') == 3


def test_without_an_encoder_of_meaning_the_tables_are_emptied_and_the_case_says_why(landing: Landing) -> None:
    facts = Facts(landing.home / "facts")
    row = {"generation_id": "gen/a.png", "sample_id": 1, "score": 0.5}
    facts["related_pictures"].replace([pa.Table.from_pylist([row], facts["related_pictures"].schema)], "made")
    related.clear(facts)
    version = facts["related_pictures"].version
    related.clear(facts)
    assert (facts["related_pictures"].recipe, facts["related_pictures"].dataset().count_rows()) == ("", 0)
    assert facts["related_pictures"].version == version, "nothing is written for nothing"
