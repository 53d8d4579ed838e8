"""Decoding in confined processes: no file costs more than itself, whatever it does to its decoder."""

import io
import os
import re
import select
import signal
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, picture
from PIL import Image

from orchestration.settings.limits import Limits
from transforms.fingerprints.fingerprint import FAILED, Rules, fingerprint
from transforms.pictures import Bounds, DecodeError, OutOfPatience, decode, look, renderings
from transforms.pictures.bounds import BeyondLimitsError
from transforms.pictures.confined import interpreter
from transforms.pictures.confined.pool import DecoderPool

BOUNDS = Bounds()
RULES = Rules(BOUNDS.pixels, 100_000_000, 50)
HANGING = 600  # seconds; only a guard against a test that never ends
SIZED = b"rest of the file"


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def flat_png(width: int, height: int, channels: int = 1, depth: int = 8) -> bytes:
    """Return a PNG of any size that takes next to nothing: all its samples are 0."""
    kind = {1: 0, 3: 2, 4: 6}[channels]
    row, packer, packed, left = bytes(1 + width * channels * depth // 8), zlib.compressobj(1), [], height
    while left:
        count = min(left, max(1, 1_000_000 // len(row)))
        packed.append(packer.compress(row * count))
        left -= count
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    pixels = b"".join([*packed, packer.flush()])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff(compression: int, data: bytes, *more: tuple[int, int, int, int], side: int = 64) -> bytes:
    """Return a grey TIFF of one strip."""
    given = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1)]
    given += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, side), (279, 4, 1, len(data)), *more]
    entries = b"".join(struct.pack("<HHII", *each) for each in sorted(given))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(given)) + entries + bytes(4)


def wide_bmp() -> bytes:
    data = bytearray(encoded(Image.new("1", (8, 8)), "BMP"))
    struct.pack_into("<ii", data, 18, 50_000_000, 1)
    return bytes(data)


BOMBS = {
    "a BMP of 50 million by 1": (wide_bmp, "a side is longer than limits.side = 100000"),
    "a PNG of 50 million by 1": (lambda: flat_png(50_000_000, 1), "a side is longer than limits.side = 100000"),
    "a PNG of 1 by 3 million": (lambda: flat_png(1, 3_000_000), "a side is longer than limits.side = 100000"),
    "a PNG of 60,000 by 1": (lambda: flat_png(60_000, 1), "more than limits.aspect = 10000 times the other"),
    "a TIFF of huge tiles": (
        lambda: tiff(8, SIZED, (322, 4, 1, 65_536), (323, 4, 1, 65_536), (324, 4, 1, 8), (325, 4, 1, len(SIZED))),
        "tiles of 65536x65536 pixels are more than limits.pixels",
    ),
}


