"""Everything the open web delivers broken, in one landing: each case counts with its reason, its neighbours hold."""

import csv
import hashlib
import io
import json
import struct
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Landing, Row, add, encoded, picture
from PIL import Image

from orchestration.cli.published import ExitCode
from orchestration.facts import Facts

FORMULA = "=cmd()|'/c calc'"
SCRIPT = "<script>alert(1)</script>"
QUOTED = r"a'b\c.jpg"  # a generation's file name
MAX_PIXELS = 1_000_000

# What each picture of the shard `pictures` is: its bytes, and a part of the reason why it fails (None: it is usable).
PICTURES: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "first good": (lambda: encoded(picture(1)), None),
    "zero bytes": (lambda: b"", "empty: zero bytes"),
    "half a jpeg": (lambda: _half(encoded(picture(2))), "truncated"),
    "png called jpg": (lambda: encoded(picture(3), "PNG"), None),
    "html called jpg": (lambda: b"<!DOCTYPE html><p>403 Forbidden", "not a picture"),
    "too many pixels": (lambda: encoded(Image.new("L", (2000, 2000)), "PNG"), f"limits.pixels = {MAX_PIXELS}"),
    "bomb header": (lambda: _png_header(60_000, 60_000), "pixels"),
    "cmyk jpeg": (lambda: encoded(picture(4).convert("CMYK")), None),
    "16-bit png": (lambda: encoded(_sixteen_bit(5), "PNG"), None),
    "palette with transparency": (lambda: encoded(picture(6).quantize(64), "PNG", transparency=0), None),
    "animated gif": (lambda: _animated("GIF", 7), None),
    "animated webp": (lambda: _animated("WEBP", 9), None),
    "on its side": (lambda: encoded(picture(11), exif=_rotated()), None),
    "last good": (lambda: encoded(picture(12)), None),
}


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _png_header(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that claims to be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def _sixteen_bit(seed: int) -> Image.Image:
    return Image.fromarray(np.asarray(picture(seed).convert("L")).astype(np.uint16) * 257)


def _animated(kind: str, seed: int) -> bytes:
    return encoded(picture(seed), kind, save_all=True, append_images=[picture(seed + 1)], duration=100)


def _rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    return exif


def url(name: str) -> str:
    return f"https://images.example.org/{name.replace(' ', '-')}"


@dataclass(frozen=True)
class Bad:
    """The landing after its run, what the run printed, and the training files as they lay before it."""

    landing: Landing
    run: subprocess.CompletedProcess[str]
    landed: dict[str, str]

    def image(self, name: str) -> tuple:
        """Return (status, failure, width, height) of the row with this URL's picture."""
        found = self.landing.query(
            "select url, images.status, images.failure, images.width, images.height "
            "from catalog.samples join fingerprints.images using (sample_id)"
        )
        rows = [rest for address, *rest in found if address == url(name)]
        assert len(rows) == 1, f"{name}: {rows}"
        return tuple(rows[0])

    def shard(self, name: str, columns: str) -> tuple:
        (row,) = self.landing.query(f"select {columns} from catalog.shards where shard = '{name}'")  # noqa: S608 -- both are ours
        return row


def files_of(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Bad:
    landing = Landing(tmp_path_factory.mktemp("bad") / "日本 é 50% #1 'a' \"b\" [v2] {x} ;&~$HOME")
    landing.write_config(f"[limits]\npixels = {MAX_PIXELS}\n")
    laion = landing.folder / "laion"

    shown = [Row(url(name), name, make()) for name, (make, _) in PICTURES.items()]
    landing.shard("pictures", shown, {"nobody-lists-me.jpg": encoded(picture(13))})

    twins = encoded(picture(20))
    landing.shard("hostile-text", [Row(url("formula"), FORMULA, twins), Row(url("script"), SCRIPT, twins)])
    (landing.folder / "generations" / QUOTED).write_bytes(twins)

    landing.shard("metadata-cut", [Row(url("cut"), "cut", encoded(picture(21)))])
    whole = (laion / "metadata-cut.parquet").read_bytes()
    (laion / "metadata-cut.parquet").write_bytes(whole[:-20])
    pq.write_table(pa.table({"TEXT": ["no url"], "LINK": ["x"]}), laion / "metadata-no-url.parquet")
    (laion / "metadata-empty.parquet").write_bytes(b"")

    land_captions(laion)
    land_duplicate_keys(laion)
    land_escaping_members(laion)

    landing.shard("tar-cut", [Row(url(f"tar {n}"), f"tar {n}", encoded(picture(30 + n))) for n in range(3)])
    with tarfile.open(laion / "tar-cut.tar") as archive:
        last = archive.getmember("000000002.jpg")
    with (laion / "tar-cut.tar").open("r+b") as file:
        file.truncate(last.offset_data + last.size // 2)
    (laion / "tar-zero.tar").write_bytes(b"")

    landed = files_of(laion)
    return Bad(landing, landing.raisonne("run", check=False), landed)


def land_captions(laion: Path) -> None:
    """Land a NULL caption, one in Latin-1 (which is no UTF-8), and a good one between them."""
    values = [None, b"caf\xe9 bar", b"plain"]
    texts = pa.array(values, pa.binary()).buffers()
    captions = pa.Array.from_buffers(pa.string(), len(values), texts, null_count=1)
    urls = [url(f"caption {n}") for n in range(len(values))]
    pq.write_table(pa.table({"URL": urls, "TEXT": captions}), laion / "captions.parquet")
    with tarfile.open(laion / "captions.tar", "w") as archive:
        for n, value in enumerate(values):
            add(archive, f"{n:09d}.jpg", encoded(picture(40 + n)))
            caption = b"null" if value is None else b'"' + value + b'"'
            add(archive, f"{n:09d}.json", b'{"url": "' + urls[n].encode() + b'", "caption": ' + caption + b"}")


def land_duplicate_keys(laion: Path) -> None:
    """Land metadata with keys, and a tar in which one key has two pictures."""
    table = pa.table({"key": ["0", "1"], "url": [url("key 0"), url("key 1")], "caption": ["key 0", "key 1"]})
    pq.write_table(table, laion / "keys.parquet")
    with tarfile.open(laion / "keys.tar", "w") as archive:
        for member, seed in (("0.jpg", 50), ("0.png", 51), ("1.jpg", 52)):
            add(archive, member, encoded(picture(seed)))


def land_escaping_members(laion: Path) -> None:
    """Land a tar whose members would leave the folder if they were extracted, each listed by a row."""
    names = {"up": "../x.jpg", "absolute": f"{laion.parent.parent}/absolute.jpg", "link": "link.jpg", "plain": "p.jpg"}
    urls = [url(name) for name in names]
    pq.write_table(pa.table({"URL": urls, "TEXT": list(names)}), laion / "escaping.parquet")
    with tarfile.open(laion / "escaping.tar", "w") as archive:
        for n, (name, member) in enumerate(names.items()):
            if name == "link":
                link = tarfile.TarInfo(member)
                link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
                archive.addfile(link)
            else:
                add(archive, member, encoded(picture(60 + n)))
            sidecar = json.dumps({"url": url(name), "caption": name}).encode()
            add(archive, member.removesuffix(".jpg") + ".json", sidecar)


@pytest.mark.parametrize("name", PICTURES)
def test_each_picture_is_usable_or_failed_with_its_reason(bad: Bad, name: str) -> None:
    status, failure, width, height = bad.image(name)
    _, reason = PICTURES[name]
    if reason is None:
        expected = (192, 256) if name == "on its side" else (256, 192)
        assert (status, failure, width, height) == ("ok", None, *expected)
    else:
        assert status == "failed"
        assert reason in failure
        assert (width, height) == (None, None)


def test_the_run_ends_well_and_warns_of_everything_it_could_not_use(bad: Bad) -> None:
    assert bad.run.returncode == ExitCode.INCOMPLETE
    warnings = [line for line in bad.run.stderr.splitlines() if line.startswith("warning: ")]
    for part in (
        "metadata-cut.parquet is not a whole parquet file",
        "metadata-empty.parquet is not a whole parquet file",
        "metadata-no-url.parquet has no url column",
        "tar-cut.tar breaks off within '000000002.jpg'",
        "tar-zero.tar",
        "tiny/pictures: 1 picture that no metadata row lists",
        "limits.pixels",
        "zero bytes",
    ):
        assert any(part in line for line in warnings), f"no warning of {part}:\n{bad.run.stderr}"
    assert "Traceback" not in bad.run.stderr


@pytest.mark.parametrize(
    ("shard", "reason"),
    [
        ("metadata-cut", "metadata-cut.parquet is not a whole parquet file"),
        ("metadata-empty", "metadata-empty.parquet is not a whole parquet file"),
        ("metadata-no-url", "has no url column: looked for url, image_url, img_url in any case, found TEXT, LINK"),
    ],
)
def test_metadata_that_cannot_be_used_is_a_failed_shard_with_its_reason(bad: Bad, shard: str, reason: str) -> None:
    status, failure, rows = bad.shard(shard, "status, failure, rows")
    assert (status, rows) == ("failed", 0)
    assert reason in failure


def test_a_picture_that_no_row_lists_is_counted_and_named(bad: Bad) -> None:
    columns = "pictures, unlisted, unlisted_examples"
    assert bad.shard("pictures", columns) == (len(PICTURES) + 1, 1, ["nobody-lists-me.jpg"])
    assert bad.shard("metadata-cut", columns) == (1, 1, ["000000000.jpg"])


def test_null_and_broken_captions_meet_their_pictures(bad: Bad) -> None:
    captions = bad.landing.query(
        "select caption, status from catalog.samples left join fingerprints.images using (sample_id) "
        "where shard = 'captions' order by row_number"
    )
    assert captions == [(None, "ok"), ("caf\ufffd bar", "ok"), ("plain", "ok")]
    assert bad.shard("captions", "status, rows, repaired_rows, unlisted") == ("ok", 3, 1, 0)


def test_of_two_pictures_of_one_key_one_counts_and_the_other_is_unlisted(bad: Bad) -> None:
    assert bad.shard("keys", "pictures, unlisted, unlisted_examples") == (3, 1, ["0.png"])
    assert [bad.image(f"key {n}")[0] for n in (0, 1)] == ["ok", "ok"]


def test_members_that_would_leave_the_archive_are_refused_and_write_nothing(bad: Bad) -> None:
    for name, reason in (("up", "leaves the archive"), ("absolute", "leaves the archive"), ("link", "a link")):
        status, failure, *_ = bad.image(name)
        assert status == "failed"
        assert reason in failure
    assert bad.image("plain")[0] == "ok"
    assert list(bad.landing.folder.parent.iterdir()) == [bad.landing.folder]
    assert {p.name for p in bad.landing.folder.iterdir()} == {"home", "laion", "generations", "raisonne.toml"}


def test_no_landing_file_was_changed(bad: Bad) -> None:
    assert files_of(bad.landing.folder / "laion") == bad.landed


def test_a_cut_tar_keeps_the_pictures_before_the_break(bad: Bad) -> None:
    assert [bad.image(f"tar {n}")[0] for n in (0, 1)] == ["ok", "ok"]
    pictures, broken = bad.shard("tar-cut", "pictures, broken")
    assert pictures == 2
    assert "tar-cut.tar breaks off within '000000002.jpg'; download it again" in broken
    assert "tar-zero.tar" in bad.shard("tar-zero", "broken")[0]


def test_coverage_adds_up_to_the_training_rows(bad: Bad) -> None:
    ((rows, failed, low),) = bad.landing.query(
        "select count(*), count(*) filter (where status = 'failed'), count(*) filter (where status = 'low_quality') "
        "from catalog.samples left join fingerprints.images using (sample_id)"
    )
    failing = sum(reason is not None for _, reason in PICTURES.values())
    assert (failed, low) == (failing + 3, 0)  # and three members that leave their archive
    coverage = bad.landing.query("select fingerprint, expected, ok, failed, missing from fingerprints.coverage")
    assert sorted(coverage) == [
        (fingerprint, rows, rows - failed - 1, failed, 1)  # one picture lies beyond the break of its tar
        for fingerprint in ("pdq", "sha256", "sscd_distilled")
    ]


def test_failures_are_counted_by_their_reason(bad: Bad) -> None:
    assert bad.landing.query("select sum(rows)::int from fingerprints.failures") == bad.landing.query(
        "select count(*)::int from fingerprints.images where status = 'failed'"
    )


def test_a_generation_with_quotes_in_its_name_is_matched(bad: Bad) -> None:
    found = bad.landing.query(
        "select generations.generation_id, generations.verdict, sources.duplicate_count "
        "from provenance.generations left join provenance.sources using (generation_id) where rank = 1"
    )
    assert set(found) == {(f"gen/{QUOTED}", "exact", 2)}
    assert "exact" in bad.landing.raisonne("show", f"gen/{QUOTED}").stdout


def test_hostile_captions_are_neutralised_in_exports(bad: Bad, tmp_path: Path) -> None:
    bad.landing.raisonne("export", "--to", str(tmp_path / "out"))
    cells = [
        cell
        for path in (tmp_path / "out").glob("*.csv")
        for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
        for cell in row
    ]
    assert any("cmd()" in cell for cell in cells), "the caption is in no CSV: this test proves nothing"
    assert [cell for cell in cells if cell.startswith(("=", "+", "@"))] == []
    import openpyxl

    book = openpyxl.load_workbook(tmp_path / "out" / "raisonne.xlsx")
    boxes = [cell for sheet in book if sheet.title != "About" for row in sheet.iter_rows() for cell in row]
    assert any("cmd()" in str(cell.value) for cell in boxes)
    assert [cell.value for cell in boxes if cell.data_type == "f" or cell.hyperlink] == []
    pages = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".html", ".js")]
    texts = [path.read_text(encoding="utf-8") for path in pages]
    assert [text for text in texts if SCRIPT in text] == []
    assert any("\\u003cscript\\u003ealert(1)\\u003c/script\\u003e" in text for text in texts)


def test_a_generation_with_quotes_in_its_name_that_is_deleted_is_dropped_by_the_next_run(landing: Landing) -> None:
    """Nor does a landing whose metadata is all unusable stop a run: its tables are empty and a warning says why."""
    (landing.folder / "laion" / "only.parquet").write_bytes(b"PAR1 and no more")
    with tarfile.open(landing.folder / "laion" / "only.tar", "w") as archive:
        add(archive, "1.jpg", encoded(picture(7)))
    picture(2).save(landing.folder / "generations" / "kept.png")
    generated = landing.folder / "generations" / QUOTED
    generated.write_bytes(encoded(picture(1)))
    run = landing.raisonne("run", check=False)
    assert run.returncode == ExitCode.INCOMPLETE
    assert "warning: " in run.stderr
    assert "only.parquet is not a whole parquet file" in run.stderr
    assert landing.query("select count(*) from catalog.samples") == [(0,)]
    assert landing.query("select count(*) from fingerprints.coverage") == [(0,)]
    assert landing.query("select status, rows from catalog.shards") == [("failed", 0)]
    verdicts = "select generation_id, verdict from provenance.generations"
    kept = ("gen/kept.png", "no_match_found")
    assert sorted(landing.query(verdicts)) == sorted([(f"gen/{QUOTED}", "no_match_found"), kept])

    generated.unlink()
    landing.run_here("generations_only", tables=False)
    left = Facts(landing.home / "facts")["generation_fingerprints"].read(["generation_id"])
    assert left["generation_id"].to_pylist() == ["gen/kept.png"]
