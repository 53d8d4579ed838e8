"""The house rules that a reader relies on: where code lies, what it is handed, and how it says what it takes.

Everything is read from the source, without importing it. Which package may import which is held by the contracts in
pyproject.toml, which one test here runs.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT

type Function = ast.FunctionDef | ast.AsyncFunctionDef

ASSET_LINES = 25
MODULES_A_PACKAGE = 12
ASSEMBLY = {"orchestration/definitions.py", "orchestration/automation.py"}
RESOURCE = "orchestration/runtime/resources.py"
_SQL = re.compile(
    r"(?is)\b(select|with)\b.+\bfrom\b|\b(insert into|create (or replace )?(table|view|temp))\b|\bcopy \("
)
_DAGSTER = {
    "asset",
    "multi_asset",
    "asset_check",
    "multi_asset_check",
    "sensor",
    "asset_sensor",
    "schedule",
    "op",
    "job",
}
_SPEAKS_ITSELF = {"command", "group", "overload", "intrinsic", "exception_handler"}
"""Decorators of functions whose parameters are described elsewhere: options of the command, the function overloaded."""


@dataclass(frozen=True)
class Source:
    """A module as it is written."""

    path: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.path.rpartition("/")[0]

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Yield the functions of the module and the methods of its classes, with their names."""
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, node
            elif isinstance(node, ast.ClassDef):
                methods = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
                yield from ((f"{node.name}.{each.name}", each) for each in methods)


@cache
def sources() -> tuple[Source, ...]:
    packages = ("raisonne", "orchestration", "transforms")
    files = sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))
    return tuple(Source(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))) for path in files)


def assets() -> tuple[Source, ...]:
    return tuple(source for source in sources() if source.path.startswith("orchestration/defs/"))


def decorators(function: Function) -> set[str]:
    """Return the last words of a function's decorators: `asset` of `@dg.asset(…)`."""
    plain = (each.func if isinstance(each, ast.Call) else each for each in function.decorator_list)
    return {ast.unparse(each).rpartition(".")[2] for each in plain}


def parameters(function: Function) -> list[ast.arg]:
    """Return every parameter but `self` and `cls`."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    starred = [each for each in (given.vararg, given.kwarg) if each]
    return [each for each in named + starred if each.arg not in {"self", "cls"}]


def body_lines(function: Function) -> int:
    """Count the lines of a body, from its first statement after the docstring to its last."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def literals(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the strings of a tree that are not docstrings; of an f-string its written parts."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | Function.__value__))
    documentation = {id(node.body[0].value) for node in nodes if ast.get_docstring(node, clean=False) is not None}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node


def imports(tree: ast.AST) -> set[str]:
    """Return every module that is imported anywhere, also inside functions: `a.b`, `a.b.c` of `from a.b import c`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {
            "import_module",
            "__import__",
        }:
            names |= {str(each.value) for each in node.args if isinstance(each, ast.Constant)}
    return names


def named_in_args(docstring: str) -> set[str]:
    """Return the parameters that a docstring's `Args:` section names, one a line."""
    _, _, section = docstring.partition("\nArgs:\n")
    section = re.split(r"\n(?=\S)", section)[0]
    return {each[1] for each in re.finditer(r"^ {4}\*{0,2}(\w+)(?: \([^)]*\))?:", section, re.MULTILINE)}


def test_the_sources_are_read() -> None:
    assert len(sources()) > 150 and len(assets()) > 8
    assert sum("asset" in decorators(function) for source in assets() for _, function in source.functions()) > 15
    tree = ast.parse("def f(a, *b, c):\n    'select x from y'\n    import g.h\n    return f'select {a} from t'")
    assert [each.value for each in literals(tree)] == ["select ", " from t"]
    assert imports(tree) == {"g.h"}
    assert [each.arg for each in parameters(tree.body[0])] == ["a", "c", "b"] and body_lines(tree.body[0]) == 2
    assert named_in_args("Do.\n\nArgs:\n    a: One.\n        More: text.\n    *b: Two.\n\nReturns:\n    c: x") == {
        "a",
        "b",
    }


