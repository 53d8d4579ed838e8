"""Paths are paths: what a glob finds, and which parts of it are none."""

import os
from pathlib import Path

import pytest

from transforms.catalog.landing import find_shards
from transforms.catalog.not_taken import NotTakenCounts
from transforms.storage import globs, stores
from transforms.storage.system_files import HIDDEN, is_system_file

NAMES = (
    "part1.tar",
    "part[1].tar",
    "part*.tar",
    "part?.tar",
    "[x]/a.tar",
    "x/b.tar",
    "k=v/c.tar",
    "a b#%20.tar",
    "y/[*].tar",
)


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.tar", ["a b#%20.tar", "part*.tar", "part1.tar", "part?.tar", "part[1].tar"]),
        ("part[1].tar", ["part[1].tar"]),
        ("part[1-9].tar", ["part1.tar"]),
        ("part?.tar", ["part?.tar"]),
        ("[x]/*.tar", ["[x]/a.tar"]),
        ("[xz]/*.tar", ["x/b.tar"]),
        ("part*.tar", ["part*.tar", "part1.tar", "part?.tar", "part[1].tar"]),
        ("y/[*].tar", ["y/[*].tar"]),
        ("k=v/*.tar", ["k=v/c.tar"]),
    ],
)
def test_a_name_that_exists_is_that_name(landing: Path, pattern: str, found: list[str]) -> None:
    assert sorted(e.path for e in globs.glob(f"{landing}/{pattern}")) == sorted(f"{landing}/{name}" for name in found)


def test_a_folder_of_odd_name_above_the_glob_is_that_folder(tmp_path: Path) -> None:
    home = tmp_path / "[data] 100%"
    home.mkdir()
    (home / "0.tar").write_bytes(b"x")
    assert [s.name for s in find_shards("d", None, f"{home}/*.tar")] == ["0"]
    assert globs.fixed_part(f"{home}/*.tar") == str(home)


def test_a_folder_whose_name_is_not_utf8_is_found_by_what_settings_can_hold(tmp_path: Path) -> None:
    home = tmp_path / os.fsdecode(b"lat\xe9in")
    (home / "train").mkdir(parents=True)
    (home / "train" / "1.jpg").write_bytes(b"x")
    (home / "0.tar").write_bytes(b"x")
    written = stores.plain(str(home))
    assert [each.name for each in find_shards("d", None, f"{written}/*.tar")] == ["0"]
    assert [each.name for each in find_shards("d", None, f"{written}/train")] == ["train"]


def test_files_that_systems_leave_are_counted_and_no_shards(landing: Path) -> None:
    for name in ("._part1.tar", "@eaDir/x.tar", ".cache/y.tar"):
        (landing / name).parent.mkdir(exist_ok=True)
        (landing / name).write_bytes(b"x")
    counts = NotTakenCounts()
    found = find_shards("d", None, f"{landing}/**/*.tar", counts)
    assert sorted(s.name for s in found) == sorted(name.removesuffix(".tar") for name in NAMES)
    assert [(each.reason, each.files) for each in counts.counts()] == [(HIDDEN, 3)]
    assert [s.name for s in find_shards("d", None, f"{landing}/.cache/*.tar")] == ["y"]


def test_a_link_to_nothing_is_a_shard_that_cannot_be_read_and_not_one_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "0.tar").symlink_to(tmp_path / "unmounted" / "0.tar")
    (shard,) = find_shards("d", None, f"{tmp_path}/*.tar")
    assert shard.images is not None and shard.images.size == 0


def test_a_link_that_leads_back_is_followed_no_further(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.tar").write_bytes(b"x")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    counts = NotTakenCounts()
    assert [s.name for s in find_shards("d", None, f"{tmp_path}/**/*.tar", counts)] == ["a/0"]
    assert [each.reason for each in counts.counts()] == ["reached through a link that leads back to where it lies"]


def test_a_folder_that_is_called_a_parquet_is_the_files_in_it(tmp_path: Path) -> None:
    for name in ("x.parquet/part-0.snappy.parquet", "x.parquet/part-1.parquet", "x.parquet/_SUCCESS", "y.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    counts = NotTakenCounts()
    found = find_shards("d", f"{tmp_path}/*", None, counts)
    assert [s.name for s in found] == ["x.parquet/part-0.snappy", "x.parquet/part-1", "y"]
    assert {each.reason: each.files for each in counts.counts()} == {
        "a by-product of img2dataset or Spark, no dump": 1,
        "a folder, not a file of metadata; name the files in it": 1,
    }


def test_a_compressed_tar_is_the_shard_of_its_metadata(tmp_path: Path) -> None:
    for name in ("0.tar.gz", "0.parquet", "1.tar", "1.tar.gz"):
        (tmp_path / name).write_bytes(b"x")
    found = find_shards("d", f"{tmp_path}/*.parquet", f"{tmp_path}/*.tar*")
    assert [(s.name, s.metadata is not None) for s in found] == [("0", True), ("1", False), ("1.tar", False)]


@pytest.mark.parametrize("name", ["a/b.jpg", "./a.jpg", "a..b", "Thumbs.dbx", "@eaDirs/x", "~x.jpg", "_x.jpg"])
def test_other_names_are_no_system_files(name: str) -> None:
    assert not is_system_file(name)
