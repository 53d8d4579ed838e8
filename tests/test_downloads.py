"""`raisonne download` against a real server on this machine that is slow, broken, hostile or gone."""

import contextlib
import gzip
import hashlib
import http.server
import importlib.util
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tarfile
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orchestration.catalog.download.addresses import is_refused
from orchestration.catalog.download.connections import HEAD_BYTES, NotDownloaded
from orchestration.catalog.download.download import DownloadError, FetchPace, downloadable, fetch
from orchestration.catalog.download.fetch_worker import AnswerLimits, Opener
from orchestration.catalog.download.url_lists import UrlList, open_list
from orchestration.settings import Settings
from orchestration.settings.inputs import Dataset
from tests.conftest import ROOT, Landing, encoded, picture
from tests.late_import import LateImport
from transforms.catalog.columns import LandingError
from transforms.catalog.landing import LandingFile, find_shards
from transforms.storage.file_limits import ByteLimits

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("img2dataset") is None, reason="img2dataset is not installed; pip install .[download]"
)

moto_server: Any = LateImport("moto.server")

LIMIT = 200_000
PACE = FetchPace(timeout_s=2, retries=0, processes=1, threads=1, shard_rows=10)
HERE = ("127.0.0.1",)
LIMITS = AnswerLimits(member_bytes=LIMIT, answer_s=600, redirects=3, allow_networks=HERE, proxy=False)
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
            self.server.permits |= {self.headers["Proxy-Authorization"]} - {None}
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

    def answer_inside(self) -> None:
        self.send(b"", status=302, Location=f"http://0x7f.2:{self.server.server_port}/good.jpg")

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

    def drip(self, start: bytes, drop: bytes) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(start)
            while not self.server.over.wait(0.05):
                self.wfile.write(drop)
        self.close_connection = True

    def answer_trickle(self) -> None:
        self.drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x")

    def answer_dripping(self) -> None:
        self.drip(b"HTTP/1.1 200 OK\r\nX-Head: ", b"x")

    def answer_waiting(self) -> None:
        self.drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")

    def answer_wandering(self) -> None:
        self.server.over.wait(0.05)
        self.send(b"", status=302, Location="/wandering")

    def answer_talkative(self) -> None:
        self.raw(b"HTTP/1.1 200 OK\r\n", *[b"X-Head: " + b"y" * 1000 + b"\r\n"] * 90, b"\r\n", GOOD["/good.jpg"])

    def answer_chunked(self) -> None:
        self.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"400\r\n", GOOD["/good.jpg"][:1000])

    def answer_endless(self) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: /good.jpg\r\n\r\n")
            while not self.server.over.is_set():
                self.wfile.write(bytes(1 << 16))

    def answer_coloured(self) -> None:
        self.raw(b"HTTP/1.1 404 \x1b[2J\tsecret" + b"!" * 1000 + b"\r\n\r\n")

    def answer_unknown(self) -> None:
        self.raw(b"HTTP/1.1 799 secret\r\nX-Why: secret\r\n\r\nsecret")

    def answer_other(self) -> None:
        self.raw(b"SSH-2.0-secret\r\n")

    def answer_version(self) -> None:
        self.raw(b"HTTP/secret 200 OK\r\n\r\n")

    def answer_typed(self) -> None:
        self.send(b"secret", kind="secret/secret")

    def answer_misdirected(self) -> None:
        self.send(b"", status=302, Location="http://[secret")

    def answer_elsewhere(self) -> None:
        self.send(b"", status=302, Location="secret://secret")

    def answer_misnumbered(self) -> None:
        self.send(b"", status=302, Location="http://127.0.0.1:secret/")

    def answer_misnamed(self) -> None:
        self.send(b"", status=302, Location=f"http://{'secret.' * 50}invalid/")

    def answer_misencoded(self) -> None:
        self.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n")

    def answer_compressed(self) -> None:
        self.send(gzip.compress(GOOD["/good.jpg"]), Content_Encoding="gzip")

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
        self.permits: set[str] = set()

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
    made.write_config(f'[download]\nallow_networks = ["127.0.0.1"]\nanswer_s = 600\nredirects = 3\n{extra}')
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
    "/loop.jpg": "redirects without end: more than download.redirects = 3",
    "/inside.jpg": "refused: an address inside the network; download.allow_networks can allow it",
    "/tofile.jpg": "only http and https are fetched",
    "/toftp.jpg": "only http and https are fetched",
    "/slow.jpg": "timed out: silent for 5 seconds",
    "/page.jpg": "a web page, not a picture",
    "/posing.jpg": "a web page, not a picture",
    "/cut.jpg": "broke off: not all of its bytes came",
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
    assert lines[1] == "         4  only http and https are fetched"
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
    assert done.stdout.startswith("tiny: no row was left to request; 5 of 22 pictures downloaded\n")
    assert case.server.asked == before
    assert (before["/loop.jpg"], before["/gone.jpg"]) == (4, 1)


