"""What `raisonne init` takes a folder for, and why: each layout by the reader that a run uses."""

import gzip
import io
import json
import os
import re
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import add, encoded, picture
from PIL import PngImagePlugin

from orchestration import settings
from orchestration.catalog.shards import discover
from orchestration.fingerprints.generations import find_generations
from orchestration.survey import contents, findings, settings_file
from orchestration.survey.findings import Survey
from orchestration.survey.joining import Finding
from orchestration.survey.places import Budget, walk
from transforms.storage.file_limits import ByteLimits

_JPEG = encoded(picture(1, 64, 48))
_A1111 = "a tower\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 7, Size: 64x48"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty folder whose own name says nothing."""
    (tmp_path / "land").mkdir()
    return tmp_path / "land"


def pictures(folder: Path, number: int = 3, data: bytes = _JPEG, ending: str = "jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for each in range(number):
        (folder / f"{each:03}.{ending}").write_bytes(data)


def generated_png() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", _A1111)
    out = io.BytesIO()
    picture(2, 64, 48).save(out, "PNG", pnginfo=text)
    return out.getvalue()


def rows(path: Path, **columns: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def shards(folder: Path, *names: str) -> None:
    for name in names:
        rows(folder / f"{name}.parquet", URL=["https://e.org/1.jpg"] * 2, TEXT=["a", "b"])
        tar(folder / f"{name}.tar", {f"{n}.jpg": _JPEG for n in range(2)})


def tar(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            add(archive, name, data)


def looked(root: Path, *named: Path, most: int = 10_000) -> tuple[list[Finding], list[findings.Found]]:
    survey = Survey(named, ByteLimits())
    return survey.findings(walk(root, Budget(most))), survey.unused


def written(root: Path, found: list[Finding]) -> settings.Settings:
    """Write the settings of what was found, and return them as a run reads them."""
    file = root / "raisonne.toml"
    file.write_text(settings_file.render(found, "home", "sscd", file), "utf-8")
    return settings.load(file)


def taken(root: Path, found: list[Finding]) -> tuple[dict[str, bool], int]:
    """Return the shards that a run would find, with whether they have metadata, and the count of generations."""
    chosen = written(root, found)
    generations = find_generations(chosen.generations, 10**8).generations if chosen.generations else []
    return {each.partition: each.metadata is not None for each in discover(chosen)}, len(generations)


def test_shards_of_metadata_and_tars_are_one_dataset(root: Path) -> None:
    shards(root / "laion", "00000", "00001")
    found, unused = looked(root)
    assert [(each.generated, each.reason, each.rows, each.pictures) for each in found] == [
        (False, "it has the columns URL and TEXT", 4, 4)
    ]
    assert taken(root, found) == ({"laion/00000": True, "laion/00001": True}, 0)
    assert unused == []


def test_shards_in_folders_are_one_dataset(root: Path) -> None:
    shards(root / "big" / "part-0", "00000")
    shards(root / "big" / "part-1", "00000")
    found, _ = looked(root)
    assert taken(root, found) == ({"big/part-0/00000": True, "big/part-1/00000": True}, 0)


def test_metadata_meets_its_dump_in_another_folder(root: Path) -> None:
    rows(root / "set" / "rows" / "0.parquet", url=["https://e.org/1.jpg"], caption=["a"])
    tar(root / "set" / "dump" / "0.tar", {"0.jpg": _JPEG})
    found, _ = looked(root)
    assert taken(root, found) == ({"rows/0": True}, 0)
    assert discover(written(root, found))[0].images is not None


def test_the_files_of_img2dataset_are_the_dump_of_the_parquet_of_their_folder(root: Path) -> None:
    rows(root / "set" / "00000.parquet", url=["https://e.org/1.jpg"] * 3, caption=["a"] * 3)
    (root / "set" / "00000_stats.json").write_text("{}")
    pictures(root / "set" / "00000")
    found, unused = looked(root)
    assert taken(root, found) == ({"set/00000": True}, 0)
    assert (found[0].pictures, unused) == (3, [])


def test_a_parquet_of_pictures_is_its_own_metadata_unless_it_says_how_they_were_made(root: Path) -> None:
    image = [{"bytes": _JPEG, "path": "a.jpg"}] * 2
    rows(root / "photographs" / "train.parquet", image=image, label=[1, 2])
    rows(root / "made" / "train.parquet", image=image, prompt=["a", "b"], seed=[1, 2])
    found, _ = looked(root)
    assert [(each.place.name, each.generated, each.reason) for each in found] == [
        ("made", True, "its pictures come with the column prompt"),
        ("photographs", False, "it holds pictures in the column image"),
    ]
    assert taken(root, found) == ({"photographs/train": True}, 2)


@pytest.mark.parametrize("name", ["generations", "Generated-2024", "txt2img-images", "my_generations"])
def test_a_folder_is_taken_for_generations_by_its_name(root: Path, name: str) -> None:
    pictures(root / name / "2024-01-01")
    found, _ = looked(root)
    assert [(each.generated, each.reason) for each in found] == [(True, f"its folder is called {name}")]
    assert taken(root, found) == ({}, 3)


def test_a_table_of_generations_tells(root: Path) -> None:
    pictures(root / "x")
    (root / "x" / "generations.jsonl").write_text(json.dumps({"file_name": "000.jpg", "prompt": "a"}))
    found, _ = looked(root)
    assert [each.reason for each in found] == ["it holds the table generations.jsonl"]


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_that_say_how_they_were_made_are_generations(root: Path, packed: bool) -> None:
    if packed:
        tar(root / "x" / "0.tar", {f"{n}.png": generated_png() for n in range(3)})
    else:
        pictures(root / "x", data=generated_png(), ending="png")
    found, _ = looked(root)
    assert [each.reason for each in found] == ["3 of 3 pictures looked into say how they were made (PNG parameters)"]
    assert taken(root, found) == ({}, 3)


def test_where_nothing_tells_the_user_is_asked(root: Path) -> None:
    pictures(root / "things")
    found, _ = looked(root)
    assert [(each.generated, each.reason) for each in found] == [(False, None)]
    text = settings_file.render(found, "home", "sscd", root / "raisonne.toml")
    assert "# QUESTION: were these trained on?" in text
    assert taken(root, found) == ({"things/things": False}, 0)
    said, _ = looked(root, root / "things")
    assert [(each.generated, each.reason) for each in said] == [(True, "--generations names it")]


def test_an_imagefolder_is_one_dataset_and_its_folders_are_shards(root: Path) -> None:
    for label in ("cat", "dog"):
        pictures(root / "train" / label)
    found, _ = looked(root)
    assert taken(root, found) == ({"train/cat": False, "train/dog": False}, 0)
    assert found[0].reason == "its folder is called train" and found[0].pictures == 6


def test_folders_beside_generations_stay_apart_from_them(root: Path) -> None:
    for name in ("cats", "dogs", "generated"):
        pictures(root / name)
    found, _ = looked(root)
    assert taken(root, found) == ({"cats/cats": False, "dogs/dogs": False}, 3)


def test_generations_within_training_pictures_are_not_trained_on(root: Path) -> None:
    pictures(root / "photos")
    pictures(root / "photos" / "generated")
    found, _ = looked(root)
    assert found[0].objection is not None and "generated" in found[0].objection
    chosen = written(root, found)
    assert chosen.datasets == () and "# [[datasets]]" in (root / "raisonne.toml").read_text()


def test_what_cannot_be_used_is_named_with_its_reason(root: Path) -> None:
    pictures(root / "photos")
    (root / "photos" / "notes.docx").write_bytes(b"PK")
    rows(root / "rows" / "numbers.parquet", a=[1])
    rows(root / "rows" / "urls.parquet", url=["https://e.org"])
    (root / "rows" / "cut.parquet").write_bytes(b"PAR1")
    (root / "rows" / "cut.tar").write_bytes(b"no tar" * 200)
    (root / "away").symlink_to(root / "photos")
    found, unused = looked(root)
    assert [each.place.name for each in found] == ["photos"]
    reasons = {each.path.name: (each.reason, each.unread) for each in unused}
    assert reasons["notes.docx" if "notes.docx" in reasons else "photos"][0].startswith("1 file of no known kind")
    assert "no url and no caption column (found a)" in reasons["numbers.parquet"][0]
    assert "opt-out list" in reasons["urls.parquet"][0]
    assert reasons["cut.parquet"][1] and reasons["cut.tar"][1]
    assert reasons["away"][0] == "a link to a folder; name its target"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_closed_folder_is_named(root: Path) -> None:
    pictures(root / "photos")
    (root / "closed").mkdir(mode=0)
    assert [each.unread for each in looked(root)[1]] == [True]


def test_a_walk_is_bounded_and_says_so(root: Path) -> None:
    for number in range(4):
        pictures(root / f"set-{number}", 10)
    found, unused = looked(root, most=15)
    assert sum(each.pictures for each in found) <= 15
    assert any(each.unread and "not looked into" in each.reason for each in unused)


def test_a_warehouse_is_no_training_set(root: Path) -> None:
    for name in ("raisonne.duckdb", "writer.lock"):
        (root / "home").mkdir(exist_ok=True)
        (root / "home" / name).write_bytes(b"")
    pictures(root / "home" / "exports")
    found, unused = looked(root)
    assert found == [] and [each.reason for each in unused] == ["the home of a warehouse"]


@pytest.mark.parametrize("name", ["a [b] c", 'q"uote\\', "über photos", "50% off*"])
def test_names_of_any_kind_are_written_and_read_back(root: Path, name: str) -> None:
    shards(root / name, "0")
    pictures(root / f"{name} generated")
    found, _ = looked(root)
    partitions, generations = taken(root, found)
    assert len(partitions) == 1 and generations == 3


def test_a_file_name_cannot_leave_its_comment(root: Path) -> None:
    pictures(root / "photos")
    file = root / "a\n[limits]\nnull_sample = 1\n\udcff {x}.toml"
    text = settings_file.render(looked(root)[0], "home", "sscd", file)
    file.write_bytes(text.encode())
    assert "\n[limits]" not in text
    assert [each.name for each in settings.load(file).datasets] == ["photos"]


def test_a_table_beside_pictures_is_named_once(root: Path) -> None:
    pictures(root / "things")
    (root / "things" / "metadata.jsonl").write_text('{"file_name": "000.jpg", "text": "a"}\n')
    assert [each.reason for each in looked(root)[0]] == ["it holds the table metadata.jsonl"]


_NO_TAR = b"no tar" * 200


def test_one_broken_tar_does_not_hide_the_others(root: Path) -> None:
    for number in range(1, 4):
        tar(root / "photos" / f"{number}.tar", {f"{n}.jpg": _JPEG for n in range(2)})
    (root / "photos" / "0.tar").write_bytes(_NO_TAR)
    found, unused = looked(root)
    assert [(each.images, each.estimated, each.pictures >= 6) for each in found] == [("/*.tar", True, True)]
    assert [(each.path.name, each.unread) for each in unused] == [("0.tar", True)]


def test_where_tars_lie_the_pictures_are_not_said_to_be_elsewhere(root: Path) -> None:
    rows(root / "set" / "0.parquet", url=["https://e.org/1.jpg"], caption=["a"])
    (root / "set" / "0.tar").write_bytes(_NO_TAR)
    found, _ = looked(root)
    assert [(each.metadata, each.images) for each in found] == [("/*.parquet", "/*.tar")]


def test_files_that_were_not_looked_into_are_counted(root: Path) -> None:
    (root / "set").mkdir()
    for number in range(10):
        (root / "set" / f"{number}.tar").write_bytes(_NO_TAR)
    found, unused = looked(root)
    told = [each for each in unused if each.path.name == "set"]
    assert found == [] and [each.reason.split(",")[0] for each in told] == ["6 more files not looked into"]
    assert told[0].unread


def test_dumps_among_generations_that_cannot_be_read_are_named(root: Path) -> None:
    tar(root / "generated" / "0.TAR", {f"{n}.jpg": _JPEG for n in range(3)})
    (root / "generated" / "1.tar").write_bytes(_NO_TAR)
    rows(root / "generated" / "numbers.parquet", a=[1] * 50)
    rows(root / "generated" / "urls.parquet", url=["https://e.org/1.jpg"] * 50, caption=["a"] * 50)
    found, unused = looked(root)
    assert [(each.generated, each.pictures, each.estimated) for each in found] == [(True, 3, False)]
    assert {each.path.name: each.unread for each in unused} == {
        "1.tar": True,
        "numbers.parquet": False,
        "urls.parquet": False,
    }


def test_of_many_dumps_of_generations_some_are_looked_into(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        tar(root / "generated" / f"{number:02}.tar", {f"{n}.jpg": _JPEG for n in range(3)})
    opened: list[Path] = []
    look = contents.of_tar
    monkeypatch.setattr(contents, "of_tar", lambda path, size: opened.append(path) or look(path, size))
    found, _ = looked(root)
    assert [(each.pictures, each.estimated) for each in found] == [(120, True)]
    assert len(opened) <= 16


@pytest.mark.parametrize("ending", [".csv.gz", ".jsonl.gz", ".csv", ".json", ".json.gz"])
@pytest.mark.parametrize("number", [500, 60_000])
def test_rows_of_texts_are_counted_or_estimated_by_what_they_hold(root: Path, ending: str, number: int) -> None:
    records = [{"url": f"https://example.org/{n}.jpg", "caption": f"a picture\nof {n}"} for n in range(number)]
    if ending.startswith(".csv"):
        text = "url,caption\n" + "".join(f'{each["url"]},"{each["caption"]}"\n' for each in records)
    elif ending.startswith(".jsonl"):
        text = "".join(json.dumps(each) + "\n" for each in records)
    else:
        text = json.dumps(records)
    file = root / f"rows{ending}"
    file.write_bytes(gzip.compress(text.encode(), 1) if ending.endswith(".gz") else text.encode())
    seen = contents.of_text(file, file.stat().st_size, ByteLimits())
    assert seen.kind is contents.Kind.METADATA
    assert seen.rows == pytest.approx(number, rel=0 if number == 500 else 0.05)
    assert seen.estimated == (number > 500)


def test_the_comment_on_encoders_names_those_that_the_settings_describe(root: Path) -> None:
    text = settings_file.render([], "home", "sscd", root / "raisonne.toml")
    [comment] = [line for line in text.splitlines() if "finds copies" in line.lower()]
    described = settings.Settings.model_fields["encoders"].annotation.model_fields["copy_"].description
    for name in ("sscd", "sscd_distilled", "sscd:PATH"):
        assert re.search(rf"\b{name}\b", comment) and f"`{name}`" in described


def test_pictures_are_told_by_their_first_bytes_where_names_say_nothing(root: Path) -> None:
    for name in ("a.jfif", "noending", "c.jpg_large"):
        (root / "photos").mkdir(exist_ok=True)
        (root / "photos" / name).write_bytes(_JPEG)
    (root / "photos" / "README").write_text("of my camera")
    tar(root / "dump" / "0.tar", {"1.img": _JPEG, "2.img": _JPEG, "2.txt": b"a tower"})
    found, unused = looked(root)
    assert {each.place.name: each.pictures for each in found} == {"photos": 3, "dump": 2}
    assert [each.reason for each in unused] == ["1 file of no known kind, such as README"]
    assert set(taken(root, found)[0]) == {"photos/photos", "dump/0"}


def test_a_tar_cut_within_its_first_picture_is_told_as_broken(root: Path) -> None:
    tar(root / "dump" / "0.tar", {"1.jpg": _JPEG * 20})
    cut = root / "dump" / "0.tar"
    cut.write_bytes(cut.read_bytes()[:1000])
    found, unused = looked(root)
    assert found == []
    assert [(each.path, each.unread) for each in unused] == [(cut, True)]
    assert "breaks off within '1.jpg'" in unused[0].reason


@pytest.mark.parametrize("name", ["generations.parquet", "generations.jsonl"])
def test_a_broken_table_of_generations_is_told(root: Path, name: str) -> None:
    pictures(root / "out")
    (root / "out" / name).write_bytes(b'{"file_name": "000.jpg", "prom')
    found, unused = looked(root)
    assert [each.generated for each in found] == [True]
    assert [(each.path.name, each.unread) for each in unused] == [(name, True)]


def test_metadata_of_another_ending_is_told_and_not_counted(root: Path) -> None:
    (root / "set").mkdir()
    with gzip.open(root / "set" / "a.csv.gz", "wt") as file:
        file.write("url,caption\nhttps://e.org/1.jpg,a\n")
    (root / "set" / "b.csv").write_text("url,caption\n" + "https://e.org/2.jpg,b\n" * 5)
    pictures(root / "photos")
    for each in "ab":
        (root / "photos" / f"{each}.csv").write_text("url,caption\nhttps://e.org/1.jpg,a\n")
    found, unused = looked(root)
    assert {each.place.name: each.rows for each in found} == {"set": 1, "photos": 1}
    assert sorted(each.reason for each in unused) == [
        "1 file such as b.csv beside a.csv, which is taken instead; give each kind a folder of its own",
        "1 file such as b.csv beside a.csv.gz, which is taken instead; give each kind a folder of its own",
    ]
