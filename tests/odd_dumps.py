"""A generator of odd files: dumps, and tables of generations, as people, tools and accidents leave them.

Each comes from a number, and every file and row in it is known, so that a test can ask what became of each. Half of
them are broken or hostile files of every kind that is read (`tests/mutated.py`).
`python -m tests.odd_dumps --files 10000` makes as many, checks each in a process of 4 GB of memory, prints on standard
error what it found of each kind, and one line of JSON with the figures.
"""

import argparse
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests import mutated
from transforms.catalog.columns import LandingError
from transforms.catalog.metadata import inspect
from transforms.dumps import implied_metadata
from transforms.dumps.members import ArchiveError
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import FAILED, LOW_QUALITY, OK, Rules
from transforms.fingerprints.row_matching import MetadataFile
from transforms.fingerprints.shard import Account, Batch, Job, fingerprint_shard
from transforms.generations import sources, tables
from transforms.generations.generation import GenerationsError
from transforms.storage.file_limits import ByteLimits

WHOLE, CUT, OTHER, SIDECAR, HIDDEN = "whole picture", "cut picture", "other file", "sidecar", "hidden file"
_LIMIT = 1 << 20
_MEMORY, _SECONDS, _CHUNK = 4 << 30, 300, 500  # of a process, of a file, files of a process
_KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_NAMES = (
    "{n:05d}.jpg", "{n}.JPG", "Mr. Fox v1.{n}.jpg", "sample{n}.input.jpg", "{n}.img", "{n}", "{n}.jpg_large",
    "{n}.jfif", "./{n}.png", "a/b/{n}.webp", "née {n} 日本.png", "{n}.seg.png", "[{n}].gif", "key=value/{n}.jpg",
    "{n}.tar.jpeg",
    "{n}..jpg", "sp ace {n} .png", "%41{n}.png", "{n}.json.jpg", "x" * 120 + "{n}.jpg", "{n}.txt.png", "#{n}?.jpg",
)  # fmt: skip
_OTHERS = ("{n}.cls", "README{n}.md", "{n}.npy", "{n}.pdf", "note{n}.html", "{n}.parquet", "{n}.zip", "{n}.mp4")
_HIDDEN = ("._{n}.jpg", ".DS_Store{n}", ".ipynb_checkpoints/{n}.jpg", "@eaDir/{n}.jpg", "__MACOSX/{n}.jpg", "{n}.jpg~")
_SIDECARS = (
    lambda n: json.dumps({"url": f"https://a.org/{n}", "caption": f"caption {n}"}).encode(),
    lambda n: json.dumps({"URL": f"https://a.org/{n}", "TEXT": [f"caption {n}"], "width": "9"}).encode("utf-8-sig"),
    lambda n: b"{broken",
    lambda n: b"[1, 2]",
    lambda n: b"\xff\xfe{\x00",
    lambda n: b"",
)