def test_a_run_repeats_why_pictures_are_missing(case: Case) -> None:
    case.landing.run_here()
    query = "select url, failure from catalog.samples join fingerprints.images using (sample_id)"
    said = {url.removeprefix(case.server.url): failure for url, failure in case.landing.query(query)}
    expected = CASES | HOSTILE | {"/twice.jpg": None}
    assert said == {url: reason and f"not downloaded: {reason}" for url, reason in expected.items()}


def requested(url: str, limits: AnswerLimits = LIMITS, timeout: float = 60) -> bytes:
    request = urllib.request.Request(url)  # noqa: S310 -- http
    with Opener(limits).open(request, timeout=timeout) as answer:
        return answer.read()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("coloured", "HTTP Error 404: Not Found"),
        ("unknown", "HTTP Error 799: no status of HTTP"),
        ("other", "no answer of HTTP"),
        ("version", "no answer of HTTP"),
        ("typed", "no picture: its first bytes are of no picture format"),
        ("misdirected", "a URL that cannot be read"),
        ("misnumbered", "a URL that cannot be read"),
        ("misnamed", "its host has no address"),
        ("elsewhere", "only http and https are fetched"),
        ("misencoded", "broke off: not all of its bytes came"),
        ("chunked", "broke off: not all of its bytes came"),
        ("compressed", "an archive or a compressed file, not a picture"),
        ("talkative", f"the head of the answer has more than {HEAD_BYTES} bytes"),
    ],
)
def test_an_answer_puts_no_byte_of_its_own_into_the_reason(path: str, says: str) -> None:
    with serving() as server, pytest.raises(NotDownloaded) as refusal:
        requested(f"{server.url}/{path}")
    assert str(refusal.value) == says


def test_the_body_of_a_redirect_is_not_read() -> None:
    with serving() as server:
        assert requested(f"{server.url}/endless") == GOOD["/good.jpg"]


@pytest.mark.parametrize("path", ["dripping", "waiting", "trickle", "wandering", "held"])
def test_an_answer_that_never_ends_is_left_at_its_deadline(path: str) -> None:
    limits = replace(LIMITS, answer_s=0.5, redirects=10**6)
    with serving() as server, pytest.raises(NotDownloaded) as refusal:
        requested(f"{server.url}/{path}", limits)
    assert str(refusal.value) == "too slow: not whole after download.answer_s = 0.5"


