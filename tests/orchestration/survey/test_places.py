"""Walking folders of any size and depth, with anything in them."""

import os
from itertools import chain
from pathlib import Path

import pytest

from orchestration.survey.places import BEYOND, LINK, PASSED_BY, Budget, Place, walk
from transforms.generations.folders import DANGLING, DEVICE


def unread(place: Place) -> dict[str, str]:
    return {path.name: why for path, why in chain.from_iterable(each.unread for each in place.within())}


def test_of_a_large_folder_no_more_is_listed_than_may_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        (tmp_path / f"{number}.jpg").touch()
    listed = []
    real = os.scandir

    class Counted:
        def __init__(self, folder: Path) -> None:
            self._found = real(folder)

        def __enter__(self) -> "Counted":
            return self

        def __exit__(self, *_: object) -> None:
            self._found.close()

        def __iter__(self) -> "Counted":
            return self

        def __next__(self) -> os.DirEntry[str]:
            listed.append(entry := next(self._found))
            return entry

    monkeypatch.setattr(os, "scandir", Counted)
    place = walk(tmp_path, Budget(10))
    assert (len(place.pictures), len(listed)) == (10, 11)
    assert unread(place) == {tmp_path.name: BEYOND}


def test_hidden_files_count_as_looked_at(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f".{number}").touch()
    assert unread(walk(tmp_path, Budget(10))) == {tmp_path.name: BEYOND}


def test_what_is_no_file_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "to-pipe").symlink_to("pipe.jpg")
    (tmp_path / "long").symlink_to("x" * 300)
    (tmp_path / "nothing").symlink_to("gone")
    (tmp_path / "folder").mkdir()
    (tmp_path / "linked").symlink_to("folder")
    (tmp_path / "z.jpg").touch()
    place = walk(tmp_path, Budget())
    assert [path.name for path, _ in place.pictures] == ["z.jpg"]
    found = unread(place)
    assert found.pop("long") not in PASSED_BY
    assert found == {"pipe.jpg": DEVICE, "to-pipe": DEVICE, "nothing": DANGLING, "linked": LINK}


def test_folders_in_folders_end_somewhere(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(500):
        folder /= "d"
    folder.mkdir(parents=True)
    (tmp_path / "a.jpg").touch()
    place = walk(tmp_path, Budget())
    assert len(place.pictures) == 1
    assert unread(place) == {"d": "not looked into: 100 folders lie above it"}
