"""Tars as the web delivers them: listed without extracting anything, broken ones to their break."""

import importlib
import json
import tarfile
from pathlib import Path

import pytest
from conftest import add
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.catalog.not_taken import NotTaken
from transforms.dumps.members import ArchiveError, Member
from transforms.dumps.tars import members, read
from transforms.storage.file_limits import ByteLimits

LIMIT = 1000


def tar(path: Path, contents: dict[str, bytes]) -> str:
    with tarfile.open(path, "w") as archive:
        for name, data in contents.items():
            add(archive, name, data)
    return str(path)


def test_a_picture_is_listed_with_its_place_its_url_and_its_caption(tmp_path: Path) -> None:
    sidecar = json.dumps({"url": "https://a.example/1", "caption": "one"}).encode()
    path = tar(tmp_path / "a.tar", {"d/1.jpg": b"first", "d/1.json": sidecar, "2.PNG": b"second", "2.txt": b"two"})
    first, second = members(path, LIMIT, ByteLimits()).members
    assert (first.key, first.name, first.url, first.caption) == ("d/1", "d/1.jpg", "https://a.example/1", "one")
    assert (second.key, second.name, second.url, second.caption) == ("2", "2.PNG", None, "two")
    with Path(path).open("rb") as file:
        assert [read(file, m.offset, m.size) for m in (second, first)] == [b"second", b"first"]


def test_the_key_ends_at_the_first_dot_of_the_name_and_not_of_the_folder(tmp_path: Path) -> None:
    listing = members(
        tar(tmp_path / "a.tar", {"v1.0/0001.jpg": b"x", "v1.0/0002.input.jpg": b"x"}), LIMIT, ByteLimits()
    )
    assert [m.key for m in listing.members] == ["v1.0/0001", "v1.0/0002"]


@pytest.mark.parametrize("sidecar", [b"{", b"[1]", b"\xff\xfe", b"null", b"[" * 100_000])
def test_a_broken_sidecar_leaves_its_picture_without_url_and_is_counted(tmp_path: Path, sidecar: bytes) -> None:
    path = tar(tmp_path / "a.tar", {"1.jpg": b"x", "1.json": sidecar})
    found = members(path, LIMIT, ByteLimits())
    (member,) = found.members
    assert (member.url, member.caption, member.refusal) == (None, None, None)
    assert found.not_taken == [NotTaken(path, "a sidecar that is no JSON object", 1, ("1.json",))]


def test_a_sidecar_of_another_key_says_nothing_of_a_picture_and_is_counted(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {"1.jpg": b"x", "2.json": b'{"url": "u"}'})
    found = members(path, LIMIT, ByteLimits())
    assert found.members[0].url is None
    assert found.not_taken == [NotTaken(path, "a sidecar without its picture", 1, ("2.json",))]


@pytest.mark.parametrize("name", ["../x.jpg", "a/../../x.jpg", "/etc/x.jpg"])
def test_a_name_that_leaves_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    sidecar = name.replace(".jpg", ".json")
    (member,) = members(tar(tmp_path / "a.tar", {name: b"x", sidecar: b'{"url": "u"}'}), LIMIT, ByteLimits()).members
    assert member.refusal == f"refused: the member name {name!r} leaves the archive"
    assert member.url == "u", "its row counts it"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("1.jpg")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info)
    (member,) = members(str(tmp_path / "a.tar"), LIMIT, ByteLimits()).members
    assert member.refusal == "refused: the member is a link or device, not a file"


def test_a_member_is_refused_only_above_the_limit(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {"1.jpg": b"x" * LIMIT, "2.jpg": b"x" * (LIMIT + 1)})
    assert [m.refusal for m in members(path, LIMIT, ByteLimits()).members] == [
        None,
        f"refused: {LIMIT + 1} bytes are more than limits.member_bytes = {LIMIT}",
    ]


def listed_before_the_break(path: Path, keep: int) -> tuple[list[str], str | None]:
    with path.open("r+b") as file:
        file.truncate(keep)
    listing = members(str(path), LIMIT, ByteLimits())
    return [m.name for m in listing.members], listing.broken


def test_a_tar_cut_within_a_picture_keeps_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    last: Member = members(tar(path, {f"{n}.jpg": b"x" * 900 for n in range(3)}), LIMIT, ByteLimits()).members[-1]
    names, broken = listed_before_the_break(path, last.offset + 100)
    assert names == ["0.jpg", "1.jpg"]
    assert broken == f"{path} breaks off within '2.jpg'; download it again"


