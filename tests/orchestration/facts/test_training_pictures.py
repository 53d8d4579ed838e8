"""Pictures that are read next are located together."""

from pathlib import Path

import pytest

from orchestration.facts.training_pictures import StoredPicture, TrainingPictures
from orchestration.reports.pictures import PictureReader
from tests.planted import Planted
from transforms.pictures import Bounds


def test_expected_pictures_are_located_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = Planted(tmp_path)
    planted.land(a=["one", "two", "three"])
    planted.fingerprint("a", range(3))
    first = planted.shard("a") << 26
    source = TrainingPictures(planted.facts, Bounds())
    asked: list[list[int]] = []
    locate = TrainingPictures.locate

    def noted(self: TrainingPictures, sample_ids: list[int]) -> dict[int, StoredPicture]:
        asked.append(list(sample_ids))
        return locate(self, asked[-1])

    monkeypatch.setattr(TrainingPictures, "locate", noted)
    reader = PictureReader(source)

    def refused(row: int) -> bool:
        try:
            reader.read(row)
        except (OSError, ValueError):
            return True
        return False

    reader.expect(each for each in (first, first + 1, 7))
    assert all(refused(each) for each in (first, first + 1, 7, first)), "the dump is empty"
    assert asked == [[first, first + 1, 7]]
    assert {row: "its shard is gone" in why for row, why in reader.unread.items()} == {
        first: False,
        first + 1: False,
        7: True,
    }
    refused(first + 2)
    reader.expect([first + 2])
    refused(first)
    assert asked[1:] == [[first + 2], [first + 2], [first]], "what was expected before is no more"
