"""`transforms/` stays below `orchestration/`: arrays and files in, arrays out, whoever calls."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "transforms").rglob("*.py"))
ABOVE = {"orchestration", "dagster", "dagster_ray", "duckdb", "lancedb", "click", "pydantic_settings"}


def imported(source: str) -> set[str]:
    """Return the top-level packages that a module imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in {
            "import_module",
            "__import__",
        }:
            found |= {str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)}
    return {name.partition(".")[0] for name in found}


def test_the_check_sees_every_kind_of_import() -> None:
    source = (
        "import a.b\nfrom c.d import e\ndef f():\n    import g\n    importlib.import_module('h.i')\n    __import__('j')"
    )
    assert imported(source) == {"a", "c", "g", "h", "j"}


def test_there_are_modules_to_check() -> None:
    assert len(MODULES) > 10


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_transform_imports_nothing_from_the_layer_above(module: Path) -> None:
    assert imported(module.read_text(encoding="utf-8")) & ABOVE == set()
