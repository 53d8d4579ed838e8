"""The arithmetic of docs/explanation/laion-2b.md follows from its inputs."""

import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "explanation" / "laion-2b.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]
INPUTS = {row[0].strip("`"): float(row[1]) for row in ROWS if len(row) == 5}
RESULTS = [(row[0].strip("`"), row[1], row[3].strip("`")) for row in ROWS if len(row) == 4]


def computed() -> dict[str, float]:
    """Evaluate the formulas in the page's order: arithmetic over names, numbers and `min`."""
    values = dict(INPUTS)
    for name, _, formula in RESULTS:
        assert re.fullmatch(r"[\w\s.+*/()-]+|min|,", formula.replace(",", " ")), formula
        values[name] = eval(formula, {"__builtins__": {}, "min": min}, values)  # noqa: S307 -- our own page, checked above
    return values


def test_the_page_has_tables() -> None:
    assert len(INPUTS) > 15 and len(RESULTS) > 20
    assert all(kind in {"measured", "published", "assumed"} for kind in (row[3] for row in ROWS if len(row) == 5))


@pytest.mark.parametrize(("name", "shown"), [(name, shown) for name, shown, _ in RESULTS])
def test_a_result_follows_from_the_inputs(name: str, shown: str) -> None:
    value = computed()[name]
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=0.01), f"{name} is {value:.4g}"
