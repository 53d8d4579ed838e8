"""Whole runs as users start them: growing, read meanwhile, killed, refused, shrinking.

Processes of their own wherever the process, or what it says, is what counts.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from conftest import PATIENCE_S, Kept, Landing, Row, encoded, picture

from orchestration.cli import summary
from orchestration.facts import Facts
from orchestration.warehouse import publishing
from tests import processes

_INTERRUPTED = "raisonne: the run stopped, the last version stands: interrupted; the next run goes on from here"

type Rows = Callable[[int, int], list[Row]]

_FINGERPRINTED = re.compile(r"^fingerprinted (tiny/\S+): ", re.MULTILINE)

# Two tables of different stages that only agree within one version. Ends with a report when its standard input closes.
_READER = """
import sys, threading, duckdb
database, fresh = sys.argv[1], sys.argv[2] == "fresh"
query = (
    "select (select count(*) from catalog.samples), (select sum(rows)::bigint from catalog.shards), "
    "(select sum(expected)::bigint from fingerprints.coverage where fingerprint = 'sha256'), "
    "(select count(*) from fingerprints.images), (select max(version) from warehouse.versions)"
)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
kept = duckdb.connect(database, read_only=True)
reads, seen = 0, set()
while True:
    last = over.is_set()
    if fresh:
        with duckdb.connect(database, read_only=True) as con:
            found = con.execute(query).fetchall()[0]
    else:
        found = kept.cursor().execute(query).fetchall()[0]
    assert len(set(found[:4])) == 1, f"two versions at once: {found}"
    reads += 1
    seen.add(found[4])
    if reads == 1:
        print("reading", flush=True)
    if last:
        break
    over.wait(0.05)
print(reads, *sorted(seen))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, rows_of: Rows) -> Kept[Landing]:
    """Run two landed shards of six pictures each, one a part of another, and a generation."""
    made = Landing(tmp_path_factory.mktemp("runs") / "grown")
    made.folder.mkdir()
    made.write_config()
    made.shard("00000", rows_of(0, 6))
    rows = rows_of(6, 6)
    rows[5] = replace(rows[5], data=encoded(picture(10).crop((20, 15, 236, 177))))
    made.shard("00001", rows)
    (made.folder / "generations" / "copied.jpg").write_bytes(encoded(picture(3)))
    assert fingerprinted(made.raisonne("run").stderr) == ["tiny/00000", "tiny/00001"]
    assert counts(made) == [12, 12, 1]
    return Kept.of(made)


@pytest.fixture
def grown(ran: Kept[Landing]) -> Landing:
    return ran.restored()


def fingerprinted(errors: str) -> list[str]:
    return sorted(_FINGERPRINTED.findall(errors))


def counts(landing: Landing) -> list[int]:
    tables = ("catalog.samples", "fingerprints.images where status = 'ok'", "provenance.generations")
    return [landing.query(f"select count(*) from {table}")[0][0] for table in tables]  # noqa: S608


def version(landing: Landing) -> int:
    return landing.query("select max(version) from warehouse.versions")[0][0]


def test_a_new_shard_is_fingerprinted_alone(grown: Landing, rows_of: Rows, capsys: pytest.CaptureFixture[str]) -> None:
    facts = Facts(grown.home / "facts")
    shards = facts["fingerprinted_shards"].read().sort_by("shard_id").to_pylist()
    ids = grown.query("select sample_id, url from catalog.samples order by all")
    commits = facts["image_fingerprints"].version

    # the new shard sorts before the others and repeats a picture of one of them
    grown.shard("000", [*rows_of(20, 2), Row("https://again.example.org/3.jpg", "again", encoded(picture(3)))])
    grown.run_here()
    assert fingerprinted(capsys.readouterr().err) == ["tiny/000"]
    assert counts(grown) == [15, 15, 1]
    after = facts["fingerprinted_shards"].read().sort_by("shard_id").to_pylist()
    assert [row for row in after if row["shard"] != "000"] == shards
    assert facts["image_fingerprints"].version == commits + 1
    assert set(ids) < set(grown.query("select sample_id, url from catalog.samples"))
    assert grown.query("select duplicate_count from duplicates.counts") == [(2,), (2,)], "and the part of a picture"
    assert grown.query("select distinct duplicate_count from provenance.sources where verdict = 'exact'") == [(2,)]


