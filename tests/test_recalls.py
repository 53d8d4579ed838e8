"""Recalled rows: who is matched, what they leave, what stays known of them, and what stops a run."""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast
from unittest.mock import patch

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from conftest import Landing, Row, encoded, picture

from orchestration.catalog import opt_outs
from orchestration.catalog.shards import shard_number
from orchestration.cli.main import main
from orchestration.compute import named_encoders
from orchestration.defs.catalog import landing_shards
from orchestration.defs.fingerprints import image_fingerprints
from orchestration.defs.opt_outs import recalled_rows
from orchestration.facts import Facts
from orchestration.facts.training_pictures import TrainingPictures
from orchestration.matches.listed_copies import ListedCopies
from orchestration.matches.listed_pictures import ListedPrinter, listed_files
from orchestration.runtime.resources import WarehouseResource, rules_of
from orchestration.settings import load as load_settings
from orchestration.settings.inputs import Recall
from orchestration.warehouse import publishing, sql_folder
from tests.rights_files import packet
from transforms import pictures
from transforms.catalog.landing import ROW_BITS
from transforms.catalog.opt_outs import OptOutListError
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.views import search_views
from transforms.guard import Guard
from transforms.hashing import hashes

LISTS = """
[[recalls]]
name = "web"
path = "lists/*.csv"
[[recalls]]
name = "hashes"
path = "lists/hashes.*"
"""
PICTURES = """
[[recalls]]
name = "maker"
pictures = "makers"
"""
LICENCE = "https://creativecommons.org/licenses/by-nc/2.0/"
HONOUR = '[policies]\nhonour = ["plus"]\nhonour_copies = true\n'
HOSTILE = [
    '=HYPERLINK("http://evil.org")',
    "'; drop table entries; --",
    "https://images.example.org/nul\x00.jpg",
    "https://images.example.org/" + "x" * 300_000,
    "https://images.example.org/%",
    "org",  # a URL, not a host
]


