"""Layouts and oddities of files, and what becomes of each: the table of `docs/reference/files.md`.

Each case makes its files, reads them as a run does, and says in a line what came of them. The page holds these lines:
`python -m tests.file_cases` writes it, and a test compares it.
"""

import gzip
import json
import os
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.conftest import ROOT, add, encoded, picture
from transforms.catalog.columns import LandingError
from transforms.catalog.metadata import inspect
from transforms.dumps import implied_metadata
from transforms.dumps.members import ArchiveError
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import FAILED, Rules
from transforms.fingerprints.row_matching import MetadataFile
from transforms.fingerprints.shard import Account, Job, fingerprint_shard
from transforms.generations import addresses, sources
from transforms.generations.descriptions import description
from transforms.generations.generation import GenerationsError
from transforms.generations.statements import Description
from transforms.storage.file_limits import ByteLimits

PAGE = ROOT / "docs" / "reference" / "files.md"
_HEAD = """\
# Files, and what becomes of them

Every file and row that is found is counted: as a row that is `ok`, of low quality, failed with its reason or missing
(`fingerprints.coverage`), or as not taken, with the reason (`catalog.not_taken`). The tables below are made by the
tests: each line was read as a run reads it (`tests/file_cases.py`)."""
_LIMIT = 1 << 20
_JPEG, _PNG = encoded(picture(1, 96, 72)), encoded(picture(2, 96, 72), "PNG")
type Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Case:
    """Files of a kind.

    Attributes:
        what: The kind, as the page names it.
        make: Writes the files below an empty folder, and returns the path that the settings would name.
    """

    what: str
    make: Make


def _tar(*members: tuple[str, bytes], after: bytes = b"", until: int | None = None) -> Make:
    def make(folder: Path) -> Path:
        path = folder / "dump.tar"
        with tarfile.open(path, "w") as archive:
            for name, data in members:
                add(archive, name, data)
        path.write_bytes((path.read_bytes() + after)[:until])
        return path

    return make