def _pictures() -> list[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(12):
        pixels = rng.integers(0, 256, (24, 32, 4 if number % 4 == 3 else 3), np.uint8)
        kind = "PNG" if pixels.shape[2] == 4 else _KINDS[number % len(_KINDS)]
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        made.append((kind, file.getvalue()))
    return made


_PICTURES = _pictures()


@dataclass
class OddDump:
    """A dump and what was put into it.

    Attributes:
        path: The dump.
        intact: Whether its container is whole, so that each file in it must be accounted for.
        files: Each file's kind, by the order they were put in.
        names: Their names, in the same order.
        rows: Rows of its table of generations.
    """

    path: Path
    intact: bool = True
    files: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    rows: int = 0

    def count(self, kind: str) -> int:
        """Return how many files are of a kind."""
        return self.files.count(kind)


def _content(draw: random.Random, number: int) -> tuple[str, str, bytes]:
    kind = draw.choices((WHOLE, CUT, OTHER, SIDECAR, HIDDEN), (10, 2, 3, 5, 2))[0]
    _, data = draw.choice(_PICTURES)
    if kind == WHOLE:
        return kind, draw.choice(_NAMES).format(n=number), data
    if kind == CUT:
        return kind, f"{number:05d}.jpg", draw.choice((data[: len(data) // 3], b"", b"<html>", b"\0" * 700))
    if kind == OTHER:
        return (
            kind,
            draw.choice(_OTHERS).format(n=number),
            draw.choice((b"", b"text", b"PAR1", b"PK\x03\x04", b"\0" * 9)),
        )
    if kind == SIDECAR:
        of = draw.choice(_NAMES).format(n=draw.randrange(max(1, number)))
        return kind, of.rpartition(".")[0] + draw.choice((".json", ".txt")), draw.choice(_SIDECARS)(number)
    return kind, draw.choice(_HIDDEN).format(n=number), data


def _files(draw: random.Random) -> list[tuple[str, str, bytes]]:
    contents = [_content(draw, number) for number in range(draw.randrange(1, 14))]
    if draw.random() < 0.3:
        draw.shuffle(contents)  # the parts of a sample lie anywhere
    return contents


def tar(draw: random.Random, folder: Path) -> OddDump:
    """Write a tar: of several formats, gone on with after its end mark, cut, or with bytes changed."""
    dump = OddDump(folder / "dump.tar")
    whole = io.BytesIO()
    for _ in range(draw.choice((1, 1, 1, 2))):  # cat a.tar b.tar
        part = io.BytesIO()
        with tarfile.open(fileobj=part, mode="w", format=draw.choice((0, 1, 2))) as archive:
            for kind, name, data in _files(draw):
                _put(archive, name, data, dump, kind)
                if draw.random() < 0.1:
                    folder_info = tarfile.TarInfo(f"folder{len(dump.files)}")
                    folder_info.type = tarfile.DIRTYPE
                    archive.addfile(folder_info)
        whole.write(part.getvalue())
    data = whole.getvalue()
    match draw.choices(("whole", "cut", "changed", "padded"), (6, 2, 2, 1))[0]:
        case "cut":
            data, dump.intact = data[: draw.randrange(len(data))], False
        case "changed":
            changed = bytearray(data)
            for _ in range(draw.randrange(1, 9)):
                changed[draw.randrange(len(changed))] = draw.randrange(256)
            data, dump.intact = bytes(changed), False
        case "padded":
            data += bytes(draw.randrange(20_000))
    dump.path.write_bytes(data)
    return dump


def _put(archive: tarfile.TarFile, name: str, data: bytes, dump: OddDump, kind: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    try:
        archive.addfile(info, io.BytesIO(data))
    except ValueError:  # a name too long for the oldest format
        return
    dump.files.append(kind)
    dump.names.append(name)


def folder(draw: random.Random, base: Path) -> OddDump:
    """Write a folder of files with names that only some systems allow."""
    dump = OddDump(base / "dump")
    dump.path.mkdir()
    for kind, name, data in _files(draw):
        path = dump.path / name
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if draw.random() < 0.05 and kind != HIDDEN:
            path = Path(os.fsdecode(os.fsencode(path.parent) + b"/latin-\xe9" + os.fsencode(path.name)))
        path.write_bytes(data)
        dump.files.append(kind)
        dump.names.append(name)
    return dump


def parquet(draw: random.Random, base: Path) -> OddDump:
    """Write a parquet of pictures: bytes or structs, several columns, lists, rows without one; or a changed one."""
    dump = OddDump(base / "dump.parquet")
    cells = [
        draw.choice((*(data for _, data in _PICTURES[:6]), None, b"", b"<html>")) for _ in range(draw.randrange(1, 12))
    ]
    dump.files = [OTHER if cell is None else WHOLE if len(cell) > 10 else CUT for cell in cells]
    form = draw.choice(("bytes", "struct", "list"))
    if form == "bytes":
        column = pa.array(cells, draw.choice((pa.binary(), pa.large_binary())))
    else:
        records = [None if c is None and draw.random() < 0.5 else {"bytes": c, "path": "x.jpg"} for c in cells]
        column = pa.array(records, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
        if form == "list":
            column = pa.array([[r] for r in records], pa.list_(column.type))
    table = pa.table({draw.choice(("image", "jpg", "Image")): column})
    if draw.random() < 0.5:
        table = table.append_column("TEXT", pa.array([f"caption {n}" for n in range(len(cells))]))
    if draw.random() < 0.3:
        table = table.append_column("url", pa.array(list(range(len(cells)))))
    pq.write_table(table, dump.path, row_group_size=draw.choice((1, 3, 1000)))
    if draw.random() < 0.25:
        data = bytearray(dump.path.read_bytes())
        for _ in range(draw.randrange(1, 9)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        dump.path.write_bytes(data if draw.random() < 0.5 else data[: draw.randrange(len(data))])
        dump.intact = False
    return dump


def generations(draw: random.Random, base: Path) -> OddDump:
    """Write a folder of generations with a table that names them, and others, as its writer does; or a changed one."""
    dump = folder(draw, base)
    shown = [n for n, kind in zip(dump.names, dump.files, strict=True) if kind in (WHOLE, CUT)]
    spelled: tuple[Callable[[str], str], ...] = (
        str,
        lambda name: name.replace("/", "\\"),
        lambda name: f"./{name}",
        lambda name: str(dump.path / name),
        lambda name: unicodedata.normalize("NFD", name),
        lambda name: f"C:\\outputs\\{name.rpartition('/')[2]}",
    )
    rows = [
        {"file_name": draw.choice(spelled)(name), "prompt": f"a\u2028prompt {n}\x85"} for n, name in enumerate(shown)
    ]
    rows = [row | {"seed": draw.choice((7, 2**64 - 1, "nan", None))} for row in rows if draw.random() < 0.8]
    rows += [{"file_name": f"gone-{n}.png", "prompt": "x", "seed": None} for n in range(draw.randrange(3))]
    lines = "\n".join(json.dumps(row, ensure_ascii=draw.random() < 0.5) for row in rows)
    ending, text = draw.choice((("jsonl", lines), ("json", json.dumps(rows))))
    path = dump.path / f"generations.{ending}"
    data = text.encode(draw.choice(("utf-8", "utf-8-sig", "utf-16")), errors="surrogatepass")
    if draw.random() < 0.3 and data:
        changed = bytearray(data)
        for _ in range(draw.randrange(1, 6)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        data, dump.intact = bytes(changed[: draw.choice((None, len(changed) // 2))]), False
    path.write_bytes(data)
    dump.rows = len(rows)
    return dump


KINDS: tuple[Callable[[random.Random, Path], OddDump], ...] = (tar, folder, parquet, generations)


@dataclass(frozen=True)
class Outcome:
    """What became of a dump.

    Attributes:
        refused: Why the dump could not be used at all, or None.
        rows: Rows that it stands for.
        account: Of its fingerprints, or None if it was refused.
        images: The fingerprints' rows.
    """

    refused: str | None
    rows: int = 0
    account: Account | None = None
    images: tuple[dict, ...] = ()


def outcome(dump: OddDump, work: Path) -> Outcome:
    """Land and fingerprint a dump without metadata, as a run does. Only errors that name it are caught."""
    listed = work / "listed.parquet"
    try:
        if dump.path.suffix == ".parquet":
            rows = inspect(str(dump.path), listed, ByteLimits()).rows
            files = (MetadataFile(1, str(listed if listed.exists() else dump.path), own=True),)
        else:
            rows = implied_metadata.write(str(dump.path), listed, _LIMIT, work, ByteLimits()).rows
            files = (MetadataFile(1, str(listed)),)
    except (ArchiveError, LandingError) as error:
        return Outcome(str(error))
    job = Job(str(dump.path), str(work), files, {}, Rules(1_000_000, _LIMIT, 50), WorkPace(8, 1))
    images: list[dict] = []
    for item in fingerprint_shard(job, {}):
        if isinstance(item, Batch):
            images += item.images.to_pylist()
        else:
            return Outcome(None, rows, item, tuple(images))
    raise AssertionError("a shard without an account")


def check(number: int, base: Path, *, broken: bool = False) -> str:
    """Make the input of a number, and check that everything in it is accounted for.

    Args:
        number: The number.
        base: An empty folder for it.
        broken: Whether it is a file of any kind that is changed somewhere, instead of an odd dump or table.

    Returns:
        What it was, for statistics.
    """
    draw = random.Random(number)  # noqa: S311 -- nothing secret
    (base / "in").mkdir(parents=True)
    return (_check_mutated if broken else _check_odd)(number, draw, base)


def _check_odd(number: int, draw: random.Random, base: Path) -> str:
    make = KINDS[number % len(KINDS)]
    dump = make(draw, base / "in")
    if make is generations:
        return check_generations(number, dump)
    return check_dump(number, dump, make.__name__, base / "work")


def _check_mutated(number: int, draw: random.Random, base: Path) -> str:
    """Check that reading a broken file ends in rows or in an error that names it."""
    place = number % (len(mutated.READERS) + len(mutated.DUMPS))
    if place < len(mutated.READERS):
        read = mutated.READERS[place]
        return f"mutated {read.__name__}, {read(draw, base / 'in')}"
    make = mutated.DUMPS[place - len(mutated.READERS)]
    dump = OddDump(make(draw, base / "in"), intact=False)
    return "mutated " + check_dump(number, dump, make.__name__, base / "work")


def check_dump(seed: int, dump: OddDump, kind: str, work: Path) -> str:
    """Check that every picture of a dump is accounted for, and of a whole one every file.

    Args:
        seed: Its number.
        dump: The dump.
        kind: Of its layout.
        work: A folder for what is derived from it.

    Returns:
        What it was, for statistics.
    """
    found = outcome(dump, work)
    if found.refused is not None:
        assert str(dump.path) in found.refused, f"{seed}: the reason does not name the file: {found.refused}"
        assert not dump.intact or kind == "parquet", f"{seed}: {found.refused}"
        return f"{kind}, refused"
    account = found.account
    assert account is not None
    counts = account.counts
    not_taken = sum(each.files for each in account.not_taken)
    assert counts.total() == len(found.images) == account.pictures - account.unlisted, f"{seed}: {account}"
    assert len({image["sample_id"] for image in found.images}) == len(found.images), f"{seed}: a row twice"
    assert all((image["status"] == FAILED) == (image["failure"] is not None) for image in found.images), seed
    assert all(each.files > 0 and each.reason and each.examples for each in account.not_taken), f"{seed}: {account}"
    if not dump.intact:
        return f"{kind}, {'broken off' if account.broken else 'read'}"
    good, whole = counts[OK] + counts[LOW_QUALITY], dump.count(WHOLE)
    assert good == whole, f"{seed}: {good} of {whole} whole pictures: {account}\n{dump}"
    if kind == "parquet":
        assert found.rows >= len(dump.files), f"{seed}: {found}"
        return "parquet, whole"
    assert account.unlisted == 0, f"{seed}: {account}"
    assert found.rows == account.pictures, f"{seed}: {found.rows} rows of {account.pictures} pictures"
    said = len(dump.files) - account.pictures - not_taken
    assert 0 <= said <= dump.count(SIDECAR), f"{seed}: {said} files are in no account: {account}\n{dump}"
    assert not_taken >= dump.count(HIDDEN), f"{seed}: {account}"
    return f"{kind}, whole"


def check_generations(seed: int, dump: OddDump) -> str:
    """Check that every picture of a folder is a generation, and that every row of its table names one or is counted.

    Args:
        seed: Its number.
        dump: The folder.

    Returns:
        What it was, for statistics.
    """
    try:
        found, not_taken = sources.find("gen", str(dump.path), _LIMIT, ByteLimits())
    except GenerationsError as error:
        assert not dump.intact, f"{seed}: {error}"
        assert str(dump.path) in str(error), f"{seed}: the reason does not name the file: {error}"
        return "generations, refused"
    assert len({each.generation.generation_id for each in found}) == len(found), f"{seed}: an id twice"
    pictures = dump.count(WHOLE)
    assert pictures <= len(found) <= pictures + dump.count(CUT), f"{seed}: {len(found)} of {pictures}\n{dump}"
    if not dump.intact:
        return "generations, read"
    counts = {each.reason: each.files for each in not_taken}
    stated = sum(bool(each.stated) for each in found)
    rows = sum(counts.get(reason, 0) for reason in (tables.NO_PICTURE, tables.SEVERAL, tables.AGAIN, tables.SHARED))
    assert stated + rows == dump.rows, f"{seed}: {stated} pictures and {rows} counted of {dump.rows} rows: {not_taken}"
    unnamed = counts.get(tables.NO_ROW, 0)
    assert not dump.rows or stated + unnamed == len(found), f"{seed}: {not_taken}"
    return "generations, whole"


def _work(seeds: range) -> None:
    """Check some numbers, within the memory allowed; say each before and after."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    for seed in seeds:
        print(json.dumps({"seed": seed}), flush=True)
        signal.alarm(_SECONDS)
        with tempfile.TemporaryDirectory() as base:
            try:
                seen = check(seed // 2, Path(base), broken=bool(seed % 2))
            except BaseException as error:
                kinds = (*mutated.READERS, *mutated.DUMPS) if seed % 2 else KINDS
                seen = f"FAULT {kinds[seed // 2 % len(kinds)].__name__}, {type(error).__name__}: {str(error)[:400]}"
                traceback.print_exc()
        print(json.dumps({"seed": seed, "seen": seen}), flush=True)


def campaign(files: int, first: int = 0) -> tuple[Counter[str], list[str]]:
    """Check as many files in processes of their own; one that ends in the middle is a fault, and the next goes on.

    Args:
        files: How many.
        first: The first number.

    Returns:
        What was seen, and the faults.
    """
    seen: Counter[str] = Counter()
    faults: list[str] = []
    at, end = first, first + files
    environment = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}  # another takes a gigabyte at once
    while at < end:
        command = [sys.executable, "-m", "tests.odd_dumps", "--seeds", str(at), str(min(end, at + _CHUNK))]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        said = [json.loads(line) for line in done.stdout.splitlines()]
        for each in said:
            if "seen" in each:
                seen[each["seen"].partition(": ")[0]] += 1
                faults += [f"{each['seed']}: {each['seen']}"] if each["seen"].startswith("FAULT") else []
        at = max((each["seed"] for each in said), default=at) + 1
        if done.returncode:
            faults.append(f"{at - 1}: the process ended with {done.returncode}")
        print(f"{at - first:,} of {files:,} files, {len(faults)} faults", file=sys.stderr, flush=True)
    return seen, faults


def main() -> None:
    """Check as many files as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, nargs=2)
    given = parser.parse_args()
    if given.seeds:
        _work(range(*given.seeds))
        return
    began = time.perf_counter()
    seen, faults = campaign(given.files, given.first)
    for what, count in sorted(seen.items()):
        print(f"{what}: {count}", file=sys.stderr)
    for fault in faults:
        print(fault, file=sys.stderr)
    figure = {
        "figure": "odd_files_unaccounted",
        "value": len(faults),
        "unit": "files",
        "goal": 0,
        "against": f"{given.files} odd and mutated files of every kind, each read within {_MEMORY >> 30} GB",
        "files": sum(seen.values()),
        "refused": sum(count for what, count in seen.items() if "refused" in what or "failed" in what),
        "seconds": round(time.perf_counter() - began),
    }
    print(json.dumps(figure))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
