"""Folders of exports: one writer at a time, nothing left by a killed one, and only our own are removed."""

import shutil
import tempfile
import threading
from pathlib import Path

import duckdb
import pytest
import xlsxwriter.workbook

from orchestration.reports import exports
from orchestration.settings import Settings
from transforms.reports.spreadsheets import sheets
from transforms.storage.staging import new_folder, staging_folder


def test_a_folder_is_written_from_within_by_one_at_a_time(tmp_path: Path) -> None:
    folder, order = tmp_path / "mount", []
    (folder / ".exporting-killed" / "pages").mkdir(parents=True)

    def second() -> None:
        with staging_folder(folder):
            order.append("second")

    with staging_folder(folder) as partial:
        assert list(folder.iterdir()) == [partial], (
            "within, or it could not be renamed out of it; the killed one's is gone"
        )
        other = threading.Thread(target=second)
        other.start()
        other.join(0.2)
        order.append("first")
    other.join(600)
    assert order == ["first", "second"]
    assert list(folder.iterdir()) == []


def test_a_failure_leaves_no_folder_where_there_was_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk full"), staging_folder(tmp_path / "new"):
        raise OSError("disk full")
    assert not list(tmp_path.iterdir())


def test_only_default_folders_of_gone_versions_are_removed_and_none_that_is_being_written(tmp_path: Path) -> None:
    kept = ("version-000003", "version-000004", "version-2-for-the-lawyers")
    for name in (*kept, "version-000001"):
        (tmp_path / "exports" / name).mkdir(parents=True)
    (tmp_path / "exports" / "version-000002").symlink_to(tmp_path)
    with staging_folder(exports.default_folder(tmp_path, 3)):
        exports.prune(tmp_path, {4})
        assert {path.name for path in (tmp_path / "exports").iterdir()} == {*kept, "version-000002"}
    assert tmp_path.exists()


def test_a_folder_of_somebody_s_where_a_file_goes_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "TABLES", ("made.sources",))
    (tmp_path / "sources.csv").mkdir()
    with duckdb.connect() as con:
        con.execute("create schema made; create table made.sources as select 1 as a")
        with pytest.raises(FileExistsError, match="choose another with --to"):
            exports.write(con, tmp_path, ("csv",), lambda sample_id: None, Settings(home=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["sources.csv"]


def test_a_disk_that_is_full_is_an_error_of_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xlsxwriter.workbook.Workbook, "_store_workbook", full)
    with pytest.raises(OSError, match="No space left"), sheets.book(tmp_path / "made.xlsx"):
        pass


def test_a_folder_that_another_writer_takes_for_abandoned_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two guard exports at once: between making and locking its folder, one could lose it to the other."""
    make, gone = tempfile.mkdtemp, []

    def made(prefix: str, dir: Path) -> str:  # noqa: A002 -- the name of mkdtemp's argument
        folder = make(prefix=prefix, dir=dir)
        if not gone:
            gone.append(folder)
            shutil.rmtree(folder)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", made)
    with new_folder(tmp_path / "bundle") as folder:
        (folder / "file").write_text("whole")
    assert gone and [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (tmp_path / "bundle" / "file").read_text() == "whole"
