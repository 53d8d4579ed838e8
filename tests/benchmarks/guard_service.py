"""The guard's service under more than it can do, and under bodies that nobody would send."""

import io
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.data import ROOT
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, say
from tests.benchmarks.guard_data import bundle, pictures

_SECONDS = 60 if FULL else 10
_CASES = 10_000 if FULL else 500
_CLIENTS = 96
_ALLOWED = {200, 401, 403, 404, 405, 408, 413, 415, 422, 429, 503, 400}


@contextmanager
def _served() -> Iterator[tuple[int, int]]:
    """Serve a bundle of hashes; yield the port and the process id."""
    with bundle(100_000) as folder:
        command = [
            sys.executable,
            "-m",
            "orchestration.cli",
            "serve",
            "--bundle",
            str(folder),
            "--port",
            "0",
            "--queue",
            "16",
        ]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            said = next(line for line in process.stderr if '"listening"' in line)
            drained = threading.Thread(target=lambda: [None for _ in process.stderr or ()])
            drained.start()
            try:
                yield json.loads(said)["port"], process.pid
                if process.poll() is not None:
                    raise NotMeasured(f"the service ended with {process.returncode}")
            finally:
                process.terminate()
                process.wait(60)
                drained.join()


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _bodies() -> list[bytes]:
    made = []
    for picture in pictures(20):
        Image.fromarray(picture).save(buffer := io.BytesIO(), "JPEG", quality=90)
        made.append(buffer.getvalue())
    return made


def _hostile() -> list[bytes]:
    """Return files that cost more than they are worth: a bomb, one that is cut, one that is slow, too many frames."""

    def saved(image: Image.Image, kind: str, **options: object) -> bytes:
        image.save(buffer := io.BytesIO(), kind, **options)
        return buffer.getvalue()

    small = [Image.new("RGB", (64, 64), (number, 9, 9)) for number in range(70)]
    return [
        saved(Image.new("1", (20_000, 20_000)), "PNG"),
        _bodies()[0][:9_000],
        saved(Image.new("RGBA", (5_000, 5_000), (9, 9, 9, 90)), "PNG", compress_level=1),
        saved(small[0], "GIF", save_all=True, append_images=small[1:]),
        b"\xff\xd8" + bytes(200_000),
    ]


def _offered(
    port: int, seconds: float, rate: float, connections: int, *hostile: bytes
) -> tuple[Counter[int], list[float], int]:
    """Offer checks from another process; return the statuses, milliseconds of those accepted, and how many were unsent.

    rate: checks a second, or 0 to keep the connections busy. hostile: bodies of one request in a hundred.
    """
    sent = b"".join(len(body).to_bytes(8) + body for body in (_bodies()[0], *hostile))
    command = [sys.executable, "-m", "tests.benchmarks.guard_load", *map(str, (port, seconds, rate, connections))]
    done = subprocess.run(command, cwd=ROOT, input=sent, stdout=subprocess.PIPE, check=True)
    said = json.loads(done.stdout)
    return Counter({int(status): n for status, n in said["statuses"].items()}), said["taken"], said["unsent"]


def _overload() -> Measured:
    with _served() as (port, pid):
        workers = len(os.sched_getaffinity(0))
        _offered(port, 2, 0, 2 * workers)
        capacity = _offered(port, 5, 0, 2 * workers)[0][200] / 5
        _offered(port, 2, 4 * capacity, _CLIENTS)
        before = _resident(pid)
        statuses, taken, unsent = _offered(port, _SECONDS, 4 * capacity, _CLIENTS, *_hostile())
        grown = _resident(pid) - before
    say(f"  {dict(statuses)}, unsent {unsent}")
    parts = {
        "seconds": _SECONDS,
        "capacity a second": capacity,
        "offered over capacity": statuses.total() / _SECONDS / capacity,
        "unsent": unsent,
        "answered a second": statuses[200] / _SECONDS,
        "turned away": statuses[429] / statuses.total(),
        "broken connections": statuses[0],
        "5xx": sum(count for status, count in statuses.items() if status >= 500),
        "422": statuses[422],
        "MB grown": grown,
    }
    return Measured(float(np.percentile(taken, 99)), parts)


def _fuzzed() -> Measured:
    try:
        import schemathesis
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import strategies as st
    except ImportError:
        raise NotMeasured("schemathesis is not installed; pip install '.[bench]'") from None
    statuses: Counter[int] = Counter()
    with _served() as (port, _):
        address = f"http://127.0.0.1:{port}"
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        body = _bodies()[0]
        rules = settings(
            max_examples=_CASES, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
        )

        @rules
        @given(case=schema["/v1/check"]["POST"].as_strategy(), place=st.integers(0, len(body)), half=st.booleans())
        def send(case: "schemathesis.Case", place: int, half: bool) -> None:
            if half:  # half of them are a picture, broken by what schemathesis made up
                noise = case.body if isinstance(case.body, bytes) else repr(case.body).encode()
                case.body = body[:place] + noise + body[place + len(noise) :]
            statuses[case.call(base_url=address).status_code] += 1

        send()
    say(f"  {dict(statuses)}")
    wrong = sum(count for status, count in statuses.items() if status >= 500 and status != 503)
    return Measured(wrong, {"bodies": sum(statuses.values())} | {f"{s}": n for s, n in sorted(statuses.items())})


FIGURES = (
    Figure(
        "guard_overload_p99_ms",
        "ms",
        "reported",
        f"accepted requests while {_CLIENTS} connections offer 4 times the capacity for {_SECONDS} s, one in a hundred "
        "hostile; hashes only",
        _overload,
    ),
    Figure("guard_fuzz_5xx", "answers", "<= 0", f"{_CASES:,} bodies by schemathesis; 5xx other than 503", _fuzzed),
)
