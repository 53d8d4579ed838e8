"""Functions of the published file: they say what their twins in Python say, and recipes change with them."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from orchestration.warehouse import functions, macros, models, sql_folder
from orchestration.warehouse.headers import ModelError
from transforms.catalog.columns import BLANKS, MISSING, MISSING_CAPTIONS, stated, stated_caption
from transforms.intervals import wilson
from transforms.matches.null_distribution import Null, Tail, fit


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty database that has the functions."""
    with duckdb.connect() as opened:
        macros.create(opened, functions.load(sql_folder.SQL))
        yield opened


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 40), (3, 40), (40, 40), (1, 10**9), (7, 12)])
def test_an_interval_is_the_one_of_python(con: duckdb.DuckDBPyConnection, successes: int, trials: int) -> None:
    share = successes / trials
    [(low, high)] = con.execute(
        "select wilson_low($1::double, $2), wilson_high($1::double, $2)", [share, trials]
    ).fetchall()
    expected = wilson(share, trials)
    assert (low, high) == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert 0 <= low <= share <= high <= 1


def test_without_trials_an_interval_is_everything(con: duckdb.DuckDBPyConnection) -> None:
    assert con.execute("select wilson_low(null, 0), wilson_high(null, 0)").fetchall() == [(0, 1)]


_SPELLED = sorted(
    MISSING | MISSING_CAPTIONS | {"", "NA", "na", "cc-by 4.0", "no", "nan nan", "Nina", "NASA", "0", "false"}
)


@pytest.mark.parametrize("word", _SPELLED)
def test_what_is_missing_is_missing_in_sql_and_in_python(con: duckdb.DuckDBPyConnection, word: str) -> None:
    for spelled in {word, word.upper(), word.title(), *(f"{blank}{word}{blank * 2}" for blank in BLANKS)}:
        [said] = con.execute("select stated($1::varchar), stated_caption($1::varchar)", [spelled]).fetchall()
        assert said == (stated(spelled), stated_caption(spelled)), repr(spelled)


@pytest.mark.parametrize(
    "word", ["nan", "NaN", "None", "<NA>", "null", "NULL", "N/A", "n/a", "?", " ", "undefined", r"\N"]
)
def test_what_programs_write_for_a_missing_value_states_nothing(word: str) -> None:
    assert stated(word) is None


def test_a_value_is_stated_without_the_blanks_around_it() -> None:
    assert stated(" cc-by 4.0\t\ufeff") == "cc-by 4.0"
    assert stated("na") == "na"
    assert stated(None) is None


@pytest.mark.parametrize("caption", ["none", "NONE", "Null", "NULL", "N/A", "?", "unknown", " a cat "])
def test_a_caption_of_such_a_word_is_a_caption(caption: str) -> None:
    assert stated_caption(caption) == caption


_DRAWN = np.random.default_rng(7).normal(0.1, 0.05, 300)
_NULLS = {
    "few": fit(_DRAWN[:12], 0.9),
    "tail": fit(_DRAWN, 0.9),
    "exponential": Null(np.sort(_DRAWN), Tail(float(np.quantile(_DRAWN, 0.9)), 0.0, 0.02, 30)),
    "heavy": Null(np.sort(_DRAWN), Tail(float(np.quantile(_DRAWN, 0.9)), 0.4, 0.02, 30)),
    "none": Null(np.array([])),
}


@pytest.mark.parametrize("name", _NULLS)
def test_a_p_value_is_the_one_of_python(con: duckdb.DuckDBPyConnection, name: str) -> None:
    null = _NULLS[name]
    tail = null.tail
    scores = [*np.linspace(-0.2, 3, 200), *null.scores[:20], *([tail.threshold] if tail else [])]
    for score, expected in zip(scores, null.p_values(scores), strict=True):
        base = min(score, tail.threshold) if tail else score
        [(p,)] = con.execute(
            "select tail_p_value($1::double, $2, $3, $4::double, $5::double, $6::double)",
            [
                float(score),
                int((null.scores >= base).sum()),
                len(null.scores),
                *((tail.threshold, tail.shape, tail.scale) if tail else (None, None, None)),
            ],
        ).fetchall()
        assert math.isclose(p, expected, rel_tol=1e-9), score