_MEASURED = """
import sys
from pathlib import Path
from transforms.fingerprints.fingerprint import Rules, fingerprint
from transforms.pictures.confined.pool import POOL

rules = Rules(50_000_000, 100_000_000, 50)
for path in sys.argv[1:]:
    print(fingerprint(Path(path).read_bytes(), rules, dihedral=True)[0].failure)
for process in ("self", POOL.all[0].pid):
    print(*(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


def test_the_files_that_cost_gigabytes_cost_their_bytes(tmp_path: Path) -> None:
    """Peaks as the kernel counts them, of a process that has decoded nothing else and of its decoder."""
    paths = [tmp_path / str(number) for number in range(len(BOMBS))]
    for path, (made, _) in zip(paths, BOMBS.values(), strict=True):
        path.write_bytes(made())
    done = subprocess.run([sys.executable, "-P", "-c", _MEASURED, *paths], capture_output=True, check=True, cwd=ROOT)
    *reasons, own, decoder = done.stdout.decode().splitlines()
    assert [(each, why) for each, (_, why) in zip(reasons, BOMBS.values(), strict=True) if why not in each] == []
    # kB: NumPy, Pillow, Arrow and Numba, and no pixels
    assert int(own.split()[1]) < 500_000 and int(decoder.split()[1]) < 200_000


def test_the_defaults_of_the_settings_are_those_of_the_bounds() -> None:
    assert Limits().bounds == BOUNDS == RULES.bounds


@pytest.mark.parametrize(
    "kind",
    [
        "JPEG",
        "AVIF",
        *(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("PNG", "WEBP", "GIF", "BMP", "TIFF")),
    ],
)
def test_no_time_decodes_nothing_and_much_time_everything(kind: str, pool: DecoderPool) -> None:
    data = encoded(picture(1, 64, 48), kind)
    assert decode(data, replace(BOUNDS, seconds=1e12)).shape == (48, 64, 3)
    for made in (decode, look, renderings):
        with pytest.raises(BeyondLimitsError, match=r"more than limits\.picture_seconds = 0$"):
            made(data, replace(BOUNDS, seconds=0))
    assert decode(data, BOUNDS).shape == (48, 64, 3)


def test_what_takes_longer_is_ended_and_the_next_goes_on(pool: DecoderPool) -> None:
    slow = flat_png(7_000, 7_000, channels=4)  # 200 MB to inflate, to turn and to look through
    found, _ = fingerprint(slow, replace(RULES, picture_seconds=0.01))
    assert found.status == FAILED
    # on a machine that is busy it may get next to nothing to do within ten times that by the clock
    assert found.failure is not None and found.failure.endswith("limits.picture_seconds = 0.01")
    assert decode(encoded(picture(1, 64, 48)), BOUNDS).shape == (48, 64, 3)


def test_a_picture_that_needs_more_memory_is_refused_by_its_header_or_by_the_kernel(pool: DecoderPool) -> None:
    data = flat_png(3_000, 3_000, channels=4)
    least = 3_000 * 3_000 * 7
    with pytest.raises(
        BeyondLimitsError, match=rf"need at least {least} bytes, more than limits.picture_memory = 5000000"
    ):
        renderings(data, replace(BOUNDS, memory=5_000_000))
    pids = {each.pid for each in pool.all}
    with pytest.raises(BeyondLimitsError, match=rf"^decoding needed more than limits\.picture_memory = {least} bytes"):
        renderings(data, replace(BOUNDS, memory=least))  # three renderings need more than one
    assert len(renderings(data, BOUNDS).pictures) == 3
    assert pids.isdisjoint(each.pid for each in pool.all)


def _status(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(line.split()[1] for line in lines if line.startswith(name))


def test_a_process_holds_what_decoding_needs_and_nothing_else(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for decoders")
    decode(encoded(picture(1, 64, 48)), BOUNDS)
    (pid,) = (each.pid for each in pool.all)
    process = Path(f"/proc/{pid}")
    assert b"not for decoders" not in (process / "environ").read_bytes()
    assert "torch" not in (process / "maps").read_text() and int(_status(pid, "VmRSS")) < 150_000
    limits = {line[:25].strip(): line[26:].split()[0] for line in (process / "limits").read_text().splitlines()}
    assert limits["Max core file size"] == "0" and limits["Max open files"] == "64"
    assert int(limits["Max data size"]) < BOUNDS.memory + 1024 * int(_status(pid, "VmSize"))
    assert int(limits["Max cpu time"]) < BOUNDS.seconds + 60
    opened = [each.readlink() for each in (process / "fd").iterdir()]
    files = {str(each) for each in opened if each.is_absolute() and not each.name.startswith("libffi.so")}  # its own
    assert files <= {"/dev/null", "/memfd:picture (deleted)"}


def ready(pool: DecoderPool) -> int:
    """Return the id of a process that has decoded something."""
    decode(encoded(picture(2, 64, 48)), BOUNDS)
    return pool.all[0].pid


class _Held:
    """A picture whose decoder was stopped before it was handed the file."""

    def __init__(self, pool: DecoderPool, data: bytes, bounds: Bounds = BOUNDS) -> None:
        self.result: object = None
        self.pool, self.pid = pool, ready(pool)
        os.kill(self.pid, signal.SIGSTOP)
        self._thread = threading.Thread(target=self._decode, args=(data, bounds))
        self._thread.start()

    def _decode(self, data: bytes, bounds: Bounds) -> None:
        try:
            self.result = decode(data, bounds)
        except DecodeError as error:
            self.result = error

    def another(self, than: int) -> int:
        """Return the id of the process that replaces another."""
        while not self.pool.all or self.pool.all[0].pid == than:
            self._thread.join(0.01)
        return self.pool.all[0].pid

    def done(self) -> object:
        self._thread.join(HANGING)
        assert not self._thread.is_alive()
        return self.result


def test_a_process_that_is_killed_is_replaced(pool: DecoderPool) -> None:
    held = _Held(pool, encoded(picture(1, 64, 48)))
    os.kill(held.pid, signal.SIGKILL)
    assert np.array_equal(held.done(), np.asarray(picture(1, 64, 48)))
    assert held.pid not in {each.pid for each in pool.all}


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_picture_whose_decoder_dies_again_fails_alone(by: signal.Signals, pool: DecoderPool) -> None:
    held = _Held(pool, encoded(picture(1, 64, 48)))
    os.kill(held.pid, by)
    os.kill(held.pid, signal.SIGCONT) if by != signal.SIGKILL else None
    os.kill(held.another(held.pid), by)
    assert str(held.done()) == f"its decoder was ended by {by.name}, twice"
    assert decode(encoded(picture(1, 64, 48)), BOUNDS).shape == (48, 64, 3)


def test_a_decoder_that_does_nothing_is_ended(pool: DecoderPool) -> None:
    held = _Held(pool, encoded(picture(1, 64, 48)), replace(BOUNDS, seconds=0.01))
    assert re.fullmatch(
        r"the decoder did nothing for [\d.e+]+ s; it may take limits\.picture_seconds = 0\.01", str(held.done())
    )


def test_a_caller_in_a_hurry_is_told_so(pool: DecoderPool) -> None:
    os.kill(ready(pool), signal.SIGSTOP)
    with pytest.raises(OutOfPatience):
        renderings(encoded(picture(1, 64, 48)), BOUNDS, patience_s=0.01)
    assert renderings(encoded(picture(1, 64, 48)), BOUNDS, patience_s=HANGING).hidden is None


def test_a_process_that_is_only_starting_is_kept_for_the_next_caller(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    monkeypatch.setattr(interpreter, "PROGRAM", f"open({str(tmp_path / 'gate')!r}).close(); {interpreter.PROGRAM}")
    data = encoded(picture(1, 64, 48))
    for _ in range(2):
        with pytest.raises(OutOfPatience):
            renderings(data, BOUNDS, patience_s=0.01)
    (process,) = pool.all
    (tmp_path / "gate").open("w").close()
    assert renderings(data, BOUNDS, patience_s=HANGING).hidden is None
    assert pool.all == [process]


# A decoder that a file has taken over: it reads what it is asked, and answers what it likes.
_TAKEN_OVER = """
import json, os, sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
connection.send_bytes(json.dumps({"processor_s": 0.1}).encode())
while True:
    connection.recv_bytes()
    %s
