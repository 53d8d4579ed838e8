"""A DuckLake that follows the published file: the same tables, one snapshot a version, whole or not at all."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import boto3
import duckdb
import pytest
from conftest import PATIENCE_S
from moto.server import ThreadedMotoServer

from orchestration.settings.targets import LakeAddress
from orchestration.warehouse import lake, publishing
from orchestration.warehouse.lake import duckdb_extensions
from tests import lake_home, postgresql
from tests.benchmarks import warehouse
from tests.processes import FORKS

_NOW, _LONG = timedelta(0), timedelta(days=1)
_POSTGRES = pytest.param(
    "postgres",
    marks=pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL's server is not installed"),
)
_POSTGRES_AT_LENGTH = pytest.param("postgres", marks=[*_POSTGRES.marks, pytest.mark.thorough])
_BUCKET = "lakes"


@dataclass(frozen=True)
class _Places:
    """Makes new places for lakes."""

    folder: Path
    server: postgresql.Server | None

    def address(self, kind: str, name: str) -> LakeAddress:
        folder = self.folder / name
        match kind:
            case "postgres":
                assert self.server is not None
                self.server.create_database(name)
                secret = postgresql.PASSWORD.replace("\\", r"\\").replace("'", r"\'")
                words = f"dbname={name} {self.server.words} password='{secret}'"
                return LakeAddress.read(f"ducklake:postgres:{words}", str(folder / "data"))
            case "s3":
                return LakeAddress.read(f"ducklake:sqlite:{folder}/catalog.sqlite", f"s3://{_BUCKET}/{name}")
            case _:
                return LakeAddress.read(f"ducklake:sqlite:{folder}/catalog.sqlite")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[publishing.Version]:
    """Return two versions of a home with every table that there is."""
    return lake_home.publish(tmp_path_factory.mktemp("whole") / "home", 2)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[publishing.Version]:
    """Return four versions of a home with few tables."""
    return lake_home.publish(tmp_path_factory.mktemp("few") / "home", 4, clusters=0)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Places]:
    folder = tmp_path_factory.mktemp("lakes")
    if postgresql.programs() is None:
        yield _Places(folder, None)
        return
    with postgresql.server() as server:
        yield _Places(folder, server)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hidden-key",
        "AWS_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket=_BUCKET)
    yield
    running.stop()


def bring_up(version: publishing.Version, address: LakeAddress, grace: timedelta = _LONG) -> lake.WrittenVersion | None:
    return lake.bring_up(version, address, keep=2, grace=grace, memory="1GB")


def snapshots(address: LakeAddress) -> list[tuple]:
    with lake.connect(address) as con:
        return con.execute(
            "select snapshot_id, author, commit_message, commit_extra_info from lake.snapshots()"
        ).fetchall()


def tables(con: duckdb.DuckDBPyConnection) -> dict[str, object]:
    return {
        name: con.execute(f"select count(*), bit_xor(hash(t)), sum(hash(t)::hugeint) from {name} as t").fetchall()  # noqa: S608
        for (name,) in con.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where not internal union all "
            "select schema_name || '.' || view_name from duckdb_views() where not internal order by 1"
        ).fetchall()
    }


def definitions(con: duckdb.DuckDBPyConnection) -> list[list[tuple]]:
    """Return names, types and comments of all columns and tables, and what can be called."""
    ours = "not internal and database_name = current_database()"
    return [
        con.execute(f"select {what} from {place} where {ours} order by all").fetchall()  # noqa: S608
        for what, place in (
            ("schema_name, table_name, column_index, column_name, data_type", "duckdb_columns()"),
            (
                "schema_name, table_name, column_name, comment",
                "duckdb_columns() semi join duckdb_tables() using (table_oid)",
            ),
            ("schema_name, table_name, comment", "duckdb_tables()"),
            ("schema_name, view_name, comment", "duckdb_views()"),
            ("function_name, parameters, function_type", "duckdb_functions()"),
        )
    ]


@contextmanager
def attached(address: LakeAddress) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a lake with SQLite as somebody does who writes into it."""
    with duckdb.connect(config=duckdb_extensions.NOTHING_FETCHED) as con:
        duckdb_extensions.load(con, address, None)
        con.execute(f"attach '{address}' as lake (data_path '{address.catalog}.files')")
        con.execute("use lake")
        yield con


