"""Whole runs over every layout of dump at once: each layout is a dataset, and one picture is in all of them."""

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Landing, add, encoded, picture

from tests.late_import import LateImport

boto3: Any = LateImport("boto3")
moto_server: Any = LateImport("moto.server")

SHARED = encoded(picture(1))  # in every dataset
DATASETS = """home = "home"
[encoders]
copy = "sscd_distilled"
[calibration]
trials = 1
[limits]
null_sample = 3
[search]
scales = []
flips = "none"
[[generations]]
name = "gen"
path = "generations"
[[datasets]]
name = "i2d-parquet"
metadata = "i2d-parquet/*.parquet"
images = "i2d-parquet/*.parquet"
[[datasets]]
name = "hugging-face"
images = "hugging-face/*.parquet"
[[datasets]]
name = "files"
metadata = "files/*.parquet"
images = "files/*"
[[datasets]]
name = "folder"
images = "folder"
[[datasets]]
name = "image-folder"
images = "image-folder"
[[datasets]]
name = "list-parquet"
images = "list-parquet/[*].parquet"
[[datasets]]
name = "odd-tar"
images = "odd-tar/*.tar"
[[datasets]]
name = "s3"
metadata = "s3://landing/meta/*.parquet"
images = "s3://landing/dump/**/*.tar"
"""


def own(seed: int) -> bytes:
    return encoded(picture(seed))


def status_columns(name: str) -> dict[str, list]:
    return {
        "url": [f"https://{name}.example/{n}" for n in range(3)],
        "caption": ["one", None, "three"],
        "key": [f"{n:09d}" for n in range(3)],
        "status": ["success", "failed_to_download", "success"],
        "error_message": [None, "HTTP Error 404: Not Found", None],
    }


def land_on_disk(folder: Path) -> None:
    for name in ("i2d-parquet", "hugging-face", "files/00000", "folder/a", "generations"):
        (folder / name).mkdir(parents=True)
    pictures = pa.array([SHARED, None, own(2)], pa.binary())
    table = pa.table(status_columns("i2d") | {"jpg": pictures})
    pq.write_table(table, folder / "i2d-parquet" / "00000.parquet", row_group_size=2)
    images = [{"bytes": SHARED, "path": None}, {"bytes": b"<html>", "path": "x.jpg"}, {"bytes": own(3), "path": None}]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table({"image": pa.array(images, kind), "text": [["first", "second"], [], None], "label": [0, 1, 2]})
    pq.write_table(table, folder / "hugging-face" / "train-00000.parquet")
    columns = status_columns("files")
    for key, data in (("000000000", SHARED), ("000000002", own(4))):
        (folder / "files" / "00000" / f"{key}.jpg").write_bytes(data)
        (folder / "files" / "00000" / f"{key}.json").write_text(json.dumps({"key": key}))
    pq.write_table(pa.table(columns), folder / "files" / "00000.parquet")
    (folder / "files" / "00000_stats.json").write_text("{}")
    (folder / "folder" / "a" / "plain.jpg").write_bytes(SHARED)
    (folder / "folder" / "a" / "plain.txt").write_text("a caption")
    (folder / "folder" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(own(5))
    (folder / "folder" / "outside.jpg").symlink_to("/etc/hostname")


def land_oddities(folder: Path) -> None:
    """Land what people have and img2dataset does not write."""
    for name in ("image-folder/sub/@eaDir", "list-parquet", "odd-tar"):
        (folder / name).mkdir(parents=True)
    root = folder / "image-folder"
    (root / "no ending").write_bytes(SHARED)
    (root / "sub" / "b.jfif").write_bytes(own(8))
    (root / "sub" / "._b.jfif").write_bytes(b"\0\5\x16\7")
    (root / "sub" / "@eaDir" / "b.jpg").write_bytes(own(8))
    rows = [
        {"file_name": "no ending", "text": "shared"},
        {"file_name": "sub/b.jfif", "text": "b"},
        {"file_name": "c.jpg"},
    ]
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    kind = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    lists = [[own(9), SHARED, b"no picture"], [], [own(10)]]
    images = pa.array([[{"bytes": data, "path": None} for data in each] for each in lists], kind)
    table = pa.table({"images": images, "text": ["first", "second", "third"], "url": ["u0", "u1", "u2"]})
    pq.write_table(table, folder / "list-parquet" / "[*].parquet")
    with tarfile.open(folder / "odd-tar" / "0.tar", "w") as archive:
        add(archive, "7.seg.png", encoded(picture(11), "PNG"))
        add(archive, "7.jpg", SHARED)
        add(archive, "8.cls", b"3")
        add(archive, "7.json", b'{"URL": "u", "TEXT": "seven"}')
    with (folder / "odd-tar" / "0.tar").open("ab") as file, tarfile.open(fileobj=file, mode="w") as archive:
        add(archive, "Mr. Fox v1.2.jpg", own(12))
        add(archive, "Mr. Fox v1.2.txt", b"a fox")


def land_in_store() -> None:
    client = boto3.client("s3")
    client.create_bucket(Bucket="landing")
    for part, first in (("part-0", SHARED), ("part-1", own(7))):
        rows = io.BytesIO()
        urls = [f"https://s3.example/{part}/{n}" for n in range(2)]
        pq.write_table(pa.table({"UID": [f"{part}-a", f"{part}-b"], "URL": urls, "TEXT": ["t", "t"]}), rows)
        client.put_object(Bucket="landing", Key=f"meta/{part}.parquet", Body=rows.getvalue())
        dump = io.BytesIO()
        with tarfile.open(fileobj=dump, mode="w") as archive:
            add(archive, "000000000.jpg", first)
            add(archive, "000000000.json", json.dumps({"uid": f"{part}-b"}).encode())
        client.put_object(Bucket="landing", Key=f"dump/{part}/00000.tar", Body=dump.getvalue())


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landing]:
    folder = tmp_path_factory.mktemp("layouts")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            patch.setenv(name, value)
        land_on_disk(folder)
        land_oddities(folder)
        land_in_store()
        (folder / "generations" / "copy.jpg").write_bytes(SHARED)
        landing = Landing(folder)
        landing.config.write_text(DATASETS)
        landing.run_here()
        yield landing
    server.stop()


