"""Exports whose writer is killed: readers find whole pages at any time, and the next writer finishes the work.

The process under test kills itself before a change to the folder that it counts, so that no timing decides.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from orchestration.reports import exports
from orchestration.reports.pictures import PictureReader
from orchestration.settings import Settings
from tests.benchmarks import warehouse
from tests.processes import FORKS
from transforms.storage import staging

CLUSTERS = (3, 5)
VERSION = 3  # of what tests/benchmarks/warehouse.py makes
_CHANGES = {"os.rename": 1, "os.remove": 0, "os.symlink": 1}
"""What changes a folder, and which argument names the place."""


class Killer:
    """Kills this process with SIGKILL before the change of a number to a folder, not counting what lies below it."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.left = str(folder), number

    def heard(self, event: str, given: tuple[object, ...]) -> None:
        if event in _CHANGES and os.path.dirname(os.fsdecode(str(given[_CHANGES[event]]))) == self.folder:  # noqa: PTH120
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


def test_pages_are_the_old_or_the_new_ones_whenever_their_writer_is_killed(
    databases: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, calm = tmp_path / "out", [tmp_path / name for name in ("one", "two")]
    for database, alone in zip(databases, calm, strict=True):
        write(database, alone, ("html",))
    old, new = map(pages, calm)
    assert old != new
    write(databases[0], folder, ("html",))
    seen = []
    for number in itertools.count():
        if not killed(databases[1], folder, ("html",), number):
            break
        found = pages(folder)
        assert found in (old, new), f"pages of neither export after {number} changes"
        seen.append(found == new)
        assert not exports.complete(folder, VERSION), "the next run finishes"
    assert len(seen) >= 5 and seen == sorted(seen) and set(seen) == {False, True}
    assert pages(folder) == new
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".pages-")} == {
        *("pages", "duplicate_frequency.html", "provenance.html", exports.MANIFEST)
    }
    assert len([*folder.glob(".pages-*")]) == 1, "what the killed ones left is gone"


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


def test_the_folder_of_an_earlier_release_is_replaced_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "pages" / "cases").mkdir(parents=True)
    for text in ("first", "second"):
        with staging.staging_folder(tmp_path) as partial:
            (partial / "pages").mkdir()
            (partial / "pages" / "page").write_text(text)
            staging.replace_folder(partial / "pages", tmp_path / "pages")
        assert [path.name for path in (tmp_path / "pages").iterdir()] == ["page"]
        assert (tmp_path / "pages" / "page").read_text() == text
        assert len([*tmp_path.iterdir()]) == 2, "the link and what it points to"


def test_where_there_are_no_links_the_folder_itself_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: object) -> None:
        raise PermissionError(1, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for text in ("first", "second"):
        with staging.staging_folder(tmp_path) as partial:
            (partial / "pages").mkdir()
            (partial / "pages" / "page").write_text(text)
            staging.replace_folder(partial / "pages", tmp_path / "pages")
        assert [path.name for path in tmp_path.iterdir()] == ["pages"]
        assert (tmp_path / "pages" / "page").read_text() == text