WAREHOUSE = {"warehouse.shards", "warehouse.tables", "warehouse.versions"}  # new in each version


@pytest.mark.parametrize(
    "kind", [*(pytest.param(each, marks=pytest.mark.thorough) for each in ("sqlite", "s3")), _POSTGRES]
)
def test_a_lake_has_what_the_file_has(whole: list[publishing.Version], places: _Places, store: None, kind: str) -> None:
    address = places.address(kind, f"same_{kind}")
    with pytest.raises(lake.NotInLake, match="is not there yet; `raisonne run` makes it"):
        lake.connect(address)
    assert lake.trouble(address) is None
    first = bring_up(whole[0], address)
    assert first is not None and len(first.tables) > 30 and first.unchanged == ()
    before = snapshots(address)
    assert bring_up(whole[0], address) is None and snapshots(address) == before, "twice changes nothing"
    second = bring_up(whole[1], address)
    assert second is not None and {*second.tables} == {*lake_home.CHANGED, *WAREHOUSE}
    assert len(second.unchanged) == len(first.tables) - len(second.tables)
    assert [(row[1:3], json.loads(row[3])) for row in snapshots(address)[-2:]] == [
        (("raisonne", f"version {number}"), {"version": number}) for number in (1, 2)
    ]
    for version in whole[:2]:
        with publishing.open_version(version) as file, lake.connect(address, version.number) as con:
            assert definitions(con) == definitions(file)
            assert tables(con) == tables(file)
            macro = f"from copies_of({warehouse.FIRST_ID}) order by all"
            assert con.execute(macro).fetchall() == file.execute(macro).fetchall() != []
            assert lake.cursor(con).execute(macro).fetchall() == file.execute(macro).fetchall()
    with pytest.raises(lake.NotInLake, match="does not keep version 9; it has 1, 2"):
        lake.connect(address, 9)


def killed(version: publishing.Version, address: LakeAddress, moment: str) -> None:
    """Publish in a process that is killed at a moment."""
    there = FORKS.Event()
    process = FORKS.Process(target=lake_home.bring_up_and_wait, args=(version, address, moment, there), daemon=True)
    process.start()
    try:
        assert there.wait(PATIENCE_S)
    finally:
        process.kill()
        process.join(PATIENCE_S)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("kind", ["sqlite", _POSTGRES_AT_LENGTH])
def test_a_killed_publish_leaves_the_last_version(
    versions: list[publishing.Version], places: _Places, kind: str
) -> None:
    address = places.address(kind, f"killed_{kind}")
    bring_up(versions[0], address)
    with lake.connect(address) as con:
        folder = Path(lake.data_folder(con, address))
    files = {*folder.rglob("*.parquet")}
    killed(versions[1], address, "before the commit")
    left = {*folder.rglob("*.parquet")} - files
    assert left, "it was killed after it had written"
    assert lake.numbers(address) == [1]
    with lake.connect(address) as con, publishing.open_version(versions[0]) as file:
        assert tables(con) == tables(file)
    written = bring_up(versions[1], address, grace=_NOW)
    assert written is not None and lake.numbers(address) == [1, 2]
    assert not left & {*folder.rglob("*.parquet")}, "what the killed one left is gone"
    with lake.connect(address) as con, publishing.open_version(versions[1]) as file:
        assert tables(con) == tables(file)