def test_every_picture_of_every_layout_is_a_training_row_with_its_status(landed: Landing) -> None:
    rows = landed.query(
        "select samples.dataset, samples.row_number, caption, status, failure from catalog.samples "
        "left join fingerprints.images using (sample_id) order by samples.dataset, samples.shard, samples.row_number"
    )
    gone = "not downloaded: HTTP Error 404: Not Found"
    by_dataset: dict[str, list] = {}
    for dataset, _, caption, status, failure in rows:
        by_dataset.setdefault(dataset, []).append((caption, status, failure))
    downloaded = [("one", "ok", None), (None, "failed", gone), ("three", "ok", None)]
    assert by_dataset["i2d-parquet"] == downloaded
    assert by_dataset["files"] == downloaded
    assert [(c, s) for c, s, _ in by_dataset["hugging-face"]] == [("first", "ok"), (None, "failed"), (None, "ok")]
    assert sorted(map(str, by_dataset["folder"])) == sorted(
        map(
            str,
            [
                ("a caption", "ok", None),
                (None, "ok", None),
                (None, "failed", "refused: a link that leaves the folder"),
            ],
        )
    )
    assert by_dataset["s3"] == [("t", None, None), ("t", "ok", None)] * 2


def test_oddities_are_rows_or_counted(landed: Landing) -> None:
    rows = landed.query(
        "select samples.dataset, row_number, samples.key, url, caption, status, failure from catalog.samples "
        "left join fingerprints.images using (sample_id) order by all"
    )
    by_dataset: dict[str, list] = {}
    for dataset, *row in rows:
        by_dataset.setdefault(dataset, []).append(tuple(row))
    gone = "missing: metadata.jsonl names it, but the dump does not hold it"
    assert by_dataset["image-folder"] == [
        (0, "no ending", None, "shared", "ok", None),
        (1, "sub/b", None, "b", "ok", None),
        (2, "c", None, None, "failed", gone),
    ]
    assert by_dataset["list-parquet"] == [
        (0, None, "u0", "first", "ok", None),
        (1, None, "u1", "second", "failed", "missing: no picture in the row"),
        (2, None, "u2", "third", "ok", None),
        (3, None, None, "first", "ok", None),
    ]
    assert by_dataset["odd-tar"] == [
        (0, "7.seg", None, None, "ok", None),
        (1, "7", "u", "seven", "ok", None),
        (2, "Mr. Fox v1.2", None, "a fox", "ok", None),
    ]
    counted = landed.query(
        "select dataset, files, examples from catalog.not_taken where part = 'dump' and dataset <> 'folder' "
        "order by all"
    )
    assert counted == [
        ("image-folder", 2, ["sub/._b.jfif", "sub/@eaDir/b.jpg"]),
        ("list-parquet", 1, ["row 0 images[2]"]),
        ("odd-tar", 1, ["8.cls"]),
    ]


def test_the_shared_picture_is_found_in_every_dataset(landed: Landing) -> None:
    """Training pictures are read again by row, by name and by ranges, for the comparison of pixels."""
    found = landed.query(
        "select samples.dataset from duplicates.clusters join catalog.samples using (sample_id) order by 1"
    )
    named = ["files", "folder", "hugging-face", "i2d-parquet", "image-folder", "list-parquet", "odd-tar", "s3"]
    assert [name for (name,) in found] == named
    verdicts = landed.query("select verdict, duplicate_count from provenance.sources where rank = 1")
    assert verdicts == [("exact", 8)]
    assert landed.query("select count(*) from catalog.shards where unlisted > 0 or broken is not null") == [(0,)]


@pytest.mark.thorough
def test_a_report_that_lands_after_its_dump_was_read_is_read_by_the_next_run(landed: Landing) -> None:
    """Img2dataset writes it last: a run between the two finds the pictures, and not what failed."""
    gone = "select row_number, failure from fingerprints.images join catalog.samples using (sample_id) "
    gone += "where samples.dataset = 'odd-tar' and status = 'failed'"
    assert landed.query(gone) == []
    report = landed.folder / "odd-tar" / "0.parquet"
    columns = {"key": ["7", "99"], "url": ["u", "v"], "caption": ["seven", "late"]}
    said = {"status": ["success", "failed_to_download"], "error_message": [None, "HTTP Error 410: Gone"]}
    pq.write_table(pa.table(columns | said), report)
    landed.run_here()
    assert landed.query(gone) == [(3, "not downloaded: HTTP Error 410: Gone")]
    report.unlink()
    landed.run_here()
    assert landed.query(gone) == []


def test_nothing_changed_is_nothing_read_and_a_store_that_is_down_loses_nothing(
    landed: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = landed.query("select count(*) from fingerprints.images")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    run = landed.raisonne("run", check=False)
    assert run.returncode == 1
    assert "s3://landing/meta/*.parquet cannot be read: the store does not answer" in run.stderr
    assert landed.query("select count(*) from fingerprints.images") == before
