"""What people read of a lake: by the commands, in Python, and no more than the published version by queries."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from conftest import command

import raisonne
from orchestration.cli.sql.session import _OF_EXTENSIONS, Refused, Session
from orchestration.settings import SettingsError, load
from orchestration.settings.targets import LakeAddress
from orchestration.warehouse import lake, publishing
from orchestration.warehouse.lake import duckdb_extensions
from tests import lake_home
from tests.benchmarks import warehouse


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with settings that name a lake, whose home is elsewhere: a reader's machine."""
    folder = tmp_path_factory.mktemp("reader")
    versions = lake_home.publish(folder / "builder", 2)
    address = LakeAddress.read("ducklake:sqlite:lake/catalog.sqlite", base=folder)
    for version in versions:
        lake.bring_up(version, address, keep=5, grace=timedelta(days=1), memory="1GB")
    (folder / "raisonne.toml").write_text(
        'home = "home"\n[[datasets]]\nname = "made-up"\nmetadata = "nowhere/*.parquet"\n'
        '[encoders]\ncopy = "sscd_distilled"\n[publishing]\ntarget = "ducklake:sqlite:lake/catalog.sqlite"\n'
    )
    return folder


@pytest.fixture(scope="module")
def session(place: Path) -> Iterator[Session]:
    address = load(place / "raisonne.toml").publishing.lake
    assert address is not None
    con = lake.connect(address)
    yield Session(con, place / "home", data=lake.data_folder(con, address))
    con.close()


def attempt(session: Session, text: str) -> list[tuple]:
    session.prepare(text)
    found = []
    for statement in session.con.extract_statements(text):
        found += session.con.execute(statement).fetchall()
    return found


def test_commands_read_the_lake_of_their_settings(place: Path) -> None:
    config = place / "raisonne.toml"
    said = command(config, "sql", "--format", "csv", "select max(version) as newest from warehouse.versions")
    assert said.stdout == "newest\n2\n"
    to = place / "rows.parquet"
    command(config, "sql", "--format", "parquet", "--to", str(to), f"from copies_of({warehouse.FIRST_ID})")
    with duckdb.connect() as con:
        assert con.execute("select count(*) from read_parquet(?)", [str(to)]).fetchall() == [(4002,)]
    status = command(config, "status", "--quick").stdout
    assert (
        "published: #2, " in status and f"lake: ducklake:sqlite:{place}/lake/catalog.sqlite, versions 1, 2\n" in status
    )
    files = command(config, "export", "removal-list", "--version", "1", "--to", str(place / "removal")).stdout
    assert str(place / "removal") in files
    missing = command(config, "export", "--version", "7", check=False)
    assert missing.returncode == 1 and "does not keep version 7; it has 1, 2" in missing.stderr
    assert not (place / "home" / "versions").exists()


@pytest.mark.parametrize("kind", ["html", pytest.param("xlsx", marks=pytest.mark.thorough)])
def test_exports_are_written_from_a_lake(place: Path, kind: str) -> None:
    to = place / kind
    said = command(place / "raisonne.toml", "export", "--format", kind, "--to", str(to)).stdout
    assert str(to) in said and [*to.glob(f"*.{kind}")]