@pytest.mark.thorough
def test_a_removed_shard_goes(grown: Landing, rows_of: Rows, capsys: pytest.CaptureFixture[str]) -> None:
    ids = grown.query("select sample_id, url from catalog.samples order by all")
    grown.shard("000", [*rows_of(20, 2), Row("https://again.example.org/3.jpg", "again", encoded(picture(3)))])
    grown.run_here()
    assert fingerprinted(capsys.readouterr().err) == ["tiny/000"]
    for ending in ("parquet", "tar"):
        (grown.folder / "laion" / f"000.{ending}").unlink()
    grown.run_here()
    assert fingerprinted(capsys.readouterr().err) == []
    assert counts(grown) == [12, 12, 1]
    assert grown.query("select sample_id, url from catalog.samples order by all") == ids
    assert grown.query("select count(*) from duplicates.counts") == [(1,)]
    left = Facts(grown.home / "facts")["copy_embeddings"].read(["sample_id"])["sample_id"].to_pylist()
    assert sorted(left) == [sample_id for sample_id, _ in ids]


def test_new_generations_are_matched_against_the_training_set_as_it_is(grown: Landing) -> None:
    commits = Facts(grown.home / "facts").versions()
    (grown.folder / "generations" / "later.jpg").write_bytes(encoded(picture(8)))
    (grown.folder / "generations" / "novel.jpg").write_bytes(encoded(picture(99)))
    grown.run_here("generations_only")
    assert grown.query("select generation_id, verdict = 'exact' from provenance.generations order by 1") == [
        ("gen/copied.jpg", True),
        ("gen/later.jpg", True),
        ("gen/novel.jpg", False),
    ]
    assert counts(grown) == [12, 12, 3]
    after = Facts(grown.home / "facts").versions()
    assert {name for name, number in after.items() if number != commits[name]} == {
        "generation_fingerprints",
        "generation_embeddings",
        "neighbour_lists",
        "match_comparisons",
        "match_candidates",
        "match_evidence",
        "generation_backgrounds",
        "memorized_pairs",
        "eidetic_counts",
        "outlier_scores",
    }


