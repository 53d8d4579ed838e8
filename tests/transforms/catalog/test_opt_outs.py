"""Reading opt-out lists: four formats, what is refused, and what hostile entries do not do."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.settings.limits import Limits
from transforms.catalog import opt_outs
from transforms.catalog.columns import stated
from transforms.catalog.opt_outs import OptOutEntry, OptOutListError
from transforms.storage.file_limits import ByteLimits

type Write = Callable[[str, bytes | str | pa.Table], Path]

DIGEST = "AB" * 32


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a writer of list files: name and content to path."""

    def made(name: str, content: bytes | str | pa.Table) -> Path:
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return made


def entries(path: Path) -> list[tuple[str, ...]]:
    found = [entry for batch in opt_outs.batches(path, ByteLimits()) for entry in batch]
    assert all(entry.within is None for entry in found)
    return [entry[:2] for entry in found]


def test_every_format_gives_the_same_entries(write: Write) -> None:
    wanted = [("url", "https://a.org/1,2.jpg"), ("host", "b.org"), ("sha256", DIGEST)]
    csv = f'\ufeffURL,note,Host,SHA256\n"https://a.org/1,2.jpg",why,b.org,{DIGEST}\n,,,\n'
    assert entries(write("a.csv", csv)) == wanted
    rows = [{"URL": "https://a.org/1,2.jpg", "Host": "b.org"}, {"sha256": DIGEST, "url": None, "note": 3}]
    assert entries(write("a.jsonl", "\n\n".join(map(json.dumps, rows)))) == wanted
    table = pa.table({"URL": ["https://a.org/1,2.jpg"], "Host": ["b.org"], "sha256": [DIGEST], "note": [[1]]})
    assert entries(write("a.parquet", table)) == wanted
    assert entries(write("a.txt", "https://a.org/1,2.jpg\r\n\n  http://x \n")) == [wanted[0], ("url", "  http://x ")]


def test_parquet_hashes_may_be_bytes_and_ids_numbers(write: Write) -> None:
    table = pa.table(
        {
            "pdq": pa.array([bytes.fromhex(DIGEST), None], pa.binary(32)),
            "sample_id": pa.array([2**63 + 5, 7], pa.uint64()),
            "host": pa.array(["a.org", "a.org"]).dictionary_encode(),
        }
    )
    assert sorted(entries(write("a.parquet", table))) == sorted(
        [
            ("pdq", DIGEST.lower()),
            ("sample_id", str(2**63 + 5)),
            ("sample_id", "7"),
            ("host", "a.org"),
            ("host", "a.org"),
        ]
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "", "no column is called sample_id, url, host, sha256, pdq (found: none)"),
        ("a.csv", "link,why\nhttp://a,b\n", "found: 'link', 'why'"),
        ("a.csv", "url\nhttp://a.org/x,y\n", "line 2 has 2 fields, the header 1; quote a field with a comma"),
        ("a.csv", 'url\n"http://a.org\nhttp://b.org\n', "is not valid CSV"),
        ("a.csv", 'url\n"a"b\n', "is not valid CSV"),
        ("a.jsonl", '{"url": "a"}\nhttp://b\n', "line 2 is not valid JSON"),
        ("a.jsonl", "[1]", "line 1 is not a JSON object"),
        ("a.jsonl", '{"link": "a"}', "no column is called"),
        ("a.jsonl", '{"url": ["a"]}', "url is list"),
        ("a.jsonl", '{"sample_id": 1.5}', "sample_id is float"),
        ("a.jsonl", "[" * 100_000, "line 1 is not valid JSON"),
        ("a.parquet", b"PAR1 and nothing else", "cannot be read"),
        ("a.parquet", pa.table({"sample_id": [1.0]}), "sample_id is double, which loses digits"),
        ("a.parquet", pa.table({"link": ["a"]}), "no column is called"),
        ("a.xlsx", b"", "an opt-out list ends in .csv, .tsv, .parquet, .jsonl, .ndjson, .txt"),
        ("gone/a.csv", None, "cannot be read"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_by_name(
    write: Write, tmp_path: Path, name: str, content: bytes | str | pa.Table | None, says: str
) -> None:
    path = tmp_path / name if content is None else write(name, content)
    with pytest.raises(OptOutListError) as refused:
        entries(path)
    assert says in str(refused.value)
    assert str(path) in str(refused.value)


def test_an_endless_line_is_refused_before_it_is_held(write: Write) -> None:
    limits = ByteLimits(record=1_000)
    for name, content in (
        ("a.txt", "x" * 5_000),
        ("a.csv", "url\n" + "x" * 5_000),
        ("b.csv", 'url\n"' + "x\n" * 5_000),
    ):
        with pytest.raises(OptOutListError, match=r"line \d+ is (longer|not valid CSV)"):
            list(opt_outs.batches(write(name, content), limits))
    assert list(opt_outs.batches(write("c.txt", "x" * 900), limits)) == [[OptOutEntry("url", "x" * 900)]]


@given(st.lists(st.text(min_size=1).filter(lambda text: not set(text) & set("\r\n") and max(text) < "\ud800")))
def test_whatever_an_entry_holds_it_is_one_entry(values: list[str]) -> None:
    import csv
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["url"], *([value] for value in values)])
        assert entries(path) == [("url", value) for value in values if stated(value)]