class Stages:
    """Versions of one warehouse: with opt-out lists, after they were emptied, and with claims and crops as lists."""

    def __init__(self, landing: Landing) -> None:
        self.landing = landing
        self.files: list[Path] = []
        self.claims: list[tuple[Result, Path]] = []
        self.looks: list[tuple[list[int], bool]] = []
        self.honoured: list[dict] = []

    def look_again(self) -> None:
        """Look for copies of the listed pictures twice again, the second time with one more; keep what was done."""
        for name in (None, "one more.png"):
            if name:
                picture(99).save(self.landing.folder / "makers" / name)
            with patch.dict(os.environ, {"RAISONNE_CONFIG": str(self.landing.config)}):
                settings = load_settings()
            facts, encoder = Facts(settings.home / "facts"), named_encoders.load("sscd_distilled", "auto")
            versions, views = facts.versions(), search_views(settings.search.scales, settings.search.flips)
            files = listed_files(opt_outs.find_lists(settings.recalls))
            counts = ListedPrinter(facts, rules_of(settings), encoder, views, WorkPace(4, 1)).update(files)
            load = TrainingPictures(facts, settings.limits.bounds)
            counts |= ListedCopies(facts, encoder.id, views, load, settings).update(files)
            self.looks.append((list(counts.values()), facts.versions() == versions))
        (self.landing.folder / "makers" / "one more.png").unlink()

    def honour(self) -> None:
        """Match what files say with the rows, without a run, and keep who is recalled by it."""
        self.landing.write_config(HONOUR)
        with patch.dict(os.environ, {"RAISONNE_CONFIG": str(self.landing.config)}):
            settings = load_settings()
        facts = Facts(settings.home / "facts")
        opt_outs.update_recalled_rows(facts, settings, [])
        self.honoured = facts["recalled_rows"].read().sort_by("sample_id").to_pylist()

    def claim(self, *options: str) -> Path:
        """Claim the portfolio, and return the folder of the files."""
        folder = self.landing.folder / f"claim{len(self.claims)}"
        arguments = ["claims", str(self.landing.folder / "portfolio"), "--to", str(folder), *options]
        with patch.dict(os.environ):
            done = CliRunner().invoke(main, [*arguments, "--config", str(self.landing.config)])
        self.claims.append((done, folder))
        return folder

    def run(self) -> None:
        self.landing.run_here()
        self.files.append((self.landing.home / "raisonne.duckdb").resolve())

    def query(self, stage: int, sql: str) -> list[tuple]:
        with duckdb.connect(str(self.files[stage]), read_only=True) as con:
            return con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """Run a small warehouse three times: with lists, with empty ones, and with claims and crops as lists."""
    made = Stages(Landing(tmp_path_factory.mktemp("recalls")))
    landing = made.landing
    landing.write_config(LISTS)
    shown = [encoded(picture(seed)) for seed in range(7)]
    said = "<plus:DataMining>DMI-PROHIBITED-AIMLTRAINING</plus:DataMining><photoshop:Credit>A. Maker</photoshop:Credit>"
    by = "<dc:creator><rdf:Seq><rdf:li>A. Maker</rdf:li></rdf:Seq></dc:creator>"
    smaller = encoded(picture(0, 200, 150), xmp=packet(said + by))  # its file says no, and those of its copies nothing
    rows = [
        # the representative, while it is not recalled: the largest picture, the lowest id
        Row("https://Photos.Optout.net:8080/0.jpg", "zero", shown[0], license="pd"),
        Row("https://images.example.org/0.jpg", "zero again", smaller, license="cc0-1.0"),
        Row("https://images.example.org/0-copy.jpg", "zero once more", shown[0]),
        Row("https://images.example.org/1.jpg", "one", shown[1], license=LICENCE),
        Row("https://Images.example.org/1-copy.jpg?Q=1", "one again", shown[1], license="cc-by-nc-2.0"),
        Row("https://images.example.org/2.jpg", "two", shown[2], license="pd"),
        Row("https://images.example.org/3.jpg", "three", shown[3]),
        Row("https://images.example.org/4.jpg", "four", shown[4]),
        Row("https://notoptout.net/5.jpg", "five", shown[5]),
        Row("https://images.example.org/gone.jpg", "no picture", None),
        Row("https://optout.net.example.com/6.jpg", "six", shown[6]),
    ]
    landing.shard("00000", rows)
    for name, seed in (("unchanged", 0), ("withdrawn", 2)):
        (landing.folder / "generations" / f"{name}.jpg").write_bytes(shown[seed])
    lists = landing.folder / "lists"
    lists.mkdir()
    urls = [" http://images.example.ORG/1-copy.jpg?Q=1 ", "images.example.org/gone.jpg", *HOSTILE]
    quoted = "".join('"{}",\n'.format(url.replace('"', '""')) for url in urls)
    (lists / "web.csv").write_text(f"Url,HOST\n{quoted},*.OPTOUT.net\n", newline="")
    sample_id = shard_number(("tiny", "00000")) * 2**ROW_BITS + 7
    pdq = hashes.pdq(pictures.decode(shown[3], 10**6)).hex.upper()
    entries = [{"sample_id": sample_id}, {"pdq": pdq}, {"sha256": "no hash"}]
    (lists / "hashes.jsonl").write_text("\n".join(map(json.dumps, entries)))
    pq.write_table(pa.table({"SHA256": [hashlib.sha256(shown[2]).digest()]}), lists / "hashes.parquet")
    made.run()

    (lists / "web.csv").write_text("url,host\n")
    (lists / "hashes.jsonl").write_text("")
    (lists / "hashes.parquet").unlink()
    made.run()

    portfolio = landing.folder / "portfolio"
    (portfolio / "below").mkdir(parents=True)
    picture(0).resize((180, 135)).save(portfolio / "below" / "=edited.jpg", quality=80)
    (portfolio / "same.jpg").write_bytes(shown[3])
    picture(99).save(portfolio / os.fsdecode(b"caf\xe9.png"))  # a name as an older system wrote it
    (portfolio / "broken.jpg").write_bytes(shown[4][:60])
    (portfolio / "read me.txt").write_text("not a picture")
    shutil.copy(made.claim() / "opt_outs.csv", lists / "claim.csv")
    makers = landing.folder / "makers"
    makers.mkdir()
    for seed in (0, 5):  # crops that no perceptual hash is near to
        picture(seed).crop((70, 40, 230, 160)).resize((200, 150)).save(makers / f"{seed}.png")
    landing.write_config(LISTS + PICTURES)
    made.run()
    made.look_again()

    (lists / "claim.csv").unlink()
    made.honour()
    landing.write_config(LISTS)
    return made


@pytest.fixture(scope="module")
def honoured(stages: Stages) -> Stages:
    """Run it once more, honouring what files say."""
    stages.landing.write_config(HONOUR)
    stages.run()
    stages.landing.write_config(LISTS)
    return stages


