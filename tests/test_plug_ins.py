"""Plug-ins as their page shows them: built, installed, found, and refused with a reason where they are broken."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from conftest import ROOT, Landing, encoded, picture

from orchestration.cli.main import main
from transforms import encoders, plug_ins
from transforms.catalog.byte_limits import LISTED
from transforms.dumps.dump import open_dump
from transforms.dumps.members import ArchiveError
from transforms.encoders import EncoderUnavailable
from transforms.fingerprints import embeddings

PAGE = (ROOT / "docs" / "how-to" / "plug-ins.md").read_text(encoding="utf-8")
_LINES = 20


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which the package of the page was installed, as a wheel that was built from its blocks."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "pyproject.toml").write_text(_blocks("toml")[0])
    files = re.findall(r"^(?:.*\. )?`(\w+\.py)`:$", PAGE, re.M)
    for name, text in zip(files, _blocks("python"), strict=True):
        (source / name).write_text(text)
        assert len([line for line in text.splitlines() if line.strip() and "import" not in line]) <= _LINES, name
    _install(source, target)
    return target


def _install(source: Path, target: Path) -> None:
    run = [sys.executable, "-m"]
    subprocess.run([*run, "hatchling", "build", "--target", "wheel"], cwd=source, check=True, capture_output=True)
    [wheel] = (source / "dist").glob("*.whl")
    command = [*run, "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True)


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(site)
    return site


def _offered(
    folder: Path, monkeypatch: pytest.MonkeyPatch, group: str, name: str, code: str, distribution: str = "odd_0"
) -> None:
    """Install a plug-in of one function, `make`, as pip leaves it."""
    made = folder / f"{distribution}-2.dist-info"
    made.mkdir(parents=True)
    (folder / f"{distribution}.py").write_text(code)
    (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2\n")
    (made / "entry_points.txt").write_text(f"[{group}]\n{name} = {distribution}:make\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, distribution, raising=False)


def test_an_encoder_is_found(installed: Path) -> None:
    encoder = encoders.load("tiny:16")
    assert (encoder.id.dimension, encoders.load("tiny").id.dimension) == (768, 192)
    [same, other] = embeddings.embed(encoder, [np.asarray(picture(0))] * 2)
    assert (same == other).all() and same @ other == pytest.approx(1)
    with pytest.raises(EncoderUnavailable, match=r"no encoder is called 'huge'; .* or tiny$"):
        encoders.load("huge")


def test_a_run_takes_a_layout_and_an_encoder_and_an_export_writes_its_rows(installed: Path, tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    landing.write_config()
    pictures = [encoded(picture(seed)) for seed in (0, 1, 1)]
    columns = {"key": [f"{n:09d}" for n in range(3)], "url": [f"https://a{n > 0:d}.example.org/{n}" for n in range(3)]}
    columns["caption"] = ["one", "two", "two"]
    pq.write_table(pa.table(columns), tmp_path / "laion" / "00000.parquet")
    with zipfile.ZipFile(tmp_path / "laion" / "00000.zip", "w") as dump:
        for number, data in enumerate(pictures):
            dump.writestr(f"{number:09d}.jpg", data)
        dump.writestr("read me.txt", "by hand")
    (tmp_path / "laion" / "00001.zip").write_bytes(b"PK, but no zip")
    text = landing.config.read_text().replace('"laion/*.tar"', '"laion/*.zip"').replace('"sscd_distilled"', '"tiny:16"')
    landing.config.write_text(text)
    picture(0).save(tmp_path / "generations" / "copy.png")
    landing.run_here(exports=True)
    assert landing.query("select status, count(*) from fingerprints.images group by all") == [("ok", 3)]
    assert landing.query("select max(duplicate_count) from duplicates.counts") == [(2,)]
    counted = "select reason, files, examples from catalog.not_taken where place like '%00000.zip'"
    assert landing.query(counted) == [("no .jpg", 1, ["read me.txt"])]
    [(failure,)] = landing.query("select broken from catalog.shards where shard = '00001'")
    assert "00001.zip: the plug-in 'zip' of tiny-plug-ins 1" in failure and "BadZipFile" in failure

    command = ["export", "hosts", "--config", str(landing.config)]
    for _ in range(2):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
    [file] = map(Path, done.stdout.splitlines())
    assert file.parent == landing.home / "exports" / "version-000001" / "export-hosts"
    assert file.read_text() == "url_host,rows\na1.example.org,2\na0.example.org,1\n"
    refused = CliRunner().invoke(main, [*command, "--to", str(tmp_path / "laion")])
    assert refused.exit_code == 1 and "choose another folder with --to" in refused.output
    unknown = CliRunner().invoke(main, ["export", "hots", "--config", str(landing.config)])
    assert unknown.exit_code == 2 and "'data-provenance', 'hosts'" in unknown.output


_NO_ENCODER = "def make(rest):\n    return rest\n"
_RAISES = "def make(rest):\n    raise KeyError('weights')\n"
_WRONG = """
import numpy
from raisonne import EncoderId
class Odd:
    id = EncoderId("odd", "0" * 64, "none", 4, "float32")
    def prepare(self, picture):
        return picture
    def embed(self, prepared):
        return {}