def test_assets_are_short() -> None:
    long = {
        f"{source.path} {name}": body_lines(function)
        for source in assets()
        for name, function in source.functions()
        if decorators(function) & _DAGSTER and body_lines(function) > ASSET_LINES
    }
    assert long == {}, f"an asset takes {ASSET_LINES} lines at most; the rest belongs to orchestration/<stage>/"


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every string that is not a docstring; an f-string as one."""
    parts = list(literals(tree))
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in whole for part in ast.walk(node)}
    yield from ((node.lineno, "".join(part.value for part in literals(node))) for node in whole)
    yield from ((part.lineno, part.value) for part in parts if id(part) not in inside)


def test_assets_hold_no_sql() -> None:
    found = [f"{each.path}:{line}" for each in assets() for line, text in texts(each.tree) if _SQL.search(text)]
    assert found == []


def test_nothing_but_the_assembly_imports_assets() -> None:
    importers = {
        source.path
        for source in sources()
        if any(name == "orchestration.defs" or name.startswith("orchestration.defs.") for name in imports(source.tree))
    }
    assert importers - ASSEMBLY == set(), "an asset names another by its key; what both need lies below defs/"


def test_packages_are_small() -> None:
    modules = Counter(source.package for source in sources() if not source.path.endswith("__init__.py"))
    crowded = {package: count for package, count in modules.items() if count > MODULES_A_PACKAGE}
    assert crowded == {}, f"at most {MODULES_A_PACKAGE} modules a package"


def test_public_class_names_are_unique() -> None:
    places: dict[str, list[str]] = {}
    for source in sources():
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(source.path)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def handed_the_warehouse() -> list[tuple[str, Function]]:
    return [
        (f"{source.path} {name}", function)
        for source in sources()
        for name, function in source.functions()
        for each in parameters(function)
        if each.annotation and re.search(r"\bWarehouseResource\b", ast.unparse(each.annotation))
    ]


def test_only_assets_are_handed_the_warehouse() -> None:
    """One signature an asset: whatever an asset calls is handed the tables and settings that it uses."""
    handed = [(place, function) for place, function in handed_the_warehouse() if not place.startswith(RESOURCE)]
    assert len(handed) > 15
    others = [place for place, function in handed if not decorators(function) & {"asset", "multi_asset"}]
    assert others == [], "hand down the tables and settings that a function uses"


def described() -> dict[str, set[str]]:
    """Return the parameters that the docstring of each function names, by `name` or `Class.name`."""
    named: dict[str, set[str]] = {}
    for source in sources():
        for name, function in source.functions():
            named.setdefault(name, set()).update(named_in_args(ast.get_docstring(function) or ""))
    return named


def undescribed() -> list[str]:
    """Return public functions of two parameters or more with the parameters that their docstring does not name.

    A method of a protocol may refer to it: `See Reporter.`
    """
    lacking = []
    protocols = described()
    for source in sources():
        for name, function in source.functions():
            if any(part.startswith("_") for part in name.split(".")):
                continue
            if decorators(function) & (_DAGSTER | _SPEAKS_ITSELF):
                continue
            given = {each.arg for each in parameters(function)}
            docstring = ast.get_docstring(function) or ""
            referred = re.match(r"See `?(\w+)", docstring)
            method = f"{referred[1]}.{function.name}" if referred else ""
            missing = given - named_in_args(docstring) - protocols.get(method, set())
            if len(given) > 1 and missing:
                lacking.append(f"{source.path} {name}: {', '.join(sorted(missing))}")
    return lacking


def test_public_functions_describe_their_parameters() -> None:
    assert undescribed() == [], "describe each under `Args:`"


def test_packages_import_each_other_as_the_contracts_say() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", found.stdout)
    assert "ignore_imports" not in (ROOT / "pyproject.toml").read_text("utf-8")


def test_the_diagram_of_imports_is_that_of_the_contracts() -> None:
    text = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
    [diagram] = re.findall(r"^```text\n(raisonne/.*?)^```", text, re.MULTILINE | re.DOTALL)
    inside = [path for top in ("orchestration", "transforms") for path in (ROOT / top).iterdir()]
    packages = {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert packages - {"__init__"} - set(re.findall(r"\w+", diagram)) == set()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = {each["containers"][0]: each["layers"] for each in contracts if each["type"] == "layers"}
    head, *lines = diagram.partition("\n\n")[2].splitlines()
    at = head.index("transforms/")
    drawn = {
        "orchestration": [re.split(r"\s{2,}", line[:at].strip())[0] for line in lines],
        "transforms": [line[at:].strip() for line in lines if line[at:].strip()],
    }
    assert drawn == {name: [layer.replace("|", "·") for layer in each] for name, each in layers.items()}


@pytest.mark.parametrize("page", ["docs/explanation/architecture.md", "CONTRIBUTING.md"])
def test_files_that_a_guide_names_exist(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    named = set(re.findall(r"`((?:orchestration|transforms|sql|tests|docs|data)/[^`<>*…\s]*)`", text))
    linked = {each for each in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in each}
    assert named
    assert sorted(each for each in named if not (ROOT / each).exists()) == []
    assert sorted(each for each in linked if not (ROOT / page).parent.joinpath(each).exists()) == []


def test_files_that_a_module_names_exist() -> None:
    """A docstring names a file from the root, from its layer, or from its package or the one around it."""
    named, lost = 0, []
    for source in sources():
        folder = (ROOT / source.path).parent
        places = ROOT, ROOT / "orchestration", ROOT / "transforms", folder, folder.parent
        for name in re.findall(r"`([\w/]+/\w+\.(?:py|sql))`", ast.get_docstring(source.tree) or ""):
            named += 1
            if not any((place / name).exists() for place in places):
                lost.append(f"{source.path}: {name}")
    assert lost == [] and named > 500


@pytest.mark.parametrize(
    "question",
    [
        "does a row of landing metadata become a sample",
        "are two pictures compared",
        "is a verdict decided",
        "is a page written",
        "is a lock taken",
    ],
)
def test_the_architecture_page_answers_with_files(question: str) -> None:
    text = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
    [answer] = re.findall(rf"^### Where {question}.*?\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert re.search(r"`(?:orchestration|transforms|sql)/\S+\.(?:py|sql)`", answer)