_COUNTS = "select duplicate_count, exact_count, near_count, recalled_count from duplicates.counts order by all"
_AUDIT = """
select rows, recalled_rows, unusable_rows, unique_rows, clustered_rows, member_rows, all_counted, all_members
from duplicates.audit"""
_FREQUENCY = "select band, clusters, rows from reports.duplicate_frequency"


def test_rows_are_recalled_by_id_url_host_and_hash_and_nobody_else(stages: Stages) -> None:
    by = "select row_number, list, kind from provenance.recalled join catalog.samples using (sample_id) order by 1"
    assert stages.query(0, by) == [
        (0, "web", "host"),
        (4, "web", "url"),
        (5, "hashes", "sha256"),
        (6, "hashes", "pdq"),
        (7, "hashes", "sample_id"),
        (9, "web", "url"),
    ]
    flagged = "select row_number from catalog.samples where recalled order by 1"
    assert stages.query(0, flagged) == [(row,) for row in (0, 4, 5, 6, 7, 9)]


def test_counts_are_of_rows_that_are_left(stages: Stages) -> None:
    assert stages.query(0, _COUNTS) == [(2, 1, 1, 1)], "three became two, and two became a picture of its own"
    assert stages.query(0, "select count(*) from duplicates.clusters") == [(2,)]
    assert stages.query(0, _FREQUENCY) == [("1", 3, 3), ("2", 1, 2)]
    assert stages.query(0, _AUDIT) == [(11, 6, 0, 3, 2, 2, 2, 2)]
    live = "select count(*) from duplicates.clusters join catalog.samples using (sample_id) where recalled"
    assert stages.query(0, live) == [(0,)]


def test_a_list_that_is_emptied_restores_everything(stages: Stages) -> None:
    assert stages.query(1, _COUNTS) == [(2, 2, 0, 0), (3, 2, 1, 0)]
    assert stages.query(1, _FREQUENCY) == [("1", 5, 5), ("2", 1, 2), ("3-4", 1, 3)]
    assert stages.query(1, _AUDIT) == [(11, 0, 1, 5, 5, 5, 5, 5)]
    assert stages.query(1, "from provenance.recalled") == []
    assert stages.query(1, "select count(*) from catalog.samples where recalled") == [(0,)]


_SOURCE = """
select verdict, duplicate_count, recalled_count, sources.recalled, row_number, cluster_id = sources.sample_id
from provenance.sources join catalog.samples using (sample_id)
where generation_id = 'gen/{}.jpg' and rank = 1"""


def test_a_generation_that_copies_a_recalled_row_is_still_explained(stages: Stages) -> None:
    assert stages.query(0, _SOURCE.format("withdrawn")) == [("exact", 0, 1, True, 5, True)]
    assert stages.query(1, _SOURCE.format("withdrawn")) == [("exact", 1, 0, False, 5, True)]
    assert stages.query(0, _SOURCE.format("unchanged"))[0][:3] == ("exact", 2, 1)
    assert stages.query(1, _SOURCE.format("unchanged"))[0][:3] == ("exact", 3, 0)
    touched = """
        select row_number, live_rows, generation_ids[1], verdict
        from provenance.recalled join catalog.samples using (sample_id)
        where verdict = 'exact' order by 1"""
    assert stages.query(0, touched) == [(0, 2, "gen/unchanged.jpg", "exact"), (5, 0, "gen/withdrawn.jpg", "exact")]
    without = "select live_rows, generations from provenance.recalled join catalog.samples using (sample_id)"
    assert stages.query(0, f"{without} where row_number = 9") == [(0, 0)], "a row without a picture is listed too"


_COPIED = """
select generation_id, verdict, reserved_by, reserved_rows, silent_rows, recalled_rows, creator, credit, url
from provenance.reserved"""


def test_a_generation_copies_what_one_file_of_three_reserves(stages: Stages) -> None:
    theirs = (["plus"], 1, 2, 0, "A. Maker", "A. Maker", "https://images.example.org/0.jpg")
    assert stages.query(1, _COPIED) == [("gen/unchanged.jpg", "exact", *theirs)]
    marked = "select generation_id, reserved, reserved_rows, creator from provenance.sources where rank = 1 order by 1"
    assert stages.query(1, marked) == [
        ("gen/unchanged.jpg", True, 1, "A. Maker"),
        ("gen/withdrawn.jpg", False, 0, None),
    ]
    assert stages.query(1, "select rows, reserved_rows, silent_rows, reserved_by from duplicates.reserved") == [
        (3, 1, 2, ["plus"])
    ]
    assert stages.query(1, "select rights_read from catalog.shards") == [(True,)]


