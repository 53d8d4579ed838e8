"""What is installed: the interpreter that `make` takes, the wheel and the sdist, and the lock on every Python."""

import ast
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.12", "3.13", "3.14")
_FROM_SOURCE = ("pdqhash", "imagededup", "iopath", "jsonpath-rw")
"""Packages that have no wheel for some of these: they are built at their installation."""
_NO_INDEX = ("dns error", "Connect", "timed out", "Failed to fetch")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return a folder with the Makefile, and in `bin` the only commands of its machine."""
    (tmp_path / "bin").mkdir()
    for command in ("sh", "make", "mkdir"):
        (tmp_path / "bin" / command).symlink_to(_which(command))
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def _which(command: str) -> Path:
    return next(path for folder in os.get_exec_path() if (path := Path(folder, command)).is_file())


def _environment(machine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Have make set up the environment, without what belongs into it."""
    command = ["make", ".venv/bin/python", *arguments]
    env = {"PATH": str(machine / "bin"), "HOME": str(machine)}
    return subprocess.run(command, cwd=machine, env=env, capture_output=True, text=True, check=False)


def _script(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def _python(machine: Path, name: str) -> None:
    """Put this interpreter there under a name; as a script, since a link would look for its library beside itself."""
    _script(machine / "bin" / name, f'exec {sys.executable} "$@"')


def test_make_takes_the_python_that_runs(machine: Path) -> None:
    _script(machine / "bin" / "python3.12", "echo 'python3.12: command not found, but 3.13.1 has it' >&2; exit 127")
    _python(machine, "python3.13")
    done = _environment(machine)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([machine / ".venv/bin/python", "-m", "pip", "--version"], check=False).returncode == 0


def test_make_takes_the_python_that_it_is_given(machine: Path) -> None:
    _script(machine / "bin" / "python3.12", "exit 0")
    _script(machine / "bin" / "mine", 'mkdir -p .venv/bin && echo "$@" > .venv/bin/python')
    assert _environment(machine, "PYTHON=mine").returncode == 0
    assert (machine / ".venv/bin/python").read_text() == "-m venv .venv\n"


def test_make_asks_uv_where_there_is_no_python(machine: Path) -> None:
    _script(machine / "bin" / "uv", 'mkdir -p .venv/bin && echo "$@" > .venv/bin/python')
    assert _environment(machine).returncode == 0
    assert (machine / ".venv/bin/python").read_text() == "venv --quiet --seed --python >=3.12,<3.15 .venv\n"


@pytest.mark.parametrize(
    ("there", "argument", "found"),
    [
        ({}, "", "found: none. Install one"),
        ({"python3": "3.11.2"}, "", "found: python3 is 3.11.2. Install"),
        ({"python3": "3.15.0 without venv"}, "", "found: python3 is 3.15.0 without venv. Install"),
        ({"python3.13": "3.13.5", "old": "3.9.1"}, "PYTHON=old", "found: old is 3.9.1. Install"),
    ],
    ids=["none", "old", "new", "named"],
)
def test_make_says_what_to_install_and_what_it_found(
    machine: Path, there: dict[str, str], argument: str, found: str
) -> None:
    for name, version in there.items():
        _script(machine / "bin" / name, f'case "$2" in *exit*) exit 1;; esac; echo {version}')
    done = _environment(machine, *argument.split())
    assert done.returncode == 2 and found in done.stderr and "apt install python3 python3-venv" in done.stderr
    assert not (machine / ".venv").exists()


def test_the_pythons_that_are_named_are_the_same_everywhere() -> None:
    named = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if each.startswith("Programming Language")]
    assert (PROJECT["requires-python"], named) == (">=3.12,<3.15", ["Only", *PYTHONS])
    assert (ROOT / ".python-version").read_text().split() == [*PYTHONS]


