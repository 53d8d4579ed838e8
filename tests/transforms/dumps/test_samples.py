"""Which files of a dump are pictures, which sidecar is of which picture, and the account of all others."""

import json
import tarfile
from pathlib import Path

import pytest
from conftest import add, encoded, picture

from transforms.dumps import names
from transforms.dumps.dump import open_dump
from transforms.dumps.members import Listing
from transforms.storage.file_limits import ByteLimits
from transforms.storage.system_files import HIDDEN

JPEG = b"\xff\xd8\xff\xe0" + bytes(60)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)
LIMIT = 2_000_000


def listed(path: Path) -> Listing:
    with open_dump(str(path), ByteLimits()) as dump:
        return dump.listing(LIMIT)


def tar(tmp_path: Path, *contents: tuple[str, bytes]) -> Listing:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, data in contents:
            add(archive, name, data)
    return listed(tmp_path / "a.tar")


def folder(tmp_path: Path, *contents: tuple[str, bytes]) -> Listing:
    for name, data in contents:
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(data)
    return listed(tmp_path / "d")


def said(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def account(found: Listing) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {each.reason: (each.files, each.examples) for each in found.not_taken}


ODD = (
    "Mr. Fox v1.2.jpg",
    "sample1.input.jpg",
    "7.img",
    "x",
    "d41d8cd98f00b204",
    "235342 ..jpg",
    "e.jpg_large",
    "b.jfif",
    "c.JPE",
    "photo.txt",
)


@pytest.mark.parametrize("layout", [tar, folder])
def test_a_picture_is_one_by_its_first_bytes_whatever_it_is_called(tmp_path: Path, layout: object) -> None:
    found = layout(tmp_path, *((name, PNG if name == "x" else JPEG) for name in ODD))  # type: ignore[operator]
    assert {member.name for member in found.members} == set(ODD)
    assert found.not_taken == []


@pytest.mark.parametrize("layout", [tar, folder])
def test_a_format_that_needs_a_plug_in_and_a_broken_picture_are_rows(tmp_path: Path, layout: object) -> None:
    heic = b"\0\0\0\x18ftypheic" + bytes(40)
    found = layout(tmp_path, ("a.heic", heic), ("b", heic), ("c.jxl", b""), ("d.jpg", b"<html>"))  # type: ignore[operator]
    assert [member.name for member in found.members] == ["a.heic", "b", "c.jxl", "d.jpg"]


@pytest.mark.parametrize("layout", [tar, folder])
def test_what_is_no_picture_is_counted_with_its_reason(tmp_path: Path, layout: object) -> None:
    found = layout(  # type: ignore[operator]
        tmp_path,
        ("1.jpg", JPEG),
        ("a.cls", b"7"),
        ("b.npy", b"\x93NUMPY" + bytes(90)),
        ("c", b""),
        ("d.bin", b"PAR1" + bytes(90)),
        ("e.zip", b"PK\x03\x04" + bytes(90)),
        ("f.mp4", b"\0\0\0\x18ftypisom" + bytes(90)),
        ("g.page", b"<!DOCTYPE html>"),
        ("h.words", b"BMW parked in the street"),
    )
    assert [member.name for member in found.members] == ["1.jpg"]
    assert account(found) == {
        "no picture: its first bytes are of no picture format": (3, ("a.cls", "b.npy", "h.words")),
        "no picture: an empty file": (1, ("c",)),
        "an archive or parquet within a dump, which is not opened; name it in `images` if it is a dump": (
            1,
            ("d.bin",),
        ),
        "a ZIP archive within a dump, which is not opened; unpack it": (1, ("e.zip",)),
        "a film, not a picture": (1, ("f.mp4",)),
        "a web page, not a picture": (1, ("g.page",)),
    }


SYSTEM = (
    "._1.jpg",
    "__MACOSX/1.jpg",
    "@eaDir/1.jpg/SYNOFILE_THUMB_M.jpg",
    ".ipynb_checkpoints/1-checkpoint.jpg",
    ".DS_Store",
    "sub/Thumbs.db",
    "desktop.ini",
    "#recycle/old.jpg",
    ".Trash-1000/files/old.jpg",
    "$RECYCLE.BIN/old.jpg",
    "1.jpg~",
)


@pytest.mark.parametrize("layout", [tar, folder])
def test_files_that_systems_leave_are_no_pictures_and_are_counted(tmp_path: Path, layout: object) -> None:
    found = layout(tmp_path, ("1.jpg", JPEG), ("a..b/2.jpg", JPEG), *((name, JPEG) for name in SYSTEM))  # type: ignore[operator]
    assert [member.name for member in found.members] == ["1.jpg", "a..b/2.jpg"]
    assert [(each.reason, each.files) for each in found.not_taken] == [(HIDDEN, len(SYSTEM))]


@pytest.mark.parametrize("layout", [tar, folder])
def test_parts_meet_wherever_they_lie(tmp_path: Path, layout: object) -> None:
    pictures = [(f"{n}.jpg", JPEG) for n in range(3)]
    sidecars = [(f"{n}.json", said(URL=f"u{n}", TEXT=f"c{n}")) for n in (2, 0, 1)]
    for order in (pictures + sidecars, sidecars + pictures):
        found = layout(tmp_path, *order)  # type: ignore[operator]
        assert [(m.key, m.url, m.caption) for m in found.members] == [(str(n), f"u{n}", f"c{n}") for n in range(3)]
        assert found.not_taken == []


@pytest.mark.parametrize("layout", [tar, folder])
@pytest.mark.parametrize(
    ("name", "sidecar"),
    [
        ("Mr. Fox v1.2.jpg", "Mr. Fox v1.2.json"),
        ("sample1.input.jpg", "sample1.input.json"),
        ("sample1.input.jpg", "sample1.json"),
        ("a.b.c.jpg", "a.b.json"),
        ("photo.jpg", "photo.jpg.json"),
        ("photo v1.2.jpg", "photo v1.2.jpg.json"),
        ("photo.jpg", "photo.meta.json"),
        ("photo", "photo.json"),
        ("v1.0/photo.JPG", "v1.0/photo.JSON"),
    ],
)
def test_sidecars_of_compound_names_meet_their_picture(tmp_path: Path, layout: object, name: str, sidecar: str) -> None:
    found = layout(tmp_path, (name, JPEG), (sidecar, said(url="u", Alt_Text="c")))  # type: ignore[operator]
    assert [(m.url, m.caption) for m in found.members] == [("u", "c")]
    assert found.not_taken == []


def test_a_sidecar_of_another_picture_is_not_taken_for_its_own(tmp_path: Path) -> None:
    found = folder(
        tmp_path,
        ("Mr. Fox.jpg", JPEG),
        ("Mr. Wolf.txt", b"a wolf"),
        ("1.jpg", JPEG),
        ("1.txt", b"one"),
        ("1.label.txt", b"7"),
        ("2.jpg", JPEG),
        ("2.caption.txt", b"two"),
    )
    assert [(m.name, m.caption) for m in found.members] == [("1.jpg", "one"), ("2.jpg", "two"), ("Mr. Fox.jpg", None)]
    assert account(found) == {"a sidecar without its picture": (2, ("1.label.txt", "Mr. Wolf.txt"))}


def test_a_mask_is_a_picture_of_its_own_and_never_takes_the_row_of_another(tmp_path: Path) -> None:
    found = tar(
        tmp_path,
        ("7.depth.png", PNG),
        ("7.jpg", JPEG),
        ("7.seg.png", PNG),
        ("7.json", said(url="u", caption="c", uid=7)),
        ("8.seg.png", PNG),
    )
    assert [(m.name, m.key, m.url, m.caption) for m in found.members] == [
        ("7.depth.png", "7.depth", None, None),
        ("7.jpg", "7", "u", "c"),
        ("7.seg.png", "7.seg", None, None),
        ("8.seg.png", "8.seg", None, None),
    ]


def test_the_pictures_of_a_sample_share_its_caption_and_the_first_has_what_names_its_row(tmp_path: Path) -> None:
    found = tar(
        tmp_path, ("x.1.jpg", JPEG), ("x.input.jpg", JPEG), ("x.edited.jpg", JPEG), ("x.json", said(url="u", text="c"))
    )
    assert [(m.key, m.url, m.caption) for m in found.members] == [
        ("x.1", None, "c"),
        ("x", "u", "c"),
        ("x.edited", None, "c"),
    ]


def test_tars_put_together_keep_each_sidecar_with_its_picture(tmp_path: Path) -> None:
    found = tar(
        tmp_path,
        *(("0.jpg", JPEG), ("0.json", said(url="first")), ("0.txt", b"one")),
        *(("0.json", said(url="second")), ("0.jpg", JPEG), ("0.txt", b"two")),
    )
    assert [(m.url, m.caption) for m in found.members] == [("first", "one"), ("second", "two")]
    again = tar(tmp_path, ("0.jpg", JPEG), ("0.txt", b"near"), ("1.jpg", JPEG), ("0.txt", b"far"))
    assert again.members[0].caption == "near"
    assert account(again) == {"a sidecar whose name another one has": (1, ("0.txt",))}


@pytest.mark.parametrize(
    ("sidecar", "caption"),
    [
        (said(caption=["", "first", "second"]), "first"),
        (said(caption=12), "12"),
        (said(caption=None, TEXT="text"), "text"),
        (said(caption={"en": "x"}), None),
        (b"\xef\xbb\xbf" + said(Text="marked"), "marked"),
        (json.dumps({"caption": "wide"}).encode("utf-16"), "wide"),
        ('{"caption": "Café à Liège"}'.encode("cp1252"), "Café à Liège"),
    ],
)
def test_captions_come_in_many_forms(tmp_path: Path, sidecar: bytes, caption: str | None) -> None:
    found = tar(tmp_path, ("1.jpg", JPEG), ("1.json", sidecar))
    assert (found.members[0].caption, found.not_taken) == (caption, [])


def test_a_sidecar_that_is_too_large_is_counted_and_not_read(tmp_path: Path) -> None:
    found = tar(tmp_path, ("1.jpg", JPEG), ("1.json", said(url="u", caption="x" * 1_000_000)))
    assert found.members[0].url is None
    assert account(found) == {"a sidecar of more than 1,000,000 bytes": (1, ("1.json",))}


def test_a_dump_that_was_read_before_has_the_same_pictures_in_the_same_order(tmp_path: Path) -> None:
    """The place of a picture is part of its id."""
    parts = [part for n in (3, 1, 2) for part in ((f"d/{n}.jpg", JPEG), (f"d/{n}.txt", b""), (f"d/{n}.json", said()))]
    assert [m.key for m in tar(tmp_path, *parts).members] == ["d/3", "d/1", "d/2"]
    assert [m.key for m in folder(tmp_path, *parts).members] == ["d/1", "d/2", "d/3"]


def test_a_tar_of_a_folder_names_its_pictures_as_the_folder_does(tmp_path: Path) -> None:
    found = tar(tmp_path, ("./1.jpg", JPEG), ("1.txt", b"one"), ("./d/2.jpg", JPEG))
    assert [(m.key, m.caption) for m in found.members] == [("1", "one"), ("d/2", None)]


@pytest.mark.parametrize(
    ("name", "stem", "key"),
    [
        ("7.jpg", "7", "7"),
        ("7.input.jpg", "7.input", "7"),
        ("7.seg.png", "7.seg", "7.seg"),
        ("v1.0/7.a.b.jpg", "v1.0/7.a.b", "v1.0/7"),
        ("Mr. Fox v1.2.jpg", "Mr. Fox v1.2", "Mr. Fox v1.2"),
        ("2024.01.02.jpg", "2024.01.02", "2024.01.02"),
        ("./235342 ..jpg", "235342 .", "235342 ."),
        ("x", "x", "x"),
        ("d.e/x", "d.e/x", "d.e/x"),
        ("a.JPG", "a", "a"),
    ],
)
def test_the_key_is_webdatasets_where_the_name_is_made_of_words(name: str, stem: str, key: str) -> None:
    assert (names.stem(name), names.webdataset_key(names.stem(name))) == (stem, key)


def test_real_pictures_of_every_format_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    image = picture(1, 32, 32)
    kinds = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    found = folder(tmp_path, *((kind, encoded(image, kind)) for kind in kinds))
    assert sorted(m.name for m in found.members) == sorted(kinds)
    assert found.not_taken == []


def test_a_thumbnail_beside_its_picture_is_no_copy_of_it(tmp_path: Path) -> None:
    found = tar(tmp_path, ("7.jpg", JPEG), ("7.thumb.jpg", JPEG), ("8.thumb.jpg", JPEG))
    assert [m.name for m in found.members] == ["7.jpg", "8.thumb.jpg"]
    assert account(found) == {"a thumbnail of another picture of its sample": (1, ("7.thumb.jpg",))}


@pytest.mark.parametrize(
    ("image", "sidecar"), [("12.jpg", "12.5.json"), ("Mr. Fox.jpg", "Mr.json"), ("v1.5 fox.jpg", "v1.json")]
)
def test_a_sidecar_of_a_picture_that_is_not_there_is_no_other_pictures(
    tmp_path: Path, image: str, sidecar: str
) -> None:
    found = tar(tmp_path, (image, JPEG), (sidecar, json.dumps({"url": "u", "caption": "c"}).encode()))
    assert [(member.url, member.caption) for member in found.members] == [(None, None)]
    assert [(each.reason, each.examples) for each in found.not_taken] == [("a sidecar without its picture", (sidecar,))]