def test_python_reads_a_lake_by_its_address(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("RAISONNE_CONFIG", str(place / "raisonne.toml"))
    for path in ("raisonne.toml", "ducklake:sqlite:lake/catalog.sqlite"):
        with raisonne.open(path) as newest, raisonne.open(path, version=1) as older:
            assert (newest.version, older.version) == (2, 1)
            assert repr(newest) == f"<Warehouse ducklake:sqlite:{place}/lake/catalog.sqlite, version 2>"
            assert len(newest.copies(warehouse.FIRST_ID).fetchall()) == 4002
            [(caption,)] = older.sql("select caption from catalog.samples where caption like 'of version %'").fetchall()
            assert caption == "of version 1"
    with pytest.raises(LookupError, match="is not there yet"):
        raisonne.open("ducklake:sqlite:nowhere.sqlite")
    assert not (place / "nowhere.sqlite").exists()
    with pytest.raises(ValueError, match="write it as `ducklake:sqlite:FILE`"):
        raisonne.open("ducklake:mysql:host=x")


def test_an_open_warehouse_keeps_its_version(place: Path) -> None:
    address = LakeAddress.read("ducklake:sqlite:lake/kept.sqlite", base=place)
    first, second = publishing.versions(place / "builder")
    lake.bring_up(first, address, keep=5, grace=timedelta(days=1), memory="1GB")
    with raisonne.open(str(address)) as opened:
        lake.bring_up(second, address, keep=5, grace=timedelta(days=1), memory="1GB")
        assert opened.versions().fetchall()[-1][0] == 1
        assert opened.sql("from catalog.samples where caption = 'of version 2'").fetchall() == []


@pytest.mark.parametrize(
    "text",
    [
        "copy (select 1) to '{data}x.parquet'",
        "attach 'sqlite:{catalog}' as other",
        "from sqlite_scan('{catalog}', 'ducklake_snapshot')",
        "from \"sqlite_scan\"('{catalog}', 'ducklake_snapshot')",
        "call sqlite_attach('{catalog}')",
        "from sqlite_attach('{catalog}')",
        "from sqlite_query('__ducklake_metadata_lake', 'select 1')",
        "from postgres_scan('host=127.0.0.1 port=1', 'public', 't')",
        "from postgres_query('lake', 'select 1')",
        "from ducklake_expire_snapshots('lake', versions => [0])",
        "call lake.set_option('parquet_compression', 'zstd')",
        "from lake.set_option('parquet_compression', 'zstd')",
        "delete from catalog.samples",
        "delete from __ducklake_metadata_lake.ducklake_snapshot",
        "create table lake.main.new as select 1",
        "drop table catalog.samples",
        "from read_csv('/etc/passwd')",
        "from glob('/etc/*')",
        "from 'https://127.0.0.1:9/x.parquet'",
        "from __ducklake_metadata_lake.ducklake_snapshot",
        'from "__ducklake_metadata_lake"."ducklake_snapshot"',
        "set search_path = '__ducklake_metadata_lake'",
        "from query_table('__ducklake' || '_metadata_lake.ducklake_snapshot')",
        "load httpfs",
        "detach lake",
        "set enable_external_access = true",
        "set allowed_directories = ['/']",
        "from load_aws_credentials()",
    ],
)
def test_queries_read_the_version_and_nothing_else(place: Path, session: Session, text: str) -> None:
    folder = place / "lake"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    values = {"catalog": folder / "catalog.sqlite", "data": f"{folder}/catalog.sqlite.files/"}
    with pytest.raises((Refused, duckdb.Error)):
        attempt(session, text.format(**values))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_queries_read_the_version(session: Session) -> None:
    assert attempt(session, "select count(*) from catalog.samples")[0][0] > 1000
    assert attempt(session, "select max(snapshot_id), any_value(author) from lake.snapshots() where author is not null")
    assert attempt(
        session, "select count(*) from catalog.samples at (version => 1) where caption = 'of version 1'"
    ) == [(1,)]


def test_functions_of_extensions_are_known() -> None:
    """A release of an extension may bring functions that open what they like."""
    every = "select distinct function_name from duckdb_functions()"
    with duckdb.connect(config=duckdb_extensions.NOTHING_FETCHED) as con:
        before = {*con.execute(every).fetchall()}
        for name in ("ducklake", "sqlite_scanner", "postgres_scanner", "httpfs", "aws"):
            duckdb_extensions.load_one(con, name)
        brought = {name for (name,) in {*con.execute(every).fetchall()} - before}
    assert {name for name in brought if not _OF_EXTENSIONS.fullmatch(name)} == {"murmur3_32"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            'target = "ducklake:postgres:host=x password=SECRET \'"',
            "the connection string of PostgreSQL cannot be read",
        ),
        ('target = "ducklake:mysql:password=SECRET"', "write it as `ducklake:sqlite:FILE` or"),
        ('target = "s3://bucket"', "write it as `ducklake:sqlite:FILE` or"),
        ('target = "ducklake:postgres:postgresql://u:SECRET@host:x/db"', "the URI of PostgreSQL cannot be read"),
        ('target = "ducklake:postgres:sslpassword=SECRET"', "name the key's password in a service file"),
        ('target = "ducklake:postgres:dbname=x PASSWORD=SECRET"', "a keyword that PostgreSQL's client does not know"),
        ('target = "ducklake:postgres:password=a SECRET=b"', "a keyword that PostgreSQL's client does not know"),
        ('target = "ducklake:postgres:postgresql://h/db?pasword=SECRET"', "client does not know"),
        ('target = "ducklake:postgres:postgresql://u:12/SECRET@h/db"', "as %2F and %40"),
        ('target = "ducklake:postgres:dbname=x"\ndata_path = "old*/lake"', "with *, ? or ["),
        ('target = "ducklake:sqlite:[old]/lake.sqlite"', "with *, ? or ["),
        ('target = ["ducklake:postgres:password=SECRET"]', "Input should be a valid string"),
        ('target = "ducklake:postgres:password=SECRET"\nkeep = "many"', "Input should be a valid integer"),
        ('target = "ducklake:postgres:password=SECRET"\ndata_path = "gs://bucket/folder"', "in s3://BUCKET/FOLDER"),
    ],
)
def test_settings_that_cannot_be_used_tell_no_password(tmp_path: Path, words: str, told: str) -> None:
    config = tmp_path / "raisonne.toml"
    config.write_text(f"[publishing]\n{words}\n")
    with pytest.raises(SettingsError) as error:
        load(config)
    assert told in str(error.value) and "SECRET" not in str(error.value)