@pytest.mark.thorough
def test_readers_never_fail_and_never_see_two_versions(grown: Landing, rows_of: Rows) -> None:
    first = version(grown)
    link = str(grown.home / publishing.LINK)
    readers = {
        kind: subprocess.Popen(
            [sys.executable, "-c", _READER, link, kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for kind in ("kept", "fresh")
    }
    try:
        for reader in readers.values():
            assert reader.stdout is not None and reader.stdout.readline() == "reading\n", reader.communicate()
        for number, name in enumerate(("00002", "00003")):
            grown.shard(name, rows_of(30 + 3 * number, 3))
            grown.run_here()
        told = {kind: reader.communicate(timeout=600) for kind, reader in readers.items()}
    finally:
        for reader in readers.values():
            reader.kill()
    for kind, reader in readers.items():
        assert reader.returncode == 0, f"{kind}: {told[kind][1]}"
    (kept_reads, *kept), (fresh_reads, *fresh) = (
        [int(word) for word in told[kind][0].split()] for kind in ("kept", "fresh")
    )
    assert kept == [first], "an open connection stays on its version"
    assert fresh == [first, first + 1, first + 2]
    assert min(kept_reads, fresh_reads) > 2
    assert counts(grown) == [18, 18, 1]


@pytest.mark.thorough
def test_runs_that_are_ended_leave_the_last_version_and_the_next_one_completes(grown: Landing, rows_of: Rows) -> None:
    before = version(grown)
    grown.shard("00002", rows_of(40, 4))
    (grown.folder / "generations" / "later.jpg").write_bytes(encoded(picture(41)))
    for point in ("fingerprinted tiny/00002", "matching generations", "building tables"):  # each goes on from the last
        if point == "matching generations":
            code, said = processes.signal_at(grown.config, ("run",), point, signal.SIGINT, PATIENCE_S)
            assert (code, said.splitlines()[-1]) == (130, _INTERRUPTED)
        else:
            grown.killed_at(point)
        assert version(grown) == before, point
        assert counts(grown) == [12, 12, 1], point
        with publishing.connect(grown.home) as con:
            assert con.execute("select max(version) from warehouse.versions").fetchall() == [(before,)], point

    done = grown.raisonne("run")
    assert version(grown) > before
    assert counts(grown) == [16, 16, 2]
    assert grown.query("select distinct verdict from provenance.generations") == [("exact",)]
    assert set(fingerprinted(done.stderr)) <= {"tiny/00002"}
    repeated = "select count(*) - count(distinct sample_id) from fingerprints.images"
    assert grown.query(repeated) == [(0,)]


def test_a_run_is_refused_while_another_writes(grown: Landing) -> None:
    grown.write_config("[publishing]\nlock_wait_s = 0\ncoverage_drop = 1\n")
    (grown.folder / "generations" / "later.jpg").write_bytes(encoded(picture(8)))
    before = version(grown)
    with publishing.writer(grown.home, run="the test", wait_s=0):
        refused = grown.raisonne("run", check=False)
    assert refused.returncode == 1
    assert f"run the test (pid {os.getpid()} on " in refused.stderr
    assert "publishing.lock_wait_s" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (version(grown), counts(grown)) == (before, [12, 12, 1])


def test_readers_cannot_write_the_published_version(grown: Landing) -> None:
    path: Path = grown.home / publishing.LINK
    with duckdb.connect(str(path), read_only=True) as con, pytest.raises(duckdb.Error):
        con.execute("create table catalog.mine (x int)")
    assert not path.resolve().stat().st_mode & 0o222


@pytest.mark.thorough
def test_vectors_of_two_encoders_are_never_compared(grown: Landing) -> None:
    grown.config.write_text(grown.config.read_text().replace('"sscd_distilled"', '"sscd"'))
    (grown.folder / "generations" / "later.jpg").write_bytes(encoded(picture(0)))
    derived = ("duplicate_pairs", "cluster_members", "null_scores", "match_candidates")
    recipes = {name: Facts(grown.home / "facts")[name].recipe for name in derived}
    before = version(grown)
    with pytest.raises(AssertionError, match=r"sscd_distilled .*of sscd "):  # both encoders are named
        grown.run_here("generations_only")
    assert (version(grown), counts(grown)) == (before, [12, 12, 1]), "the last version stands"
    grown.run_here()
    assert grown.query("select verdict from provenance.generations") == [("exact",), ("exact",)]
    after = {name: Facts(grown.home / "facts")[name].recipe for name in derived}
    assert not set(recipes.values()) & set(after.values()), "what was derived by the other encoder is derived again"


@pytest.mark.thorough
def test_dumps_that_were_deleted_leave_all_that_needs_no_pixels(grown: Landing) -> None:
    dumps = list((grown.folder / "laion").glob("*.tar"))
    for path in dumps:
        path.rename(path.with_suffix(".away"))
    grown.write_config("[limits]\nnull_sample = 5\n[publishing]\ncoverage_drop = 0.1\n")
    part = encoded(picture(8).crop((30, 20, 220, 170)))
    (grown.folder / "generations" / "part.jpg").write_bytes(part)
    grown.run_here()
    answers = "select verdict, conclusive, not_compared > 0 from provenance.generations order by generation_id"
    assert counts(grown) == [12, 12, 2]
    assert grown.query("select distinct images_gone, status from catalog.shards") == [(True, "ok")]
    copied, partial = grown.query(answers)
    assert copied[:2] == ("exact", True), "equal bytes need no pixels"
    assert partial[0] in ("similar", "no_match_found") and partial[1:] == (False, True)
    with publishing.connect(grown.home) as con:
        said = "\n".join(summary.failures(con))
    assert "2 of 2 image dumps of tiny are gone, such as " in said
    assert re.search(r"candidates? of \d generations? could not be compared by pixels, .*tar is gone", said)
    embedded = Facts(grown.home / "facts")["calibration_pictures"]
    assert embedded.dataset().count_rows(filter="edit = ''") == 3, "those that were embedded before"

    before = version(grown)
    grown.run_here()
    assert version(grown) == before, "nothing is tried in vain"
    for path in dumps:
        path.with_suffix(".away").rename(path)
    grown.run_here()
    assert grown.query(answers) == [("exact", True, False), ("partial_copy", True, False)]
    assert grown.query("select bool_or(images_gone) from catalog.shards") == [(False,)]
    assert embedded.dataset().count_rows(filter="edit = ''") == 5
    with publishing.connect(grown.home) as con:
        assert "gone" not in "\n".join(summary.failures(con))


@pytest.mark.thorough
def test_a_row_never_keeps_the_picture_of_another_delivery(grown: Landing, rows_of: Rows) -> None:
    grown.shard("00000", [*rows_of(20, 2), *rows_of(0, 6)])  # every row moves
    grown.run_here("derive")  # without fingerprinting
    in_shards = (
        "select count(*), count(i.sample_id) from catalog.samples s left join fingerprints.images i using (sample_id)"
    )
    assert grown.query(f"{in_shards} where s.shard = '00000'") == [(8, 0)]
    assert grown.query(f"{in_shards} where s.shard = '00001'") == [(6, 6)]
    grown.run_here()
    assert grown.query(f"{in_shards} where s.shard = '00000'") == [(8, 8)]
    assert counts(grown)[:2] == [14, 14]
