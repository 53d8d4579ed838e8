"""Dumps of every layout: listed without holding pictures, read again picture by picture, hostile ones refused."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, add

from transforms.dumps.dump import open_dump
from transforms.dumps.implied_metadata import write
from transforms.dumps.members import ArchiveError, Listing
from transforms.storage.file_limits import ByteLimits

LIMIT = 1000
CONTENTS = [b"first", b"second!", b"third, the longest"]


def listing(path: Path | str) -> Listing:
    with open_dump(str(path), ByteLimits()) as dump:
        return dump.listing(LIMIT)


def contents(path: Path | str) -> dict[str, bytes]:
    """Read every picture that is not refused, last first: reading again later comes in any order."""
    with open_dump(str(path), ByteLimits()) as dump:
        members = [m for m in dump.listing(LIMIT).members if not m.refusal]
        return {m.name: dump.read(m.name, m.offset, m.size) for m in reversed(members)}


def parquet(path: Path, row_group_size: int = 2, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def img2dataset(path: Path, **more: object) -> Path:
    """Write a parquet as img2dataset's output_format=parquet does: two pictures, and one row that failed."""
    return parquet(
        path,
        url=["https://a.example/1", "https://a.example/2", "https://a.example/3"],
        caption=["one", None, "three"],
        key=["000000000", "000000001", "000000002"],
        status=["success", "failed_to_download", "success"],
        error_message=[None, "HTTP Error 404: Not Found", None],
        width=[256, None, 256],
        jpg=pa.array([b"first", None, b"third"], pa.binary()),
        txt=["one", None, "three"],
        **more,
    )


def hugging_face(path: Path, images: list[dict | None], **more: object) -> Path:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return parquet(path, image=pa.array(images, kind), **more)


def test_img2dataset_parquet_lists_pictures_and_what_was_not_downloaded(tmp_path: Path) -> None:
    found = listing(img2dataset(tmp_path / "0.parquet", uid=["a", "b", "c"]))
    assert [(m.key, m.name, m.offset, m.size, m.refusal) for m in found.members] == [
        ("000000000", "000000000.jpg", 0, 5, None),
        ("000000001", "", 1, 0, "not downloaded: HTTP Error 404: Not Found"),
        ("000000002", "000000002.jpg", 2, 5, None),
    ]
    assert [(m.url, m.caption, m.uid) for m in found.members] == [
        ("https://a.example/1", "one", "a"),
        ("https://a.example/2", None, "b"),
        ("https://a.example/3", "three", "c"),
    ]
    assert found.broken is None
    assert contents(tmp_path / "0.parquet") == {"000000002.jpg": b"third", "000000000.jpg": b"first"}


def test_a_hugging_face_parquet_is_read_by_row_whatever_its_paths(tmp_path: Path) -> None:
    images = [{"bytes": data, "path": path} for data, path in zip(CONTENTS, ("a/x.png", None, "../z.jpg"), strict=True)]
    path = hugging_face(tmp_path / "train.parquet", [*images, None, {"bytes": None, "path": "gone.jpg"}], label=[0] * 5)
    members = listing(path).members
    assert [(m.name, m.key, m.offset, m.size) for m in members[:3]] == [
        ("a/x.png", "a/x", 0, 5),
        ("row 1", "", 1, 7),
        ("../z.jpg", "../z", 2, 18),
    ]
    assert [m.refusal for m in members[3:]] == [
        "missing: no picture in the row",
        "missing: the row holds only the path 'gone.jpg'",
    ]
    assert list(contents(path).values()) == CONTENTS[::-1]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("name", ["jpg", "PNG", "webp", "image"])
def test_pictures_lie_in_a_column_of_bytes_of_any_encoding(tmp_path: Path, kind: pa.DataType, name: str) -> None:
    path = parquet(tmp_path / "0.parquet", **{"thumb": pa.array([b"no"] * 3, kind), name: pa.array(CONTENTS, kind)})
    assert list(contents(path).values()) == CONTENTS[::-1]


