"""The guard's service under more than it can do, and under bodies that nobody would send."""

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.benchmarks.data import ROOT
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, say
from tests.benchmarks.guard_data import bundle, pictures
from transforms.guard.deltas import delta as delta_file

_SECONDS = 60 if FULL else 10
_ROWS = 100_000
_CASES = 10_000 if FULL else 500
_CLIENTS = 96


@dataclass
class _Service:
    """A service under load. `link`: what it takes for its bundle; `loaded`: how often it has loaded another."""

    port: int
    pid: int
    link: Path
    loaded: int = 0
    refused: int = 0

    def watch(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.loaded += '"bundle loaded"' in line
            self.refused += '"bundle refused"' in line or '"reload failed"' in line


@contextmanager
def _served() -> Iterator[_Service]:
    """Serve a bundle of hashes through a link."""
    with bundle(_ROWS) as folder:
        link = folder.parent / "current"
        link.symlink_to(folder)
        options = ("--bundle", str(link), "--port", "0", "--queue", "16", "--reload-every", "1")
        command = [sys.executable, "-m", "orchestration.cli", "serve", *options]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            said = next(line for line in process.stderr if '"listening"' in line)
            service = _Service(json.loads(said)["port"], process.pid, link)
            watching = threading.Thread(target=service.watch, args=(process.stderr,))
            watching.start()
            try:
                yield service
                if process.poll() is not None:
                    raise NotMeasured(f"the service ended with {process.returncode}")
            finally:
                process.terminate()
                process.wait(60)
                watching.join()


def _update(service: _Service, delta: Path, waits: Sequence[float]) -> None:
    """Patch the bundle by a delta after some seconds, and turn the link to what comes of it; then turn it back."""
    old = service.link.resolve()
    for number, seconds_ in enumerate(waits):
        time.sleep(seconds_)
        new = old
        if number % 2 == 0:
            new = old.with_name(f"patched {number}")
            command = [
                sys.executable,
                "-m",
                "orchestration.cli",
                "bundle",
                "patch",
                str(old),
                str(delta),
                "--to",
                str(new),
            ]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        turned = service.link.with_name("next")
        turned.symlink_to(new)
        turned.rename(service.link)


@contextmanager
def _sampled(pid: int) -> Iterator[list[float]]:
    """Yield a list to which the megabytes of a process are added four times a second."""
    found, ended = [_resident(pid)] * 4, threading.Event()

    def look() -> None:
        while not ended.wait(0.25):
            found.append(_resident(pid))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield found
    finally:
        ended.set()
        looking.join()


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


def _offered(port: int, seconds: float, rate: float, connections: int, *hostile: bytes) -> dict[str, Any]:
    """Offer checks from another process; return what it prints, statuses as numbers.

    rate: checks a second, or 0 to keep the connections busy. hostile: bodies of one request in a hundred.
    """
    sent = b"".join(len(body).to_bytes(8) + body for body in (_bodies()[0], *hostile))
    command = [sys.executable, "-m", "tests.benchmarks.guard_load", *map(str, (port, seconds, rate, connections))]
    done = subprocess.run(command, cwd=ROOT, input=sent, stdout=subprocess.PIPE, check=True)
    said = json.loads(done.stdout)
    return said | {"statuses": Counter({int(status): n for status, n in said["statuses"].items()})}


def _overload() -> Measured:
    with _served() as service, bundle(_ROWS + _ROWS // 100) as newer:
        delta = newer.parent / "update.delta"
        size = delta_file.write(service.link.resolve(), newer, delta)
        workers = len(os.sched_getaffinity(0))
        _offered(service.port, 2, 0, 2 * workers)
        capacity = _offered(service.port, 5, 0, 2 * workers)["statuses"][200] / 5
        _offered(service.port, 2, 4 * capacity, _CLIENTS, *_hostile())
        before, load = _resident(service.pid), os.getloadavg()[0]
        updating = threading.Thread(target=_update, args=(service, delta, [_SECONDS / 5] * 3))
        updating.start()
        with _sampled(service.pid) as resident:
            found = _offered(service.port, _SECONDS, 4 * capacity, _CLIENTS, *_hostile())
        updating.join()
        statuses, taken = found["statuses"], found["taken"]
        quarters = [float(np.median(part)) for part in np.array_split(resident, 4)]
    say(f"  {dict(statuses)}, unsent {found['unsent']}")
    parts = {
        "seconds": _SECONDS,
        "load of the machine before": load,
        "capacity a second": capacity,
        "offered over capacity": statuses.total() / _SECONDS / capacity,
        "unsent": found["unsent"],
        "answered a second": statuses[200] / _SECONDS,
        "p50": float(np.percentile(taken, 50)),
        "worst": max(taken),
        "never answered": found["sent"] - statuses.total(),
        "broken connections": statuses[0],
        "5xx but 503": sum(count for status, count in statuses.items() if status >= 500 and status != 503),
        "bundles loaded meanwhile": service.loaded,
        "bundles refused": service.refused,
        "MB of the delta": size / 1e6,
        "MB grown in the first quarter": quarters[0] - before,
        "MB grown from the second quarter to the last": quarters[3] - quarters[1],
    } | {f"answered {status}": count for status, count in sorted(statuses.items())}
    return Measured(float(np.percentile(taken, 99)), parts)


def _fuzzed() -> Measured:
    try:
        import schemathesis
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import strategies as st
    except ImportError:
        raise NotMeasured("schemathesis is not installed; pip install '.[bench]'") from None
    statuses: Counter[int] = Counter()
    with _served() as service:
        address = f"http://127.0.0.1:{service.port}"
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
        "hostile, and the bundle is patched by a delta and replaced three times; hashes only",
        _overload,
    ),
    Figure("guard_fuzz_5xx", "answers", "<= 0", f"{_CASES:,} bodies by schemathesis; 5xx other than 503", _fuzzed),
)
