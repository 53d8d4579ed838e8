"""Metadata files of any type and form are read by themselves: what one of them is changes no row of another."""

import datetime
import decimal
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.catalog import samples_view, shards
from orchestration.facts import Facts, migration
from orchestration.settings import Settings

_URL, _CAPTION = ["https://e.org/a", "https://e.org/b"], ["first", "second"]
_SAID = "row_number, url, caption, width, license, uid, similarity"
_PLAIN = [(0, _URL[0], "first", 640, "cc-by", "1", 0.25), (1, _URL[1], "second", 320, None, "2", None)]
_COLUMNS: dict[str, Any] = {
    "url": _URL,
    "caption": _CAPTION,
    "width": [640, 320],
    "license": ["cc-by", "?"],
    "uid": ["1", "2"],
    "similarity": [0.25, None],
}
_ODD: dict[str, dict[str, Any]] = {
    "width as text": {"width": ["640", "320.0"]},
    "width as decimal": {"width": [decimal.Decimal("640.0"), decimal.Decimal("320.0")]},
    "width as half floats": {"width": pa.array([640, 320], pa.float16())},
    "width as uint64": {"width": pa.array([640, 320], pa.uint64())},
    "width in a dictionary": {"width": pa.array([640, 320]).dictionary_encode()},
    "similarity as text": {"similarity": ["0.25", "nan"]},
    "similarity not a number": {"similarity": [0.25, float("nan")]},
    "similarity as floats": {"similarity": pa.array([0.25, None], pa.float32())},
    "uid as doubles": {"uid": [1.0, 2.0]},
    "uid as text of doubles": {"uid": ["1.0", "2.0"]},
    "uid as decimals": {"uid": [decimal.Decimal("1.00"), decimal.Decimal("2.00")]},
    "uid in bytes": {"uid": [b"1", b"2"]},
    "large text": {"url": pa.array(_URL, pa.large_string()), "license": pa.array(["cc-by", " "], pa.large_string())},
    "text views": {"url": pa.array(_URL, pa.string_view()), "license": pa.array(["cc-by", "\\N"], pa.string_view())},
    "text in a dictionary": {"url": pa.array(_URL).dictionary_encode(), "license": ["cc-by", "None"]},
    "text in bytes": {
        "url": [each.encode() for each in _URL],
        "license": pa.array([b"cc-by", b"N/A"], pa.large_binary()),
    },
    "lists of text": {"caption": [["", "first", "other"], ["second"]], "license": [["cc-by"], []]},
    "names that DuckDB adds": {"file_row_number": [9, 9], "filename": ["x", "y"], "landing_path": ["z", "z"]},
    "names in two cases": {"URL": [None, _URL[1]], "Width": ["1", "2"]},
    "names in two cases, of no meaning": {"Exif": ["x", "y"], "EXIF": ["z", "z"]},
    "other types of no meaning": {
        "exif": [{"a": 1}, None],
        "when": [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)] * 2,
    },
}


@pytest.fixture
def landed(tmp_path: Path) -> Callable[[Sequence[str]], dict[str, list[tuple]]]:
    """Return a function that inspects the files of `tmp_path/in`, and returns the training rows by shard."""

    def rows(columns: str = _SAID) -> dict[str, list[tuple]]:
        dataset = {"name": "d", "metadata": str(tmp_path / "in" / "*")}
        settings = Settings(home=tmp_path / "home", datasets=(dataset,))
        facts = Facts(tmp_path / "home" / "facts")
        migration.migrate(facts)
        known = shards.landed_shards(facts)
        found = list(shards.inspect_shards(shards.discover(settings), known, settings, tmp_path / "fetched"))
        shards.commit_shards(facts, known, found)
        by_shard: dict[str, list[tuple]] = {each.files.name: [(each.failure,)] for each in found if each.failure}
        with samples_view.open_view(facts, settings) as con:
            query = f"select shard, {columns} from catalog.samples order by shard, row_number"  # noqa: S608 -- ours
            for shard, *row in con.execute(query).fetchall():
                by_shard.setdefault(shard, []).append(tuple(row))
        return by_shard

    (tmp_path / "in").mkdir()
    return rows


def _parquet(path: Path, columns: Mapping[str, Any]) -> None:
    named = {**_COLUMNS, **columns}
    arrays = [values if isinstance(values, pa.Array) else pa.array(values) for values in named.values()]
    pq.write_table(pa.table(arrays, names=list(named)), path)


def test_files_of_many_types_leave_each_other_alone(tmp_path: Path, landed: Callable) -> None:
    expected = {"plain": _PLAIN}
    _parquet(tmp_path / "in" / "plain.parquet", {})
    for name, columns in _ODD.items():
        expected[name] = _PLAIN
        _parquet(tmp_path / "in" / f"{name}.parquet", columns)
    (tmp_path / "in" / "year=2020").mkdir()
    (tmp_path / "in" / "broken.parquet").write_bytes(b"PAR1 and no more")
    found = landed()
    (failure,) = found.pop("broken")
    assert "broken.parquet is not a whole parquet file" in failure[0]
    assert found == expected
    assert landed().keys() == {*expected, "broken"}, "a second look changes nothing"