def test_a_parquet_is_read_in_any_order_across_row_groups_and_batches(tmp_path: Path) -> None:
    data = [bytes([n]) * (n + 1) for n in range(200)]
    path = parquet(tmp_path / "0.parquet", row_group_size=90, jpg=pa.array(data, pa.binary()))
    with open_dump(str(path), ByteLimits()) as dump:
        rows = [*range(200), 199, 0, 95, 91, 91, 33, 64, 12]
        assert [dump.read("", row, row + 1) for row in rows] == [data[row] for row in rows]
        for row, size in ((200, 5), (-1, 5), (3, 7)):
            with pytest.raises(ArchiveError, match=f"row {row} has"):
                dump.read("", row, size)


def test_a_row_group_of_pictures_is_never_held_whole(tmp_path: Path) -> None:
    """A row group of 200 MB is listed and read in less than half of that."""
    path = tmp_path / "big.parquet"
    table = pa.table({"jpg": pa.array([bytes([n % 256]) + os.urandom(49_999) for n in range(4000)], pa.binary())})
    pq.write_table(table, path, write_batch_size=8)
    assert pq.read_metadata(path).num_row_groups == 1
    script = (
        "import resource, sys; from transforms.storage.file_limits import ByteLimits\n"
        "from transforms.dumps.dump import open_dump\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "with open_dump(sys.argv[1], ByteLimits()) as dump:\n"
        "    members = dump.listing(2_000_000).members\n"
        "    right = [dump.read(m.name, m.offset, m.size)[0] == m.offset % 256 for m in members]\n"
        "print(sum(right), (peak() - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True, cwd=ROOT)
    right, megabytes = map(int, done.stdout.split())
    assert right == 4000
    assert megabytes < 90


def test_pictures_that_are_too_large_are_refused(tmp_path: Path) -> None:
    big = b"x" * (LIMIT + 1)
    reason = f"refused: {LIMIT + 1} bytes are more than limits.member_bytes = {LIMIT}"
    assert [m.refusal for m in listing(parquet(tmp_path / "0.parquet", jpg=[big, b"x"])).members] == [reason, None]
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(big)
    assert [m.refusal for m in listing(tmp_path / "pictures").members] == [reason]


def test_a_message_from_the_web_is_one_short_printable_line(tmp_path: Path) -> None:
    hostile = "\x1b[31m<urlopen\nerror>\u202e" + "x" * 5000
    path = parquet(
        tmp_path / "0.parquet", key=["0"], status=["failed"], error_message=[hostile], jpg=pa.array([None], pa.binary())
    )
    (member,) = listing(path).members
    assert member.refusal is not None
    assert member.refusal.startswith("not downloaded: [31m<urlopen error> xxx")
    assert member.refusal.isprintable()
    assert len(member.refusal) <= 200 + len("not downloaded: ")


def test_bytes_that_are_not_utf8_in_a_row_do_not_stop_its_listing(tmp_path: Path) -> None:
    text = pa.array([b"caf\xe9"], pa.binary()).view(pa.string())
    (member,) = listing(parquet(tmp_path / "0.parquet", key=text, caption=text, jpg=[b"x"])).members
    assert (member.key, member.caption) == ("caf\ufffd", "caf\ufffd")


def test_a_parquet_without_pictures_says_what_was_looked_for(tmp_path: Path) -> None:
    path = parquet(tmp_path / "0.parquet", url=["u"], caption=["c"], thumb=[b"x"])
    with pytest.raises(ArchiveError, match=r"no column of pictures: looked for .* jpg, .*found url, caption, thumb"):
        listing(path)


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "middle"])
def test_a_damaged_parquet_ends_with_a_reason(tmp_path: Path, damage: str) -> None:
    path = parquet(tmp_path / "0.parquet", row_group_size=10, jpg=[os.urandom(900) for _ in range(40)])
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": data[:-30],
            "garbage": b"PAR1" + b"\xff" * 100,
            "middle": data[:middle] + b"\xff" * 2000 + data[middle + 2000 :],
        }[damage]
    )
    if damage == "middle":
        found = listing(path)
        assert 0 < len(found.members) < 40
        assert found.broken is not None
        assert "breaks off after row" in found.broken
    else:
        with pytest.raises(ArchiveError, match=r"is not a whole parquet file .*download it again"):
            listing(path)