def test_killed_after_the_commit_the_version_stands(versions: list[publishing.Version], places: _Places) -> None:
    address = places.address("sqlite", "committed")
    bring_up(versions[0], address)
    killed(versions[1], address, "after the commit")
    assert lake.numbers(address) == [1, 2] and bring_up(versions[1], address) is None


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("sqlite", 2),
        pytest.param("sqlite", 8, marks=pytest.mark.thorough),
        pytest.param("postgres", 8, marks=[*_POSTGRES.marks, pytest.mark.thorough]),
    ],
)
def test_readers_see_whole_versions_during_publishes(
    tmp_path: Path, versions: list[publishing.Version], places: _Places, kind: str, count: int
) -> None:
    address = places.address(kind, f"read_{kind}_{count}")
    bring_up(versions[0], address)
    stop, told = FORKS.Event(), FORKS.Queue()
    readers = [
        FORKS.Process(target=lake_home.read, args=(tmp_path, address, stop, told, None, 1, 0.5), daemon=True)
        for _ in range(count)
    ]
    for reader in readers:
        reader.start()
    try:
        for version in versions[1:]:
            assert bring_up(version, address) is not None
    finally:
        stop.set()
    results = [told.get(timeout=PATIENCE_S) for _ in readers]
    for reader in readers:
        reader.join(PATIENCE_S)
    assert [wrong for _, wrong in results] == [[]] * count and all(answered for answered, _ in results)


def test_old_versions_go_when_their_readers_had_time(versions: list[publishing.Version], places: _Places) -> None:
    address = places.address("sqlite", "old")
    for version in versions[:3]:
        bring_up(version, address)
    assert lake.numbers(address) == [1, 2, 3], "two are kept, and one that may have readers"
    with lake.connect(address, 1) as reader:
        folder = Path(lake.data_folder(reader, address))
        before = tables(reader)
        bring_up(versions[3], address)
        assert tables(reader) == before
    files = {*folder.rglob("*.parquet")}
    assert bring_up(versions[3], address, grace=_NOW) is None, "upkeep needs no new version"
    assert lake.numbers(address) == [3, 4]
    assert {*folder.rglob("*.parquet")} < files
    for version in versions[2:]:
        with publishing.open_version(version) as file, lake.connect(address, version.number) as con:
            assert tables(con) == tables(file)


def test_a_lake_that_would_be_mixed_up_is_refused(
    tmp_path: Path, versions: list[publishing.Version], places: _Places
) -> None:
    address = places.address("sqlite", "mixed")
    bring_up(versions[1], address)
    other = lake_home.publish(tmp_path / "other", 3, clusters=0)
    with pytest.raises(lake.LakeRefused, match="holds another warehouse"):
        bring_up(other[2], address)
    with pytest.raises(lake.LakeRefused, match="has version 2, newer than version 1 of this home"):
        bring_up(versions[0], address)
    assert lake.numbers(address) == [2]
    taken = places.address("sqlite", "taken")
    mine = Path(f"{taken.catalog}.files") / "mine.parquet"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(lake.LakeRefused, match=r"mine\.parquet lies where the data of a new lake would"):
        bring_up(versions[0], taken)
    assert mine.read_bytes() == b"mine"
    foreign = places.address("sqlite", "foreign")
    Path(foreign.catalog).parent.mkdir()
    with attached(foreign) as con:
        con.execute("create table mine as select 1 as a")
    with pytest.raises(lake.LakeRefused, match="holds other tables than a warehouse's"):
        bring_up(versions[0], foreign)
    moved = LakeAddress.read(str(address), str(tmp_path / "elsewhere"))
    with pytest.raises(lake.LakeUnavailable, match=r"has its data elsewhere; correct publishing\.data_path"):
        bring_up(versions[1], moved)


