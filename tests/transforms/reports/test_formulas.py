"""No text starts a formula or a cell's overflow, and nothing else about it changes."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from transforms.reports.spreadsheets.formulas import CELL, fit, neutralise

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


@given(st.text(st.sampled_from("a\U0001f600"), min_size=1, max_size=9), st.integers(1_000, 9_000))
def test_a_cell_holds_what_excel_takes_and_says_what_it_lost(part: str, times: int) -> None:
    text = part * times
    cell, wide = fit(text), len(text.encode("utf-16-le")) // 2
    kept, mark, _ = cell.partition("… [cut: ")
    assert len(cell.encode("utf-16-le")) // 2 <= CELL
    assert bool(mark) == (wide > CELL)
    assert cell == (f"{text[: len(kept)]}… [cut: {len(text):,} characters]" if mark else text)