@pytest.mark.thorough
def test_the_bill_of_materials_has_every_package_of_the_lock(tmp_path: Path) -> None:
    """By the command of `make sbom`."""
    told = subprocess.run(
        ["make", "-n", "--no-print-directory", "-o", ".venv/.ready", "sbom"], cwd=ROOT, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stderr
    _, module, *words = told.stdout.partition("python ")[2].replace("\\\n", "").split()
    file = tmp_path / "sbom.json"
    command = [sys.executable, "-m", module, *(str(file) if "dist/" in word else word for word in words)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    bill = json.loads(file.read_bytes())
    locked = re.findall(r"(?m)^([a-z0-9._-]+)(?:\[.*?\])?==(\S+)", (ROOT / "requirements.lock").read_text())
    assert {(each["name"], each["version"]) for each in bill["components"]} == set(locked)
    assert all(any(where.get("hashes") for where in each["externalReferences"]) for each in bill["components"])
    assert bill["metadata"]["component"]["name"] == PROJECT["name"]


@pytest.mark.parametrize(
    "version", [*(pytest.param(each, marks=pytest.mark.thorough) for each in PYTHONS[:-1]), PYTHONS[-1]]
)
def test_the_lock_can_be_installed_on_every_python(version: str, tmp_path: Path) -> None:
    """Asked of the index: whether each package has a wheel for it, but those that are compiled anyway."""
    options = [option for name in _FROM_SOURCE for option in ("--no-binary", name)]
    command = [sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--require-hashes", "--only-binary", ":all:"]
    command += [*options, "--python-version", version, "--target", str(tmp_path), "--requirement", "requirements.lock"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode and any(word in done.stderr for word in _NO_INDEX):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr


def test_no_annotation_means_a_member_of_its_own_class() -> None:
    """From Python 3.14 annotations are evaluated when the class is whole: `settings` may be its property by then."""
    shadowed = []
    for package in ("raisonne", "orchestration", "transforms"):
        for path in (ROOT / package).rglob("*.py"):
            classes = [each for each in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(each, ast.ClassDef)]
            shadowed += [
                f"{path}: {made.name}.{name}" for made in classes for name in _members(made) & _annotated(made)
            ]
    assert shadowed == []


def _members(made: ast.ClassDef) -> set[str]:
    return {each.name for each in made.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def _annotated(made: ast.ClassDef) -> set[str]:
    """Return the names in the annotations of a class and its methods, but for those in quotes."""
    found: list[ast.expr | None] = []
    for node in made.body:
        if isinstance(node, ast.AnnAssign):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found += [node.returns, *(each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg))]
    return {each.id for part in found if part for each in ast.walk(part) if isinstance(each, ast.Name)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    _build(ROOT, folder, "sdist", "wheel")
    return folder


def _build(source: Path, folder: Path, *targets: str) -> None:
    options = [option for target in targets for option in ("--target", target)]
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder), *options]
    subprocess.run(command, cwd=source, check=True, capture_output=True)


def _only(folder: Path, pattern: str) -> Path:
    [file] = folder.glob(pattern)
    return file


def test_the_wheel_has_what_the_package_reads_and_nothing_else(built: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this tree is not a checkout of git, so that nothing tells its files from others")
    tracked = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    code = {name for name in tracked if name.startswith(("raisonne/", "orchestration/", "transforms/"))}
    models = {f"orchestration/{name}" for name in tracked if name.startswith("sql/")}
    with zipfile.ZipFile(_only(built, "*.whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == code | models
    assert {f"{package}/py.typed" for package in ("raisonne", "orchestration", "transforms")} <= names


def test_the_sdist_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(_only(built, "*.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    _build(_only(tmp_path, "raisonne-*"), tmp_path / "again", "wheel")
    assert _only(tmp_path / "again", "*.whl").read_bytes() == _only(built, "*.whl").read_bytes()


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that has the wheel, and its dependencies from this one."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, str(_only(built, "*.whl"))], check=True)
    shared = next(each for each in sys.path if each.endswith("site-packages"))
    _only(folder, "lib/python*/site-packages").joinpath("shared.pth").write_text(shared)
    return python


def _printed(python: Path, where: Path, *arguments: str) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run([python, *arguments], cwd=where, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_installs_into_a_bare_environment(installed: Path, tmp_path: Path) -> None:
    folder = installed.parents[1]
    said = _printed(installed, tmp_path, str(folder / "bin" / "raisonne"), "--version")
    assert said.strip().endswith(PROJECT["version"])
    assert _printed(installed, tmp_path, "-c", "import raisonne; print(raisonne.__file__)").startswith(str(folder))
    code = (
        "from orchestration.definitions import defs; from orchestration.warehouse import models; "
        "from orchestration.warehouse.sql_folder import SQL; "
        "print(SQL, len(models.load(SQL)), len(defs.resolve_all_asset_keys()))"
    )
    sql, found, assets = _printed(installed, tmp_path, "-c", code).split()[-3:]
    there = [path for path in (ROOT / "sql").glob("*/*.sql") if path.parent.name not in ("functions", "macros")]
    assert sql.startswith(str(folder)) and int(found) == len(there) < int(assets)


def test_the_public_api_is_typed_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        "import raisonne\n"
        "reveal_type(raisonne.check('a.png'))\n"
        "reveal_type(raisonne.open().show('a.png'))\n"
        "reveal_type(raisonne.EncoderId)\n"
    )
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nfollow_imports = skip\n[mypy-raisonne.*,transforms.*]\nfollow_imports = normal\n"  # others' are slow
    )
    said = _printed(Path(sys.executable), tmp_path, "-m", "mypy", "--python-executable", str(installed), "user.py")
    kinds = [line.partition("Revealed type is ")[2] for line in said.splitlines() if "Revealed" in line]
    assert [kind for kind in kinds if "Any" in kind] == [] and len(kinds) == 3 and "Verdict" in kinds[0]
