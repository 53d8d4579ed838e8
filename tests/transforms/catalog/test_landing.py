"""Which files make a shard, which can be used, and which row each picture meets."""

import itertools
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.catalog.columns import LandingError, column_of
from transforms.catalog.landing import ROW_BITS, LandedShard, LandingFile, Shard, find_shards
from transforms.catalog.metadata import inspect
from transforms.catalog.not_taken import NotTakenCounts
from transforms.catalog.picture_columns import PictureColumn
from transforms.dumps.members import Member
from transforms.fingerprints.row_matching import MetadataFile, match_rows, metadata_of
from transforms.storage.file_limits import ByteLimits


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def parquet(folder: Path, **columns: object) -> str:
    path = folder / "rows.parquet"
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_metadata_and_images_of_one_name_are_one_shard(tmp_path: Path) -> None:
    touch(tmp_path, "00000.parquet", "00000.tar", "00001.parquet", "00002.tar", "notes.md")
    found = find_shards("d", f"{tmp_path}/*.parquet", f"{tmp_path}/*.tar")
    assert [(s.partition, s.metadata is not None, s.images is not None) for s in found] == [
        ("d/00000", True, True),
        ("d/00001", True, False),
        ("d/00002", False, True),
    ]


def test_shards_below_folders_keep_their_folder_in_the_name(tmp_path: Path) -> None:
    touch(tmp_path, "meta/a/0.parquet", "meta/b/0.parquet", "tars/a/0.tar", "tars/b/0.tar")
    found = find_shards("d", f"{tmp_path}/meta/**/*.parquet", f"{tmp_path}/tars/**/*.tar")
    assert [(s.name, s.metadata.path, s.images.path) for s in found if s.metadata and s.images] == [
        (f"{x}/0", f"{tmp_path}/meta/{x}/0.parquet", f"{tmp_path}/tars/{x}/0.tar") for x in "ab"
    ]


def test_a_single_file_and_a_glob_that_finds_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "one.parquet")
    assert [s.name for s in find_shards("d", f"{tmp_path}/one.parquet", None)] == ["one"]
    assert find_shards("d", f"{tmp_path}/none-*.parquet", f"{tmp_path}/*.tar") == []


def test_metadata_of_any_form_and_a_dump_of_one_name_are_one_shard(tmp_path: Path) -> None:
    touch(
        tmp_path, "0.csv", "1.jsonl.gz", "2.tsv", "3.ndjson", "v1.2.json", *(f"{n}.tar" for n in range(4)), "v1.2.tar"
    )
    found = find_shards("d", f"{tmp_path}/*[!r]", f"{tmp_path}/*.tar")
    assert [(s.name, s.metadata is not None, s.images is not None) for s in found] == [
        (name, True, True) for name in ("0", "1", "2", "3", "v1.2")
    ]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "0.parquet", "0.pq")
    with pytest.raises(LandingError, match="would both be shard 0; narrow the glob"):
        find_shards("d", f"{tmp_path}/0.*", None)


@pytest.mark.parametrize(
    ("names", "wanted", "column"),
    [
        (("URL", "TEXT"), "url", "URL"),
        (("url", "text", "caption"), "caption", "caption"),
        (("Alt_Text",), "caption", "Alt_Text"),
        (("width", "original_width"), "width", "original_width"),
        (("clip_similarity_vitl14",), "similarity", "clip_similarity_vitl14"),
        (("a",), "key", None),
    ],
)
def test_a_column_is_found_by_any_of_its_names_in_any_case(
    names: tuple[str, ...], wanted: str, column: str | None
) -> None:
    assert column_of(names, wanted) == column


def test_a_good_file_is_inspected_without_a_copy(tmp_path: Path) -> None:
    path = parquet(tmp_path, URL=["u", "v"], TEXT=["a", None])
    found = inspect(path, tmp_path / "repaired.parquet", ByteLimits())
    assert (found.rows, found.columns, found.repaired_rows) == (2, ("URL", "TEXT"), 0)
    assert not (tmp_path / "repaired.parquet").exists()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_text_that_is_not_utf8_is_repaired_in_a_copy(tmp_path: Path, kind: pa.DataType) -> None:
    binary = pa.large_binary() if kind == pa.large_string() else pa.binary()
    text = pa.array([b"caf\xe9", None, b"fine \xe2\x82\xac", b"\xff\xfe"], binary).view(kind)
    before = Path(parquet(tmp_path, url=["a", "b", "c", "d"], caption=text)).read_bytes()
    found = inspect(str(tmp_path / "rows.parquet"), tmp_path / "new" / "repaired.parquet", ByteLimits())
    assert (found.rows, found.repaired_rows) == (4, 2)
    repaired = pq.read_table(tmp_path / "new" / "repaired.parquet")
    assert repaired["caption"].to_pylist() == ["caf\ufffd", None, "fine €", "\ufffd\ufffd"]
    assert (tmp_path / "rows.parquet").read_bytes() == before, "a landing file is never changed"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["repaired.parquet"]


