"""Decisions in the next version: counts, clusters, verdicts and removal lists follow where it was decided."""

import json
import re
import resource
from pathlib import Path

import duckdb
import openpyxl
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Kept

import raisonne
from orchestration import automation
from orchestration.cli import summary
from orchestration.definitions import defs
from orchestration.facts.decision_log import DecisionLog
from orchestration.facts.filters import is_in
from orchestration.reports import case_text, cases, pages, removal_lists
from orchestration.reports.case_pages import CasePages
from orchestration.reports.page_data import publication
from orchestration.reports.pictures import PictureReader
from orchestration.reports.spreadsheets.removal import RemovalOptions
from orchestration.review import exchange, queues
from orchestration.settings.sections import Review
from orchestration.settings.thresholds import Thresholds
from orchestration.warehouse import functions, macros
from tests.decided import Decided
from tests.planted import contents, read_by
from transforms.pictures import Bounds, Pixels
from transforms.reports import case_page
from transforms.review.decisions import DecisionError, checked

_SHOWN = [
    10,
    11,
    12,
    19,
    20,
    20,
    21,
    30,
    31,
    40,
    50,
]  # what the rows of shard a show; 10 to 19, 20 and 21, 30 and 31 are near


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Kept[Decided]:
    """Return a published warehouse."""
    made = Decided(tmp_path_factory.mktemp("review") / "decided")
    made.folder.mkdir()
    made.land(a=[f"row {number}" for number in range(len(_SHOWN))])
    made.show("a", _SHOWN)
    made.generate(("g/exact.png", 10, 0, "exact"), ("g/near.png", 61, 7, "similar"), ("g/other.png", 62, 9, "similar"))
    made.block(("check-1", 71), ("check-2", 72))
    made.derive()
    made.publish_once()
    return Kept.of(made)


@pytest.fixture
def warehouse(published: Kept[Decided]) -> Decided:
    return published.restored()


def again(warehouse: Decided, *tables: str, against_anew: bool = False) -> None:
    """Derive and publish, all tables or those that are named with what they read, as if there were no others."""
    warehouse.derive()
    if against_anew:
        warehouse.publish()
    else:
        warehouse.publish_once(models=read_by(tables, warehouse.models) if tables else None)


def held(warehouse: Decided) -> dict[str, list[tuple]]:
    """Return what is published but for decisions."""
    tables = contents(warehouse.home / "raisonne.duckdb", warehouse.models)
    return {name: rows for name, rows in tables.items() if name not in ("catalog.decisions", "reports.decisions")}


def gone(sample_id: int) -> Pixels:
    raise OSError(f"row {sample_id} has no picture")


def clusters(warehouse: Decided) -> list[list[int]]:
    rows = warehouse.query(
        "select list((sample_id & 67108863)::int order by sample_id) from duplicates.clusters "
        "group by cluster_id order by 1"
    )
    return [members for (members,) in rows]


def states(warehouse: Decided) -> dict[str, tuple[str, str | None]]:
    rows = warehouse.query("select decision_id, state, waits_for from reports.decisions")
    return {name: (state, why) for name, state, why in rows}


def removed(warehouse: Decided, folder: Path, policy: str = "keep-1") -> dict[int, tuple[str, str | None]]:
    with duckdb.connect(str(warehouse.home / "raisonne.duckdb"), read_only=True) as con:
        removal_lists.write(con, folder, policy, "1GB")
    rows = pq.read_table(folder / "removal.parquet").to_pylist()
    return {row["sample_id"] & 67108863: (row["reason"], row["decided_by"]) for row in rows}


_FOLLOWED = ("duplicates.clusters", "reports.decisions")


