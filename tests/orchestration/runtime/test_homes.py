"""A home whose file system refuses something is refused before the work, by a kernel that really refuses it."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Landing, command

from orchestration.runtime.homes import HomeError, require_usable
from tests.mounts import mounted

# Landlock takes rights below a folder away from a process for good, as a mount or a server would: hence one of its own.
_RESTRICTED = """
import ctypes, struct, sys
from pathlib import Path

def call(number, *arguments):
    done = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if done < 0:
        sys.exit(77)
    return done

rules = call(444, struct.pack("Q", 1 << int(sys.argv[1])), 8, 0)
call(157, 38, 1, 0, 0, 0)  # no new privileges
call(446, rules, 0)
from orchestration.runtime.homes import HomeError, require_usable
try:
    require_usable(Path(sys.argv[2]))
except HomeError as error:
    print(error)
"""
_REMOVE, _MAKE_FILES, _MAKE_LINKS = 5, 8, 12


@pytest.mark.parametrize(
    ("right", "cannot"),
    [
        (_MAKE_LINKS, "the file system of HOME cannot make symbolic links"),
        (_REMOVE, "the file system of HOME cannot replace a symbolic link in one step"),
        (_MAKE_FILES, "the file system of HOME cannot write and sync files"),
    ],
)
def test_what_the_kernel_refuses_is_named_with_the_fix(right: int, cannot: str, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", _RESTRICTED, str(right), str(tmp_path / "home")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel has no Landlock")
    fix = "which a warehouse needs; move `home` to a local disk"
    assert done.stdout == f"{cannot} (Permission denied), {fix}\n".replace("HOME", str(tmp_path / "home")), done.stderr


@pytest.mark.parametrize(
    ("module", "call", "cannot"),
    [
        (fcntl, "flock", "lock folders"),
        (fcntl, "lockf", "lock files"),
        (os, "link", "make hard links"),
        (os, "chmod", "make files read-only"),
        (os, "symlink", "make symbolic links"),
        (os, "replace", "replace a symbolic link in one step"),
    ],
)
def test_each_ability_is_tried(
    module: Any,  # noqa: ANN401
    call: str,
    cannot: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(module, call, refuse)
    with pytest.raises(HomeError, match=rf"cannot {cannot} \(Operation not supported\).*move `home` to a local disk"):
        require_usable(tmp_path / "home")


def test_a_trial_leaves_nothing(tmp_path: Path) -> None:
    require_usable(tmp_path / "new" / "home")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "facts").mkdir()
    require_usable(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["facts", "new"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("nosymfollow", "cannot open files through symbolic links"),
        ("ro", r"cannot be written \(Read-only file system\); correct its permissions"),
    ],
)
def test_a_disk_that_is_mounted_with_less_is_refused(options: str, says: str, tmp_path: Path) -> None:
    with mounted(tmp_path / "home", options) as home, pytest.raises(HomeError, match=says):
        require_usable(home)


def test_a_run_into_such_a_home_begins_nothing(landing: Landing) -> None:
    landing.home.touch()
    refused = command(landing.config, "run", check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"raisonne: {landing.home} cannot be written (File exists); correct its permissions, or choose another `home`\n"
    )