def test_a_tar_cut_within_a_header_keeps_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    last = members(tar(path, {f"{n}.jpg": b"x" * 900 for n in range(3)}), LIMIT, ByteLimits()).members[-1]
    names, broken = listed_before_the_break(path, last.offset - 200)
    assert names == ["0.jpg", "1.jpg"]
    assert broken is not None
    assert "breaks off after '1.jpg'" in broken


def test_a_tar_cut_between_two_pictures_is_broken_though_every_header_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    last = members(tar(path, {f"{n}.jpg": b"x" * 900 for n in range(3)}), LIMIT, ByteLimits()).members[-1]
    names, broken = listed_before_the_break(path, last.offset - 512)
    assert names == ["0.jpg", "1.jpg"]
    assert broken == f"{path} breaks off after '1.jpg' (no end mark follows); download it again"


def test_garbage_in_the_place_of_a_header_ends_the_listing_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    last = members(tar(path, {f"{n}.jpg": b"x" * 900 for n in range(3)}), LIMIT, ByteLimits()).members[-1]
    data = bytearray(path.read_bytes())
    data[last.offset - 512 : last.offset] = b"\xaa" * 512
    path.write_bytes(data)
    listing = members(str(path), LIMIT, ByteLimits())
    assert [m.name for m in listing.members] == ["0.jpg", "1.jpg"]
    assert listing.broken is not None
    assert "breaks off after '1.jpg'" in listing.broken


def test_a_whole_tar_is_not_called_broken_and_an_empty_one_has_no_pictures(tmp_path: Path) -> None:
    assert members(tar(tmp_path / "a.tar", {"1.jpg": b"x", "notes.md": b"x"}), LIMIT, ByteLimits()).broken is None
    empty = members(tar(tmp_path / "b.tar", {}), LIMIT, ByteLimits())
    assert (empty.members, empty.broken) == ([], None)


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b\x08 gzip", b"PK\x03\x04" + b"x" * 2000])
def test_what_is_no_tar_names_the_file_and_the_fix(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(ArchiveError, match=r"a\.tar is not an uncompressed tar .*output_format=webdataset"):
        members(str(tmp_path / "a.tar"), LIMIT, ByteLimits())


def test_reading_beyond_the_end_says_that_the_archive_changed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"short")
    with (tmp_path / "a").open("rb") as file, pytest.raises(ArchiveError, match="only 3 of 9 bytes at offset 2"):
        read(file, 2, 9)


