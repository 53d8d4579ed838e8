"""What generations resemble in meaning, through whole runs with a small encoder of meaning."""

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from conftest import Landing, Row, encoded, picture

from orchestration.cli.main import main
from orchestration.cli.sql.nearest_macro import NoEmbeddings
from orchestration.cli.sql.session import Session
from orchestration.compute import named_encoders
from orchestration.facts import Facts
from orchestration.provenance.meaning import concepts, prompt_scores, related
from orchestration.provenance.meaning.finder import Finder, NotSearchable
from orchestration.reports import case_text, cases
from orchestration.settings import load
from raisonne.warehouse import Warehouse
from tests import clip_checkpoint
from transforms.encoders import OpenClip

LOAD = named_encoders.loader("auto")
MODEL = "raisonne-meaning"
TABLES = (*related.TABLES, *concepts.TABLES, *prompt_scores.TABLES, "generation_meanings")
SETTINGS = """
[search]
related = 3
scales = []
flips = "none"
[concepts]
count = 2
[policies]
semdedup = [1, 0.001]
"""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory, rows_of: Callable[[int, int], list[Row]]) -> Landing:
    """A warehouse that was run with an encoder of meaning: two shards, the second one after a first run."""
    landing = Landing(tmp_path_factory.mktemp("meaning"))
    checkpoint = clip_checkpoint.make(tmp_path_factory.mktemp("clip"), MODEL)
    landing.write_config(SETTINGS)
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
    landing.run_here(tables=False)
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
    before = {name: facts[name].version for name in TABLES}
    warehouse.run_here("generations_only", tables=False)
    assert {name: facts[name].version for name in TABLES} == before


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


def found_by_hand(warehouse: Landing, vector: np.ndarray, k: int, among: str = "true") -> list[tuple[int, float]]:
    """Return the nearest row of each cluster with its cosine, the nearest first."""
    training = Facts(warehouse.home / "facts")["semantic_embeddings"].read()
    clusters = dict(warehouse.query("select sample_id, cluster_id from duplicates.clusters"))
    usable = {sample for (sample,) in warehouse.query(f"select sample_id from catalog.samples where {among}")}  # noqa: S608
    rows = zip((vectors(training) @ vector).tolist(), training["sample_id"].to_pylist(), strict=True)
    best: dict[int, tuple[int, float]] = {}
    for cosine, sample in sorted(rows, key=lambda row: (-row[0], row[1])):
        if sample in usable:
            best.setdefault(clusters.get(sample, sample), (sample, cosine))
    return list(best.values())[:k]


def test_rows_are_found_by_words_by_pictures_and_by_conditions(warehouse: Landing) -> None:
    encoder = LOAD(load(warehouse.config).encoders.semantic or "")
    assert isinstance(encoder, OpenClip)
    words, shown = "picture of a church", warehouse.folder / "generations" / "copy.png"
    with Warehouse.open(warehouse.config) as opened:
        by_words = opened.find(words, 4).to_arrow_table()
        chosen = opened.find(words, where="license = 'CC0' or caption like '%3'").to_arrow_table()
        like = opened.find(shown, 2).fetchall()
        assert opened.find(shown.read_bytes(), 2).fetchall() == like
        assert opened.find(np.asarray(picture(1)), 2).fetchall() == like
        with pytest.raises(duckdb.Error):
            opened.find(words, where="1 = 1) union (select 1").fetchall()
        with pytest.raises(ValueError, match="vectors of this warehouse have 32"):
            opened.find([1.0, 0.0])
        finder = Finder(opened.connection, load(warehouse.config), LOAD, hold=False)
        streamed = finder.nearest(finder.of_words(words), 4)
        assert streamed.exact and streamed.hits["sample_id"].to_pylist() == by_words["sample_id"].to_pylist()
    vector = encoder.embed_captions([words])[0]
    for table, among in ((by_words, "true"), (chosen, "license = 'CC0' or caption like '%3'")):
        expected = found_by_hand(warehouse, vector, len(table), among)
        assert table["sample_id"].to_pylist() == [sample for sample, _ in expected]
        assert table["cosine"].to_pylist() == pytest.approx([cosine for _, cosine in expected], abs=1e-6)
    assert len(by_words) == 4 and 2 <= len(chosen) < 9
    assert like[0][1] > 0.99 and like[0][7] == 2, "the picture itself, which two rows show"