def test_what_a_file_says_withdraws_its_row_and_its_copies_where_it_is_honoured(stages: Stages) -> None:
    value = "plus:DataMining is DMI-PROHIBITED-AIMLTRAINING"
    assert [row["sample_id"] % 2**ROW_BITS for row in stages.honoured] == [0, 1, 2]
    first, own, again = stages.honoured
    copy = {"list": "policies.honour", "kind": "plus", "value": f"a copy of row {own['sample_id']}: {value}"}
    assert first | copy == first and again | copy == again
    assert own | copy | {"value": value} == own


@pytest.mark.thorough
def test_counts_leave_out_what_is_honoured_and_the_model_was_trained_on_it_all_the_same(honoured: Stages) -> None:
    assert honoured.query(3, "select row_number from catalog.samples where recalled order by 1") == [(0,), (1,), (2,)]
    assert honoured.query(3, _COUNTS) == [(2, 2, 0, 0)], "the other picture that is held twice"
    assert honoured.query(3, _AUDIT)[0][:2] == (11, 3)
    assert honoured.query(3, _COPIED)[0][3:6] == (1, 2, 3), "the model was trained on them all the same"
    assert honoured.query(3, _SOURCE.format("unchanged"))[0][:3] == ("exact", 0, 3)


def test_what_is_published_keeps_short_names_of_licences_and_what_was_stated(stages: Stages) -> None:
    pair = "select distinct license from catalog.samples where row_number in (3, 4)"
    assert stages.query(1, pair) == [("cc-by-nc-2.0",)]
    stated = "select license_stated from catalog.samples where row_number in (3, 4) order by row_number"
    assert stages.query(1, stated) == [(LICENCE,), ("cc-by-nc-2.0",)]
    different = "select row_number, distinct_licenses from duplicates.counts join catalog.samples"
    counts = stages.query(1, f"{different} on sample_id = cluster_id where row_number in (3, 4)")
    assert counts == [(3, 1)]


def test_a_guard_blocks_a_copy_of_a_recalled_picture_and_names_no_licence_for_it(
    stages: Stages, tmp_path: Path
) -> None:
    bundle, landing = tmp_path / "bundle", stages.landing
    landing.raisonne("export", "guard", "--hashes-only", "--version", "1", "--to", str(bundle))
    guard = Guard.load(bundle)
    withdrawn, unchanged = (guard.check(landing.folder / f"generations/{n}.jpg") for n in ("withdrawn", "unchanged"))
    assert (withdrawn.decision, withdrawn.verdict, unchanged.verdict) == ("block", "exact", "exact")
    [gone], [left] = withdrawn.sources, unchanged.sources
    assert (gone.recalled, gone.duplicate_count, gone.recalled_count, gone.licenses) == (True, 0, 1, ())
    assert (left.recalled, left.duplicate_count, left.recalled_count, left.licenses) == (False, 2, 1, ("cc0-1.0",))
    assert left.url == "https://images.example.org/0-copy.jpg", "that of a row that is left"