@pytest.mark.parametrize("order", [("1.json", "1.txt"), ("1.txt", "1.json")])
def test_a_caption_that_is_null_stays_null_beside_the_empty_text_that_img2dataset_writes(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    sidecars = {"1.json": b'{"url": "u", "caption": null}', "1.txt": b""}
    path = tar(tmp_path / "a.tar", {"1.jpg": b"x", **{name: sidecars[name] for name in order}})
    (member,) = members(path, LIMIT, ByteLimits()).members
    assert (member.url, member.caption) == ("u", None)


def test_a_sidecar_before_its_picture_is_its_own_and_no_others(tmp_path: Path) -> None:
    said = json.dumps({"url": "u", "caption": "c", "raisonne_row": 7}).encode()
    path = tar(tmp_path / "a.tar", {"0.json": b'{"url": "other"}', "1.json": said, "1.png": b"x", "1.txt": b"c"})
    (member,) = members(path, LIMIT, ByteLimits()).members
    assert (member.key, member.url, member.caption, member.row) == ("1", "u", "c", 7)


def concatenated(path: Path, *parts: bytes) -> str:
    path.write_bytes(b"".join(parts))
    return str(path)


def archive_of(tmp_path: Path, *names: str) -> bytes:
    return Path(tar(tmp_path / "part.tar", {name: name.encode() for name in names})).read_bytes()


@pytest.mark.parametrize("zeros", [0, 512, 512 * 5, 3 << 20])
def test_what_follows_an_end_mark_is_read_too(tmp_path: Path, zeros: int) -> None:
    """As `cat a.tar b.tar` leaves it, or `tar -r` of a tar on a tape, or a lone block of zeros."""
    parts = archive_of(tmp_path, "1.jpg", "2.jpg"), bytes(zeros), archive_of(tmp_path, "3.jpg"), bytes(zeros)
    path = concatenated(tmp_path / "a.tar", *parts)
    found = members(path, LIMIT, ByteLimits())
    assert [m.name for m in found.members] == ["1.jpg", "2.jpg", "3.jpg"]
    assert (found.broken, found.not_taken) == (None, [])
    with Path(path).open("rb") as file:
        assert [read(file, m.offset, m.size) for m in found.members] == [b"1.jpg", b"2.jpg", b"3.jpg"]


def test_bytes_after_the_end_mark_that_are_no_tar_are_counted_and_the_tar_is_whole(tmp_path: Path) -> None:
    first = archive_of(tmp_path, "1.jpg")
    path = concatenated(tmp_path / "a.tar", first, b"garbage" * 400)
    found = members(path, LIMIT, ByteLimits())
    assert ([m.name for m in found.members], found.broken) == (["1.jpg"], None)
    where = f"at byte {len(first):,}"
    assert found.not_taken == [NotTaken(path, "bytes after the end mark of the tar, which are no tar", 1, (where,))]


def test_a_second_tar_that_breaks_off_is_broken(tmp_path: Path) -> None:
    path = concatenated(
        tmp_path / "a.tar", archive_of(tmp_path, "1.jpg"), archive_of(tmp_path, "2.jpg", "3.jpg")[:1300]
    )
    found = members(path, LIMIT, ByteLimits())
    assert [m.name for m in found.members] == ["1.jpg", "2.jpg"]
    assert found.broken == f"{path} breaks off after '2.jpg' (no end mark follows); download it again"


def test_a_hard_link_is_the_file_before_it_and_a_folder_is_nothing(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        folder = tarfile.TarInfo("album.jpg")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        add(archive, "album.jpg/1.jpg", b"first")
        link = tarfile.TarInfo("2.jpg")
        link.type, link.linkname = tarfile.LNKTYPE, "album.jpg/1.jpg"
        archive.addfile(link)
    found = members(str(tmp_path / "a.tar"), LIMIT, ByteLimits())
    assert [(m.name, m.size, m.refusal) for m in found.members] == [("album.jpg/1.jpg", 5, None), ("2.jpg", 5, None)]
    assert found.members[0].offset == found.members[1].offset
    assert found.not_taken == []


@pytest.mark.parametrize(
    ("module", "said"),
    [("gzip", "gzip compressed it; decompress it with gunzip"), ("bz2", "bunzip2"), ("lzma", "unxz")],
)
def test_a_compressed_tar_is_named_with_what_decompresses_it(tmp_path: Path, module: str, said: str) -> None:
    compressed = importlib.import_module(module).compress(archive_of(tmp_path, "1.jpg"))
    path = concatenated(tmp_path / "a.tar.gz", compressed)
    with pytest.raises(
        ArchiveError, match=rf"a\.tar\.gz is not an uncompressed tar \({said}" if module == "gzip" else said
    ):
        members(path, LIMIT, ByteLimits())


def test_a_picture_that_is_taken_for_a_dump_is_named(tmp_path: Path) -> None:
    path = concatenated(tmp_path / "a", b"\xff\xd8\xff\xe0" + bytes(2000))
    with pytest.raises(ArchiveError, match="it is a picture; name the folder that holds it in `images`"):
        members(path, LIMIT, ByteLimits())


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_tar_is_listed_or_refused_and_never_stops(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    content = bytearray(archive_of(folder, "1.jpg", "a/" * 60 + "2.jpg", "1.json", "3", "4.txt"))
    for _ in range(data.draw(st.integers(1, 12))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = concatenated(folder / "a.tar", bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        found = members(path, LIMIT, ByteLimits())
    except ArchiveError as error:
        assert path in str(error)
        return
    with Path(path).open("rb") as file:
        assert all(len(read(file, m.offset, m.size)) == m.size for m in found.members if m.refusal is None)


def test_a_second_tar_that_breaks_off_in_its_first_member_is_broken(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            add(archive, f"{name}.jpg", b"\xff\xd8\xff" + bytes(3000))
    (tmp_path / "both.tar").write_bytes((tmp_path / "a.tar").read_bytes() + (tmp_path / "b.tar").read_bytes()[:2000])
    found = members(str(tmp_path / "both.tar"), 10_000, ByteLimits())
    assert [member.name for member in found.members] == ["a.jpg"]
    assert "breaks off within 'b.jpg'" in str(found.broken)
