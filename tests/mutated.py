"""A generator of broken and hostile files of every kind: valid ones with bytes changed, or with sizes that lie.

Each comes from a number. What it was is not known any more, so what is asked is little: that reading it ends, within
the memory that there is, with rows that add up or with the declared error that names the file.
`tests/odd_dumps.py` runs it.
"""

import csv
import gzip
import hashlib
import io
import json
import random
import shutil
import struct
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, PngImagePlugin

from tests import bundles
from transforms.catalog import metadata, opt_outs
from transforms.catalog.columns import LandingError
from transforms.catalog.opt_outs import OptOutListError
from transforms.encoders import EncoderMismatch
from transforms.fingerprints.fingerprint import FAILED, LOW_QUALITY, OK, Rules, fingerprint
from transforms.generations import dialects, embedded, sources
from transforms.generations.generation import GenerationsError
from transforms.guard import BundleError, Guard
from transforms.guard.bundle import MANIFEST, manifest_digest
from transforms.pictures.formats import FORMATS
from transforms.storage.file_limits import ByteLimits

_RULES = Rules(1_000_000, 1 << 22, 50)
_LIMITS = ByteLimits(text=1 << 16, record=1 << 20, batch=64 << 20, file=1 << 28)
_ROWS = 40
_SIZES = (0, 1, 0x7F, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
_COMPRESSIONS = ("none", "snappy", "gzip", "zstd", "brotli", "lz4")
_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252")
_KEPT = tempfile.TemporaryDirectory(prefix="odd-bundle-")  # until the process ends
_LINES = (b'{"url": "https://a.org/1", "caption": "a cat"}\n', b"url,caption\nhttps://a.org/1,a cat\n")


def mutate(draw: random.Random, data: bytes) -> bytes:
    """Change bytes: single ones, stretches, lengths; cut, repeat, exchange."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        if not changed:
            break
        at = draw.randrange(len(changed))
        end = min(len(changed), at + draw.choice((1, 2, 4, 8, 64, 1024)))
        match draw.randrange(9):
            case 0:
                changed[at] = draw.randrange(256)
            case 1:
                changed[at] ^= 1 << draw.randrange(8)
            case 2:
                size = draw.choice(_SIZES)
                form = draw.choice(("<I", ">I", "<Q", ">Q", "<H", ">H"))
                packed = struct.pack(form, size & (1 << 8 * struct.calcsize(form)) - 1)
                changed[at : at + len(packed)] = packed
            case 3:
                del changed[at:end]
            case 4:
                changed[at:at] = changed[at:end]
            case 5:
                changed[at:end] = draw.choice((b"\0", b"\xff", b"9", b"[", b'"', b"\x80")) * (end - at)
            case 6:
                del changed[at:]
            case 7:
                other = draw.randrange(len(changed))
                changed[at:end] = changed[other : other + end - at]
            case _:
                changed[at:at] = draw.randbytes(end - at)
    return bytes(changed)


# Pictures


@cache
def _pictures(kind: str) -> tuple[bytes, ...]:
    rng = np.random.default_rng(0)
    smooth = np.repeat(np.repeat(rng.integers(0, 256, (6, 8, 4), np.uint8), 8, 0), 8, 1)
    made = []
    for mode in ("RGB", "RGBA", "L", "P", "CMYK", "I;16"):
        image = Image.fromarray(smooth).convert("RGB" if mode == "I;16" else mode if mode != "RGBA" else "RGBA")
        image = Image.fromarray(smooth[:, :, 0].astype(np.uint16) * 200) if mode == "I;16" else image
        options: dict[str, object] = {}
        if kind == "PNG":
            info = PngImagePlugin.PngInfo()
            info.add_text("parameters", "a sea\nSteps: 20, Seed: 7", zip=mode == "L")
            info.add_itxt("XML:com.adobe.xmp", "<exif:UserComment>a</exif:UserComment>", zip=mode == "P")
            options = {"pnginfo": info}
        exif = Image.Exif()
        exif[0x010E], exif[0x0112] = "a description", 6
        options |= {"exif": exif} if kind in {"JPEG", "PNG", "WEBP", "TIFF", "AVIF"} else {}
        if mode == "RGB" and kind in {"GIF", "WEBP", "TIFF", "PNG"}:
            options |= {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}
        if kind == "JPEG" and mode == "L":
            options |= {"progressive": True}
        if kind == "TIFF":
            options |= {"compression": {"RGB": "tiff_lzw", "L": "tiff_adobe_deflate"}.get(mode)}
        file = io.BytesIO()
        try:
            image.save(file, kind, **options)
        except (OSError, ValueError, KeyError):
            continue  # not every format has every mode
        made.append(file.getvalue())
    return tuple(made)


def huge() -> list[bytes]:
    """Return some small files that would take gigabytes."""
    draw = random.Random(5)  # noqa: S311 -- a stream that comes back
    return [_bomb(draw) for _ in range(5)]


def _bomb(draw: random.Random) -> bytes:
    """Return a PNG with a text that inflates to a gigabyte, or of more pixels than there is memory."""
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))  # noqa: E731
    text = draw.choice((b"zTXt", b"iTXt", b"iCCP"))
    side = draw.choice((8, 60_000, 0x7FFFFFFF))
    packed = _zeros()
    body = {b"zTXt": b"workflow\0\0", b"iTXt": b"workflow\0\1\0\0\0", b"iCCP": b"icc\0\0"}[text] + packed
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = (
        chunk(b"IHDR", head),
        chunk(text, body) * draw.randrange(1, 80),
        chunk(b"IDAT", packed),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@cache
def _zeros() -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()


def picture(draw: random.Random, base: Path) -> str:
    """Fingerprint a picture, and read the texts within it."""
    kind = draw.choice(FORMATS)
    data = _bomb(draw) if draw.random() < 0.02 else mutate(draw, draw.choice(_pictures(kind)))
    found, pixels = fingerprint(data, _RULES)
    assert found.status in (OK, LOW_QUALITY, FAILED)
    assert (found.status == FAILED) == (found.failure is not None) == (pixels is None)
    texts = embedded.texts(data)
    assert sum(len(each.text) for each in texts) <= 4 * embedded.TEXT_BYTES
    dialects.statements(texts)
    return f"{kind} {found.status}"


# Metadata


def _parquet(draw: random.Random, columns: dict[str, pa.Array]) -> bytes:
    large = draw.random() < 0.1
    if large:  # a small file of large texts
        times = draw.choice((1, 300, 60_000))
        value = draw.choice(("x" * 5_000_000, "x" * 60_000, b"\xff\xd8\xff" + bytes(5_000_000)))
        rows = pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), pa.array([value]))
        columns = {name: rows if name != "jpg" or times < 1_000 else pa.nulls(times) for name in columns}
    file = io.BytesIO()
    pq.write_table(
        pa.table(columns),
        file,
        compression=draw.choice(_COMPRESSIONS),
        row_group_size=1_000_000 if large else draw.choice((7, 1_000_000)),
        data_page_version=draw.choice(("1.0", "2.0")),
        use_dictionary=large or draw.random() < 0.6,  # or it would be written in full
        data_page_size=draw.choice((64, 1 << 20)),
        store_schema=draw.random() < 0.5,
    )
    data = file.getvalue()
    where = draw.random()
    if where < 0.4:  # its footer, which is small beside the rows
        length = int.from_bytes(data[-8:-4], "little")
        footer = mutate(draw, data[-8 - length : -8])
        return data[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    return data if where < 0.45 else mutate(draw, data)


def _columns(draw: random.Random) -> dict[str, pa.Array]:
    texts = [draw.choice((f"https://a.org/{n}", "née", "", None, "x" * 200)) for n in range(_ROWS)]
    lists = [[each, "b"] if each else None for each in texts]
    columns = {
        "url": pa.array([f"https://a.org/{n}" for n in range(_ROWS)]),
        "TEXT": pa.array(texts),
        "width": pa.array(range(_ROWS), draw.choice((pa.int32(), pa.float64(), pa.int8()))),
        "uid": pa.array([bytes([n] * 16) for n in range(_ROWS)], pa.binary(16)),
        "sha256": pa.array(["0" * 64] * _ROWS),
        "tags": pa.array(lists),
        "jpg": pa.array([b"\xff\xd8\xff\xe0" + bytes(90)] * _ROWS, pa.binary()),
    }
    kept = draw.sample(sorted(columns), draw.randrange(1, len(columns)))
    return {name: columns[name] for name in dict.fromkeys((*draw.choice(((), ("url", "TEXT"))), *kept))}


def _text(draw: random.Random, rows: list[dict[str, object]]) -> tuple[str, bytes]:
    """Return an ending, and rows in a form of text."""
    ending = draw.choice((".csv", ".tsv", ".jsonl", ".json"))
    if ending in (".csv", ".tsv"):
        out = io.StringIO()
        writer = csv.DictWriter(
            out, sorted({name for row in rows for name in row}), delimiter="," if ending == ".csv" else "\t"
        )
        writer.writeheader()
        writer.writerows(rows)
        text = out.getvalue()
    elif ending == ".json":
        text = json.dumps(rows, ensure_ascii=draw.random() < 0.5)
    else:
        text = "\n".join(json.dumps(row, ensure_ascii=draw.random() < 0.5) for row in rows)
    data = text.encode(draw.choice(_ENCODINGS), errors="replace")
    match draw.randrange(12):
        case 0:
            data = draw.choice(_LINES) + b"[" * draw.choice((50, 5_000, 500_000))
        case 1:
            data = b'{"url": ' + b'{"url": ' * 200_000
        case 2:
            data = b'[{"url": ' + b"7" * 1_000_000 + b', "caption": 1e999}]'
        case 3:
            data += b'"' + b"x\n" * 2_000_000
        case 4:
            data = data.replace(b"a", b"x" * 70_000, 3)
        case 5:
            data = b'{"url": "u", "caption": ' + b"[" * 90 + b'"\\ud800"' + b"]" * 90 + b"}"
        case _:
            data = mutate(draw, data)
    if draw.random() < 0.2:
        packed = gzip.compress(data, 1)
        return f"{ending}.gz", mutate(draw, packed) if draw.random() < 0.5 else packed
    return ending, data


def _rows(draw: random.Random) -> list[dict[str, object]]:
    values = ("née", "a\u2028b", 'a "cat"', 7, 2**64, 1.5, "", "\U0001f600")
    return [{"url": f"https://a.org/{n}", "caption": draw.choice(values), "key": n} for n in range(_ROWS)]


def landing(draw: random.Random, base: Path) -> str:
    """Inspect a file of metadata."""
    if draw.random() < 0.6:
        path, data = base / "x.parquet", _parquet(draw, _columns(draw))
    else:
        ending, data = _text(draw, _rows(draw))
        path = base / f"x{ending}"
    path.write_bytes(data)
    copy = base / "copy" / "1.parquet"
    try:
        found = metadata.inspect(str(path), copy, _LIMITS)
    except LandingError as error:
        assert str(path) in str(error), error
        assert not [*base.glob("copy/*")], "what was begun stays"
        return f"{path.suffix[1:]} refused"
    readable = pq.read_metadata(copy if copy.exists() else path)
    assert readable.num_rows == found.rows >= found.repaired_rows
    return f"{path.suffix[1:]} read"


def opt_out_list(draw: random.Random, base: Path) -> str:
    """Read an opt-out list."""
    kinds = draw.sample(opt_outs.KINDS, 2)
    values = ["0" * 64, "https://a.org/1", "a.org", "7", "née"]
    rows: list[dict[str, object]] = [{kind: draw.choice(values) for kind in kinds} for _ in range(_ROWS)]
    ending = draw.choice((".parquet", ".txt", "text"))
    if ending == ".parquet":
        data = _parquet(draw, {kind: pa.array([str(row[kind]) for row in rows]) for kind in kinds})
    elif ending == ".txt":
        data = mutate(draw, "\n".join(values * 9).encode(draw.choice(_ENCODINGS), errors="replace"))
    else:
        ending, data = _text(draw, rows)
    path = base / f"x{ending}"
    path.write_bytes(data)
    try:
        entries = [entry for batch in opt_outs.batches(path, _LIMITS) for entry in batch]
    except OptOutListError as error:
        assert str(path) in str(error), error
        return f"{path.suffix[1:]} refused"
    for entry in entries:
        assert entry[0] in opt_outs.KINDS
        opt_outs.usable(entry)
    return f"{path.suffix[1:]} read"


# Dumps and generations


def generation_table(draw: random.Random, base: Path) -> str:
    """Find generations by a table or an archive that is broken."""
    names = [f"{n}.png" for n in range(6)]
    for name in names:
        (base / name).write_bytes(draw.choice(_pictures("PNG")))
    rows: list[dict[str, object]] = [{"file_name": name, "prompt": f"née {name}", "seed": 2**64 - 1} for name in names]
    kind = draw.choice(("table", "table", "parquet", "tar", "sidecar"))
    stem = draw.choice(("generations", "metadata"))
    if kind == "table":
        ending, data = _text(draw, rows)
        (base / f"{stem}{ending}").write_bytes(data)
    elif kind == "parquet":
        columns = {name: pa.array([str(row[name]) for row in rows]) for name in rows[0]}
        columns |= {"image": pa.array([b"\xff\xd8\xff" + bytes(90)] * len(rows))} if draw.random() < 0.3 else {}
        (base / f"{stem}.parquet").write_bytes(_parquet(draw, columns))
    elif kind == "tar":
        (base / "more.tar").write_bytes(_tar(draw))
    else:
        _, data = _text(draw, rows)
        (base / draw.choice(("1.json", "1.txt", "1.png.json"))).write_bytes(data)
    try:
        found, not_taken = sources.find("gen", str(base), 1 << 20, _LIMITS)
    except GenerationsError as error:
        assert str(base) in str(error), error
        return f"{kind} refused"
    assert {f"gen/{name}" for name in names} <= {each.generation_id for each in found}
    assert all(each.files > 0 and each.reason and each.examples for each in not_taken)
    return f"{kind} read"


def _tar(draw: random.Random) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=draw.choice((0, 1, 2))) as archive:
        for number in range(6):
            for name, data in (
                (f"{number}.jpg", draw.choice(_pictures("JPEG"))),
                (f"{number}.json", b'{"url": "u", "caption": "c"}'),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    data = bytearray(file.getvalue())
    for at in range(0, len(data) - 512, 512):
        if data[at + 257 : at + 262] != b"ustar" or draw.random() < 0.8:
            continue
        match draw.randrange(4):
            case 0:
                size = draw.choice((0, 511, 1 << 20, 1_500_000_000, 8**11 - 1))
                data[at + 124 : at + 136] = b"%011o\0" % size
            case 1:
                data[at + 124 : at + 136] = b"\x80" + draw.choice(_SIZES).to_bytes(11, "big")
            case 2:
                data[at + 156 : at + 157] = draw.choice((b"x", b"g", b"L", b"K", b"S", b"1", b"2", b"5"))
            case _:
                data[at : at + 512] = mutate(draw, bytes(data[at : at + 512]))[:512].ljust(512, b"\0")
        if draw.random() < 0.9:
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data) if draw.random() < 0.6 else mutate(draw, bytes(data))


def tar(draw: random.Random, base: Path) -> Path:
    """Write a tar whose headers lie. `tests/odd_dumps.py` reads it."""
    path = base / "dump.tar"
    path.write_bytes(_tar(draw))
    return path


def parquet(draw: random.Random, base: Path) -> Path:
    """Write a parquet of pictures that is broken. `tests/odd_dumps.py` reads it."""
    path = base / "dump.parquet"
    cells = [draw.choice((*_pictures("JPEG"), None, b"")) for _ in range(_ROWS)]
    columns = {"jpg": pa.array(cells, pa.binary())}
    if draw.random() < 0.5:
        columns = {"image": pa.array([{"bytes": each, "path": "x.jpg"} for each in cells])}
    columns |= {
        "caption": pa.array([f"caption {n}" for n in range(_ROWS)]),
        "key": pa.array([str(n) for n in range(_ROWS)]),
    }
    path.write_bytes(_parquet(draw, columns))
    return path


# Bundles


@cache
def _bundle() -> Path:
    return bundles.write(Path(_KEPT.name, "bundle"), list(_pictures("JPEG")[:3]), bundles.Blurred())


def bundle(draw: random.Random, base: Path) -> str:
    """Open a bundle of which a file was changed, and its checksum with it; check a picture if it opens."""
    folder = base / "bundle"
    shutil.copytree(_bundle(), folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    name = draw.choice([MANIFEST, *sorted(manifest["files"])])
    path = folder / name
    path.write_bytes(mutate(draw, path.read_bytes()))
    if name != MANIFEST and draw.random() < 0.9:
        about = manifest["files"][name]
        data = path.read_bytes()
        if isinstance(about, dict):
            about |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        manifest["digest"] = manifest_digest(manifest)
        (folder / MANIFEST).write_text(json.dumps(manifest))
    try:
        guard = Guard.load(folder, bundles.Blurred())
    except (BundleError, EncoderMismatch) as error:
        assert str(folder) in str(error) or isinstance(error, EncoderMismatch), error
        return "refused"
    assert guard.check(_pictures("JPEG")[0]).decision in ("allow", "block")
    return "opened"


READERS: tuple[Callable[[random.Random, Path], str], ...] = (picture, landing, opt_out_list, generation_table, bundle)
DUMPS: tuple[Callable[[random.Random, Path], Path], ...] = (tar, parquet)