def test_tables_views_and_macros_that_are_gone_go(
    tmp_path: Path, versions: list[publishing.Version], places: _Places
) -> None:
    address = places.address("sqlite", "gone")
    bring_up(versions[0], address)
    with attached(address) as con:
        con.execute("create schema own")
        con.execute("create table own.notes as select 'mine' as note")
    changed = publishing.Version(2, tmp_path / "changed.duckdb")
    changed.path.write_bytes(versions[1].path.read_bytes())
    changed.path.chmod(0o644)
    with duckdb.connect(str(changed.path)) as con:
        con.execute("drop view duplicates.pictures")
        con.execute("create table duplicates.pictures as select 1 as cluster_id")
        con.execute("drop table provenance.sources")
        con.execute("create view provenance.sources as select 2 as version")
        con.execute("drop macro table captions")
        con.execute("create macro captions(x) as x + 1")
        con.execute("create or replace macro one_more(x) as x + 2")
        con.execute("drop table reports.duplicate_frequency")
    bring_up(changed, address)
    with lake.connect(address) as con, publishing.open_version(changed) as file:
        assert con.execute("from own.notes").fetchall() == [("mine",)]
        assert {name: rows for name, rows in tables(con).items() if name != "own.notes"} == tables(file)
        assert con.execute("select captions(3), one_more(3)").fetchall() == [(4, 5)]


@pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL's server is not installed")
def test_a_password_is_never_told(
    versions: list[publishing.Version], places: _Places, capfd: pytest.CaptureFixture[str]
) -> None:
    assert places.server is not None
    address = places.address("postgres", "secrets")
    uri = f"postgresql://raisonne:{quote(postgresql.PASSWORD, safe='')}@127.0.0.1:{places.server.port}/secrets"
    assert LakeAddress.read(f"ducklake:postgres:{uri}", address.data) == LakeAddress.read(
        f"ducklake:postgres:host=127.0.0.1 port={places.server.port} user=raisonne password="
        + "'"
        + postgresql.PASSWORD.replace("\\", r"\\").replace("'", r"\'")
        + "' dbname=secrets",
        address.data,
    )
    bring_up(versions[0], address)
    told = [repr(address), str(address), str(snapshots(address))]
    with lake.connect(address) as con:
        for text in ("duckdb_databases()", "duckdb_secrets()", "duckdb_settings()", "warehouse.versions"):
            told.append(str(con.execute(f"from {text}").fetchall()))
        told.append(str(con.execute("from lake.options()").fetchall()))
    wrong = "wrong-and-secret"
    for words in (f"dbname=secrets {places.server.words}", f"dbname=none host=127.0.0.1 port=1 user={'x' * 9}"):
        refused = LakeAddress.read(f"ducklake:postgres:{words} password={wrong}")
        with pytest.raises(lake.LakeUnavailable) as error:
            lake.connect(refused)
        told += [str(error.value), str(lake.trouble(refused))]
    dumped = places.server.query("select string_agg(t::text, ' ') from ducklake_metadata as t", "secrets")
    captured = capfd.readouterr()
    for text in [*told, dumped, captured.out, captured.err]:
        assert wrong not in text and "quite secret" not in text and "quite%20secret" not in text


def test_a_missing_extension_is_named(
    versions: list[publishing.Version], places: _Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_extensions, "find_spec", lambda _: None)
    address = places.address("sqlite", "missing")
    for work in (lambda: bring_up(versions[0], address), lambda: lake.trouble(address)):
        with pytest.raises(lake.NoLakeExtension, match=r"ducklake, which is not installed: pip install '.*, built for"):
            work()


def test_nothing_is_fetched() -> None:
    with duckdb.connect(config=duckdb_extensions.NOTHING_FETCHED) as con:
        for name in ("ducklake", "sqlite_scanner", "postgres_scanner", "httpfs", "aws"):
            duckdb_extensions.load_one(con, name)
        paths = con.execute(
            "select value from duckdb_settings() where name in "
            "('autoinstall_known_extensions', 'autoload_known_extensions')"
        ).fetchall()
    assert paths == [("false",), ("false",)]
