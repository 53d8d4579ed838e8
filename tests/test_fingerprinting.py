"""What is fingerprinted again, and what is not: deliveries, encoders, second dumps, stores that do not answer."""

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from conftest import Landing, Row, add, encoded, picture
from PIL import Image

from orchestration import progress, settings
from orchestration.defs.catalog import landing_shards
from orchestration.defs.fingerprints import image_fingerprints, redownload_fingerprints
from orchestration.facts import Facts, FactTable
from orchestration.progress import pace
from orchestration.runtime.resources import WarehouseResource
from tests import rights_files

type Rows = Callable[[int, int], list[Row]]
type Materialize = Callable[..., dict[str, object]]


@pytest.fixture
def materialize(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Materialize]:
    """Return what fingerprints everything that is due and gives what Dagster shows of it."""
    for name in [name for name in os.environ if name.startswith("RAISONNE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAISONNE_CONFIG", str(landing.config))
    with dg.DagsterInstance.ephemeral() as instance:

        def run(*chosen: dg.AssetsDefinition, partition: str | None = None) -> dict[str, object]:
            assets = [landing_shards, image_fingerprints, redownload_fingerprints]
            quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            done = dg.materialize(
                assets,
                instance=instance,
                resources={"warehouse": WarehouseResource()},
                run_config=quiet,
                selection=list(chosen) or None,
                partition_key=partition,
            )
            events = done.asset_materializations_for_node("image_fingerprints")
            return {name: value.value for name, value in events[-1].metadata.items()} if events else {}

        yield run


def table(landing: Landing, name: str) -> FactTable:
    return Facts(landing.home / "facts")[name]


def by_member(landing: Landing) -> dict[str, dict]:
    return {row["member"]: row for row in table(landing, "image_fingerprints").read().to_pylist()}


def test_of_a_shard_delivered_again_only_what_is_new_is_computed(
    landing: Landing, rows_of: Rows, materialize: Materialize
) -> None:
    rows = rows_of(0, 6)
    landing.shard("00000", rows)
    first = materialize()
    assert (first["pictures fingerprinted now"], first["known by their bytes"]) == (6, 0)
    before = by_member(landing)
    vectors = table(landing, "copy_embeddings").read().sort_by("sample_id")["vector"].to_pylist()

    landing.shard("00000", [rows[1], rows[0], *rows_of(50, 1), *rows[3:], *rows_of(60, 1)])
    again = materialize()
    assert (again["pictures fingerprinted now"], again["known by their bytes"]) == (7, 5)
    after = by_member(landing)
    assert len(after) == 7
    for now, then in {0: 1, 1: 0, 3: 3, 5: 5}.items():
        assert after[f"{now:09d}.jpg"]["sha256"] == before[f"{then:09d}.jpg"]["sha256"]
        assert after[f"{now:09d}.jpg"]["pdq"] == before[f"{then:09d}.jpg"]["pdq"]
    moved = table(landing, "copy_embeddings").read().sort_by("sample_id")["vector"].to_pylist()
    assert [moved[1], moved[0], moved[3]] == [vectors[0], vectors[1], vectors[3]]
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-3)


def test_nothing_due_computes_nothing_and_commits_nothing(
    landing: Landing, rows_of: Rows, materialize: Materialize
) -> None:
    landing.shard("00000", rows_of(0, 3))
    materialize()
    versions = Facts(landing.home / "facts").versions()
    assert materialize()["shards fingerprinted now"] == 0
    assert Facts(landing.home / "facts").versions() == versions


def test_what_a_killed_run_had_fetched_goes(landing: Landing, rows_of: Rows, materialize: Materialize) -> None:
    left = landing.home / "fetched" / "of-a-killed-run" / "00000.tar"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a tar")
    landing.shard("00000", rows_of(0, 2))
    assert materialize()["pictures fingerprinted now"] == 2
    assert not left.exists()