def test_binary_text_becomes_text_in_a_copy(tmp_path: Path) -> None:
    path = parquet(tmp_path, url=pa.array([b"u"], pa.binary()), caption=pa.array([b"c"], pa.binary()))
    inspect(path, tmp_path / "repaired.parquet", ByteLimits())
    assert pq.read_table(tmp_path / "repaired.parquet").to_pylist() == [{"url": "u", "caption": "c"}]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"caption": ["c"]}, "has no url column: looked for url, image_url, img_url in any case, found caption"),
        ({"url": ["u"]}, "has no caption column: looked for caption, text, alt_text"),
        ({"url": ["u"], "URL": ["v"], "text": ["c"]}, "has url twice, .*with different values: url, URL; rename one"),
        ({"url": [[["u"]]], "text": ["c"]}, "column url is list"),
        ({"url": ["u"], "text": ["c"], "width": [{"px": 1}]}, "column width is struct"),
    ],
)
def test_metadata_that_cannot_be_used_says_why(tmp_path: Path, columns: dict, reason: str) -> None:
    with pytest.raises(LandingError, match=reason):
        inspect(parquet(tmp_path, **columns), tmp_path / "repaired.parquet", ByteLimits())


@pytest.mark.parametrize("damage", ["end", "middle", "all", "empty"])
def test_a_damaged_parquet_names_the_file_and_the_fix(tmp_path: Path, damage: str) -> None:
    path = Path(parquet(tmp_path, url=[f"u{n}" * 50 for n in range(2000)], caption=["c"] * 2000))
    data = path.read_bytes()
    middle = len(data) // 4
    path.write_bytes(
        {
            "end": data[:-20],
            "middle": data[:middle] + b"\xff" * 400 + data[middle + 400 :],
            "all": b"not parquet at all",
            "empty": b"",
        }[damage]
    )
    with pytest.raises(LandingError, match=r"rows\.parquet is not a whole parquet file .*download it again"):
        inspect(str(path), tmp_path / "repaired.parquet", ByteLimits())


def member(key: str, url: str | None = None, caption: str | None = None) -> Member:
    return Member(key, f"{key}.jpg", 0, 1, url=url, caption=caption)


def matched(members: list[Member], files: list[MetadataFile]) -> list[int | None]:
    return list(match_rows(members, files).ids)


def ids(shard_id: int, *rows: int | None) -> list[int | None]:
    return [None if row is None else (shard_id << ROW_BITS) + row for row in rows]


def test_a_key_counts_only_where_the_url_does_not_contradict_it(tmp_path: Path) -> None:
    path = parquet(tmp_path, key=["b", "a", "c"], url=["u"] * 3, caption=["t"] * 3)
    pictures = [member("a", "other", "text"), member("b"), member("a"), member("z", "u", "t")]
    assert matched(pictures, [MetadataFile(3, path)]) == ids(3, None, 0, 1, 2)


def test_keys_may_be_numbers_in_the_metadata(tmp_path: Path) -> None:
    path = parquet(tmp_path, key=[7, 8], url=["u"] * 2, caption=["t"] * 2)
    assert matched([member("8"), member("7")], [MetadataFile(0, path)]) == ids(0, 1, 0)


def test_without_keys_equal_pictures_meet_equal_rows_one_each(tmp_path: Path) -> None:
    path = parquet(tmp_path, URL=["u", "v", "u", "u"], TEXT=["t", "t", "t", "other"])
    pictures = [member("0", "u", "t"), member("1", "u", "t"), member("2", "u", "t"), member("3", "v", "t")]
    assert matched(pictures, [MetadataFile(5, path)]) == ids(5, 0, 2, None, 1)