@pytest.mark.parametrize(
    "against_anew",
    [False, pytest.param(True, marks=pytest.mark.thorough, id="held against a version that is made anew")],
)
def test_what_was_decided_counts_and_undone_all_is_as_before(
    warehouse: Decided, tmp_path: Path, against_anew: bool
) -> None:
    members = warehouse.facts["cluster_members"]
    made_by, before = members.recipe, held(warehouse)
    assert clusters(warehouse) == [[0, 1, 2, 3], [4, 5, 6], [7, 8]]
    given = {
        "cut": warehouse.decide("pair", "different", 10, 19, reason="another print"),
        "tie": warehouse.decide("pair", "same", 40, 30, decided_by="ben"),
        "keep": warehouse.decide("cluster", "keep", 20, 21),
        "gone": warehouse.decide("cluster", "remove_all", 20),
        "fine": warehouse.decide("cluster", "fine", 31, decided_by="ben"),
        "alone": warehouse.decide("cluster", "remove_all", 50),
        "no copy": warehouse.decide("case", "not_a_copy", 10, 12, reason="a common pattern"),
        "copy": warehouse.decide("case", "copy", 61, 30),
        "allow": warehouse.decide("guard_block", "allow", 71),
        "unsure": warehouse.decide("case", "unsure", 62, 40),
        "nobody": warehouse.decide("pair", "different", 10, 99),
        "nothing": warehouse.decide("case", "copy", 62, 20),
    }
    again(warehouse, against_anew=against_anew)
    after = held(warehouse)
    assert clusters(warehouse) == [[0, 1, 2], [4, 5, 6], [7, 8, 9]]
    told = {name: states(warehouse)[each.decision_id] for name, each in given.items()}
    assert told.pop("unsure") == ("no effect", None)
    assert told.pop("nobody") == ("waiting", f"no training row shows the picture {warehouse.pixels(99)} now")
    assert told.pop("nothing") == ("waiting", "the two pictures are not compared now")
    assert set(told.values()) == {("applied", None)}, told

    [count] = warehouse.query(
        "select duplicate_count, automatic_count, decided_by from duplicates.counts where cluster_id & 67108863 = 0"
    )
    assert count == (3, 4, "ana")
    rows = warehouse.query(
        "select (sample_id & 67108863)::int, (representative_id & 67108863)::int, method, decided_by "
        "from duplicates.clusters where sample_id & 67108863 > 3 order by 1"
    )
    assert rows == [
        (4, 6, "pdq", "ana"), (5, 6, "pdq", "ana"), (6, 6, "representative", "ana"),
        (7, 7, "representative", "ben"), (8, 7, "pdq", "ben"), (9, 7, "decided", "ben"),
    ]  # fmt: skip
    assert warehouse.query(
        "select method, decision, decided_by from duplicates.pairs where decision is not null order by 1"
    ) == [
        ("decided", "same", "ben"),
        ("pdq", "different", "ana"),
    ]

    assert warehouse.query(
        "select generation_id, verdict, measured_verdict, decided_by from provenance.generations order by 1"
    ) == [
        ("g/exact.png", "no_match_found", "exact", "ana"),
        ("g/near.png", "copy", "similar", "ana"),
        ("g/other.png", "similar", "similar", None),
    ]
    assert warehouse.query("select generation_id, measured_verdict, decided_by, reason from provenance.overruled") == [
        ("g/exact.png", "exact", "ana", "a common pattern")
    ]
    assert warehouse.query("select check_id, decision_made, decided_by from provenance.guard_log order by 1") == [
        ("check-1", "allow", "ana"),
        ("check-2", None, None),
    ]
    counts = {measure: pair for measure, *pair in warehouse.query("from reports.decided_counts")}
    assert counts["pictures that recur"] == [3, 3]
    assert counts["training rows that show one of them"] == [9, 9]
    assert counts["rows to remove where one of each picture stays"] == [2 + 3 + 1, 6]
    assert counts["generations with a confirmed copy"] == [1, 1]
    assert removed(warehouse, tmp_path / "list") == {
        1: ("duplicate", "ana"), 2: ("duplicate", "ana"),
        4: ("decided", "ana"), 5: ("decided", "ana"), 6: ("decided", "ana"), 10: ("decided", "ana"),
    }  # fmt: skip
    for policy in ("drop-from-2", "distance-0"):
        if (policy,) in warehouse.query("select policy from duplicates.policies"):
            removed(warehouse, tmp_path / policy, policy)  # refuses where the counts disagree

    with duckdb.connect(str(warehouse.home / "raisonne.duckdb"), read_only=True) as con:
        assert len(cases.decided_counts(con)) == 6
        told = "\n".join(case_text.lines(cases.read(con, "g/exact.png")))
        assert "overruled: exact of row" in told and "which ana decided on" in told and "a common pattern" in told
        assert "decided by               ana" in "\n".join(case_text.lines(cases.read(con, "g/near.png")))
        about = CasePages(publication(con), Thresholds(), Bounds(), PictureReader(gone))
        page = case_page.render(about.page(cases.read(con, "g/exact.png")))
        assert "that it is not a copy: <bdi>a common pattern</bdi>" in page
        assert cases.reviewed_precision(con, "pair", "cluster", "case", "guard_block") == ()

    changed = "select changes, (cluster_id & 67108863)::int, rows_before, rows_after, decided_by from reports.changes "
    changed += "where kind = 'cluster' order by 2"
    assert warehouse.query(changed) == [
        (["shrunk", "decided"], 0, 4, 3, "ana"),
        (["representative", "decided"], 6, 3, 3, "ana"),
        (["grown", "decided"], 7, 2, 3, "ben"),
    ]
    of_cases = "select generation_id, changes, verdict_before, verdict_after from reports.changes where kind = 'case'"
    assert warehouse.query(f"{of_cases} order by 1") == [
        ("g/exact.png", ["verdict", "source", "decided"], "exact", "no_match_found"),
        ("g/near.png", ["verdict", "grown", "decided"], "similar", "copy"),
        ("g/other.png", ["grown"], "similar", "similar"),
    ]

    # what nobody decided about is as it was
    for table in ("fingerprints.images", "catalog.samples", "matches.candidates"):
        assert after[table] == before[table]
    versions = warehouse.facts.versions()
    warehouse.derive()
    assert warehouse.facts.versions() == versions, "running twice changes nothing"

    warehouse.undo(*given.values())
    again(warehouse)
    assert held(warehouse) == before
    assert warehouse.query(changed) == [
        (["grown", "decided"], 0, 3, 4, None),
        (["representative", "decided"], 4, 3, 3, None),
        (["shrunk", "decided"], 7, 3, 2, None),
    ]
    assert {state for state, _ in states(warehouse).values()} == {"undone", "undo"}

    # without decisions about clusters they are not made again, and their recipe is that of a release without decisions
    assert members.recipe == made_by
    version = members.version
    warehouse.decide("case", "not_a_copy", 10, 12)
    warehouse.decide("cluster", "remove_all", 20)
    warehouse.derive()
    assert (members.version, members.recipe) == (version, made_by)