@pytest.mark.parametrize(
    "uid",
    [
        pa.array([2**64 - 1, 2**53 + 1], pa.uint64()),
        pytest.param(pa.array([2**63 - 1, -1], pa.int64()), marks=pytest.mark.thorough),
    ],
)
def test_whole_numbers_stay_whole_beside_doubles_and_text(tmp_path: Path, landed: Callable, uid: pa.Array) -> None:
    _parquet(tmp_path / "in" / "a.parquet", {"uid": [1.0, 1e15]})
    _parquet(tmp_path / "in" / "b.parquet", {"uid": uid})
    _parquet(tmp_path / "in" / "c.parquet", {"uid": ["x", None]})
    expected = [("1",), ("1000000000000000",)], [(str(each),) for each in uid.to_pylist()], [("x",), (None,)]
    assert list(landed("uid").values()) == list(expected)


@pytest.mark.parametrize(
    ("narrow", "wide", "says"),
    [
        pytest.param(
            pa.array([7], pa.int32()), pa.array([2**63 + 5], pa.uint64()), str(2**63 + 5), marks=pytest.mark.thorough
        ),
        (pa.array([-7], pa.int64()), pa.array([2**64 - 1], pa.uint64()), str(2**64 - 1)),
        (pa.array([7], pa.float32()), pa.array([123456789012], pa.float64()), "123456789012"),
    ],
    ids=str,
)
@pytest.mark.parametrize("first", ["narrow", pytest.param("wide", marks=pytest.mark.thorough)])
def test_a_narrow_number_of_one_file_cuts_none_of_another(
    tmp_path: Path, landed: Callable, narrow: pa.Array, wide: pa.Array, says: str, first: str
) -> None:
    for name, uid in (("a", narrow if first == "narrow" else wide), ("b", wide if first == "narrow" else narrow)):
        pq.write_table(pa.table({"url": [name], "text": [name], "uid": uid}), tmp_path / "in" / f"{name}.parquet")
    assert landed("uid")["b" if first == "narrow" else "a"] == [(says,)]


def test_names_with_the_characters_of_a_glob_are_names(tmp_path: Path, landed: Callable) -> None:
    names = ["part1", "part[1]", "part*", "part?", "key=value", "width=1"]
    for number, name in enumerate(names):
        _parquet(tmp_path / "in" / f"{name}.parquet", {"uid": [str(number), None]})
    assert landed("uid, width") == {name: [(str(n), 640), (None, 320)] for n, name in enumerate(names)}


_ROWS = [dict(zip(_COLUMNS, row, strict=True)) for row in zip(*_COLUMNS.values(), strict=True)]


def _csv(delimiter: str = ",", caption: str = "first") -> str:
    lines = [
        list(_COLUMNS),
        [_URL[0], f'"{caption}"', "640", "cc-by", "1", "0.25"],
        [_URL[1], "second", "320", "?", "2", ""],
    ]
    return "\r\n".join(delimiter.join(line) for line in lines)


_TEXT: dict[str, bytes] = {
    "a.csv": _csv().encode(),
    "b.csv": _csv().encode("utf-8-sig"),
    "c.csv": _csv().encode("utf-16"),
    "d.tsv": _csv("\t").encode(),
    "e.csv": _csv(";").encode(),
    "f.csv.gz": gzip.compress(_csv().encode()),
    "g.jsonl": "\n".join(json.dumps(row) for row in _ROWS).encode(),
    "h.ndjson": "\n\n".join(json.dumps(row) for row in _ROWS).encode("utf-8-sig"),
    "i.json": json.dumps(_ROWS, indent=2).encode(),
    "j.jsonl.gz": gzip.compress(
        "\n".join(json.dumps({k.upper(): v for k, v in row.items()}) for row in _ROWS).encode()
    ),
}


def test_csv_and_json_are_metadata_too(tmp_path: Path, landed: Callable) -> None:
    for name, data in _TEXT.items():
        (tmp_path / "in" / name).write_bytes(data)
    assert landed() == {name.partition(".")[0]: _PLAIN for name in _TEXT}