def invoke(warehouse: Landing, *arguments: str) -> Result:
    """Run the command in this process, where open_clip knows the model."""
    return CliRunner().invoke(main, [*arguments, "--config", str(warehouse.config)])


def test_the_command_prints_what_is_found_and_writes_a_page_that_loads_nothing(
    warehouse: Landing, tmp_path: Path
) -> None:
    done = invoke(warehouse, "find", "a church", "--most", "3", "--format", "json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.exit_code, len(lines)) == (0, 3), done.output
    assert [line["cosine"] for line in lines] == sorted((line["cosine"] for line in lines), reverse=True)
    shown, file = str(warehouse.folder / "generations" / "copy.png"), tmp_path / "found.html"
    done = invoke(warehouse, "find", shown, "--where", "license is not null", "--format", "page", "--to", str(file))
    assert (done.exit_code, done.stdout) == (0, f"{file}\n"), done.output
    text = file.read_text()
    assert text.count("data-sample=") == 1 and "license is not null" in text and "CC0" in text
    assert "copy.png" in text and str(warehouse.folder) not in text
    done = invoke(warehouse, "find", "a church", "--where", "url like '%.jpg'", "--format", "csv", "--to", str(file))
    assert done.exit_code == 0 and file.read_text().startswith("sample_id,cosine,"), done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("there/is/none.png",), "there is no file there/is/none.png; to search for these words, pass --words"),
        (("  ",), "there are no words"),
        (("sea", "--where", "nothing = 1"), 'Referenced column "nothing" not found'),
        (("sea", "--where", "1=1); select (1"), "syntax error"),
        (("sea", "--where", "exists (from read_text('/etc/passwd'))"), "file system operations are disabled"),
        (("sea", "--where", "exists (from query('select 1'))"), "is not run"),
        (("sea", "--to", "x.csv"), "pass --format csv, json or page"),
    ],
)
def test_the_command_refuses_what_it_cannot_search_for(
    warehouse: Landing, arguments: tuple[str, ...], said: str
) -> None:
    done = invoke(warehouse, "find", *arguments)
    assert done.exit_code != 0 and said in done.stderr.replace("\n", " "), done.output
    assert "Traceback" not in done.output


def test_find_is_a_macro_of_the_sql_command(warehouse: Landing) -> None:
    done = invoke(warehouse, "sql", "select sample_id, cosine from find('a church', k := 2)", "--format", "json")
    by_macro = [json.loads(line)["sample_id"] for line in done.stdout.splitlines()]
    with Warehouse.open(warehouse.config) as opened:
        assert by_macro == [row[0] for row in opened.find("a church", 2).fetchall()], done.output


def test_without_an_encoder_of_meaning_nothing_is_found_and_the_fix_is_said(warehouse: Landing) -> None:
    bare = load(warehouse.config)
    bare = bare.model_copy(update={"encoders": bare.encoders.model_copy(update={"semantic": None})})
    with Warehouse.open(warehouse.config) as opened:
        with pytest.raises(NotSearchable, match=r"set `encoders\.semantic`"):
            Finder(opened.connection, bare, LOAD, hold=False)
        elsewhere = bare.model_copy(update={"home": warehouse.folder, "encoders": load(warehouse.config).encoders})
        with pytest.raises(NotSearchable, match="`raisonne run` makes them"):
            Finder(opened.connection, elsewhere, LOAD, hold=False)
        session = Session(opened.connection, bare.home, settings=bare)
        session.prepare("select 'find(x)', caption from catalog.samples -- find('a church')")
        for query in ("from find('a church')", "select * from \"find\" ('a church')"):
            with pytest.raises(NoEmbeddings, match=r"find\(\) asks the embeddings of meaning"):
                session.prepare(query)


def test_concepts_count_every_row_once_and_are_named_by_their_captions(warehouse: Landing) -> None:
    rows = warehouse.query(
        "select concept_id, name, words, rows, pictures, licenses, generations from provenance.concepts"
    )
    assert len(rows) == 2, "as the settings say"
    assert sum(row[3] for row in rows) == 10 and sum(row[4] for row in rows) == 9, "one picture is shown by two rows"
    assert sum(row[6] for row in rows) == 4
    assert all(name == ", ".join(words[:3]) and words for _, name, words, *_ in rows)
    assert sum(each["rows"] for row in rows for each in row[5] if each["license"] == "CC0") == 1
    facts = Facts(warehouse.home / "facts")
    centres = vectors(facts["concept_centres"].read().sort_by("concept_id"))
    for table, key in (("semantic_embeddings", "sample_id"), ("generation_meanings", "generation_id")):
        embedded = facts[table].read()
        nearest = dict(zip(embedded[key].to_pylist(), (vectors(embedded) @ centres.T).argmax(axis=1), strict=True))
        placed = facts["concept_members" if key == "sample_id" else "generation_concepts"].read()
        assert placed.num_rows >= 4
        for name, concept in zip(placed[key].to_pylist(), placed["concept_id"].to_pylist(), strict=True):
            assert nearest[name] == concept