def test_a_run_of_generations_alone_follows_what_is_about_them_and_says_what_waits(warehouse: Decided) -> None:
    keys = automation.generations_only.selection.resolve(defs.resolve_asset_graph())
    selected = {".".join(key.path) for key in keys}
    before = clusters(warehouse)
    given = {
        "no copy": warehouse.decide("case", "not_a_copy", 10, 12),
        "allow": warehouse.decide("guard_block", "allow", 71),
        "cut": warehouse.decide("pair", "different", 10, 19),
        "keep": warehouse.decide("cluster", "keep", 20, 21),
        "gone": warehouse.decide("cluster", "remove_all", 20),
    }
    DecisionLog(warehouse.home).take_up()
    warehouse.publish_once(selected)
    assert clusters(warehouse) == before
    assert warehouse.query("select verdict from provenance.generations where generation_id = 'g/exact.png'") == [
        ("no_match_found",)
    ]
    assert warehouse.query("select decision_made from provenance.guard_log where check_id = 'check-1'") == [("allow",)]
    waits = "the clusters were made before it was given; the next run of everything follows"
    told = {name: states(warehouse)[each.decision_id] for name, each in given.items()}
    followed = {"no copy": ("applied", None), "allow": ("applied", None)}
    assert told == followed | dict.fromkeys(("cut", "keep", "gone"), ("waiting", waits))
    with duckdb.connect(str(warehouse.home / "raisonne.duckdb"), read_only=True) as con:
        [said] = [each for each in summary.failures(con) if "decision" in each]
    assert said.startswith(f"3 decisions wait: {waits}, such as ")
    again(warehouse, *_FOLLOWED)
    assert {state for state, _ in states(warehouse).values()} == {"applied"}
    assert clusters(warehouse) != before