def test_csv_in_one_byte_a_letter_is_read_and_in_another_alphabet_refused(tmp_path: Path, landed: Callable) -> None:
    (tmp_path / "in" / "western.csv").write_bytes(_csv(caption="café “à la crème”, €").encode("cp1252"))
    (tmp_path / "in" / "russian.csv").write_bytes(_csv(caption="кошка на стене").encode("cp1251"))
    (tmp_path / "in" / "mixed.csv").write_bytes(_csv(caption="café").encode() + b"\r\nhttps://e.org/c,caf\xe9,1,,,")
    found = landed("caption")
    assert found["western"][0] == ("café “à la crème”, €",)
    assert found["mixed"] == [("café",), ("second",), ("caf\ufffd",)]
    ((failure,),) = found["russian"]
    assert "russian.csv is text in no encoding of Unicode" in failure and "iconv -f ENCODING -t UTF-8" in failure


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        pytest.param(
            "x.csv",
            "https://e.org/1,a cat\nhttps://e.org/2,a dog\n",
            "x.csv has no url column",
            marks=pytest.mark.thorough,
        ),
        ("x.csv", "url,caption\nu,a, b\n", "x.csv: line 2 has 3 fields, the header 2"),
        (
            "x.jsonl",
            '{"url": "u", "caption": "c"}\n{"url": "u", "caption": \n',
            "x.jsonl: line 2: it is not valid JSON",
        ),
        ("x.jsonl", '{"url": "u", "caption": {"en": "c"}}\n', "x.jsonl: line 1: caption is dict; write it as text"),
        pytest.param("x.csv", "", "x.csv has no rows", marks=pytest.mark.thorough),
        ("x.csv", "url,caption\n", "x.csv has no rows"),
    ],
)
def test_what_cannot_be_read_names_the_file_the_line_and_the_fix(
    tmp_path: Path, landed: Callable, name: str, text: str, reason: str
) -> None:
    (tmp_path / "in" / name).write_text(text)
    _parquet(tmp_path / "in" / "plain.parquet", {})
    found = landed()
    assert reason in found["x"][0][0]
    assert found["plain"] == _PLAIN
    assert not list((tmp_path / "home" / "repaired").iterdir()), "nothing unfinished is left"


def test_json_values_are_text_whatever_their_type(tmp_path: Path, landed: Callable) -> None:
    lines = [
        {"url": "u", "caption": ["", "of several"], "uid": 2**64 - 1, "width": "640"},
        {"url": None, "caption": None, "uid": 7.0, "width": 12.0, "license": True},
        {"URL": "v", "Text": "of another name", "id": "None", "width": None},
    ]
    (tmp_path / "in" / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert landed("url, caption, uid, width, license")["a"] == [
        ("u", "of several", str(2**64 - 1), 640, None),
        (None, None, "7", 12, "true"),
        ("v", "of another name", None, None, None),
    ]


def test_missing_values_are_missing_however_they_are_spelled(tmp_path: Path, landed: Callable) -> None:
    spelled = ["nan", "NaN", "None", "<NA>", "null", "NULL", "N/A", "?", "  ", "undefined", "\\N", ""]
    columns = {
        "url": spelled,
        "caption": spelled,
        "license": spelled,
        "nsfw": spelled,
        "language": spelled,
        "key": spelled,
    }
    pq.write_table(pa.table(columns | {"uid": spelled, "punsafe": spelled}), tmp_path / "in" / "a.parquet")
    found = landed("url, url_host, license, nsfw, language, key, uid, punsafe, unsafe, caption")["a"]
    assert [row[:-1] for row in found] == [(*[None] * 8, False)] * len(spelled)
    assert [row[-1] for row in found] == [
        None,
        None,
        None,
        None,
        None,
        "NULL",
        "N/A",
        "?",
        None,
        "undefined",
        None,
        None,
    ]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({}, marks=pytest.mark.thorough, id="alike"),
        pytest.param({"exif": [1, 2]}, id="types that exclude each other"),
    ],
)
def test_many_forms_are_one_view(tmp_path: Path, landed: Callable, odd: dict) -> None:
    others = ("key", "nsfw", "text", "id", "language", "height")
    for number in range(40):
        more = {name: ["1", None] for place, name in enumerate(others) if number >> place & 1}
        _parquet(tmp_path / "in" / f"{number:02}.parquet", more | {"exif": [{"a": 1}, None]})
    _parquet(tmp_path / "in" / "40.parquet", {"width": ["640", "320"]} | odd)
    assert landed() == {f"{number:02}": _PLAIN for number in range(41)}


def test_a_warehouse_of_an_older_release_looks_at_the_files_itself(tmp_path: Path, landed: Callable) -> None:
    _parquet(tmp_path / "in" / "a.parquet", {"width": ["640", "320"]})
    _parquet(tmp_path / "in" / "b.parquet", {"uid": [decimal.Decimal(1), decimal.Decimal(2)]})
    (tmp_path / "in" / "c.csv").write_bytes(_TEXT["a.csv"])
    assert landed() == {"a": _PLAIN, "b": _PLAIN, "c": _PLAIN}
    table = Facts(tmp_path / "home" / "facts")["landing_shards"]
    rows = table.read()
    nothing = pa.nulls(len(rows), rows.schema.field("forms").type)
    rows = rows.set_column(rows.schema.get_field_index("forms"), "forms", nothing)
    refused = [
        {**row, "status": "failed", "failure": "not understood"} for row in rows.to_pylist() if row["shard"] == "c"
    ]
    table.upsert(rows)
    table.upsert(pa.Table.from_pylist(refused, table.schema))
    assert landed() == {"a": _PLAIN, "b": _PLAIN, "c": _PLAIN}, "what it refused is looked at again"