"""
_PIXEL = '"processor_s": 1, "shapes": [[1, 1, 3]]'
ANSWERS = {
    "nothing": "{}",
    "no object": "[1]",
    "no JSON": "x",
    "a number without end": '{"processor_s": %s}' % ("1" * 5_000),
    "no number": '{"processor_s": NaN, "shapes": [[1, 1, 3]], "rest": {"identity": null, "hidden": null}}',
    "a failure of no kind": '{"processor_s": 1, "failure": "x"}',
    "a failure that is no text": '{"processor_s": 1, "failure": {}, "kind": ""}',
    "no picture": '{"processor_s": 1, "shapes": [], "rest": {"identity": null, "hidden": null}}',
    "five pictures": '{"processor_s": 1, "shapes": [[1, 1, 3], [1, 1, 3], [1, 1, 3], [1, 1, 3], [1, 1, 3]], "rest": '
    '{"identity": null, "hidden": null}}',
    "more pixels than were written": '{"processor_s": 1, "shapes": [[5000, 5000, 3]], "rest": '
    '{"identity": null, "hidden": null}}',
    "more pixels than there may be": '{"processor_s": 1, "shapes": [[50001, 1000, 3]]}',
    "sides below nothing": '{"processor_s": 1, "shapes": [[-1, -1, 3]]}',
    "four channels": '{"processor_s": 1, "shapes": [[1, 1, 4]]}',
    "a shape of text": '{"processor_s": 1, "shapes": ["1x1"]}',
    "nothing else": f"{{{_PIXEL}}}",
    "an identity that is none": f'{{{_PIXEL}, "rest": {{"identity": "x", "hidden": null}}}}',
    "a reason that is none": f'{{{_PIXEL}, "rest": {{"identity": null, "hidden": 0}}}}',
}


_WITHOUT_END = "connection.send_bytes(b'[' * 200_000)"


@pytest.mark.parametrize(
    "does",
    [
        *(f"connection.send_bytes({answer!r}.encode())" for answer in ANSWERS.values()),
        _WITHOUT_END,
        "connection.send_bytes(bytes(2 << 20))",
        "os.write(int(sys.argv[1]), bytes([0, 0, 1, 0]) + b'half')",
        "os.write(int(sys.argv[1]), bytes([255] * 4))",
    ],
    ids=[*ANSWERS, "lists without end", "too long", "half an answer", "a negative length"],
)
def test_what_a_decoder_answers_is_not_trusted(does: str, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(picture(1, 64, 48))
    with monkeypatch.context() as during:
        during.setattr(interpreter, "PROGRAM", _TAKEN_OVER % does)
        during.setattr(interpreter, "_BREAKS_S", 1)
        with pytest.raises(DecodeError, match=r"^its decoder gave a malformed answer, twice$"):
            renderings(data, BOUNDS)
    assert not pool.all
    if does == _WITHOUT_END:
        assert renderings(data, BOUNDS).hidden is None, "the next picture has a decoder of its own"


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "^decoding needed more than limits.picture_memory",
        ),
        ("memory allocation of 3000000000 bytes failed", "^decoding needed more than limits.picture_memory"),
        ("malloc(): corrupted top size", "^its decoder was ended by SIGABRT .*corrupted top size.*, twice$"),
        ("assertion failed", "^its decoder was ended by SIGABRT .*, twice$"),
    ],
)
def test_a_decoder_that_aborts_for_lack_of_memory_is_told_from_one_that_is_broken(
    says: str, reason: str, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "PROGRAM", _TAKEN_OVER % f"os.write(2, {says.encode()!r}); os.abort()")
    with pytest.raises(DecodeError, match=reason) as error:
        decode(encoded(picture(1, 64, 48)), BOUNDS)
    assert isinstance(error.value, BeyondLimitsError) == ("needed more" in reason)
    assert says in str(error.value)


def test_processes_end_with_the_one_that_started_them() -> None:
    asked = (
        "import sys; from transforms.pictures import start; from transforms.pictures.confined.pool import POOL; "
        "start(2); "
        "print(*(each.pid for each in POOL.all), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", asked], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        handles = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
    for handle in handles:
        assert select.select([handle], [], [], HANGING)[0], "a decoder outlives its parent"
        os.close(handle)


_FORKS = """
import io, os
from PIL import Image
from transforms.pictures import decode
from transforms.pictures.confined.pool import POOL