def test_decisions_outlive_a_new_shard_and_other_ids(warehouse: Decided) -> None:
    cut = warehouse.decide("pair", "different", 10, 19)
    kept = warehouse.decide("cluster", "fine", 20)
    warehouse.derive()
    warehouse.land(b=["new", "newer"])
    warehouse.show("b", [19, 10])
    again(warehouse, *_FOLLOWED)
    shown = warehouse.query(
        "select list((sample_id >> 26, sample_id & 67108863) order by sample_id) from duplicates.clusters "
        "group by cluster_id"
    )
    of = {tuple(row): number for number, (rows,) in enumerate(shown) for row in rows}
    a, b = warehouse.shard("a"), warehouse.shard("b")
    assert of[(a, 0)] == of[(b, 1)] != of[(a, 3)] == of[(b, 0)]
    assert states(warehouse)[kept.decision_id] == ("applied", None)
    # the rows go: the decision waits, and holds again once they are back
    warehouse.facts["image_fingerprints"].delete(is_in("shard_id", [a]))
    warehouse.show("b", [19, 30])
    again(warehouse, *_FOLLOWED)
    assert states(warehouse)[cut.decision_id] == (
        "waiting", f"no training row shows the picture {warehouse.pixels(10)} now"
    )  # fmt: skip
    assert states(warehouse)[kept.decision_id] == (
        "waiting", f"no training row shows the picture {warehouse.pixels(20)} now"
    )  # fmt: skip
    warehouse.show("b", [19, 10])
    again(warehouse, *_FOLLOWED)
    assert states(warehouse)[cut.decision_id] == ("applied", None)
    assert warehouse.query("from duplicates.clusters") == []


def test_which_row_stays_can_be_read_and_decided(tmp_path: Path) -> None:
    warehouse = Decided(tmp_path, thresholds='[policies]\nkeep = [1]\nstays = ["longest_caption", "earliest"]\n')
    captions = ["a", "the longest caption", "bb", "=1+1", "c", "c"]
    warehouse.land(a=captions)
    warehouse.show("a", [10, 11, 12, 20, 21, 21])
    warehouse.derive()
    warehouse.publish_once()
    kept = "select list((sample_id & 67108863)::int order by kept_rank) from duplicates.clusters group by cluster_id "
    kept += "order by 1"
    assert warehouse.query(kept) == [([1, 2, 0],), ([3, 4, 5],)]
    options = RemovalOptions(PictureReader(gone), merge=True)
    with duckdb.connect(str(warehouse.home / "raisonne.duckdb"), read_only=True) as con:
        removal_lists.write(con, tmp_path / "list", "keep-1", "1GB", options)
    lines = (tmp_path / "list" / "removal.csv").read_text().splitlines()
    assert len(lines) == 5 and "'=1+1" not in lines[1]
    merged = pq.read_table(tmp_path / "list" / "merged.parquet").to_pylist()
    assert [(row["sample_id"] & 67108863, row["captions"], row["rows_merged"]) for row in merged] == [
        (1, ["the longest caption", "a", "bb"], 2),
        (3, ["=1+1", "c"], 2),
    ]
    book = openpyxl.load_workbook(tmp_path / "list" / "removal.xlsx")
    header, *rows = book["removal"].iter_rows(values_only=True)
    assert len(rows) == 4 and {"url", "url_host", "license", "reason", "kept_url"} <= set(header)
    assert "could not be read" in rows[0]

    warehouse.decide("cluster", "keep", 10, 12)
    again(warehouse, "duplicates.clusters")
    assert warehouse.query(kept) == [([2, 1, 0],), ([3, 4, 5],)], "what was decided goes before the policy"


