"""Files of records as people have them: every form, mark and line break; what cannot be read is named with its line."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.catalog.record_files import Record, RecordFileError, records
from transforms.storage.file_limits import ByteLimits

PAIR = [{"file_name": "a.png", "prompt": "p\u2028q\u0085r"}, {"file_name": "b.png", "seed": 2**64 - 1}]
DEFAULTS = ByteLimits()


def read(folder: Path, name: str, data: bytes, caps: ByteLimits = DEFAULTS) -> list[Record]:
    (folder / name).write_bytes(data)
    return list(records(str(folder / name), caps))


def fields(found: list[Record]) -> list[dict[str, Any]]:
    return [each.fields for each in found]


def refusal(folder: Path, name: str, data: bytes, caps: ByteLimits = DEFAULTS) -> str:
    with pytest.raises(RecordFileError) as error:
        read(folder, name, data, caps)
    assert str(error.value).startswith(str(folder / name))
    return str(error.value).removeprefix(str(folder / name))


LINES = "\n".join(json.dumps(each, ensure_ascii=False) for each in PAIR)
FORMS = {
    "lines": LINES,
    "lines with spaces between": "\r\n\n" + LINES.replace("\n", "\r\n\r\n  ") + "\r\n",
    "array": json.dumps(PAIR, ensure_ascii=False),
    "array over lines": json.dumps(PAIR, ensure_ascii=False, indent=2) + "\n",
    "objects over lines": "\n".join(json.dumps(each, ensure_ascii=False, indent=1) for each in PAIR),
    "lines that end in a carriage return": LINES.replace("\n", "\r"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("form", FORMS)
def test_json_is_read_in_any_form_and_encoding(tmp_path: Path, form: str, encoding: str) -> None:
    assert fields(read(tmp_path, "generations.csv", FORMS[form].encode(encoding))) == PAIR


def test_files_that_were_appended_keep_their_marks(tmp_path: Path) -> None:
    lines = [b"\xef\xbb\xbf" + json.dumps(each).encode() for each in PAIR]
    assert fields(read(tmp_path, "x.jsonl", b"\n".join(lines))) == PAIR


def test_records_know_their_lines(tmp_path: Path) -> None:
    assert [each.number for each in read(tmp_path, "x", FORMS["array over lines"].encode())] == [2, 6]
    assert [each.number for each in read(tmp_path, "x", b'\n{"a": 1}\n\n{"a": 2}')] == [2, 4]
    assert [each.number for each in read(tmp_path, "x", b'a,b\n1,"x\ny"\n\n2,z\n')] == [2, 5]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("most", [ByteLimits(), ByteLimits(record=60)])
def test_an_object_of_records_names_each(tmp_path: Path, indent: int | None, most: ByteLimits) -> None:
    part = {"a.png": {"p": "a tower", "se": 1}, "b.png": {"p": "x", "se": 2}}
    found = read(tmp_path, "part-000001.json", json.dumps(part, indent=indent).encode(), caps=most)
    assert {each.name: each.fields for each in found} == part


def test_one_record_alone_is_no_object_of_records(tmp_path: Path) -> None:
    for record in ({"meta": {"a": 1}, "file_name": "x"}, {"file_name": "x", "meta": {}}):
        for indent in (None, 2):
            (found,) = read(tmp_path, "x.json", json.dumps(record, indent=indent).encode())
            assert found.fields == record and found.name is None
    two = [{"meta": {"a": 1}}, {"meta": {"a": 2}}]
    assert fields(read(tmp_path, "x.jsonl", "\n".join(map(json.dumps, two)).encode())) == two


def test_text_that_no_table_holds_is_written_out(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "x.jsonl",
        b'{"file_name": "gen_\\udce9.png", "p": "\\ud83d\\ude00 \xc3\xa9 \xe9"}\n{"tags": ["\\ud800"]}',
    )
    assert fields(found) == [{"file_name": "gen_\\udce9.png", "p": "\U0001f600 é \ufffd"}, {"tags": ["\\ud800"]}]


CSV = 'file_name,prompt,seed\na.png,"one, ""two""\u2028three",7\n"b.png","line\nbreak",\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_csv_is_read_with_any_mark_and_line_break(tmp_path: Path, encoding: str, end: str, mark: str) -> None:
    text = CSV.replace("one, ", "one ").replace(",", mark).replace("line\nbreak", "line break").replace("\n", end)
    assert fields(read(tmp_path, "metadata.csv", text.encode(encoding))) == [
        {"file_name": "a.png", "prompt": 'one "two"\u2028three', "seed": "7"},
        {"file_name": "b.png", "prompt": "line break", "seed": ""},
    ]


def test_csv_keeps_line_breaks_within_quotes(tmp_path: Path) -> None:
    found = read(tmp_path, "metadata.csv", CSV.encode())
    assert [each["prompt"] for each in fields(found)] == ['one, "two"\u2028three', "line\nbreak"]


def test_parquet_is_read_by_columns(tmp_path: Path) -> None:
    broken = pa.array([b"caf\xe9", None]).view(pa.string())
    table = pa.table(
        {
            "File_Name": pa.array(["a", "b"]).dictionary_encode(),
            "prompt": broken,
            "seed": pa.array([2**64 - 1, None], pa.uint64()),
            "image": pa.array([b"1", b"2"]),
        }
    )
    pq.write_table(table, tmp_path / "x.dat")
    found = list(records(str(tmp_path / "x.dat"), DEFAULTS, columns={"file_name", "prompt", "seed"}))
    assert fields(found) == [
        {"File_Name": "a", "prompt": "caf\ufffd", "seed": 2**64 - 1},
        {"File_Name": "b", "prompt": None, "seed": None},
    ]
    assert [each.number for each in found] == [1, 2]
    assert fields(list(records(str(tmp_path / "x.dat"), DEFAULTS, columns={"key"}))) == [{}, {}]


def test_a_parquet_whose_names_are_no_text_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"file_name": ["a"]}), tmp_path / "x.parquet", store_schema=False)
    data = (tmp_path / "x.parquet").read_bytes().replace(b"file_name", b"file\xefname")
    assert "is not a whole parquet file" in refusal(tmp_path, "x.parquet", data)


def test_compressed_files_are_read(tmp_path: Path) -> None:
    assert fields(read(tmp_path, "x.jsonl.gz", gzip.compress(LINES.encode()))) == PAIR
    assert "breaks off" in refusal(tmp_path, "x.jsonl.gz", gzip.compress(os.urandom(9000).hex().encode())[:-900])
    bomb = gzip.compress(b'{"a": 1}\n' * 100_000)
    assert "more text than is allowed" in refusal(tmp_path, "x.gz", bomb, caps=ByteLimits(file=len(bomb)))


def test_files_without_records_are_read(tmp_path: Path) -> None:
    for data in (b"", b"\n", b"[]", b" [\n]\n", b"file_name,prompt\n", b"\xef\xbb\xbf"):
        assert read(tmp_path, "x.csv", data) == []


BROKEN = {
    b'{"a": 1}\n{"a": 2\n{"a": 3}': ": line 2: it is not valid JSON: Expecting ',' delimiter, column 8",
    b'{"a": 1}\n[1]\n': ": line 2: it is no JSON object",
    b'{"a": 1}\n7': ": line 2: it is no JSON object",
    b'\n{"a": 1\n': ": line 2: it is not valid JSON",
    b'[{"a": 1},\n{"a": 2}': ": line 2: the file ends before the end of the array that begins on line 1",
    b'[{"a": 1}\n{"a": 2}]': ": line 2: '{' stands where a comma should",
    b'[{"a": 1}]\n[]': ": line 2: '[]' follows the array",
    b'{"a": 1}\n' + bytes(100): ": line 2: it is not valid JSON",
    b"[1, 2]": ": line 1: it is no JSON object; write an object for each picture",
    b'{"a":\n{"p": 1},\n"b": {"p": ': ": line 3: it is not valid JSON",
    b'{"a": ' + b"[" * 100_000: ": line 1: it is nested too deeply",
    b'{"a": 1}\n{"a": ' + b"[" * 100_000: ": line 2: it is not valid JSON: nested too deeply",
    b'{"a": 1}\n{"a": ' + b"9" * 5000 + b"}": ": line 2: it is not valid JSON: Exceeds the limit",
    b'a,b\n1,2\n"x': ": the record that begins on line 3 is not valid CSV: unexpected end of data",
    b"a,b\n1,2,3\n": ": line 2 has 3 fields, the header 2",
    b"a,a\n1,2\n": ": line 1 names the column a twice",
    b"PAR1 and no more": " is not a whole parquet file",
    b"\x89PNG\r\n\x1a\n\0\0\0": " is neither text nor Parquet",
}


@pytest.mark.parametrize("data", BROKEN, ids=range(len(BROKEN)))
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, data: bytes) -> None:
    assert refusal(tmp_path, "file", data).startswith(BROKEN[data])


def test_text_with_the_ending_of_json_or_parquet_is_named(tmp_path: Path) -> None:
    assert "is no JSON object" in refusal(tmp_path, "x.jsonl", b"a.png a prompt\n")
    for data in (b"file_name\na.png\n", b""):
        assert "is not a whole parquet file" in refusal(tmp_path, "x.parquet", data)


def test_records_before_a_break_come_first(tmp_path: Path) -> None:
    for data in (
        b'{"a": 1}\n{"a": 2}\n{',
        b'[{"a": 1}, {"a": 2}, {',
        b'a\n1\n2\n"',
        b'{"x": {"a": 1}, "y": {"a": 2}, "z": {',
    ):
        (tmp_path / "x").write_bytes(data)
        reader, seen = records(str(tmp_path / "x"), DEFAULTS), []
        with pytest.raises(RecordFileError):
            while True:
                seen.append(int(next(reader).fields["a"]))
        assert seen == [1, 2]


def test_long_records_are_refused(tmp_path: Path) -> None:
    most = ByteLimits(record=1000)
    long = '{"a": "' + "x" * 2000 + '"}'
    for data in (f'{{"a": 1}}\n{long}', f'[{{"a": 1}},\n{long}]', f"a\n{'x' * 2000}\n"):
        assert "longer than 1,000 characters" in refusal(tmp_path, "x", data.encode(), caps=most)
    assert "split it" in refusal(tmp_path, "x", long.encode(), caps=ByteLimits(file=100))
    assert "the record on line 100001 is longer" in refusal(
        tmp_path, "x", b'a\n"' + b"xx\n" * 200_000, caps=ByteLimits(record=300_000)
    )


def test_many_records_behind_a_long_one_are_counted_once(tmp_path: Path) -> None:
    lines = [json.dumps({"a": "x" * (4 << 20)}), *(json.dumps({"a": str(i)}) for i in range(50_000))]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    numbers = [each.number for each in records(str(tmp_path / "x.jsonl"), DEFAULTS)]
    assert numbers == list(range(1, 50_002))