def make(rest):
    return Odd()
"""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nothing_of_this_name\n", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("make = 7\n", "odd_0:make is int, no function"),
        ("other = 7\n", "AttributeError: module 'odd_0' has no attribute 'make'"),
        (_RAISES, "KeyError: 'weights'"),
        (_NO_ENCODER, "it returned str, which is no encoder"),
    ],
    ids=["import", "number", "missing", "raises", "none"],
)
def test_a_broken_encoder_is_named_with_the_fix(
    code: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offered(tmp_path, monkeypatch, plug_ins.ENCODERS, "odd", code)
    with pytest.raises(EncoderUnavailable) as refused:
        encoders.load("odd")
    said = str(refused.value)
    assert (
        said.startswith("the plug-in 'odd' of odd_0 2 (raisonne.encoders: odd_0:make) is broken: ") and reason in said
    )
    assert said.endswith("update it (pip install --upgrade odd_0) or remove it (pip uninstall odd_0)")


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("numpy.zeros((len(prepared), 5), 'float32')", r"float32 of \(1, 5\), not float32 of \(1, 4\)"),
        ("numpy.ones((len(prepared), 4))", r"float64 of \(1, 4\)"),
        ("numpy.ones((len(prepared), 4), 'float32')", "norm is not 1"),
        ("numpy.full((len(prepared), 4), numpy.nan, 'float32')", "norm is not 1"),
        ("None", "NoneType"),
    ],
)
def test_vectors_that_nothing_can_be_compared_with_are_refused(
    returned: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offered(tmp_path, monkeypatch, plug_ins.ENCODERS, "odd", _WRONG.format(returned))
    with pytest.raises(plug_ins.PlugInError, match=f"plug-in 'odd' of odd_0 2 .* is broken: embed returned .*{reason}"):
        embeddings.embed(encoders.load("odd"), [np.asarray(picture(0))])


def test_what_an_encoder_says_of_its_weights_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = 'from transforms.encoders import EncoderUnavailable as No\ndef make(rest):\n    raise No("no weights")\n'
    _offered(tmp_path, monkeypatch, plug_ins.ENCODERS, "odd", code)
    with pytest.raises(EncoderUnavailable, match=r"^no weights$"):
        encoders.load("odd")


def test_two_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "other"):
        _offered(tmp_path / name, monkeypatch, plug_ins.ENCODERS, "odd", _RAISES, name)
    with pytest.raises(
        EncoderUnavailable, match=r"'odd' is the name of two: .*one 2.* and .*other 2.*uninstall one of"
    ):
        encoders.load("odd")


_LISTING = """
from raisonne import Listing, Member, NotTaken
class Odd:
    def __init__(self, file):
        self.file = file
    def listing(self, member_bytes):
        return {}
    def read(self, name, offset, size):
        return {}
def make(file):
    return Odd(file)