def test_an_unknown_licence_never_stays_in_place_of_another() -> None:
    ranks = [
        ("cc0-1.0", 1), ("Public Domain", 1), ("pd", 1), ("cc-by-4.0", 2), ("CC BY 2.0", 2), ("cc-by", 2),
        ("cc-by-sa-3.0", 3), ("cc-by-nc-2.0", 4), ("all rights reserved", 5), ("", 6), ("unknown", 6), (None, 6),
    ]  # fmt: skip
    with duckdb.connect() as con:
        macros.create(con, functions.load(ROOT / "sql"))
        for licence, rank in ranks:
            assert con.execute("select license_rank(?::varchar)", [licence]).fetchall() == [(rank,)], licence


def test_a_random_sample_says_how_often_the_warehouse_is_right(warehouse: Decided, tmp_path: Path) -> None:
    drawn = {"queue": "sampled", "stratum": "pdq far from the threshold", "stratum_size": 4, "probability": 0.5}
    for number, answer in ((11, "same"), (12, "different")):
        warehouse.decide("pair", answer, 10, number, method_seen="pdq", verdict_seen="the same picture", **drawn)
    warehouse.decide("pair", "same", 20, 21, decided_by="ben")  # not drawn: it says nothing of the others
    again(warehouse)
    with duckdb.connect(str(warehouse.home / "raisonne.duckdb"), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        [found] = cases.reviewed_precision(con, "pair", "cluster")
        assert (found.said, found.items, found.answered) == ("pairs by nearly the same hash", 4, 2)
        assert found.precision == 0.5
        assert found.low < 0.3 and found.high > 0.7 and found.kappa is None
        (tmp_path / "pages").mkdir()
        pages.write(con, tmp_path / "pages", warehouse.settings, PictureReader(gone))
    first = (tmp_path / "pages" / "duplicate_frequency.html").read_text()
    assert "How often we are right, here" in first and "What people decided" in first
    assert "What changed since the version before" in first and "<bdi>ana</bdi>" in first
    second = (tmp_path / "pages" / "provenance.html").read_text()
    assert "rows to remove where one of each picture stays" in second
    assert "All 1 confirmed, and 2 that are only similar, each beside" in second
    inner = tmp_path / "pages" / "pages"
    assert len(list((inner / "cases").iterdir())) == 3, "similar cases have pages too"
    told = "".join(file.read_text() for file in (inner / "data" / "clusters").iterdir())
    assert "nearly identical hash" in told and "similar hash" in told and "of 256 bits" not in told


def test_items_of_every_queue_are_drawn_with_known_probabilities(warehouse: Decided) -> None:
    near = {"method": "embedding", "value": 0.86, "threshold": 0.85}
    warehouse.block(("once", 61), ("again", 61), ("of no generation", 90), **near)
    warehouse.block(("by a curator", 62), **near | {"method": "override"})
    again(warehouse)
    with duckdb.connect(str(warehouse.home / "raisonne.duckdb"), read_only=True) as con:
        whole, some = queues.load(con, Review()), queues.load(con, Review(sample=1, items=1))

    def drawn(found: queues.Queue) -> list[tuple]:
        return [
            (item.picture_a, item.stratum, item.stratum_size, item.probability)
            for item in map(found.__getitem__, range(len(found)))
            if item.sampled
        ]

    clusters = {(warehouse.pixels(each), "pdq far from the threshold", 2, 1) for each in (20, 30)}
    clusters.add((warehouse.pixels(10), "pdq near the threshold", 1, 1))  # 27 bits of 31
    assert set(drawn(whole["clusters"])) == clusters
    assert len(some["clusters"]) in (2, 3), "the first, and one of each group"
    assert sorted(each[1:] for each in drawn(some["clusters"])) == [
        ("pdq far from the threshold", 2, 0.5), ("pdq near the threshold", 1, 1),
    ]  # fmt: skip
    blocks = whole["blocks"]
    assert len(blocks) == 5, "what is drawn has a picture to look at, and is no curator's own"
    assert drawn(blocks) == [(warehouse.pixels(61), "embedding near the threshold", 1, 1)]
    assert {item.version for item in (blocks[0], whole["pairs"][0])} == {2}


def test_labels_name_rows_of_the_published_version(warehouse: Decided, tmp_path: Path) -> None:
    a = warehouse.shard("a") << 26
    lines = [
        {"sample_id_a": str(a), "sample_id_b": str(a + 3), "label": "Different"},
        {"cluster_id": str(a + 4), "kept_sample_id": str(a + 6), "answer": "keep"},
        {"generation_id": "g/exact.png", "sample_id": str(a), "label": "not a copy", "reason": "no"},
    ]
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with duckdb.connect(str(warehouse.home / "raisonne.duckdb"), read_only=True) as con:
        found = exchange.read(file, warehouse.settings.limits.of_files, con, "ana")
    assert DecisionLog(warehouse.home).add(found) == 3
    with raisonne.open(warehouse.home) as opened:
        assert opened.decide(lines, by="ana") == 0, "what says the same is the same decision"
        assert opened.decide(file, by="ana") == 0 and opened.decisions().num_rows == 3
        with pytest.raises(ValueError, match="the decisions, line 1: `answer` is 'perhaps'"):
            opened.decide([lines[0] | {"label": "perhaps"}], by="ana")
    again(warehouse, *_FOLLOWED)
    assert clusters(warehouse)[0] == [0, 1, 2]
    assert {state for state, _ in states(warehouse).values()} == {"applied"}


def test_a_disk_that_is_full_within_a_line_keeps_nothing_of_it(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path)
    first, second = (
        checked({"kind": "guard_block", "answer": "allow", "picture_a": Decided.pixels(n), "decided_by": "ana"})
        for n in (1, 2)
    )
    log.add([first])
    held, most = log.file.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (1, len(held) // 2, len(held) * 3 // 4, len(held) - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(held) + room, most[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                log.add([second])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, most)
        assert log.file.read_bytes() == held, room
    assert log.add([second]) == 1 and log.all() == [first, second]


_LABEL = {"kind": "guard_block", "picture_a": "0" * 64, "answer": "allow", "decided_by": "ana"}
_ANSWER = {"check_id": "c", "answer": "confirm", "pixel_sha256": "0" * 64, "by": "ana"}


def test_a_wrong_record_is_refused_with_its_line(warehouse: Decided) -> None:
    wrong = [
        (_LABEL | {"decided_at": "9999-12-31T23:59:59-12:00"}, "`decided_at` is '9999-12-31T23:59:59-12:00'"),
        (_LABEL | {"decided_at": "2999-01-01T00:00:00Z"}, "2999-01-01, in the future"),
        (_ANSWER | {"would": ["block"]}, "the check had not decided"),
        ({"sample_id_a": "9" * 5000, "sample_id_b": "1", "answer": "same"}, "name pictures by `picture_a`"),
    ]
    with duckdb.connect(str(warehouse.home / "raisonne.duckdb"), read_only=True) as con:
        for given, told in wrong:
            with pytest.raises(exchange.ImportRefused, match="line 7: .*" + re.escape(told)):
                exchange.of_records([(7, given)], con, "ana")


def test_a_decision_with_the_id_of_another_is_refused(tmp_path: Path) -> None:
    log, known = DecisionLog(tmp_path), checked(_LABEL | {"decision_id": "one"})
    other = checked(_LABEL | {"decision_id": "one", "answer": "block"})
    with pytest.raises(DecisionError, match="'one' is that of a decision that says something else"):
        log.add([known, other])
    assert log.all() == [] and log.add([known]) == 1
    for _ in range(2):  # in the file, and in the table
        with pytest.raises(DecisionError, match="'one'"):
            log.add([other])
        assert log.add([known]) == 0
        log.take_up()
    assert log.all() == [known]