def test_another_copy_encoder_leaves_the_hashes_and_makes_every_vector_anew(
    landing: Landing, rows_of: Rows, materialize: Materialize
) -> None:
    landing.shard("00000", rows_of(0, 3))
    materialize()
    hashes = table(landing, "image_fingerprints").version
    old = table(landing, "copy_embeddings").encoder
    landing.config.write_text(landing.config.read_text().replace("sscd_distilled", "sscd"))
    materialize()
    assert table(landing, "image_fingerprints").version == hashes
    notes = {row["fingerprint"]: row for row in table(landing, "fingerprinted_shards").read().to_pylist()}
    assert notes["copy"]["encoder"].startswith("sscd ")
    assert notes["hashes"]["encoder"] is None
    assert table(landing, "copy_embeddings").encoder == notes["copy"]["encoder"] != old
    assert table(landing, "copy_embeddings").dataset().count_rows() == 3


def test_what_files_say_is_read_with_their_pixels_and_alone_of_an_older_release(
    landing: Landing, rows_of: Rows, materialize: Materialize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAISONNE_ENCODERS__COPY", "none")
    saying = rights_files.written("PNG", rights_files.packet("<photoshop:Credit>C</photoshop:Credit>"), side=64)
    rows = rows_of(0, 4)
    landing.shard("00000", [replace(rows[0], data=saying), rows[1], replace(rows[2], data=b"no picture"), rows[3]])
    materialize()
    said = table(landing, "picture_rights").read().to_pylist()
    assert [(row["sample_id"] & 0xFF, row["credit"], row["stated_in"], row["unread"]) for row in said] == [
        (0, "C", ["XMP"], None)
    ]
    hashes, notes = table(landing, "image_fingerprints").version, table(landing, "fingerprinted_shards")
    before = notes.read(where="fingerprint = 'hashes'").to_pylist()
    notes.delete("fingerprint = 'rights'")  # as a release left it that did not read it
    table(landing, "picture_rights").delete("true")
    shown = []
    with progress.log_to(shown.append):
        materialize()
    assert any(line.startswith("read for rights tiny/00000: 4 ok") for line in shown), shown
    assert table(landing, "picture_rights").read().to_pylist() == said
    assert table(landing, "image_fingerprints").version == hashes
    assert notes.read(where="fingerprint = 'hashes'").to_pylist() == before
    versions = Facts(landing.home / "facts").versions()
    materialize()
    assert Facts(landing.home / "facts").versions() == versions
    first, second = rows_of(50, 2)
    exif = json.dumps({"Image Artist": "A\u202e. Maker", "Image Copyright": "", "EXIF Flash": "no"})
    noted = json.dumps({"url": second.url, "caption": second.caption, "exif": exif})
    beside = {"000000001.jpg": second.data or b"", "000000001.json": noted.encode()}
    landing.shard("00000", [first, replace(second, data=None)], beside)
    materialize()
    [row] = table(landing, "picture_rights").read().to_pylist()
    assert (row["sample_id"] & 0xFF, row["creator"], row["notice"], row["stated_in"]) == (
        1,
        "A. Maker",
        None,
        ["sidecar"],
    )


def test_a_shard_is_one_commit_with_the_same_contents_whatever_a_commit_holds(
    landing: Landing, rows_of: Rows, materialize: Materialize, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.shard("00000", rows_of(0, 10))
    materialize()
    whole, commits = by_member(landing), table(landing, "image_fingerprints").version
    monkeypatch.setenv("RAISONNE_HOME", str(landing.folder / "pieces"))
    monkeypatch.setenv("RAISONNE_LIMITS__COMMIT_ROWS", "3")
    monkeypatch.setenv("RAISONNE_LIMITS__BATCH", "2")
    materialize()
    pieces = Facts(landing.folder / "pieces" / "facts")["image_fingerprints"]
    assert {row["member"]: row for row in pieces.read().to_pylist()} == whole
    assert pieces.version == commits


def test_a_row_that_two_dumps_show_is_there_once_also_when_one_is_delivered_again(
    landing: Landing, rows_of: Rows, materialize: Materialize
) -> None:
    rows, laion = rows_of(0, 4), landing.folder / "laion"
    shown = {"first": rows[:3], "second": [*(replace(row, data=None) for row in rows[:2]), *rows[2:]]}
    for name, given in shown.items():
        landing.shard("00000", given)
        (laion / "00000.tar").rename(laion / f"{name}.tar")
    materialize()
    kinds = ("image_fingerprints", "copy_embeddings")
    first = {kind: sorted(table(landing, kind).read(["sample_id"])["sample_id"].to_pylist()) for kind in kinds}
    assert [[number & 0xFF for number in ids] for ids in first.values()] == [[0, 1, 2, 3]] * 2
    for name in shown:
        (laion / f"{name}.tar").touch()
        materialize()
        holders = {row["sample_id"]: row["shard_id"] for row in table(landing, "copy_embeddings").read().to_pylist()}
        assert sorted(holders) == first["copy_embeddings"]
        [last] = table(landing, "landing_shards").read(["shard_id"], f"shard = '{name}'")["shard_id"].to_pylist()
        assert holders[first["copy_embeddings"][2]] == last
    for kind in kinds:
        assert sorted(table(landing, kind).read(["sample_id"])["sample_id"].to_pylist()) == first[kind]


def test_a_dump_that_cannot_be_reached_is_tried_again(
    landing: Landing, rows_of: Rows, materialize: Materialize
) -> None:
    landing.shard("00000", rows_of(0, 3))
    tar, away = landing.folder / "laion" / "00000.tar", landing.folder / "away.tar"
    landed = materialize(landing_shards)
    tar.rename(away)
    assert materialize(image_fingerprints)["pictures fingerprinted now"] == 0
    with pytest.raises(dg.Failure, match=r"tiny/00000: .*00000\.tar cannot be reached"):
        materialize(image_fingerprints, partition="tiny/00000")
    assert table(landing, "fingerprinted_shards").dataset().count_rows() == 0
    away.rename(tar)
    assert materialize(image_fingerprints)["pictures fingerprinted now"] == 3
    assert landed == {}


_REDOWNLOADED = ("fingerprints.redownloads", "fingerprints.coverage")


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory, rows_of: Rows) -> Landing:
    """Return a published warehouse whose rows were downloaded twice."""
    landing = Landing(tmp_path_factory.mktemp("twice") / "warehouse")
    landing.write_config()
    landing.config.write_text(
        landing.config.read_text().replace(
            'images = "laion/*.tar"', 'images = "laion/*.tar"\nredownload = "again/*.tar"'
        )
    )
    flat = encoded(Image.new("RGB", (64, 48), (200, 30, 30)), "PNG")
    first = [replace(row, caption=name) for name, row in zip(_OUTCOMES, rows_of(0, len(_OUTCOMES)), strict=True)]
    first = [replace(row, data=None) if row.caption in ("appeared", "never") else row for row in first]
    first = [replace(row, data=flat) if row.caption == "unclear" else row for row in first]
    landing.shard("00000", first)
    second = {
        "same_bytes": first[0].data,
        "same_picture": encoded(picture(1), quality=40),
        "same pixels": encoded(Image.open(io.BytesIO(first[2].data or b"")), "PNG"),
        "different_picture": encoded(picture(90)),
        "unclear": encoded(Image.new("RGB", (64, 48), (30, 30, 200)), "PNG"),
        "appeared": encoded(picture(6)),
        "gone, broken": b"<html>moved</html>",
    }
    (landing.folder / "again").mkdir()
    with tarfile.open(landing.folder / "again" / "00000.tar", "w") as archive:
        for number, row in enumerate(first):
            if (data := second.get(row.caption or "")) is not None:
                add(archive, f"{number:09d}.jpg", data)
                sidecar = {"url": row.url, "caption": row.caption}
                add(archive, f"{number:09d}.json", json.dumps(sidecar).encode())
    landing.run_here(tables=_REDOWNLOADED)
    return landing


_OUTCOMES = {
    "same_bytes": "same_bytes",
    "same_picture": "same_picture",
    "same pixels": "same_picture",
    "different_picture": "different_picture",
    "unclear": "unclear",
    "gone, missing": "gone",
    "gone, broken": "gone",
    "appeared": "appeared",
    "never": "never",
}


@pytest.mark.parametrize("caption", _OUTCOMES)
def test_a_second_dump_says_what_became_of_each_picture(twice: Landing, caption: str) -> None:
    found = twice.query(
        "select caption, outcome, same_pixels, pdq_distance, failure_again "
        "from fingerprints.redownloads join catalog.samples using (sample_id)"
    )
    assert len(found) == len(_OUTCOMES)
    [(_, outcome, same_pixels, distance, failure)] = [row for row in found if row[0] == caption]
    assert outcome == _OUTCOMES[caption]
    if caption == "same pixels":
        assert (same_pixels, distance) == (True, 0)
    if caption == "same_picture":
        assert same_pixels is False and 0 <= distance <= 31
    if outcome == "gone":
        assert failure.startswith("not a picture" if caption == "gone, broken" else "not in the second dump")


def test_a_second_dump_is_not_trained_on_twice_and_is_read_once(
    twice: Landing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert twice.query("select count(*) from catalog.samples") == [(len(_OUTCOMES),)]
    assert twice.query("select expected from fingerprints.coverage where fingerprint = 'sha256'") == [(9,)]
    before = Facts(twice.home / "facts").versions()
    twice.run_here(tables=False)
    assert "second dump" not in capsys.readouterr().err and Facts(twice.home / "facts").versions() == before


@pytest.mark.parametrize(
    ("done", "total", "seconds", "said"),
    [
        (0, 10, 0.0, "0 of 10"),
        (640, 3420, 30.0, "640 of 3420, 21.3/s, 2 min left"),
        (5, 10, 10.0, "5 of 10, 0.5/s, 10 s left"),
        (10, 10, 10.0, "10 of 10, 1.0/s"),
        (7, None, 2.0, "7, 3.5/s"),
        (1000, 10_000_000, 10.0, "1000 of 10000000, 100.0/s, 28 h left"),
    ],
)
def test_progress_says_how_far_how_fast_and_how_long(done: int, total: int | None, seconds: float, said: str) -> None:
    assert pace(done, total, seconds) == said


def test_settings_of_a_dataset_say_what_is_wrong(tmp_path: Path) -> None:
    config = tmp_path / "raisonne.toml"
    for body, said in {
        'name = "a"': "neither `metadata` nor `images`",
        'name = "a"\nmetadata = "x"\nimages = "y"\ndownload = "z"': "leave `images` out",
    }.items():
        config.write_text(f"[[datasets]]\n{body}\n")
        with pytest.raises(settings.SettingsError, match=said):
            settings.load(config)
    config.write_text('[[datasets]]\nname = "a"\nmetadata = "s3://bucket/*.parquet"\nimages = "dump/*/"\n')
    dataset = settings.load(config).datasets[0]
    assert dataset.metadata == "s3://bucket/*.parquet"
    assert dataset.images == str(tmp_path / "dump/*/") or dataset.images == f"{tmp_path}/dump/*"


def test_a_second_dump_that_covers_a_part_says_nothing_of_the_rest(landing: Landing, rows_of: Rows) -> None:
    """Tars below a metadata file's name hold its rows; a tar that breaks off says nothing of what came after."""
    config, images = landing.config.read_text(), 'images = "laion/*.tar"'
    landing.config.write_text(config.replace(images, f'{images}\nredownload = "again/**/*.tar"'))
    landing.shard("part-0", rows_of(0, 3))
    landing.shard("part-1", rows_of(10, 2))
    (landing.folder / "again" / "part-0").mkdir(parents=True)
    tar = landing.folder / "again" / "part-0" / "00000.tar"
    with tarfile.open(tar, "w") as archive:
        for number, row in enumerate(rows_of(0, 3)):
            add(archive, f"{number}.jpg", row.data or b"")
            add(archive, f"{number}.json", json.dumps({"url": row.url, "caption": row.caption}).encode())
    with tarfile.open(tar) as archive:
        cut = archive.getmember("1.jpg").offset_data + 10
    with tar.open("r+b") as file:
        file.truncate(cut)
    landing.run_here(tables=_REDOWNLOADED)
    found = landing.query(
        "select row_number, outcome from fingerprints.redownloads join catalog.samples using (sample_id)"
    )
    assert sorted(found) == [(0, "same_bytes"), (1, "unclear"), (2, "unclear")]
