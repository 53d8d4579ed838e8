"""The log of decisions, and files of them: nothing acknowledged is lost, nothing is kept twice."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestration.facts import Facts
from orchestration.facts.decision_log import DecisionLog, DecisionLogError
from orchestration.review import exchange
from transforms.guard.overrides import Overrides
from transforms.review.decisions import Decision, checked
from transforms.storage.file_limits import ByteLimits

A, B, C = "a" * 64, "b" * 64, "c" * 64
FORMULA = '=HYPERLINK("http://evil.example")'


def pair(name: str, answer: str = "same", **more: object) -> Decision:
    said = {"decision_id": name, "decided_by": "ana", "kind": "pair", "answer": answer, "picture_a": A, "picture_b": B}
    said |= {"queue": "ranked"}
    return checked(said | more)


def test_decisions_are_in_the_file_at_once_and_in_the_table_after_taking_up(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path)
    assert log.new == 0 and log.take_up() == 0 and log.all() == []
    first, second = pair("1"), pair("2", "different", reason="mirrored, another print")
    assert log.add([first, second, first]) == 2
    assert log.add([second]) == 0
    assert log.all() == [first, second]
    assert log.file.read_bytes().count(b"\n") == 2
    assert log.new == 2
    assert log.take_up() == 2 and log.take_up() == 0 and log.new == 0
    assert log.file.read_bytes() == b"" and log.all() == [first, second]
    assert log.add([first, pair("3")]) == 1
    version = Facts(tmp_path / "facts")["decisions"].version
    assert log.take_up() == 1 and [each.decision_id for each in log.all()] == ["1", "2", "3"]
    assert Facts(tmp_path / "facts")["decisions"].version > version


def test_a_kill_between_the_table_and_the_file_keeps_one_row_each(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path)
    log.add([pair("1"), pair("2")])
    lines = log.file.read_bytes()
    log.take_up()
    log.file.write_bytes(lines)  # as if it had been killed before it emptied the file
    assert len(log.all()) == 2
    assert log.take_up() == 2
    assert Facts(tmp_path / "facts")["decisions"].dataset().count_rows() == 2


def test_part_of_a_line_was_never_acknowledged_and_goes(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path)
    log.add([pair("1")])
    with log.file.open("ab") as file:
        file.write(b'{"decision_id": "2", "ki')
    assert [each.decision_id for each in log.all()] == ["1"]
    log.add([pair("3")])
    assert [each.decision_id for each in log.all()] == ["1", "3"]


def test_a_strange_line_is_named_and_nothing_is_dropped(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path)
    log.add([pair("1")])
    with log.file.open("ab") as file:
        file.write(b'{"kind": "pair"}\n')
    with pytest.raises(DecisionLogError, match=r"decisions\.jsonl, line 2: `answer` is ''"):
        log.take_up()
    assert log.file.read_bytes().count(b"\n") == 2


def test_processes_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from orchestration.facts.decision_log import DecisionLog;"
        "from transforms.review.decisions import checked; log = DecisionLog(Path(sys.argv[1]));"
        "[log.add([checked({'decision_id': f'{sys.argv[2]}-{n}', 'decided_by': 'ana', 'kind': 'pair', 'answer': 'same',"
        "'picture_a': 'a' * 64, 'picture_b': 'b' * 64})]) for n in range(12)]; log.take_up()"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, tmp_path, str(n)]) for n in range(2)]
    assert [each.wait() for each in started] == [0, 0]
    assert len({each.decision_id for each in DecisionLog(tmp_path).all()}) == 24


def test_what_goes_out_comes_in_again(tmp_path: Path) -> None:
    given = [
        pair("1", reason=FORMULA, seconds=2.5, probability=0.25, stratum="pdq near", stratum_size=40, blind=True),
        pair("2", "undo", undoes="1"),
        checked({"decided_by": "ben", "kind": "guard_block", "answer": "allow", "picture_a": C, "queue": "second"}),
    ]
    files = exchange.write(given, tmp_path / "out", exchange.FORMATS)
    assert [file.name for file in files] == [
        "decisions.csv", "decisions.parquet", "decisions.jsonl", "guard_overrides.jsonl"
    ]  # fmt: skip
    for file in files[:3]:
        again = exchange.read(file, ByteLimits(), None, None)
        expected = given if file.suffix != ".csv" else [again[0], *given[1:]]
        assert again == expected, file
        assert again[0].reason in (FORMULA, f"'{FORMULA}")  # a spreadsheet must not run it
        assert (
            DecisionLog(tmp_path / file.suffix).add(again) == 3 and DecisionLog(tmp_path / file.suffix).add(again) == 0
        )
    assert pq.read_table(files[1])["decided_at"].type.tz == "UTC"
    entries = Overrides.read(files[3])
    assert entries.exact[("allow", "pixel_sha256", C)].by == "ben"


def test_labels_from_elsewhere_need_an_answer_and_two_pictures(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"picture_a,picture_b,kind,label\n{B},{A},pair,Same\n{A},{C},pair,different\n")
    found = exchange.read(file, ByteLimits(), None, "labelled by ana")
    assert [(each.answer, each.decided_by, each.queue) for each in found] == [
        ("same", "labelled by ana", "imported"),
        ("different", "labelled by ana", "imported"),
    ]
    assert exchange.read(file, ByteLimits(), None, "labelled by ana")[0].decision_id == found[0].decision_id
    file.write_text(json.dumps({"sample_id_a": "12", "sample_id_b": "13", "label": "same"}) + "\n")
    with pytest.raises(
        exchange.ImportRefused, match=r"labels\.csv, line 1: `sample_id_a` is '12', which the published"
    ):
        exchange.read(file, ByteLimits(), None, "ana")