def test_a_missing_caption_meets_only_a_missing_caption(tmp_path: Path) -> None:
    path = parquet(tmp_path, URL=["u", "u"], TEXT=pa.array([None, ""], pa.string()))
    assert matched([member("0", "u", ""), member("1", "u", None)], [MetadataFile(1, path)]) == ids(1, 1, 0)
    assert matched([member("0", None, None)], [MetadataFile(1, path)]) == [None]


def test_rows_are_numbered_across_row_groups_and_files(tmp_path: Path) -> None:
    files = []
    for number in range(2):
        path = tmp_path / f"{number}.parquet"
        urls = [f"u{number}-{n}" for n in range(10)]
        pq.write_table(pa.table({"url": urls, "caption": ["t"] * 10}), path, row_group_size=3)
        files.append(MetadataFile(number + 1, str(path)))
    pictures = [member("0", "u1-9", "t"), member("1", "u0-4", "t")]
    assert matched(pictures, files) == [*ids(2, 9), *ids(1, 4)]


def test_a_sample_id_holds_shard_and_row_and_fits_a_signed_integer(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"url": ["a", "b"], "caption": ["x", "y"]}), path)
    highest = 2**37 - 1
    members = [Member(key, f"{key}.jpg", 0, 1, url=key, caption=text) for key, text in (("a", "x"), ("b", "y"))]
    assert matched(members, [MetadataFile(highest, str(path))]) == [highest << ROW_BITS, (highest << ROW_BITS) + 1]
    assert (highest << ROW_BITS) + 2**ROW_BITS - 1 == 2**63 - 1


def test_a_folder_is_a_shard_and_the_parquet_and_statistics_beside_it_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "00000/1.jpg", "00000.parquet", "00000_stats.json", "00001.tar", "00001.parquet", "_SUCCESS")
    touch(tmp_path, "00002.parquet")
    found = find_shards("d", f"{tmp_path}/*.parquet", f"{tmp_path}/*")
    assert [
        (s.name, Path(s.metadata.path).name, Path(s.images.path).name) for s in found if s.metadata and s.images
    ] == [
        ("00000", "00000.parquet", "00000"),
        ("00001", "00001.parquet", "00001.tar"),
        ("00002", "00002.parquet", "00002.parquet"),
    ]
    assert [s.name for s in find_shards("d", None, f"{tmp_path}/*/")] == ["00000"]
    assert [s.name for s in find_shards("d", None, f"{tmp_path}/00000")] == ["00000"]
    assert [s.name for s in find_shards("d", None, f"{tmp_path}/00000/")] == ["00000"]


def test_a_report_that_comes_changes_or_goes_is_another_delivery_of_its_dump(tmp_path: Path) -> None:
    touch(tmp_path, "00000/1.jpg", "00001.tar", "00002.tar", "00003.parquet", "00003_stats.json")

    def landed(metadata: str | None = None) -> dict[str, LandingFile]:
        return {s.name: s.images for s in find_shards("d", metadata, f"{tmp_path}/*") if s.images}

    stages = [landed()]
    touch(tmp_path, "00000.parquet", "00001.parquet", "elsewhere.parquet")
    stages.append({name: file for name, file in landed().items() if name != "elsewhere"})
    for name in ("00000", "00001"):
        os.utime(tmp_path / f"{name}.parquet", ns=(0, 0))  # restored from a backup, its dump is younger
    stages.append({name: file for name, file in landed().items() if name != "elsewhere"})
    for before, after in itertools.pairwise(stages):
        assert {name for name, file in after.items() if file != before[name]} == {"00000", "00001"}
    as_metadata = landed(f"{tmp_path}/*.parquet")
    assert {name: file for name, file in as_metadata.items() if name != "elsewhere"} == stages[0], (
        "metadata is part of the delivery already"
    )
    for name in ("00000", "00001", "elsewhere"):
        (tmp_path / f"{name}.parquet").unlink()
    assert landed() == stages[0]


def test_a_dump_whose_report_would_have_too_long_a_name_has_none(tmp_path: Path) -> None:
    touch(tmp_path, f"{'x' * 251}.tar")
    (shard,) = find_shards("d", None, f"{tmp_path}/*.tar")
    assert shard.images == LandingFile.at(f"{tmp_path}/{'x' * 251}.tar")