def _written(folder: Path, **bodies: str) -> Path:
    (folder / "functions").mkdir(exist_ok=True)
    for name, body in bodies.items():
        (folder / "functions" / f"{name}.sql").write_text(f"-- A number.\n-- parameter x: a number\n{body}\n")
    return folder


def test_functions_are_created_after_those_they_call(tmp_path: Path) -> None:
    folder = _written(tmp_path, a="b(x) + c(x)", b="x + 1", c="b(x) * 2")
    with duckdb.connect() as con:
        macros.create(con, functions.load(folder))
        assert con.execute("select a(1)").fetchall() == [(6,)]


def test_the_words_of_a_statement_change_with_every_function_behind_it_and_no_other(tmp_path: Path) -> None:
    statement = "select a(1)"
    folder = _written(tmp_path, a="b(x)", b="x + 1", other="x")
    before = functions.words(statement, functions.load(folder))
    assert functions.words(statement, functions.load(_written(folder, other="x + 2"))) == before
    assert functions.words(statement, functions.load(_written(folder, b="x  +  1 -- laid out anew"))) == before
    assert functions.words(statement, functions.load(_written(folder, b="x + 2"))) != before
    assert functions.words("select 1", functions.load(folder)) == ("select", "1")


def test_a_function_that_says_too_little_is_refused(tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "vague.sql").write_text("-- A number.\n1")
    with pytest.raises(ModelError, match=r"vague\.sql: begin with what it returns"):
        functions.load(tmp_path)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("https://creativecommons.org/licenses/by-nc/2.0/", "cc-by-nc-2.0"),
        ("http://www.creativecommons.org/licenses/BY-SA/4.0/deed.de", "cc-by-sa-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode", "cc-by-4.0"),
        ("//creativecommons.org/licenses/by/3.0/us/", "cc-by-3.0-us"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "cc-pdm-1.0"),
        ("https://creativecommons.org/about", "https://creativecommons.org/about"),
        ("https://example.org/licenses/by/2.0/", "https://example.org/licenses/by/2.0/"),
        ("cc-by", "cc-by"),
        (None, None),
    ],
)
def test_an_address_of_a_licence_becomes_its_short_name(
    con: duckdb.DuckDBPyConnection, written: str | None, name: str | None
) -> None:
    assert con.execute("select license_name(?)", [written]).fetchall() == [(name,)]


def test_a_cosine_is_published_within_its_bounds(con: duckdb.DuckDBPyConnection) -> None:
    given = [1.0000002, -1.0000002, 1.0, -1.0, 0.25, None]
    rows = [con.execute("select bounded_cosine($1::double)", [each]).fetchall() for each in given]
    assert rows == [[(each,)] for each in (1.0, -1.0, 1.0, -1.0, 0.25, None)]
    [(single,)] = con.execute("select bounded_cosine(1.0000002::float)").fetchall()
    assert single == 1.0


_NO_COSINE = {
    ("duplicates.methods", "threshold"),
    ("duplicates.policies", "level"),
    ("duplicates.policies", "rule"),
    ("provenance.guard_log", "value"),
}
"""Columns that say cosine of what a setting or a caller states."""


def test_every_column_of_cosines_promises_their_bounds() -> None:
    """What says cosine is one, or is said here to be none: it may not exceed 1 by rounding."""
    lacking = []
    for model in models.load(sql_folder.SQL):
        promised = model.asserts
        for column, text in model.columns.items():
            if re.search(r"\bcosine\b", text) and (model.name, column) not in _NO_COSINE:
                promise = rf"\b{column} (between|>= 0)"
                if not any(re.search(promise, sentence) for sentence in promised):
                    lacking.append((model.name, column))
    assert lacking == []
