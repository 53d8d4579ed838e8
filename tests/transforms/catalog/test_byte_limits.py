"""Small files that would take gigabytes are failed with the reason, in a process that could not hold them."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.limited import run
from transforms.catalog import metadata, opt_outs
from transforms.catalog.byte_limits import TextCheck, TooLargeError, open_parquet
from transforms.catalog.columns import LandingError
from transforms.catalog.parquet_layout import ColumnChunk, Leaf, measure, read_layout
from transforms.dumps.dump import open_dump
from transforms.dumps.members import ArchiveError
from transforms.generations import sources
from transforms.generations.generation import GenerationsError
from transforms.storage.file_limits import ByteLimits

MOST = 1 << 30  # bytes beside the imports
SMALL = {"text": 1 << 20, "record": 1 << 20, "batch": 32 << 20, "file": 1 << 28}
IMPORTS = """
from pathlib import Path
import pyarrow.parquet
from transforms.catalog import metadata, opt_outs
from transforms.storage.file_limits import ByteLimits
from transforms.catalog.columns import LandingError
from transforms.dumps import dump, implied_metadata
from transforms.dumps.members import ArchiveError
from transforms.generations import sources
from transforms.generations.generation import GenerationsError
"""
READ = """
def read(path, how, limits):
    if how == "metadata":
        metadata.inspect(path, Path(path + ".copy"), limits)
        return ""
    if how == "opt-outs":
        list(opt_outs.batches(Path(path), limits))
        return ""
    if how == "dump":
        with dump.open_dump(path, limits) as opened:
            listing = opened.listing(1 << 20)
        return str(listing.broken or len(listing.members))
    return str([each for each in sources.find("gen", path, 1 << 20, limits)[1]])

said = []
for path, how in given["asked"]:
    try:
        said.append(read(path, how, ByteLimits(**given["limits"])))
    except (LandingError, ArchiveError, GenerationsError, opt_outs.OptOutListError) as error:
        said.append(str(error))
