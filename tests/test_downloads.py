"""`raisonne download` against a real server on this machine that is slow, broken, hostile or gone."""

import contextlib
import hashlib
import http.server
import importlib.util
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from orchestration.catalog.download.download import DownloadError, FetchPace, downloadable, fetch
from orchestration.catalog.download.fetch_worker import Opener, Unfetched
from orchestration.catalog.download.url_lists import UrlList, open_list
from orchestration.settings import Settings
from orchestration.settings.sections import Dataset
from tests.conftest import ROOT, Landing, encoded, picture
from transforms.catalog.columns import LandingError
from transforms.catalog.landing import LandingFile, find_shards

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("img2dataset") is None, reason="img2dataset is not installed; pip install .[download]"
)

LIMIT = 200_000
PACE = FetchPace(timeout_s=2, retries=0, processes=1, threads=1, shard_rows=10, member_bytes=LIMIT)
GOOD = {
    "/good.jpg": encoded(picture(1)),
    "/twice.jpg": encoded(picture(2)),
    "/%C3%A4%20b.png": encoded(picture(3), "PNG"),
} | {f"/{n}.jpg": encoded(picture(10 + n)) for n in range(6)}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the path's name, else with the picture of that path."""

    server: "Server"

    def do_GET(self) -> None:
        path = self.path
        with self.server.counting:
            self.server.asked[path] += 1
        answer: Callable[[], None] | None = getattr(self, f"answer_{path.strip('/').partition('.')[0]}", None)
        if answer:
            answer()
        else:
            self.send(GOOD[path])

    def send(self, body: bytes, kind: str = "image/jpeg", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_gone(self) -> None:
        self.send(b"no", "text/plain", 404)

    def answer_moved(self) -> None:
        self.send(b"", status=302, Location="/good.jpg")

    def answer_loop(self) -> None:
        self.send(b"", status=302, Location="/loop.jpg")

    def answer_tofile(self) -> None:
        self.send(b"", status=302, Location="file:///etc/passwd")

    def answer_toftp(self) -> None:
        self.send(b"", status=302, Location="ftp://127.0.0.1/x.jpg")

    def answer_slow(self) -> None:
        self.server.over.wait(600)

    def answer_page(self) -> None:
        self.send(b"<!DOCTYPE html><title>for sale</title>", "text/html")

    def answer_posing(self) -> None:
        self.send(b"<html>no picture</html>", "image/jpeg")

    def answer_cut(self) -> None:
        self.send(GOOD["/good.jpg"][:1000], Content_Length="5000")

    def answer_empty(self) -> None:
        self.send(b"")

    def answer_huge(self) -> None:
        self.send(GOOD["/good.jpg"] + bytes(LIMIT))

    def answer_reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def answer_optout(self) -> None:
        self.send(GOOD["/good.jpg"], X_Robots_Tag="noai")

    def answer_named(self) -> None:
        self.send(GOOD["/good.jpg"], X_Robots_Tag="img2dataset: noindex")

    def raw(self, *parts: bytes) -> None:
        with contextlib.suppress(OSError):  # the other side has had enough
            for part in parts:
                self.wfile.write(part)
        self.close_connection = True

    def answer_trickle(self) -> None:
        self.raw(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            while not self.server.over.wait(0.05):
                self.wfile.write(b"x")

    def answer_chunked(self) -> None:
        self.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"400\r\n", GOOD["/good.jpg"][:1000])

    def answer_endless(self) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: /good.jpg\r\n\r\n")
            while not self.server.over.is_set():
                self.wfile.write(bytes(1 << 16))

    def answer_coloured(self) -> None:
        self.raw(b"HTTP/1.1 404 \x1b[2J\tgone" + b"!" * 1000 + b"\r\n\r\n")

    def answer_held(self) -> None:
        # silent until the other side leaves or the test lets go
        self.server.reached.set()
        self.connection.settimeout(0.05)
        while not self.server.over.is_set():
            try:
                if not self.connection.recv(1):
                    return self.server.left.set()
            except TimeoutError:
                continue
        return self.send(GOOD["/good.jpg"])

    def log_message(self, *_: object) -> None:
        pass

    def finish(self) -> None:
        with contextlib.suppress(OSError):  # the other side left, or `answer_reset` did
            super().finish()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.counting, self.over, self.reached = threading.Lock(), threading.Event(), threading.Event()
        self.left = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        pass  # clients that time out break their connections


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def landed(folder: Path, tables: dict[str, pa.Table], extra: str = "") -> Landing:
    """Land metadata without pictures, and settings that say where to download them."""
    made = Landing(folder)
    made.write_config(extra)
    made.config.write_text(made.config.read_text().replace('images = "laion/*.tar"', 'download = "dump"'))
    for name, table in tables.items():
        pq.write_table(table, folder / "laion" / f"{name}.parquet")
    return made


def fetched(landing: Landing, name: str) -> list[dict]:
    files = sorted((landing.folder / "dump" / name).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


@dataclass
class Case:
    landing: Landing
    server: Server
    printed: str
    rows: dict[str, list[dict]]


CASES = {
    # path: the row's reason, None for a picture
    "/good.jpg": None,
    "/moved.jpg": None,
    "/ä b.png": None,
    "/gone.jpg": "HTTP Error 404: Not Found",
    "/loop.jpg": "HTTP Error 302: redirects without end: Found",
    "/tofile.jpg": "HTTP Error 302: Found - Redirection to url 'file:///etc/passwd' is not allowed",
    "/toftp.jpg": "only http and https are fetched",
    "/slow.jpg": "timed out",
    "/page.jpg": "not a picture: the answer is text/html and begins with b'<!DOCTYPE html><'",
    "/posing.jpg": "not a picture: the answer is image/jpeg and begins with b'<html>no picture'",
    "/cut.jpg": "broke off: 4000 of 5000 bytes did not come",
    "/empty.jpg": "empty: zero bytes",
    "/huge.jpg": f"too large: more than limits.member_bytes = {LIMIT}",
    "/reset.jpg": "[Errno 104] Connection reset by peer",
    "/optout.jpg": "Use of image disallowed by X-Robots-Tag directive",
    "/named.jpg": "Use of image disallowed by X-Robots-Tag directive",
}
HOSTILE = {
    f"file://{ROOT}/data/sample/generations/0000.jpg": "only http and https are fetched",
    "ftp://127.0.0.1/picture.jpg": "only http and https are fetched",
    "nonsense": "unknown url type: 'nonsense'",
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with serving() as server:
        urls = [server.url + path for path in CASES] + [*HOSTILE, server.url + "/twice.jpg", server.url + "/twice.jpg"]
        captions = [f"caption {n}" for n in range(len(urls) - 2)] + ["twice", "twice"]
        table = pa.table(
            {
                "URL": urls,
                "TEXT": captions,
                "WIDTH": pa.array(range(len(urls)), pa.int64()),
                "LICENSE": ["cc-by"] * len(urls),
                "uid": [f"u{n}" for n in range(len(urls))],
            }
        )
        landing = landed(
            tmp_path_factory.mktemp("download"), {"part-00000": table}, f"[limits]\nmember_bytes = {LIMIT}\n"
        )
        done = landing.raisonne("download", "--timeout", "5", "--retries", "0", "--processes", "1")
        rows: dict[str, list[dict]] = {}
        for row in fetched(landing, "part-00000"):
            rows.setdefault(row["url"].removeprefix(server.url), []).append(row)
        yield Case(landing, server, done.stdout, rows)


@pytest.mark.parametrize(("url", "reason"), (CASES | HOSTILE).items())
def test_each_row_says_how_it_ended(case: Case, url: str, reason: str | None) -> None:
    (row,) = case.rows[url]
    assert (row["status"], row["error_message"]) == ("failed_to_download" if reason else "success", reason)


def test_the_summary_counts_reasons(case: Case) -> None:
    failed = Counter([*CASES.values(), *HOSTILE.values()])
    good = failed.pop(None) + 2  # the duplicate URL's two rows
    lines = case.printed.splitlines()
    total = failed.total() + good
    assert lines[0] == f"tiny: {total} rows requested; {good} of {total} pictures downloaded"
    assert lines[1] == "         3  only http and https are fetched"
    assert f"         1  {CASES['/cut.jpg']}" in lines
    assert sum(int(line.split()[0]) for line in lines[1:]) == failed.total()


def test_pictures_keep_the_bytes_that_were_served(case: Case) -> None:
    with tarfile.open(case.landing.folder / "dump" / "part-00000" / "00000.tar") as archive:
        stored = Counter(archive.extractfile(m).read() for m in archive if m.name.endswith(".jpg"))
    png = GOOD["/%C3%A4%20b.png"]
    assert stored == {GOOD["/good.jpg"]: 2, GOOD["/twice.jpg"]: 2, png: 1}
    assert case.rows["/ä b.png"][0]["sha256"] == hashlib.sha256(png).hexdigest()


def test_rows_keep_what_the_metadata_says(case: Case) -> None:
    rows = sorted((row for rows in case.rows.values() for row in rows), key=lambda row: row["source_width"])
    assert [row["uid"] for row in rows] == [f"u{n}" for n in range(len(rows))]
    assert {row["LICENSE"] for row in rows} == {"cc-by"}
    assert [row["caption"] for row in rows[-2:]] == ["twice", "twice"]


def test_a_second_download_asks_nothing(case: Case) -> None:
    before = case.server.asked.copy()
    done = case.landing.raisonne("download", "tiny")
    assert done.stdout.startswith("tiny: no row was left to request; 5 of 21 pictures downloaded\n")
    assert case.server.asked == before
    assert max(before.values()) == 2 or before["/loop.jpg"] > 2


def test_a_run_repeats_why_pictures_are_missing(case: Case) -> None:
    case.landing.run_here()
    query = "select url, failure from catalog.samples join fingerprints.images using (sample_id)"
    said = {url.removeprefix(case.server.url): failure for url, failure in case.landing.query(query)}
    expected = CASES | HOSTILE | {"/twice.jpg": None}
    assert said == {url: reason and f"not downloaded: {reason}" for url, reason in expected.items()}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("trickle", "too slow: not whole after 10 timeouts"),
        ("chunked", "IncompleteRead(0 bytes read)"),
        ("coloured", "HTTP Error 404: [2J gone" + "!" * 276),
        ("endless", None),
    ],
)
def test_an_answer_is_bounded(path: str, says: str | None) -> None:
    with serving() as server:
        request = urllib.request.Request(f"{server.url}/{path}")  # noqa: S310 -- http
        opener = Opener(LIMIT)
        if says:
            with (
                pytest.raises(Unfetched) as refusal,
                opener.open(request, timeout=1 if path == "trickle" else 60) as answer,
            ):
                answer.read()
            assert str(refusal.value) == says
        else:
            with opener.open(request, timeout=60) as answer:
                assert answer.read() == GOOD["/good.jpg"]


def started(landing: Landing, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration.cli", "download", "--config", str(landing.config), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_download_that_was_ended_goes_on_where_it_was(tmp_path: Path) -> None:
    with serving() as server:
        urls = [f"{server.url}/{path}.jpg" for path in ("0", "1", "2", "held", "3", "4")]
        landing = landed(tmp_path, {"part": pa.table({"url": urls, "caption": urls})})
        slowly = ("--shard-rows", "2", "--processes", "1", "--threads", "1", "--timeout", "600")
        for end in (signal.SIGINT, signal.SIGKILL):
            server.reached.clear()
            server.left.clear()
            with started(landing, *slowly) as process:
                assert server.reached.wait(600)
                if end == signal.SIGKILL:
                    refused = landing.raisonne("download", check=False)
                    assert (refused.returncode, refused.stderr) == (
                        1,
                        f"raisonne: another download writes to {tmp_path}/dump; wait until it ends\n",
                    )
                os.killpg(process.pid, end)
                assert process.wait(600) == (1 if end == signal.SIGINT else -signal.SIGKILL)
            assert server.left.wait(600), "img2dataset outlived the download"
            assert {path.name for path in tmp_path.glob("dump/*/*.tar")} <= {"00000.tar"}
        server.over.set()
        assert "6 of 6 pictures downloaded" in landing.raisonne("download", *slowly).stdout
        assert server.asked == {"/0.jpg": 1, "/1.jpg": 1, "/2.jpg": 3, "/held.jpg": 3, "/3.jpg": 1, "/4.jpg": 1}
        assert {path.name for path in tmp_path.glob("dump/part/*.tar")} == {"00000.tar", "00001.tar", "00002.tar"}
        for path in tmp_path.glob("dump/part/*.tar"):
            with tarfile.open(path) as archive:
                assert sum(name.endswith(".jpg") for name in archive.getnames()) == 2


def a_list(folder: Path, table: pa.Table, shard_rows: int = 2) -> UrlList:
    pq.write_table(table, folder / "part.parquet")
    return open_list(folder / "dump", "part", LandingFile.at(folder / "part.parquet"), shard_rows)


PLAIN = pa.table({"url": ["http://127.0.0.1:1/x.jpg"] * 3, "caption": ["a", "b", "c"]})


def test_a_failing_img2dataset_is_told_with_its_last_lines(tmp_path: Path) -> None:
    landing = landed(tmp_path, {"part": PLAIN})
    urls = open_list(tmp_path / "dump", "part", LandingFile.at(tmp_path / "laion" / "part.parquet"), 2)
    (urls.work_folder / "00001.tar").mkdir()
    done = landing.raisonne("download", "--processes", "1", check=False)
    assert done.returncode == 1
    assert "img2dataset did not request 1 of 3 rows of part; run this again to continue" in done.stderr
    assert "Retried 1 times, but 1 shards still failed" in done.stderr


def test_a_list_has_the_columns_that_img2dataset_takes(tmp_path: Path) -> None:
    table = pa.table(
        {
            "URL": pa.array([b"http://a.example/\xff", None], pa.binary()),
            "TEXT": pa.array(["x", None]).dictionary_encode(),
            "WIDTH": [1, 2],
            "similarity": [0.5, None],
            "seen": pa.array([0, 0], pa.timestamp("s")),
            "faces": [[1], [2]],
        }
    )
    urls = a_list(tmp_path, table)
    assert pq.read_table(urls.path).to_pydict() == {
        "url": ["http://a.example/\ufffd", None],
        "caption": ["x", None],
        "source_width": [1, 2],
        "similarity": [0.5, None],
        "raisonne_row": [0, 1],
    }
    assert urls.others == ["source_width", "similarity", "raisonne_row"]


@pytest.mark.parametrize(
    ("column", "says"),
    [({"key": ["0"]}, "has keys of another download (key)"), ({"jpg": [b"x"]}, "holds its pictures itself, in jpg")],
)
def test_metadata_that_would_go_wrong_is_refused(tmp_path: Path, column: dict[str, list], says: str) -> None:
    with pytest.raises(LandingError, match=re.escape(says)):
        a_list(tmp_path, pa.table({"url": ["http://a.example"], "caption": ["a"]} | column))


def test_only_other_metadata_is_asked_for_again(tmp_path: Path) -> None:
    began = a_list(tmp_path, PLAIN, 2)
    (began.work_folder / "00000_stats.json").touch()
    os.utime(tmp_path / "part.parquet", (1, 1))
    again = open_list(tmp_path / "dump", "part", LandingFile.at(tmp_path / "part.parquet"), 3)
    assert (again, (began.work_folder / "00000_stats.json").exists()) == (began, True)
    other = a_list(tmp_path, PLAIN.slice(0, 2), 3)
    assert (other.rows, other.shard_rows, list(other.work_folder.iterdir())) == (2, 3, [])
    for name in ("00000.tar", "00001.tar", "00001.parquet", "mine.tar"):
        (other.target / name).touch()
    other.drop_others()
    assert {path.name for path in other.target.iterdir()} == {"00000.tar", "mine.tar"}


def test_a_shard_is_done_when_all_its_rows_are_there(tmp_path: Path) -> None:
    urls = a_list(tmp_path, PLAIN)
    for name, rows in (("00000", 2), ("00001", 0)):
        pq.write_table(PLAIN.slice(0, rows), urls.work_folder / f"{name}.parquet")
        (urls.work_folder / f"{name}.tar").touch()
    assert urls.finish() == {}  # img2dataset has not said that it is done
    for name in ("00000", "00001"):
        (urls.work_folder / f"{name}_stats.json").touch()
    assert urls.finish() == {"00000": 2}  # it lost a row of the second
    assert urls.finish() == {"00000": 2}
    (urls.target / "00000.tar").unlink()
    assert urls.finish() == {}
    assert not list(urls.work_folder.glob("*_stats.json"))


def test_metadata_in_a_store_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        store = pyarrow.fs.S3FileSystem(
            endpoint_override=os.environ["AWS_ENDPOINT_URL"], region="us-east-1", allow_bucket_creation=True
        )
        store.create_dir("laion")
        pq.write_table(PLAIN, "laion/part.parquet", filesystem=store)
        (shard,) = find_shards("tiny", "s3://laion/*.parquet", None)
        assert shard.metadata
        urls = open_list(tmp_path / "dump", shard.name, shard.metadata, 2)
        assert pq.read_table(urls.path).drop_columns("raisonne_row").to_pylist() == PLAIN.to_pylist()
        assert [path.name for path in (tmp_path / "dump" / ".download").iterdir()] == [urls.work.name]
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"metadata": "laion/*.parquet"}, "no file matches"),
        ({"metadata": "**/*.parquet"}, "also finds what is downloaded into"),
        ({"download": "s3://laion/dump"}, "pictures go to a folder on disk"),
        ({"download": "dump[1]"}, "pictures go to a folder on disk"),
    ],
)
def test_what_cannot_be_downloaded_is_told(tmp_path: Path, values: dict[str, str], says: str) -> None:
    (tmp_path / "dump").mkdir()
    pq.write_table(PLAIN, tmp_path / "dump" / "part.parquet")
    where = {
        key: value if "://" in value else str(tmp_path / value)
        for key, value in ({"metadata": "*.parquet", "download": "dump"} | values).items()
    }
    with pytest.raises(DownloadError, match=re.escape(says)):
        fetch(Dataset(name="tiny", **where), PACE)


def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "img2dataset", None)  # how Python marks what cannot be imported
    with pytest.raises(DownloadError, match=re.escape("pip install 'raisonne[download]'")):
        fetch(Dataset(name="tiny", metadata="m", download=str(tmp_path)), PACE)


def test_datasets_are_chosen_by_name(tmp_path: Path) -> None:
    landing = landed(tmp_path, {})
    unknown = landing.raisonne("download", "huge", check=False)
    assert (unknown.returncode, "no dataset huge has `download`" in unknown.stderr) == (2, True)
    with pytest.raises(LookupError, match="none has"):
        downloadable(Settings(datasets=(Dataset(name="tiny", metadata="m", images="i"),)), ())
