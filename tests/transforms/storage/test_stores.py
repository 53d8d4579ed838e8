"""Paths on disk and in object stores: found, read by ranges, fetched, and explained when they cannot be read."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfFileSystem
from pyarrow.fs import GcsFileSystem

from tests.late_import import LateImport
from transforms.catalog.landing import LandingFile, find_shards
from transforms.catalog.metadata import inspect
from transforms.dumps import dump as dumps
from transforms.storage import copies, globs, stores
from transforms.storage.file_limits import ByteLimits
from transforms.storage.remote_stores import StoreError, explain_errors, filesystem

boto3: Any = LateImport("boto3")
moto_server: Any = LateImport("moto.server")

OBJECTS = {
    "d/00000.tar": b"x" * 100,
    "d/00001.tar": b"y" * 200,
    "d/00001.parquet": b"beside",
    "d/deep/00002.tar": b"z",
    "d/pictures/a b.jpg": b"picture",
    "d/pictures/c#?.jpg": b"odd",
    "d/pictures/more/e.jpg": b"deep",
    "d/pictures/more/e.txt": b"a caption",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return `s3://...` of a bucket of its own on a store of this machine."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_NO_SIGN_REQUEST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="landing")
    for key, data in OBJECTS.items():
        client.put_object(Bucket="landing", Key=key, Body=data)
    yield "s3://landing"
    for item in client.list_objects_v2(Bucket="landing")["Contents"]:
        client.delete_object(Bucket="landing", Key=item["Key"])


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("d/*.tar", ["d/00000.tar", "d/00001.tar"]),
        ("d/**/*.tar", ["d/00000.tar", "d/00001.tar", "d/deep/00002.tar"]),
        ("d/*/", ["d/deep", "d/pictures"]),
        ("d/0000[1-9].*", ["d/00001.parquet", "d/00001.tar"]),
        ("d/00001.tar", ["d/00001.tar"]),
        ("d/pictures", ["d/pictures"]),
        ("none/*.tar", []),
        ("d/none.tar", []),
    ],
)
def test_globs_find_the_same_on_disk_and_in_a_store(
    bucket: str, tmp_path: Path, pattern: str, found: list[str]
) -> None:
    for key, data in OBJECTS.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(data)
    for root in (str(tmp_path), bucket):
        entries = sorted(globs.glob(f"{root}/{pattern}"), key=lambda entry: entry.path)
        assert [entry.path for entry in entries] == [f"{root}/{name}" for name in found]
        assert [entry.folder for entry in entries] == [name not in OBJECTS for name in found]
        assert [e.size for e in entries if not e.folder] == [len(OBJECTS[n]) for n in found if n in OBJECTS]


def test_an_object_is_read_by_ranges(bucket: str) -> None:
    with stores.open_file(f"{bucket}/d/pictures/c#?.jpg") as file:
        assert (file.seek(1), file.read(2), file.seek(0, 2)) == (1, b"dd", 3)


def test_a_fetched_copy_goes_when_it_is_no_longer_needed(bucket: str, tmp_path: Path) -> None:
    with copies.local_copy(f"{bucket}/d/00001.tar", tmp_path / "fetched") as path:
        assert Path(path).read_bytes() == OBJECTS["d/00001.tar"]
        assert Path(path).with_suffix(".parquet").read_bytes() == b"beside"
    with copies.local_copy(f"{bucket}/d/pictures", tmp_path / "fetched") as path:
        assert {p.relative_to(path).as_posix() for p in Path(path).rglob("*.jpg")} == {
            "a b.jpg",
            "c#?.jpg",
            "more/e.jpg",
        }
    assert list((tmp_path / "fetched").iterdir()) == []
    with copies.local_copy("/on/disk.tar", tmp_path / "unused") as path:
        assert path == "/on/disk.tar"
    assert not (tmp_path / "unused").exists()


def test_the_next_copy_is_fetched_while_one_is_in_use(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, opened = threading.Event(), stores.open_file

    def told(path: str) -> BinaryIO:
        if path.endswith("1.tar"):
            second.set()
        return opened(path)

    monkeypatch.setattr(copies.stores, "open_file", told)
    paths = [f"{bucket}/d/0000{n}.tar" for n in (0, 1, 7)] + ["/on/disk.tar"]
    ahead = copies.copied_ahead(paths, tmp_path / "fetched")
    with next(ahead) as path:
        assert Path(path).read_bytes() == OBJECTS["d/00000.tar"]
        assert second.wait(60), "the second copy is begun while the first is in use"
    with next(ahead) as path:
        assert Path(path).read_bytes() == OBJECTS["d/00001.tar"]
        assert [each.name for each in (tmp_path / "fetched").rglob("*.tar")] == ["00001.tar"]
    with pytest.raises(FileNotFoundError, match=r"00007\.tar does not exist"), next(ahead):
        pass
    with next(ahead) as path:
        assert path == "/on/disk.tar"
    assert list(ahead) == [] == list((tmp_path / "fetched").iterdir())


def test_a_copy_waits_for_a_disk_that_has_no_room_for_two(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies.shutil, "disk_usage", lambda _: SimpleNamespace(free=300))
    ahead = copies.copied_ahead([f"{bucket}/d/00000.tar", f"{bucket}/d/00001.tar"], tmp_path / "fetched")
    for name in ("00000.tar", "00001.tar"):  # 100 bytes, and 206 with what lies beside it
        with next(ahead) as path:
            assert Path(path).read_bytes() == OBJECTS[f"d/{name}"]
            assert [each.name for each in (tmp_path / "fetched").rglob("*.tar")] == [name]
    ahead.close()


def test_a_copy_that_nobody_wants_any_more_is_left_off(bucket: str, tmp_path: Path) -> None:
    ahead = copies.copied_ahead([f"{bucket}/d/00000.tar", f"{bucket}/d/pictures"], tmp_path / "fetched")
    next(ahead)
    ahead.close()
    assert list((tmp_path / "fetched").iterdir()) == []


def test_a_large_object_is_fetched_in_parts_and_whole(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_PART", 1000)
    monkeypatch.setattr(copies, "_CHUNK", 300)
    data = np.random.default_rng(1).bytes(7_901)
    boto3.client("s3").put_object(Bucket="landing", Key="d/large.tar", Body=data)
    with copies.local_copy(f"{bucket}/d/large.tar", tmp_path) as path:
        assert Path(path).read_bytes() == data
    entry = stores.at
    monkeypatch.setattr(copies.stores, "at", lambda path: replace(entry(path), size=7_900))
    with (
        pytest.raises(StoreError, match=r"large\.tar changed while it was read"),
        copies.local_copy(f"{bucket}/d/large.tar", tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_copy_of_two_objects_of_one_size_is_not_used(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request is answered with what the object is then."""
    monkeypatch.setattr(copies, "_PART", 100)
    monkeypatch.setattr(copies, "_CHUNK", 100)
    entry, asked = stores.at, []

    def at(path: str) -> stores.Entry:
        asked.append(path)
        return replace(entry(path), stamp=asked.count(path))

    monkeypatch.setattr(copies.stores, "at", at)
    with (
        pytest.raises(StoreError, match=r"00001\.tar changed while it was read"),
        copies.local_copy(f"{bucket}/d/00001.tar", tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with copies.local_copy(f"{bucket}/d/00000.tar", tmp_path) as path:  # one request
        assert Path(path).read_bytes() == OBJECTS["d/00000.tar"]


def test_an_object_whose_name_leaves_the_folder_is_not_fetched(bucket: str, tmp_path: Path) -> None:
    boto3.client("s3").put_object(Bucket="landing", Key="d/pictures/../../../evil.jpg", Body=b"x")
    with (
        pytest.raises((StoreError, FileNotFoundError)),
        copies.local_copy(f"{bucket}/d/pictures", tmp_path / "a" / "fetched"),
    ):
        pass
    assert [p.name for p in tmp_path.rglob("*.jpg")] == []


def test_a_folder_in_a_store_is_a_dump(bucket: str) -> None:
    with dumps.open_dump(f"{bucket}/d/pictures", ByteLimits()) as dump:
        members = dump.listing(1000).members
        assert [(m.key, m.caption) for m in members] == [("a b", None), ("c#?", None), ("more/e", "a caption")]
        assert [dump.read(m.name, m.offset, m.size) for m in members] == [b"picture", b"odd", b"deep"]


def test_shards_in_a_store_know_a_new_delivery(bucket: str) -> None:
    def landed() -> dict[str, LandingFile]:
        found = find_shards("d", None, f"{bucket}/d/*/") + find_shards("d", None, f"{bucket}/d/*.tar")
        return {shard.name: shard.images for shard in found if shard.images}

    before = landed()
    assert set(before) == {"00000", "00001", "deep", "pictures"}
    assert landed() == before
    client = boto3.client("s3")
    client.put_object(Bucket="landing", Key="d/00000.tar", Body=b"longer" * 100)
    client.put_object(Bucket="landing", Key="d/pictures/new.jpg", Body=b"n")
    assert {name for name, file in landed().items() if file != before[name]} == {"00000", "pictures"}
    before = landed()
    client.put_object(Bucket="landing", Key="d/00001.parquet", Body=b"another report")
    client.put_object(Bucket="landing", Key="d/deep.parquet", Body=b"a report")
    assert {name for name, file in landed().items() if file != before[name]} == {"00001", "deep"}


def test_reports_beside_many_dumps_are_found_by_one_listing(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filesystem(bucket)[0]
    asked: list[tuple[str, str]] = []
    for name in ("find", "info"):
        monkeypatch.setattr(store, name, partial(_noted, asked, name, getattr(store, name)))
    found = stores.find_beside(list(globs.glob(f"{bucket}/d/*.tar")))
    assert {path: entry.path for path, entry in found.items()} == {f"{bucket}/d/00001.tar": f"{bucket}/d/00001.parquet"}
    assert [what for what in asked if what[0] == "find"] == [("find", "landing/d")] * 2, "dumps, then reports"
    assert {path for _, path in asked} == {"landing/d"}, "no request for a dump or a report"


def test_beside_a_whole_bucket_there_is_nothing(bucket: str) -> None:
    assert stores.find_beside([stores.Entry(f"{bucket}/", 0, 0, folder=True)]) == {}
    assert stores.beside_of(f"{bucket}/", folder=True) is None


def _noted(
    asked: list[tuple[str, str]], name: str, call: Callable, path: str, *args: object, **options: object
) -> object:
    asked.append((name, path))
    return call(path, *args, **options)


def test_remote_metadata_is_kept_as_a_copy(bucket: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"URL": ["u"], "TEXT": ["t"]}), tmp_path / "rows.parquet")
    data = (tmp_path / "rows.parquet").read_bytes()
    client = boto3.client("s3")
    client.put_object(Bucket="landing", Key="rows.parquet", Body=data)
    assert inspect(f"{bucket}/rows.parquet", tmp_path / "copy.parquet", ByteLimits()).rows == 1
    assert pq.read_table(tmp_path / "copy.parquet").to_pylist() == [{"URL": "u", "TEXT": "t"}]
    client.put_object(Bucket="landing", Key="cut.parquet", Body=data[:-20])
    with pytest.raises(ValueError, match=r"s3://landing/cut\.parquet is not a whole parquet file"):
        inspect(f"{bucket}/cut.parquet", tmp_path / "cut.parquet", ByteLimits())


def test_a_store_that_cannot_be_asked_is_not_an_empty_one(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a network that is down would look like shards that are gone, and their facts would go."""
    with pytest.raises(
        StoreError, match=r"s3://nosuchbucket/\*\.tar cannot be read: there is no such bucket; give AWS_"
    ):
        list(globs.glob("s3://nosuchbucket/*.tar"))
    for endpoint, reason in (
        ("http://127.0.0.1:9", "the store does not answer"),
        ("http://nohost.invalid", "there is no such host, or no network"),
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        began = time.monotonic()
        with pytest.raises(StoreError, match=rf"{bucket}/d/\*\.tar cannot be read: {reason}; give AWS_ACCESS_KEY_ID"):
            list(globs.glob(f"{bucket}/d/*.tar"))
        assert time.monotonic() - began < 200


def test_what_is_not_there_names_the_path(bucket: str, tmp_path: Path) -> None:
    for path in (f"{bucket}/none.tar", str(tmp_path / "none.tar")):
        with pytest.raises(FileNotFoundError, match=r"none\.tar"):
            stores.at(path)
        with pytest.raises(FileNotFoundError, match=r"none\.tar"):
            stores.open_file(path)


def test_every_scheme_has_its_own_store_and_another_is_refused() -> None:
    assert isinstance(filesystem("hf://datasets/laion/x/a.parquet")[0], HfFileSystem)
    assert filesystem("hf://datasets/laion/x/a.parquet")[1] == "datasets/laion/x/a.parquet"
    for scheme in ("gs", "gcs"):
        store, inner = filesystem(f"{scheme}://bucket/a.parquet")
        assert isinstance(store.fs, GcsFileSystem)  # type: ignore[attr-defined]
        assert inner == "bucket/a.parquet"
    with pytest.raises(StoreError, match="ftp://host/a: unknown store ftp; use a path on disk, s3://, gs://"):
        filesystem("ftp://host/a")


@pytest.mark.parametrize(
    ("path", "said", "reason", "fix"),
    [
        ("gs://b/a", "google::cloud::Status(UNAVAILABLE: Could not create a OAuth2 access token)", "no cred", "gcloud"),
        ("hf://datasets/a/b/c", "[Errno -2] Name or service not known", "no such host", "hf auth login"),
        ("s3://b/a", "AWS Error ACCESS_DENIED during HeadObject", "access is denied", "AWS_NO_SIGN_REQUEST=true"),
        ("s3://b/a", "something else\nof two lines", "something else; give", "AWS_ENDPOINT_URL"),
    ],
)
def test_what_a_store_says_becomes_one_sentence_with_the_fix(path: str, said: str, reason: str, fix: str) -> None:
    with pytest.raises(StoreError) as raised, explain_errors(path):
        raise OSError(said)
    assert str(raised.value).startswith(f"{path} cannot be read: ")
    assert reason in str(raised.value)
    assert fix in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unreachable_hub_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"hf://datasets/laion/x/\*\.parquet cannot be read: .*HF_ENDPOINT"):
        list(globs.glob("hf://datasets/laion/x/*.parquet"))


def test_a_path_that_is_not_utf8_is_text_and_is_opened_by_it(tmp_path: Path) -> None:
    named = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.tar"))
    named.write_bytes(b"x")
    (entry,) = globs.glob(f"{tmp_path}/*.tar")
    assert entry.path.encode() == os.fsencode(tmp_path) + b"/caf\\udce9.tar"
    assert stores.at(entry.path) == entry
    with stores.open_file(entry.path) as file:
        assert file.read() == b"x"