def files(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_lists_pictures_with_what_lies_beside_them(tmp_path: Path) -> None:
    sidecar = {"url": "https://a.example/1", "caption": "one", "uid": 7, "original_width": 640, "original_height": 480}
    folder = files(
        tmp_path / "00000",
        {
            "000000000.jpg": b"first",
            "000000000.json": json.dumps(sidecar).encode(),
            "000000000.txt": b"the JSON says it better",
            "b/photo.v1.JPEG": b"second!",
            "b/photo.v1.txt": b"two",
            "b/photo.v2.JPEG": b"third, the longest",
            "b/other.json": b"{}",
            "000000000.jpx/notes.md": b"",
        },
    )
    found = listing(folder)
    assert [(m.key, m.name, m.size, m.url, m.caption) for m in found.members] == [
        ("000000000", "000000000.jpg", 5, "https://a.example/1", "one"),
        ("b/photo.v1", "b/photo.v1.JPEG", 7, None, "two"),
        ("b/photo.v2", "b/photo.v2.JPEG", 18, None, None),
    ]
    assert [(m.uid, m.width, m.height) for m in found.members][:2] == [("7", 640, 480), (None, None, None)]
    assert found.broken is None
    assert list(contents(folder).values()) == CONTENTS[::-1]


def test_links_that_leave_a_folder_are_refused_and_those_within_it_are_not(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.jpg").write_bytes(b"secret")
    (tmp_path / "secret" / "key.json").write_bytes(b'{"url": "https://secret.example"}')
    folder = files(tmp_path / "dump", {"in.jpg": b"x", "key.jpg": b"y"})
    (folder / "out.jpg").symlink_to(tmp_path / "secret" / "key.jpg")
    (folder / "key.json").symlink_to(tmp_path / "secret" / "key.json")
    (folder / "within.jpg").symlink_to("in.jpg")
    (folder / "dangling.jpg").symlink_to("nothing.jpg")
    (folder / "folder.jpg").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe.jpg")
    members = {m.name: m for m in listing(folder).members}
    assert {name for name, m in members.items() if m.refusal} == {
        "out.jpg",
        "dangling.jpg",
        "pipe.jpg",
    }
    assert "link that leaves the folder" in str(members["out.jpg"].refusal)
    assert members["dangling.jpg"].refusal == "missing: a link to nothing"
    assert "not a file" in str(members["pipe.jpg"].refusal)
    assert members["key.jpg"].url is None
    assert contents(folder) == {"within.jpg": b"x", "in.jpg": b"x", "key.jpg": b"y"}


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/hostname", "a/../../secret.jpg", "swapped.jpg", "pipe.jpg"])
def test_a_name_that_leaves_the_folder_is_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    folder = files(tmp_path / "dump", {"a/x.jpg": b"x"})
    (folder / "swapped.jpg").symlink_to(tmp_path / "secret.jpg")
    os.mkfifo(folder / "pipe.jpg")
    with open_dump(str(folder), ByteLimits()) as dump, pytest.raises(ArchiveError, match="leaves the folder"):
        dump.read(name, 0, 6)


def test_a_picture_that_changed_size_is_not_read(tmp_path: Path) -> None:
    folder = files(tmp_path / "dump", {"x.jpg": b"longer"})
    with open_dump(str(folder), ByteLimits()) as dump:
        for size in (5, 7):
            with pytest.raises(ArchiveError, match=f"no longer has {size} bytes"):
                dump.read("x.jpg", 0, size)


def test_file_names_that_are_not_utf8_are_listed_and_read(tmp_path: Path) -> None:
    folder = tmp_path / "dump"
    folder.mkdir()
    for name in (b"caf\xe9.jpg", b"\xff\xfe/x.jpg"):
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name)
    found = contents(folder)
    assert {name.encode(): data for name, data in found.items()} == {  # no table could hold them otherwise
        b"caf\\udce9.jpg": b"caf\xe9.jpg",
        b"\\udcff\\udcfe/x.jpg": b"\xff\xfe/x.jpg",
    }
    (folder / "caf\\udce9.jpg").write_bytes(b"an impostor")
    refusals = {m.name: m.refusal for m in listing(folder).members if m.refusal}
    assert refusals == {"caf\\udce9.jpg": "refused: two files have this name once it is made UTF-8"}


def test_a_member_name_that_is_not_utf8_is_text_in_a_tar_too(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        add(archive, os.fsdecode(b"caf\xe9.jpg"), b"x")
        add(archive, os.fsdecode(b"caf\xe9.json"), b'{"url": "u", "caption": "half \\ud83d"}')
    (member,) = listing(tmp_path / "0.tar").members
    assert (member.key, member.name, member.url) == ("caf\\udce9", "caf\\udce9.jpg", "u")
    assert member.caption == "half ?"
    assert contents(tmp_path / "0.tar") == {"caf\\udce9.jpg": b"x"}


def test_a_folder_without_pictures_says_so(tmp_path: Path) -> None:
    folder = files(tmp_path / "dump", {"0.tar": b"x", "1.tar": b"x", "stats.json": b"{}"})
    assert listing(folder).broken == (
        f"{folder} holds no pictures, but 2 other files; name them in `images` if they are dumps"
    )


def status(path: Path) -> None:
    parquet(
        path,
        url=["u0", "u1", "u2"],
        caption=["a", "b", "c"],
        key=["0", "1", "2"],
        status=["success", "failed_to_resize", "failed_to_download"],
        error_message=[None, "image decoding error", "<urlopen error timed out>"],
    )


def test_the_parquet_beside_a_tar_or_folder_says_what_was_not_downloaded(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        add(archive, "0.jpg", b"x")
    status(tmp_path / "0.parquet")
    files(tmp_path / "1", {"0.jpg": b"x"})
    status(tmp_path / "1.parquet")
    for dump in ("0.tar", "1"):
        found = listing(tmp_path / dump)
        assert [(m.key, m.name, m.size, m.url, m.refusal) for m in found.members[1:]] == [
            ("1", "", 0, "u1", "not downloaded: image decoding error"),
            ("2", "", 0, "u2", "not downloaded: <urlopen error timed out>"),
        ]
        assert found.members[0].name == "0.jpg"
        assert found.broken is None


def test_a_dump_of_which_nothing_was_downloaded_is_not_broken(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    status(tmp_path / "1.parquet")
    found = listing(tmp_path / "1")
    assert ([m.key for m in found.members], found.broken) == (["1", "2"], None)


def test_metadata_of_a_dataset_beside_a_tar_says_nothing_of_downloads(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        add(archive, "0.jpg", b"x")
    parquet(tmp_path / "0.parquet", URL=["u"], TEXT=["t"])
    assert len(listing(tmp_path / "0.tar").members) == 1
    (tmp_path / "0.parquet").write_bytes(b"PAR1 and no more")
    found = listing(tmp_path / "0.tar")
    assert [m.name for m in found.members] == ["0.jpg"]
    assert "0.parquet cannot be read" in str(found.broken)


def test_a_dump_without_metadata_is_listed_as_rows(tmp_path: Path) -> None:
    sidecar = b'{"url": "u", "caption": "c", "id": 3, "original_width": 640, "original_height": true}'
    folder = files(tmp_path / "dump", {"0.jpg": b"x", "0.json": sidecar, "1.jpg": b"y"})
    target = tmp_path / "home" / "listed" / "1.parquet"
    assert write(str(folder), target, LIMIT, tmp_path / "fetched", ByteLimits()).rows == 2
    nothing = dict.fromkeys(("url", "caption", "uid", "original_width", "original_height"))
    assert pq.read_table(target).to_pylist() == [
        {"key": "0", "url": "u", "caption": "c", "uid": "3", "original_width": 640, "original_height": None},
        {"key": "1"} | nothing,
    ]


def test_what_is_no_dump_names_the_file_and_the_fix(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + b"x" * 2000)
    with pytest.raises(ArchiveError, match=r"a\.zip is not an uncompressed tar"):
        listing(tmp_path / "a.zip")
    with pytest.raises(FileNotFoundError, match="nothing"):
        listing(tmp_path / "nothing")
