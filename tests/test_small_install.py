"""The guard runs where nothing is installed but what it needs: the dependency group `guard`."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import bundles
from bundles import Blurred
from conftest import PATIENCE_S, ROOT, encoded, picture

from transforms.guard import Guard

HEAVY = (
    *("torch", "torchvision", "open_clip", "dagster", "dagster_webserver", "lance", "lancedb", "duckdb", "polars"),
    *("scipy", "cv2", "sqlglot", "fsspec", "jinja2", "rensa", "xlsxwriter", "prompt_toolkit", "ray", "sklearn"),
    *("pyarrow", "numba", "llvmlite"),
)
_APART = {"bundle_writer.py", "kernels.py", "cut_kernels.py"}  # for who exports a bundle, and where Numba is installed
_BLOCKED = f"""
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"{{name}} is not installed", name=name)

sys.meta_path.insert(0, Refuse())
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {HEAVY!r} else find_spec(name, *rest)
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _BLOCKED + program, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def test_an_image_is_checked_without_torch_dagster_and_lance(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle", [encoded(picture(1))])
    (tmp_path / "copy.jpg").write_bytes(encoded(picture(1)))
    program = "from orchestration.cli.main import main; main()"
    done = run(program, "check", "--bundle", str(folder), str(tmp_path / "copy.jpg"))
    assert done.returncode == 10, done.stderr
    assert json.loads(done.stdout)["verdict"] == "exact"


def test_the_service_and_the_encoder_load_without_them() -> None:
    done = run(
        "from orchestration.cli.guard.serve import serve\n"
        "from orchestration.guard.service import app, current_bundle\n"
        "from transforms.encoders.sscd import OnnxSscd\n"
        "import raisonne; raisonne.Guard, raisonne.GuardClient\n"
        "print('loaded')"
    )
    assert (done.stdout, done.returncode) == ("loaded\n", 0), done.stderr


def test_numpy_answers_as_numba_does(tmp_path: Path) -> None:
    files = [encoded(picture(seed)) for seed in range(70)]
    folder = bundles.write(tmp_path / "bundle", files, Blurred(), indexed=True)
    shown = [encoded(picture(7), quality=40), encoded(picture(200)), files[5]]
    paths = [tmp_path / str(number) for number in range(len(shown))]
    for path, data in zip(paths, shown, strict=True):
        path.write_bytes(data)
    done = run(
        "import json\n"
        "from tests.blurred import Blurred\n"
        "from transforms.guard import Guard\n"
        "from transforms.guard.deltas import delta\n"
        "from transforms.packages import COMPILED\n"
        "guard = Guard.load(sys.argv[1], Blurred())\n"
        "assert not COMPILED and guard.bundle.hashes.arrays is not None\n"
        "print(json.dumps([guard.check(each).as_dict() | {'latency_ms': 0} for each in sys.argv[2:]]))",
        *map(str, (folder, *paths)),
    )
    assert done.returncode == 0, done.stderr
    guard = Guard.load(folder, Blurred())
    here = [guard.check(path).as_dict() | {"latency_ms": 0} for path in paths]
    assert json.loads(done.stdout) == json.loads(json.dumps(here))
    assert [each["decision"] for each in here][::2] == ["block", "block"]


def test_the_group_names_what_the_guard_imports() -> None:
    """Every package that the guard's modules import at their head is in the group, and none of the heavy ones is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    group = {re.split(r"[=<>!\[]", each)[0].lower().replace("-", "_") for each in project["dependency-groups"]["guard"]}
    assert group.isdisjoint({name.lower() for name in HEAVY} | {"pylance", "open_clip_torch"})
    named = {"PIL": "pillow", "minisign": "py_minisign", "pydantic": "pydantic_settings"}
    files = [
        *(each for each in (ROOT / "transforms" / "guard").rglob("*.py") if each.name not in _APART),
        *(ROOT / "orchestration" / "guard" / "service").glob("*.py"),
    ]
    files += (ROOT / "transforms" / "pictures").rglob("*.py")
    imported = set()
    for file in files:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    others = imported - set(sys.stdlib_module_names) - {"transforms", "orchestration"} - {"cv2"}
    assert {named.get(name, name).lower() for name in others} <= group