def test_a_report_that_is_a_loop_of_links_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "0.tar")
    (tmp_path / "0.parquet").symlink_to(tmp_path / "0.parquet")
    (shard,) = find_shards("d", None, f"{tmp_path}/*.tar")
    assert shard.images == LandingFile.at(f"{tmp_path}/0.tar")


def test_without_metadata_a_parquet_is_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "0.parquet", "1.tar")
    parquet_, tar = find_shards("d", None, f"{tmp_path}/*")
    assert parquet_.metadata == parquet_.images
    assert (tar.metadata, tar.images is not None) == (None, True)


@pytest.mark.parametrize(
    ("names", "pattern", "reason"),
    [
        (["a/1.jpg"], "a/*", r"finds pictures themselves, such as .*1\.jpg; name the folder that holds them"),
        (["a/b/1.jpg"], "**/", "which holds it; narrow the glob"),
        (["a.tar", "a/1.jpg"], "*", "would both be shard a; narrow the glob"),
    ],
)
def test_globs_that_find_too_much_say_so(tmp_path: Path, names: list[str], pattern: str, reason: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(LandingError, match=reason):
        find_shards("d", None, f"{tmp_path}/{pattern}")


@pytest.mark.parametrize("change", ["add", "remove", "rewrite", "rename", "touch"])
def test_any_change_below_a_folder_is_another_delivery(tmp_path: Path, change: str) -> None:
    touch(tmp_path, "a/1.jpg", "a/b/2.jpg")
    file = tmp_path / "a" / "b" / "2.jpg"
    before = find_shards("d", None, f"{tmp_path}/a")
    assert find_shards("d", None, f"{tmp_path}/a") == before
    if change == "add":
        touch(tmp_path, "a/b/3.jpg")
    elif change == "remove":
        file.unlink()
    elif change == "rewrite":
        file.write_bytes(b"longer")
    elif change == "rename":
        file.rename(file.with_name("3.jpg"))
    else:
        os.utime(file, ns=(1, 1))
    assert find_shards("d", None, f"{tmp_path}/a") != before


def test_pictures_make_url_and_caption_dispensable_and_are_not_copied(tmp_path: Path) -> None:
    images = [{"bytes": b"x", "path": None}, {"bytes": b"y", "path": "p"}]
    path = parquet(tmp_path, image=images, text=[["first", "second"], []], id=[{"odd": 1}] * 2, key=["a", "b"])
    found = inspect(path, tmp_path / "copy.parquet", ByteLimits())
    assert (found.rows, found.pictures) == (2, PictureColumn("image", struct=True))
    assert pq.read_table(tmp_path / "copy.parquet").to_pylist() == [
        {"text": "first", "key": "a"},
        {"text": None, "key": "b"},
    ]
    inspect(parquet(tmp_path, jpg=[b"x"] * 3), tmp_path / "copy.parquet", ByteLimits())
    assert pq.read_metadata(tmp_path / "copy.parquet").num_rows == 3


def test_pictures_meet_rows_by_the_datasets_own_name_where_both_say_it(tmp_path: Path) -> None:
    path = parquet(tmp_path, SAMPLE_ID=[1.0, 2.0], URL=["u", "u"], TEXT=["t", "t"])
    pictures = [Member("0", "0.jpg", 0, 1, url="u", caption="t", uid="2"), Member("1", "1.jpg", 0, 1, url="u", uid="1")]
    assert matched(pictures, [MetadataFile(1, path)]) == ids(1, 1, 0)
    assert matched([member("0", "u", "t")], [MetadataFile(1, path)]) == ids(1, 0)


def test_pictures_of_a_parquet_are_its_own_rows(tmp_path: Path) -> None:
    pictures = [Member("", "row 4", 4, 1), Member("", "row 0", 0, 1)]
    assert matched(pictures, [MetadataFile(2, str(tmp_path / "never read"), own=True)]) == ids(2, 4, 0)


def test_a_shard_below_the_name_of_a_metadata_file_meets_that_file_alone() -> None:
    def row(name: str, status: str, dataset: str = "d") -> LandedShard:
        metadata = None if status == "images_only" else LandingFile(f"{name}.parquet", 1, 1)
        return LandedShard(0, Shard(dataset, name, metadata, None), status)

    files = [row("p-0", "ok"), row("p-00", "ok"), row("p-1", "failed"), row("p-0", "ok", "other")]
    assert metadata_of(row("p-0/00012", "images_only"), files) == [files[0]]
    assert metadata_of(row("p-1/00012", "images_only"), files) == []
    assert metadata_of(row("elsewhere", "images_only"), files) == files[:2]
    assert metadata_of(files[0], files) == [files[0]]
    assert metadata_of(files[2], files) == []


def test_a_uid_of_another_url_is_another_row(tmp_path: Path) -> None:
    path = parquet(tmp_path, ID=[1, 1], URL=["u", "v"], TEXT=["t", "t"])
    pictures = [Member("0", "0.jpg", 0, 1, url="v", uid="1"), Member("1", "1.jpg", 0, 1, url="w", uid="1")]
    assert matched(pictures, [MetadataFile(1, path)]) == [*ids(1, 1), None]


def test_equal_rows_in_two_tars_of_one_download_are_two_rows(tmp_path: Path) -> None:
    path = parquet(tmp_path, URL=["u", "u", "u"], TEXT=["t", "t", "t"])
    for row in range(3):
        picture = Member("0", "0.jpg", 0, 1, url="u", caption="t", row=row)
        assert matched([picture], [MetadataFile(1, path)]) == ids(1, row)
    assert matched([Member("0", "0.jpg", 0, 1, url="w", row=1)], [MetadataFile(1, path)]) == [None]


def test_metadata_without_captions_meets_pictures_by_url(tmp_path: Path) -> None:
    path = parquet(tmp_path, URL=["u", "v"])
    assert matched([Member("0", "0.jpg", 0, 1, url="v")], [MetadataFile(1, path)]) == ids(1, 1)


def test_a_uid_has_to_do_where_a_picture_says_no_url(tmp_path: Path) -> None:
    path = parquet(tmp_path, UID=["a", "b"], URL=["u", "v"], TEXT=["t", "t"])
    assert matched([Member("0", "0.jpg", 0, 1, uid="b")], [MetadataFile(1, path)]) == ids(1, 1)


def test_what_systems_leave_in_a_folder_of_parts_is_no_part_and_counted(tmp_path: Path) -> None:
    touch(tmp_path, "0.parquet/part-0.parquet", "0.parquet/._part-0.parquet", "0.parquet/_SUCCESS")
    touch(tmp_path, "0.parquet/.ipynb_checkpoints/part-0.parquet")
    (tmp_path / "0.parquet" / "part-1.parquet").symlink_to(tmp_path / "gone")
    counts = NotTakenCounts()
    (found,) = find_shards("d", f"{tmp_path}/*.parquet", None, counts)
    assert found.name == "0.parquet/part-0"
    names = {name.removeprefix(f"{tmp_path}/0.parquet/") for each in counts.counts() for name in each.examples}
    assert names == {"._part-0.parquet", ".ipynb_checkpoints/part-0.parquet", "part-1.parquet", "_SUCCESS"}
    assert sum(each.files for each in counts.counts()) == 4


@pytest.mark.parametrize(("second", "accepted"), [("u", True), ("", True), ("v", False)])
def test_a_text_with_a_column_in_two_cases_is_refused_where_they_differ(
    tmp_path: Path, second: str, accepted: bool
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"url,URL,text\n,a,c\nu,{second},c\n")
    if accepted:
        inspect(str(path), tmp_path / "copy.parquet", ByteLimits())
        assert pq.read_table(tmp_path / "copy.parquet")["url"].to_pylist() == ["a", "u"]
        return
    with pytest.raises(LandingError, match=r"line 3 has url twice, .*with different values: url, URL; rename one"):
        inspect(str(path), tmp_path / "copy.parquet", ByteLimits())


def test_what_img2dataset_and_spark_write_beside_metadata_is_counted_and_no_shard(tmp_path: Path) -> None:
    touch(tmp_path, "00000.parquet", "00000_stats.json", "_SUCCESS", "00000.parquet.crc", "rows.json")
    counts = NotTakenCounts()
    found = find_shards("d", str(tmp_path / "*"), None, counts)
    assert [each.name for each in found] == ["00000", "rows"]
    [counted] = counts.counts()
    assert counted.files == 3 and {Path(each).name for each in counted.examples} == {
        "00000_stats.json",
        "_SUCCESS",
        "00000.parquet.crc",
    }
