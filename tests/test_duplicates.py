"""Duplicates shard by shard: the pairs, clusters and counts of a full run, and old pictures never joined again."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from orchestration.facts import Facts
from tests.conftest import Landing, Row, encoded, picture

URL = "https://pictures.example.org/{}.jpg"
TABLES = {
    "duplicates.pairs": "sample_id_a, sample_id_b",
    "duplicates.clusters": "sample_id",
    "duplicates.counts": "cluster_id",
    "duplicates.audit": "dataset",
}


_OF_COPIES = (*TABLES, "duplicates.methods")


def edited(image: Image.Image) -> dict[str, bytes]:
    """Return copies of a picture that bytes, pixels, hashes or aligned pixels tie to it."""
    png = encoded(image, "PNG")
    width, height = image.size
    crop = image.crop((width // 10, height // 10, width, height)).resize((width, height))
    return {
        "same": encoded(image, quality=95),
        "png": png,
        "recompressed": encoded(image, quality=40),
        "half": encoded(image.resize((width // 2, height // 2)), quality=90),
        "brighter": encoded(ImageEnhance.Brightness(image).enhance(1.2), quality=90),
        "cropped": encoded(crop, quality=90),
    }


def shards() -> dict[str, list[Row]]:
    """Return three shards: copies of one picture lie in several of them, others stand alone."""
    kinds = list(edited(picture(0)))
    rows = []
    for number in range(2):
        for kind, data in edited(picture(number, 320, 240)).items():
            rows.append(Row(URL.format(f"{number}-{kind}"), f"{number} {kind}", data))
    rows += [Row(URL.format(f"alone-{n}"), f"alone {n}", encoded(picture(n, 320, 240))) for n in range(50, 53)]
    flat = Image.new("RGB", (200, 150), (12, 12, 12))
    rows += [Row(URL.format(f"flat-{n}"), "flat", encoded(flat, "PNG", compress_level=n)) for n in (1, 9)]
    rows += rows[:3]  # the same bytes again
    assert len(kinds) == 6
    return {"00000": rows[0::3], "00001": rows[1::3], "00002": rows[2::3]}


def tables(landing: Landing) -> dict[str, list[tuple]]:
    return {name: landing.query(f"select * from {name} order by {key}") for name, key in TABLES.items()}  # noqa: S608


def kept(landing: Landing) -> dict[str, list[dict]]:
    """Return the rows of which these tables are made: the training rows with pictures, their pairs and clusters."""
    facts = Facts(landing.home / "facts")
    rows = {name: facts[name].read() for name in ("duplicate_pairs", "cluster_members")}
    rows["image_fingerprints"] = facts["image_fingerprints"].read(["sample_id", "sha256", "pdq"])
    return {
        name: found.sort_by([(key, "ascending") for key in facts[name].keys]).to_pylist()
        for name, found in rows.items()
    }


@pytest.fixture(scope="module")
def warehouses(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Landing]:
    def make(name: str, *steps: dict[str, list[Row]], tables: bool = True) -> Landing:
        made = Landing(tmp_path_factory.mktemp(name) / "warehouse")
        made.folder.mkdir()
        made.write_config()
        for step in steps:
            for shard, rows in step.items():
                made.shard(shard, rows)
            made.run_here(tables=_OF_COPIES if tables else False)
        return made

    return make


@pytest.fixture(scope="module")
def whole(warehouses: Callable[..., Landing]) -> Landing:
    return warehouses("whole", shards())


def test_what_comes_and_goes_leaves_what_a_full_run_gives(warehouses: Callable[..., Landing], whole: Landing) -> None:
    every = shards()
    landing = warehouses("stepwise", {name: rows for name, rows in every.items() if name != "00001"}, tables=False)
    without = kept(landing)
    landing.shard("00001", every["00001"])
    landing.run_here(tables=_OF_COPIES)
    assert tables(landing) == tables(whole)
    notes = Facts(landing.home / "facts")["joins"].read().sort_by("join_id").to_pylist()
    for kind in ("hashes", "pictures"):
        (first, nothing), (new, old) = [(note["new"], note["old"]) for note in notes if note["kind"] == kind]
        assert (nothing, old) == (0, first), "old met old again"
        assert 0 < new < first
    for path in (landing.folder / "laion").glob("00001.*"):
        path.unlink()
    landing.run_here(tables=False)
    assert kept(landing) == without


@pytest.mark.thorough
def test_what_went_and_comes_again_leaves_what_a_full_run_gives(
    warehouses: Callable[..., Landing], whole: Landing
) -> None:
    every = shards()
    landing = warehouses("again", every)
    for path in (landing.folder / "laion").glob("00001.*"):
        path.unlink()
    landing.run_here()
    landing.shard("00001", every["00001"])
    landing.run_here()
    assert tables(landing) == tables(whole)


def test_every_kind_of_copy_is_in_its_cluster(whole: Landing) -> None:
    rows = whole.query(
        "select split_part(caption, ' ', 1), count(*), count(distinct cluster_id) from duplicates.clusters "
        "join catalog.samples using (sample_id) group by 1 order by 1"
    )
    assert rows == [("0", 9, 1), ("1", 6, 1), ("flat", 2, 1)]
    methods = {m for (m,) in whole.query("select distinct method from duplicates.clusters")}
    assert methods == {"representative", "sha256", "pixels", "pdq", "aligned"}
    assert whole.query("select min(exact_count), sum(near_count) > 0 from duplicates.counts") == [(1, True)]


def test_each_method_says_that_it_is_exact(whole: Landing) -> None:
    methods = dict(whole.query("select method, exact from duplicates.methods"))
    assert methods["sha256"]
    assert methods["pdq"]
    assert methods["embedding"]
    assert whole.query("select count(*) from duplicates.counts where not min_similarity_exact") == [(0,)]
    low, high = whole.query("select min(min_similarity), max(min_similarity) from duplicates.counts")[0]
    assert -1 <= low <= high <= 1


def test_an_approximate_join_says_what_it_was_measured_to_miss(whole: Landing, tmp_path: Path) -> None:
    landing = Landing(tmp_path / "approximate")
    shutil.copytree(whole.folder, landing.folder, symlinks=True)
    for name in ("joins", "near_pictures", "duplicate_pairs"):
        Facts(landing.home / "facts")[name].clear()
    landing.write_config('[joins]\ncosine = "approximate"\ncells = 4\nprobes = 2\nrecall_sample = 20\n')
    landing.run_here(tables=False)
    facts, exact = Facts(landing.home / "facts"), Facts(whole.home / "facts")
    note = facts["joins"].read(where="kind = 'pictures'").sort_by("join_id").to_pylist()[-1]
    assert not note["exact"]
    assert 0 <= note["recall_low"] <= note["recall"] <= note["recall_high"] <= 1
    assert 0 < facts["duplicate_pairs"].dataset().count_rows() <= exact["duplicate_pairs"].dataset().count_rows()


@pytest.mark.thorough
def test_pictures_that_are_gone_confirm_nothing_and_are_tried_again(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    landing.write_config()
    image = picture(7, 320, 240)
    data = edited(image)
    landing.shard("00000", [Row(URL.format(k), k, data[k]) for k in ("same", "cropped")])
    landing.run_here("fingerprint_shard")
    tar = landing.folder / "laion" / "00000.tar"
    whole_tar, stat = tar.read_bytes(), tar.stat()
    tar.write_bytes(bytes(len(whole_tar)))  # the store lost it, and nobody noticed: same size, same time
    os.utime(tar, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    landing.run_here("derive")
    assert landing.query("select method from duplicates.pairs") == [("similar",)]
    tar.write_bytes(whole_tar)
    os.utime(tar, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    landing.run_here("derive")
    assert landing.query("select method from duplicates.pairs") == [("aligned",)]