"""
_ONE = "Listing([Member('a', 'a.jpg', 0, 3), Member('b', 'b.jpg', 0, 99), Member('c', 'c\\udc80.jpg', 0, 3)])"


@pytest.mark.parametrize(
    ("listing", "read", "reason"),
    [
        ("None", "b''", "is broken: its listing is no raisonne.Listing of Members"),
        ("1 / 0", "b''", "could not list it: ZeroDivisionError"),
        (_ONE, "b'four'", "a.jpg was listed with 3 bytes, the plug-in 'odd' of odd_0 2 .* read 4 bytes"),
        (_ONE, "None", "read NoneType"),
        (_ONE, "self.file.nothing()", "could not read a.jpg of it: AttributeError"),
        ("Listing(None)", "b''", "its listing is no raisonne.Listing of Members"),
        ("Listing([], broken=7)", "b''", "`broken` of its listing is int, no text"),
        ("Listing([Member('a', 'a.jpg', 0, None)])", "b''", "`size` of its member 'a.jpg' is None"),
        ("Listing([Member('a', 'a.jpg', '0', 3)])", "b''", "`offset` of its member 'a.jpg' is '0'"),
        ("Listing([Member('a', 'a.jpg', 0, -3)])", "b''", "`size` of its member 'a.jpg' is -3"),
        ("Listing([Member('a', 'a.jpg', 0, 3, refusal=7)])", "b''", "`refusal` of its member 'a.jpg' is 7"),
        ("Listing([Member('a', 'a.jpg', 0, 3, width='wide')])", "b''", "`width` of its member 'a.jpg' is 'wide'"),
        ("Listing([], not_taken=None)", "b''", "`not_taken` of its listing is no list of raisonne.NotTaken"),
        ("Listing([], not_taken=['a.txt'])", "b''", "`not_taken` of its listing"),
        ("Listing([], not_taken=[NotTaken('a', 'b', 1, None)])", "b''", "`not_taken` of its listing"),
        ("Listing([], not_taken=[NotTaken('a', 'b', 'one', ())])", "b''", "`not_taken` of its listing"),
    ],
)
def test_a_broken_layout_fails_its_dump_alone(
    listing: str, read: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offered(tmp_path, monkeypatch, plug_ins.LAYOUTS, "odd", _LISTING.format(listing, read))
    dump = tmp_path / "0.ODD"
    dump.write_bytes(b"whatever")
    with open_dump(str(dump), LISTED) as opened, pytest.raises(ArchiveError, match=f"0.ODD: .*{reason}"):
        found = opened.listing(10)
        assert [member.refusal for member in found.members] == [
            None,
            "refused: 99 bytes are more than limits.member_bytes = 10",
            "refused: its name is no text",
        ]
        opened.read("a.jpg", 0, 3)


@pytest.mark.parametrize(
    ("code", "returned"),
    [
        ("def make(file):\n    pass\n", "NoneType"),
        ("class Odd:\n    read = listing = 7\ndef make(file):\n    return Odd()\n", "Odd"),
    ],
)
def test_a_layout_that_returns_no_dump_fails_that_dump(
    code: str, returned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offered(tmp_path, monkeypatch, plug_ins.LAYOUTS, "odd", code)
    (tmp_path / "0.odd").write_bytes(b"whatever")
    reason = f"0.odd: the plug-in 'odd' of odd_0 2 .* is broken: it returned {returned}, which is no dump"
    with pytest.raises(ArchiveError, match=reason), open_dump(str(tmp_path / "0.odd"), LISTED):
        pass


def test_no_layout_takes_a_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offered(tmp_path, monkeypatch, plug_ins.LAYOUTS, "tar", _LISTING.format(_ONE, "b''"))
    (tmp_path / "0.tar").write_bytes(b"no tar")
    with open_dump(str(tmp_path / "0.tar"), LISTED) as opened, pytest.raises(ArchiveError, match="tar"):
        opened.listing(10)


def test_an_export_without_a_file_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    from orchestration.reports import exports

    _offered(tmp_path / "site", monkeypatch, plug_ins.EXPORTS, "odd", "def make(con, folder):\n    pass\n")
    plug_in = plug_ins.find(plug_ins.EXPORTS, "odd")
    assert plug_in
    with duckdb.connect() as con, pytest.raises(plug_ins.PlugInError, match="is broken: it wrote no file"):
        exports.write_by_plug_in(con, plug_in, tmp_path / "out", "1GB")
    assert not (tmp_path / "out").exists()
