"""The feed of encoders: the same to the bit wherever it is made, and every picture accounted for, whatever dies."""

import os
import signal
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import add, encoded, picture
from PIL import Image

from tests.mutated import huge
from tests.rights_files import packet
from tests.transforms.fingerprints.test_fuzz import damaged
from transforms.encoders import EncoderId, Prepared, Vectors
from transforms.fingerprints import feed
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.feed import FedPicture, Feed
from transforms.fingerprints.fingerprint import FAILED, Rules
from transforms.fingerprints.row_matching import MetadataFile
from transforms.fingerprints.shard import Account, Batch, Job, fingerprint_shard
from transforms.fingerprints.views import search_views
from transforms.pictures import Pixels
from transforms.pictures.confined.pool import DecoderPool
from transforms.pictures.scaling import Scaling

RULES = Rules(max_pixels=1_000_000, member_bytes=30_000_000, pdq_quality=50)


class Mean:
    """An encoder that answers at once: the mean colour of the picture that it was handed."""

    id = EncoderId("mean", "0" * 64, "", 3, "fp32")

    def __init__(self, *, crop: bool = False) -> None:
        self.scaling = Scaling(24, 24, Image.Resampling.BICUBIC, crop=crop)

    def prepare(self, pixels: Pixels) -> Prepared:
        return self.scaling(pixels)

    def embed(self, prepared: list[Prepared]) -> Vectors:
        means = np.stack(prepared).mean(axis=(1, 2), dtype=np.float64).astype(np.float32) + 1
        return means / np.linalg.norm(means, axis=1, keepdims=True)


def told(fed: FedPicture) -> tuple[object, ...]:
    """Return all of a picture, in values that can be compared."""
    turns = None if fed.print_.dihedral is None else fed.print_.dihedral.tolist()
    inputs = {kind: [(each.shape, each.tobytes()) for each in views] for kind, views in fed.inputs.items()}
    return fed.print_.row(), fed.print_.unsearched, fed.print_.rights, turns, inputs


def files() -> list[bytes]:
    clear = picture(3, 90, 60).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    return [
        encoded(picture(1, 120, 80)),
        encoded(picture(2, 61, 190), "PNG"),
        b"",
        encoded(clear, "PNG"),
        encoded(picture(4, 40, 40), "GIF", save_all=True, append_images=[picture(5, 40, 40)], duration=50),
        encoded(picture(6, 120, 80))[:1500],
        encoded(Image.new("RGB", (30, 50), "red"), "PNG"),
        encoded(picture(7, 24, 24), "WEBP"),
        encoded(picture(8, 5, 3), "PNG"),
        encoded(picture(9, 80, 60), xmp=packet("<photoshop:Credit>A. Maker</photoshop:Credit>")),
    ]


@pytest.mark.parametrize("views", [1, 11])
def test_processes_make_what_is_made_here(views: int, pool: DecoderPool) -> None:
    encoders = {"square": Mean(), "middle": Mean(crop=True)}
    parts = search_views()[:views]
    here = Feed(RULES, encoders, parts, dihedral=views > 1)
    there = Feed(RULES, encoders, parts, dihedral=views > 1, expected=feed.WORTH)
    made = there(files())
    assert [told(each) for each in made] == [told(each) for each in here(files())]
    assert [each.print_.status == FAILED for each in made] == [False, False, True, False, False, True, *[False] * 4]
    assert [each.print_.rights.credit for each in made if each.print_.rights] == ["A. Maker"]
    assert here.files == 1 and there.files == (1 if views > 1 else 16)


def test_an_encoder_that_scales_by_itself_gets_its_pictures_here(pool: DecoderPool) -> None:
    class Own(Mean):
        scaling = None  # type: ignore[assignment]

        def __init__(self) -> None:
            pass

        def prepare(self, pixels: Pixels) -> Prepared:
            return pixels[:1, :1]

    [fed] = Feed(RULES, {"copy": Mean(), "own": Own()}, expected=feed.WORTH)([encoded(picture(1, 120, 80), "PNG")])
    assert np.array_equal(fed.inputs["own"][0], np.asarray(picture(1, 120, 80))[:1, :1])
    assert all(each.modules == {"transforms.pictures.confined.works"} for each in pool.all)


def test_a_feed_hands_out_ever_fewer_of_the_last() -> None:
    some = Feed(RULES, {"copy": Mean()}, expected=feed.WORTH)
    sizes = [len(each) for each in some.handfuls(range(feed.WORTH), 2)]
    assert sum(sizes) == feed.WORTH and sizes[:28] == [some.files] * 28
    assert sizes[28:] == sorted(sizes[28:], reverse=True) and sizes[-4:] == [1] * 4
    more = [each for handful in some.handfuls(range(feed.WORTH + 5), 2) for each in handful]
    assert more == list(range(feed.WORTH + 5)), "also of more than expected"
    assert [len(each) for each in Feed(RULES, {"copy": Mean()}).handfuls("abc", 2)] == [1, 1, 1]


def shard(folder: Path, pictures: list[bytes], batch: int) -> Job:
    """Write a dump of pictures with a row each, and return it as a job."""
    with tarfile.open(folder / "0.tar", "w") as archive:
        for number, data in enumerate(pictures):
            add(archive, f"{number:05d}.jpg", data)
    keys = [f"{number:05d}" for number in range(len(pictures))]
    table = pa.table({"key": keys, "url": [f"https://a.org/{key}" for key in keys], "caption": ["c"] * len(keys)})
    pq.write_table(table, folder / "0.parquet")
    rows = (MetadataFile(1, str(folder / "0.parquet")),)
    return Job(str(folder / "0.tar"), str(folder), rows, {"copy": "mean"}, RULES, WorkPace(batch, 2))


def fingerprinted(job: Job, pool: DecoderPool, kill: tuple[int, ...] = ()) -> tuple[pa.Table, pa.Table, Account, int]:
    """Fingerprint a shard, kill a process after some of the batches, and return all rows and how many were killed."""
    images, vectors, killed, account = [], [], 0, None
    for number, item in enumerate(fingerprint_shard(job, {"copy": Mean()})):
        if isinstance(item, Batch):
            images.append(item.images)
            vectors.append(item.vectors["copy"])
            if number in kill:
                os.kill(pool.all[number % len(pool.all)].pid, signal.SIGKILL)
                killed += 1
        else:
            account = item
    assert account is not None
    return pa.concat_tables(images, promote_options="default"), pa.concat_tables(vectors), account, killed


@pytest.mark.parametrize(("many", "batch"), [(240, 16), pytest.param(1_000, 64, marks=pytest.mark.thorough)])
def test_damaged_pictures_are_accounted_for_while_processes_are_killed(
    tmp_path: Path, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch, many: int, batch: int
) -> None:
    monkeypatch.setattr(feed, "WORTH", many)
    pictures = [data for _, data in damaged(many - len(huge()), 22)]
    pictures[many // 2 : many // 2] = huge()
    job = shard(tmp_path, pictures, batch)
    images, vectors, account, killed = fingerprinted(job, pool, kill=(2, 5, 9))
    assert killed == 3
    assert account.broken is None and account.pictures == many == images.num_rows == account.counts.total()
    assert min(account.counts["ok"], account.counts[FAILED]) > many // 10
    assert vectors.num_rows == many - account.counts[FAILED]
    monkeypatch.setattr(feed, "WORTH", many + 1)
    images_here, vectors_here, _, _ = fingerprinted(job, pool)
    assert images.equals(images_here) and vectors.equals(vectors_here)