def test_a_policy_by_meaning_removes_what_its_list_removes(warehouse: Landing, tmp_path: Path) -> None:
    by = dict(warehouse.query("select policy, removed_rows from duplicates.policies where rule = 'semdedup'"))
    assert list(by) == ["semdedup-0.001", "semdedup-1"]
    assert by["semdedup-1"] == 10 - 2, "all but the picture at the edge of each concept"
    assert 1 <= by["semdedup-0.001"] < 8, "the row with equal pixels at least"
    done = invoke(warehouse, "export", "removal-list", "--policy", "semdedup-0.001", "--to", str(tmp_path / "list"))
    assert done.exit_code == 0, done.output
    listed = duckdb.read_parquet(str(tmp_path / "list" / "removal.parquet")).fetchall()
    assert len(listed) == by["semdedup-0.001"]


def test_prompts_are_scored_with_what_was_drawn_and_its_source_and_words_are_shared(warehouse: Landing) -> None:
    encoder = LOAD(load(warehouse.config).encoders.semantic or "")
    assert isinstance(encoder, OpenClip)
    facts = Facts(warehouse.home / "facts")
    meanings, training = (facts[name].read() for name in ("generation_meanings", "semantic_embeddings"))
    of = dict(zip(meanings["generation_id"].to_pylist(), vectors(meanings), strict=True))
    shown = dict(zip(training["sample_id"].to_pylist(), vectors(training), strict=True))
    columns = "generation_id, prompt, clip_score, sample_id, source_clip_score, shared_words, shared_share, captions"
    rows = warehouse.query(f"select {columns} from provenance.prompt_scores")  # noqa: S608 -- our own names
    assert len(rows) == 3, "the fourth generation has no prompt"
    for name, prompt, score, sample, of_source, words, share, captions in rows:
        [vector] = encoder.embed_captions([prompt])
        assert score == pytest.approx(float(vector @ of[name]), abs=1e-5)
        if sample is None:
            assert (of_source, words, share, captions) == (None,) * 4
        else:
            assert of_source == pytest.approx(float(vector @ shown[sample]), abs=1e-5)
    copied = {name: rest for name, *rest in rows}["gen/copy.png"]
    assert copied[0] == "picture 1, by hand" and copied[4:] == [["1", "picture"], 0.5, 2]


def test_the_atlas_holds_every_picture_and_generation_once(warehouse: Landing, tmp_path: Path) -> None:
    done = invoke(warehouse, "export", "atlas", "--to", str(tmp_path / "atlas"), "--pictures", "2")
    files = [tmp_path / "atlas" / name for name in ("atlas.html", "atlas.parquet")]
    assert (done.exit_code, done.stdout.splitlines()) == (0, list(map(str, files))), done.output
    points = duckdb.read_parquet(str(files[1]))
    assert points.aggregate("kind, count(*) as n").order("kind").fetchall() == [
        *(("copy", 2), ("generation", 2), ("training", 9)),
    ]
    assert points.filter("x < 0 or x > 1 or y < 0 or y > 1 or concept is null").fetchall() == []
    assert points.filter("copied_by > 0").count("*").fetchall() == [(2,)]
    [details] = (tmp_path / "atlas" / "pages" / "data" / "points").iterdir()
    said = json.loads(details.read_text().removeprefix('deliver("points/0",').removesuffix(");\n"))
    assert len(said) == 13 and sum(row["picture"] is not None for row in said) == 2
    assert "9 training pictures of 9 and 4 generations of 4" in files[0].read_text()
    again = invoke(warehouse, "export", "atlas", "--to", str(tmp_path / "atlas"), "--points", "3")
    assert again.exit_code == 0 and duckdb.read_parquet(str(files[1])).count("*").fetchall() == [(6,)]
    (tmp_path / "other" / "pages").mkdir(parents=True)
    refused = invoke(warehouse, "export", "atlas", "--to", str(tmp_path / "other"))
    assert refused.exit_code == 1 and "not of an earlier map" in refused.output
