"""Captions of new shards change groups as if all captions were grouped anew, and the old files are not read again."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from orchestration.catalog import samples_view
from orchestration.duplicates import caption_groups as captions
from orchestration.duplicates import kept_captions
from orchestration.duplicates.caption_groups import JOIN_ID
from orchestration.facts import FactTable
from orchestration.facts.filters import equals
from tests.planted import Planted

LONG = "a small harbour at dusk with three old fishing boats"


class Grouped:
    """A warehouse whose captions are grouped again and again, beside one that groups them once."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.planted = Planted(folder)
        self.read: list[int | None] = []
        opened = samples_view.open_view

        def noted(facts, settings, models=(), files=None):  # noqa: ANN001, ANN202
            self.read.append(None if files is None else len(files))
            return opened(facts, settings, models, files)

        monkeypatch.setattr(samples_view, "open_view", noted)

    def update(self, *, against_anew: bool = True) -> tuple[list[dict], dict]:
        """Group what is new, and hold the groups against those of a warehouse that has none yet, or do not."""
        facts = self.planted.facts
        note = captions.update(facts, self.planted.settings)
        rows = facts["caption_groups"].read().sort_by("caption_key").to_pylist()
        if not against_anew:
            return rows, note
        read, self.read = self.read, []
        other = Planted(self.planted.folder, thresholds=self.planted.thresholds, place=f"anew-{facts['joins'].version}")
        other.land()
        anew = captions.update(other.facts, other.settings)
        self.read = read
        assert rows == other.facts["caption_groups"].read().sort_by("caption_key").to_pylist()
        unlike = {"seconds": 0}
        assert note | unlike == anew | unlike
        return rows, note


@pytest.fixture
def grouped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grouped:
    """Return a warehouse whose captions were grouped once."""
    found = Grouped(tmp_path, monkeypatch)
    found.planted.land(a=[LONG, f"{LONG} today", *(f"{at} alone {at + 1}" for at in range(30))], b=[LONG, "else"])
    rows, note = found.update(against_anew=False)
    assert found.read == [None]
    assert (len(rows), note["new"], note["pairs"]) == (2, 33, 1)
    found.read = []
    return found


def test_new_shards_change_groups_as_if_all_were_grouped(grouped: Grouped) -> None:
    planted = grouped.planted
    planted.land(c=[f"{LONG} again", "quite new", "quite new", "else"])
    rows, note = grouped.update()
    assert (len(rows), note["new"], note["pairs"]) == (3, 35, 2)
    planted.land(c=[*[f"{LONG} again"] * 4, "quite new"])  # delivered again, with what then leads the group
    rows, _ = grouped.update()
    assert len({row["group_key"] for row in rows}) == 1
    planted.land(b=None)
    _, note = grouped.update()
    assert note["new"] == 34, "nobody says else any more"
    assert grouped.read == [1, 1, 0], "only what is new is read"
    assert captions.update(planted.facts, planted.settings)["new"] == 34
    assert len(grouped.read) == 3, "nothing is due"
    planted.thresholds = "[thresholds]\ncaption = 0.95\n"
    rows, _ = grouped.update(against_anew=False)
    assert grouped.read[3:] == [None]
    assert not rows


@pytest.mark.thorough
def test_many_changes_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Captions of few words, so that most are near others and heads come and go."""
    grouped, rng = Grouped(tmp_path, monkeypatch), np.random.default_rng(5)

    def some(count: int) -> list[str]:
        return [" ".join(rng.choice(list("abcdefgh"), rng.integers(4, 8), replace=False)) for _ in range(count)]

    grouped.planted.thresholds = "[thresholds]\ncaption = 0.6\n"
    grouped.planted.land(a=some(60), b=some(60), c=some(60))
    grouped.update()
    for changes in (
        {"d": some(8)},
        {"e": some(12), "d": None},
        {"e": some(12), "f": some(3)},
        {"f": None},
        {"d": some(1)},
    ):
        grouped.planted.land(**changes)
        grouped.update()
    assert None not in grouped.read[1:], "none of them was grouped as a whole"


def test_rows_that_are_listed_from_a_dump_come_with_the_dump(grouped: Grouped) -> None:
    table = grouped.planted.facts["landing_shards"]
    rows = table.read().to_pylist()
    for row in rows:  # as of a dataset without metadata
        row.update(metadata_path=None, metadata_size=None, metadata_mtime_ns=None)
    table.upsert(pa.Table.from_pylist(rows, table.schema))
    facts, settings = grouped.planted.facts, grouped.planted.settings
    captions.update(facts, settings)
    grouped.read = []
    captions.update(facts, settings)
    assert grouped.read == []
    table.upsert(pa.Table.from_pylist([rows[0] | {"images_mtime_ns": 7}], table.schema))
    captions.update(facts, settings)
    assert grouped.read, "the dump was delivered again"


@pytest.mark.parametrize(
    "point",
    [
        pytest.param((kept_captions, "write"), marks=pytest.mark.thorough),
        (FactTable, "upsert"),
        pytest.param((FactTable, "note_recipe"), marks=pytest.mark.thorough),
    ],
)
def test_a_run_that_was_killed_is_made_good(
    grouped: Grouped, monkeypatch: pytest.MonkeyPatch, point: tuple[object, str]
) -> None:
    """Before the words are kept; between the groups and the note of their join; and before it is noted that all is."""
    grouped.planted.land(c=[f"{LONG} again"])
    with monkeypatch.context() as patch:
        patch.setattr(*point, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            captions.update(grouped.planted.facts, grouped.planted.settings)
    grouped.read = []
    grouped.update()
    assert grouped.read == [None], "all are grouped, and kept again"
    grouped.planted.land(d=["one more"])
    grouped.update(against_anew=False)
    assert grouped.read == [None, 1]


def test_what_takes_too_long_or_is_not_exact_is_grouped_as_a_whole(
    grouped: Grouped, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = grouped.planted
    planted.land(c=[f"{LONG} number {at}" for at in range(30)])  # nearly as many as there were
    grouped.update(against_anew=False)
    assert grouped.read == [1, None]
    grouped.read = []
    planted.land(d=[f"{LONG} more"])
    with monkeypatch.context() as patch:
        patch.setattr(captions, "_COMPARISONS", -1)
        patch.setattr(captions, "_EACH", -1)
        grouped.update()
    assert grouped.read == [1, None]
    (note,) = planted.facts["joins"].read(where=equals("join_id", JOIN_ID)).to_pylist()
    assert not note["exact"]
    assert not planted.facts["shard_captions"].dataset().count_rows()
    planted.land(d=[f"{LONG} more and more"])
    grouped.update()
    assert grouped.read == [1, None, None]