def certified(folder: Path) -> Path:
    """Write a key and a certificate of pictures.example, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pictures.example")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    names = x509.SubjectAlternativeName([x509.DNSName("pictures.example")])
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / "pictures.pem"
    path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + signed.public_bytes(pem))
    return path


def test_certificates_are_of_the_name_that_was_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, **kind: real("127.0.0.1", port, **kind))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified(tmp_path))
    with serving() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        with pytest.raises(NotDownloaded, match="its certificate is not valid"):
            requested(f"https://pictures.example:{server.server_port}/good.jpg")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "pictures.pem"))
        assert requested(f"https://pictures.example:{server.server_port}/moved.jpg") == GOOD["/good.jpg"]
        with pytest.raises(NotDownloaded, match="its certificate is not valid"):
            requested(f"https://others.example:{server.server_port}/good.jpg")


def test_a_handshake_that_never_ends_is_left_at_its_deadline() -> None:
    def drip(listening: socket.socket) -> None:
        with contextlib.suppress(OSError), listening.accept()[0] as connection:
            connection.sendall(b"\x16\x03\x03\x40\x00")
            while not over.wait(0.05):
                connection.sendall(b"x")

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        with pytest.raises(NotDownloaded, match="too slow"):
            requested(f"https://127.0.0.1:{listening.getsockname()[1]}/x.jpg", replace(LIMITS, answer_s=0.5))
        over.set()
        thread.join()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_never_speaks_is_left_at_its_deadline(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(NotDownloaded, match="too slow"):
            requested(f"{scheme}://127.0.0.1:{port}/x.jpg", replace(LIMITS, answer_s=0.3))
        with pytest.raises(NotDownloaded, match=r"timed out: silent for 0\.3 seconds"):
            requested(f"{scheme}://127.0.0.1:{port}/x.jpg", timeout=0.3)


def test_a_name_that_is_never_resolved_is_left_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(600))
    with pytest.raises(NotDownloaded, match="too slow"):
        requested("http://slow.example/x.jpg", replace(LIMITS, answer_s=0.3))
    over.set()


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.2 168.63.129.16 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192",
        "192.168.1.1 198.18.0.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255",
        ":: ::1 ::ffff:127.0.0.2 ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::808:808 fe80::1 fe80::1%lo",
        "fc00::1 fd00:ec2::254 fec0::1 ff02::1 2001::1 2001:db8::1 2002:7f00:1:: 2002:808:808:: 3fff::1 5f00::1 100::1",
    ],
)
def test_addresses_inside_a_network_are_refused(address: str) -> None:
    for each in address.split():
        assert is_refused(each, HERE), each


def test_public_addresses_and_allowed_networks_are_not_refused() -> None:
    public = ("8.8.8.8", "172.32.0.1", "100.128.0.1", "223.255.255.255", "2606:4700::1", "64:ff9b::808:808")
    assert not any(is_refused(each, ()) for each in (*public, "::ffff:8.8.8.8"))
    allowed = ("127.0.0.1", "10.0.0.0/8", "fd00::/8")
    assert not any(is_refused(each, allowed) for each in ("127.0.0.1", "::ffff:127.0.0.1", "10.9.9.9", "fd12::1"))
    assert all(is_refused(each, allowed) for each in ("127.0.0.2", "172.16.0.1", "fe80::1"))


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "0x7f000001",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::1]",
        "0",
        "localhost",
        "127。0。0。1",
        "１２７.0.0.1",
        "%31%32%37.0.0.1",
        "name@127.0.0.1",
        "[64:ff9b::127.0.0.1]",
    ],
)
def test_an_address_is_refused_however_it_is_spelled(host: str) -> None:
    with pytest.raises(NotDownloaded, match="inside the network"):
        requested(f"http://{host}:9/x.jpg", replace(LIMITS, allow_networks=()))


def test_a_name_is_resolved_once_for_each_connection_and_asked_where_it_was_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving() as server:
        real, answers = socket.getaddrinfo, iter(["127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.2"])
        monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, **kind: real(next(answers), port, **kind))
        url = f"http://pictures.example:{server.server_port}"
        assert requested(f"{url}/good.jpg") == GOOD["/good.jpg"]
        assert next(answers) == "127.0.0.2"  # where it would have been asked the second time
        with pytest.raises(NotDownloaded, match="inside the network"):
            requested(f"{url}/moved.jpg")  # the name now resolves to another address when the redirect comes
        assert server.asked == {"/good.jpg": 1, "/moved.jpg": 1}


def test_one_inner_address_of_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda _, port, **kind: real("127.0.0.1", port, **kind) + real("127.0.0.2", port, **kind),
        )
        with pytest.raises(NotDownloaded, match="inside the network"):
            requested(f"http://pictures.example:{server.server_port}/good.jpg")
        assert not server.asked


def test_proxies_are_used_only_where_the_settings_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        monkeypatch.setenv("http_proxy", f"http://name:word@127.0.0.1:{server.server_port}")
        monkeypatch.delenv("no_proxy", raising=False)
        with pytest.raises(DownloadError, match=r"http_proxy is set.*download\.proxy = true"):
            fetch(Dataset(name="tiny", metadata="m", download=str(tmp_path)), PACE, LIMITS, ByteLimits())
        through = replace(LIMITS, proxy=True, allow_networks=())
        asked = "http://pictures.example/proxied.jpg?a=1"
        GOOD[asked] = GOOD["/good.jpg"]
        assert requested(asked, through) == GOOD["/good.jpg"]
        with pytest.raises(NotDownloaded, match="inside the network"):
            requested("http://2130706433/good.jpg", through)
        assert server.asked == {asked: 1}
        assert server.permits == {"Basic bmFtZTp3b3Jk"}


def started(landing: Landing, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration.cli", "download", "--config", str(landing.config), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    "ends", [(signal.SIGKILL,), pytest.param((signal.SIGINT, signal.SIGKILL), marks=pytest.mark.thorough)]
)
def test_a_download_that_was_ended_goes_on_where_it_was(tmp_path: Path, ends: tuple[signal.Signals, ...]) -> None:
    with serving() as server:
        urls = [f"{server.url}/{path}.jpg" for path in ("0", "1", "2", "held", "3", "4")]
        landing = landed(tmp_path, {"part": pa.table({"url": urls, "caption": urls})})
        slowly = ("--shard-rows", "2", "--processes", "1", "--threads", "1", "--timeout", "600")
        for end in ends:
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
                assert process.wait(600) == (130 if end == signal.SIGINT else -signal.SIGKILL)
            assert server.left.wait(600), "img2dataset outlived the download"
            assert {path.name for path in tmp_path.glob("dump/*/*.tar")} <= {"00000.tar"}
        server.over.set()
        assert "6 of 6 pictures downloaded" in landing.raisonne("download", *slowly).stdout
        again = len(ends) + 1
        assert server.asked == {"/0.jpg": 1, "/1.jpg": 1, "/2.jpg": again, "/held.jpg": again, "/3.jpg": 1, "/4.jpg": 1}
        assert {path.name for path in tmp_path.glob("dump/part/*.tar")} == {"00000.tar", "00001.tar", "00002.tar"}
        for path in tmp_path.glob("dump/part/*.tar"):
            with tarfile.open(path) as archive:
                assert sum(name.endswith(".jpg") for name in archive.getnames()) == 2


def a_list(folder: Path, table: pa.Table, shard_rows: int = 2) -> UrlList:
    pq.write_table(table, folder / "part.parquet")
    return open_list(folder / "dump", "part", LandingFile.at(folder / "part.parquet"), shard_rows, ByteLimits())


PLAIN = pa.table({"url": ["http://127.0.0.1:1/x.jpg"] * 3, "caption": ["a", "b", "c"]})


def test_a_failing_img2dataset_is_told_with_its_last_lines(tmp_path: Path) -> None:
    landing = landed(tmp_path, {"part": PLAIN})
    urls = open_list(tmp_path / "dump", "part", LandingFile.at(tmp_path / "laion" / "part.parquet"), 2, ByteLimits())
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
    again = open_list(tmp_path / "dump", "part", LandingFile.at(tmp_path / "part.parquet"), 3, ByteLimits())
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
    server = moto_server.ThreadedMotoServer("127.0.0.1", 0)
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
        urls = open_list(tmp_path / "dump", shard.name, shard.metadata, 2, ByteLimits())
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
        fetch(Dataset(name="tiny", **where), PACE, LIMITS, ByteLimits())


def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "img2dataset", None)  # how Python marks what cannot be imported
    with pytest.raises(DownloadError, match=r"pip install .*'img2dataset>="):
        fetch(Dataset(name="tiny", metadata="m", download=str(tmp_path)), PACE, LIMITS, ByteLimits())


def test_datasets_are_chosen_by_name(tmp_path: Path) -> None:
    landing = landed(tmp_path, {})
    unknown = landing.raisonne("download", "huge", check=False)
    assert (unknown.returncode, "no dataset huge has `download`" in unknown.stderr) == (2, True)
    with pytest.raises(LookupError, match="none has"):
        downloadable(Settings(datasets=(Dataset(name="tiny", metadata="m", images="i"),)), ())
