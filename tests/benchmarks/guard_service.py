"""The guard's service under more than it can do, and under bodies that nobody would send."""

import http.client
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.data import ROOT
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, say
from tests.benchmarks.guard_data import bundle, pictures

_SECONDS = 60 if FULL else 10
_CASES = 10_000 if FULL else 500
_CLIENTS = 48
_ALLOWED = {200, 401, 404, 405, 408, 413, 415, 422, 429, 503, 400}


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


class _Client:
    """Sends bodies over one connection, which it opens again where it was closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def send(self, body: bytes) -> tuple[int, float]:
        """Return the status, 0 where the connection broke, and the seconds that it took."""
        start = time.perf_counter()
        try:
            self._connection.request("POST", "/v1/check", body, {"Content-Type": "image/jpeg"})
            answer = self._connection.getresponse()
            answer.read()
            status = answer.status
        except (http.client.HTTPException, OSError):
            status = 0
        if status != 200:  # one that is turned away before its body was read closes
            self._connection.close()
        return status, time.perf_counter() - start


def _offered(port: int, seconds: float, rate: float | None, clients: int) -> list[tuple[int, float]]:
    """Offer checks for some seconds, so many a second, or as fast as each client gets answers."""
    bodies, end = _bodies(), time.perf_counter() + seconds

    def client(number: int) -> list[tuple[int, float]]:
        sender, found, due = _Client(port), [], time.perf_counter()
        while (now := time.perf_counter()) < end:
            if rate is not None:
                due += clients / rate
                time.sleep(max(0, due - now))
            found.append(sender.send(bodies[(len(found) + number) % len(bodies)]))
        return found

    with ThreadPoolExecutor(clients) as pool:
        return [each for found in pool.map(client, range(clients)) for each in found]


def _overload() -> Measured:
    with _served() as (port, pid):
        workers = len(os.sched_getaffinity(0))
        _offered(port, 2, None, workers)
        capacity = len(_offered(port, 5, None, workers)) / 5
        _offered(port, 2, 4 * capacity, _CLIENTS)
        before = _resident(pid)
        found = _offered(port, _SECONDS, 4 * capacity, _CLIENTS)
        grown = _resident(pid) - before
    statuses = Counter(status for status, _ in found)
    say(f"  {dict(statuses)}")
    taken = [1000 * seconds for status, seconds in found if status == 200]
    parts = {
        "seconds": _SECONDS,
        "capacity a second": capacity,
        "offered a second": len(found) / _SECONDS,
        "answered a second": statuses[200] / _SECONDS,
        "turned away": statuses[429] / len(found),
        "broken connections": statuses[0],
        "5xx": sum(count for status, count in statuses.items() if status >= 500),
        "MB grown": grown,
    }
    return Measured(float(np.percentile(taken, 99)), parts)


def _fuzzed() -> Measured:
    try:
        import schemathesis
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import strategies as st
    except ImportError:
        raise NotMeasured("schemathesis is not installed; pip install raisonne[bench]") from None
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
        f"accepted requests while {_CLIENTS} connections offer 4 times the capacity for {_SECONDS} s; hashes only",
        _overload,
    ),
    Figure("guard_fuzz_5xx", "answers", "<= 0", f"{_CASES:,} bodies by schemathesis; 5xx other than 503", _fuzzed),
)
