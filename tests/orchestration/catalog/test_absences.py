"""Nothing found is not taken for nothing there: the run stops, names the setting, and says how to remove for good."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.catalog.absences import (
    empty_sources,
    gone_shards,
    require_coverage,
    require_datasets,
    unknown_names,
)
from orchestration.catalog.shards import shard_number
from orchestration.facts import Facts
from orchestration.settings import Settings
from orchestration.settings.inputs import Dataset, Generations
from transforms.catalog.columns import LandingError
from transforms.catalog.landing import IMAGES_ONLY, OK, LandedShard, LandingFile, Shard
from transforms.catalog.not_taken import NotTakenCounts

FILE = LandingFile("x", 1, 1)
BOTH = Dataset(name="d", metadata="laion/*.parquet", images="laion/*.tar")


def shard(name: str, dataset: str = "d", *, metadata: bool = True, images: bool = True) -> Shard:
    return Shard(dataset, name, FILE if metadata else None, FILE if images else None)


def landed(*shards: Shard, rows: int = 10, status: str = OK) -> list[LandedShard]:
    return [LandedShard(shard_number((each.dataset, each.name)), each, status, rows=rows) for each in shards]


def refusal(
    shards: Sequence[Shard],
    known: Sequence[LandedShard] = (),
    datasets: Sequence[Dataset] = (BOTH,),
    not_taken: dict[str, NotTakenCounts] | None = None,
    forget: Sequence[str] = (),
) -> str:
    try:
        require_datasets(shards, known, datasets, not_taken or {}, forget)
    except LandingError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("shards", "setting", "pattern"),
    [
        ([], "metadata", "laion/*.parquet"),
        ([shard("1", metadata=False)], "metadata", "laion/*.parquet"),
        ([shard("1", images=False)], "images", "laion/*.tar"),
        ([shard("1", "other")], "metadata", "laion/*.parquet"),
    ],
)
def test_a_glob_that_finds_nothing_is_named_with_its_setting(shards: list[Shard], setting: str, pattern: str) -> None:
    said = refusal(shards)
    assert said.startswith(f"nothing found at {pattern}; correct `{setting}` of [[datasets]] 'd'")
    assert said.endswith("run `raisonne run --forget d`")


def test_what_was_found_and_not_taken_is_said_with_it() -> None:
    counts = NotTakenCounts()
    counts.add("spark", "a folder", "x.parquet")
    assert "not taken: 1 (a folder), such as x.parquet" in refusal([], not_taken={"d": counts})


def test_datasets_of_which_all_is_found_pass_also_when_some_shards_lack_a_half() -> None:
    assert refusal([shard("1", images=False), shard("2", metadata=False)]) == ""
    assert refusal([shard("1", metadata=False)], datasets=[Dataset(name="d", images="train")]) == ""


def test_pictures_that_are_yet_to_be_downloaded_are_not_missed_and_those_that_were_are() -> None:
    download = [Dataset(name="d", metadata="laion/*.parquet", download="pictures")]
    now = [shard("1", images=False)]
    assert refusal(now, landed(*now), download) == ""
    assert refusal(now, landed(shard("1")), download).startswith("nothing found at pictures; correct `download`")


def test_a_dataset_that_left_the_settings_is_removed_only_by_its_name() -> None:
    known = landed(shard("1", "old"), shard("2", "old"), shard("1"))
    said = refusal([shard("1")], known)
    assert said.startswith("dataset 'old' is in the warehouse (2 shards), but no longer in the settings")
    assert "`raisonne run --forget old`" in said
    assert refusal([shard("1")], known, forget=["odl"]) == said, "a typing error forgets nothing"
    assert refusal([shard("1")], known, forget=["old"]) == ""
    assert "take its [[datasets]] section out" in refusal([shard("1")], known, forget=["d", "old"])


def test_gone_shards_and_gone_dumps_are_counted_by_dataset() -> None:
    known = landed(shard("1"), shard("2"), shard("3"), shard("4"), shard("1", "e"))
    now = [shard("1"), shard("2", images=False), shard("1", "e")]
    assert gone_shards(now, known) == [
        "1 of 4 shards of 'd' have no image dump any more, such as 2",
        "2 of 4 shards of 'd' are gone with their rows, such as 3",
    ]


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    """Return a warehouse without facts."""
    return Facts(tmp_path / "facts")


def fingerprinted(facts: Facts, known: Sequence[LandedShard], ok: int) -> None:
    table = facts["fingerprinted_shards"]
    rows = [
        {"shard_id": each.shard_id, "fingerprint": "hashes", "dataset": each.files.dataset, "ok": ok, "low_quality": 0}
        for each in known
    ]
    table.upsert(pa.Table.from_pylist(rows, table.schema))


def test_fingerprints_are_not_deleted_while_much_of_a_dataset_is_away(facts: Facts) -> None:
    settings = Settings(home=Path("home"), datasets=(BOTH,))
    known = landed(*(shard(str(n)) for n in range(20)))
    fingerprinted(facts, known, ok=10)
    require_coverage(facts, known[:18], known, settings)  # a tenth is not more than a tenth
    with pytest.raises(LandingError, match=r"170 rows .* of 200 before \(15% fewer\)") as refused:
        require_coverage(facts, known[:17], known, settings)
    assert "3 of 20 shards of 'd' are gone with their rows" in str(refused.value)
    assert "raisonne run --accept-drop" in str(refused.value)
    with pytest.raises(LandingError, match="no image dump any more"):
        require_coverage(facts, landed(*(shard(str(n), images=False) for n in range(20))), known, settings)
    require_coverage(facts, [], known, Settings(home=Path("home")))  # forgotten on purpose


def test_shards_of_another_name_make_up_for_those_that_are_gone(facts: Facts) -> None:
    settings = Settings(home=Path("home"), datasets=(BOTH,))
    known = landed(*(shard(str(n)) for n in range(4)))
    fingerprinted(facts, known, ok=10)
    require_coverage(facts, landed(*(shard(f"moved/{n}") for n in range(4))), known, settings)
    dumps = landed(*(shard(f"moved/{n}", metadata=False) for n in range(4)), rows=0, status=IMAGES_ONLY)
    require_coverage(facts, dumps, known, settings)


def test_an_empty_source_of_generations_is_named_and_stops_where_it_had_some(facts: Facts) -> None:
    sources = [Generations(name="full", path="a"), Generations(name="empty", path="b")]
    assert empty_sources(facts, sources, {"full"}) == [
        "no generations at b; add pictures, or correct `path` of [[generations]] 'empty'"
    ]
    table = facts["generation_fingerprints"]
    table.upsert(pa.Table.from_pylist([{"generation_id": "empty/1", "source": "empty"}], table.schema))
    assert empty_sources(facts, sources, {"full", "empty"}) == []
    with pytest.raises(
        LandingError, match=r"nothing found at b, but the warehouse has 1 generation of it; correct `path`"
    ):
        empty_sources(facts, sources, {"full"})


def test_a_name_that_is_nowhere_is_not_forgotten_in_silence(facts: Facts) -> None:
    assert unknown_names(facts, {"d"}, ["odl"]) == "`--forget odl`: the warehouse has no such dataset; it has: none"
    table = facts["landing_shards"]
    table.upsert(pa.Table.from_pylist([each.row() for each in landed(shard("1", "old"))], table.schema))
    assert unknown_names(facts, {"d"}, ["old", "d"]) is None
    said = unknown_names(facts, {"d"}, ["old", "odl"])
    assert said == "`--forget odl`: the warehouse has no such dataset; it has: old"
