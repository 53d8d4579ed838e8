"""Folders of pictures: links, and tables that name the pictures as Hugging Face's imagefolder does."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.catalog.landing import LandingFile
from transforms.dumps.dump import open_dump
from transforms.dumps.members import Listing
from transforms.storage.file_limits import ByteLimits
from transforms.storage.links import CLOSED, INSIDE, OUTSIDE
from transforms.storage.system_files import HIDDEN

JPEG = b"\xff\xd8\xff\xe0" + bytes(60)


def write(folder: Path, *names: str, data: bytes = JPEG) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def listed(path: Path) -> Listing:
    with open_dump(str(path), ByteLimits()) as dump:
        found = dump.listing(1000)
        assert all(dump.read(m.name, m.offset, m.size) == JPEG for m in found.members if m.refusal is None)
        return found


def account(found: Listing) -> dict[str, tuple[str, ...]]:
    return {each.reason: each.examples for each in found.not_taken}


def test_a_link_to_a_folder_within_is_followed_once_and_one_that_leaves_is_named(tmp_path: Path) -> None:
    write(tmp_path / "outside", "o.jpg")
    root = write(tmp_path / "d", "a/1.jpg", "b/2.jpg")
    (root / "best").symlink_to("a")
    (root / "best-again").symlink_to("a")
    (root / "more").symlink_to(tmp_path / "outside")
    (root / "a" / "back").symlink_to(root)
    (root / "b" / "self").symlink_to(".")
    (root / "b" / "gone").symlink_to("nowhere")
    found = listed(root)
    assert {m.name: m.refusal for m in found.members} == {"a/1.jpg": None, "b/2.jpg": None, "best/1.jpg": None}
    counts = {each.reason: each.files for each in found.not_taken}
    assert counts[OUTSIDE] == 1
    assert account(found)[OUTSIDE] == ("more",)
    assert account(found)[INSIDE] == ("best-again", "a/back", "b/self", "best/back")
    assert account(found)["missing: a link to nothing"] == ("b/gone",)


def test_a_folder_that_cannot_be_opened_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "d", "1.jpg", "lost+found/2.jpg", "closed/3.jpg", "broken/4.jpg")
    listing, errors = os.scandir, {"lost+found": PermissionError, "closed": PermissionError}

    def scandir(path: str) -> object:
        if (name := Path(path).name) in errors:
            raise errors[name](5, "no", path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = listed(root)
    assert [m.name for m in found.members] == ["1.jpg", "broken/4.jpg"]
    assert account(found) == {CLOSED: ("closed",), HIDDEN: ("lost+found",)}
    assert LandingFile.at(root).size == 2 * len(JPEG)
    errors["broken"] = OSError  # a disk that fails is no folder that is closed
    with pytest.raises(OSError, match="broken"):
        listed(root)
    errors["d"] = PermissionError
    with pytest.raises(PermissionError):
        listed(root)


def test_links_of_a_snapshot_in_the_hubs_cache_lead_to_its_blobs(tmp_path: Path) -> None:
    write(tmp_path / "repo" / "blobs", "0123abcd")
    write(tmp_path / "elsewhere", "secret")
    root = tmp_path / "repo" / "snapshots" / "f00" / "train"
    root.mkdir(parents=True)
    (root / "1.jpg").symlink_to("../../../blobs/0123abcd")
    (root / "2.jpg").symlink_to(tmp_path / "elsewhere" / "secret")
    assert {m.name: m.refusal for m in listed(root).members} == {
        "1.jpg": None,
        "2.jpg": "refused: a link that leaves the folder",
    }


def table(path: Path, kind: str, rows: list[dict]) -> None:
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "csv":
        names = list(rows[0])
        lines = [",".join(f'"{row.get(name, "")}"' for name in names) for row in rows]
        path.write_text("\n".join([",".join(names), *lines]))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_table_of_a_folder_gives_its_pictures_captions_and_urls(tmp_path: Path, kind: str) -> None:
    root = write(tmp_path / "d", "1.jpg", "sub/2.jpg", "sub/deep/3.jpg", "4.jpg")
    rows = [
        {"file_name": "1.jpg", "text": "one", "url": "u1"},
        {"file_name": "sub\\2.jpg", "text": "two, from above", "url": "u2"},
        {"file_name": "gone.jpg", "text": "gone", "url": "u9"},
        {"file_name": "", "text": "nothing", "url": "u8"},
        {"file_name": "1.jpg", "text": "again", "url": "u7"},
    ]
    table(root / f"metadata.{kind}", kind, rows)
    table(
        root / "sub" / f"metadata.{kind}",
        kind,
        [{"file_name": "./2.jpg", "text": "two"}, {"file_name": "deep/3.jpg", "text": "three"}],
    )
    found = listed(root)
    assert [(m.name, m.caption, m.url) for m in found.members] == [
        ("1.jpg", "one", "u1"),
        ("4.jpg", None, None),
        ("sub/2.jpg", "two", "u2"),
        ("sub/deep/3.jpg", "three", None),
        ("", "gone", "u9"),
    ]
    assert found.members[-1].refusal == f"missing: metadata.{kind} names it, but the dump does not hold it"
    assert set(account(found)) == {
        "a row of a table that names no picture",
        "a row of a table that names a picture again",
    }
    assert found.broken is None


def test_a_row_that_names_a_file_that_is_no_picture_says_so(tmp_path: Path) -> None:
    root = write(tmp_path / "d", "1.jpg")
    (root / "notes.pdf").write_bytes(b"%PDF-1.7")
    table(root / "metadata.jsonl", "jsonl", [{"file_name": "notes.pdf", "text": "notes"}])
    found = listed(root)
    assert found.members[-1].refusal == "missing: metadata.jsonl names it, but the dump holds it as no picture"
    assert len(account(found)) == 1


def test_a_row_may_name_several_pictures(tmp_path: Path) -> None:
    root = write(tmp_path / "d", "1.jpg", "2.jpg", "3.jpg")
    rows = [{"file_name": "1.jpg", "edited_file_name": "2.jpg", "more_file_names": ["3.jpg"], "text": "c", "url": "u"}]
    table(root / "metadata.jsonl", "jsonl", rows)
    assert [(m.caption, m.url) for m in listed(root).members] == [("c", "u"), ("c", None), ("c", None)]


def test_a_table_that_breaks_off_keeps_the_pictures_and_names_the_line(tmp_path: Path) -> None:
    root = write(tmp_path / "d", "1.jpg", "2.jpg")
    (root / "metadata.jsonl").write_text('{"file_name": "1.jpg", "text": "one"}\n{"file_name": "2.j')
    found = listed(root)
    assert [(m.name, m.caption) for m in found.members] == [("1.jpg", "one"), ("2.jpg", None)]
    assert found.broken is not None and f"{root}/metadata.jsonl: line 2" in found.broken


def test_what_a_table_does_not_say_a_sidecar_may(tmp_path: Path) -> None:
    root = write(tmp_path / "d", "1.jpg")
    (root / "1.json").write_text('{"url": "u", "caption": "of the sidecar"}')
    table(root / "metadata.jsonl", "jsonl", [{"file_name": "1.jpg", "caption": "of the table"}])
    (member,) = listed(root).members
    assert (member.caption, member.url) == ("of the table", "u")