def _info(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _linked_tar(folder: Path) -> Path:
    path = folder / "dump.tar"
    with tarfile.open(path, "w") as archive:
        add(archive, "1.jpg", _JPEG)
        archive.addfile(_info("2.jpg", tarfile.LNKTYPE, "1.jpg"))
        archive.addfile(_info("3.jpg", tarfile.SYMTYPE, "1.jpg"))
    return path


def _files(*files: tuple[str, bytes], links: tuple[tuple[str, str], ...] = ()) -> Make:
    def make(base: Path) -> Path:
        root = base / "dump"
        for name, data in files:
            path = root / os.fsdecode(name.encode(errors="surrogateescape"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name, target in links:
            (root / name).symlink_to(target)
        return root

    return make


def _parquet(**columns: pa.Array) -> Make:
    def make(folder: Path) -> Path:
        pq.write_table(pa.table(columns), folder / "dump.parquet")
        return folder / "dump.parquet"

    return make


def _record(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _tar_bytes(*members: tuple[str, bytes]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return _tar(*members)(Path(folder)).read_bytes()


def _gzipped(folder: Path) -> Path:
    path = folder / "dump.tar"
    path.write_bytes(gzip.compress(_tar_bytes(("1.jpg", _JPEG))))
    return path


_ONE = _record(url="https://a.org/1", caption="a sea")
_PICTURE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
DUMPS: dict[str, tuple[Case, ...]] = {
    "Names of pictures, in tars and folders": (
        Case(
            "`Mr. Fox v1.2.jpg`, with `Mr. Fox v1.2.json`",
            _tar(("Mr. Fox v1.2.jpg", _JPEG), ("Mr. Fox v1.2.json", _ONE)),
        ),
        Case("`7.input.jpg`, with `7.json`", _tar(("7.input.jpg", _JPEG), ("7.json", _ONE))),
        Case("`7.jpg`, with `7.jpg.json` and `7.caption.txt`", _tar(("7.jpg", _JPEG), ("7.jpg.json", _ONE))),
        Case("`./7.jpg`, with `7.json`", _tar(("./7.jpg", _JPEG), ("7.json", _ONE))),
        Case(
            "`7.JPG`, `8.jfif`, `9.jpg_large`, `10.img`, `11`",
            _tar(*((n, _JPEG) for n in ("7.JPG", "8.jfif", "9.jpg_large", "10.img", "11"))),
        ),
        Case("a PNG called `7.jpg`", _tar(("7.jpg", _PNG))),
        Case("`7.jpg` and its mask `7.seg.png`", _tar(("7.jpg", _JPEG), ("7.seg.png", _PNG), ("7.json", _ONE))),
        Case("a name whose bytes are not UTF-8", _files(("latin-\udce9.jpg", _JPEG))),
        Case("`[7]*.jpg` in a folder `key=value`", _files(("key=value/[7]*.jpg", _JPEG))),
    ),
    "Sidecars": (
        Case(
            "all pictures, then all sidecars",
            _tar(("1.jpg", _JPEG), ("2.png", _PNG), ("1.json", _ONE), ("2.json", _ONE)),
        ),
        Case(
            "`URL` and `TEXT` instead of `url` and `caption`",
            _tar(("1.jpg", _JPEG), ("1.json", _record(URL="https://a.org/1", TEXT="a sea"))),
        ),
        Case("a sidecar with a byte order mark", _tar(("1.jpg", _JPEG), ("1.json", b"\xef\xbb\xbf" + _ONE))),
        Case("a sidecar that is no JSON", _tar(("1.jpg", _JPEG), ("1.json", b"{broken"))),
        Case("a sidecar without a picture", _tar(("1.jpg", _JPEG), ("2.json", _ONE))),
        Case("a sidecar of more than a megabyte", _tar(("1.jpg", _JPEG), ("1.json", _record(caption="x" * 1_000_001)))),
        Case(
            "`metadata.jsonl` with `file_name` and `text`",
            _files(("a/1.jpg", _JPEG), ("metadata.jsonl", _record(file_name="a/1.jpg", text="a sea"))),
        ),
        Case(
            "`metadata.csv` that names a picture that is not there",
            _files(("1.jpg", _JPEG), ("metadata.csv", b"file_name,text\n1.jpg,a sea\n2.jpg,a lake\n")),
        ),
    ),
    "Tars": (
        Case("two tars put together (`cat`, `tar -r`)", _tar(("1.jpg", _JPEG), after=_tar_bytes(("2.png", _PNG)))),
        Case("bytes after the end mark that are no tar", _tar(("1.jpg", _JPEG), after=b"signature" * 99)),
        Case("a tar that is cut off", _tar(("1.jpg", _JPEG), ("2.png", _PNG), until=512 + len(_JPEG) + 1400)),
        Case("a tar that gzip compressed", _gzipped),
        Case("a web page called `dump.tar`", lambda folder: _write(folder / "dump.tar", b"<html>403</html>" * 99)),
        Case("a hard link and a symbolic link to a member", _linked_tar),
        Case("`../1.jpg`", _tar(("../1.jpg", _JPEG))),
    ),
    "Folders and links": (
        Case("a link to a folder within", _files(("a/1.jpg", _JPEG), links=(("b", "a"),))),
        Case("a link to the folder itself", _files(("1.jpg", _JPEG), links=(("again", "."),))),
        Case("a link to a folder outside", _files(("1.jpg", _JPEG), links=(("out", "../.."),))),
        Case("a link to a file outside", _files(("1.jpg", _JPEG), links=(("2.jpg", "/etc/hostname"),))),
        Case("a link to nothing", _files(("1.jpg", _JPEG), links=(("2.jpg", "gone.jpg"),))),
    ),
    "What is no picture": (
        Case(
            "`._1.jpg`, `.DS_Store`, `__MACOSX/1.jpg`",
            _tar(("1.jpg", _JPEG), ("._1.jpg", b"\0\5\x16\7"), (".DS_Store", b"x"), ("__MACOSX/1.jpg", _JPEG)),
        ),
        Case(
            "`.ipynb_checkpoints`, `@eaDir`, `Thumbs.db`",
            _files(("1.jpg", _JPEG), (".ipynb_checkpoints/1.jpg", _JPEG), ("@eaDir/1.jpg", _JPEG), ("Thumbs.db", b"x")),
        ),
        Case("a tar within a tar", _tar(("1.jpg", _JPEG), ("2.tar", _tar_bytes(("2.png", _PNG))))),
        Case("`1.cls`, `1.npy`", _tar(("1.jpg", _JPEG), ("1.cls", b"7"), ("1.npy", b"\x93NUMPY"))),
        Case(
            "a film, a PDF, a drawing (SVG)",
            _tar(("1.jpg", _JPEG), ("1.mp4", b"\0\0\0\x18ftypmp42"), ("1.pdf", b"%PDF-1.7"), ("1.svg", b"<svg/>")),
        ),
        Case("a web page called `1.jpg`", _tar(("1.jpg", b"<!DOCTYPE html>"))),
        Case("an empty file called `1.jpg`", _tar(("1.jpg", b""))),
        Case("the first half of a JPEG", _tar(("1.jpg", _JPEG[: len(_JPEG) // 2]))),
        Case("a file above `limits.member_bytes`", _tar(("1.jpg", bytes(_LIMIT + 1)))),
    ),
    "Parquet with pictures": (
        Case("bytes called `image`, `jpg`, … in any case", _parquet(Image=pa.array([_JPEG, _PNG]))),
        Case(
            "a struct of bytes and path (Hugging Face)",
            _parquet(image=pa.array([{"bytes": _JPEG, "path": None}], _PICTURE)),
        ),
        Case("a row whose bytes are null", _parquet(image=pa.array([_JPEG, None]))),
        Case(
            "a struct with a path and no bytes", _parquet(image=pa.array([{"bytes": None, "path": "1.jpg"}], _PICTURE))
        ),
        Case(
            "two columns of pictures",
            _parquet(image=pa.array([_JPEG]), mask=pa.array([{"bytes": _PNG, "path": None}], _PICTURE)),
        ),
        Case(
            "a list of pictures in a row",
            _parquet(
                images=pa.array([[{"bytes": _JPEG, "path": None}, {"bytes": _PNG, "path": None}]], pa.list_(_PICTURE))
            ),
        ),
        Case("no column of pictures", _parquet(x=pa.array([1]))),
    ),
}


def _metadata(data: bytes, ending: str = "csv") -> Make:
    return lambda folder: _write(folder / f"rows.{ending}", data)


def _odd_name(folder: Path) -> Path:
    path = _parquet(url=pa.array(["https://a.org/1"]), text=pa.array(["a sea"]), nXe=pa.array([1]))(folder)
    return _write(path, path.read_bytes().replace(b"nXe", b"n\xe9e"))


_ROWS = "url,text,width\nhttps://a.org/1,née,640\n"
METADATA: dict[str, tuple[Case, ...]] = {
    "Metadata": (
        Case("a parquet with `URL` and `TEXT`", _parquet(URL=pa.array(["https://a.org/1"]), TEXT=pa.array(["a sea"]))),
        Case(
            "a `width` that is text, a `key` that is a 64-bit number",
            _parquet(
                url=pa.array(["https://a.org/1"]),
                text=pa.array(["a sea"]),
                width=pa.array(["640"]),
                key=pa.array([2**64 - 1], pa.uint64()),
            ),
        ),
        Case(
            "columns called `filename` and `file_row_number`",
            _parquet(
                url=pa.array(["https://a.org/1"]),
                text=pa.array(["a sea"]),
                filename=pa.array(["x"]),
                file_row_number=pa.array([7]),
            ),
        ),
        Case(
            "`url` and `URL` in one file",
            _parquet(url=pa.array(["https://a.org/1"]), URL=pa.array(["https://a.org/2"]), text=pa.array(["a sea"])),
        ),
        Case(
            "a caption that is a list",
            _parquet(url=pa.array(["https://a.org/1"]), text=pa.array([["a sea", "a lake"]])),
        ),
        Case("text that is not UTF-8", _parquet(url=pa.array([b"https://a.org/1"]), text=pa.array([b"n\xe9e"]))),
        Case("a name of a column that is not UTF-8", _odd_name),
        Case("no column of URLs", _parquet(link=pa.array(["https://a.org/1"]), text=pa.array(["a sea"]))),
        Case("a parquet that is cut", _metadata(b"PAR1 and no more", "parquet")),
        Case("CSV", _metadata(_ROWS.encode())),
        Case("CSV with a byte order mark, in UTF-16", _metadata(_ROWS.encode("utf-16"))),
        Case("CSV in Latin-1", _metadata(_ROWS.encode("latin-1"))),
        Case("CSV with an open quote", _metadata(b'url,text\nhttps://a.org/1,"open\n' + b"x" * 99)),
        Case("JSON lines", _metadata(_ONE + b"\n", "jsonl")),
        Case("JSON lines with a broken second line", _metadata(_ONE + b"\n{broken\n", "jsonl")),
    ),
}


def of_metadata(case: Case, base: Path) -> str:
    """Inspect a metadata file, and return what became of it in a line.

    Args:
        case: The file.
        base: An empty folder.
    """
    base.mkdir(exist_ok=True)
    path = case.make(base)
    copy = base / "work" / "copy.parquet"
    try:
        found = inspect(str(path), copy, ByteLimits())
    except LandingError as error:
        return f"the shard fails: {_plain(str(error), path)}"
    repaired = f", {found.repaired_rows} with text that was not UTF-8" if found.repaired_rows else ""
    row = pq.read_table(copy if copy.exists() else path).to_pylist()[0]
    values = ", ".join(f"{name} “{value}”" for name, value in row.items() if value is not None)
    return f"{found.rows} row{repaired}: {values}"


def _chunk(**texts: str) -> bytes:
    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text, zip=True)
    return encoded(picture(3, 96, 72), "PNG", pnginfo=info)


def _user_comment(text: str) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    return encoded(picture(3, 96, 72), exif=exif)


_ROW = _record(file_name="a.png", prompt="a sea", seed=2**64 - 1)
_WEBUI = "a sea\nNegative prompt: a lake\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 96x72, Model: sd15"
_COMFY = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 5, "steps": 20, "sampler_name": "euler", "positive": ["6", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a sea"}},
}
_BESIDE = json.dumps({"Prompt": "a sea", "Seed": "5"}).encode()
GENERATIONS: dict[str, tuple[Case, ...]] = {
    "Tables of generations": (
        Case(
            "`generations.jsonl` with U+2028 and U+0085 in a prompt",
            _files(
                ("a.png", _PNG), ("generations.jsonl", '{"file_name": "a.png", "prompt": "a\u2028sea\x85"}'.encode())
            ),
        ),
        Case(
            "with a byte order mark, in UTF-16",
            _files(("a.png", _PNG), ("generations.jsonl", _ROW.decode().encode("utf-16"))),
        ),
        Case("a JSON array", _files(("a.png", _PNG), ("generations.json", b"[" + _ROW + b"]"))),
        Case("a broken second line", _files(("a.png", _PNG), ("generations.jsonl", _ROW + b"\n{broken"))),
        Case("a parquet that is cut", _files(("a.png", _PNG), ("generations.parquet", b"PAR1 and no more"))),
        Case(
            "`metadata.csv`, `metadata.jsonl` (imagefolder)",
            _files(("t/a.png", _PNG), ("t/metadata.csv", b"file_name,text\na.png,a sea\n")),
        ),
        Case(
            "`part-000001.json` (DiffusionDB)",
            _files(("a.png", _PNG), ("part-000001.json", json.dumps({"a.png": {"p": "a sea", "se": 5}}).encode())),
        ),
        Case(
            "`C:\\out\\a.png`, `./a.png`, another Unicode form",
            _files(("é.png", _PNG), ("generations.jsonl", _record(file_name="C:\\out\\e\u0301.png", prompt="a sea"))),
        ),
        Case(
            "a row that names no picture",
            _files(("a.png", _PNG), ("generations.jsonl", _ROW + b"\n" + _record(file_name="b.png"))),
        ),
        Case("a picture that no row names", _files(("a.png", _PNG), ("b.png", _JPEG), ("generations.jsonl", _ROW))),
        Case(
            "two pictures that a row may name",
            _files(("x/a.png", _PNG), ("y/a.png", _JPEG), ("generations.jsonl", _ROW)),
        ),
    ),
    "Prompts in the picture or beside it": (
        Case("Automatic1111, Forge: `parameters`", _files(("a.png", _chunk(parameters=_WEBUI)))),
        Case("the same in EXIF `UserComment`", _files(("a.jpg", _user_comment(_WEBUI)))),
        Case("ComfyUI: `prompt`", _files(("a.png", _chunk(prompt=json.dumps(_COMFY))))),
        Case(
            "InvokeAI: `invokeai_metadata`",
            _files(("a.png", _chunk(invokeai_metadata=json.dumps({"positive_prompt": "a sea", "seed": 5})))),
        ),
        Case(
            "NovelAI: `Comment`",
            _files(
                (
                    "a.png",
                    _chunk(
                        Software="NovelAI",
                        Description="a sea",
                        Comment=json.dumps({"prompt": "a sea", "seed": 5, "uc": "a lake"}),
                    ),
                )
            ),
        ),
        Case("`a.txt` beside `a.png`", _files(("a.png", _PNG), ("a.txt", b"a sea"))),
        Case("`a.json` beside `a.png`", _files(("a.png", _PNG), ("a.json", _BESIDE))),
        Case(
            "a table and the file that differ",
            _files(
                ("a.png", _chunk(parameters=_WEBUI)), ("generations.jsonl", _record(file_name="a.png", prompt="a lake"))
            ),
        ),
        Case("a text of 8 MB, compressed", _files(("a.png", _chunk(workflow="x" * (8 << 20))))),
    ),
    "Where generations lie": (
        Case("`a.jfif`, `b` without an ending", _files(("a.jfif", _JPEG), ("b", _PNG))),
        Case("a tar, with sidecars", _tar(("1.png", _PNG), ("1.json", _BESIDE))),
        Case(
            "a parquet with pictures and prompts",
            _parquet(image=pa.array([{"bytes": _PNG, "path": None}], _PICTURE), prompt=pa.array(["a sea"])),
        ),
        Case("a linked folder", _files(("x/a.png", _PNG), links=(("y", "x"),))),
        Case("a file name that is not UTF-8", _files(("gen_\udce9.png", _PNG))),
        Case("a folder without a picture", _files(("notes.txt", b"x"))),
    ),
}


def of_generations(case: Case, base: Path) -> str:
    """Find the generations of a source, and return what became of it in a line.

    Args:
        case: The source.
        base: An empty folder.
    """
    base.mkdir(exist_ok=True)
    path = case.make(base)
    try:
        found, not_taken = sources.find("gen", str(path), _LIMIT, ByteLimits())
    except GenerationsError as error:
        return f"the run stops: {_plain(str(error), path)}"
    said = [description(each, addresses.read_location(each.location)) for each in found]
    parts = [f"{len(found)} generation{'' if len(found) == 1 else 's'}"]
    for each in said:
        if each.described_by:
            parts.append(f"`{each.described_by}`: {_stated(each)}")
        parts += [f"stated otherwise: {_plain(other, path)}" for other in each.stated_otherwise]
    parts += [f"{each.files} counted: {_plain(each.reason, path)}" for each in not_taken]
    return "; ".join(parts)


def _stated(said: Description) -> str:
    values = {name: str(value).translate({0x2028: " ", 0x85: " "}) for name, value in said.fields.items()}
    return ", ".join(f"{name.replace('_', ' ')} “{value}”" for name, value in values.items())


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def of_dump(case: Case, base: Path) -> str:
    """Read a dump without metadata, and return what became of it in a line.

    Args:
        case: The dump.
        base: An empty folder.
    """
    (base / "in").mkdir(parents=True)
    dump = case.make(base / "in")
    listed = base / "work" / "listed.parquet"
    try:
        if dump.suffix == ".parquet":
            inspect(str(dump), listed, ByteLimits())
            files = (MetadataFile(1, str(listed if listed.exists() else dump), own=True),)
        else:
            implied_metadata.write(str(dump), listed, _LIMIT, base / "work", ByteLimits())
            files = (MetadataFile(1, str(listed)),)
    except (ArchiveError, LandingError) as error:
        return f"the shard fails: {_plain(str(error), dump)}"
    rules = Rules(1_000_000, _LIMIT, 0)
    *batches, account = fingerprint_shard(Job(str(dump), str(base), files, {}, rules, WorkPace(8, 1)), {})
    assert isinstance(account, Account)
    images = [image for batch in batches for image in batch.images.to_pylist()]
    captions = sum(bool(row["caption"]) for row in pq.read_table(files[0].path).to_pylist() if "caption" in row)
    return _line(images, captions, account, dump)


def _line(images: list[dict], captions: int, account: Account, dump: Path) -> str:
    usable = [image for image in images if image["status"] != FAILED]
    parts = [f"{len(usable)} `ok`" + (f", {captions} with a caption" if captions else "")] if usable else []
    parts += [f"failed: {_plain(image['failure'], dump)}" for image in images if image["status"] == FAILED]
    parts += [f"{each.files} not taken: {_plain(each.reason, dump)}" for each in account.not_taken]
    if account.broken:
        parts.append(f"the shard is broken: {_plain(account.broken, dump)}")
    return "; ".join(parts)


def _plain(reason: str, dump: Path) -> str:
    return reason.replace(str(dump), "FILE").replace(str(dump.parent), "FOLDER").replace("|", "\\|")


def render() -> str:
    """Return the page as Markdown."""
    lines = [_HEAD]
    for tables, became in ((DUMPS, of_dump), (METADATA, of_metadata), (GENERATIONS, of_generations)):
        for title, cases in tables.items():
            lines += ["", f"## {title}", "", "| found | what becomes of it |", "| --- | --- |"]
            for case in cases:
                with tempfile.TemporaryDirectory() as base:
                    lines.append(f"| {case.what} | {became(case, Path(base))} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
