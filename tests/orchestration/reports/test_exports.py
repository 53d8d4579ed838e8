"""Exports whose writer is killed: readers find whole pages at any time, and the next writer finishes the work.

The process under test kills itself before a change to the folder that it counts, so that no timing decides.
"""

import errno
import itertools
import json
import os
import signal
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
import sqlglot

from orchestration.reports import exports
from orchestration.reports.pictures import PictureReader
from orchestration.settings import Settings
from tests.benchmarks import warehouse
from tests.planted import MODELS
from tests.processes import FORKS
from transforms.pictures import Pixels
from transforms.reports.drawings import thumbnails
from transforms.storage import staging

CLUSTERS = (3, 5)
VERSION = 3  # of what tests/benchmarks/warehouse.py makes
_CHANGES = {"os.rename": 1, "os.remove": 0}
"""What changes a folder, and which argument names the place. Two paths change places right after renameat2 is found."""


def test_tables_are_exported_in_an_order() -> None:
    """The same facts give the same files, however many threads make the tables."""
    by_name = {model.name: model for model in MODELS}
    unordered = [
        name
        for name in exports.TABLES
        if not sqlglot.parse_one(by_name[name].select, dialect="duckdb").args.get("order")
    ]
    assert unordered == []


class Killer:
    """Kills this process with SIGKILL before the change of a number to a folder, not counting what lies below it."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.left = str(folder), number

    def heard(self, event: str, given: tuple[object, ...]) -> None:
        place = os.fsdecode(str(given[_CHANGES[event]])) if event in _CHANGES else ""
        if os.path.dirname(place) == self.folder or (event == "ctypes.dlsym" and given[1] == "renameat2"):  # noqa: PTH120
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= 1


def write(database: Path, folder: Path, formats: tuple[str, ...], number: int | None = None) -> None:
    """Write exports in this process, or as far as a change of the folder."""
    if number is not None:
        sys.addaudithook(Killer(folder, number).heard)
    with duckdb.connect(str(database), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        pictures = PictureReader(lambda _: np.zeros((8, 8, 3), np.uint8))
        exports.write(con, folder, formats, pictures, Settings(home=folder.parent))


def killed(database: Path, folder: Path, formats: tuple[str, ...], number: int) -> bool:
    """Write exports in a process of its own. Returns whether it was killed; fails if it ended in another way."""
    process = FORKS.Process(target=write, args=(database, folder, formats, number))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def pages(folder: Path) -> dict[str, bytes]:
    inner = folder / "pages"
    return {str(path.relative_to(inner)): path.read_bytes() for path in inner.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("databases")
    one, two = (folder / f"{clusters}.duckdb" for clusters in CLUSTERS)
    for file, clusters in zip((one, two), CLUSTERS, strict=True):
        warehouse.make(file, clusters)
    return one, two


@pytest.mark.parametrize("step", [2, pytest.param(1, marks=pytest.mark.thorough)])
def test_pages_are_the_old_or_the_new_ones_whenever_their_writer_is_killed(
    databases: tuple[Path, Path], tmp_path: Path, step: int
) -> None:
    folder, calm = tmp_path / "out", [tmp_path / name for name in ("one", "two")]
    for database, alone in zip(databases, calm, strict=True):
        write(database, alone, ("html",))
    old, new = map(pages, calm)
    assert old != new
    write(databases[0], folder, ("html",))
    seen = []
    for number in itertools.count(step=step):
        if not killed(databases[1], folder, ("html",), number):
            break
        found = pages(folder)
        assert found in (old, new), f"pages of neither export after {number} changes"
        seen.append(found == new)
        assert not exports.complete(folder, VERSION), "the next run finishes"
    assert len(seen) * step >= 5 and seen == sorted(seen) and set(seen) == {False, True}
    assert pages(folder) == new
    assert {path.name for path in folder.iterdir()} == {
        "pages",
        "duplicate_frequency.html",
        "provenance.html",
        exports.MANIFEST,
    }


def test_a_manifest_tells_whole_exports_from_others(databases: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for formats in (("html", "csv"), ("xlsx",), ("parquet",)):
        assert not exports.complete(folder, VERSION)
        write(databases[0], folder, formats)
    assert exports.complete(folder, VERSION), "formats of one version add up"
    assert not exports.complete(folder, VERSION + 1)
    for name in ("sources.csv", "raisonne.xlsx", "provenance.html", "pages/cluster.html"):
        file = folder / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-1])
        assert not exports.complete(folder, VERSION), name
        file.unlink()
        assert not exports.complete(folder, VERSION), name
        file.write_bytes(whole)
        assert exports.complete(folder, VERSION)
    for torn in (b"", b"[]", b'{"version": 3', b'{"version": 3}', b'{"version": 3, "files": 7}'):
        (folder / exports.MANIFEST).write_bytes(torn)
        assert not exports.complete(folder, VERSION)


def test_what_the_manifest_lists_is_on_disk_before_it(
    databases: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, synced = tmp_path / "out", set()

    def note(path: Path) -> None:
        synced.add(path.stat().st_ino)
        if path.name == exports.MANIFEST:
            listed = json.loads(path.read_text())["files"]
            assert {(folder / name).stat().st_ino for name in listed} | {folder.stat().st_ino} <= synced
            assert not (folder / exports.MANIFEST).exists()
        if path.is_dir():
            raise OSError(errno.EINVAL, "as file systems say that cannot sync a folder", str(path))

    monkeypatch.setattr(staging, "sync", note)
    write(databases[0], folder, ("html", "csv"))
    assert {path.stat().st_ino for path in folder.rglob("*")} <= synced


def replaced(folder: Path, text: str) -> str:
    """Replace a folder by one with that text. Returns what it holds, and fails if anything else is left."""
    with staging.staging_folder(folder) as partial:
        (partial / "pages").mkdir()
        (partial / "pages" / "page").write_text(text)
        staging.replace_folder(partial / "pages", folder / "pages")
    assert [path.name for path in folder.iterdir()] == ["pages"] and not (folder / "pages").is_symlink()
    [page] = (folder / "pages").iterdir()
    return page.read_text()


def test_a_folder_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert replaced(tmp_path, "first") == "first"
    monkeypatch.setattr(Path, "rename", lambda *_: pytest.fail("a step of two"))
    assert replaced(tmp_path, "second") == "second"


def test_where_folders_cannot_change_places_one_goes_before_the_other_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(one: Path, other: Path) -> None:
        raise OSError(errno.EINVAL, "as NFS says", str(other))

    monkeypatch.setattr(staging, "_exchange", refused)
    assert [replaced(tmp_path, text) for text in ("first", "second")] == ["first", "second"]


def test_small_copies_are_read_several_at_once_and_stay_in_order() -> None:
    shown = {n: np.full((8, 8, 3), 20 * n, np.uint8) for n in range(6)}

    def source(sample_id: int) -> Pixels:
        if sample_id in (4, 2):
            raise OSError(f"{sample_id} is gone")
        return shown[sample_id]

    ids = [5, 4, 0, 2, 3]
    several = PictureReader(source)
    small = [None if each in (4, 2) else thumbnails.source(shown[each], 8) for each in ids]
    assert several.thumbnails_of(ids, 8) == small
    assert list(several.unread.items()) == [(4, "4 is gone"), (2, "2 is gone")]
    assert several.thumbnails_of([]) == []
    flagged = [(each, each == 0) for each in ids]
    made = list(PictureReader(source).each_unflagged(flagged, lambda pixels: int(pixels[0, 0, 0])))
    assert [str(each) for each in made] == ["100", "4 is gone", "None", "2 is gone", "60"]
    failed = made[1]
    assert isinstance(failed, OSError) and failed.__traceback__ is None, "no frames are held"
