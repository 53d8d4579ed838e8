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

from tests.conftest import ROOT, add, encoded, picture
from transforms.catalog.columns import LandingError
from transforms.catalog.metadata import inspect
from transforms.dumps import implied_metadata
from transforms.dumps.members import ArchiveError
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import FAILED, Rules
from transforms.fingerprints.row_matching import MetadataFile
from transforms.fingerprints.shard import Account, Job, fingerprint_shard

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
            inspect(str(dump), listed)
            files = (MetadataFile(1, str(listed if listed.exists() else dump), own=True),)
        else:
            implied_metadata.write(str(dump), listed, _LIMIT, base / "work")
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
    for title, cases in DUMPS.items():
        lines += ["", f"## {title}", "", "| found | what becomes of it |", "| --- | --- |"]
        for case in cases:
            with tempfile.TemporaryDirectory() as base:
                lines.append(f"| {case.what} | {of_dump(case, Path(base))} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
