"""No cell of a safe table starts a formula, and nothing else about the table changes."""

import csv
import io

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given

from transforms.spreadsheets import neutralise, safe_table

FORMULAS = "=+-@＝＋－＠"


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://evil.example","click")',
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1:A9)",
        "\t=1",
        "\rplain",
        "\nplain",
        "\x00=1",
        "   =1",
        "\u00a0\u200b\ufeff=1",
        "＝1",
        "＋1",
        "－1",
        "＠SUM",
    ],
)
def test_a_formula_becomes_text(text: str) -> None:
    assert neutralise(text).startswith("'")
    assert neutralise(text).replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("text", ["", "a red barn", "1 + 1 = 2", "it's", "'=1", "e-mail@example.org", "x-ray", "–1"])
def test_other_text_stays(text: str) -> None:
    assert neutralise(text) == text


@pytest.mark.parametrize("separator", [";", "\t", "\n", "\r"])
def test_a_separator_inside_a_cell_starts_no_formula(separator: str) -> None:
    """A comma-separated file opened where the list separator is `;` is split inside quotes."""
    assert neutralise(f"a{separator} =1") == f"a{separator} '=1"
    assert neutralise(f"a{separator}{separator}=1") == f"a{separator}{separator}'=1"


texts = st.text(st.sampled_from([*FORMULAS, *" \t\r\n\x00;'a1\u00a0\u200b\ufeff"]), max_size=12) | st.text()


@given(texts)
def test_no_cell_however_split_starts_a_formula(text: str) -> None:
    safe = neutralise(text)
    assert neutralise(safe) == safe, "a second pass changed it"
    for separator in "\t\r\n":
        safe = safe.replace(separator, ";")
    assert all(cell.lstrip(" \u00a0\u200b\ufeff\x00")[:1] not in [*FORMULAS] for cell in safe.split(";"))


@given(st.lists(st.none() | texts))
def test_a_column_reads_like_its_cells(cells: list[str | None]) -> None:
    column = safe_table(pa.table({"caption": pa.array(cells, pa.string())}))["caption"]
    assert column.to_pylist() == [None if cell is None else neutralise(cell) for cell in cells]


def test_numbers_booleans_and_times_stay_the_same_columns() -> None:
    table = pa.table(
        {
            "id": pa.array([2**64 - 1, 0, None], pa.uint64()),
            "delta": pa.array([-1, 2, None]),
            "p": pa.array([0.5, -0.25, None]),
            "recalled": pa.array([True, False, None]),
            "at": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
        }
    )
    assert safe_table(table).equals(table)


def test_the_table_it_was_given_stays_as_it_was() -> None:
    table = pa.table({"caption": ["=1", "plain", None]})
    safe_table(table)
    assert table["caption"].to_pylist() == ["=1", "plain", None]


def test_lists_become_one_text() -> None:
    table = pa.table(
        {
            "hosts": pa.array([["a.example", "=b"], [], None, ["-c", None, "d"]], pa.list_(pa.string())),
            "box": pa.array([[1, -2], [-3], None, [4, 5]], pa.list_(pa.int32())),
            "point": pa.array([[-1, 2], [3, 4], None, [5, 6]], pa.list_(pa.int16(), 2)),
        }
    )
    for start in range(4):  # slices share buffers with their parent
        safe = safe_table(table.slice(start))
        assert safe["hosts"].to_pylist() == ["a.example; '=b", "", None, "'-c; d"][start:]
        assert safe["box"].to_pylist() == ["1; -2", "-3", None, "4; 5"][start:]
        assert safe["point"].to_pylist() == ["-1; 2", "3; 4", None, "5; 6"][start:]


def test_structs_become_dotted_columns_and_a_missing_struct_missing_cells() -> None:
    table = pa.table({"region": [{"x": 1, "of": {"name": "=a"}}, None]})
    safe = safe_table(table)
    assert safe.column_names == ["region.x", "region.of.name"]
    assert safe.to_pylist() == [{"region.x": 1, "region.of.name": "'=a"}, {"region.x": None, "region.of.name": None}]


def test_names_categories_and_binary_are_safe_too() -> None:
    table = pa.table({"=name": pa.array(["=a", "b"]).dictionary_encode(), "bytes": [b"=1", b""]})
    assert safe_table(table).to_pylist() == [{"'=name": "'=a", "bytes": "3d31"}, {"'=name": "b", "bytes": ""}]


def test_an_empty_table_keeps_its_columns() -> None:
    table = pa.table({"caption": pa.array([], pa.string()), "n": pa.array([], pa.int64())})
    assert safe_table(table).schema.names == ["caption", "n"]
    assert safe_table(table).num_rows == 0


def test_written_as_csv_every_cell_reads_back_neutralised() -> None:
    captions = ["=cmd|'/C calc'!A0", 'quoted "=1", then more', "two\nlines", "ok", "a;=b"]
    written = io.BytesIO()
    pyarrow.csv.write_csv(safe_table(pa.table({"caption": captions})), written)
    rows = list(csv.reader(io.StringIO(written.getvalue().decode(), newline="")))
    assert [row[0] for row in rows[1:]] == [neutralise(caption) for caption in captions]
