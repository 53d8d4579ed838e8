"""Parquet files with several pictures a row: in several columns, in lists, under any name."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.catalog.landing import ROW_BITS
from transforms.catalog.metadata import inspect
from transforms.dumps.dump import open_dump
from transforms.dumps.implied_metadata import add_further_pictures
from transforms.dumps.members import Listing
from transforms.fingerprints.row_matching import MetadataFile, match_rows
from transforms.storage.file_limits import ByteLimits

STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def jpeg(name: str) -> bytes:
    return b"\xff\xd8\xff\xe0" + name.encode()


def cell(name: str | None, path: str | None = None) -> dict | None:
    return None if name is None else {"bytes": jpeg(name), "path": path}


def parquet(tmp_path: Path, **columns: pa.Array | list) -> Path:
    path = tmp_path / "0.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def listed(path: Path) -> tuple[Listing, list[bytes]]:
    """List a parquet, and read its pictures last first."""
    with open_dump(str(path), ByteLimits()) as dump:
        found = dump.listing(1000)
        members = [m for m in found.members if m.refusal is None]
        return found, [dump.read(m.name, m.offset, m.size) for m in reversed(members)][::-1]


def test_a_second_column_of_pictures_comes_after_all_rows(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        id=[10, 11, 12],
        edited=pa.array([cell("e0"), None, cell("e2", "x/e2.png")], STRUCT),
        image=pa.array([cell("i0"), cell("i1"), None], STRUCT),
        text=["zero", "one", "two"],
    )
    found, contents = listed(path)
    assert contents == [jpeg(name) for name in ("i0", "i1", "e2", "e0")]
    assert [(m.name, m.own_row, m.uid, m.caption) for m in found.members] == [
        ("row 0", None, "10", "zero"),
        ("row 1", None, "11", "one"),
        ("x/e2.png", 2, "12", "two"),
        ("row 0 edited", 3, None, "zero"),
    ]
    assert match_rows(found.members, [MetadataFile(1, "never read", own=True)]).ids == [
        (1 << ROW_BITS) + row for row in range(4)
    ]


@pytest.mark.parametrize("kind", [pa.list_(STRUCT), pa.large_list(STRUCT)])
def test_a_list_of_pictures_gives_its_first_to_the_row(tmp_path: Path, kind: pa.DataType) -> None:
    rows = [[cell("a0"), cell("a1"), cell("a2")], [], None, [None, cell("d1")], [cell("e0")]]
    found, contents = listed(parquet(tmp_path, images=pa.array(rows, kind), caption=list("abcde")))
    assert contents == [jpeg(name) for name in ("a0", "d1", "e0", "a1", "a2")]
    assert [(m.refusal, m.own_row) for m in found.members] == [
        (None, None),
        ("missing: no picture in the row", None),
        ("missing: no picture in the row", None),
        (None, 3),
        (None, None),
        (None, 5),
        (None, 6),
    ]


def test_the_metadata_of_a_parquet_gets_a_row_for_each_further_picture(tmp_path: Path) -> None:
    rows = [[cell("a0"), cell("a1")], [cell("b0")], [cell("c0"), cell("c1"), cell("c2")]]
    path = parquet(
        tmp_path, images=pa.array(rows, pa.list_(STRUCT)), url=["u0", "u1", "u2"], caption=list("abc"), key=[7, 8, 9]
    )
    copy = tmp_path / "copy.parquet"
    seen = add_further_pictures(
        str(path), copy, inspect(str(path), copy, ByteLimits()), tmp_path / "fetched", ByteLimits()
    )
    assert seen.rows == 6
    assert [(row["url"], row["caption"]) for row in pq.read_table(copy).to_pylist()] == [
        ("u0", "a"),
        ("u1", "b"),
        ("u2", "c"),
        (None, "a"),
        (None, "c"),
        (None, "c"),
    ]
    assert len(listed(path)[0].members) == seen.rows


def test_a_parquet_of_one_picture_a_row_keeps_its_metadata(tmp_path: Path) -> None:
    path, copy = parquet(tmp_path, image=pa.array([cell("a")], STRUCT), text=["a"]), tmp_path / "copy.parquet"
    before = inspect(str(path), copy, ByteLimits())
    assert add_further_pictures(str(path), copy, before, tmp_path / "fetched", ByteLimits()) is before


def test_a_column_of_pictures_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    path = parquet(tmp_path, a=[b"BM words"], b=[b"\x93NUMPY"], input_picture=pa.array([jpeg("x")], pa.large_binary()))
    assert listed(path)[1] == [jpeg("x")]
    assert inspect(str(path), tmp_path / "copy.parquet", ByteLimits()).rows == 1


def test_sound_is_no_picture_and_thumbnails_are_no_copies(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        audio=pa.array([{"bytes": b"RIFF....WAVE", "path": None}], STRUCT),
        thumbnail=pa.array([cell("t")], STRUCT),
        photo=pa.array([cell("p")], STRUCT),
        extra=pa.array([{"bytes": b"no picture", "path": None}], STRUCT),
    )
    found, contents = listed(path)
    assert contents == [jpeg("p")]
    assert {each.reason: (each.files, each.examples) for each in found.not_taken} == {
        "a column of thumbnails of the pictures in another column": (1, ("thumbnail",)),
        "no picture: its first bytes are of no picture format": (1, ("row 0 extra",)),
    }


def test_bytes_in_a_type_that_is_not_read_are_counted(tmp_path: Path) -> None:
    kinds = {
        "mask": pa.array([b"\x89PNG"]).dictionary_encode(),
        "view": pa.array([b"\x89PNG"], pa.binary_view()),
        "fixed": pa.array([bytes(99)], pa.binary(99)),
        "messages": pa.array([[{"image": b"\x89PNG"}]]),
        "md5": pa.array([bytes(16)], pa.binary(16)),
    }
    pq.write_table(pa.table({"jpg": [b"\xff\xd8\xff"], **kinds}), tmp_path / "a.parquet")
    with open_dump(str(tmp_path / "a.parquet"), ByteLimits()) as dump:
        found = dump.listing(1_000_000)
    assert len(found.members) == 1
    [counted] = found.not_taken
    assert (counted.files, set(counted.examples)) == (4, kinds.keys() - {"md5"})
