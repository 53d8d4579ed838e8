"""A dump that was deleted after its pictures were fingerprinted is remembered, as long as its rows are."""

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Landing, Row, encoded, picture

from orchestration.catalog.gone_dumps import with_gone_dumps
from orchestration.catalog.shards import commit_shards, landed_shards, shard_number
from orchestration.facts import Facts
from orchestration.facts.training_pictures import PixelRecipes
from orchestration.settings.inputs import Dataset
from transforms.catalog.landing import IMAGES_ONLY, OK, LandedShard, LandingFile, Shard

METADATA, IMAGES, OTHER = LandingFile("m", 1, 1), LandingFile("i", 1, 1), LandingFile("o", 2, 2)
BOTH = Dataset(name="d", metadata="laion/*.parquet", images="laion/*.tar")
WHOLE = Shard("d", "1", METADATA, IMAGES)
ROWS = replace(WHOLE, images=None)
DUMP = Shard("d", "00000", None, IMAGES)


def landed(shard: Shard) -> LandedShard:
    status = OK if shard.metadata else IMAGES_ONLY
    return LandedShard(shard_number((shard.dataset, shard.name)), shard, status)


def fingerprinted(tmp_path: Path, *shards: LandedShard) -> Facts:
    facts = Facts(tmp_path / "facts")
    notes = [{"shard_id": each.shard_id, "fingerprint": "hashes", "recipe": "made"} for each in shards]
    facts["fingerprinted_shards"].upsert(pa.Table.from_pylist(notes, facts["fingerprinted_shards"].schema))
    facts["landing_shards"].upsert(
        pa.Table.from_pylist([each.row() for each in shards], facts["landing_shards"].schema)
    )
    return facts


def test_a_dump_stays_while_its_rows_do(tmp_path: Path) -> None:
    known = [landed(WHOLE)]
    facts = fingerprinted(tmp_path, *known)
    [kept] = with_gone_dumps([ROWS], known, [BOTH], facts)
    assert kept == WHOLE and kept.images_gone
    assert [each.images_gone for each in with_gone_dumps([WHOLE], known, [BOTH], facts)] == [False]


@pytest.mark.parametrize(
    ("found", "before", "dataset"),
    [
        (replace(ROWS, metadata=OTHER), WHOLE, BOTH),  # its rows may be others
        (ROWS, WHOLE, Dataset(name="d", metadata="laion/*.parquet")),  # the settings name no dump any more
        (replace(ROWS, metadata=OTHER), Shard("d", "1", IMAGES, IMAGES), BOTH),  # the dump held its rows
    ],
)
def test_a_dump_whose_rows_changed_is_gone(tmp_path: Path, found: Shard, before: Shard, dataset: Dataset) -> None:
    known = [landed(before)]
    assert with_gone_dumps([found], known, [dataset], fingerprinted(tmp_path, *known)) == [found]


def test_a_dump_that_was_never_fingerprinted_is_gone(tmp_path: Path) -> None:
    assert with_gone_dumps([ROWS], [landed(WHOLE)], [BOTH], fingerprinted(tmp_path)) == [ROWS]


def test_a_dump_of_another_name_than_its_metadata_stays_while_all_of_that_does(tmp_path: Path) -> None:
    known = [landed(DUMP), landed(ROWS)]
    facts = fingerprinted(tmp_path, *known)
    new = Shard("d", "2", OTHER, None)
    found = with_gone_dumps([ROWS, new], known, [BOTH], facts)
    assert [(each.name, each.images_gone) for each in found] == [("00000", True), ("1", False), ("2", False)]
    assert with_gone_dumps([new], known, [BOTH], facts) == [new], "the rows that its pictures have are gone"


def test_a_dump_that_goes_and_comes_back_makes_no_shard_due_and_pixels_due_once(tmp_path: Path) -> None:
    known = [landed(WHOLE)]
    facts = fingerprinted(tmp_path, *known)
    table = facts["null_fits"]
    table.note_recipe("made")
    recipes = []
    for gone in (True, False):
        known, before = [replace(known[0], files=replace(WHOLE, images_gone=gone))], known
        assert commit_shards(facts, before, known)["new or changed"] == 0
        assert [each.files.images_gone for each in landed_shards(facts)] == [gone]
        assert facts["fingerprinted_shards"].read()["recipe"].to_pylist() == ["made"]
        recipes.append(PixelRecipes.of(facts, "made"))
        assert recipes[-1].hold([table]), "what needed no pixels, or had them, stands"
    while_gone, back = recipes
    table.note_recipe(while_gone.after(failed=0, waiting=1))
    assert while_gone.hold([table]) and not back.hold([table])
    table.note_recipe(while_gone.after(failed=1, waiting=1))
    assert not while_gone.hold([table]), "what failed for another reason is tried again by the next run"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("metadata", "folder"),
    [("laion/*.parquet", True), ("metadata/*.parquet", False)],
)
def test_the_report_that_is_left_of_a_dump_is_no_dump(
    landing: Landing, rows_of: Callable[[int, int], list[Row]], metadata: str, folder: bool
) -> None:
    """Where the settings name `laion/*`, the report takes the place of the dump beside which it lay."""
    landing.shard("00000", rows_of(0, 3))
    laion = landing.folder / "laion"
    if folder:
        with tarfile.open(laion / "00000.tar") as archive:
            archive.extractall(laion / "00000", filter="data")
        (laion / "00000.tar").unlink()
    if metadata != "laion/*.parquet":
        (landing.folder / "metadata").mkdir()
        shutil.copy(laion / "00000.parquet", landing.folder / "metadata")
    landing.config.write_text(
        f'home = "home"\n[[datasets]]\nname = "tiny"\nmetadata = "{metadata}"\nimages = "laion/*"\n'
        '[encoders]\ncopy = "none"\n[publishing]\ncoverage_drop = 1\n'
    )
    landing.run_here()
    usable = "select count(*) from fingerprints.images where status = 'ok'"
    assert landing.query(usable) == [(3,)]
    shutil.rmtree(laion / "00000") if folder else (laion / "00000.tar").unlink()
    landing.run_here()
    assert landing.query(usable) == [(3,)]
    assert landing.query("select images_gone from catalog.shards") == [(True,)]
    pictures = pa.table({"url": ["u"], "caption": ["c"], "jpg": pa.array([encoded(picture(9))], pa.binary())})
    pq.write_table(pictures, laion / "00000.parquet")
    if metadata != "laion/*.parquet":
        shutil.copy(laion / "00000.parquet", landing.folder / "metadata")
    landing.run_here()
    assert landing.query(usable) == [(1,)], "a parquet of pictures in its place is another delivery"
    assert landing.query("select images_gone from catalog.shards") == [(False,)]