print(json.dumps(said))
"""


def read_each(asked: Iterable[tuple[Path, str]], most: int = MOST, limits: dict[str, int] | None = None) -> list[str]:
    """Return what is said of files that one process reads one after the other: its imports take the most time."""
    given = {"asked": [(str(path), how) for path, how in asked], "limits": limits or {}}
    return json.loads(run(IMPORTS, READ, most, given))


def read(path: Path, how: str = "metadata", limits: dict[str, int] | None = None) -> str:
    return read_each([(path, how)], limits=limits)[0]


def repeated(value: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


def metadata_file(path: Path, captions: pa.Array, **options: object) -> Path:
    urls = [f"https://a.org/{number}" for number in range(len(captions))]
    pq.write_table(pa.table({"url": urls, "caption": captions}), path, compression="zstd", **options)
    return path


@pytest.mark.parametrize("how", ["metadata", "generations"])
def test_one_value_of_a_dictionary_in_every_row(tmp_path: Path, how: str) -> None:
    path = metadata_file(tmp_path / "generations.parquet", repeated("x" * 5_000_000, 64_000))
    if how == "generations":
        table = pq.read_table(path, read_dictionary=["caption"])
        table = table.append_column("file_name", table["url"])
        pq.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 1 << 20
    said = read(path if how == "metadata" else tmp_path, how)
    assert str(path) in said
    assert "caption of row 1 has 5,000,000 bytes, more than limits.text_bytes = 1,048,576" in said


def test_one_caption_of_many_bytes(tmp_path: Path) -> None:
    path = metadata_file(tmp_path / "x.parquet", pa.array(["x", "y" * 60_000_000, "z"]))
    assert path.stat().st_size < 1 << 20
    assert "a page of column caption in row group 1 takes 60,0" in read(path, limits=SMALL)
    assert "caption of row 2 has 60,000,000 bytes" in read(path)


def test_values_that_begin_alike_are_counted_as_long_as_they_may_be(tmp_path: Path) -> None:
    captions = pa.array(["x" * 900_000 + str(number) for number in range(200)])
    path = metadata_file(
        tmp_path / "x.parquet", captions, use_dictionary=False, column_encoding={"caption": "DELTA_BYTE_ARRAY"}
    )
    assert path.stat().st_size < 1 << 20
    assert "more than a quarter of limits.batch_bytes" in read(path, limits=SMALL)


def test_texts_within_the_limit_of_each_are_limited_together(tmp_path: Path) -> None:
    path = metadata_file(tmp_path / "x.parquet", repeated("x" * 1_000_000, 64_000))
    assert "the texts of 2,048 rows from row 1 on have" in read(path)
    small = metadata_file(tmp_path / "y.parquet", repeated("x" * 1_000, 100_000))
    assert "its texts take more than limits.table_bytes = 67,108,864 bytes" in read(
        small, limits=SMALL | {"file": 1 << 26}
    )
    assert read(small) == ""


def test_a_list_of_one_row_with_many_values_of_a_dictionary(tmp_path: Path) -> None:
    values = repeated("x" * 500_000, 100_000)
    path = metadata_file(tmp_path / "x.parquet", pa.ListArray.from_arrays([0, 100_000], values), store_schema=False)
    assert "the lists of column caption in row group 1 take " in read(path)


def test_columns_that_nobody_uses_may_be_of_any_size(tmp_path: Path) -> None:
    other = repeated("x" * 5_000_000, 64_000)
    urls = [f"https://a.org/{number}" for number in range(64_000)]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"url": urls, "caption": urls, "other": other}), path, compression="zstd")
    assert read(path) == ""


def test_pictures_of_a_dictionary_are_held_a_few_at_once(tmp_path: Path) -> None:
    picture = b"\xff\xd8\xff" + bytes(40_000_000)
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 30, pa.int32()), pa.array([picture], pa.binary()))
    table = pa.table({"jpg": column, "caption": ["c"] * 30})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd", store_schema=False)
    assert read(tmp_path / "x.parquet", "dump") == "30"


def test_headers_of_a_tar_are_not_read_beyond_their_limit(tmp_path: Path) -> None:
    """In the form of PAX, as a long name, and for all members; and many small ones are counted together."""
    forms = {"pax": tarfile.XHDTYPE, "long name": tarfile.GNUTYPE_LONGNAME, "global": tarfile.XGLTYPE}
    for form, kind in forms.items():
        path = tmp_path / f"{form}.tar"
        with tarfile.open(path, "w") as archive:
            archive.addfile(tarfile.TarInfo("1.jpg"))
        info = tarfile.TarInfo("header")
        info.type, info.size = kind, 1_500_000_000
        with path.open("r+b") as file:
            file.seek(tarfile.BLOCKSIZE)
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            file.truncate(info.size + 4 * tarfile.BLOCKSIZE)  # zeros that take no disk
    many, endless = many_global_headers(tmp_path / "many.tar"), an_endless_name(tmp_path / "endless.tar")
    *said, of_many, of_endless = read_each(
        (path, "dump") for path in (*(tmp_path / f"{form}.tar" for form in forms), many, endless)
    )
    for form, each in zip(forms, said, strict=True):
        assert f"{form}.tar breaks off after '1.jpg' (a header of more than 1,048,576 bytes" in each
    assert "a header of more than 1,048,576 bytes" in of_many
    assert of_endless == "1", "a member whose name is endless is counted"


def many_global_headers(path: Path) -> Path:
    with path.open("wb") as file:
        for number in range(60):
            record = f"key{number}={'x' * 40_000}\n".encode()
            record = str(len(record) + 6).encode() + b" " + record
            info = tarfile.TarInfo("g")
            info.type, info.size = tarfile.XGLTYPE, len(record)
            file.write(info.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % tarfile.BLOCKSIZE))
            file.write(tarfile.TarInfo(f"{number}.jpg").tobuf(tarfile.USTAR_FORMAT))
        file.write(bytes(1024))
    return path


def an_endless_name(path: Path) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("x" * 500_000 + ".jpg"))
        archive.addfile(tarfile.TarInfo("x" * 500_000 + ".txt"))
        archive.addfile(tarfile.TarInfo("1.jpg"))
    return path


def bomb(path: Path, data: bytes, times: int) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(times):
            file.write(data)
    return path


def test_compressed_text_without_an_end(tmp_path: Path) -> None:
    paths = [
        bomb(tmp_path / "x.csv.gz", b"url,caption\nu,", 1),
        bomb(tmp_path / "x.jsonl.gz", b'{"url": "', 1),
    ]
    for path in paths:
        with gzip.open(path, "ab", compresslevel=1) as file:
            for _ in range(4):
                file.write(b"x" * (10 << 20))
    said = read_each((path, "metadata") for path in paths)
    assert str(paths[0]) in said[0] and "is longer than 16,777,216 characters (limits.record_bytes)" in said[0]
    assert str(paths[1]) in said[1] and "it is longer than 16,777,216 characters" in said[1]


def test_compressed_text_of_many_rows(tmp_path: Path) -> None:
    path = bomb(tmp_path / "x.csv.gz", b"url,caption\n" + b"u,c\n" * 500_000, 2)
    assert "more text than is allowed by limits.table_bytes = 1,000,000" in read(
        path, limits=SMALL | {"file": 1_000_000}
    )


HALF = "deep with half a pair"
TEXTS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "deep": ("x.jsonl", lambda: b'{"url": "u", "caption": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 1"),
    HALF: (
        "x.jsonl",
        lambda: b'{"url": "u", "caption": ' + b"[" * 900 + b'"\\ud800"' + b"]" * 900 + b"}",
        "line 1",
    ),
    "many digits": ("x.jsonl", lambda: b'{"url": "u", "caption": ' + b"7" * 1_000_000 + b"}", "line 1"),
    "deep array": ("x.json", lambda: b'[{"url": "u", "caption": ' + b"[" * 100_000, "line 1"),
}


@pytest.mark.parametrize("how", ["metadata", "opt-outs", "generations"])
def test_json_nested_without_end_or_with_endless_numbers(tmp_path: Path, how: str) -> None:
    texts, asked = [(kind, *text) for kind, text in TEXTS.items() if kind != HALF or how != "opt-outs"], []
    for kind, name, data, _ in texts:
        folder = tmp_path / kind
        folder.mkdir()
        ending = "jsonl" if how == "opt-outs" else name.rpartition(".")[2]
        path = folder / f"generations.{ending}"
        path.write_bytes(data())
        asked.append((folder if how == "generations" else path, how))
    for (kind, _, _, words), said in zip(texts, read_each(asked), strict=True):
        assert f"{kind}/generations.json" in said and words in said, said


def test_opt_out_lists_are_held_to_the_same_limits(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": repeated("u" * 5_000_000, 64_000)}), tmp_path / "x.parquet", compression="zstd")
    (tmp_path / "x.csv").write_bytes(b"url\n" + b'"u\n",' * 4_000_000)
    (tmp_path / "x.txt").write_bytes(b"u" * 20_000_000)
    (tmp_path / "x.jsonl").write_bytes(b'{"url": "' + b"u" * 20_000_000)
    paths = sorted(tmp_path.iterdir())
    for path, said in zip(paths, read_each((path, "opt-outs") for path in paths), strict=True):
        assert str(path) in said and "limits." in said


def test_a_footer_is_read_only_if_it_is_small_and_says_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1" + bytes(20 << 20) + (20 << 20).to_bytes(4, "little") + b"PAR1")
    assert "its footer has 20,971,520 bytes, more than limits.record_bytes = 16,777,216" in read(path)
    empty = b"\x15\x02\x19\xfc\xff\xff\xff\x07" + bytes(15 << 20)  # a list of 16 million empty records
    path.write_bytes(b"PAR1" + empty + len(empty).to_bytes(4, "little") + b"PAR1")
    assert "is not a whole parquet file" in read(path)


@pytest.mark.parametrize("how", ["metadata", "opt-outs", "generations", "dump"])
@pytest.mark.parametrize("kind", ["lists", "structs", "maps"])
def test_a_footer_nested_without_end_fails_its_file_alone(tmp_path: Path, kind: str, how: str) -> None:
    footer = {"lists": b"\x19", "structs": b"\x1c", "maps": b"\x1b\x01" + b"\xbb\x01"}[kind] * 20_000
    path = tmp_path / "generations.parquet"
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    said = refused(path, how)
    assert path.name in said and "nests them too deeply" in said


def refused(path: Path, how: str) -> str:
    """Return why a file is refused, read in this process."""
    limits = ByteLimits()
    with pytest.raises((LandingError, ArchiveError, GenerationsError, opt_outs.OptOutListError)) as error:
        if how == "metadata":
            metadata.inspect(str(path), path.with_suffix(".copy"), limits)
        elif how == "opt-outs":
            list(opt_outs.batches(path, limits))
        elif how == "dump":
            with open_dump(str(path), limits):
                pass
        else:
            sources.find("gen", str(path.parent), 1 << 20, limits)
    return str(error.value)


def test_a_footer_takes_memory_by_what_is_kept_of_it(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    for footer in (
        b"\x15\x02" * (2 << 20),  # numbers of fields that nobody wants
        b"\x49\xfc\xd5\xaa\xd5\x02" + b"\x36\x00\x00" * (5 << 19),  # row groups without chunks
    ):
        path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
        [said] = read_each([(path, "metadata")], 150 << 20)
        assert "is not a whole parquet file" in said


def parquet_of(starts: list[int], size: int) -> bytes:
    """Return a parquet of a column of text, of row groups of one row whose bytes begin where they are told to."""
    columns = b"\x29\x2c\x48\x04root\x15\x02\x00\x15\x0c\x38\x04text\x00"
    groups = b"".join(
        b"\x19\x1c\x3c\x45\x00\x16\x02\x26" + varint(2 * size) + b"\x26" + varint(2 * start) + b"\x00\x00\x26\x02\x00"
        for start in starts
    )
    rows, many = varint(2 * len(starts)), bytes([len(starts) << 4 | 12])
    footer = columns + b"\x16" + rows + b"\x19" + many + groups + b"\x00"
    return b"PAR1" + bytes(1000) + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def test_row_groups_that_name_the_same_bytes_are_refused() -> None:
    honest, twice = parquet_of([4, 504], 500), parquet_of([4, 4, 4], 500)
    groups = read_layout(io.BytesIO(honest), len(honest)).groups
    assert [group.chunks[0].start for group in groups] == [4, 504]
    with pytest.raises(pa.ArrowInvalid, match="the same bytes several times"):
        read_layout(io.BytesIO(twice), len(twice))


def page(kind: int, unpacked: int, packed: bytes, values: int) -> bytes:
    """Return a page of a dictionary or of references to it, with its header."""
    own = b"\x4c\x15" if kind == 2 else b"\x2c\x15"
    return (
        b"\x15" + varint(2 * kind) + b"\x15" + varint(2 * unpacked) + b"\x15" + varint(2 * len(packed))
        + own + varint(2 * values) + b"\x15\x10\x00\x00" + packed
    )  # fmt: skip


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def test_a_dictionary_is_looked_through_as_far_as_its_bytes_tell_values_apart() -> None:
    leaf = Leaf("caption", 6, 0, repeated=False)

    def span(unpacked: bytes) -> int:
        packed = pa.Codec("zstd").compress(unpacked, asbytes=True)
        data = page(2, len(unpacked), packed, 1) + page(0, 10, b"x", 100)
        return measure(io.BytesIO(data), leaf, ColumnChunk(0, len(data), 100, 6), 1 << 30).value

    words = [f"word {number}".encode() for number in range(20_000)]
    assert span(b"".join(len(word).to_bytes(4, "little") + word for word in words)) == 8 + len("word 19999")
    assert span(bytes(16 << 20)) == 8 + (16 << 20)  # four million empty values in some hundred bytes


def test_a_column_has_one_dictionary() -> None:
    data = page(2, 4, bytes(4), 1) * 2 + page(0, 10, b"x", 100)
    with pytest.raises(pa.ArrowInvalid, match="two dictionaries"):
        measure(io.BytesIO(data), Leaf("caption", 6, 0, repeated=False), ColumnChunk(0, len(data), 100, 0), 1 << 30)


class Watched(io.BytesIO):
    """A file that notes the largest read."""

    largest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.largest = max(self.largest, len(data))
        return data


def test_no_header_of_a_page_is_read_beyond_its_limit() -> None:
    file = Watched(b"\x18" + varint(1 << 30) + bytes(40 << 20))  # a field as long as the file and longer
    chunk = ColumnChunk(0, len(file.getvalue()), 100, 0)
    with pytest.raises(pa.ArrowInvalid, match="the header of a page is broken"):
        measure(file, Leaf("caption", 6, 0, repeated=False), chunk, 1 << 30)
    assert file.largest == 16 << 20


LONG = "x" * 5_000
NESTED = {
    "struct": pa.array([{"n": 1, "at": "x"}, {"n": 2, "at": LONG}]),
    "map": pa.array([[("a", "x")], [("b", LONG)]], pa.map_(pa.string(), pa.string())),
    "keys of a map": pa.array([[("a", "x")], [(LONG, "b")]], pa.map_(pa.string(), pa.string())),
    "list view": pa.array([["x"], [LONG]], pa.list_view(pa.string())),
    "large list view": pa.array([["x"], [LONG]], pa.large_list_view(pa.string())),
    "fixed list": pa.array([["x", "y"], ["z", LONG]], pa.list_(pa.string(), 2)),
    "structs in lists": pa.array([[{"at": {"url": "x"}}], [{"at": {"url": LONG}}, None]]),
    "text view": pa.array(["x", LONG], pa.string_view()),
    "dictionary": pa.array(["x", LONG]).dictionary_encode(),
}


@pytest.mark.parametrize("kind", NESTED)
def test_texts_are_counted_wherever_a_column_holds_them(kind: str) -> None:
    rows = pa.record_batch({"url": pa.concat_arrays([NESTED[kind][:1], NESTED[kind]])})
    TextCheck("x", ByteLimits()).add(rows)
    for least in (rows, rows.slice(1)):
        with pytest.raises(TooLargeError, match=r"x: url of .* has 5,000 bytes, more than limits\.text_bytes = 4,999"):
            TextCheck("x", ByteLimits(text=4_999)).add(least)
    TextCheck("x", ByteLimits(text=4_999)).add(rows.slice(0, 2))  # of a slice, its own rows alone


def test_names_of_columns_leave_room_for_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    name = "caption" * 1_000
    pq.write_table(pa.table({name: ["x" * 100_000] * 2}), path)
    for limits in (ByteLimits(batch=50_000), ByteLimits(text=50_000)):
        with path.open("rb") as file, pytest.raises(TooLargeError) as error:
            list(open_parquet("x", file, limits).texts([name], 64))
        assert "limits." in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
def test_a_layout_is_what_arrow_reads(tmp_path: Path, compression: str, version: str) -> None:
    rows = 9_000
    struct = [{"bytes": b"x", "path": None}] * rows
    table = pa.table(
        {
            "url": [f"https://a.org/{number}" for number in range(rows)],
            "caption": [f"caption {number % 50}" if number % 3 else None for number in range(rows)],
            "width": range(rows),
            "tags": [["a", "b"]] * rows,
            "image": struct,
            "hash": pa.array([bytes(32)] * rows, pa.binary(32)),
        }
    )
    path = tmp_path / "x.parquet"
    pq.write_table(table, path, compression=compression, data_page_version=version, row_group_size=4_000)
    with path.open("rb") as file:
        found = open_parquet("x", file, ByteLimits())
        assert pa.Table.from_batches(found.batches(None, 2_500)).equals(table)
        layout, about = read_layout(file, path.stat().st_size), found.file.metadata
    assert layout.rows == rows
    assert [leaf.name for leaf in layout.leaves] == ["url", "caption", "width", "tags", "image", "image", "hash"]
    assert [leaf.repeated for leaf in layout.leaves] == [False] * 3 + [True] + [False] * 3
    for number, group in enumerate(layout.groups):
        seen = [about.row_group(number).column(at) for at in range(about.num_columns)]
        assert [chunk.values for chunk in group.chunks] == [each.num_values for each in seen]
        assert [chunk.size for chunk in group.chunks] == [each.total_compressed_size for each in seen]


def test_rows_at_once_are_as_many_as_fit(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"caption": ["x" * 100_000] * 64}), path, row_group_size=32)
    with path.open("rb") as file:
        found = open_parquet("x", file, ByteLimits(batch=1 << 20))
        assert max(batch.num_rows for batch in found.batches(["caption"], 64)) == 10
        with pytest.raises(TooLargeError, match=r"limits\.batch_bytes = 50,000"):
            list(open_parquet("x", file, ByteLimits(batch=50_000)).batches(["caption"], 64))


def test_a_file_of_very_many_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({f"c{number}": pa.nulls(1, pa.int8()) for number in range(10_001)}), path)
    with (
        path.open("rb") as file,
        pytest.raises(TooLargeError, match=r"x\.parquet has 10,001 columns, more than 10,000"),
    ):
        open_parquet(str(path), file, ByteLimits())