def test_broken_utf8_becomes_what_it_becomes_in_metadata(write: Write) -> None:
    assert entries(write("a.txt", b"http://a.org/\xff\xfe\n")) == [("url", "http://a.org/\ufffd\ufffd")]
    assert entries(write("a.jsonl", r'{"url": "a\ud800"}')) == [("url", "a?")]


def test_an_entry_that_is_no_hash_and_no_id_is_told() -> None:
    assert [
        opt_outs.usable(OptOutEntry(*entry))
        for entry in (("sha256", f" {DIGEST}\n"), ("sample_id", "007"), ("url", "x"))
    ] == [True] * 3
    wrong = [("sha256", DIGEST[:-1]), ("pdq", "z" * 64), ("sample_id", "1.2E+18"), ("sample_id", "-1"), ("host", "  ")]
    assert not any(opt_outs.usable(OptOutEntry(*entry)) for entry in wrong)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".ndjson", ".txt"])
def test_a_list_is_read_in_any_encoding_of_unicode(write: Write, encoding: str, ending: str) -> None:
    text = {
        ".csv": "note;url\r\nß;https://a.org/é\r\n",
        ".tsv": "note\turl\nß\thttps://a.org/é\n",
        ".txt": "https://a.org/é\n",
    }.get(ending, '{"note": "ß", "url": "https://a.org/é"}\n')
    assert entries(write(f"a{ending}", text.encode(encoding))) == [("url", "https://a.org/é")]


def test_missing_values_are_no_entries_however_they_are_spelled(write: Write) -> None:
    text = "sample_id,url,host\n7,nan,None\nNULL,https://a.org/1,\\N\n?,<NA>, \n"
    assert entries(write("a.csv", text)) == [("sample_id", "7"), ("url", "https://a.org/1")]
    values = [{"url": "null", "host": "a.org"}, {"url": "undefined", "host": None}]
    assert entries(write("a.jsonl", "\n".join(map(json.dumps, values)))) == [("host", "a.org")]


def test_ids_that_went_through_doubles_count_while_no_digit_is_lost(write: Write) -> None:
    largest = 2**64 - 1
    found = entries(write("a.csv", f"sample_id\n7.0\n{largest}\n9007199254740993.0\n"))
    assert found == [("sample_id", "7"), ("sample_id", str(largest)), ("sample_id", "9007199254740993.0")]
    assert [opt_outs.usable(OptOutEntry(*entry)) for entry in found] == [True, True, False]


def test_what_no_list_holds_is_named_and_stops_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"sample_id": ' + "9" * 5000 + "}\n")
    pq.write_table(pa.table([["a"], ["b"]], names=["url", "url"]), tmp_path / "b.parquet")
    for name in ("a.jsonl", "b.parquet"):
        with pytest.raises(OptOutListError, match=name):
            list(opt_outs.batches(tmp_path / name, ByteLimits()))
    (tmp_path / "c.csv").write_text("sample_id\n" + "9" * 5000 + "\n")
    assert [
        opt_outs.usable(entry) for batch in opt_outs.batches(tmp_path / "c.csv", ByteLimits()) for entry in batch
    ] == [False]


def test_a_key_that_comes_twice_counts_twice(write: Write) -> None:
    lines = (
        '{"url": "https://a.org/1", "url": "https://a.org/2", "note": {"url": "no"}}\n{"URL": "u", "host": "a.org"}\n'
    )
    assert entries(write("a.jsonl", lines)) == [
        ("url", "https://a.org/1"),
        ("url", "https://a.org/2"),
        ("url", "u"),
        ("host", "a.org"),
    ]


def test_limits_of_the_settings_are_taken(write: Write) -> None:
    path = write("a.csv", "url\nhttps://a.org/1\n")
    assert list(opt_outs.batches(path, Limits().of_files)) == [[OptOutEntry("url", "https://a.org/1")]]


def test_a_hash_may_say_within_how_many_bits_it_counts_in_every_format(write: Write) -> None:
    wanted = [
        OptOutEntry("pdq", DIGEST, 20),
        OptOutEntry("pdq", DIGEST),
        OptOutEntry("host", "b.org"),
        OptOutEntry("pdq", DIGEST, 0),
    ]
    csv = f"pdq,Within,host\n{DIGEST},20,\n{DIGEST},,\n,31,b.org\n{DIGEST},0.0,\n"
    rows = [{"pdq": DIGEST, "within": 20}, {"pdq": DIGEST}, {"host": "b.org", "within": 31}]
    rows.append({"pdq": DIGEST, "within": "0"})
    table = pa.table(
        {"pdq": [DIGEST, DIGEST, None, DIGEST], "within": [20, None, 31, 0], "host": ["", "", "b.org", ""]}
    )
    paths = [write("a.csv", csv), write("a.jsonl", "\n".join(map(json.dumps, rows))), write("a.parquet", table)]
    for path in paths:
        found = [entry for batch in opt_outs.batches(path, ByteLimits()) for entry in batch]
        assert sorted(found, key=str) == sorted(wanted, key=str), path
        assert opt_outs.mentions_bits(path)
    assert not opt_outs.mentions_bits(write("b.csv", f"pdq\n{DIGEST}\n"))
    for odd in ("many", "65", "-1", "1.5"):
        with pytest.raises(OptOutListError, match=r"a.csv: line 2: within is .*; write the bits .* 0 to 64"):
            entries(write("a.csv", f"pdq,within\n{DIGEST},{odd}\n"))
