"""Generations of every layout in one run: each is searched, described and shown, whatever it is called."""

import io
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Landing, Row, encoded, picture
from PIL import PngImagePlugin

WEBUI = "a bridge\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 18446744073709551615, Model: v1-5"


def png(number: int, **texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    file = io.BytesIO()
    picture(number).save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Landing:
    folder = tmp_path_factory.mktemp("generations") / "here"
    landing = Landing(folder)
    landing.write_config()
    landing.shard("00000", [Row(f"https://example.org/{n}", f"{n}", encoded(picture(n))) for n in range(4)])
    gen, elsewhere = folder / "generations", folder / "elsewhere"
    (gen / "deep").mkdir()
    (gen / "deep" / "a.png").write_bytes(png(0, parameters=WEBUI))
    (gen / "noending").write_bytes(encoded(picture(0)))
    with open(os.fsencode(gen) + b"/gen_\xe9.png", "wb") as file:  # noqa: PTH123 -- a name in bytes
        file.write(png(1))
    elsewhere.mkdir()
    (elsewhere / "b.png").write_bytes(png(1))
    (gen / "linked").symlink_to("../elsewhere")
    tar(gen / "part.tar", {"000.png": png(2), "000.json": json.dumps({"prompt": "a castle", "seed": 7}).encode()})
    image = pa.array([{"bytes": encoded(picture(3)), "path": "x.jpg"}])
    pq.write_table(pa.table({"image": image, "prompt": ["a tower\u2028at sea"]}), gen / "rows.parquet")
    (gen / "generations.csv").write_text("file_name,prompt,model\ndeep\\a.png,a moat,sd\ngone.png,x,sd\n")
    (gen / ".DS_Store").write_bytes(b"\0")
    landing.run_here()
    return landing


def tar(path: Path, files: dict[str, bytes]) -> None:
    import tarfile

    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_each_is_described_by_what_states_it(ran: Landing) -> None:
    rows = ran.query(
        "select generation_id, prompt, negative_prompt, seed, model, sampler, steps, described_by, stated_otherwise "
        "from catalog.generations order by all"
    )
    nothing = (None, None, None, None, None, None, None, [])
    assert rows == [
        ("gen/deep/a.png", "a moat", "blurry", 2**64 - 1, "sd", "Euler a", 20, "generations.csv; PNG parameters",
         ["PNG parameters: prompt = a bridge", "PNG parameters: model = v1-5"]),
        ("gen/gen_\\udce9.png", *nothing),
        ("gen/linked/b.png", *nothing),
        ("gen/noending", *nothing),
        ("gen/part.tar/000.png", "a castle", None, 7, None, None, None, ".json", []),
        ("gen/rows.parquet/x.jpg", "a tower\u2028at sea", *nothing[1:6], "columns of the parquet", []),
    ]  # fmt: skip


def test_each_is_searched(ran: Landing) -> None:
    found = ran.query("select verdict, count(*) from provenance.generations group by all order by all")
    assert sum(count for _, count in found) == 6 and {verdict for verdict, _ in found} <= {"exact", "copy"}


def test_what_is_no_generation_or_has_no_row_is_counted(ran: Landing) -> None:
    rows = ran.query(
        "select source, reason, files, examples from catalog.not_taken where source is not null order by all"
    )
    assert [(source, files) for source, _, files, _ in rows] == [("gen", 1), ("gen", 5), ("gen", 1)]
    assert [reason.partition(" (")[0] for _, reason, _, _ in rows] == [
        "a file that a system leaves behind, or a hidden one",
        "a picture that no row of a table names",
        "a row that names no picture",
    ]
    assert rows[2][3] == ["gone.png"]


@pytest.mark.parametrize("name", ["part.tar/000.png", "rows.parquet/x.jpg", "gen_\\udce9.png"])
def test_each_is_shown(ran: Landing, name: str, tmp_path: Path) -> None:
    said = ran.raisonne("show", f"gen/{name}", "--to", str(tmp_path / "case.html"))
    page = (tmp_path / "case.html").read_text()
    assert said.stdout.startswith(f"gen/{name}: ") and page.count("data:image/") >= 2 and "cannot be read" not in page