def test_a_claim_says_which_pictures_were_trained_on_and_in_which_rows(stages: Stages) -> None:
    done, folder = stages.claims[0]
    assert done.exit_code == 10, done.output
    assert "1 file not searched for, being no picture" in done.stderr
    with (folder / "claims.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["picture"]: row for row in csv.DictReader(file)}
    answers = {name: (row["trained_on"], row["verdict"], int(row["rows"])) for name, row in rows.items()}
    assert answers == {
        "below/=edited.jpg": ("yes", "copy", 3),
        "same.jpg": ("yes", "exact", 1),
        r"caf\udce9.png": ("not found", "no_match_found", 0),
        "broken.jpg": ("not searched", "not_searched", 0),
    }
    edited = rows["below/=edited.jpg"]
    assert edited["hosts"] == "images.example.org; photos.optout.net" and edited["licences"] == "cc0-1.0; pd; unknown"
    assert edited["generation_ids"] == "gen/unchanged.jpg" and float(edited["copy_score"]) > 0.5
    with (folder / "rows.csv").open(encoding="utf-8", newline="") as file:
        shown = sorted((row["picture"], row["row_number"]) for row in csv.DictReader(file))
    assert shown == [
        ("below/=edited.jpg", "0"),
        ("below/=edited.jpg", "1"),
        ("below/=edited.jpg", "2"),
        ("same.jpg", "6"),
    ]
    with (folder / "opt_outs.csv").open(encoding="utf-8", newline="") as file:
        listed = [row for row in csv.DictReader(file) if row["picture"] == "same.jpg"]
    own = hashes.pdq(pictures.decode((stages.landing.folder / "portfolio" / "same.jpg").read_bytes(), 10**6)).hex
    assert {row["within"] for row in listed if row["pdq"]} == {"31"}, "a re-upload is caught that differs a little"
    assert own in {row["pdq"] for row in listed if row["sample_id"]}, "the hash of the row"
    assert len({row["pdq"] for row in listed if not row["sample_id"] and row["pdq"]}) == 8, "turned and mirrored"
    page = (folder / "claims.html").read_text(encoding="utf-8")
    assert "2 of 4 pictures</strong> are in the training set" in page and "Not searched: 1 training row of 11" in page
    assert page.count("data:image/jpeg") == 3, "the claimed pictures that can be read, and no training picture"


def test_a_claim_becomes_an_opt_out_and_the_next_version_leaves_it_out_of_every_count(stages: Stages) -> None:
    by = "select row_number from provenance.recalled join catalog.samples using (sample_id) order by 1"
    assert stages.query(2, by) == [(row,) for row in (0, 1, 2, 6, 8)], "the last one by a crop of another list"
    assert stages.query(1, "select count(*) from duplicates.clusters") == [(5,)]
    assert stages.query(2, _COUNTS) == [(2, 2, 0, 0)]
    assert stages.query(2, "select sum(rows) from reports.duplicate_frequency") == [(5,)]


def test_a_crop_of_a_listed_picture_withdraws_rows_with_evidence_by_pixels(stages: Stages) -> None:
    hits = """
        select value, row_number, method, distance is null, inliers >= 12, overlap_listed > 0.9, overlap_training < 0.9,
            laid_over = hits.sample_id
        from provenance.opt_out_hits as hits join catalog.samples using (sample_id) where list = 'maker' order by 1, 2
    """
    [zero, again, once_more, five] = stages.query(2, hits)
    assert five == ("5.png", 8, five[2], five[3], True, True, True, True)
    assert [each[1] for each in (zero, again, once_more)] == [0, 1, 2]
    assert {each[2] for each in (zero, again, once_more, five)} <= {"copy", "partial_copy", "altered_copy", "duplicate"}
    assert "duplicate" in {zero[2], again[2]} and zero[2] == once_more[2], "one of the tied rows was laid over"
    by = "select list, kind, value from provenance.recalled join catalog.samples using (sample_id) where row_number = 8"
    assert stages.query(2, by) == [("maker", "picture", "5.png")]


def test_listed_pictures_are_compared_once(stages: Stages) -> None:
    """Counts: fingerprinted now, training pictures that show listed ones, compared now, not compared, waiting."""
    (again, unchanged), (one_more, changed) = stages.looks
    assert unchanged and again == [0, 2, 0, 0, 0]
    assert not changed and one_more[:2] == [1, 2] and one_more[3:] == [0, 0]


def test_a_bundle_answers_a_claim_without_the_warehouse(stages: Stages, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    stages.landing.write_config(LISTS + PICTURES)  # the settings of that version
    stages.landing.raisonne("export", "guard", "--version", "3", "--to", str(bundle))
    stages.landing.write_config(LISTS)
    folder = stages.claim("--bundle", str(bundle))
    done, _ = stages.claims.pop()
    assert done.exit_code == 10, done.output
    with (folder / "claims.csv").open(encoding="utf-8", newline="") as file:
        answers = {row["picture"]: (row["trained_on"], row["verdict"]) for row in csv.DictReader(file)}
    assert answers == {
        "below/=edited.jpg": ("not confirmed", "similar"),
        "same.jpg": ("yes", "exact"),
        r"caf\udce9.png": ("not found", "no_match_found"),
        "broken.jpg": ("not searched", "not_searched"),
    }
    with (folder / "opt_outs.csv").open(encoding="utf-8", newline="") as file:
        listed = [row for row in csv.DictReader(file) if row["pdq"]]
    assert {(row["picture"], row["within"]) for row in listed} >= {("same.jpg", "31"), ("below/=edited.jpg", "31")}
    assert len(listed) == 3 * 8
    assert "may be a copy, whole or in part" in (folder / "claims.html").read_text(encoding="utf-8")


def test_a_training_summary_counts_what_lists_withdraw(stages: Stages, tmp_path: Path) -> None:
    with patch.dict(os.environ):
        arguments = ["export", "training-summary", "--version", "3", "--to", str(tmp_path / "summary")]
        done = CliRunner().invoke(main, [*arguments, "--config", str(stages.landing.config)])
    assert done.exit_code == 0, done.output
    assert {Path(line).name for line in done.stdout.splitlines()} >= {
        "training_summary.html",
        "domains.csv",
        "SHA256SUMS",
    }
    assert "to be completed by" in done.stderr and "disclosure.provider" in done.stderr
    form = json.loads((tmp_path / "summary" / "training_summary.json").read_text(encoding="utf-8"))
    answers = {answer["key"]: answer for section in form["sections"] for answer in section["answers"]}
    assert answers["rights.lists"]["text"] == "5 of 11 training rows are withdrawn by them."
    assert sum(row["rows"] for row in answers["rights.lists"]["value"]) == 5
    with (tmp_path / "summary" / "domains.csv").open(encoding="utf-8", newline="") as file:
        listed = {row["domain"]: (row["rows"], row["withdrawn_rows"]) for row in csv.DictReader(file)}
    assert listed["optout.net"] == ("1", "1") and listed["example.com"] == ("1", "0")
    assert sum(int(rows) for rows, _ in listed.values()) == 11


def test_a_claim_replaces_only_its_own_files(stages: Stages, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with patch.dict(os.environ):
        config = ["--config", str(stages.landing.config)]
        missing = CliRunner().invoke(main, ["claims", str(tmp_path / "missing"), *config])
        nothing = CliRunner().invoke(main, ["claims", str(tmp_path / "empty"), *config])
        picture(1).save(tmp_path / "empty" / "1.png")
        _, taken = stages.claims[0]
        refused = CliRunner().invoke(main, ["claims", str(tmp_path / "empty"), "--to", str(taken), *config])
    assert missing.exit_code == 2 and "missing is no folder" in missing.output
    assert nothing.exit_code == 2 and "holds no picture" in nothing.output
    assert refused.exit_code == 1 and "choose another folder with --to" in refused.output
    assert (taken / "claims.html").exists()


def test_a_representative_is_a_row_that_is_left(stages: Stages) -> None:
    first = """
        select row_number, sample_id = representative_id
        from duplicates.clusters join catalog.samples using (sample_id) where rank = 1 order by 1"""
    assert stages.query(0, first) == [(2, True)], "the largest picture that is left"
    assert stages.query(1, first) == [(0, True), (3, True)]


def test_a_missing_list_stops_the_run_and_the_last_version_stands(stages: Stages) -> None:
    (stages.landing.folder / "lists" / "web.csv").rename(stages.landing.folder / "lists" / "web.csv.gone")
    done = stages.landing.raisonne("run", check=False)
    assert done.returncode == 1
    assert "the opt-out list web has no file at " in done.stderr
    assert "the last version stands" in done.stderr
    assert "Traceback" not in done.stderr
    assert (stages.landing.home / publishing.LINK).resolve() == stages.files[-1]


@pytest.fixture
def instance(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("RAISONNE_CONFIG", str(landing.config))
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def recall(instance: dg.DagsterInstance, *, land: bool = False) -> dg.ExecuteInProcessResult:
    """Materialize who is recalled, and nothing else."""
    return dg.materialize(
        [landing_shards, image_fingerprints, recalled_rows],
        instance=instance,
        resources={"warehouse": WarehouseResource()},
        selection=[landing_shards, recalled_rows] if land else [recalled_rows],
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def listed(landing: Landing, kind: str, *values: str) -> None:
    (landing.folder / "list.jsonl").write_text("\n".join(json.dumps({kind: value}) for value in values))


URLS = [
    "http://example.org/A.jpg?x=1#top",
    "https://cdn.example.org:443/b.jpg",
    "https://example.org./c.jpg",
    "https://user@example.org/d.jpg",
    "https://notexample.org/e.jpg",
    "https://example.org.evil.net/f.jpg",
    "https://evil.net/example.org/g.jpg",
    None,
    "ftp://example.org/h.jpg",
    "https://bücher.example/ü.jpg\n",
    "https://a.org/x",
    "http://www.a.org/y%2Fz?a=1&b=2",
]


_LISTED = '[[recalls]]\nname = "list"\npath = "list.jsonl"\n'


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Landing:
    """Land these URLs, of none of which a list knows."""
    made = Landing(tmp_path_factory.mktemp("urls"))
    made.write_config(_LISTED)
    made.shard("00000", [Row(cast("str", url), "a row", None) for url in URLS])  # rows without a URL land too
    listed(made, "url")
    with (
        patch.dict(os.environ, {"RAISONNE_CONFIG": str(made.config)}),
        dg.DagsterInstance.ephemeral() as instance,
    ):
        assert recall(instance, land=True).success
    return made


@pytest.fixture
def matched(landing: Landing, landed: Landing) -> Callable[..., set[int]]:
    """Return what matches: kind and values to row numbers."""
    landing.write_config(_LISTED)
    shutil.copytree(landed.home, landing.home)
    listed(landing, "url")
    facts, settings = Facts(landing.home / "facts"), load_settings(landing.config)

    def match(kind: str, *values: str) -> set[int]:
        listed(landing, kind, *values)
        opt_outs.update_recalled_rows(facts, settings, opt_outs.find_lists(settings.recalls))
        ids = facts["recalled_rows"].read(["sample_id"])["sample_id"].to_pylist()
        return {sample_id % 2**26 for sample_id in ids}

    return match


def test_urls_and_hosts_match_on_their_boundaries(matched: Callable[..., set[int]]) -> None:
    found = matched("url", "https://EXAMPLE.org/A.jpg?x=1#top", "\tbücher.example/ü.jpg ", "FTP://example.org/h.jpg")
    assert found == {0, 8, 9}, "http is https, a host has no case"
    other = ("http://example.org/a.jpg?x=1#top", "http://example.org/A.jpg", "HTTP://www.example.org:80//A.jpg?x=1")
    nothing = ("", " ", "https://", "%", "http://example.org")
    assert matched("url", *other, *nothing) == set(), "a path has, nor is it changed"
    assert matched("host", ".example.org") == {0, 1, 2, 3, 8}
    assert matched("host", "cdn.example.org", "net") == {1, 5, 6}
    assert matched("host", "ample.org", "", ".", "*", "le.org", "' or true --", "%", "example.org.") == {0, 1, 2, 3, 8}
    assert matched("sample_id", "-1", "1e3", "18446744073709551616", "9" * 400) == set()


@pytest.mark.parametrize(
    "host",
    [
        "https://user@example.org:8080/",
        *(pytest.param(each, marks=pytest.mark.thorough) for each in ("example.org", "*.Example.org", "example.org.")),
    ],
)
def test_a_host_is_one_however_it_is_written(matched: Callable[..., set[int]], host: str) -> None:
    assert matched("host", host) == {0, 1, 2, 3, 8}


def test_an_entry_matches_every_spelling_that_duplicates_urls_has_as_one(matched: Callable[..., set[int]]) -> None:
    of_ten = ("https://www.a.org/x#top", "http://a.org:80/%78?")
    of_one, of_eleven = "http://cdn.example.org/b.jpg/?utm_source=mail", "https://a.org/y%2fz?b=2&a=1&fbclid=3"
    assert matched("url", of_ten[0], of_one) == {1, 10}
    assert matched("url", of_ten[1], of_eleven) == {10, 11}
    queries = ("https://a.org/y/z?a=1&b=2", "https://a.org/y%2Fz?a=1", "https://a.org/y%2FZ?a=1&b=2")
    paths = ("https://a.org/X", "https://b.a.org/x", "https://a.org:8080/x", "https://a.org/x?y=1")
    nothing = ("ftp://example.org./h.jpg", "\x00", "#", "www.", "//", "?")
    assert matched("url", *queries, *paths, *nothing) == set()


def test_a_file_that_is_renamed_is_read_by_its_new_ending(
    landing: Landing, instance: dg.DagsterInstance, matched: Callable[..., set[int]]
) -> None:
    landing.write_config('[[recalls]]\nname = "list"\npath = "named.*"\n')
    (landing.folder / "named.txt").write_text("host\nevil.net\n")
    table = Facts(landing.home / "facts")["recalled_rows"]
    assert recall(instance).success
    assert table.read().num_rows == 0, "two URLs, of no row"
    (landing.folder / "named.txt").rename(landing.folder / "named.CSV")
    assert recall(instance).success
    assert {sample_id % 2**26 for sample_id in table.read()["sample_id"].to_pylist()} == {5, 6}


def test_lists_are_matched_again_where_a_rows_url_is_another(
    landing: Landing, instance: dg.DagsterInstance, matched: Callable[..., set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert matched("url", "https://a.org/x") == {10}
    sql = landing.folder / "sql"
    shutil.copytree(sql_folder.SQL, sql)
    model = sql / "catalog" / "samples.sql"
    model.write_text(model.read_text().replace("    said.url,\n", "    said.url || '?moved' as url,\n"))
    monkeypatch.setattr(sql_folder, "SQL", sql)
    assert recall(instance).success
    assert Facts(landing.home / "facts")["recalled_rows"].read().num_rows == 0


def test_unchanged_lists_are_not_matched_again_and_no_list_is_an_empty_table(
    landing: Landing, instance: dg.DagsterInstance, matched: Callable[..., set[int]]
) -> None:
    table = Facts(landing.home / "facts")["recalled_rows"]
    assert matched("host", "evil.net") == {5, 6}
    before = table.version
    assert recall(instance).success
    assert table.version == before
    landing.write_config()
    assert recall(instance).success
    assert table.version > before
    assert table.read().num_rows == 0
    before = table.version
    assert recall(instance).success
    assert table.version == before


@pytest.mark.thorough
def test_a_million_entries_are_counted_by_kind_and_by_what_they_match(
    landing: Landing, instance: dg.DagsterInstance, matched: Callable[..., set[int]]
) -> None:
    numbers = pa.array(range(500_000)).cast(pa.string())
    hosts = pa.chunked_array([["example.org"], pa.compute.binary_join_element_wise("h", numbers[1:], "")])
    table = pa.table({"url": pa.compute.binary_join_element_wise("https://x.net/", numbers, ""), "host": hosts})
    landing.write_config('[[recalls]]\nname = "list"\npath = "list.parquet"\n')
    pq.write_table(table, landing.folder / "list.parquet")
    done = recall(instance)
    assert done.success
    [told] = done.asset_materializations_for_node("recalled_rows")
    shown = {name: value.value for name, value in told.metadata.items()}
    assert shown["entries by url"] == shown["entries by host"] == 500_000
    assert shown["entries that match nothing"] == 999_999
    assert shown["dagster/row_count"] == 5


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("list.csv", "link\nhttp://a\n", "no column is called"),
        ("list.csv", 'url\n"http://a\n', "is not valid CSV"),
        ("list.parquet", "no parquet", "cannot be read"),
        ("list.xlsx", "", "ends in .csv"),
    ],
)
def test_a_list_that_cannot_be_read_stops_the_run(
    landing: Landing, instance: dg.DagsterInstance, name: str, content: str, says: str
) -> None:
    landing.write_config('[[recalls]]\nname = "list"\npath = "list.*"\n')
    landing.shard("00000", [Row("https://a.org/1", "a", encoded(picture(1)))])
    (landing.folder / name).write_text(content)
    done = recall(instance, land=True)
    assert not done.success
    [failure] = [event.step_failure_data for event in done.all_events if event.is_step_failure]
    assert failure.user_failure_data and failure.user_failure_data.description
    assert says in failure.user_failure_data.description
    assert str(landing.folder / name) in failure.user_failure_data.description


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_list_that_may_not_be_read_stops_the_run(landing: Landing, instance: dg.DagsterInstance) -> None:
    landing.write_config('[[recalls]]\nname = "list"\npath = "list.txt"\n')
    landing.shard("00000", [Row("https://a.org/1", "a", encoded(picture(1)))])
    (landing.folder / "list.txt").write_text("http://a\n")
    (landing.folder / "list.txt").chmod(0)
    assert not recall(instance, land=True).success


@pytest.mark.parametrize("kind", ["path", "pictures"])
def test_a_listed_link_to_nothing_is_no_empty_list(tmp_path: Path, kind: str) -> None:
    picture(1, 32, 24).save(tmp_path / "there.png")
    (tmp_path / "unmounted.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(OptOutListError, match=r"nowhere\.png|unmounted\.png cannot be read: No such file"):
        opt_outs.find_lists([Recall.model_validate({"name": "maker", kind: f"{tmp_path}/*.png"})])