file = io.BytesIO()
Image.new("RGB", (64, 48)).save(file, "PNG")
decode(file.getvalue(), 5_000)
before = POOL.all[0].pid
if (child := os.fork()) == 0:
    print(decode(file.getvalue(), 5_000).shape, POOL.all[0].pid != before, flush=True)
    POOL.close()
    os._exit(0)
os.waitpid(child, 0)
print(decode(file.getvalue(), 5_000).shape, POOL.all[0].pid == before)
"""


def test_a_forked_process_has_processes_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", _FORKS], capture_output=True, check=True, cwd=ROOT)
    assert done.stdout.decode().splitlines() == ["(48, 64, 3) True"] * 2


NOISE: dict[str, Callable[[], bytes]] = {
    "LZW": lambda: tiff(5, bytes(64)),
    "JPEG": lambda: tiff(7, bytes(64)),
    "deflate": lambda: tiff(8, b"no stream at all"),
}


@pytest.mark.parametrize("kind", NOISE)
def test_what_libraries_say_is_part_of_the_reason_and_not_of_the_log(
    kind: str, pool: DecoderPool, capfd: pytest.CaptureFixture[str]
) -> None:
    found, _ = fingerprint(NOISE[kind](), RULES)
    assert found.status == FAILED and found.failure is not None
    reason, said = found.failure.split(" (its decoder says: ")
    assert reason.startswith("broken ") and len(said) > 10
    assert capfd.readouterr() == ("", "")


def test_what_libraries_say_of_a_whole_picture_is_a_printable_note_of_bounded_length(pool: DecoderPool) -> None:
    descriptor = os.open(f"/proc/{ready(pool)}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
    said = "Warning: \x1b[31mtag 7\n\n\u202eis odd\n".encode() * 10_000
    assert os.write(descriptor, said) < len(said)  # and whoever writes more is not kept waiting
    os.close(descriptor)
    note = look(encoded(picture(1, 64, 48)), BOUNDS).note
    assert note is not None and len(note) < 400
    assert note.startswith("its decoder says: Warning: ⟨U+001B⟩[31mtag 7 ⟨U+202E⟩is odd")
    assert look(encoded(picture(1, 64, 48)), BOUNDS).note is None


def test_noise_without_end_is_cut(pool: DecoderPool) -> None:
    descriptor = os.open(f"/proc/{ready(pool)}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
    os.write(descriptor, b"".join(b"line %d\n" % number for number in range(5_000)))
    os.close(descriptor)
    note = look(encoded(picture(1, 64, 48)), BOUNDS).note
    assert note is not None and len(note) < 400 and "more characters" in note
