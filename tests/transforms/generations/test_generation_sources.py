"""Generations as people keep them: each picture is one, with what describes it; what is none is counted."""

import csv
import io
import json
import os
import shutil
import tarfile
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from orchestration.warehouse.queries import query
from transforms.catalog.not_taken import NotTakenCounts
from transforms.generations import addresses, archives, tables
from transforms.generations.addresses import open_member
from transforms.generations.archives import Archive
from transforms.generations.descriptions import description
from transforms.generations.generation import FoundGeneration, GenerationsError, Location
from transforms.generations.sources import find
from transforms.generations.statements import Description, PictureStatement
from transforms.storage.file_limits import ByteLimits

MOST = 1 << 20


def png(value: int = 0, **texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (value % 256, 0, 0)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def lay(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def tar_of(path: Path, files: dict[str, bytes | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            content = data.encode() if isinstance(data, str) else data
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def found(path: Path | str) -> dict[str, FoundGeneration]:
    generations, _ = find("sd", str(path), MOST, ByteLimits())
    for each in generations:  # by the text that a table shows, and by where it was found
        assert addresses.read(each.generation.path) == addresses.read_location(each.location)
    assert len({each.generation_id for each in generations}) == len(generations)
    return {each.generation_id.removeprefix("sd/"): each for each in generations}


def not_taken(path: Path | str) -> dict[tuple[str, str], int]:
    """Return counts by the last part of the place and the first words of the reason."""
    _, counts = find("sd", str(path), MOST, ByteLimits())
    assert all(each.files and 0 < len(each.examples) <= each.files for each in counts)
    return {(Path(each.place).name, each.reason): each.files for each in counts}


def reasons(path: Path | str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (_, reason), files in not_taken(path).items():
        counts[reason] = counts.get(reason, 0) + files
    return counts


def said(each: FoundGeneration) -> Description:
    return description(each, addresses.read_location(each.location))


def prompts(path: Path | str) -> dict[str, object]:
    return {name: said(each).fields.get("prompt") for name, each in found(path).items()}


def test_pictures_are_taken_whatever_they_are_called(tmp_path: Path) -> None:
    names = ["a.png", "deep/er/b.JPG", "c.jfif", "noending", "d41d8cd98f00b204", "e.jpg_large", "f v1.5.png", "g.txt",
             "#1 100%?.png", "a :: b.png"]  # fmt: skip
    lay(tmp_path, dict.fromkeys(names, png()))
    assert list(found(tmp_path)) == sorted(names) and not not_taken(tmp_path)


def test_what_is_no_picture_is_counted_with_its_reason(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "a.png": png(),
            "notes.md": "x",
            "b.pth": b"\0\1",
            "empty": b"",
            "c.zip": b"PK\3\4",
            "lonely.txt": "x",
            "prompts.json": "[]",
            "._a.png": b"\0\5\x16\7",
            "@eaDir/a.png/SYNO.jpg": png(),
            ".ipynb_checkpoints/a.png": png(),
            "x.parquet": b"PAR1",
            "y.parquet": as_parquet(ROWS).replace(b"file_name", b"file\xefname"),
            "x.tar": b"no tar",
        },
    )
    (tmp_path / "dangling.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    assert list(found(tmp_path)) == ["a.png"]
    assert reasons(tmp_path) == {
        "no picture, and no table of generations by its name": 3,
        "a compressed archive, which is not read; unpack it": 1,
        "a text or JSON beside no picture of its name": 2,
        "a file that a system leaves behind, or a hidden one": 3,
        "an archive that cannot be read, or a parquet without pictures": 3,
        "a link to nothing": 1,
        "a device or a pipe, not a file": 1,
    }


def test_text_that_begins_as_a_bitmap_is_no_picture(tmp_path: Path) -> None:
    lay(tmp_path, {"a.png": png(), "notes": "BMI and other numbers of us all", "cars.txt": "BMW, a red one, at dusk"})
    assert list(found(tmp_path)) == ["a.png"]
    assert reasons(tmp_path) == {
        "no picture, and no table of generations by its name": 1,
        "a text or JSON beside no picture of its name": 1,
    }


def test_what_cannot_be_opened_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, {"a.png": png(), "lost+found/b.png": png(), "closed/c.png": png(), "secret": png(), "note.txt": "x"})
    (tmp_path / "loop.png").symlink_to("loop.png")
    listing, opening = os.scandir, Path.open

    def scandir(path: str) -> object:
        if Path(path).name in {"lost+found", "closed"}:
            raise PermissionError(13, "Permission denied", path)
        return listing(path)

    def open_path(path: Path, mode: str) -> object:
        if path.name in {"secret", "note.txt"}:
            raise PermissionError(13, "Permission denied", str(path))
        return opening(path, mode)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(Path, "open", open_path)
    assert list(found(tmp_path)) == ["a.png"]
    assert reasons(tmp_path) == {
        "a file that a system leaves behind, or a hidden one": 1,
        "a folder that cannot be opened; check its permissions": 1,
        "a file that cannot be opened": 3,
    }
    with pytest.raises(GenerationsError, match=r"closed cannot be read: Permission denied"):
        find("sd", str(tmp_path / "closed"), MOST, ByteLimits())


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    lay(tmp_path / "elsewhere", {"0.png": png(), "in/1.png": png()})
    gen = lay(tmp_path / "gen", {"real/a.png": png()})
    (gen / "2024").symlink_to("../elsewhere")
    (gen / "again").symlink_to("real")  # comes after what lies there, whatever its name
    (gen / "real/loop").symlink_to("..")
    (tmp_path / "elsewhere/back").symlink_to(gen)
    (gen / "file.png").symlink_to("../elsewhere/0.png")
    assert list(found(gen)) == ["2024/0.png", "2024/in/1.png", "file.png", "real/a.png"]
    assert reasons(gen) == {"a link to a folder that is read where it lies": 3}
    (tmp_path / "link").symlink_to(gen)
    assert list(found(tmp_path / "link")) == list(found(gen))


def test_names_that_are_not_utf8_are_kept(tmp_path: Path) -> None:
    raw = os.fsencode(str(tmp_path)) + b"/gen_\xe9.png"
    with open(raw, "wb") as file:  # noqa: PTH123 -- a name in bytes
        file.write(png(text="x"))
    lay(tmp_path, {"generations.jsonl": json.dumps({"file_name": "gen_é.png", "prompt": "a tower"})})
    assert prompts(tmp_path) == {"gen_\\udce9.png": "a tower"}
    (each,) = found(tmp_path).values()
    assert each.generation.path == f"{tmp_path}/gen_\\udce9.png"
    lay(tmp_path, {"gen_\\udce9.png": png()})
    assert len(found(tmp_path)) == 1
    assert reasons(tmp_path)["a second file of this name once it is made UTF-8; rename it"] == 1


ROWS = [{"file_name": "a.png", "prompt": "a tower", "seed": 2**64 - 1}, {"file_name": "deep/b.png", "prompt": "None"}]


def as_csv(rows: list[dict]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def as_parquet(rows: list[dict]) -> bytes:
    file = io.BytesIO()
    seeds = pa.array([row.get("seed") for row in rows], pa.uint64())
    names = {name: [row.get(name) for row in rows] for name in ("file_name", "prompt")}
    pq.write_table(pa.table({**names, "seed": seeds}), file)
    return file.getvalue()


TABLES = {
    "generations.jsonl": "\n".join(map(json.dumps, ROWS)),
    "generations.json": json.dumps(ROWS),
    "generations.csv": as_csv([{"seed": "", **row} for row in ROWS]),
    "generations.parquet": as_parquet(ROWS),
    "metadata.jsonl": "\ufeff" + "\n".join(map(json.dumps, ROWS)),
    "metadata.csv": as_csv([{"seed": "", **row} for row in ROWS]),
    "part-000001.json": json.dumps({row["file_name"]: {"p": row["prompt"], "se": row.get("seed")} for row in ROWS}),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_any_kind_is_read(tmp_path: Path, name: str) -> None:
    lay(tmp_path, {"a.png": png(), "deep/b.png": png(), name: TABLES[name]})
    each, other = found(tmp_path).values()
    assert said(each) == Description({"prompt": "a tower", "seed": 2**64 - 1}, name, ())
    assert said(other) == Description({}, None, ())
    assert not not_taken(tmp_path)


def test_rows_and_pictures_that_do_not_meet_are_counted(tmp_path: Path) -> None:
    rows = [
        {"file_name": "a.png", "prompt": "first"},
        {"file_name": "a.png", "prompt": "second"},
        {"file_name": "gone.png", "prompt": "x"},
        {"file_name": "C:\\out\\c.png", "prompt": "by its end"},
        {"file_name": "out/d.png", "prompt": "which one?"},
        {"file_name": "one/e.png", "prompt": "this one?"},
        {"file_name": "two/e.png", "prompt": "or this?"},
        {"prompt": "of nothing"},
        {"file_name": "nan"},
    ]
    pictures = ["a.png", "c.png", "x/d.png", "y/d.png", "e.png", "z.png"]
    lay(tmp_path, {**dict.fromkeys(pictures, png()), "generations.jsonl": "\n".join(map(json.dumps, rows))})
    assert prompts(tmp_path) == {**dict.fromkeys(pictures), "a.png": "second", "c.png": "by its end"}
    assert reasons(tmp_path) == {
        "a row for a picture that a later row of the table names again": 1,
        "a row that names no picture": 3,
        "a row whose name fits several pictures; write its path below the table's folder": 1,
        "rows whose names fit one picture; write its path below the table's folder": 2,
        "a picture that no row of a table names (it is a generation without what the table would state)": 4,
    }


def test_the_nearest_table_is_believed_and_others_are_kept(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "one/a.png": png(),
            "two/a.png": png(),
            "generations.jsonl": '{"file_name": "one/a.png", "prompt": "outer", "model": "sd"}',
            "one/metadata.csv": "file_name,text\na.png,inner\n",
            "two/metadata.csv": "file_name,text\nb.png,inner\n",
        },
    )
    each, other = found(tmp_path).values()
    assert said(each) == Description(
        {"prompt": "inner", "model": "sd"},
        "one/metadata.csv; generations.jsonl",
        ("generations.jsonl: prompt = outer",),
    )
    assert said(other).described_by is None
    assert not_taken(tmp_path) == {
        ("metadata.csv", "a row that names no picture"): 1,
        (
            "metadata.csv",
            "a picture that no row of a table names (it is a generation without what the table would state)",
        ): 1,
    }


def test_a_table_a_sidecar_and_the_file_may_differ(tmp_path: Path) -> None:
    webui = "a bridge\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 9, Model: v1-5"
    lay(
        tmp_path,
        {
            "a.png": png(parameters=webui),
            "a.txt": "a tower\n",
            "a.json": '{"seed": 7, "prompt": "a tower"}',
            "b.png": png(),
            "b.png.txt": webui,
            "c.png": png(),
            "c.json": b"\xff\xfe" + json.dumps({"prompt": "x"}).encode("utf-16-le"),
            "generations.csv": "file_name,prompt\na.png,a castle\n",
        },
    )
    a, b, c = found(tmp_path).values()
    assert said(a) == Description(
        {"prompt": "a castle", "seed": 7, "negative_prompt": "blurry", "model": "v1-5", "sampler": "Euler a"}
        | {"steps": 20},
        "generations.csv; .json; PNG parameters",
        (".json: prompt = a tower", ".txt: prompt = a tower", "PNG parameters: prompt = a bridge",
         "PNG parameters: seed = 9"),
    )  # fmt: skip
    assert said(b).described_by == ".txt" and said(b).fields["steps"] == 20
    assert said(c) == Description({"prompt": "x"}, ".json", ())


def test_sidecars_of_other_names_are_read_and_broken_ones_are_named(tmp_path: Path) -> None:
    lay(tmp_path, dict.fromkeys(("a.png", "b.png", "c.png", "d.png"), png()))
    lay(tmp_path, {"a.prompt.txt": "a tower", "b.caption": "a bridge", "c.json": '{"prompt": ', "d.json": '"x"'})
    a, b, c, d = (said(each) for each in found(tmp_path).values())
    assert (a.fields, a.described_by) == ({"prompt": "a tower"}, ".txt")
    assert (b.fields, b.described_by) == ({"prompt": "a bridge"}, ".caption")
    assert c.described_by is None and c.stated_otherwise[0].startswith(".json: cannot be read (")
    assert d == Description({}, None, ()) and not not_taken(tmp_path)


def test_tars_are_read_with_their_tables_and_sidecars(tmp_path: Path) -> None:
    tar_of(
        tmp_path / "gen/part.tar",
        {
            "000.png": png(1),
            "000.json": '{"prompt": "a tower", "seed": 1}',
            "./sub/v1.5.jpg": png(2),
            "sub/v1.5.txt": "a bridge",
            "001.png": png(3),
            "metadata.jsonl": '{"file_name": "001.png", "prompt": "a castle"}',
        },
    )
    lay(tmp_path / "gen", {"a.png": png(4)})
    expected = {"part.tar/000.png": "a tower", "part.tar/001.png": "a castle", "part.tar/sub/v1.5.jpg": "a bridge"}
    both = prompts(tmp_path / "gen")
    assert both.pop("a.png") is None
    assert both == expected
    for path in (tmp_path / "gen/part.tar", f"{tmp_path}/gen/*.tar", f"{tmp_path}/*/part.tar"):
        assert list(prompts(path).values()) == list(both.values())
    assert found(tmp_path / "gen/part.tar")["part.tar/000.png"].generation.path == f"{tmp_path}/gen/part.tar :: 000.png"


def test_a_row_of_a_table_in_a_tar_is_counted_once(tmp_path: Path) -> None:
    table = '{"file_name": "gone.png", "prompt": "x"}\n{"file_name": "0.png", "prompt": "y"}'
    path = tar_of(tmp_path / "part.tar", {"0.png": png(), "metadata.jsonl": table})
    assert prompts(path) == {"part.tar/0.png": "y"}
    assert reasons(path) == {"a row that names no picture": 1}


def test_a_cut_tar_gives_what_is_before_the_break(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "part.tar", {f"{n}.png": png(n) for n in range(4)})
    whole = path.read_bytes()
    path.write_bytes(whole[: 512 * 4 + 530])
    assert list(found(path)) == ["part.tar/0.png", "part.tar/1.png"]
    assert reasons(path)["the rest of an archive that breaks off; copy it again"] == 1


def test_a_tar_that_is_cut_within_its_table_gives_its_pictures(tmp_path: Path) -> None:
    rows = '{"file_name": "0.png", "prompt": "x"}\n' * 40
    path = tar_of(tmp_path / "part.tar", {"0.png": png(), "metadata.jsonl": rows})
    path.write_bytes(path.read_bytes()[: 512 * 3 + 700])
    assert prompts(path) == {"part.tar/0.png": None}
    assert reasons(path) == {"the rest of an archive that breaks off; copy it again": 1}


def test_a_header_without_end_breaks_a_tar(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "part.tar", {"0.png": png(), "0.txt": "a tower"})
    endless = tarfile.TarInfo("x")
    endless.type, endless.size = tarfile.XHDTYPE, 1 << 44
    with path.open("r+b") as file:
        file.seek(512 * 4)
        file.write(endless.tobuf(tarfile.GNU_FORMAT))
    assert prompts(path) == {"part.tar/0.png": "a tower"}
    assert reasons(path) == {"the rest of an archive that breaks off; copy it again": 1}


def test_hidden_members_are_no_tables_and_no_sidecars(tmp_path: Path) -> None:
    row = '{"file_name": "0.png", "prompt": "old"}'
    hidden = {".ipynb_checkpoints/metadata.jsonl": row, "._0.txt": "old", "._metadata.jsonl": "\0\5\x16\7"}
    path = tar_of(tmp_path / "part.tar", {"0.png": png(), **hidden, "metadata.jsonl": row.replace("old", "new")})
    assert prompts(path) == {"part.tar/0.png": "new"}
    assert reasons(path) == {"a file that a system leaves behind, or a hidden one": 3}


def test_a_table_of_an_archive_that_became_shorter_is_refused_by_its_name(tmp_path: Path) -> None:
    tar_of(tmp_path / "part.tar", {"0.png": png(0)})
    gone = Location(str(tmp_path / "part.tar"), 10, 0, "generations.csv", 1 << 20)
    table = tables.TableFile("part.tar/generations.csv", "part.tar :: generations.csv", partial(open_member, gone))
    with pytest.raises(GenerationsError, match=r"table of generations cannot be read: .*part.tar changed; run again"):
        tables.read_tables([table], [], str(tmp_path), NotTakenCounts(), ByteLimits())


def test_many_archives_are_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(70):
        tar_of(tmp_path / f"{number}.tar", {"0.png": png(number)})
    listed, listing = [], archives._listed

    def count(path: str, *rest: object) -> Archive:
        listed.append(path)
        return listing(path, *rest)

    monkeypatch.setattr(archives, "_listed", count)
    for _ in range(3):
        assert len(find("sd", str(tmp_path), MOST, ByteLimits())[0]) == 70
    assert len(listed) == 70
    os.utime(tmp_path / "7.tar", ns=(1, 1))
    find("sd", str(tmp_path), MOST, ByteLimits())
    assert listed[70:] == [f"{tmp_path}/7.tar"]


def test_lists_of_archives_are_kept_up_to_a_bound() -> None:
    lists, own = archives._Lists(1000), Archive().records
    for number in range(100):
        lists.keep((f"{number}.tar", MOST), (1, 1), Archive())
        assert lists.get((f"{number}.tar", MOST), (1, 1)) is not None
        assert lists.records == min(number + 1, 1000 // own) * own
    lists.keep(("99.tar", MOST), (2, 2), Archive())
    assert lists.get(("99.tar", MOST), (1, 1)) is None and lists.records <= 1000
    large = Archive(refusals={}, rows=dict.fromkeys(map(str, range(1000)), PictureStatement("")))
    lists.keep(("large.tar", MOST), (1, 1), large)
    assert lists.get(("large.tar", MOST), (1, 1)) is None and lists.records == 1000 // own * own


def test_a_parquet_of_pictures_is_read_with_its_columns(tmp_path: Path) -> None:
    images = [{"bytes": png(1), "path": "x.png"}, {"bytes": png(2), "path": "x.png"}, {"bytes": None, "path": "y.png"}]
    images.append({"bytes": png(3), "path": None})
    table = pa.table(
        {"image": images, "prompt": ["a", "b", "c", "nan"], "seed": pa.array([1, 2**64 - 1, 3, None], pa.uint64())}
    )
    for name in ("train.parquet", "generations.parquet"):
        pq.write_table(table, tmp_path / name, row_group_size=2)
        each, other, last = found(tmp_path).values()
        assert each.generation_id == f"sd/{name}/row 3" and other.generation_id == f"sd/{name}/x.png"
        assert last.generation_id == f"sd/{name}/x.png (2)"
        assert sorted(str(said(one).fields.get("prompt")) for one in (each, other, last)) == ["None", "a", "b"]
        assert {one.fields.get("seed") for one in map(said, (each, other, last))} == {1, 2**64 - 1, None}
        assert sum(reasons(tmp_path).values()) == 1
        (tmp_path / name).unlink()


def test_a_glob_of_folders_and_files_is_read(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {"gen/a/1.png": png(), "gen/b/2.png": png(), "gen/c.png": png(), "gen/b/metadata.csv": "file_name\n2.png\n"},
    )
    assert list(found(f"{tmp_path}/gen/*")) == ["a/1.png", "b/2.png", "c.png"]
    assert list(found(f"{tmp_path}/gen/**")) == ["a/1.png", "b/2.png", "c.png"]
    assert list(found(f"{tmp_path}/gen/*.png")) == ["c.png"]
    assert list(found(f"{tmp_path}/gen/?/")) == ["a/1.png", "b/2.png"]


def test_a_folder_with_the_characters_of_a_glob_is_a_folder(tmp_path: Path) -> None:
    lay(tmp_path / "[1] *?", {"a.png": png()})
    assert list(found(tmp_path / "[1] *?")) == ["a.png"]


REFUSED = {
    "generations.jsonl": (b'{"file_name": "a.png"}\n{"file', "generations.jsonl: line 2"),
    "generations.csv": (b'file_name\n"a.png\n', "generations.csv: the record that begins on line 2"),
    "generations.parquet": (b"PAR1", "generations.parquet is not a whole parquet file"),
    "generations.json": (b'[{"name_of_file": "a.png"}]', "no file_name column; found name_of_file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_read_is_refused_by_file_and_line(tmp_path: Path, name: str) -> None:
    data, words = REFUSED[name]
    lay(tmp_path, {"a.png": png(), name: data})
    with pytest.raises(GenerationsError, match=words):
        found(tmp_path)


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.json", "part-000001.json", "metadata.parquet"])
def test_broken_metadata_of_something_else_is_counted(tmp_path: Path, name: str) -> None:
    lay(tmp_path, {"a.png": png(), name: b'{"version": 3, "runs": [', "b.png": png()})
    generations, not_taken = find("sd", str(tmp_path), MOST, ByteLimits())
    assert len(generations) == 2
    [only] = not_taken
    assert (only.place, only.reason, only.files) == (str(tmp_path / name), tables.BROKEN, 1)
    assert name in only.examples[0]


def test_a_table_and_a_sidecar_of_one_byte_a_letter_are_read_and_say_so(tmp_path: Path) -> None:
    lay(tmp_path, {name: png() for name in ("a.png", "b.png", "c.png", "d.png")})
    (tmp_path / "generations.csv").write_bytes("file_name,prompt\na.png,née à Paris\nb.png,sea\n".encode("cp1252"))
    (tmp_path / "c.txt").write_bytes("une forêt".encode("cp1252"))
    (tmp_path / "d.json").write_bytes(json.dumps({"prompt": "le château"}, ensure_ascii=False).encode("cp1252"))
    generations, not_taken = find("sd", str(tmp_path), MOST, ByteLimits())
    said = [description(each, b"") for each in generations]
    assert [each.fields["prompt"] for each in said] == ["née à Paris", "sea", "une forêt", "le château"]
    by = " (read as Windows-1252)"
    assert [each.described_by for each in said] == [*["generations.csv" + by] * 2, f".txt{by}", f".json{by}"]
    assert {each.reason: each.files for each in not_taken}[tables.LETTERS] == 2


def test_a_row_with_broken_bytes_is_taken_and_counted(tmp_path: Path) -> None:
    table = "file_name,prompt\na.png,née".encode() + b"\xff\nb.png,sea\n"
    lay(tmp_path, {"a.png": png(), "b.png": png(), "generations.csv": table})
    generations, not_taken = find("sd", str(tmp_path), MOST, ByteLimits())
    assert [each.generation.prompt for each in generations] == ["née\ufffd", "sea"]
    assert {each.reason: each.files for each in not_taken} == {tables.REPAIRED: 1}


def test_other_metadata_without_names_is_counted(tmp_path: Path) -> None:
    lay(tmp_path, {"a.png": png(), "metadata.csv": "license\nMIT\n"})
    assert reasons(tmp_path) == {"a table without a column that names pictures, such as file_name": 1}


def test_nothing_there_is_refused_by_the_setting(tmp_path: Path) -> None:
    for path in (tmp_path / "gone", f"{tmp_path}/*.tar"):
        with pytest.raises(GenerationsError, match=r"`path` of \[\[generations\]\] 'sd'"):
            find("sd", str(path), MOST, ByteLimits())


def test_an_archive_without_a_picture_is_refused_by_the_setting(tmp_path: Path) -> None:
    lay(tmp_path, {"gen.tar": b"no tar", "rows.parquet": as_parquet(ROWS)})
    for path in ("gen.tar", "*.parquet"):
        with pytest.raises(GenerationsError, match=r"no picture in .*; correct `path` of \[\[generations\]\] 'sd'"):
            find("sd", str(tmp_path / path), MOST, ByteLimits())


def test_large_pictures_are_refused_and_counted(tmp_path: Path) -> None:
    lay(tmp_path, {"a.png": png() + bytes(MOST)})
    (each,) = found(tmp_path).values()
    assert each.refusal == f"more than limits.member_bytes = {MOST} bytes"


def test_a_picture_that_is_gone_or_changed_says_so(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "part.tar", {"0.png": png(1)})
    (each,) = found(path).values()
    shutil.copy(tar_of(tmp_path / "other.tar", {"1.png": png(1)}), path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match=r"no longer holds '0.png'"):
        addresses.read(each.generation.path)
    path.unlink()
    with pytest.raises(OSError, match=r"part\.tar"):
        addresses.read(each.generation.path)


def test_a_picture_that_no_row_names_is_counted_as_a_generation_all_the_same() -> None:
    begins = "starts_with(reason, 'a picture that no row of a table names')"
    assert tables.NO_ROW.startswith("a picture that no row of a table names")
    assert all(begins in query(name) for name in ("summary/generations", "failures/not_taken"))


@pytest.mark.parametrize("name", ["v1.5 fox.png", "sea.2.png"])
def test_a_sidecar_of_another_picture_describes_none(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(png(1))
    (tmp_path / f"{name.partition('.')[0]}.json").write_text('{"prompt": "of another one"}')
    [found], not_taken = find("gen", str(tmp_path), 1_000_000, ByteLimits())
    assert found.sidecars == ()
    assert [each.reason for each in not_taken] == ["a text or JSON beside no picture of its name"]


def test_the_ending_of_a_sidecar_may_be_in_upper_case(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "a.TXT").write_text("a bridge")
    [found], not_taken = find("gen", str(tmp_path), 1_000_000, ByteLimits())
    assert (description(found, b"").fields, not_taken) == ({"prompt": "a bridge"}, [])
